//! Where a value stands in the text of a row.

/// Where a value stands in the text of its row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Whether it is a number of JSON.
    pub(crate) is_number: bool,
}

impl Span {
    /// Records have limits far below 4 GB.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let bound = |byte| u32::try_from(byte).unwrap_or(u32::MAX);
        Self { start: bound(start), end: bound(end), is_number: false }
    }

    pub(crate) fn of<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.get(self.start as usize..self.end as usize)
    }
}
