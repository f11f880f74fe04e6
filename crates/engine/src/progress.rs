//! The checkpoint of a unit of work: a worker writes it into the ledger, and the next hop resumes from it.

use serde::{Deserialize, Serialize};

use notaflux_records::record::Position;
use notaflux_write::Tally;

/// A position between two records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// Offset in the decoded entry, in bytes.
    pub byte: u64,
    /// Physical line, from 1.
    pub line: u64,
    /// Number of records before it.
    pub record: u64,
}

impl Cursor {
    /// Where a reader starts to resume from here.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position { byte: self.byte, line: self.line }
    }
}

/// The counts from the merge of one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeCounts {
    /// Distinct keys that count as a record.
    pub written: u64,
    /// Items that count as no record: invoices that the rows of lines repeat, and lines that belong to the record of
    /// their invoice.
    #[serde(rename = "besides")]
    pub extra_items: u64,
    /// Records whose key occurs again later in the source.
    pub superseded: u64,
    /// Number of entries in the list of superseded items.
    pub listed: u64,
    /// Number of invoices in the list of cancelled invoices.
    pub cancelled: u64,
}

/// Numbers of acknowledged records and items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutCounts {
    /// Records whose items are all acknowledged.
    pub records: u64,
    /// Items of these records.
    pub items: u64,
}

impl std::ops::AddAssign for PutCounts {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.items += other.items;
    }
}

/// The checkpoint of a unit: everything before it is done. It is a cursor and never a list, so its size is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "pass", rename_all = "snake_case")]
pub enum Progress {
    /// All blocks before this one are in the work store.
    Survey {
        /// Number of the next block.
        block: u32,
        /// Where the next block begins.
        cursor: Cursor,
        /// Size of the entries of these blocks in the merge, in keys.
        keys: u64,
        /// Rejects in these blocks.
        rejected: u64,
    },
    /// A partition is merged as a whole, or not at all.
    Merge(MergeCounts),
    /// The rejects of all blocks before this one are stored.
    #[serde(rename = "settle")]
    Finalize {
        /// Number of the next block, counted over all segments.
        block: u64,
    },
    /// All records before the cursor are acknowledged or need no write.
    Write {
        /// First record that is not acknowledged.
        cursor: Cursor,
        /// Counts of the records before the cursor that were put.
        #[serde(flatten)]
        put: PutCounts,
        /// Calls and write units of all hops so far.
        tally: Tally,
    },
}

impl Progress {
    /// Whether this checkpoint is after `before`, a checkpoint of the same unit.
    #[must_use]
    pub(crate) fn is_beyond(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Survey { block: now, .. }, Self::Survey { block: then, .. }) => now > then,
            (Self::Finalize { block: now }, Self::Finalize { block: then }) => now > then,
            // One throttled batch holds the cursor back while thousands of later batches succeed.
            (Self::Write { cursor, tally, .. }, Self::Write { cursor: before, tally: then, .. }) => {
                cursor > before || tally.items > then.items
            }
            // A partition has no checkpoint in between.
            _ => false,
        }
    }
}
