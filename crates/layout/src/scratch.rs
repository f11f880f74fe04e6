//! Room for the text of one record.

use crate::json::workspace::Workspace;
use crate::latin::Latin;
use crate::span::Span;

/// Room for the text of one record, used again for the next.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) text: String,
    /// The text of a row of Latin-1.
    pub(crate) latin: Latin,
    /// Whether the row before was not UTF-8.
    pub(crate) was_other: bool,
    /// Where each field stands in the text of the row.
    pub(crate) spans: Vec<Span>,
    pub(crate) json: Workspace,
}
