//! Memory for the text of one record, reused for every record.

use crate::json::workspace::Workspace;
use crate::latin::Latin;
use crate::span::Span;

/// Memory for the text of one record, reused for the next record.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) text: String,
    /// The text of a row that is Latin-1.
    pub(crate) latin: Latin,
    /// Whether the previous row was not UTF-8.
    pub(crate) was_other: bool,
    /// The place of each field in the text of the row.
    pub(crate) spans: Vec<Span>,
    pub(crate) json: Workspace,
}
