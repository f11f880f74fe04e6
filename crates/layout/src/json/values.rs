//! Collects the values of one element in the columns of a row.

use crate::bound::Bound;
use crate::json::text::unescape;
use crate::path::{NodeId, PathTree};
use crate::reject::{Quoted, Reason, Reject};
use crate::span::Span;

/// Most lines of one record: ten times what an NF-e may have (990).
pub(crate) const LINES_LIMIT: usize = 10_000;

/// The columns of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowShape<'m> {
    pub(crate) bound: &'m [Bound],
    pub(crate) record_columns: usize,
    pub(crate) keeps_others: bool,
}

/// The values that have been read from an element. The spans refer to the text of the element followed by `extra`.
#[derive(Debug)]
pub(crate) struct Values<'w> {
    pub(crate) tree: &'w PathTree,
    pub(crate) shape: RowShape<'w>,
    /// The text of the element.
    pub(crate) base: &'w str,
    pub(crate) extra: &'w mut String,
    /// Buffer of the parser for one string with escapes.
    pub(crate) tape: &'w mut Vec<u8>,
    /// The value of each column of the record; an empty span if there is none.
    pub(crate) record: &'w mut [Span],
    pub(crate) lines: &'w mut Vec<Span>,
}

/// A value that does not fit into a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Misfit {
    TooManyLines,
    /// A value in the place of a line, which must be an object.
    LineNotObject(Span),
    /// Two different values of one column.
    Repeated {
        column: usize,
        values: [Span; 2],
    },
}

impl Values<'_> {
    /// Removes all values.
    pub(crate) fn clear(&mut self) {
        self.extra.clear();
        self.record.fill(Span::default());
        self.lines.clear();
    }

    /// Begins a line. The following values of lines belong to it.
    pub(crate) fn begin_line(&mut self) -> Result<(), Misfit> {
        let columns = self.line_columns();
        if self.lines.len() >= LINES_LIMIT * columns.max(1) {
            return Err(Misfit::TooManyLines);
        }
        self.lines.resize(self.lines.len() + columns, Span::default());
        Ok(())
    }

    /// Appends the text of the string at `start..end`, which includes its quotes, to `extra`. Returns none if it is not a valid
    /// string.
    pub(crate) fn unescaped(&mut self, start: usize, end: usize) -> Option<Span> {
        let from = self.base.len() + self.extra.len();
        unescape(self.base.get(start..end)?, self.tape, self.extra)?;
        Some(Span::new(from, self.base.len() + self.extra.len()))
    }

    /// Stores a value in its column, unless it is blank. `is_new`: whether the value is at the place itself, and not under a
    /// skipped key.
    #[expect(clippy::inline_always, reason = "the call and passing the span take longer than the function")]
    #[inline(always)]
    pub(crate) fn set(&mut self, at: NodeId, span: Span, is_new: bool) -> Result<(), Misfit> {
        // Field by field: as a whole it would pass through memory, which takes longer than the rest of the function.
        let Span { start, end, is_number } = span;
        let span = || Span { start, end, is_number };
        let Some(column) = self.tree.column(at) else {
            return if is_new && self.tree.is_line(at) { Err(Misfit::LineNotObject(span())) } else { Ok(()) };
        };
        // The first byte decides for most values.
        let first = self.base.as_bytes().get(start as usize);
        let is_plain = start < end && first.is_some_and(u8::is_ascii_graphic);
        if !is_plain && self.is_blank(span()) {
            return Ok(());
        }
        match self.slot(column) {
            Some(slot) if slot.start == slot.end => {
                (slot.start, slot.end, slot.is_number) = (start, end, is_number);
                Ok(())
            }
            _ => self.set_again(column, span()),
        }
    }

    /// Stores a value in a column that has one. Two equal values are one.
    #[cold]
    fn set_again(&mut self, column: usize, span: Span) -> Result<(), Misfit> {
        // The columns of lines are below the places of lines, so that a line has begun here.
        let Some(slot) = self.slot(column) else { return Err(Misfit::LineNotObject(span)) };
        let before = std::mem::replace(slot, span);
        if self.text_of(before) == self.text_of(span) {
            return Ok(());
        }
        Err(Misfit::Repeated { column, values: [before, span] })
    }

    #[cold]
    fn is_blank(&self, span: Span) -> bool {
        self.text_of(span).trim_start().is_empty()
    }

    /// Returns the place of a column: in the record, or in the current line. None for a column of lines before the first line.
    #[inline]
    fn slot(&mut self, column: usize) -> Option<&mut Span> {
        let Some(of_line) = column.checked_sub(self.shape.record_columns) else { return self.record.get_mut(column) };
        let line = self.lines.len().checked_sub(self.line_columns())?;
        self.lines.get_mut(line + of_line)
    }

    fn line_columns(&self) -> usize {
        self.shape.bound.len() - self.shape.record_columns
    }

    /// Returns the text of a value.
    #[expect(clippy::expect_used, reason = "every span was made for this text")]
    #[inline]
    pub(crate) fn text_of(&self, span: Span) -> &str {
        match (span.start as usize).checked_sub(self.base.len()) {
            Some(start) => self.extra.get(start..span.end as usize - self.base.len()),
            None => span.of(self.base),
        }
        .expect("each value is a part of the text")
    }

    /// Returns the reject for an element with a value that does not fit.
    #[cold]
    pub(crate) fn reject(&self, misfit: Misfit) -> Reject {
        let quoted = |span| Quoted(self.text_of(span));
        let (reason, message) = match misfit {
            Misfit::TooManyLines => {
                (Reason::TooManyLines, format!("expected at most {LINES_LIMIT} lines in one invoice, found more"))
            }
            Misfit::LineNotObject(span) => {
                (Reason::UnexpectedValue, format!("expected an object for each line, found {}", quoted(span)))
            }
            Misfit::Repeated { column, values } => {
                let path = self.shape.bound.get(column).map_or("a value", |bound| bound.column.as_str());
                let [first, second] = values.map(quoted);
                (Reason::RepeatedValue, format!("{path}: expected one value, found {first} and {second}"))
            }
        };
        Reject { reason, message }
    }
}
