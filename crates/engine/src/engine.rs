//! The engine: ingests sources into one table.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use notaflux_records::source::Source;
use notaflux_table::Table;
use notaflux_table::ingestion::IngestionState;
use notaflux_write::{Ceiling, ConcurrencyLimit, Limits, RateController, Wire};

use super::claim::{self, Claimed};
use super::clock::{millis, now, now_ms};
use super::context::Context;
use super::error::Error;
use super::failure;
use super::ingestion_id::ingestion_id;
use super::ledger::{Ledger, Meta, Swap};
use super::machine::Stage;
use super::outcome::{Outcome, Worked};
use super::progress_event::{Observer, ProgressEvent};
use super::queue::Delivery;
use super::report::Report;
use super::settings::Settings;
use super::stop_signal::StopSignal;
use super::store::WorkStore;
use super::work::Work;
use super::worker::{self, Worker};

/// Shortest and longest pause before the engine looks again at an ingestion that other workers hold.
const LOOK_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Ingests sources into one table.
#[derive(Clone)]
pub struct Engine {
    context: Context,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("table", &self.context.table.name)
            .field("settings", &self.context.settings)
            .finish_non_exhaustive()
    }
}

/// What one call of the engine saw at its first look.
#[derive(Debug, Default)]
struct FirstLook {
    /// The attempt that had ended by then; 0 if none had.
    ended: Option<u32>,
}

/// What the ledger has of an ingestion when a worker comes.
struct Found {
    id: String,
    meta: Option<Meta>,
}

impl Found {
    /// Returns the report in the ledger, or that of a new ingestion.
    fn report(&self, source: &Source) -> Report {
        let new = || Report::begun(self.id.clone(), source.identity().clone());
        self.meta.as_ref().map_or_else(new, |meta| meta.report.clone())
    }

    /// Returns the last attempt, if it has ended.
    fn ended(&self) -> Option<u32> {
        self.meta.as_ref().filter(|meta| meta.report.state.is_end()).map(|meta| meta.attempt)
    }

    /// Returns the number of the attempt to work on: the current one, or a new one after an attempt that has ended.
    fn attempt(&self) -> u32 {
        self.meta.as_ref().map_or(1, |meta| meta.attempt + u32::from(meta.report.state.is_end()))
    }

    /// Returns the ledger entry of an attempt that begins with `report`.
    fn begin(&self, report: Report, attempt: u32, stage: Stage) -> Meta {
        let known = self.meta.as_ref();
        let (rev, created_at) = known.map_or_else(|| (0, now()), |meta| (meta.rev, meta.created_at.clone()));
        Meta { rev, report, attempt, created_at, stage, began_ms: (now_ms(), 0) }
    }
}

impl Engine {
    /// Creates an engine that writes to `table` through `wire`.
    #[must_use]
    pub fn new(table: Table, wire: Wire, store: WorkStore, settings: Settings) -> Self {
        let ceiling = settings.max_write_units.map_or_else(Ceiling::none, Ceiling::per_second);
        let limits = Arc::new(Limits {
            ceiling,
            concurrency: ConcurrencyLimit::new(settings.calls_in_flight),
            rate: RateController::new(),
        });
        let (wire, stop) = (Arc::new(wire), StopSignal::default());
        Self { context: Context { table, wire, store, settings, limits, observer: None, stop } }
    }

    /// Returns the engine with an observer for its progress events.
    #[must_use]
    pub fn with_observer(mut self, observer: Observer) -> Self {
        self.context.observer = Some(observer);
        self
    }

    /// Returns the engine with a signal that stops it.
    #[must_use]
    pub fn with_stop_signal(mut self, stop: StopSignal) -> Self {
        self.context.stop = stop;
        self
    }

    /// Ingests `source` to its end. Resumes the work of an earlier worker; does nothing if the source is already ingested;
    /// waits while other workers hold the ingestion.
    ///
    /// # Errors
    /// A temporary error, or an error of the ledger. A permanent error of the ingestion is in the [`Outcome`].
    pub async fn ingest(&self, source: &Source) -> Result<Outcome, Error> {
        let mut first_look = FirstLook::default();
        loop {
            let (look_at_ms, report) = match self.visit(source, None, &mut first_look).await? {
                Worked::Over(outcome) => return Ok(outcome),
                Worked::Paused { why, report } => return Ok(Outcome::interrupted(why, report)),
                Worked::Busy { look_at_ms, report } => (look_at_ms, report),
            };
            let ms = look_at_ms.saturating_sub(now_ms());
            if let Some(observer) = &self.context.observer {
                observer(ProgressEvent::Waiting { ms });
            }
            let (shortest, longest) = LOOK_PAUSE;
            tokio::select! {
                () = sleep(Duration::from_millis(ms).clamp(shortest, longest)) => {}
                why = self.context.stop.due() => return Ok(Outcome::interrupted(why, report)),
            }
        }
    }

    /// Works on `source` until its ingestion has ended, this worker has to stop, or other workers hold all units that remain.
    ///
    /// # Errors
    /// A temporary error, or an error of the ledger.
    pub async fn work_on(&self, source: &Source, delivery: Option<Delivery<'_>>) -> Result<Worked, Error> {
        self.visit(source, delivery, &mut FirstLook::default()).await
    }

