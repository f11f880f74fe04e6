//! The states of an ingestion, as its item in the table names them.

use serde::{Deserialize, Serialize};

/// Where an ingestion stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestionState {
    /// Reading all of the source; nothing is in the table yet.
    Surveying,
    /// Putting items.
    Writing,
    /// Every record is accounted for.
    Completed,
    /// Stopped by what would stop it again; `cause` says what.
    Failed,
    /// A newer version of the object has taken its place before it was completed.
    Superseded,
    /// Somebody ended it.
    Cancelled,
}

impl IngestionState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Surveying, Self::Writing, Self::Completed, Self::Failed, Self::Superseded, Self::Cancelled];

    /// The word that the report and the ledger use.
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

    /// Whether nobody works on it any more.
    #[must_use]
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Surveying | Self::Writing)
    }
}
