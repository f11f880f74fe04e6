//! The ingest function: objects that S3 or EventBridge tell of, bare or from a queue, become ingestions.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `TABLE` | the DynamoDB table |
//! | `SHARDS` | shards of the table, where it does not record them yet; 8 if unset |
//! | `WORK_BUCKET` | the bucket for plans, blocks and rejects |
//! | `MAX_WRITE_UNITS` | ceiling of the table in write units a second; none if unset |
//! | `WORKERS` | ingestions that may run at once; each has an equal share of the ceiling; 1 if unset |
//! | `QUEUE_URL` | the queue that messages come from, where what is left is sent when time is up |
//! | `MAX_REJECTS` | rejects above which nothing is written: a number or a percentage; no limit if unset |
//! | `LAYOUT_RULES` | layouts by what an object's key begins with, like `erp/=sped,xero/=xero`; by the header if unset |
//! | `STRICT` | `true` rejects what is odd about a record instead of storing it with a warning |
//! | `LEASE_MS`, `CHECKPOINT_MS`, `BLOCK_BYTES` | for tests: see [`Settings`] |

use std::env;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use notaflux_aws as aws;
use notaflux_engine::choice::Rule;
use notaflux_engine::queue::{Body, Delivery, Sqs, Task};
use notaflux_engine::{Engine, Outcome, RejectLimit, Settings, StopSignal, WorkStore, consume, event, metrics};
use notaflux_logs as logs;
use notaflux_table::Table;
use notaflux_table::schema::{SHARDS, parse_shards};
use notaflux_write::{Wire, ceiling};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument as _;

/// Part of an invocation's time, and most of it, that is kept for ending it: draining what is under way, recording how far it
/// is, sending the next hop.
const END_SHARE: u32 = 3;
const END_LIMIT: Duration = Duration::from_secs(10);

/// Pause before a message that could not be done with comes again, for the first time and at most: four times as long each
/// time, so that an outage of an hour does not send it to the dead-letter queue.
const AGAIN_PAUSE: Duration = Duration::from_secs(30);
const AGAIN_LIMIT: Duration = Duration::from_hours(1);

struct Function {
    engine: Engine,
    uploads: aws_sdk_s3::Client,
    queue: Option<Sqs>,
}

/// Runs the function until its environment ends.
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
    let shards = optional("SHARDS", parse_shards)?.unwrap_or(SHARDS);
    let table = Table::open_sharded(aws::dynamodb_worker(&config), required("TABLE")?, shards).await?;
    let store = WorkStore::new(uploads.clone(), required("WORK_BUCKET")?);
    let engine = Engine::new(table, Wire::new(&config), store, settings()?);
    let queue = set("QUEUE_URL").map(|url| Sqs::new(&config, url));
    let function = &Function { engine, uploads, queue };
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| handle(event, function))).await
}

fn settings() -> Result<Settings, Error> {
    let mut settings = Settings {
        max_write_units: share_of_ceiling()?,
        max_rejects: optional("MAX_REJECTS", RejectLimit::parse)?,
        retry_ended: false,
        ..Settings::default()
    };
    settings.layouts.rules = optional("LAYOUT_RULES", |text| Rule::parse_all(text).ok())?.unwrap_or_default();
    settings.layouts.strict = optional("STRICT", |text| text.parse().ok())?.unwrap_or(false);
    let millis = |text: &str| text.parse().ok().map(Duration::from_millis);
    settings.lease = optional("LEASE_MS", millis)?.unwrap_or(settings.lease);
    settings.checkpoint_pace = optional("CHECKPOINT_MS", millis)?.unwrap_or(settings.checkpoint_pace);
    settings.block_bytes = optional("BLOCK_BYTES", |text| text.parse().ok())?.unwrap_or(settings.block_bytes);
    Ok(settings)
}

