//! The fast path: reads a usual JSON element.
//!
//! It reads only elements for which the parser would return the same row. For any other element it gives up; the parser then
//! reads the element from its start and reports what is wrong. It is fast because keys usually have the same order as in the
//! element before, and because it searches for the ends of strings in blocks.

use std::ops::Range;

use jiter::Jiter;
use wide::u8x16;

use crate::json::keys::Keys;
use crate::json::values::Values;
use crate::path::{KeyStep, NodeId, PathTree};
use crate::span::Span;

/// Most levels of lists and objects: twice those of an NF-e, and fewer than the parser allows.
const NESTING_LIMIT: usize = 32;

/// Most bytes of a number: far more than an amount has, and fewer than the parser allows.
const NUMBER_LIMIT_BYTES: usize = 40;

/// Bytes examined together: few strings of an invoice are longer.
const BLOCK_BYTES: usize = 32;

/// Reads the element into `values`. Returns none if it gives up; `values` may then contain anything.
pub(crate) fn read(values: &mut Values<'_>, steps: &mut [Keys]) -> Option<()> {
    FastPath { bytes: values.base.as_bytes(), values, steps, nesting: 0 }.element()
}

/// The reader. A method that reads something at a byte returns the byte after it.
struct FastPath<'r, 'w> {
    bytes: &'w [u8],
    values: &'r mut Values<'w>,
    steps: &'r mut [Keys],
    nesting: usize,
}

/// The place of a value in the tree of paths.
#[derive(Debug, Clone, Copy)]
struct ValuePlace {
    node: NodeId,
    /// Whether the value is at the place itself, and not under a skipped key.
    is_new: bool,
}

impl FastPath<'_, '_> {
    fn element(&mut self) -> Option<()> {
        let start = self.gap(0);
        if *self.bytes.get(start)? != b'{' {
            return None;
        }
        let end = self.object(start, Some(ValuePlace { node: PathTree::ROOT, is_new: true }))?;
        (self.gap(end) == self.bytes.len()).then_some(())
    }

    /// Skips white space.
    #[inline]
    fn gap(&self, mut at: usize) -> usize {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(at) {
            at += 1;
        }
        at
    }

    /// Reads a value and the white space before it. Without a place, the value is skipped.
    #[inline]
    fn value(&mut self, at: usize, place: Option<ValuePlace>) -> Option<usize> {
        let at = self.gap(at);
        if *self.bytes.get(at)? == b'"' { self.text(at, place) } else { self.other(at, place) }
    }

    /// Reads a value that is not a string.
    #[inline(never)]
    fn other(&mut self, at: usize, place: Option<ValuePlace>) -> Option<usize> {
        match *self.bytes.get(at)? {
            b'{' => self.object(at, place),
            b'[' => self.list(at, place),
            b'n' => self.word(at, b"null"),
            first => self.scalar(at, first, place),
        }
    }

