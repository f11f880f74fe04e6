//! One ingestion, from a source to acknowledged items and a report.
//!
//! ```text
//! Source ─► Plan ─► survey ─► blocks ─► merge ─► superseded, rejects, counts ─► write pass ─► Report
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`plan`] | what is decided once for the whole source |
//! | [`survey`], [`block`] | the first reading, and what it leaves in the work store |
//! | [`merge`], [`superseded`] | which record of each key is the last |
//! | [`write_pass`] | the second reading, which puts |
//! | [`judge`] | what becomes of a row; both passes ask here |
//! | [`ledger`], [`store`], [`spool`] | where all that is kept |
//! | [`report`], [`metrics`], [`error`], [`event`] | what goes out and what comes in |

pub mod block;
pub mod error;
pub mod event;
pub mod judge;
pub mod ledger;
pub mod merge;
pub mod metrics;
pub mod plan;
pub mod report;
pub mod spool;
pub mod store;
pub mod superseded;
pub mod survey;
pub mod write_pass;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;

use crate::read::Place;
use crate::read::container::{self, DecodedReader};
use crate::read::csv::{CsvOptions, CsvReader, Position, RECORD_LIMIT_BYTES};
use crate::read::source::Source;
use crate::table::{Schema, Table};
use crate::write::{Ceiling, Writer};

pub use error::Error;
use ledger::{Checkpoint, Ledger, Meta};
use merge::Merged;
use plan::{Plan, Segment};
pub use report::{Report, State};
pub use store::WorkStore;

/// Time between two checkpoints of a pass, and between two records of progress in the ledger.
const CHECKPOINT_PACE: Duration = Duration::from_secs(3);

/// What an ingestion may do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Write units a second that are never exceeded.
    pub max_write_units: Option<std::num::NonZeroU32>,
    /// Rejects above which nothing is written.
    pub max_rejects: Option<RejectLimit>,
    /// Whether to ingest again what is completed.
    pub force: bool,
    /// `BatchWriteItem` calls in flight. Needed = rate × latency / 25: 16 carry 40,000 items/s at 10 ms.
    pub calls_in_flight: usize,
    /// Decoded bytes in a block.
    pub block_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_write_units: None,
            max_rejects: None,
            force: false,
            calls_in_flight: 16,
            block_bytes: block::BLOCK_BYTES,
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

/// How far an ingestion has come, told now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// `survey`, `merge` or `write`.
    pub phase: &'static str,
    /// Decoded bytes done in this phase.
    pub done_bytes: u64,
    /// Decoded bytes of this phase, where known.
    pub total_bytes: Option<u64>,
    /// Records done in this phase.
    pub records: u64,
    /// Items acknowledged so far.
    pub items: u64,
}

/// Who is told of progress.
pub type Observer = Arc<dyn Fn(Progress) + Send + Sync>;

/// Ingests sources into one table.
#[derive(Clone)]
pub struct Engine {
    /// The table, by a client that retries.
    pub table: Table,
    /// For the puts: a client that does not retry.
    pub write_client: Client,
    /// Where work lies.
    pub store: WorkStore,
    /// What it may do.
    pub settings: Settings,
    /// Who is told of progress.
    pub observer: Option<Observer>,
}

/// How an ingestion ended.
#[derive(Debug)]
pub struct Outcome {
    /// The report as it stands in the ledger.
    pub report: Report,
    /// Why it did not complete.
    pub error: Option<Error>,
    /// Whether it had been completed before, so that nothing was done.
    pub repeated: bool,
}

