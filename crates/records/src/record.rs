//! What the formats share: the position of a record and its content.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The most bytes of raw text that [`RawRecord::raw`] returns. A reject keeps this text.
pub const RAW_LIMIT_BYTES: usize = 4096;

/// The byte order mark of UTF-8.
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

/// The format of an entry.
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

/// How the elements of a JSON entry are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// One value per line (NDJSON). A line ends only at LF.
    Lines,
    /// One or more values, one after the other, with or without white space between them.
    Values,
    /// Elements of an array.
    Array {
        /// Number of objects around the array. With 0 the array is the root, and more arrays can follow (`[…][…]`).
        levels: u32,
        /// Whether to skip other lists of objects after this array in those objects, because a layout names this array.
        alone: bool,
    },
}

/// A position between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Byte of the decoded entry, from 0.
    pub byte: u64,
    /// Physical line of that byte, counted from 1. In CSV a line ends at LF, CRLF or a single CR, also within quotes;
    /// in JSON only at LF.
    pub line: u64,
}

impl Position {
    /// The start of an entry.
    pub const START: Self = Self { byte: 0, line: 1 };
}

/// The content of a record.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// The fields of a CSV record, unquoted.
    Fields(Fields<'a>),
    /// A JSON element as it is in the source, not yet parsed.
    Json(&'a [u8]),
    /// A JSON element over the limit. Only its position and the beginning of its text are known.
    TooLong,
}

/// The fields of a CSV record, unquoted.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    text: &'a [u8],
    bounds: &'a [Range<usize>],
}

impl<'a> Fields<'a> {
    /// Creates fields from ranges of `text`, in order. The reader computes the ranges, and all of them are within
    /// `text`.
    #[must_use]
    pub fn new(text: &'a [u8], bounds: &'a [Range<usize>]) -> Self {
        Self { text, bounds }
    }

    /// Returns the text that holds the fields. Between the fields it holds only ASCII or nothing.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Returns the range of each field in the text.
    #[must_use]
    pub fn bounds(&self) -> &'a [Range<usize>] {
        self.bounds
    }

    /// Returns the fields one after the other. Panics if a range is not within the text.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let text = self.text;
        self.bounds.iter().map(|field| text.split_at(field.end).0.split_at(field.start).1)
    }
}

/// Fields that own their text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldsBuf {
    text: Vec<u8>,
    bounds: Vec<Range<usize>>,
}

impl FieldsBuf {
    /// Borrows the fields.
    #[must_use]
    pub fn as_fields(&self) -> Fields<'_> {
        Fields::new(&self.text, &self.bounds)
    }

    /// Replaces the fields.
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
    /// Content of the record.
    pub content: Content<'a>,
    /// First byte of the record.
    pub byte: u64,
    /// The byte after the last byte, without the line end.
    pub end: u64,
    /// Physical line of the first byte, counted from 1.
    pub line: u64,
    /// Whether the input ends within the quotes of the last field: the input is cut, or a quote is never closed. Always
    /// false in JSON.
    pub unclosed_quote: bool,
    pub(super) raw: &'a [u8],
    pub(super) next: Position,
}

impl<'a> RawRecord<'a> {
    /// Returns the text of the record as it is in the source, at most [`RAW_LIMIT_BYTES`], without the line end.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw.get(..RAW_LIMIT_BYTES).unwrap_or(self.raw)
    }

    /// Returns where the search for the next record starts. A new reader that starts there returns the same later
    /// records.
    #[must_use]
    pub fn next(&self) -> Position {
        self.next
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    /// Plans store the format, and a later version of the program reads them.
    #[test]
    fn the_stored_text_of_a_format_does_not_change() {
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
