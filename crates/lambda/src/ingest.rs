//! The ingest function: ingests the objects that S3 and EventBridge announce, from a queue or by direct invocation.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `TABLE` | the DynamoDB table |
//! | `SHARDS` | shards of the table, used until the table records them; 8 if unset |
//! | `WORK_BUCKET` | the bucket for plans, blocks and rejects |
//! | `MAX_WRITE_UNITS` | ceiling of the table in write units per second; no ceiling if unset |
//! | `WORKERS` | ingestions that may run at the same time; each one has an equal share of the ceiling; 1 if unset |
//! | `QUEUE_URL` | the queue of the messages; gets a message for the remaining work before the time ends |
//! | `MAX_REJECTS` | nothing is written if more records are rejected: a number or a percentage; no limit if unset |
//! | `LAYOUT_RULES` | layouts by key prefix, like `erp/=sped,xero/=xero`; detected from the header if unset |
//! | `STRICT` | `true` rejects a record that has a warning, instead of storing it with the warning |
//! | `SKIP_UNKNOWN` | `true` skips the entries of an archive that hold data and cannot be read, instead of failing |
//! | `LEASE_MS`, `CHECKPOINT_MS`, `BLOCK_BYTES` | for tests: see [`Settings`] |

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use notaflux_aws as aws;
use notaflux_engine::choice::Rule;
use notaflux_engine::event::{self, EventError};
use notaflux_engine::queue::{Body, Delivery, Sqs, Task};
use notaflux_engine::{Engine, Outcome, RejectLimit, Settings, StopSignal, WorkStore, consume, metrics};
use notaflux_logs as logs;
use notaflux_table::Table;
use notaflux_table::schema::{SHARDS, parse_shards};
use notaflux_write::{Wire, ceiling};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::environment::{optional, parsed, required};

/// The function keeps this part of its remaining time (one third) for ending: it drains the calls in flight, writes a
/// checkpoint and sends the message for the next invocation.
const END_SHARE: u32 = 3;
/// Most time that the function keeps for ending.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Delay before a failed message is delivered a second time. Each further delay is four times as long, up to
/// [`RETRY_LIMIT`], so that an outage of an hour does not send the message to the dead-letter queue.
const RETRY_DELAY: Duration = Duration::from_secs(30);
/// Longest delay before a failed message is delivered again.
const RETRY_LIMIT: Duration = Duration::from_hours(1);

/// Characters of a message's body that an error shows.
const BODY_SHOWN_CHARS: usize = 200;

struct Function {
    engine: Engine,
    uploads: aws_sdk_s3::Client,
    queue: Option<Sqs>,
}

/// Runs the function until Lambda ends its process.
///
/// # Panics
/// If the runtime cannot start.
#[must_use]
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> ExitCode {
    logs::as_json();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the ingest function cannot run");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let config = aws::config().await;
    let uploads = aws::s3_client(&config);
    let shards =
        parsed("SHARDS", |text| parse_shards(text).ok_or("expected a number from 1 to 256"))?.unwrap_or(SHARDS);
    let table = Table::open_sharded(aws::dynamodb_worker(&config), required("TABLE")?, shards).await?;
    let store = WorkStore::new(uploads.clone(), required("WORK_BUCKET")?);
    let engine = Engine::new(table, Wire::new(&config), store, settings()?);
    let queue = optional("QUEUE_URL")?.map(|url| Sqs::new(&config, url));
    let function = &Function { engine, uploads, queue };
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| handle(event, function))).await
}

