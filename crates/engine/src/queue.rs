//! The queue that brings work to workers: SQS in the cloud, in this process on one machine.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use serde::{Deserialize, Serialize};

use super::event::Created;
use notaflux_aws as aws;

/// Longest time that SQS keeps a message back when it is sent, or invisible once it was received (service limits).
const DELAY_LIMIT: Duration = Duration::from_mins(15);
const INVISIBLE_LIMIT: Duration = Duration::from_hours(12);

/// What a worker is asked to do, besides the notifications of S3 itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Go on with an ingestion.
    Resume {
        /// Its id.
        ingestion: String,
    },
    /// Join in an ingestion that has several units to work on. Nothing rests on such a message: those who hold a unit have
    /// their own.
    Join {
        /// Its id.
        ingestion: String,
    },
    /// Ingest an object of which the ledger knows nothing yet, as its notification asked for.
    Ingest(Created),
}

/// A message's body: one field that no S3 notification has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The task.
    pub notaflux: Task,
}

/// What a queue cannot do. The message that is being worked on comes again by itself.
#[derive(Debug, thiserror::Error)]
#[error("the queue {queue}: {message}")]
pub struct QueueError {
    /// Which queue.
    pub queue: String,
    /// What it answers.
    pub message: String,
}

/// A queue of tasks.
///
/// # Contract
/// A message that was sent is received at least once, possibly twice, in any order; one that was received and not deleted is
/// received again when the time that it is kept invisible for is over.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends a task, not to be received before `delay` has passed.
    async fn send(&self, task: &Task, delay: Duration) -> Result<(), QueueError>;

    /// Keeps a message that was received from being received again, for `time` from now.
    async fn keep_invisible(&self, receipt: &str, time: Duration) -> Result<(), QueueError>;
}

/// A message that is being worked on.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// Where it came from, and where further tasks go.
    pub queue: &'a dyn Queue,
    /// Its receipt handle.
    pub receipt: &'a str,
}

impl std::fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

/// A queue of Amazon SQS.
#[derive(Debug, Clone)]
pub struct Sqs {
    client: Client,
    url: String,
}

impl Sqs {
    /// The queue at `url`, by a client that keeps trying: a task that is not sent would have to wait for its message to come
    /// again.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        let config = aws_sdk_sqs::config::Builder::from(config).retry_config(aws::worker_retries());
        Self { client: Client::from_conf(config.build()), url }
    }

    fn error(&self, message: String) -> QueueError {
        QueueError { queue: self.url.clone(), message }
    }
}

/// Whole seconds, as SQS takes them.
fn seconds(time: Duration, limit: Duration) -> i32 {
    i32::try_from(time.min(limit).as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

#[async_trait]
impl Queue for Sqs {
    async fn send(&self, task: &Task, delay: Duration) -> Result<(), QueueError> {
        let body = serde_json::to_string(&Body { notaflux: task.clone() });
        let body = body.map_err(|error| self.error(error.to_string()))?;
        let message = self.client.send_message().queue_url(&self.url).message_body(body);
        let sent = message.delay_seconds(seconds(delay, DELAY_LIMIT)).send().await;
        sent.map(drop).map_err(|error| self.error(aws::describe_error(&error)))
    }

    async fn keep_invisible(&self, receipt: &str, time: Duration) -> Result<(), QueueError> {
        let change = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
        let changed = change.visibility_timeout(seconds(time, INVISIBLE_LIMIT)).send().await;
        changed.map(drop).map_err(|error| self.error(aws::describe_error(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_no_s3_notification_and_reads_back() {
        let body = Body { notaflux: Task::Resume { ingestion: "ab".to_owned() } };
        let text = serde_json::to_string(&body).unwrap_or_default();
        assert_eq!(text, r#"{"notaflux":{"resume":{"ingestion":"ab"}}}"#);
        assert_eq!(serde_json::from_str::<Body>(&text).ok(), Some(body));
        assert!(serde_json::from_str::<Body>(r#"{"Records":[]}"#).is_err());
    }

    #[test]
    fn seconds_are_rounded_up_and_bounded() {
        assert_eq!(seconds(Duration::from_millis(1_001), DELAY_LIMIT), 2);
        assert_eq!(seconds(Duration::ZERO, DELAY_LIMIT), 0);
        assert_eq!(seconds(Duration::from_hours(99), INVISIBLE_LIMIT), 43_200);
    }
}
