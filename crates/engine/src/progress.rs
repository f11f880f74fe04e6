//! How far a unit of work is: what its lease writes into the ledger, and where the next hop goes on.

use serde::{Deserialize, Serialize};

use notaflux_records::record::Position;
use notaflux_write::Tally;

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

/// What the merge of one partition found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Distinct keys by which a record is counted.
    pub written: u64,
    /// Further items: invoices that the rows of lines repeat, lines that go with their invoice.
    pub besides: u64,
    /// Records whose key comes again.
    pub superseded: u64,
    /// Positions in the list of superseded items.
    pub listed: u64,
    /// Invoices in the list of cancelled ones.
    pub cancelled: u64,
}

/// Records and the items that they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// Records of which all items are acknowledged.
    pub records: u64,
    /// Their items.
    pub items: u64,
}

impl std::ops::AddAssign for Put {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.items += other.items;
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
        /// What their entries take in the merge, in keys.
        keys: u64,
        /// Rejects in them.
        rejected: u64,
    },
    /// A partition is merged as a whole.
    Merge(Found),
    /// Rejects of the blocks before this one lie in their place.
    Settle {
        /// Next block, counted over all segments.
        block: u64,
    },
    /// Records before the cursor are acknowledged or need no write.
    Write {
        /// First record that is not acknowledged.
        cursor: Cursor,
        /// Those of the records before it that were put.
        #[serde(flatten)]
        put: Put,
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