fn settings() -> Result<Settings, Error> {
    let mut settings = Settings {
        max_write_units: share_of_ceiling()?,
        max_rejects: parsed("MAX_REJECTS", |text| {
            RejectLimit::parse(text).ok_or("expected a number like 100 or a percentage like 0.5%")
        })?,
        retry_ended: false,
        ..Settings::default()
    };
    settings.layouts.rules = parsed("LAYOUT_RULES", Rule::parse_all)?.unwrap_or_default();
    let flag = |name| parsed(name, |text| text.parse().map_err(|_| "expected true or false"));
    settings.layouts.strict = flag("STRICT")?.unwrap_or(false);
    settings.layouts.skip_unknown = flag("SKIP_UNKNOWN")?.unwrap_or(false);
    let millis = |text: &str| number(text).map(Duration::from_millis);
    settings.lease = parsed("LEASE_MS", millis)?.unwrap_or(settings.lease);
    settings.checkpoint_pace = parsed("CHECKPOINT_MS", millis)?.unwrap_or(settings.checkpoint_pace);
    settings.block_bytes = parsed("BLOCK_BYTES", number)?.unwrap_or(settings.block_bytes);
    Ok(settings)
}

fn number<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "expected a positive whole number")
}

/// Handles an event. Each message of a queue succeeds or fails on its own; a direct event succeeds or fails as a whole.
async fn handle(event: LambdaEvent<Value>, function: &Function) -> Result<SqsBatchResponse, Error> {
    let engine = function.engine.clone().with_stop_signal(stop_signal(event.context.deadline()));
    let mut response = SqsBatchResponse::default();
    let Some(messages) = queued(&event.payload)? else {
        function.ingest(&engine, &event.payload, None).await?;
        return Ok(response);
    };
    for message in messages.records {
        if let Err(error) = function.handle_message(&engine, &message).await {
            tracing::error!(%error, message_id = message.message_id, "a message failed; the queue delivers it again");
            let mut failure = BatchItemFailure::default();
            // An empty id makes Lambda treat the whole batch as failed, which is right for a message without an id.
            failure.item_identifier = message.message_id.unwrap_or_default();
            response.batch_item_failures.push(failure);
        }
    }
    Ok(response)
}

/// Returns the signal that stops the work early enough to drain and to hand over. No time remains after the deadline.
fn stop_signal(deadline: SystemTime) -> StopSignal {
    let left = deadline.duration_since(SystemTime::now()).unwrap_or_default();
    let end = END_LIMIT.min(left / END_SHARE);
    StopSignal::default().at(Instant::now() + left.saturating_sub(end)).draining(end / 2)
}

/// Returns the delay before a failed message is delivered again. Without a readable count of its deliveries it is the
/// shortest.
fn retry_delay(message: &SqsMessage) -> Duration {
    let received = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse::<u32>().ok());
    let factor = 4_u32.saturating_pow(received.unwrap_or(1).saturating_sub(1));
    RETRY_DELAY.saturating_mul(factor).min(RETRY_LIMIT)
}

/// Returns the messages of an SQS event, `None` for any other event.
fn queued(payload: &Value) -> Result<Option<SqsEvent>, Error> {
    let first = payload.get("Records").and_then(|records| records.get(0));
    if first.and_then(|record| record.get("eventSource")).is_none_or(|source| source != "aws:sqs") {
        return Ok(None);
    }
    let event = SqsEvent::deserialize(payload);
    Ok(Some(event.map_err(|error| format!("the event of the queue cannot be read: {error}"))?))
}

/// Parses the body of a message.
fn body(message: &SqsMessage) -> Result<Value, EventError> {
    let text = message.body.as_deref().unwrap_or_default();
    serde_json::from_str(text).map_err(|error| EventError::Shape {
        why: format!("the body of the message is not JSON: {error}"),
        found: text.chars().take(BODY_SHOWN_CHARS).collect(),
    })
}

impl Function {
    /// Handles a message. If that fails, sets when the queue delivers the message again.
    async fn handle_message(&self, engine: &Engine, message: &SqsMessage) -> Result<(), Error> {
        let receipt = message.receipt_handle.as_deref();
        let delivery = self.queue.as_ref().zip(receipt).map(|(queue, receipt)| Delivery { queue, receipt });
        let handled = match body(message) {
            Ok(body) => self.ingest(engine, &body, delivery).await,
            Err(error) => Err(error.into()),
        };
        if let (Err(error), Some(delivery)) = (&handled, delivery) {
            // Without this call the message would wait for the queue's visibility timeout, which is longer than any
            // function runs. An unreadable event stays unreadable: it needs no delay on its way to the dead-letter
            // queue.
            let delay = if error.is::<EventError>() { Duration::ZERO } else { retry_delay(message) };
            if let Err(error) = delivery.queue.keep_invisible(delivery.receipt, delay).await {
                tracing::warn!(%error, "the queue delivers the message again only after its visibility timeout");
            }
        }
        handled
    }

