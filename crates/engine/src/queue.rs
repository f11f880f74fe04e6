//! The queue of tasks for workers: SQS in the cloud, a queue in the process on one machine.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use serde::{Deserialize, Serialize};

use super::event::Created;
use notaflux_aws as aws;

/// Longest delay of a message that SQS accepts ("Amazon SQS message quotas").
const DELAY_LIMIT: Duration = Duration::from_mins(15);
/// Longest visibility timeout that SQS accepts ("Amazon SQS message quotas").
const INVISIBLE_LIMIT: Duration = Duration::from_hours(12);

/// A task that a worker sends to another worker. The other messages of the queue are notifications from S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Resume an ingestion.
    Resume {
        /// Its id.
        ingestion: String,
    },
    /// Join an ingestion that has several units. Nothing depends on this message: the workers that hold units have
    /// messages of their own.
    Join {
        /// Its id.
        ingestion: String,
    },
    /// Ingest an object that the ledger may not have yet; the task repeats its notification.
    Ingest(Created),
}

/// The body of a message with a task. Its only field tells it apart from an S3 notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The task.
    pub notaflux: Task,
}

/// A call to the queue failed. The queue delivers the current message again.
#[derive(Debug, thiserror::Error)]
#[error("queue {queue}: {message}")]
pub struct QueueError {
    /// URL of the queue.
    pub queue: String,
    /// Code and message of the service.
    pub message: String,
}

/// A queue of tasks.
///
/// # Contract
/// The queue delivers each message at least once, possibly more often, in any order. It delivers a message again if
/// nobody deletes it before its invisible time ends.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends a task. Nobody receives it before `delay` has passed.
    async fn send(&self, task: &Task, delay: Duration) -> Result<(), QueueError>;

    /// Keeps a received message invisible for `time` from now.
    async fn keep_invisible(&self, receipt: &str, time: Duration) -> Result<(), QueueError>;
}

/// A message that a worker has received.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// The queue that it came from. Further tasks go there.
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
    /// Opens the queue at `url`. The client retries for a long time: if it does not send a task, the work waits until
    /// the current message becomes visible again.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        let config = aws_sdk_sqs::config::Builder::from(config).retry_config(aws::worker_retries());
        Self { client: Client::from_conf(config.build()), url }
    }

    fn error(&self, message: String) -> QueueError {
        QueueError { queue: self.url.clone(), message }
    }
}

/// Returns `time`, but at most `limit`, in whole seconds, rounded up. SQS accepts only whole seconds.
#[expect(clippy::expect_used, reason = "both limits are less than a day")]
fn seconds(time: Duration, limit: Duration) -> i32 {
    i32::try_from(time.min(limit).as_millis().div_ceil(1000)).expect("a limit in seconds fits")
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
    fn a_task_survives_a_round_trip_and_an_s3_notification_is_no_task() {
        let body = Body { notaflux: Task::Resume { ingestion: "ab".to_owned() } };
        let text = serde_json::to_string(&body).unwrap();
        assert_eq!(text, r#"{"notaflux":{"resume":{"ingestion":"ab"}}}"#);
        assert_eq!(serde_json::from_str::<Body>(&text).unwrap(), body);
        assert!(serde_json::from_str::<Body>(r#"{"Records":[]}"#).is_err());
    }

    #[test]
    fn seconds_are_rounded_up_and_bounded() {
        assert_eq!(seconds(Duration::from_millis(1_001), DELAY_LIMIT), 2);
        assert_eq!(seconds(Duration::ZERO, DELAY_LIMIT), 0);
        assert_eq!(seconds(Duration::from_hours(99), INVISIBLE_LIMIT), 43_200);
    }
}
