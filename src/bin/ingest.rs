//! The ingest function: S3 notifications, bare or from a queue, become ingestions.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `TABLE` | the DynamoDB table |
//! | `WORK_BUCKET` | the bucket for plans, blocks and rejects |
//! | `MAX_WRITE_UNITS` | ceiling in write units a second; none if unset |
//! | `MAX_REJECTS` | rejects above which nothing is written: a number or a percentage; no limit if unset |

use std::env;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use notaflux::ingest::{Engine, RejectLimit, Settings, WorkStore, event};
use notaflux::read::ReadError;
use notaflux::read::source::Source;
use notaflux::{aws, logs, table::Table};
use serde::Deserialize;
use serde_json::Value;

struct Function {
    engine: Engine,
    uploads: aws_sdk_s3::Client,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::as_json();
    let config = aws::config().await;
    let uploads = aws::s3_client(&config);
    let table = Table::open(aws::dynamodb_worker(&config), required("TABLE")?).await?;
    let settings = Settings {
        max_write_units: optional("MAX_WRITE_UNITS", |text| text.parse().ok())?,
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
            if let Err(error) = Box::pin(self.ingest_object(object)).await {
                tracing::error!(%error, "an object could not be ingested; its message comes again");
                failed = Some(error);
            }
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
            Err(error) => return Err(error.into()),
        };
        let outcome = self.engine.ingest(&source).await?;
        let report = serde_json::to_string(&outcome.report)?;
        match outcome.error {
            None => tracing::info!(ingestion = outcome.report.ingestion, report, "ingested"),
            // In the ledger, with its cause: trying again would change nothing.
            Some(error) if error.is_permanent() => {
                tracing::error!(ingestion = outcome.report.ingestion, %error, report, "ingestion failed");
            }
            Some(error) => return Err(error.into()),
        }
        Ok(())
    }
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
