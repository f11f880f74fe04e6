//! One ingestion, from a source to acknowledged items and a report.
//!
//! ```text
//! Source ─► Plan ─► survey ─► blocks ─► merge ─► settle: superseded, rejects, counts ─► write pass ─► Report
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`event`], [`queue`], [`consume`] | what brings work to a worker, and what goes back |
//! | [`claim`] | one version of an object at a time |
//! | [`machine`], [`progress`] | which unit of work is next, and how far each is; pure |
//! | `worker` | leases, works, hands over |
//! | [`stop_signal`] | when to stop |
//! | [`plan`], [`choice`] | what is decided once for the whole source; which layout it is read by |
//! | `survey`, [`block`] | the first reading, and what it leaves in the work store |
//! | `merge`, `settle` | which record of each key is the last, what is cancelled; the counts and the rejects |
//! | `lists`, `superseded`, `cancelled` | what the merge found, as the write pass meets it |
//! | `write_pass` | the second reading, which puts |
//! | `judge` | what becomes of a row; both passes ask here |
//! | [`ledger`], [`store`], [`spool`] | where all that is kept |
//! | [`report`], [`metrics`], [`error`] | what goes out |
//! | [`check`] | the survey alone, for people |

mod ahead;
pub mod block;
mod cancelled;
pub mod check;
pub mod choice;
pub mod claim;
mod classify;
pub mod consume;
pub mod error;
pub mod event;
mod finalize;
pub mod ledger;
mod lists;
pub mod local_queue;
pub mod machine;
mod merge;
pub mod metrics;
pub mod object;
pub mod plan;
pub mod progress;
pub mod queue;
pub mod report;
pub mod spool;
pub mod stop_signal;
pub mod store;
mod superseded;
mod survey;
mod work;
mod worker;
mod write_pass;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use notaflux_records::ReadError;
use notaflux_records::source::Source;
use notaflux_table::Table;
use notaflux_table::ingestion::IngestionState;
use notaflux_write::{Ceiling, ConcurrencyLimit, Limits, RateController, Wire};

pub use choice::Choice;
pub use error::Error;
pub use report::Report;
pub use stop_signal::StopSignal;
pub use store::WorkStore;

use claim::Claimed;
use ledger::{Ledger, Meta, Swap};
use machine::{Pause, Stage};
use queue::Delivery;
use work::Work;
use worker::Worker;

/// What an ingestion may do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Write units a second that this worker never exceeds: its share of the table's ceiling.
    pub max_write_units: Option<NonZeroU32>,
    /// Rejects above which nothing is written.
    pub max_rejects: Option<RejectLimit>,
    /// What is said of layouts.
    pub layouts: Choice,
    /// Whether to ingest again what is completed.
    pub force: bool,
    /// Whether to begin anew what has failed or was cancelled.
    pub retry_ended: bool,
    /// Most `BatchWriteItem` calls in flight. Needed = rate × latency / 25: 16 carry 40,000 items/s at 10 ms.
    pub calls_in_flight: usize,
    /// Decoded bytes in a block.
    pub block_bytes: u64,
    /// How long a worker that is not heard of keeps others from its work.
    pub lease: Duration,
    /// Time between two checkpoints, each of which renews the lease.
    pub checkpoint_pace: Duration,
    /// Since when nobody else can have worked on this table, in milliseconds since 1970: leases of before are void. 0 where
    /// that is not known.
    pub alone_since_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_write_units: None,
            max_rejects: None,
            layouts: Choice::default(),
            force: false,
            retry_ended: true,
            calls_in_flight: 32,
            block_bytes: block::BLOCK_BYTES,
            lease: Duration::from_secs(30),
            checkpoint_pace: Duration::from_secs(3),
            alone_since_ms: 0,
        }
    }
}

/// How many rejects are too many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RejectLimit {
    /// A number of records.
    Records(u64),
    /// Percent of the records read.
    Percent(f64),
}

