//! The errors that stop an ingestion, and the policy for each.

use notaflux_layout::Detection;
use notaflux_records::{Place, ReadError};
use notaflux_table::TableError;
use notaflux_table::ingestion::IngestionState;
use notaflux_write::WriteError;

use super::ledger_item::DamagedItem;
use super::machine::{Pause, Phase};
use super::queue::QueueError;
use super::skipped::Skipped;
use super::store::StoreError;

/// An error that stops an ingestion.
///
/// Each variant has one policy, see [`Error::is_permanent`]. *Permanent*: the ingestion fails, the failure is recorded in the
/// ledger, and the message is deleted from the queue. *Temporary*: the ingestion stays as it is, and the message is
/// delivered again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source cannot be read, or its bytes are damaged. Policy: of the [`ReadError`].
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The table does not accept a write. Permanent if DynamoDB refuses the call; temporary for an outage, an answer that
    /// makes no sense, or an expired lease.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The table, or the ledger in it, cannot be used. Policy: of the [`TableError`].
    #[error(transparent)]
    Table(#[from] TableError),
    /// An item of the ledger was changed from outside. Permanent.
    #[error(transparent)]
    LedgerItem(#[from] DamagedItem),
    /// The work store cannot be used. Policy: that of the `StoreError`.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The source ends within quotes. Permanent.
    #[error(
        "{place}: the quote that opens in this record is not closed before the end of the file: is the file truncated?"
    )]
    UnclosedQuote {
        /// Where the record begins.
        place: Place,
    },
    /// Standard input cannot be read. Permanent: its bytes cannot be read a second time.
    #[error("standard input: {source}")]
    Spool {
        /// The cause.
        source: std::io::Error,
    },
    /// No layout fits. Permanent.
    #[error("{name}: {detection}")]
    NoLayout {
        /// The object or entry.
        name: String,
        /// The layouts that were tried, and what is missing for each.
        detection: Box<Detection>,
    },
    /// An entry of an archive holds data and is not read. Permanent.
    #[error(
        "{archive}, entry {entry}: {reason}. Nothing of the archive was written. To ingest its other entries, use --skip-unknown \
         (in AWS: the parameter SkipUnknown)"
    )]
    UnreadEntry {
        /// The archive.
        archive: String,
        /// Name of the entry.
        entry: String,
        /// What is missing.
        reason: String,
    },
    /// Two entries may contain the same lines. Permanent.
    #[error(
        "{invoices:?} contains invoices with their lines, and {lines:?} contains lines alone: they may be the same lines. \
         Ingest the two one after the other, each as an object of its own"
    )]
    LinesOfTwoKinds {
        /// An entry of invoices with their lines.
        invoices: String,
        /// An entry of lines.
        lines: String,
    },
    /// A layout that was named does not exist or is invalid. Permanent.
    #[error("layout {name}: {message}")]
    Layout {
        /// Name or file of the layout.
        name: String,
        /// What is wrong, and what to do about it.
        message: String,
    },
    /// The source contains nothing to ingest. Permanent.
    #[error("{name}: {}", nothing(skipped))]
    NoData {
        /// The object.
        name: String,
        /// Its entries, and why each is skipped.
        skipped: Vec<Skipped>,
    },
    /// There are more rejects than allowed. Permanent.
    #[error(
        "{rejected} of {records} records were rejected, more than --max-rejects {limit} allows: nothing was written; {hint}"
    )]
    TooManyRejects {
        /// Rejected records.
        rejected: u64,
        /// Records read so far.
        records: u64,
        /// The limit, as given.
        limit: String,
        /// The last reject, or where to find all of them.
        hint: String,
    },
    /// A built-in layout of the plan has changed or does not exist any more. Permanent.
    #[error("layout {layout:?} has changed since this ingestion was planned: ingest again with --force")]
    LayoutChanged {
        /// Name of the layout.
        layout: String,
    },
    /// The planned layout does not fit the planned header. Permanent.
    #[error("the layout of the plan does not fit its header: {source}; ingest again with --force")]
    Mapping {
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another version of the engine began the ingestion. Permanent.
    #[error(
        "an engine of format {found} began this ingestion, and this engine cannot resume it: ingest again with --force"
    )]
    OtherVersion {
        /// The format found.
        found: u32,
    },
    /// Data that the engine wrote into the work store is damaged. Permanent.
    #[error("{what} in the work store is damaged: {source}; ingest again with --force")]
    Corrupt {
        /// What is damaged.
        what: String,
        /// How it is damaged.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The lease on the work has expired, or the ingestion was closed. Temporary: another worker decides.
    #[error("another worker has taken over this work")]
    LeaseLost,
    /// The worker has to stop. Temporary.
    #[error("the ingestion was interrupted {}: start it again to resume it", why_text(*why))]
    Interrupted {
        /// Why it has to stop.
        why: Pause,
    },
    /// Several hops in a row made no progress. Permanent: the next hop would have no more time.
    #[error(
        "{place}: {hops} workers in a row ran out of time without any progress in the phase {:?}: give the function a longer \
         time limit, or run notaflux ingest on a machine, which has no time limit", phase.as_str()
    )]
    NoProgress {
        /// The object.
        place: Place,
        /// The phase.
        phase: Phase,
        /// Hops without progress.
        hops: u32,
    },
    /// The ingestion has ended without being completed. Permanent.
    #[error("the ingestion is {}{}", state.as_str(), because(cause.as_deref()))]
    NotCompleted {
        /// How it ended.
        state: IngestionState,
        /// Why, if it failed.
        cause: Option<String>,
    },
    /// The remaining work needs a queue, and there is none. Temporary: the next invocation resumes the work.
    #[error(
        "the ingestion is not complete, and there is no queue for the remaining work: set QUEUE_URL, or invoke again"
    )]
    NoQueue,
    /// The queue cannot be used. Temporary.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The counts of the survey and the merge do not add up, because of a defect of the engine. Permanent.
    #[error("{accounted} of {records} records are accounted for: please report this as a defect")]
    Unaccounted {
        /// Records that were read.
        records: u64,
        /// The sum of distinct keys, superseded records and rejects.
        accounted: u64,
    },
    /// The counts of the two passes differ, because of a defect of the engine. Permanent.
    #[error(
        "the survey found {expected} records or items to write, but DynamoDB acknowledged {found}: please report this as a defect"
    )]
    Accounting {
        /// What the survey found.
        expected: u64,
        /// What DynamoDB acknowledged.
        found: u64,
    },
}

