//! Entries of a source that are not ingested.

use serde::{Deserialize, Serialize};

/// An entry of the source that is not ingested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Name of the entry.
    pub name: String,
    /// Why it is not ingested.
    pub reason: String,
}
