//! CSV records with exact positions and a cap on their length.
//!
//! ```text
//! AsyncRead ─► Tape (keeps, caps) ─► csv-async (parses) ─► CsvReader (positions) ─► RawRecord
//! ```

use std::io;
use std::mem;

use csv_async::{AsyncReader, AsyncReaderBuilder, ByteRecord, ErrorKind};
use tokio::io::AsyncRead;

use super::error::{Place, ReadError};
pub use super::header::{Head, read_header, sniff_delimiter};
use super::record::Content;
pub use super::record::{Position, RAW_LIMIT_BYTES, RawRecord};
use super::tape::{Tape, count_line_ends};

/// Bytes that a record may have, line end not counted, unless options say otherwise: 100 times the longest row of the
/// layouts known (an NFS-e row of 73 columns with its free text stays under 10 KB), so that beyond it a quote is open.
pub const RECORD_LIMIT_BYTES: usize = 1024 * 1024;

/// Bytes handed to the parser at once. Measured: below 128 KiB the calls between show.
const BUFFER_BYTES: usize = 128 * 1024;

/// How to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvOptions {
    /// Field delimiter.
    pub delimiter: u8,
    /// Bytes that a record may have, line end not counted.
    pub record_limit_bytes: usize,
}

/// Reads records one after the other.
///
/// Fields may be quoted by `"`, doubled within; a quote inside an unquoted field is an ordinary character. Records end with
/// LF, CRLF or CR. Blank lines are no records; records may have any number of fields. A byte order mark at byte 0 is left
/// out. Every parse succeeds: the one error of its own is a record over the limit.
///
/// Memory is bounded by the limit: at most about twice the limit for the text and its fields, 16 times the limit for the
/// bounds of a record that is nothing but delimiters, and two buffers of 128 KiB.
#[derive(Debug)]
pub struct CsvReader<R> {
    parser: AsyncReader<Tape<R>>,
    record: ByteRecord,
    options: CsvOptions,
    start: Position,
    name: Place,
    /// Set while a record is being read, and left so by an error or by a read that was dropped.
    busy: bool,
}

impl<R: AsyncRead + Send + Unpin> CsvReader<R> {
    /// Reads from `reader`, whose first byte stands at `start`: where an entry begins, or what
    /// [`RawRecord::next`] or [`CsvReader::position`] gave.
    #[must_use]
    pub fn new(reader: R, options: CsvOptions, start: Position) -> Self {
        let tape = Tape::new(reader, start, options.record_limit_bytes);
        let parser = AsyncReaderBuilder::new()
            .delimiter(options.delimiter)
            .flexible(true)
            .has_headers(false)
            .buffer_capacity(BUFFER_BYTES)
            .create_reader(tape);
        Self { parser, record: ByteRecord::new(), options, start, name: Place::default(), busy: false }
    }

    /// Names object and entry for errors.
    #[must_use]
    pub fn called(mut self, name: &Place) -> Self {
        self.name = name.clone();
        self
    }

    /// The next record; none at the end.
    ///
    /// Not safe to cancel: if the future is dropped before it is ready, every later call gives [`ReadError::Spent`], because
    /// part of a record is lost. So does every call after an error.
    ///
    /// # Errors
    /// A record over the limit; whatever the reader gives.
    pub async fn next(&mut self) -> Result<Option<RawRecord<'_>>, ReadError> {
        if mem::replace(&mut self.busy, true) {
            return Err(ReadError::Spent);
        }
        let read = self.parser.read_byte_record(&mut self.record).await;
        let more = read.map_err(|error| self.explain(error))?;
        let (parsed, line_feeds) = (self.parser.position().byte(), self.parser.position().line());
        let consumed = self.consumed(parsed);
        let tape = self.parser.get_mut();
        tape.skip_blank();
        if !more {
            self.busy = false;
            return Ok(None);
        }
        let first = tape.from();
        let bounds = Bounds::of(tape, first, consumed);
        if bounds.end - first.byte > self.options.record_limit_bytes as u64 {
            return Err(tape.too_long().called(&self.name));
        }
        // The parser counts line feeds as it goes, from 1, our own first one included.
        let line = if tape.has_lone_cr() {
            first.line + count_line_ends(tape.slice(first.byte, bounds.next))
        } else {
            self.start.line + line_feeds - 2 + u64::from(bounds.line_feed_ahead)
        };
        let next = Position { byte: bounds.next, line };
        tape.advance(next);
        self.busy = false;
        let tape = self.parser.get_ref();
        let raw = tape.slice(first.byte, bounds.end);
        let unclosed_quote = tape.end_told() && ends_in_quotes(raw, self.options.delimiter);
        Ok(Some(RawRecord {
            content: Content::Fields(&self.record),
            byte: first.byte,
            end: bounds.end,
            line: first.line,
            unclosed_quote,
            raw,
            next,
        }))
    }

    /// Where the next record's search begins: behind the last record given, or at the end behind all.
    #[must_use]
    pub fn position(&self) -> Position {
        self.parser.get_ref().from()
    }

    /// The reader it reads from, which is ahead of the records by up to a buffer.
    #[must_use]
    pub fn reader(&self) -> &R {
        self.parser.get_ref().inner()
    }

    /// Byte of the input that the parser has come to. A byte order mark is left out of what it sees, and our own first line
    /// feed is not of the input.
    fn consumed(&self, parsed: u64) -> u64 {
        self.start.byte + self.parser.get_ref().bom_bytes() + parsed.saturating_sub(1)
    }

    fn explain(&self, error: csv_async::Error) -> ReadError {
        let error = match error.into_kind() {
            ErrorKind::Io(error) => error,
            other => io::Error::other(format!("{other:?}")),
        };
        ReadError::from(error).called(&self.name)
    }
}

/// Where a record ends.
struct Bounds {
    /// Behind its last byte, line end not counted.
    end: u64,
    /// Behind its line end.
    next: u64,
    /// Whether the line end is CRLF, of which the parser has taken the CR only.
    line_feed_ahead: bool,
}

impl Bounds {
    fn of<R>(tape: &Tape<R>, first: Position, consumed: u64) -> Self {
        if tape.end_told() {
            return Self { end: consumed, next: consumed, line_feed_ahead: false };
        }
        let end = consumed.saturating_sub(1).max(first.byte);
        let line_feed_ahead = tape.slice(end, consumed + 1) == b"\r\n";
        Self { end, next: consumed + u64::from(line_feed_ahead), line_feed_ahead }
    }
}

/// Whether a record that the end of the input has ended stands within quotes there.
fn ends_in_quotes(raw: &[u8], delimiter: u8) -> bool {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum At {
        FieldStart,
        Unquoted,
        Quoted,
        QuoteInQuoted,
    }
    let step = |at: At, byte: &u8| match (at, *byte) {
        (At::Quoted, b'"') => At::QuoteInQuoted,
        (At::FieldStart | At::QuoteInQuoted, b'"') | (At::Quoted, _) => At::Quoted,
        (_, byte) if byte == delimiter => At::FieldStart,
        _ => At::Unquoted,
    };
    raw.iter().fold(At::FieldStart, step) == At::Quoted
}

#[cfg(test)]
mod tests;
