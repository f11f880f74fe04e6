//! Memory for one row of JSON, reused for every row.

use crate::json::keys::Keys;
use crate::json::values::RowShape;
use crate::path::PathTree;
use crate::span::Span;

/// Memory for one row of JSON, reused for the next.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// The decoded element, if it is not UTF-8.
    pub(crate) latin: String,
    /// The text of the row after the element: strings without escapes, and names.
    pub(crate) extra: String,
    pub(crate) tape: Vec<u8>,
    /// Buffer of the parser for one string with escapes.
    pub(crate) string_tape: Vec<u8>,
    pub(crate) values: Vec<Span>,
    pub(crate) lines: Vec<Span>,
    pub(crate) others: Vec<(Span, Span)>,
    /// The id of the tree that `steps` belongs to.
    pub(crate) tree: u64,
    /// For each place: where the keys that were seen there lead.
    pub(crate) steps: Vec<Keys>,
}

impl Workspace {
    /// Prepares for the next element.
    pub(crate) fn begin(&mut self, tree: &PathTree, shape: RowShape<'_>) {
        if self.tree != tree.id() {
            self.tree = tree.id();
            self.steps.clear();
            self.steps.resize_with(tree.len(), Keys::default);
        }
        self.extra.clear();
        self.lines.clear();
        self.others.clear();
        self.values.clear();
        self.values.resize(shape.record_columns, Span::default());
    }
}