impl RejectLimit {
    /// Reads `12` or `0.5%`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|share| (0.0..=100.0).contains(share)).map(Self::Percent),
            None => text.parse().ok().map(Self::Records),
        }
    }

    const fn is_absolute(self) -> bool {
        matches!(self, Self::Records(_))
    }

    #[allow(clippy::cast_precision_loss, reason = "a share of records: the last bit does not matter")]
    fn is_exceeded(self, rejected: u64, records: u64) -> bool {
        match self {
            Self::Records(limit) => rejected > limit,
            Self::Percent(limit) => rejected as f64 > records as f64 * limit / 100.0,
        }
    }
}

impl std::fmt::Display for RejectLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Records(limit) => write!(f, "{limit}"),
            Self::Percent(limit) => write!(f, "{limit}%"),
        }
    }
}

/// What an engine tells of its work as it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgressEvent {
    /// How far it is, now and then.
    Progress {
        /// `survey` or `write`.
        phase: &'static str,
        /// Decoded bytes done in this phase.
        done_bytes: u64,
        /// Decoded bytes of this phase, where known.
        total_bytes: Option<u64>,
        /// Records done in this phase.
        records: u64,
    },
    /// It goes on where an earlier worker stopped.
    Resumed {
        /// `survey` or `write`.
        phase: &'static str,
        /// The entry, in an archive.
        entry: Option<String>,
        /// Records before that place.
        record: u64,
        /// Its byte in the decoded entry.
        byte: u64,
    },
    /// Another worker is at it, or a worker that died was.
    Waiting {
        /// How long its lease still lasts, in milliseconds, if it is not renewed.
        ms: u64,
    },
}

/// Who is told.
pub type Observer = Arc<dyn Fn(ProgressEvent) + Send + Sync>;

