//! What every unit of an attempt needs: the source, the work store, the plan, and the names of the stored objects.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OnceCell;

use notaflux_records::Place;
use notaflux_records::container::{self, Encoding, EntryReader};
use notaflux_records::reader::RecordReader;
use notaflux_records::record::Position;
use notaflux_records::source::Source;
use notaflux_table::Schema;

use super::context::Context;
use super::error::Error;
use super::merged::Merged;
use super::plan::Plan;
use super::progress_event::{Observer, ProgressEvent};
use super::segment::Segment;
use super::settings::Settings;
use super::store::WorkStore;

/// Decoded bytes between two progress events.
const PROGRESS_BYTES: u64 = 1024 * 1024;

/// Without `--max-rejects`, an ingestion stops at this number of rejects if nearly all records are rejects. The text shows
/// the share.
const HOPELESS_REJECTS: u64 = 100_000;
const HOPELESS_LIMIT: &str = "99.9% (the default)";

/// One attempt at one plan.
pub(crate) struct Work<'a> {
    pub(crate) source: &'a Source,
    pub(crate) store: &'a WorkStore,
    pub(crate) settings: &'a Settings,
    pub(crate) schema: &'a Schema,
    pub(crate) plan: Plan,
    folder: String,
    observer: Option<&'a Observer>,
    observed_bytes: AtomicU64,
    merged: OnceCell<Merged>,
}

impl std::fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Returns the folder of an attempt, under `ingestions/` and `rejects/`.
fn folder_of(ingestion: &str, attempt: u32) -> String {
    match attempt {
        1 => ingestion.to_owned(),
        attempt => format!("{ingestion}.{attempt}"),
    }
}

impl<'a> Work<'a> {
    /// Reads the plan of an attempt, or makes one if there is none.
    ///
    /// # Errors
    /// A source that cannot be planned; a plan in the store that this engine cannot follow; the work store.
    pub(crate) async fn open(
        context: &'a Context,
        source: &'a Source,
        ingestion: &str,
        attempt: u32,
    ) -> Result<Self, Error> {
        let folder = folder_of(ingestion, attempt);
        let plan_folder = format!("ingestions/{folder}");
        let plan = Plan::obtain(source, &context.store, &plan_folder, &context.settings).await?;
        let Context { store, settings, table, observer, .. } = context;
        Ok(Self { folder, ..Self::of_plan(source, store, settings, &table.schema, plan, observer.as_ref()) })
    }

    /// Returns the work of a first attempt at `plan`.
    pub(crate) fn of_plan(
        source: &'a Source,
        store: &'a WorkStore,
        settings: &'a Settings,
        schema: &'a Schema,
        plan: Plan,
        observer: Option<&'a Observer>,
    ) -> Self {
        let folder = folder_of(&plan.ingestion, 1);
        let (observed_bytes, merged) = (AtomicU64::new(0), OnceCell::new());
        Self { source, store, settings, schema, plan, folder, observer, observed_bytes, merged }
    }

    /// Checks the number of rejects. `is_all`: all records have been read. A limit in percent is checked only then; a limit
    /// in records is checked early. Without a limit, a source of nearly nothing but rejects has the wrong layout, or was made
    /// to do harm.
    ///
    /// # Errors
    /// [`Error::TooManyRejects`], with the hint.
    pub(crate) fn check_rejects(
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

    /// Returns a segment of the plan.
    ///
    /// # Errors
    /// A number that the plan does not have: the ledger or the plan is damaged.
    pub(crate) fn segment(&self, number: usize) -> Result<&Segment, Error> {
        self.plan.segments.get(number).ok_or_else(|| Error::damaged("the plan"))
    }

    /// Opens a segment at `start`. With `checked`, the checksum is compared at the end, wherever the reader starts.
    ///
    /// # Errors
    /// A source that cannot be read.
    pub(crate) async fn read(
        &self,
        segment: &Segment,
        start: Position,
        checked: bool,
    ) -> Result<RecordReader<EntryReader>, Error> {
        let reader = container::open_entry(self.source, &segment.entry, start.byte, checked).await?;
        let is_beginning = start.byte == segment.data_byte;
        let name = Place { entry: segment.entry.name.clone(), ..self.source.place() };
        Ok(RecordReader::new(reader, segment.format, start, is_beginning).called(&name))
    }

    pub(crate) fn place(&self, segment: &Segment, byte: u64, line: u64) -> Place {
        Place { entry: segment.entry.name.clone(), line: Some(line), byte: Some(byte), ..self.source.place() }
    }

    pub(crate) fn block_key(&self, segment: usize, number: u32) -> String {
        format!("ingestions/{}/blocks/{segment:05}/{number:08}", self.folder)
    }

    pub(crate) fn superseded_key(&self, partition: usize) -> String {
        format!("ingestions/{}/superseded/{partition:05}", self.folder)
    }

    pub(crate) fn cancelled_key(&self, partition: usize) -> String {
        format!("ingestions/{}/cancelled/{partition:05}", self.folder)
    }

    fn merged_key(&self) -> String {
        format!("ingestions/{}/merged.json", self.folder)
    }

    pub(crate) fn rejects_folder(&self) -> String {
        format!("rejects/{}/", self.folder)
    }

    pub(crate) fn rejects_key(&self, number: u64) -> String {
        format!("{}{number:08}.ndjson", self.rejects_folder())
    }

    /// Stores the result of the survey and the merge.
    ///
    /// # Errors
    /// The work store.
    pub(crate) async fn store_merged(&self, merged: &Merged) -> Result<(), Error> {
        let text = serde_json::to_vec(merged).map_err(Error::corrupt("the result of the merge"))?;
        Ok(self.store.put(&self.merged_key(), text.into()).await?)
    }

    /// Returns the result of the survey and the merge. Reads it from the store once.
    ///
    /// # Errors
    /// The work store; a result that is missing or damaged.
    pub(crate) async fn merged(&self) -> Result<&Merged, Error> {
        let read = async || {
            let text = self.store.get(&self.merged_key()).await?;
            serde_json::from_slice(&text).map_err(Error::corrupt("the result of the merge"))
        };
        self.merged.get_or_try_init(read).await
    }

    /// Reports an event to the observer.
    pub(crate) fn report(&self, event: ProgressEvent) {
        if let Some(observer) = self.observer {
            observer(event);
        }
    }

    /// Reports the progress of a phase, at most once per [`PROGRESS_BYTES`].
    pub(crate) fn report_progress(&self, phase: &'static str, segment: usize, done_bytes: u64, records: u64) {
        let observed = self.observed_bytes.load(Ordering::Relaxed);
        if self.observer.is_none() || (done_bytes >= observed && done_bytes - observed < PROGRESS_BYTES) {
            return;
        }
        self.observed_bytes.store(done_bytes, Ordering::Relaxed);
        let entry = self.plan.segments.get(segment).map(|segment| &segment.entry);
        // UTF-16 has another size than the text that is read.
        let total_bytes = entry.filter(|entry| entry.encoding == Encoding::Bytes).and_then(|entry| entry.size);
        self.report(ProgressEvent::Progress { phase, done_bytes, total_bytes, records });
    }
}
