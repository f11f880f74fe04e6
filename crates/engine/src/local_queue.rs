//! The queue of one machine: the protocol of SQS, in the process.
//!
//! The messages are lost with the process, and nothing needs to keep them: each start of the process looks at every
//! object of the bucket again. A completed object then costs two small calls.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::event::Created;
use crate::queue::{Queue, QueueError, Task};

/// How long a received message stays invisible at first. Its worker extends the time while it works.
const INVISIBLE: Duration = Duration::from_secs(30);

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Ingest an object that was put into a bucket.
    Created(Created),
    /// A task that a worker has sent.
    Task(Task),
}

/// A received message.
#[derive(Debug, Clone)]
pub struct Received {
    /// The content.
    pub message: Message,
    /// The handle to delete the message or keep it invisible.
    pub receipt: String,
}

/// Messages in order of arrival. Nobody receives a message before it becomes visible.
#[derive(Debug, Default)]
pub struct LocalQueue {
    messages: Mutex<Messages>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Messages {
    waiting: VecDeque<Entry>,
    last: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    message: Message,
    visible_at: Instant,
    received: bool,
}

impl LocalQueue {
    /// Adds an object to ingest.
    pub fn add_created(&self, bucket: &str, key: String) {
        self.add(Message::Created(Created { bucket: bucket.to_owned(), key, version_id: None }), Duration::ZERO);
    }

    /// Adds a message. A second event for the same object is dropped while nobody has received the first one: the
    /// worker ingests the object as it is when it receives the event.
    fn add(&self, message: Message, delay: Duration) {
        let mut messages = self.messages();
        let visible_at = Instant::now() + delay;
        let is_event = matches!(message, Message::Created(_));
        let is_same = |entry: &&mut Entry| is_event && !entry.received && entry.message == message;
        if let Some(same) = messages.waiting.iter_mut().find(is_same) {
            same.visible_at = same.visible_at.min(visible_at);
        } else {
            messages.last += 1;
            let number = messages.last;
            messages.waiting.push_back(Entry { number, message, visible_at, received: false });
        }
        drop(messages);
        self.changed.notify_waiters();
    }

    /// Waits for the next message and returns it.
    pub async fn receive(&self) -> Received {
        loop {
            let changed = self.changed.notified();
            let next = match self.try_receive() {
                Ok(received) => return received,
                Err(next) => next,
            };
            let visible = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = visible => {}
            }
        }
    }

    /// Returns a message, or the time when the next one becomes visible.
    fn try_receive(&self) -> Result<Received, Option<Instant>> {
        let mut messages = self.messages();
        let now = Instant::now();
        if let Some(entry) = messages.waiting.iter_mut().find(|entry| entry.visible_at <= now) {
            (entry.visible_at, entry.received) = (now + INVISIBLE, true);
            return Ok(Received { message: entry.message.clone(), receipt: entry.number.to_string() });
        }
        Err(messages.waiting.iter().map(|entry| entry.visible_at).min())
    }

    /// Deletes a message. An unknown receipt does nothing.
    pub fn delete(&self, receipt: &str) {
        self.messages().waiting.retain(|entry| entry.number.to_string() != receipt);
    }

    fn messages(&self) -> MutexGuard<'_, Messages> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Queue for LocalQueue {
    async fn send(&self, task: &Task, delay: Duration) -> Result<(), QueueError> {
        self.add(Message::Task(task.clone()), delay);
        Ok(())
    }

    async fn keep_invisible(&self, receipt: &str, time: Duration) -> Result<(), QueueError> {
        let mut messages = self.messages();
        if let Some(entry) = messages.waiting.iter_mut().find(|entry| entry.number.to_string() == receipt) {
            entry.visible_at = Instant::now() + time;
        }
        drop(messages);
        self.changed.notify_waiters();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resume(ingestion: &str) -> Task {
        Task::Resume { ingestion: ingestion.to_owned() }
    }

    #[tokio::test]
    async fn a_message_that_is_not_deleted_is_received_again() -> Result<(), QueueError> {
        let queue = LocalQueue::default();
        queue.add_created("uploads", "a".to_owned());
        let first = queue.receive().await;
        queue.keep_invisible(&first.receipt, Duration::from_millis(20)).await?;
        let mut second = std::pin::pin!(queue.receive());
        assert!(futures::poll!(second.as_mut()).is_pending(), "it is invisible");
        let second = second.await;
        assert_eq!(first.message, second.message);
        queue.delete(&second.receipt);
        let mut third = std::pin::pin!(queue.receive());
        assert!(futures::poll!(third.as_mut()).is_pending());
        assert!(queue.messages().waiting.is_empty());
        Ok(())
    }

    #[tokio::test]
    async fn delayed_and_returned_messages_become_visible_in_time() -> Result<(), QueueError> {
        let queue = LocalQueue::default();
        queue.send(&resume("late"), Duration::from_millis(30)).await?;
        queue.send(&resume("now"), Duration::ZERO).await?;
        let now = queue.receive().await;
        assert_eq!(now.message, Message::Task(resume("now")));
        queue.keep_invisible(&now.receipt, Duration::ZERO).await?;
        assert_eq!(queue.receive().await.message, now.message);
        assert_eq!(queue.receive().await.message, Message::Task(resume("late")));
        Ok(())
    }

    #[tokio::test]
    async fn an_event_is_dropped_only_while_the_same_event_waits() {
        let queue = LocalQueue::default();
        for _ in 0..3 {
            queue.add_created("uploads", "a".to_owned());
        }
        let first = queue.receive().await;
        queue.add_created("uploads", "a".to_owned());
        let second = queue.receive().await;
        assert_ne!(
            first.receipt, second.receipt,
            "the object may have changed since a worker received the first event"
        );
    }
}
