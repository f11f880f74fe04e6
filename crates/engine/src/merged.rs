//! The result of the survey and the merge, as the write pass reads it from the work store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::Report;

/// The result of the survey and the merge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Merged {
    /// Records of all segments.
    pub(crate) records: u64,
    /// Rows that are no records, such as one of totals.
    pub(crate) trailers: u64,
    /// Rows that are the header again.
    pub(crate) repeated_headers: u64,
    /// Distinct keys by which a record is counted.
    pub(crate) written: u64,
    /// Items of those records.
    pub(crate) items: u64,
    /// Records whose key comes again later.
    pub(crate) superseded: u64,
    /// Rejected records.
    pub(crate) rejected: u64,
    /// Records with a warning, by kind.
    pub(crate) warnings: BTreeMap<String, u64>,
    /// Positions in the list of superseded items of each partition.
    pub(crate) partitions: Vec<u64>,
    /// Invoices in the list of cancelled invoices of each partition.
    pub(crate) cancelled: Vec<u64>,
    /// The blocks that contain superseded items of their own.
    pub(crate) repeating: Vec<Repeating>,
    /// Records of each segment.
    pub(crate) segment_records: Vec<u64>,
    /// Decoded bytes of each segment.
    pub(crate) segment_bytes: Vec<u64>,
}

/// Where to find the superseded items of one block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Repeating {
    /// Segment of the block.
    pub(crate) segment: usize,
    /// Number of the block in its segment.
    pub(crate) number: u32,
    /// First byte after the block, in the decoded entry.
    pub(crate) end_byte: u64,
    /// First byte of the list, in the object of the block.
    pub(crate) start: u64,
    /// Length of the list in bytes.
    pub(crate) length: u64,
}

impl Merged {
    /// Copies the counts into the report.
    pub(crate) fn fill(&self, report: &mut Report) {
        report.records_read = self.records;
        report.superseded = self.superseded;
        report.rejected = self.rejected;
        report.trailers = self.trailers;
        report.repeated_headers = self.repeated_headers;
        report.warnings.clone_from(&self.warnings);
        report.bytes_decoded = self.segment_bytes.iter().sum();
        for (entry, records) in report.entries.iter_mut().zip(&self.segment_records) {
            entry.records_read = *records;
        }
    }
}