impl Engine {
    /// Ingests `source`, or tells that it is done already.
    ///
    /// # Errors
    /// What keeps even the ledger from being used; all else is in the [`Outcome`].
    pub async fn ingest(&self, source: &Source) -> Result<Outcome, Error> {
        let started = Instant::now();
        let ledger = Ledger::new(self.table.clone());
        let id = plan::ingestion_id(source.identity());
        let known = ledger.meta(&id).await?;
        if let Some(meta) = &known
            && meta.report.state == State::Completed
            && !self.settings.force
        {
            return Ok(Outcome { report: meta.report.clone(), error: None, repeated: true });
        }
        let created_at = known.as_ref().map_or_else(now, |meta| meta.created_at.clone());
        let again = known.as_ref().is_some_and(|_| self.settings.force);
        let attempt = known.map_or(1, |meta| meta.attempt + u32::from(again));
        let mut meta = Meta { report: Report::begun(id, source.identity().clone()), attempt, created_at };
        let result = Box::pin(self.run(source, &ledger, &mut meta)).await;
        meta.report.elapsed_ms = elapsed_ms(started);
        let Err(error) = result else {
            meta.report.state = State::Completed;
            ledger.record_patiently(&meta).await?;
            return Ok(Outcome { report: meta.report, error: None, repeated: false });
        };
        if error.is_permanent() {
            meta.report.state = State::Failed;
            meta.report.cause = Some(error.to_string());
            meta.report.position = error.place().map(ToString::to_string);
        }
        // The first error is what matters, whether or not it can be recorded.
        if let Err(unrecorded) = ledger.record(&meta).await {
            tracing::warn!(error = %unrecorded, "the ledger does not know that the ingestion stopped");
        }
        Ok(Outcome { report: meta.report, error: Some(error), repeated: false })
    }

    async fn run(&self, source: &Source, ledger: &Ledger, meta: &mut Meta) -> Result<(), Error> {
        let surveying = Instant::now();
        let folder = match meta.attempt {
            1 => meta.report.ingestion.clone(),
            attempt => format!("{}.{attempt}", meta.report.ingestion),
        };
        let plan_folder = format!("ingestions/{folder}");
        let plan = Plan::obtain(source, &self.store, &plan_folder, self.settings.block_bytes).await?;
        meta.report = Report::of(&plan);
        ledger.record_patiently(meta).await?;
        let work = Work::new(self, source, ledger, plan, meta.attempt, folder);
        let merged = work.survey().await?;
        work.tell(&merged, &mut meta.report);
        meta.report.survey_ms = elapsed_ms(surveying);
        let see = || format!("see {}", self.store.location(&work.rejects_folder()));
        work.check_rejects(merged.rejected, merged.records, true, see)?;
        meta.report.state = State::Writing;
        ledger.record_patiently(meta).await?;
        let writing = Instant::now();
        let ceiling = self.settings.max_write_units.map_or_else(Ceiling::none, Ceiling::per_second);
        let writer = Writer::new(self.write_client.clone(), self.table.name.clone(), ceiling);
        let written = Box::pin(work.write(&writer, &merged)).await;
        let tally = writer.tally();
        let report = &mut meta.report;
        (report.items_written, report.write_units) = (tally.items, tally.write_units);
        (report.calls, report.retried, report.throttled) = (tally.calls, tally.retried, tally.throttled);
        report.write_ms = elapsed_ms(writing);
        written?;
        report.written = merged.written;
        Ok(())
    }
}

/// One attempt at one plan: what every step of it needs.
pub struct Work<'a> {
    pub(crate) source: &'a Source,
    pub(crate) store: &'a WorkStore,
    pub(crate) settings: &'a Settings,
    pub(crate) schema: Schema,
    pub(crate) plan: Plan,
    ledger: &'a Ledger,
    attempt: u32,
    folder: String,
    observer: Option<&'a Observer>,
    told_bytes: AtomicU64,
    items: AtomicU64,
}

impl std::fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Decoded bytes between two tellings of progress.
const TELL_BYTES: u64 = 1024 * 1024;

impl<'a> Work<'a> {
    fn new(
        engine: &'a Engine,
        source: &'a Source,
        ledger: &'a Ledger,
        plan: Plan,
        attempt: u32,
        folder: String,
    ) -> Self {
        Self {
            source,
            store: &engine.store,
            settings: &engine.settings,
            schema: engine.table.schema.clone(),
            plan,
            ledger,
            attempt,
            folder,
            observer: engine.observer.as_ref(),
            told_bytes: AtomicU64::new(0),
            items: AtomicU64::new(0),
        }
    }

    async fn survey(&self) -> Result<Merged, Error> {
        let mut surveyed = Vec::with_capacity(self.plan.segments.len());
        for at in 0..self.plan.segments.len() {
            surveyed.push(survey::survey(self, at).await?);
        }
        if let Some(observer) = self.observer {
            let records = surveyed.iter().map(|found| found.sums.records).sum();
            observer(Progress { phase: "merge", done_bytes: 0, total_bytes: None, records, items: 0 });
        }
        merge::merge(self, &surveyed).await
    }