impl Error {
    /// Whether the error would stop the ingestion again. A permanent error is recorded in the ledger, and the message that
    /// brought the object is deleted. After a temporary error the ingestion stays as it is, and the message is delivered
    /// again. Lists every variant, so that a new one does not compile before its policy is decided.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Read(error) => error.is_permanent(),
            Self::Write(error) => match error {
                WriteError::Refused { .. } | WriteError::Update(_) => true,
                WriteError::LeaseOver { .. } | WriteError::Unavailable { .. } | WriteError::Protocol { .. } => false,
            },
            Self::Store(error) => error.is_permanent(),
            Self::Table(error) => error.is_permanent(),
            Self::LeaseLost | Self::Interrupted { .. } | Self::NoQueue | Self::Queue(_) => false,
            Self::LedgerItem(_)
            | Self::UnclosedQuote { .. }
            | Self::Spool { .. }
            | Self::NoLayout { .. }
            | Self::UnreadEntry { .. }
            | Self::LinesOfTwoKinds { .. }
            | Self::Layout { .. }
            | Self::NoData { .. }
            | Self::TooManyRejects { .. }
            | Self::LayoutChanged { .. }
            | Self::Mapping { .. }
            | Self::OtherVersion { .. }
            | Self::Corrupt { .. }
            | Self::NoProgress { .. }
            | Self::NotCompleted { .. }
            | Self::Unaccounted { .. }
            | Self::Accounting { .. } => true,
        }
    }

    /// Returns where in the source the ingestion stopped, if the error has a place there.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Read(error) => error.position(),
            Self::UnclosedQuote { place } | Self::NoProgress { place, .. } => Some(place),
            Self::Write(_)
            | Self::Table(_)
            | Self::LedgerItem(_)
            | Self::Store(_)
            | Self::Spool { .. }
            | Self::NoLayout { .. }
            | Self::UnreadEntry { .. }
            | Self::LinesOfTwoKinds { .. }
            | Self::Layout { .. }
            | Self::NoData { .. }
            | Self::TooManyRejects { .. }
            | Self::LayoutChanged { .. }
            | Self::Mapping { .. }
            | Self::OtherVersion { .. }
            | Self::Corrupt { .. }
            | Self::LeaseLost
            | Self::Interrupted { .. }
            | Self::NotCompleted { .. }
            | Self::NoQueue
            | Self::Queue(_)
            | Self::Unaccounted { .. }
            | Self::Accounting { .. } => None,
        }
    }

    /// Returns a function that makes an error about `what` from its cause.
    pub(crate) fn corrupt<E: std::error::Error + Send + Sync + 'static>(what: &str) -> impl FnOnce(E) -> Self {
        let what = what.to_owned();
        move |error| Self::Corrupt { what, source: Box::new(error) }
    }

    /// Returns the error for `what` that is missing, truncated, or not what its reader expects.
    pub(crate) fn damaged(what: &str) -> Self {
        Self::Corrupt { what: what.to_owned(), source: "it is missing, truncated, or of another kind".into() }
    }
}

fn why_text(why: Pause) -> &'static str {
    match why {
        Pause::Asked => "as requested",
        Pause::Deadline => "because its time was up",
    }
}

fn because(cause: Option<&str>) -> String {
    cause.map(|cause| format!(": {cause}")).unwrap_or_default()
}

fn nothing(skipped: &[Skipped]) -> String {
    if skipped.is_empty() {
        return "nothing to ingest: the archive has no entries".to_owned();
    }
    let reasons: Vec<String> =
        skipped.iter().take(5).map(|entry| format!("{}: {}", entry.name, entry.reason)).collect();
    format!("nothing to ingest ({})", reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_worker_are_temporary_and_errors_of_the_data_permanent() {
        let temporary = [Error::LeaseLost, Error::Interrupted { why: Pause::Deadline }, Error::NoQueue];
        assert!(temporary.iter().all(|error| !error.is_permanent() && error.place().is_none()));
        let place = Place { line: Some(3), ..Place::default() };
        let permanent = [
            Error::UnclosedQuote { place: place.clone() },
            Error::NoProgress { place, phase: Phase::Survey, hops: 2 },
            Error::damaged("a block"),
            Error::Unaccounted { records: 2, accounted: 1 },
        ];
        assert!(permanent.iter().all(Error::is_permanent));
        assert_eq!(permanent.iter().filter(|error| error.place().is_some()).count(), 2);
    }
}