    async fn visit(
        &self,
        source: &Source,
        delivery: Option<Delivery<'_>>,
        first_look: &mut FirstLook,
    ) -> Result<Worked, Error> {
        let ledger = Ledger::new(self.context.table.clone());
        let id = ingestion_id(source.identity());
        let claimed = claim::claim(&ledger, source, self.context.lease_time_ms()).await?;
        // Read after the claim, because the claim may have closed this ingestion.
        let found = Found { meta: ledger.meta(&id).await?, id };
        let (report, ended) = (found.report(source), found.ended());
        let seen = *first_look.ended.get_or_insert(ended.unwrap_or(0));
        let is_new = match claimed {
            Claimed::Mine { is_new } => is_new,
            Claimed::Wait { until_ms } => {
                // A live worker of a closed ingestion gives its units back within a checkpoint, before its lease ends.
                let look_at_ms = until_ms.min(now_ms() + millis(LOOK_PAUSE.1));
                return Ok(Worked::Busy { look_at_ms, report });
            }
            Claimed::Older => return close_older(&ledger, &found, report).await,
        };
        // Restart only an attempt that had ended before the first look.
        if ended.is_some() && !(ended == Some(seen) && self.restarts(report.state, is_new)) {
            return Ok(Worked::Over(Outcome { repeated: true, ..Outcome::of(report) }));
        }
        self.work(&ledger, source, delivery, &found, report).await
    }

    /// Begins or continues an attempt that this worker may work on.
    async fn work(
        &self,
        ledger: &Ledger,
        source: &Source,
        delivery: Option<Delivery<'_>>,
        found: &Found,
        report: Report,
    ) -> Result<Worked, Error> {
        let attempt = found.attempt();
        let work = match Work::open(&self.context, source, &found.id, attempt).await {
            Ok(work) => work,
            Err(error) if error.is_permanent() => {
                return fail_to_begin(ledger, source, found.begin(report, attempt, Stage::begun(0)), error).await;
            }
            Err(error) => return Err(error),
        };
        if found.meta.is_none() || found.ended().is_some() {
            let segments = work.plan.segments.len();
            let meta = found.begin(Report::of(&work.plan), attempt, Stage::begun(segment_count(segments)));
            // `Swap::Lost`: another worker has begun the same attempt.
            if ledger.swap_meta(&meta).await? == Swap::Done
                && let Some(delivery) = delivery
            {
                worker::invite(delivery, &found.id, segments).await?;
            }
        }
        if !claim::holds(ledger, source).await? {
            let closed = claim::close(ledger, &found.id, IngestionState::Superseded).await?;
            let closed = closed.ok_or_else(|| Error::damaged("an ingestion"))?;
            return Ok(Worked::Over(Outcome::of(closed.report)));
        }
        Worker::new(&self.context, ledger, work, attempt, delivery).drive().await
    }

    /// Cancels an ingestion that has not ended: its workers stop at their next checkpoint. Returns its report; none if the
    /// ledger does not have the ingestion.
    ///
    /// # Errors
    /// An error of the ledger.
    pub async fn cancel(&self, ingestion: &str) -> Result<Option<Report>, Error> {
        let ledger = Ledger::new(self.context.table.clone());
        let closed = claim::close(&ledger, ingestion, IngestionState::Cancelled).await?;
        Ok(closed.map(|meta| meta.report))
    }

    /// Returns the table that the engine writes to.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.context.table
    }

    /// Whether an ingestion that has ended starts again. A version that has just taken the claim back does (`is_new`),
    /// because another version was ingested in between.
    const fn restarts(&self, state: IngestionState, is_new: bool) -> bool {
        let Settings { force, retry_ended, .. } = self.context.settings;
        match state {
            IngestionState::Completed => force || is_new,
            _ => force || retry_ended || is_new,
        }
    }
}

#[expect(clippy::expect_used, reason = "an archive has fewer entries than that")]
fn segment_count(segments: usize) -> u32 {
    u32::try_from(segments).expect("a plan has fewer than 2^32 segments")
}

/// Closes the ingestion of a version that a newer one has replaced, whether it has begun or not.
async fn close_older(ledger: &Ledger, found: &Found, report: Report) -> Result<Worked, Error> {
    let repeated = report.state.is_end();
    if found.meta.is_none() {
        let report = Report { state: IngestionState::Superseded, ..report };
        // Whether the write succeeds or not: the ingestion is in the ledger afterwards.
        let _begun: Swap = ledger.swap_meta(&found.begin(report, 1, Stage::begun(0))).await?;
    }
    let closed = claim::close(ledger, &found.id, IngestionState::Superseded).await?;
    let closed = closed.ok_or_else(|| Error::damaged("an ingestion"))?;
    Ok(Worked::Over(Outcome { repeated, ..Outcome::of(closed.report) }))
}

/// Records that a source cannot be planned. `meta` is the attempt that would have begun.
async fn fail_to_begin(ledger: &Ledger, source: &Source, mut meta: Meta, error: Error) -> Result<Worked, Error> {
    failure::record(&mut meta.report, source, &error).await;
    // Another worker has written first. What the ledger has decides.
    if ledger.swap_meta(&meta).await? == Swap::Lost {
        return Err(Error::LeaseLost);
    }
    Ok(Worked::Over(Outcome { report: meta.report, error: Some(error), repeated: false }))
}
