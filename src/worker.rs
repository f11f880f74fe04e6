//! A worker of `notaflux serve`: does what the queue says, as a function does in the cloud.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aws_sdk_s3::Client as S3;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use super::bar::Bar;
use super::place::{Place, Services};
use super::{Failure, say, summary};
use crate::progress::Display;
use notaflux_engine::consume;
use notaflux_engine::local_queue::{LocalQueue, Message, Received};
use notaflux_engine::queue::{Delivery, Queue as _, Task};
use notaflux_engine::{Outcome, Settings, StopSignal};
use notaflux_local::Endpoints;
use notaflux_records::source::printable;
use notaflux_table::ingestion::IngestionState;

/// Pause before a message that could not be done with comes again.
const AGAIN_PAUSE: Duration = Duration::from_secs(15);

/// One worker, on a thread and a runtime of its own: parsing holds up neither the API nor the other workers.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) endpoints: Endpoints,
    pub(super) queue: Arc<LocalQueue>,
    pub(super) settings: Settings,
    pub(super) quiet: bool,
    pub(super) stop: CancellationToken,
}

impl Worker {
    /// Works until it is told to stop.
    pub(super) fn start(self) -> std::io::Result<JoinHandle<Result<(), Failure>>> {
        thread::Builder::new().name("worker".to_owned()).spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let worked = runtime.block_on(self.work());
            // A server of which a worker has failed must not look as if it ingested what is put there.
            self.stop.cancel();
            worked
        })
    }

    async fn work(&self) -> Result<(), Failure> {
        let place = Place::embedded(Services::at(&self.endpoints)).await?;
        let s3 = place.s3();
        while let Some(received) = self.stop.run_until_cancelled(self.queue.receive()).await {
            if Box::pin(self.handle(&place, &s3, &received)).await {
                self.queue.delete(&received.receipt);
            } else {
                self.queue.keep_invisible(&received.receipt, AGAIN_PAUSE).await?;
            }
        }
        Ok(())
    }

    /// Does what a message says. Gives whether it is done with.
    async fn handle(&self, place: &Place, s3: &S3, received: &Received) -> bool {
        let name = match &received.message {
            Message::Created(object) | Message::Task(Task::Ingest(object)) => {
                printable(&format!("s3://{}/{}", object.bucket, object.key)).into_owned()
            }
            Message::Task(Task::Resume { ingestion } | Task::Join { ingestion }) => format!("ingestion {ingestion}"),
        };
        let bar = Bar::new(&name, if self.quiet { Display::Quiet } else { Display::Lines });
        let engine = place.engine(self.settings.clone());
        let engine = engine.observed(bar.observer()).halted(StopSignal::on(self.stop.clone()));
        let delivery = Some(Delivery { queue: &*self.queue, receipt: &received.receipt });
        let delivered = match &received.message {
            Message::Created(object) => consume::created(&engine, s3, object, delivery).await,
            Message::Task(task) => consume::task(&engine, s3, task, delivery).await,
        };
        bar.finish();
        match delivered {
            Ok(Some(outcome)) => tell(&outcome),
            Ok(None) => {}
            Err(error) => {
                // What is wrong is wrong with the place, not with the object.
                tracing::error!("{name}: not ingested yet, will be tried again: {error}");
                return false;
            }
        }
        true
    }
}

/// Says what became of an object.
fn tell(outcome: &Outcome) {
    let report = &outcome.report;
    let (ingestion, object) = (report.ingestion.as_str(), report.source.to_string());
    match &outcome.error {
        _ if outcome.repeated => tracing::debug!(ingestion, object, state = report.state.as_str(), "it is over"),
        None => {
            tracing::info!(ingestion, object, report = serde_json::to_string(report).unwrap_or_default(), "ingested");
            // Nobody has to listen: what is put here is ingested all the same.
            say(summary::line(&object, report)).unwrap_or_default();
        }
        Some(_) if report.state == IngestionState::Superseded => {
            tracing::info!(ingestion, object, "superseded by a newer version");
        }
        Some(error) => tracing::error!("{object}: not ingested: {error}"),
    }
}
