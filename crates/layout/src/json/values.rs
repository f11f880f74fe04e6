//! The values of one element, as they are taken into the columns of a row.

use crate::bound::Bound;
use crate::json::text::unescape;
use crate::path::{NodeId, PathTree};
use crate::reject::{Quoted, Reason, Reject};
use crate::span::Span;

/// Most lines of one record: ten times what an NF-e may have (990).
pub(crate) const LINES_LIMIT: usize = 10_000;

/// What the columns of a row are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowShape<'m> {
    pub(crate) bound: &'m [Bound],
    pub(crate) record_columns: usize,
    pub(crate) keeps_others: bool,
}

/// What was read of an element so far. Its spans are those of the element's text and, behind it, of `extra`.
#[derive(Debug)]
pub(crate) struct Values<'w> {
    pub(crate) tree: &'w PathTree,
    pub(crate) shape: RowShape<'w>,
    /// The element.
    pub(crate) base: &'w str,
    pub(crate) extra: &'w mut String,
    /// For one string with escapes.
    pub(crate) tape: &'w mut Vec<u8>,
    /// By column, nothing at first.
    pub(crate) record: &'w mut [Span],
    pub(crate) lines: &'w mut Vec<Span>,
}

/// What does not fit into a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Misfit {
    TooManyLines,
    /// A value where an object should stand for each line.
    NoLine(Span),
    /// Two values of one column.
    Repeated {
        column: usize,
        values: [Span; 2],
    },
}

impl Values<'_> {
    /// Forgets all that was taken.
    pub(crate) fn clear(&mut self) {
        self.extra.clear();
        self.record.fill(Span::default());
        self.lines.clear();
    }

    /// Begins a line: what belongs to one is taken into this one from now on.
    pub(crate) fn begin_line(&mut self) -> Result<(), Misfit> {
        let columns = self.line_columns();
        if self.lines.len() >= LINES_LIMIT * columns.max(1) {
            return Err(Misfit::TooManyLines);
        }
        self.lines.resize(self.lines.len() + columns, Span::default());
        Ok(())
    }

    /// The text of a string with escapes, which stands there with its quotes; none where it is no string.
    pub(crate) fn unescaped(&mut self, start: usize, end: usize) -> Option<Span> {
        let from = self.base.len() + self.extra.len();
        unescape(self.base.get(start..end)?, self.tape, self.extra)?;
        Some(Span::new(from, self.base.len() + self.extra.len()))
    }

    /// Takes a value into its column, unless it is blank. `is_new`: whether it stands at the place for itself, and not under a
    /// key that is looked through.
    #[expect(clippy::inline_always, reason = "to call it and to pass the span takes longer than what it does")]
    #[inline(always)]
    pub(crate) fn set(&mut self, at: NodeId, span: Span, is_new: bool) -> Result<(), Misfit> {
        // Part by part: as a whole it would pass through memory, which takes longer than all of the rest.
        let Span { start, end, is_number } = span;
        let span = || Span { start, end, is_number };
        let Some(column) = self.tree.column(at) else {
            return if is_new && self.tree.is_line(at) { Err(Misfit::NoLine(span())) } else { Ok(()) };
        };
        // Told by the first byte of most.
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

    /// Takes the value of a column that has one.
    #[cold]
    fn set_again(&mut self, column: usize, span: Span) -> Result<(), Misfit> {
        let Some(slot) = self.slot(column) else { return Ok(()) };
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

    /// Where the value of a column belongs: into the record, or into the line in the making.
    #[inline]
    fn slot(&mut self, column: usize) -> Option<&mut Span> {
        let Some(of_line) = column.checked_sub(self.shape.record_columns) else { return self.record.get_mut(column) };
        let line = self.lines.len().checked_sub(self.line_columns())?;
        self.lines.get_mut(line + of_line)
    }

    fn line_columns(&self) -> usize {
        self.shape.bound.len() - self.shape.record_columns
    }

    #[inline]
    pub(crate) fn text_of(&self, span: Span) -> &str {
        match (span.start as usize).checked_sub(self.base.len()) {
            Some(start) => self.extra.get(start..span.end as usize - self.base.len()).unwrap_or_default(),
            None => span.of(self.base).unwrap_or_default(),
        }
    }

    /// What the element is a reject for.
    #[cold]
    pub(crate) fn reject(&self, misfit: Misfit) -> Reject {
        let quoted = |span| Quoted(self.text_of(span));
        let (reason, message) = match misfit {
            Misfit::TooManyLines => {
                (Reason::TooManyLines, format!("expected at most {LINES_LIMIT} lines in one invoice, found more"))
            }
            Misfit::NoLine(span) => {
                (Reason::UnexpectedValue, format!("expected an object for each line, found {}", quoted(span)))
            }
            Misfit::Repeated { column, values } => {
                let path = self.shape.bound.get(column).map(|bound| bound.column.as_str()).unwrap_or_default();
                let [first, second] = values.map(quoted);
                (Reason::RepeatedValue, format!("{path}: expected one value, found {first} and {second}"))
            }
        };
        Reject { reason, message }
    }
}
