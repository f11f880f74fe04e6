//! Segments: the entries of a source that are ingested.

use serde::{Deserialize, Serialize};

use notaflux_layout::Conventions;
use notaflux_records::container::Entry;
use notaflux_records::record::{Format, Shape};

/// An entry of the source that is ingested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// Where its bytes are.
    pub(crate) entry: Entry,
    /// Format of its bytes.
    pub(crate) format: Format,
    /// Column names as in the source, for CSV.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) header: Vec<String>,
    /// Physical line of the header, from 1, for CSV. The lines before it are not read.
    #[serde(default = "first_line", skip_serializing_if = "is_first_line")]
    pub(crate) header_line: u64,
    /// Keys that lead to the list of records, for JSON with a list within objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) list: Vec<String>,
    /// First decoded byte of the records: after the header, or after the `[` of the list.
    pub(crate) data_byte: u64,
    /// Physical line of that byte, from 1.
    pub(crate) data_line: u64,
    /// Name of the layout.
    pub(crate) layout: String,
    /// Hash of the layout's text, so that a changed layout is detected.
    pub(crate) layout_hash: String,
    /// How amounts and dates are written throughout the entry.
    pub(crate) conventions: Conventions,
    /// Sampled cells that can be read in this way only: amounts, dates. If there are none, the layout decides.
    pub(crate) decisive_cells: (u64, u64),
}

const fn first_line() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_first_line(line: &u64) -> bool {
    *line == 1
}

impl Segment {
    /// Returns the name of its format in reports.
    #[must_use]
    pub(crate) const fn format_name(&self) -> &'static str {
        match self.format {
            Format::Csv { .. } => "csv",
            Format::Json(Shape::Lines) => "ndjson",
            Format::Json(_) => "json",
        }
    }

    /// Returns the field delimiter, for CSV.
    #[must_use]
    pub(crate) fn delimiter(&self) -> Option<String> {
        match self.format {
            Format::Csv { delimiter } => Some(char::from(delimiter).to_string()),
            Format::Json(_) => None,
        }
    }

    /// Returns the path of the list of records, for JSON with a list within objects.
    #[must_use]
    pub(crate) fn list(&self) -> Option<String> {
        (!self.list.is_empty()).then(|| self.list.join("."))
    }
}
