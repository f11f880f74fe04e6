//! How far a unit of work is: what its lease writes into the ledger, and where the next hop goes on.

use serde::{Deserialize, Serialize};

use crate::read::csv::Position;
use crate::write::Tally;

/// A place between two records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// Decoded byte.
    pub byte: u64,
    /// Physical line, from 1.
    pub line: u64,
    /// Records before it.
    pub record: u64,
}

impl Cursor {
    /// Where a reader starts that reads on from here.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position { byte: self.byte, line: self.line }
    }
}

/// Progress of a unit. Behind it everything is done. A cursor, never a list, so that its size is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "pass", rename_all = "snake_case")]
pub enum Progress {
    /// Blocks before this one lie in the work store.
    Survey {
        /// Next block.
        block: u32,
        /// Where it begins.
        cursor: Cursor,
        /// Distinct keys in each of those blocks, added up.
        keys: u64,
        /// Rejects in them.
        rejected: u64,
    },
    /// A partition is merged as a whole.
    Merge {
        /// Distinct keys.
        written: u64,
        /// Positions in the list of superseded records.
        superseded: u64,
    },
    /// Rejects of the blocks before this one lie in their place.
    Settle {
        /// Next block, counted over all segments.
        block: u64,
    },
    /// Records before the cursor are acknowledged or need no write.
    Write {
        /// First record that is not acknowledged.
        cursor: Cursor,
        /// Items of the records before it, all of them acknowledged.
        items: u64,
        /// What all hops did to get there.
        tally: Tally,
    },
}

impl Progress {
    /// Whether it is further than `before`, of the same unit.
    #[must_use]
    pub fn is_beyond(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Survey { block: now, .. }, Self::Survey { block: then, .. }) => now > then,
            (Self::Settle { block: now }, Self::Settle { block: then }) => now > then,
            // One batch that is throttled holds the cursor back while thousands behind it are taken.
            (Self::Write { cursor, tally, .. }, Self::Write { cursor: before, tally: then, .. }) => {
                cursor > before || tally.items > then.items
            }
            // A partition is nothing or all.
            _ => false,
        }
    }
}
