//! The queue of one machine: the same protocol as SQS, in this process.
//!
//! What waits here is lost with the process, and need not be kept: at the start every object of the bucket is looked at
//! again, and what is completed costs two small calls.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::event::Created;
use crate::queue::{Queue, QueueError, Task};

/// How long a message that was received stays invisible at first: its worker keeps it so for as long as it works.
const INVISIBLE: Duration = Duration::from_secs(30);

/// What a worker is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Ingest an object that was put into a bucket.
    Created(Created),
    /// What a worker has sent.
    Task(Task),
}

/// A message that was received.
#[derive(Debug, Clone)]
pub struct Received {
    /// What it asks for.
    pub message: Message,
    /// By which it is deleted or kept invisible.
    pub receipt: String,
}

/// Messages in order of arrival; those that are invisible wait for their time.
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
    /// Adds an object that is to be ingested.
    pub fn add_created(&self, bucket: &str, key: String) {
        self.add(Message::Created(Created { bucket: bucket.to_owned(), key, version_id: None }), Duration::ZERO);
    }

    /// An event that nobody has received yet and that says the same makes another one needless: what is ingested is the object
    /// as it stands when it is received.
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

    /// The next message, when there is one.
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

    /// A message, or when the next will be visible.
    fn try_receive(&self) -> Result<Received, Option<Instant>> {
        let mut messages = self.messages();
        let now = Instant::now();
        if let Some(entry) = messages.waiting.iter_mut().find(|entry| entry.visible_at <= now) {
            (entry.visible_at, entry.received) = (now + INVISIBLE, true);
            return Ok(Received { message: entry.message.clone(), receipt: entry.number.to_string() });
        }
        Err(messages.waiting.iter().map(|entry| entry.visible_at).min())
    }

    /// Deletes a message that is done with.
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
    async fn a_message_that_is_not_deleted_comes_again() -> Result<(), QueueError> {
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
    async fn a_delay_and_a_message_handed_back_keep_to_their_time() -> Result<(), QueueError> {
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
    async fn what_waits_already_is_not_added_and_what_is_worked_on_is() {
        let queue = LocalQueue::default();
        for _ in 0..3 {
            queue.add_created("uploads", "a".to_owned());
        }
        let first = queue.receive().await;
        queue.add_created("uploads", "a".to_owned());
        let second = queue.receive().await;
        assert_ne!(first.receipt, second.receipt, "the object may have changed since the first was received");
    }
}
