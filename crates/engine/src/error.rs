//! Why an ingestion stops, and what follows from it.

use super::machine::{Pause, Phase};
use super::plan::Skipped;
use super::queue::QueueError;
use super::store::StoreError;
use notaflux_layout::Detection;
use notaflux_records::{Place, ReadError};
use notaflux_table::TableError;
use notaflux_table::ingestion::IngestionState;
use notaflux_write::WriteError;

/// Why an ingestion stops. One kind, one policy: [`Error::is_permanent`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source cannot be read, or its bytes are damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The table refuses.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The table or the ledger in it cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The work store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The source ends within quotes.
    #[error("{place}: the quote that opens in this record is not closed before the end: is the file cut?")]
    UnclosedQuote {
        /// Where the record begins.
        place: Place,
    },
    /// Standard input cannot be read on.
    #[error("standard input: {source}")]
    Spool {
        /// Why.
        source: std::io::Error,
    },
    /// No layout fits.
    #[error("{name}: {detection}")]
    NoLayout {
        /// The object or entry.
        name: String,
        /// What was tried and what is missing.
        detection: Box<Detection>,
    },
    /// Lines that are the same items in two entries, for all that is known.
    #[error(
        "{invoices:?} holds invoices with their lines and {lines:?} lines alone, which may be the same ones: ingest them one after \
         the other, each as an object of its own"
    )]
    LinesOfTwoKinds {
        /// An entry of invoices with their lines.
        invoices: String,
        /// An entry of lines.
        lines: String,
    },
    /// A layout that is named is not there, or is none.
    #[error("layout {name}: {message}")]
    Layout {
        /// Its name or file.
        name: String,
        /// What is wrong, and what to do about it.
        message: String,
    },
    /// Nothing in it to ingest.
    #[error("{name}: {}", nothing(skipped))]
    NoData {
        /// The object.
        name: String,
        /// Its entries and why each is no data.
        skipped: Vec<Skipped>,
    },
    /// More rejects than allowed.
    #[error(
        "{rejected} of {records} records were rejected, more than --max-rejects {limit} allows: nothing was written; {hint}"
    )]
    TooManyRejects {
        /// Rejected records.
        rejected: u64,
        /// Records read until then.
        records: u64,
        /// The limit as it was given.
        limit: String,
        /// The last reject, or where they lie.
        hint: String,
    },
    /// The built-in layout that the plan names is gone or has changed.
    #[error("layout {layout:?} has changed since this ingestion was planned: ingest again with --force")]
    LayoutChanged {
        /// Name of the layout.
        layout: String,
    },
    /// The planned layout does not fit the planned header.
    #[error("the plan's layout does not fit its header: {source}")]
    Mapping {
        /// What does not fit.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Work that another version of the engine has left.
    #[error("this ingestion was begun by an engine of format {found}: ingest again with --force")]
    OtherVersion {
        /// The format found.
        found: u32,
    },
    /// Something that the engine wrote reads differently.
    #[error("{what} in the work store is damaged: {source}; ingest again with --force")]
    Corrupt {
        /// What it is.
        what: String,
        /// How it is damaged.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The lease on the work has ended, or somebody has closed the ingestion.
    #[error("another worker has taken this work over")]
    LeaseLost,
    /// The worker was asked to stop, or its time is up.
    #[error("the ingestion was interrupted {}: start it again to go on from there", why_text(*why))]
    Interrupted {
        /// Why.
        why: Pause,
    },
    /// Hop after hop ends where it began.
    #[error(
        "{place}: {hops} workers in a row had no time to get any further in the {}: give the function a longer time limit, or run \
         notaflux ingest on a machine, which has none", phase.as_str()
    )]
    NoProgress {
        /// The object.
        place: Place,
        /// In which phase.
        phase: Phase,
        /// How many.
        hops: u32,
    },
    /// It is over without being completed.
    #[error("the ingestion is {}{}", state.as_str(), because(cause))]
    NotCompleted {
        /// How it ended.
        state: IngestionState,
        /// Why, if it failed.
        cause: String,
    },
    /// What is left needs a queue to go on from.
    #[error("the ingestion is not done, and there is no queue to send the rest to: set QUEUE_URL, or invoke again")]
    NoQueue,
    /// The queue fails.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The records do not add up: a defect of the engine, told instead of a wrong count.
    #[error("of {records} records {accounted} are accounted for: please report this as a defect")]
    Unaccounted {
        /// Records that were read.
        records: u64,
        /// Keys, superseded records and rejects together.
        accounted: u64,
    },
    /// The two passes disagree: a defect of the engine, told instead of a wrong count.
    #[error(
        "the survey found {expected} records or items to write, but {found} were acknowledged: please report this as a defect"
    )]
    Accounting {
        /// What the survey found.
        expected: u64,
        /// What DynamoDB acknowledged.
        found: u64,
    },
}

impl Error {
    /// Whether it would stop the ingestion again. A permanent error is recorded in the ledger and the message that brought
    /// the object is done with; any other leaves the ingestion as it stands, and the message comes again.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Read(error) => error.is_permanent(),
            Self::Write(error) => matches!(error, WriteError::Refused { .. } | WriteError::Update(_)),
            Self::Store(error) => error.is_permanent(),
            Self::Table(error) => error.is_permanent(),
            Self::LeaseLost | Self::Interrupted { .. } | Self::NoQueue | Self::Queue(_) => false,
            _ => true,
        }
    }

    /// Where in the source it stopped, if there.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Read(error) => error.position(),
            Self::UnclosedQuote { place } | Self::NoProgress { place, .. } => Some(place),
            _ => None,
        }
    }

    pub(super) fn corrupt<E: std::error::Error + Send + Sync + 'static>(what: &str) -> impl FnOnce(E) -> Self {
        let what = what.to_owned();
        move |error| Self::Corrupt { what, source: Box::new(error) }
    }

    pub(super) fn damaged(what: &str) -> Self {
        Self::Corrupt { what: what.to_owned(), source: "it is cut or of another kind".into() }
    }
}

fn why_text(why: Pause) -> &'static str {
    match why {
        Pause::Asked => "as asked",
        Pause::Deadline => "by its deadline",
    }
}

fn because(cause: &str) -> String {
    if cause.is_empty() { String::new() } else { format!(": {cause}") }
}

fn nothing(skipped: &[Skipped]) -> String {
    if skipped.is_empty() {
        return "the archive has no entries: nothing to ingest".to_owned();
    }
    let reasons: Vec<String> =
        skipped.iter().take(5).map(|entry| format!("{}: {}", entry.name, entry.reason)).collect();
    format!("nothing to ingest ({})", reasons.join("; "))
}