/// From a queue every message succeeds or fails on its own; a bare event succeeds or fails as one.
async fn handle(event: LambdaEvent<Value>, function: &Function) -> Result<SqsBatchResponse, Error> {
    let engine = function.engine.clone().halted(halt(event.context.deadline()));
    let mut response = SqsBatchResponse::default();
    let Some(messages) = queued(&event.payload) else {
        function.ingest(&engine, &event.payload, None).await?;
        return Ok(response);
    };
    for message in messages.records {
        let body = serde_json::from_str(message.body.as_deref().unwrap_or_default()).unwrap_or(Value::Null);
        let receipt = message.receipt_handle.as_deref();
        let delivery = function.queue.as_ref().zip(receipt).map(|(queue, receipt)| Delivery { queue, receipt });
        if let Err(error) = function.ingest(&engine, &body, delivery).await {
            tracing::error!(%error, message_id = message.message_id, "message failed");
            if let Some(delivery) = delivery {
                // Otherwise it would come again no sooner than the queue's own time, which is longer than any function's.
                // What is no event will be none later.
                let is_event = !error.is::<event::EventError>();
                let pause = if is_event { again_pause(&message) } else { Duration::ZERO };
                let kept = delivery.queue.keep_invisible(delivery.receipt, pause).await;
                kept.unwrap_or_else(|error| tracing::warn!(%error, "the message comes again later than it could"));
            }
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = message.message_id.unwrap_or_default();
            response.batch_item_failures.push(failure);
        }
    }
    Ok(response)
}

/// When to stop working, so that there is time left to drain and to hand over.
fn halt(deadline: SystemTime) -> StopSignal {
    let left = deadline.duration_since(SystemTime::now()).unwrap_or_default();
    let end = END_LIMIT.min(left / END_SHARE);
    StopSignal::default().at(Instant::now() + left.saturating_sub(end)).draining(end / 2)
}

fn again_pause(message: &SqsMessage) -> Duration {
    let received = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse::<u32>().ok());
    let factor = 4_u32.saturating_pow(received.unwrap_or(1).saturating_sub(1));
    AGAIN_PAUSE.saturating_mul(factor).min(AGAIN_LIMIT)
}

fn queued(payload: &Value) -> Option<SqsEvent> {
    let first = payload.get("Records")?.get(0)?;
    (first.get("eventSource")? == "aws:sqs").then(|| SqsEvent::deserialize(payload).ok())?
}

impl Function {
    async fn ingest(&self, engine: &Engine, event: &Value, delivery: Option<Delivery<'_>>) -> Result<(), Error> {
        if let Ok(Body { notaflux: task }) = Body::deserialize(event) {
            let span = match &task {
                Task::Resume { ingestion } | Task::Join { ingestion } => tracing::info_span!("ingest", ingestion),
                Task::Ingest(object) => span_of(object),
            };
            let delivered =
                Box::pin(consume::task(engine, &self.uploads, &task, delivery)).instrument(span.clone()).await;
            return span.in_scope(|| self.tell(delivered));
        }
        // One object that fails keeps no other from being ingested.
        let mut failed = None;
        for object in event::created(event)? {
            let span = span_of(&object);
            let delivered = Box::pin(consume::created(engine, &self.uploads, &object, delivery));
            let delivered = delivered.instrument(span.clone()).await;
            failed = span.in_scope(|| self.tell(delivered)).err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Logs what became of an object, and its metrics.
    fn tell(&self, delivered: Result<Option<Outcome>, notaflux_engine::Error>) -> Result<(), Error> {
        let outcome = match delivered {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::error!(%error, "an object could not be ingested; its message comes again");
                return Err(error.into());
            }
        };
        let report = serde_json::to_string(&outcome.report)?;
        let ingestion = &outcome.report.ingestion;
        match &outcome.error {
            None => tracing::info!(ingestion, report, repeated = outcome.repeated, "ingested"),
            // In the ledger, with its cause: trying again would change nothing.
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

/// The ceiling is the table's, and the share of one worker is fixed: they need not ask each other.
fn share_of_ceiling() -> Result<Option<NonZeroU32>, Error> {
    let Some(ceiling) = optional("MAX_WRITE_UNITS", |text| text.parse().ok())? else { return Ok(None) };
    let workers = optional("WORKERS", |text| text.parse().ok())?.unwrap_or(NonZeroU32::MIN);
    let share = ceiling::share(ceiling, workers);
    share
        .map(Some)
        .ok_or_else(|| format!("MAX_WRITE_UNITS: {ceiling} is less than one for each of {workers} WORKERS").into())
}

fn required(name: &str) -> Result<String, Error> {
    set(name).ok_or_else(|| format!("the environment variable {name} must be set").into())
}

/// The value of a variable; an empty one is as good as none.
fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn optional<T>(name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Error> {
    let Some(text) = set(name) else { return Ok(None) };
    parse(&text).map(Some).ok_or_else(|| format!("{name}: {text:?} is not valid").into())
}
