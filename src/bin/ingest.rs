//! The ingest function: objects that S3 or EventBridge tell of, bare or from a queue, become ingestions.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `TABLE` | the DynamoDB table |
//! | `SHARDS` | shards of the table, where it does not record them yet; 8 if unset |
//! | `WORK_BUCKET` | the bucket for plans, blocks and rejects |
//! | `MAX_WRITE_UNITS` | ceiling of the table in write units a second; none if unset |
//! | `WORKERS` | ingestions that may run at once; each has an equal share of the ceiling; 1 if unset |
//! | `MAX_REJECTS` | rejects above which nothing is written: a number or a percentage; no limit if unset |

use std::env;
use std::num::NonZeroU32;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use notaflux::ingest::{Engine, RejectLimit, Report, Settings, WorkStore, event, metrics, plan};
use notaflux::read::ReadError;
use notaflux::read::source::Source;
use notaflux::table::Table;
use notaflux::table::schema::{SHARDS, parse_shards};
use notaflux::write::ceiling;
use notaflux::{aws, logs};
use serde::Deserialize;
use serde_json::Value;
use tracing::Instrument as _;

struct Function {
    engine: Engine,
    uploads: aws_sdk_s3::Client,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::as_json();
    let config = aws::config().await;
    let uploads = aws::s3_client(&config);
    let shards = optional("SHARDS", parse_shards)?.unwrap_or(SHARDS);
    let table = Table::open_sharded(aws::dynamodb_worker(&config), required("TABLE")?, shards).await?;
    let settings = Settings {
        max_write_units: share_of_ceiling()?,
        max_rejects: optional("MAX_REJECTS", RejectLimit::parse)?,
        ..Settings::default()
    };
    let store = WorkStore::new(uploads.clone(), required("WORK_BUCKET")?);
    let engine = Engine { table, write_client: aws::dynamodb_client(&config), store, settings, observer: None };
    let function = &Function { engine, uploads };
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| handle(event.payload, function))).await
}

/// From a queue every message succeeds or fails on its own; a bare event succeeds or fails as one.
async fn handle(payload: Value, function: &Function) -> Result<SqsBatchResponse, Error> {
    let mut response = SqsBatchResponse::default();
    let Some(messages) = queued(&payload) else {
        function.ingest(&payload).await?;
        return Ok(response);
    };
    for message in messages.records {
        let body = serde_json::from_str(message.body.as_deref().unwrap_or_default()).unwrap_or(Value::Null);
        if let Err(error) = function.ingest(&body).await {
            tracing::error!(%error, message_id = message.message_id, "message failed");
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = message.message_id.unwrap_or_default();
            response.batch_item_failures.push(failure);
        }
    }
    Ok(response)
}

fn queued(payload: &Value) -> Option<SqsEvent> {
    let first = payload.get("Records")?.get(0)?;
    (first.get("eventSource")? == "aws:sqs").then(|| SqsEvent::deserialize(payload).ok())?
}

impl Function {
    async fn ingest(&self, event: &Value) -> Result<(), Error> {
        // One object that fails keeps no other from being ingested.
        let mut failed = None;
        for object in event::created(event)? {
            failed = Box::pin(self.ingest_object(object)).await.err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    async fn ingest_object(&self, object: event::Created) -> Result<(), Error> {
        let source = match Source::object(self.uploads.clone(), object.bucket, object.key, object.version_id).await {
            Ok(source) => source,
            Err(error @ ReadError::NotFound { .. }) => {
                tracing::warn!(%error, "the object has gone since its event");
                return Ok(());
            }
            Err(error) => return Err(comes_again(error)),
        };
        let span = tracing::info_span!("ingest", ingestion = plan::ingestion_id(source.identity()));
        self.ingest_source(&source).instrument(span).await
    }

    async fn ingest_source(&self, source: &Source) -> Result<(), Error> {
        let outcome = self.engine.ingest(source).await.map_err(comes_again)?;
        let report = serde_json::to_string(&outcome.report)?;
        match outcome.error {
            None => tracing::info!(report, repeated = outcome.repeated, "ingested"),
            // In the ledger, with its cause: trying again would change nothing.
            Some(error) if error.is_permanent() => tracing::error!(%error, report, "ingestion failed"),
            Some(error) => return Err(comes_again(error)),
        }
        if !outcome.repeated {
            self.tell_metrics(&outcome.report);
        }
        Ok(())
    }

    fn tell_metrics(&self, report: &Report) {
        println!("{}", metrics::line(report, &self.engine.table.name, Timestamp::now().as_millisecond()));
    }
}

/// Logs, where it still is known which object it was, why a message is not done with.
fn comes_again(error: impl Into<Error>) -> Error {
    let error = error.into();
    tracing::error!(%error, "an object could not be ingested; its message comes again");
    error
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
    env::var(name).map_err(|_| format!("the environment variable {name} must be set").into())
}

fn optional<T>(name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Error> {
    match env::var(name) {
        Err(_) => Ok(None),
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => parse(&text).map(Some).ok_or_else(|| format!("{name}: {text:?} is not valid").into()),
    }
}
