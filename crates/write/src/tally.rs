//! Counters of what a writer has done.

use serde::{Deserialize, Serialize};

/// What a writer has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Items that the service acknowledged.
    pub items: u64,
    /// Write units consumed: as the service reports, or as computed where it reports none.
    pub write_units: f64,
    /// `BatchWriteItem` calls.
    pub calls: u64,
    /// Items that were sent again.
    pub retried: u64,
    /// Calls that the service throttled, and calls that left items unprocessed.
    pub throttled: u64,
}

impl Tally {
    /// Returns the sum of both tallies.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            items: self.items + other.items,
            write_units: self.write_units + other.write_units,
            calls: self.calls + other.calls,
            retried: self.retried + other.retried,
            throttled: self.throttled + other.throttled,
        }
    }
}
