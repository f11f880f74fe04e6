//! The place of a value in the text of a row.

/// The place of a value in the text of its row, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Whether the value is a JSON number.
    pub(crate) is_number: bool,
}

impl Span {
    #[expect(clippy::expect_used, reason = "a record has at most some MiB, so that its text is shorter than 4 GiB")]
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let bound = |byte| u32::try_from(byte).expect("the text of a record is shorter than 4 GiB");
        Self { start: bound(start), end: bound(end), is_number: false }
    }

    /// Returns the value; none if `text` is not the text of this row.
    pub(crate) fn of<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.get(self.start as usize..self.end as usize)
    }
}
