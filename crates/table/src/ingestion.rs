//! The states of an ingestion, as its item in the table names them.

use serde::{Deserialize, Serialize};

/// The state of an ingestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestionState {
    /// Reads the whole source. Nothing is in the table yet.
    Surveying,
    /// Puts the items.
    Writing,
    /// Every record is written, superseded or rejected.
    Completed,
    /// Stopped by an error that would stop it again. The report names it as `cause`.
    Failed,
    /// A newer version of the object took its place before it was completed.
    Superseded,
    /// A user ended it.
    Cancelled,
}

impl IngestionState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Surveying, Self::Writing, Self::Completed, Self::Failed, Self::Superseded, Self::Cancelled];

    /// Returns the word for it in the report and the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Surveying => "surveying",
            Self::Writing => "writing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether the ingestion has ended.
    #[must_use]
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Surveying | Self::Writing)
    }
}
