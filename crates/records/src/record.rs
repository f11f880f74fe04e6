//! What the formats share: where a record stands, and what of it is given on.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Bytes of a record's raw text that [`RawRecord::raw`] gives: what a reject keeps.
pub const RAW_LIMIT_BYTES: usize = 4096;

/// The byte order mark of UTF-8.
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

/// What the bytes of an entry are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Fields between delimiters.
    Csv {
        /// Field delimiter.
        delimiter: u8,
    },
    /// JSON elements.
    Json(Shape),
}

/// How the elements of a JSON entry lie in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// One value a line (NDJSON). A line ends only at LF.
    Lines,
    /// Values one behind the other, with or without spaces between them: one object alone, or several.
    Values,
    /// Elements of an array.
    Array {
        /// Objects that the array lies in. Of none: it is the root, and several may follow one another (`[…][…]`).
        levels: u32,
        /// Whether lists of objects that come behind it in those objects are passed over, since somebody has named this one.
        alone: bool,
    },
}

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Byte of the decoded entry, from 0.
    pub byte: u64,
    /// Physical line of that byte, from 1. In CSV LF, CRLF and a CR alone end a line, within quotes too; in JSON LF does.
    pub line: u64,
}

impl Position {
    /// Where an entry begins.
    pub const START: Self = Self { byte: 0, line: 1 };
}

/// What a record holds.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// The fields of a CSV record, unquoted.
    Fields(Fields<'a>),
    /// A JSON element as it stands in the source, not yet parsed.
    Json(&'a [u8]),
    /// A JSON element over the limit. Of it only its place and the beginning of its text are known.
    TooLong,
}

/// The fields of a CSV record, unquoted.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    text: &'a [u8],
    bounds: &'a [Range<usize>],
}

impl<'a> Fields<'a> {
    /// Stretches of `text`, in order. What does not stand in it is empty.
    #[must_use]
    pub fn new(text: &'a [u8], bounds: &'a [Range<usize>]) -> Self {
        Self { text, bounds }
    }

    /// The text that they stand in. Between them there is nothing, or ASCII.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Where they stand in the text.
    #[must_use]
    pub fn bounds(&self) -> &'a [Range<usize>] {
        self.bounds
    }

    /// Each by itself.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let text = self.text;
        self.bounds.iter().map(|field| text.get(field.clone()).unwrap_or_default())
    }
}

/// Fields with a text of their own, one right behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldsBuf {
    text: Vec<u8>,
    bounds: Vec<Range<usize>>,
}

impl FieldsBuf {
    /// Them, borrowed.
    #[must_use]
    pub fn as_fields(&self) -> Fields<'_> {
        Fields::new(&self.text, &self.bounds)
    }

    /// Holds these instead.
    pub(super) fn set(&mut self, fields: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        self.text.clear();
        self.bounds.clear();
        for field in fields {
            let start = self.text.len();
            self.text.extend_from_slice(field.as_ref());
            self.bounds.push(start..self.text.len());
        }
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for FieldsBuf {
    fn from_iter<I: IntoIterator<Item = T>>(fields: I) -> Self {
        let mut all = Self::default();
        all.set(fields);
        all
    }
}

/// One record, borrowed from its reader.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// What it holds.
    pub content: Content<'a>,
    /// Its first byte.
    pub byte: u64,
    /// Behind its last byte, line end not counted.
    pub end: u64,
    /// Physical line of its first byte, from 1.
    pub line: u64,
    /// Whether the input ends within its last field's quotes: it is cut, or a quote is never closed. Never so in JSON.
    pub unclosed_quote: bool,
    pub(super) raw: &'a [u8],
    pub(super) next: Position,
}

impl<'a> RawRecord<'a> {
    /// Its text as it stands in the source, at most [`RAW_LIMIT_BYTES`] of it, line end not counted.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw.get(..RAW_LIMIT_BYTES).unwrap_or(self.raw)
    }

    /// Where the next record's search begins. A new reader that starts there gives the very same later records.
    #[must_use]
    pub fn next(&self) -> Position {
        self.next
    }

    /// The byte of [`RawRecord::next`].
    #[must_use]
    pub fn next_byte(&self) -> u64 {
        self.next.byte
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    /// It stands in plans, which a later version of the program reads.
    #[test]
    fn a_format_has_one_text() {
        let cases = [
            (Format::Csv { delimiter: b';' }, r#"{"csv":{"delimiter":59}}"#),
            (Format::Json(Shape::Lines), r#"{"json":"lines"}"#),
            (Format::Json(Shape::Values), r#"{"json":"values"}"#),
            (Format::Json(Shape::Array { levels: 2, alone: true }), r#"{"json":{"array":{"levels":2,"alone":true}}}"#),
        ];
        for (format, text) in cases {
            assert_eq!(serde_json::to_string(&format).unwrap(), text);
            assert_eq!(serde_json::from_str::<Format>(text).unwrap(), format);
        }
    }
}
