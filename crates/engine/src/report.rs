//! The report of an ingestion: what users, the ledger and the API see of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use notaflux_table::ingestion::IngestionState;

use super::plan::{Plan, Skipped};
use notaflux_records::source::Identity;

/// Most entries, and most skipped ones, that a report lists: it is an item of the ledger, and an archive may have thousands.
pub(super) const LISTED_LIMIT: usize = 100;

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// What became of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Id of the ingestion.
    pub ingestion: String,
    /// Where it stands.
    pub state: IngestionState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Where in the source it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// The version of the object.
    pub source: Identity,
    /// What was ingested, in order.
    pub entries: Vec<EntryReport>,
    /// What was not, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// How many further entries and skipped entries there are: the plan in the work store has them all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: usize,
    /// Records of the source: rows or elements.
    pub records_read: u64,
    /// Distinct keys, each acknowledged by DynamoDB.
    pub written: u64,
    /// Records whose key comes again later in the source.
    pub superseded: u64,
    /// Records that lie in the rejects.
    pub rejected: u64,
    /// Rows that are no records, such as one of totals at the end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub trailers: u64,
    /// Records with a warning, by kind, superseded ones included.
    pub warnings: BTreeMap<String, u64>,
    /// Items acknowledged.
    pub items_written: u64,
    /// Write units consumed.
    pub write_units: f64,
    /// `BatchWriteItem` calls.
    pub calls: u64,
    /// Items sent again.
    pub retried: u64,
    /// Calls throttled or answered in part.
    pub throttled: u64,
    /// Bytes of the source.
    pub bytes_read: u64,
    /// Bytes behind the decompressor.
    pub bytes_decoded: u64,
    /// Milliseconds of the survey and the merge.
    pub survey_ms: u64,
    /// Milliseconds of the write pass.
    pub write_ms: u64,
    /// Milliseconds in all.
    pub elapsed_ms: u64,
    /// Where the rejects lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejects_location: Option<String>,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryReport {
    /// Its name in the archive; none for the object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How its bytes are compressed.
    pub compression: String,
    /// What its bytes are.
    pub format: String,
    /// Field delimiter, of CSV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Keys that lead to the list of records, of JSON that has one within objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Which layout it was read by.
    pub layout: String,
    /// Records in it.
    pub records_read: u64,
}

impl Report {
    /// The report of an ingestion that has just been planned.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
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

    /// The report of an ingestion of which nothing but its source is known.
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
