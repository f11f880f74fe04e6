//! Handles the messages of a queue: ingests the object that a message names, and sends a message for work that remains.

use std::time::Duration;

use aws_sdk_s3::Client;

use notaflux_records::file;

use super::claim;
use super::clock::now_ms;
use super::engine::Engine;
use super::error::Error;
use super::event::Created;
use super::ingestion_id::ingestion_id;
use super::ledger::{self, Ledger};
use super::object;
use super::outcome::{Outcome, Worked};
use super::queue::{Delivery, Task};
use notaflux_records::ReadError;
use notaflux_records::source::Source;
use notaflux_table::ingestion::IngestionState;

/// Ingests an object that was put into a bucket. Returns the outcome of the ingestion, if it ended in this call.
///
/// The caller may delete the message after `Ok`: work that remains has a message of its own by then.
///
/// # Errors
/// An error after which the message should be delivered again.
pub async fn created(
    engine: &Engine,
    s3: &Client,
    object: &Created,
    delivery: Option<Delivery<'_>>,
) -> Result<Option<Outcome>, Error> {
    let Created { bucket, key, version_id } = object.clone();
    match object::open(s3.clone(), bucket, key, version_id).await {
        Ok(source) if source.is_empty() && object.key.ends_with('/') => {
            tracing::info!(key = object.key, "skipped a folder marker: it is empty and its key ends with a slash");
            Ok(None)
        }
        Ok(source) => work_on(engine, &source, delivery, Task::Ingest(object.clone())).await,
        Err(error @ ReadError::NotFound { .. }) => {
            tracing::warn!(%error, "the object was deleted after its event");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Performs a task. Returns as [`created`] does.
///
/// # Errors
/// An error after which the message should be delivered again.
pub async fn task(
    engine: &Engine,
    s3: &Client,
    task: &Task,
    delivery: Option<Delivery<'_>>,
) -> Result<Option<Outcome>, Error> {
    let ingestion = match task {
        Task::Resume { ingestion } | Task::Join { ingestion } => ingestion,
        Task::Ingest(object) => return created(engine, s3, object, delivery).await,
    };
    let ledger = Ledger::new(engine.table().clone());
    let Some(meta) = ledger.meta(ingestion).await? else {
        tracing::warn!(ingestion, "a message names an ingestion that is not in the ledger");
        return Ok(None);
    };
    if meta.report.state.is_end() {
        return Ok(None);
    }
    let identity = &meta.report.source;
    let found = match (&identity.path, &identity.bucket, &identity.key) {
        (Some(path), ..) => file::open(path).await,
        (_, Some(bucket), Some(key)) => {
            object::open(s3.clone(), bucket.as_str(), key.as_str(), identity.version_id.clone()).await
        }
        _ => return Err(ledger::sourceless(ingestion).into()),
    };
    match found {
        Ok(source) if ingestion_id(source.identity()) == *ingestion => {
            work_on(engine, &source, delivery, task.clone()).await
        }
        // Another version has replaced this one, which nobody can read any more. The other one has an event of its own.
        Ok(_) => {
            Ok(claim::close(&ledger, ingestion, IngestionState::Superseded).await?.map(|meta| Outcome::of(meta.report)))
        }
        Err(error @ ReadError::NotFound { .. }) => {
            tracing::warn!(ingestion, %error, "the object was deleted before it was ingested");
            let closed = claim::close_with(&ledger, ingestion, IngestionState::Failed, Some(error.to_string())).await?;
            Ok(closed.map(|meta| Outcome::of(meta.report)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Works on a source, and sends a message for work that remains. If other workers hold that work, the message is
/// `again`: the ledger may not have the ingestion yet.
async fn work_on(
    engine: &Engine,
    source: &Source,
    delivery: Option<Delivery<'_>>,
    again: Task,
) -> Result<Option<Outcome>, Error> {
    // Adds the id to every log line of the ingestion, if the caller's span has this field.
    tracing::Span::current().record("ingestion", ingestion_id(source.identity()));
    let (task, delay) = match engine.work_on(source, delivery).await? {
        Worked::Over(outcome) => return Ok(Some(outcome)),
        Worked::Paused { .. } => (Task::Resume { ingestion: ingestion_id(source.identity()) }, Duration::ZERO),
        Worked::Busy { .. } if matches!(again, Task::Join { .. }) => return Ok(None),
        Worked::Busy { look_at_ms, .. } => (again, Duration::from_millis(look_at_ms.saturating_sub(now_ms()))),
    };
    let Some(Delivery { queue, .. }) = delivery else { return Err(Error::NoQueue) };
    queue.send(&task, delay).await?;
    Ok(None)
}