/// Ingests sources into one table.
#[derive(Clone)]
pub struct Engine {
    table: Table,
    wire: Arc<Wire>,
    store: WorkStore,
    settings: Settings,
    limits: Arc<Limits>,
    observer: Option<Observer>,
    halt: StopSignal,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("table", &self.table.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// How an ingestion ended.
#[derive(Debug)]
pub struct Outcome {
    /// The report as it stands in the ledger.
    pub report: Report,
    /// Why it did not complete.
    pub error: Option<Error>,
    /// Whether it was over before, so that nothing was done.
    pub repeated: bool,
}

impl Outcome {
    /// How an ingestion that is over stands in the ledger.
    fn of(report: Report) -> Self {
        let error = (report.state != IngestionState::Completed)
            .then(|| Error::NotCompleted { state: report.state, cause: report.cause.clone().unwrap_or_default() });
        Self { report, error, repeated: false }
    }
}

/// How a worker left an ingestion.
#[derive(Debug)]
pub enum Worked {
    /// It is over.
    Over(Outcome),
    /// There is more to do, and this worker has to stop.
    Paused {
        /// Why.
        why: Pause,
        /// The report as it stands.
        report: Report,
    },
    /// Others work on all that is left, or have to come to rest first.
    Busy {
        /// When to look again, in milliseconds since 1970.
        look_at_ms: u64,
        /// The report as it stands.
        report: Report,
    },
}

/// Longest pause before an ingestion that others work on is looked at again.
const LOOK_PAUSE: Duration = Duration::from_secs(2);

impl Engine {
    /// An engine that puts into `table` through `wire`.
    #[must_use]
    pub fn new(table: Table, wire: Wire, store: WorkStore, settings: Settings) -> Self {
        let ceiling = settings.max_write_units.map_or_else(Ceiling::none, Ceiling::per_second);
        let limits = Arc::new(Limits {
            ceiling,
            flight: ConcurrencyLimit::new(settings.calls_in_flight),
            pace: RateController::new(),
        });
        Self { table, wire: Arc::new(wire), store, settings, limits, observer: None, halt: StopSignal::default() }
    }

    /// The same, telling `observer` how it goes on.
    #[must_use]
    pub fn observed(self, observer: Observer) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// The same, to be stopped by `halt`.
    #[must_use]
    pub fn halted(self, halt: StopSignal) -> Self {
        Self { halt, ..self }
    }

    /// Ingests `source` to its end, goes on where an earlier worker stopped, or tells that it is done already. Waits while
    /// others work on it.
    ///
    /// # Errors
    /// What keeps even the ledger from being used; all else is in the [`Outcome`].
    pub async fn ingest(&self, source: &Source) -> Result<Outcome, Error> {
        let mut visit = Visit::default();
        loop {
            let (look_at_ms, report) = match self.visit(source, None, &mut visit).await? {
                Worked::Over(outcome) => return Ok(outcome),
                Worked::Paused { why, report } => return Ok(interrupted(why, report)),
                Worked::Busy { look_at_ms, report } => (look_at_ms, report),
            };
            let ms = look_at_ms.saturating_sub(now_ms());
            if let Some(observer) = &self.observer {
                observer(ProgressEvent::Waiting { ms });
            }
            tokio::select! {
                () = sleep(Duration::from_millis(ms).clamp(Duration::from_millis(50), LOOK_PAUSE)) => {}
                why = self.halt.due() => return Ok(interrupted(why, report)),
            }
        }
    }

    /// Works on `source` until its ingestion is over, this worker has to stop, or others work on all that is left.
    ///
    /// # Errors
    /// What may go better another time; what the ledger could not be told.
    pub async fn work_on(&self, source: &Source, delivery: Option<Delivery<'_>>) -> Result<Worked, Error> {
        self.visit(source, delivery, &mut Visit::default()).await
    }

    async fn visit(&self, source: &Source, delivery: Option<Delivery<'_>>, visit: &mut Visit) -> Result<Worked, Error> {
        let ledger = Ledger::new(self.table.clone());
        let ingestion = plan::ingestion_id(source.identity());
        let claimed = claim::claim(&ledger, source, self.lease_time_ms()).await?;
        // Read behind the claim, which may have closed it.
        let known = ledger.meta(&ingestion).await?;
        let report = known.as_ref().map_or_else(|| begun(&ingestion, source), |meta| meta.report.clone());
        let ended = known.as_ref().filter(|meta| meta.report.state.is_end()).map(|meta| meta.attempt);
        let seen = *visit.ended.get_or_insert(ended.unwrap_or(0));
        let is_new = match claimed {
            Claimed::Mine { is_new } => is_new,
            Claimed::Wait { until_ms } => {
                // Who is closed gives its work back within a checkpoint, if it lives.
                let look_at_ms = until_ms.min(now_ms() + worker::millis(LOOK_PAUSE));
                return Ok(Worked::Busy { look_at_ms, report });
            }
            Claimed::Older => return Self::close_older(&ledger, known, report).await,
        };
        // What ends while this worker looks on has ended: only what it found so it begins anew.
        if ended.is_some() && !(ended == Some(seen) && self.begins_anew(report.state, is_new)) {
            return Ok(Worked::Over(Outcome { repeated: true, ..Outcome::of(report) }));
        }
        let attempt = known.as_ref().map_or(1, |meta| meta.attempt + u32::from(ended.is_some()));
        let work = match Work::open(self, source, &ingestion, attempt).await {
            Ok(work) => work,
            Err(error) if error.is_permanent() => {
                return cannot_begin(&ledger, source, begin(known, report, attempt, Stage::begun(0)), error).await;
            }
            Err(error) => return Err(error),
        };
        let segments = work.plan.segments.len();
        if known.is_none() || ended.is_some() {
            let stage = Stage::begun(u32::try_from(segments).unwrap_or(u32::MAX));
            let meta = begin(known, Report::of(&work.plan), attempt, stage);
            // Lost: another has begun it, in the same way.
            if ledger.swap_meta(&meta).await? == Swap::Done
                && let Some(delivery) = delivery
            {
                worker::invite(delivery, &ingestion, segments).await?;
            }
        }
        if !claim::holds(&ledger, source).await? {
            let closed = claim::close(&ledger, &ingestion, IngestionState::Superseded).await?;
            let closed = closed.ok_or_else(|| Error::damaged("the ledger"))?;
            return Ok(Worked::Over(Outcome::of(closed.report)));
        }
        Worker::new(self, &ledger, work, attempt, delivery).drive().await
    }

    /// Ends an ingestion that is not over: its workers stop at their next checkpoint. Gives how it stands then; none if
    /// nothing is known of it.
    ///
    /// # Errors
    /// What the ledger answers.
    pub async fn cancel(&self, ingestion: &str) -> Result<Option<Report>, Error> {
        let closed = claim::close(&Ledger::new(self.table.clone()), ingestion, IngestionState::Cancelled).await?;
        Ok(closed.map(|meta| meta.report))
    }

    /// The table that it puts into.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// The time by which leases are judged, in milliseconds since 1970: at least that at which every void one has ended.
    fn lease_time_ms(&self) -> u64 {
        let void_until_ms = match self.settings.alone_since_ms {
            0 => 0,
            since_ms => since_ms + worker::millis(self.settings.lease),
        };
        now_ms().max(void_until_ms)
    }

    /// Whether what is over begins anew: a version that is back in its place does, since another was ingested meanwhile.
    const fn begins_anew(&self, state: IngestionState, is_new: bool) -> bool {
        match state {
            IngestionState::Completed => self.settings.force || is_new,
            _ => self.settings.force || self.settings.retry_ended || is_new,
        }
    }

    /// A newer version is there: this one is over, whether or not it was begun.
    async fn close_older(ledger: &Ledger, known: Option<Meta>, report: Report) -> Result<Worked, Error> {
        let (ingestion, repeated) = (report.ingestion.clone(), report.state.is_end());
        if known.is_none() {
            let report = Report { state: IngestionState::Superseded, ..report };
            // Lost: it has been begun, or closed.
            let _begun: Swap = ledger.swap_meta(&begin(None, report, 1, Stage::begun(0))).await?;
        }
        let closed = claim::close(ledger, &ingestion, IngestionState::Superseded).await?;
        let closed = closed.ok_or_else(|| Error::damaged("the ledger"))?;
        Ok(Worked::Over(Outcome { repeated, ..Outcome::of(closed.report) }))
    }
}

/// What was found at the first look: the attempt that had ended by then, 0 if none had.
#[derive(Debug, Default)]
struct Visit {
    ended: Option<u32>,
}

/// Records that a source cannot even be planned: `meta` is the attempt that would have begun.
async fn cannot_begin(ledger: &Ledger, source: &Source, mut meta: Meta, error: Error) -> Result<Worked, Error> {
    meta.report.state =
        if is_replaced(source, &error).await { IngestionState::Superseded } else { IngestionState::Failed };
    meta.report.cause = Some(error.to_string());
    meta.report.position = error.place().map(ToString::to_string);
    // Lost: another has found the same, or has more luck; what the ledger says holds.
    if ledger.swap_meta(&meta).await? == Swap::Lost {
        return Err(Error::LeaseLost);
    }
    Ok(Worked::Over(Outcome { report: meta.report, error: Some(error), repeated: false }))
}

/// Whether reading ended because another version has taken the place of this one.
async fn is_replaced(source: &Source, error: &Error) -> bool {
    let Error::Read(ReadError::Changed { .. } | ReadError::NotFound { .. }) = error else { return false };
    matches!(source.newest().await, Ok(Some(newest)) if newest != *source.identity())
}

fn begun(ingestion: &str, source: &Source) -> Report {
    Report::begun(ingestion.to_owned(), source.identity().clone())
}

fn interrupted(why: Pause, report: Report) -> Outcome {
    Outcome { report, error: Some(Error::Interrupted { why }), repeated: false }
}

/// What the ledger says of an attempt that begins.
fn begin(known: Option<Meta>, report: Report, attempt: u32, stage: Stage) -> Meta {
    let (rev, created_at) = known.map_or_else(|| (0, now()), |meta| (meta.rev, meta.created_at));
    Meta { rev, report, attempt, created_at, stage, began_ms: (now_ms(), 0) }
}

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
