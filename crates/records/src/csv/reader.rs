//! Reads CSV records one after the other.

use std::mem;

use tokio::io::AsyncRead;

use super::scanner::{Quoting, Scanner};
use super::unquote::Unquoter;
use super::window::Window;
use crate::error::{Place, ReadError};
use crate::record::{Content, Fields, Position, RawRecord};

/// Default limit for the bytes of a record, without the line end: 100 times the longest row of the known layouts (an
/// NFS-e row of 73 columns with its free text has under 10 KB). A longer record means that a quote is not closed.
pub const RECORD_LIMIT_BYTES: usize = 1024 * 1024;

/// Options of a [`CsvReader`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvOptions {
    /// Field delimiter.
    pub delimiter: u8,
    /// The most bytes of a record, without the line end.
    pub record_limit_bytes: usize,
}

/// Reads records one after the other.
///
/// Fields may be quoted with `"`; a quote within a quoted field is doubled. A quote within an unquoted field is an
/// ordinary character. Records end with LF, CRLF or CR. Blank lines are skipped. Records may have any number of fields.
/// A byte order mark at byte 0 is skipped. Every text can be parsed: the only error of the reader itself is a record
/// over the limit.
///
/// The limit bounds the memory: about twice the limit for the text, as much for fields that contain quotes, 48 times
/// the limit for the bounds of a record of delimiters only, and two buffers of 128 KiB.
#[derive(Debug)]
pub struct CsvReader<R> {
    input: R,
    window: Window,
    scanner: Scanner,
    unquoter: Unquoter,
    options: CsvOptions,
    name: Place,
    /// Set while a record is being read. Stays set after an error, or after a read that was dropped.
    busy: bool,
}

impl<R: AsyncRead + Send + Unpin> CsvReader<R> {
    /// Reads from `reader`, whose first byte is at `start`: the beginning of an entry, or a position returned by
    /// [`RawRecord::next`] or [`CsvReader::position`].
    #[must_use]
    pub fn new(reader: R, options: CsvOptions, start: Position) -> Self {
        Self {
            input: reader,
            window: Window::new(start),
            scanner: Scanner::new(options.delimiter),
            unquoter: Unquoter::new(options.delimiter),
            options,
            name: Place::default(),
            busy: false,
        }
    }

    /// Sets the object and entry for errors.
    #[must_use]
    pub fn called(mut self, name: &Place) -> Self {
        self.name = name.clone();
        self
    }

    /// Reads the next record; returns `None` at the end.
    ///
    /// Not safe to cancel: if the future is dropped before it is ready, every later call returns
    /// [`ReadError::UsedAfterError`], because part of a record is lost. So does every call after an error.
    ///
    /// # Errors
    /// A record over the limit; the errors of the underlying reader.
    pub async fn next(&mut self) -> Result<Option<RawRecord<'_>>, ReadError> {
        if mem::replace(&mut self.busy, true) {
            return Err(ReadError::UsedAfterError);
        }
        while !self.window.skip_blank() {
            self.fill().await?;
        }
        self.scanner.begin();
        let end = loop {
            let found = self.scanner.end(self.window.record(), self.window.has_ended());
            let length = found.map_or_else(|| self.window.least_record_bytes(), |end| end.record);
            if length > self.options.record_limit_bytes {
                return Err(self.too_long());
            }
            match found {
                Some(end) => break end,
                None => self.fill().await?,
            }
        };
        self.busy = false;
        let first = self.window.position();
        if end.next == 0 {
            return Ok(None);
        }
        let text = self.window.record().split_at(end.record).0;
        let quoting = self.scanner.quoting();
        match quoting {
            Quoting::Plain => {}
            Quoting::Doubled => self.unquoter.undouble(text, self.scanner.fields_mut()),
            Quoting::Irregular => {
                let unquoted = self.unquoter.parse_irregular(text, end.within_quotes).await;
                unquoted.map_err(|error| ReadError::from(error).called(&self.name))?;
            }
        }
        let next = self.window.advance(end, self.scanner.has_inner_line_ends());
        let raw = self.window.before(end);
        let fields = match quoting {
            Quoting::Plain => Fields::new(raw, self.scanner.fields()),
            Quoting::Doubled => Fields::new(self.unquoter.undoubled(), self.scanner.fields()),
            Quoting::Irregular => self.unquoter.fields(),
        };
        Ok(Some(RawRecord {
            content: Content::Fields(fields),
            byte: first.byte,
            end: first.byte + end.record as u64,
            line: first.line,
            unclosed_quote: end.within_quotes,
            raw,
            next,
        }))
    }

    /// Returns where the search for the next record starts: after the last returned record, or at the end of the data.
    #[must_use]
    pub fn position(&self) -> Position {
        self.window.position()
    }

    /// Returns the underlying reader, which is ahead of the records by up to one buffer.
    #[cfg(test)]
    pub(crate) fn reader(&self) -> &R {
        &self.input
    }

    async fn fill(&mut self) -> Result<(), ReadError> {
        let filled = self.window.fill(&mut self.input).await;
        filled.map_err(|error| ReadError::from(error).called(&self.name))
    }

    #[cold]
    fn too_long(&self) -> ReadError {
        let Position { byte, line } = self.window.position();
        let place = Place { line: Some(line), byte: Some(byte), ..Place::default() };
        let limit_bytes = self.options.record_limit_bytes;
        ReadError::RecordTooLong { place: Box::new(place), limit_bytes }.called(&self.name)
    }
}

#[cfg(test)]
mod tests;
