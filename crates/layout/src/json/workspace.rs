//! Room for one row of JSON.

use crate::json::keys::Keys;
use crate::json::values::RowShape;
use crate::path::PathTree;
use crate::span::Span;

/// Room for one row of JSON, used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// The element, where it is not UTF-8.
    pub(crate) latin: String,
    /// What stands behind the element in the text of the row: strings without their escapes, names.
    pub(crate) extra: String,
    pub(crate) tape: Vec<u8>,
    /// For one string with escapes.
    pub(crate) string_tape: Vec<u8>,
    pub(crate) values: Vec<Span>,
    pub(crate) lines: Vec<Span>,
    pub(crate) others: Vec<(Span, Span)>,
    /// Of which tree the steps are.
    pub(crate) tree: u64,
    /// By place: where the keys that were seen there lead to.
    pub(crate) steps: Vec<Keys>,
}

impl Workspace {
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