    /// Does the work that an event asks for: an own task, or the ingestion of the objects that it names.
    async fn ingest(&self, engine: &Engine, event: &Value, delivery: Option<Delivery<'_>>) -> Result<(), Error> {
        if let Ok(Body { notaflux: task }) = Body::deserialize(event) {
            let span = match &task {
                Task::Resume { ingestion } | Task::Join { ingestion } => tracing::info_span!("ingest", ingestion),
                Task::Ingest(object) => span_of(object),
            };
            let delivered =
                Box::pin(consume::task(engine, &self.uploads, &task, delivery)).instrument(span.clone()).await;
            return span.in_scope(|| self.log(delivered));
        }
        // After a failed object, the others are still ingested.
        let mut failed = None;
        for object in event::created(event)? {
            let span = span_of(&object);
            let delivered = Box::pin(consume::created(engine, &self.uploads, &object, delivery));
            let delivered = delivered.instrument(span.clone()).await;
            failed = span.in_scope(|| self.log(delivered)).err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Logs the outcome of an object, and its metrics.
    fn log(&self, delivered: Result<Option<Outcome>, notaflux_engine::Error>) -> Result<(), Error> {
        let outcome = match delivered {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::error!(%error, "an object could not be ingested; its event is delivered again");
                return Err(error.into());
            }
        };
        let report = serde_json::to_string(&outcome.report)?;
        let ingestion = &outcome.report.ingestion;
        match &outcome.error {
            None => tracing::info!(ingestion, report, repeated = outcome.repeated, "ingested"),
            // The ledger has the failure with its cause. A retry would fail again.
            Some(error) => tracing::error!(ingestion, %error, report, "not ingested"),
        }
        if !outcome.repeated {
            let now_ms = Timestamp::now().as_millisecond();
            println!("{}", metrics::line(&outcome.report, &self.engine.table().name, now_ms));
        }
        Ok(())
    }
}

fn span_of(object: &event::Created) -> tracing::Span {
    let object = format!("s3://{}/{}", object.bucket, object.key);
    tracing::info_span!("ingest", object, ingestion = tracing::field::Empty)
}

/// Returns the share of the table's ceiling that one worker has. It is fixed, so workers need not coordinate.
fn share_of_ceiling() -> Result<Option<NonZeroU32>, Error> {
    let Some(ceiling) = parsed("MAX_WRITE_UNITS", number)? else { return Ok(None) };
    let workers = parsed("WORKERS", number)?.unwrap_or(NonZeroU32::MIN);
    let share = ceiling::share(ceiling, workers);
    let too_low = || format!("MAX_WRITE_UNITS: {ceiling} is less than one for each of {workers} WORKERS");
    Ok(Some(share.ok_or_else(too_low)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_not_json_is_an_unreadable_event() {
        let mut message = SqsMessage::default();
        message.body = Some("{\"Records\":".to_owned());
        let error = body(&message).map_err(|error| error.to_string());
        let error = error.map_or_else(|error| error, |value| value.to_string());
        assert!(error.contains("not JSON") && error.contains("{\"Records\":"), "{error}");
    }

    #[test]
    fn a_damaged_event_of_the_queue_is_an_error() {
        let damaged = serde_json::json!({"Records": [{"eventSource": "aws:sqs", "body": 1}]});
        assert!(queued(&damaged).is_err());
        assert!(
            queued(&serde_json::json!({"Records": [{"eventSource": "aws:s3"}]})).is_ok_and(|event| event.is_none())
        );
    }
}
