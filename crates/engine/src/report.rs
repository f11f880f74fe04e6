//! The report of an ingestion, for users, the ledger and the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use notaflux_records::source::Identity;
use notaflux_table::ingestion::IngestionState;

use super::plan::Plan;
use super::skipped::Skipped;

/// Most entries, and most skipped entries, in a report. The report is an item of the ledger, whose size is limited, and an
/// archive may have thousands of entries.
pub(crate) const LISTED_LIMIT: usize = 100;

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// The state and the counts of an ingestion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Id of the ingestion.
    pub ingestion: String,
    /// State of the ingestion.
    pub state: IngestionState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Where in the source it failed, if the error has a place there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// The version of the object.
    pub source: Identity,
    /// The entries that are ingested, in order.
    pub entries: Vec<EntryReport>,
    /// The entries that are not ingested, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// Number of further entries and skipped entries. The plan in the work store has all of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: usize,
    /// Records of the source: rows or JSON elements.
    pub records_read: u64,
    /// Distinct keys, each acknowledged by DynamoDB.
    pub written: u64,
    /// Records whose key comes again later in the source.
    pub superseded: u64,
    /// Rejected records.
    pub rejected: u64,
    /// Rows that are no records, such as a row of totals at the end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub trailers: u64,
    /// Rows that are the header again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeated_headers: u64,
    /// Records with a warning, by kind, superseded ones included.
    pub warnings: BTreeMap<String, u64>,
    /// Items that DynamoDB acknowledged.
    pub items_written: u64,
    /// Write units consumed.
    pub write_units: f64,
    /// `BatchWriteItem` calls.
    pub calls: u64,
    /// Items retried.
    pub retried: u64,
    /// Calls that were throttled or had unprocessed items.
    pub throttled: u64,
    /// Bytes of the source.
    pub bytes_read: u64,
    /// Bytes after decompression.
    pub bytes_decoded: u64,
    /// Time of the survey and the merge, in milliseconds.
    pub survey_ms: u64,
    /// Time of the write pass, in milliseconds.
    pub write_ms: u64,
    /// Time in all, in milliseconds.
    pub elapsed_ms: u64,
    /// Location of the rejects, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejects_location: Option<String>,
}

/// An entry of the source that is ingested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryReport {
    /// Name in the archive; none for the object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Compression.
    pub compression: String,
    /// Format: `csv`, `json` or `ndjson`.
    pub format: String,
    /// Field delimiter, for CSV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Path of the list of records, for JSON with a list within objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Name of the layout.
    pub layout: String,
    /// Records in the entry.
    pub records_read: u64,
}

impl Report {
    /// Returns the report of an ingestion that has just been planned.
    #[must_use]
    pub(crate) fn of(plan: &Plan) -> Self {
        let entries = plan.segments.iter().take(LISTED_LIMIT).map(|segment| EntryReport {
            name: segment.entry.name.clone(),
            compression: segment.entry.compression.to_string(),
            format: segment.format_name().to_owned(),
            delimiter: segment.delimiter(),
            list: segment.list(),
            layout: segment.layout.clone(),
            records_read: 0,
        });
        let mut report = Self::begun(plan.ingestion.clone(), plan.source.clone());
        report.entries = entries.collect();
        report.skipped = plan.skipped.iter().take(LISTED_LIMIT).cloned().collect();
        report.unlisted = plan.segments.len() + plan.skipped.len() - report.entries.len() - report.skipped.len();
        report
    }

    /// Returns the report of an ingestion of which only the source is known.
    #[must_use]
    pub fn begun(ingestion: String, source: Identity) -> Self {
        Self {
            ingestion,
            state: IngestionState::Surveying,
            cause: None,
            position: None,
            bytes_read: source.size_bytes,
            source,
            entries: Vec::new(),
            skipped: Vec::new(),
            unlisted: 0,
            records_read: 0,
            written: 0,
            superseded: 0,
            rejected: 0,
            trailers: 0,
            repeated_headers: 0,
            warnings: BTreeMap::new(),
            items_written: 0,
            write_units: 0.0,
            calls: 0,
            retried: 0,
            throttled: 0,
            bytes_decoded: 0,
            survey_ms: 0,
            write_ms: 0,
            elapsed_ms: 0,
            rejects_location: None,
        }
    }
}
