//! A worker of `notaflux serve`. It does the tasks of the queue, like the ingest function in AWS.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aws_sdk_s3::Client as S3;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use super::backend::{Backend, Services};
use super::bar::Bar;
use super::summary;
use crate::failure::Failure;
use crate::output::print_line;
use crate::progress::Display;
use notaflux_engine::consume;
use notaflux_engine::local_queue::{LocalQueue, Message, Received};
use notaflux_engine::queue::{Delivery, Queue as _, Task};
use notaflux_engine::{Outcome, Settings, StopSignal};
use notaflux_local::Endpoints;
use notaflux_records::source::printable;
use notaflux_table::ingestion::IngestionState;

/// Delay before a failed message is received again.
const RETRY_DELAY: Duration = Duration::from_secs(15);

/// A worker with its own thread and runtime, so that its parsing blocks neither the API nor other workers.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) endpoints: Endpoints,
    pub(super) queue: Arc<LocalQueue>,
    pub(super) settings: Settings,
    pub(super) quiet: bool,
    pub(super) stop: CancellationToken,
}

impl Worker {
    /// Starts the worker. It works until `stop`.
    pub(super) fn start(self) -> std::io::Result<JoinHandle<Result<(), Failure>>> {
        thread::Builder::new().name("worker".to_owned()).spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let worked = runtime.block_on(self.work());
            // If a worker fails, the server stops, because it would ingest no further uploads.
            self.stop.cancel();
            worked
        })
    }

    async fn work(&self) -> Result<(), Failure> {
        let backend = Backend::embedded(Services::at(&self.endpoints)).await?;
        let s3 = backend.s3();
        while let Some(received) = self.stop.run_until_cancelled(self.queue.receive()).await {
            if Box::pin(self.handle(&backend, &s3, &received)).await {
                self.queue.delete(&received.receipt);
            } else {
                self.queue.keep_invisible(&received.receipt, RETRY_DELAY).await?;
            }
        }
        Ok(())
    }

    /// Handles a message. Returns whether the message is done and can be deleted.
    async fn handle(&self, backend: &Backend, s3: &S3, received: &Received) -> bool {
        let name = match &received.message {
            Message::Created(object) | Message::Task(Task::Ingest(object)) => {
                printable(&format!("s3://{}/{}", object.bucket, object.key)).into_owned()
            }
            Message::Task(Task::Resume { ingestion } | Task::Join { ingestion }) => format!("ingestion {ingestion}"),
        };
        let bar = Bar::new(&name, if self.quiet { Display::Quiet } else { Display::Lines });
        let engine = backend.engine(self.settings.clone());
        let engine = engine.with_observer(bar.observer()).with_stop_signal(StopSignal::on(self.stop.clone()));
        let delivery = Some(Delivery { queue: &*self.queue, receipt: &received.receipt });
        let delivered = match &received.message {
            Message::Created(object) => consume::created(&engine, s3, object, delivery).await,
            Message::Task(task) => consume::task(&engine, s3, task, delivery).await,
        };
        bar.finish();
        match delivered {
            Ok(Some(outcome)) => log(&outcome),
            Ok(None) => {}
            Err(error) => {
                // The failure concerns the services or the table, not the object.
                tracing::error!("{name}: not ingested yet, retried in {} s: {error}", RETRY_DELAY.as_secs());
                return false;
            }
        }
        true
    }
}

/// Logs the outcome of an object, and prints it if it was ingested.
fn log(outcome: &Outcome) {
    let report = &outcome.report;
    let (ingestion, object) = (report.ingestion.as_str(), report.source.to_string());
    match &outcome.error {
        _ if outcome.repeated => tracing::debug!(ingestion, object, state = report.state.as_str(), "already ended"),
        None => {
            match serde_json::to_string(report) {
                Ok(report) => tracing::info!(ingestion, object, report, "ingested"),
                Err(error) => {
                    tracing::error!(ingestion, object, %error, "ingested, but the report cannot be written as JSON");
                }
            }
            // The worker works even if standard output is closed.
            print_line(summary::line(&object, report)).unwrap_or_default();
        }
        Some(_) if report.state == IngestionState::Superseded => {
            tracing::info!(ingestion, object, "superseded by a newer version");
        }
        Some(error) => tracing::error!("{object}: not ingested: {error}"),
    }
}