    fn object(&mut self, at: usize, place: Option<ValuePlace>) -> Option<usize> {
        self.deepen()?;
        if let Some(ValuePlace { node, is_new: true }) = place
            && self.values.tree.is_line(node)
        {
            self.values.begin_line().ok()?;
        }
        let first = self.gap(at + 1);
        if *self.bytes.get(first)? == b'}' {
            self.nesting -= 1;
            return Some(first + 1);
        }
        // The byte before the member: first a bracket, then a comma.
        let (mut at, mut next) = (at, 0);
        loop {
            let inner;
            (at, inner) = match place {
                Some(place) => self.member(at + 1, place, &mut next)?,
                None => (self.key(at + 1)?.1, None),
            };
            at = self.value(at, inner)?;
            at = self.gap(at);
            match self.bytes.get(at)? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        self.nesting -= 1;
        Some(at + 1)
    }

    fn list(&mut self, at: usize, place: Option<ValuePlace>) -> Option<usize> {
        self.deepen()?;
        let first = self.gap(at + 1);
        if *self.bytes.get(first)? == b']' {
            self.nesting -= 1;
            return Some(first + 1);
        }
        let mut at = at;
        loop {
            at = self.value(at + 1, place)?;
            at = self.gap(at);
            match self.bytes.get(at)? {
                b',' => {}
                b']' => break,
                _ => return None,
            }
        }
        self.nesting -= 1;
        Some(at + 1)
    }

    fn deepen(&mut self) -> Option<()> {
        self.nesting += 1;
        (self.nesting <= NESTING_LIMIT).then_some(())
    }

    /// Reads a key of the object at `place` up to its value, and returns the place of the value.
    #[inline]
    fn member(&mut self, at: usize, place: ValuePlace, next: &mut usize) -> Option<(usize, Option<ValuePlace>)> {
        let (keys, rest) = (self.steps.get(place.node.index())?, self.bytes.get(at..)?);
        let (end, step) = match keys.expected(rest, next) {
            Some((length, step)) => (at + length, step),
            None => self.unexpected(at, place.node, next)?,
        };
        let inner = match step {
            KeyStep::Into(node) => Some(ValuePlace { node, is_new: true }),
            KeyStep::Stay => Some(ValuePlace { is_new: false, ..place }),
            KeyStep::Past => None,
        };
        Some((end, inner))
    }

    #[inline(never)]
    fn unexpected(&mut self, at: usize, node: NodeId, next: &mut usize) -> Option<(usize, KeyStep)> {
        let (key, end) = self.key(at)?;
        let (key, lead) = (self.bytes.get(key)?, self.bytes.get(at..end)?);
        let keys = self.steps.get_mut(node.index())?;
        let step = keys.step(self.values.tree, node, key, next);
        keys.note_lead(key, lead, *next);
        Some((end, step))
    }

    /// Reads a key up to its value, with the white space before it.
    fn key(&self, at: usize) -> Option<(Range<usize>, usize)> {
        let start = self.gap(at);
        let (end, has_escapes) = self.string(start)?;
        self.with_valid_escapes(start, end, has_escapes)?;
        let colon = self.gap(end);
        (*self.bytes.get(colon)? == b':').then(|| (start + 1..end - 1, self.gap(colon + 1)))
    }

    /// Reads a string that is a value.
    #[inline]
    fn text(&mut self, at: usize, place: Option<ValuePlace>) -> Option<usize> {
        let (end, has_escapes) = self.string(at)?;
        let Some(ValuePlace { node, is_new }) = place else { return self.with_valid_escapes(at, end, has_escapes) };
        let span = if has_escapes { self.values.unescaped(at, end)? } else { Span::new(at + 1, end - 1) };
        self.values.set(node, span, is_new).ok()?;
        Some(end)
    }

    /// Returns the end of a string if its escapes are valid.
    fn with_valid_escapes(&self, start: usize, end: usize, has_escapes: bool) -> Option<usize> {
        if has_escapes {
            Jiter::new(self.bytes.get(start..end)?).next_bytes().ok()?;
        }
        Some(end)
    }

    /// Reads a string, and returns whether it has escapes. Does not check them.
    #[inline]
    fn string(&self, at: usize) -> Option<(usize, bool)> {
        let (b'"', text) = self.bytes.get(at..)?.split_first()? else { return None };
        let end = plain(text);
        match text.get(end)? {
            b'"' => Some((at + end + 2, false)),
            b'\\' => Some((self.end_after(at + end + 1)?, true)),
            _ => None,
        }
    }

    /// Returns the end of a string that has its first backslash here.
    fn end_after(&self, mut backslash: usize) -> Option<usize> {
        loop {
            let after = backslash + 2;
            let next = after + plain(self.bytes.get(after..)?);
            match self.bytes.get(next)? {
                b'"' => return Some(next + 1),
                b'\\' => backslash = next,
                _ => return None,
            }
        }
    }

    /// Reads a number or a word.
    fn scalar(&mut self, at: usize, first: u8, place: Option<ValuePlace>) -> Option<usize> {
        let end = match first {
            b't' => self.word(at, b"true")?,
            b'f' => self.word(at, b"false")?,
            b'N' => self.word(at, b"NaN")?,
            _ => {
                let rest = self.bytes.get(at..)?;
                // The rest of a longer number is an error for the caller, which then gives up.
                at + number(rest.get(..NUMBER_LIMIT_BYTES).unwrap_or(rest))?
            }
        };
        let span = match first {
            b'N' => Span::default(),
            _ => Span { is_number: matches!(first, b'-' | b'0'..=b'9'), ..Span::new(at, end) },
        };
        if let Some(ValuePlace { node, is_new }) = place {
            self.values.set(node, span, is_new).ok()?;
        }
        Some(end)
    }

    fn word(&self, at: usize, word: &[u8]) -> Option<usize> {
        self.bytes.get(at..)?.strip_prefix(word)?;
        Some(at + word.len())
    }
}

/// Returns the number of bytes before the first quote, backslash or control character.
#[inline]
fn plain(text: &[u8]) -> usize {
    let mut before = 0;
    let (blocks, rest) = text.as_chunks::<BLOCK_BYTES>();
    for block in blocks {
        let marked = marked(block);
        if marked != 0 {
            return before + marked.trailing_zeros() as usize;
        }
        before += BLOCK_BYTES;
    }
    let is_marked = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
    before + rest.iter().position(is_marked).unwrap_or(rest.len())
}

/// Returns a bit for each quote, backslash and control character. The lowest bit is the first byte.
#[inline]
fn marked(block: &[u8; BLOCK_BYTES]) -> u32 {
    let [quote, backslash, control] = [b'"', b'\\', 0x1f].map(u8x16::splat);
    let halves = block.as_chunks::<16>().0.iter().enumerate();
    halves.fold(0, |marked, (nth, half)| {
        let half = u8x16::new(*half);
        let found = half.simd_eq(quote) | half.simd_eq(backslash) | half.min(control).simd_eq(half);
        marked | found.to_bitmask() << (16 * nth)
    })
}

/// Returns the length of the JSON number at the start of `text`; none if there is no valid number.
fn number(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let start = usize::from(text.first() == Some(&b'-'));
    let mut end = digits(start)?;
    if text.get(start) == Some(&b'0') && end > start + 1 {
        return None;
    }
    if text.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let has_sign = matches!(text.get(end + 1), Some(b'+' | b'-'));
        end = digits(end + 1 + usize::from(has_sign))?;
    }
    Some(end)
}

#[cfg(test)]
mod tests;
