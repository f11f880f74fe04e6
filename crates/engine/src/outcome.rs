//! How an ingestion ends, and how a worker leaves one.

use notaflux_table::ingestion::IngestionState;

use super::error::Error;
use super::machine::Pause;
use super::report::Report;

/// How an ingestion ended.
#[derive(Debug)]
pub struct Outcome {
    /// The report, as in the ledger.
    pub report: Report,
    /// Why the ingestion did not complete.
    pub error: Option<Error>,
    /// Whether the ingestion had ended before, so that nothing was done.
    pub repeated: bool,
}

impl Outcome {
    /// Returns the outcome of an ingestion that has ended according to its report.
    pub(crate) fn of(report: Report) -> Self {
        let error = (report.state != IngestionState::Completed)
            .then(|| Error::NotCompleted { state: report.state, cause: report.cause.clone() });
        Self { report, error, repeated: false }
    }

    /// Returns the outcome for a worker that stops before the end.
    pub(crate) fn interrupted(why: Pause, report: Report) -> Self {
        Self { report, error: Some(Error::Interrupted { why }), repeated: false }
    }
}

/// How a worker leaves an ingestion.
#[derive(Debug)]
pub enum Worked {
    /// The ingestion has ended.
    Over(Outcome),
    /// There is more to do, but this worker has to stop.
    Paused {
        /// Why it has to stop.
        why: Pause,
        /// The current report.
        report: Report,
    },
    /// Other workers hold all units that remain, or another version has to stop first.
    Busy {
        /// When to look again, in milliseconds since 1970.
        look_at_ms: u64,
        /// The current report.
        report: Report,
    },
}
