//! What every unit of an attempt works with: the source, the work store, the plan, and where things lie.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::error::Error;
use super::finalize::Merged;
use super::machine::Pause;
use super::plan::{Plan, Segment};
use super::progress::Progress;
use super::store::WorkStore;
use super::{Engine, Observer, ProgressEvent, Settings};
use notaflux_records::Place;
use notaflux_records::container::{self, DecodedReader};
use notaflux_records::reader::RecordReader;
use notaflux_records::record::Position;
use notaflux_records::source::Source;
use notaflux_table::Schema;

/// Decoded bytes between two tellings of progress.
const TELL_BYTES: u64 = 1024 * 1024;

/// Rejects from which on a source of nearly nothing else is given up, and the share that it has then.
const HOPELESS_REJECTS: u64 = 100_000;
const HOPELESS_LIMIT: &str = "99.9% (which is meant where it is not given)";

/// One attempt at one plan.
pub(super) struct Work<'a> {
    pub(super) source: &'a Source,
    pub(super) store: &'a WorkStore,
    pub(super) settings: &'a Settings,
    pub(super) schema: &'a Schema,
    pub(super) plan: Plan,
    folder: String,
    observer: Option<&'a Observer>,
    told_bytes: AtomicU64,
    pub(super) merged: OnceCell<Merged>,
}

impl std::fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// How a hop ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ended {
    /// The unit is done.
    Done(Progress),
    /// There is more to do, from here on.
    Paused(Progress, Pause),
    /// The same, but something was still under way.
    CutOff(Progress, Pause),
}

/// Where a unit of work leaves how far it is, for whoever renews its lease.
#[derive(Debug)]
pub(super) struct Slot {
    progress: Mutex<Progress>,
    arrived: AtomicBool,
}

impl Slot {
    pub(super) const fn new(progress: Progress) -> Self {
        Self { progress: Mutex::new(progress), arrived: AtomicBool::new(false) }
    }

    pub(super) fn set(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    pub(super) fn get(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the hop has come to where there is something to put: if it gets no further from there, it is not for want of
    /// time but because the table takes nothing, which fails no ingestion.
    pub(super) fn arrive(&self) {
        self.arrived.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_arrived(&self) -> bool {
        self.arrived.load(Ordering::Relaxed)
    }
}

/// The folder of an attempt, under `ingestions/` and `rejects/`.
pub(super) fn folder_of(ingestion: &str, attempt: u32) -> String {
    match attempt {
        1 => ingestion.to_owned(),
        attempt => format!("{ingestion}.{attempt}"),
    }
}

impl<'a> Work<'a> {
    /// Makes the plan, or obeys the one that is there.
    pub(super) async fn open(
        engine: &'a Engine,
        source: &'a Source,
        ingestion: &str,
        attempt: u32,
    ) -> Result<Self, Error> {
        let folder = folder_of(ingestion, attempt);
        let plan_folder = format!("ingestions/{folder}");
        let plan = Plan::obtain(source, &engine.store, &plan_folder, &engine.settings).await?;
        let Engine { store, settings, table, observer, .. } = engine;
        Ok(Self { folder, ..Self::of_plan(source, store, settings, &table.schema, plan, observer.as_ref()) })
    }

    /// What a plan says, for an attempt that is the first.
    pub(super) fn of_plan(
        source: &'a Source,
        store: &'a WorkStore,
        settings: &'a Settings,
        schema: &'a Schema,
        plan: Plan,
        observer: Option<&'a Observer>,
    ) -> Self {
        let folder = folder_of(&plan.ingestion, 1);
        Self {
            source,
            store,
            settings,
            schema,
            plan,
            folder,
            observer,
            told_bytes: AtomicU64::new(0),
            merged: OnceCell::new(),
        }
    }

    /// Whether there are too many rejects. A limit in records is known to be exceeded long before the end; where none is
    /// given, records of which nearly all are rejects are of another layout, or mean harm.
    pub(super) fn check_rejects(
        &self,
        rejected: u64,
        records: u64,
        is_all: bool,
        hint: impl Fn() -> String,
    ) -> Result<(), Error> {
        let is_hopeless = rejected >= HOPELESS_REJECTS && (records - rejected).saturating_mul(1_000) < records;
        match self.settings.max_rejects {
            None if is_hopeless => {
                Err(Error::TooManyRejects { rejected, records, limit: HOPELESS_LIMIT.to_owned(), hint: hint() })
            }
            Some(limit) if (is_all || limit.is_absolute()) && limit.is_exceeded(rejected, records) => {
                Err(Error::TooManyRejects { rejected, records, limit: limit.to_string(), hint: hint() })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn segment(&self, at: usize) -> Result<&Segment, Error> {
        self.plan.segments.get(at).ok_or_else(|| Error::damaged("the plan"))
    }

    /// Reads a segment from `start` on. What is `checked` has its checksum compared in the end, wherever it starts.
    pub(super) async fn read(
        &self,
        segment: &Segment,
        start: Position,
        checked: bool,
    ) -> Result<RecordReader<DecodedReader>, Error> {
        let reader = container::open_entry(self.source, &segment.entry, start.byte, checked).await?;
        let is_beginning = start.byte == segment.data_byte;
        let name = Place { entry: segment.entry.name.clone(), ..self.source.place() };
        Ok(RecordReader::new(reader, segment.format, start, is_beginning).called(&name))
    }

    pub(super) fn place(&self, segment: &Segment, byte: u64, line: u64) -> Place {
        Place { entry: segment.entry.name.clone(), line: Some(line), byte: Some(byte), ..self.source.place() }
    }

    pub(super) fn block_key(&self, segment: usize, number: u32) -> String {
        format!("ingestions/{}/blocks/{segment:05}/{number:08}", self.folder)
    }

    pub(super) fn superseded_key(&self, partition: usize) -> String {
        format!("ingestions/{}/superseded/{partition:05}", self.folder)
    }

    pub(super) fn cancelled_key(&self, partition: usize) -> String {
        format!("ingestions/{}/cancelled/{partition:05}", self.folder)
    }

    pub(super) fn merged_key(&self) -> String {
        format!("ingestions/{}/merged.json", self.folder)
    }

    pub(super) fn rejects_folder(&self) -> String {
        format!("rejects/{}/", self.folder)
    }

    pub(super) fn rejects_key(&self, number: u64) -> String {
        format!("{}{number:08}.ndjson", self.rejects_folder())
    }

    pub(super) fn tell(&self, told: ProgressEvent) {
        if let Some(observer) = self.observer {
            observer(told);
        }
    }

    pub(super) fn observe(&self, phase: &'static str, segment: usize, done_bytes: u64, records: u64) {
        let told = self.told_bytes.load(Ordering::Relaxed);
        if self.observer.is_none() || (done_bytes >= told && done_bytes - told < TELL_BYTES) {
            return;
        }
        self.told_bytes.store(done_bytes, Ordering::Relaxed);
        let total_bytes = self.plan.segments.get(segment).and_then(|segment| segment.entry.size);
        self.tell(ProgressEvent::Progress { phase, done_bytes, total_bytes, records });
    }
}