    async fn write(&self, writer: &Writer, merged: &Merged) -> Result<(), Error> {
        let mut superseded = superseded::Superseded::open(self, merged).await?;
        let mut items = 0;
        for at in 0..self.plan.segments.len() {
            items += Box::pin(write_pass::write(self, writer, at, &mut superseded)).await?;
        }
        if items != merged.written {
            return Err(Error::Accounting { expected: merged.written, found: items });
        }
        Ok(())
    }

    /// Whether there are too many rejects. A limit in records is known to be exceeded long before the end.
    fn check_rejects(&self, rejected: u64, records: u64, is_all: bool, hint: impl Fn() -> String) -> Result<(), Error> {
        match self.settings.max_rejects {
            Some(limit) if (is_all || limit.is_absolute()) && limit.is_exceeded(rejected, records) => {
                Err(Error::TooManyRejects { rejected, records, limit: limit.to_string(), hint: hint() })
            }
            _ => Ok(()),
        }
    }

    /// Writes into the report what the survey found.
    fn tell(&self, merged: &Merged, report: &mut Report) {
        report.records_read = merged.records;
        report.superseded = merged.superseded;
        report.rejected = merged.rejected;
        report.warnings.clone_from(&merged.warnings);
        report.bytes_decoded = merged.segment_bytes.iter().sum();
        for (entry, records) in report.entries.iter_mut().zip(&merged.segment_records) {
            entry.records_read = *records;
        }
        report.rejects_location = (merged.rejected > 0).then(|| self.store.location(&self.rejects_folder()));
    }

    fn segment(&self, at: usize) -> Result<&Segment, Error> {
        self.plan.segments.get(at).ok_or_else(|| Error::damaged("the plan"))
    }

    async fn open(&self, segment: &Segment, start: Position) -> Result<CsvReader<DecodedReader>, Error> {
        let reader = container::open_entry(self.source, &segment.entry, start.byte).await?;
        let options = CsvOptions { delimiter: segment.delimiter, record_limit_bytes: RECORD_LIMIT_BYTES };
        let name = Place { entry: segment.entry.name.clone(), ..self.source.place() };
        Ok(CsvReader::new(reader, options, start).called(&name))
    }

    fn place(&self, segment: &Segment, byte: u64, line: u64) -> Place {
        Place { entry: segment.entry.name.clone(), line: Some(line), byte: Some(byte), ..self.source.place() }
    }

    /// A checkpoint that does not get through is no reason to stop: a later one will.
    async fn checkpoint(&self, segment: usize, checkpoint: &Checkpoint) -> Result<(), Error> {
        match self.ledger.checkpoint(&self.plan.ingestion, self.attempt, segment, checkpoint).await {
            Err(error) if !error.is_permanent() => {
                tracing::warn!(%error, "a checkpoint was left out");
                Ok(())
            }
            other => other,
        }
    }

    fn block_key(&self, segment: usize, number: u32) -> String {
        format!("ingestions/{}/blocks/{segment:05}/{number:08}", self.folder)
    }

    fn superseded_key(&self, partition: usize) -> String {
        format!("ingestions/{}/superseded/{partition:05}", self.folder)
    }

    fn merged_key(&self) -> String {
        format!("ingestions/{}/merged.json", self.folder)
    }

    fn rejects_folder(&self) -> String {
        format!("rejects/{}/", self.folder)
    }

    fn rejects_key(&self, number: usize) -> String {
        format!("{}{number:08}.ndjson", self.rejects_folder())
    }

    fn observe(&self, phase: &'static str, segment: usize, done_bytes: u64, records: u64) {
        let Some(observer) = self.observer else { return };
        let told = self.told_bytes.load(Ordering::Relaxed);
        if done_bytes >= told && done_bytes - told < TELL_BYTES {
            return;
        }
        self.told_bytes.store(done_bytes, Ordering::Relaxed);
        let total_bytes = self.plan.segments.get(segment).and_then(|segment| segment.entry.size);
        let items = self.items.load(Ordering::Relaxed);
        observer(Progress { phase, done_bytes, total_bytes, records, items });
    }

    fn observe_written(&self, items: u64) {
        self.items.fetch_add(items, Ordering::Relaxed);
    }
}

/// Says when it is time for the next checkpoint.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
}

impl Pace {
    fn is_due(&mut self) -> bool {
        let last = *self.last.get_or_insert_with(Instant::now);
        let due = last.elapsed() >= CHECKPOINT_PACE;
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
