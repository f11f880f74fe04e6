//! Holds the bytes of the input from the start of the current record.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::scanner::RecordEnd;
use crate::record::{BOM, Position};

/// Bytes of one read. Measured: with less than 128 KiB the cost of the calls shows.
pub(super) const BUFFER_BYTES: usize = 128 * 1024;

/// Bytes of the input that are read and not yet consumed.
#[derive(Debug)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// Where the current record, or the blank lines before it, starts in `bytes`.
    from: usize,
    /// The same position in the input.
    position: Position,
    /// Whether a byte order mark may follow.
    is_beginning: bool,
    has_ended: bool,
}

impl Window {
    pub(super) fn new(start: Position) -> Self {
        Self { bytes: Vec::new(), from: 0, position: start, is_beginning: start.byte == 0, has_ended: false }
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Returns whether all of the input has been read.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns the bytes from the start of the current record.
    pub(super) fn record(&self) -> &[u8] {
        self.bytes.split_at(self.from).1
    }

    /// Returns the least length of the current record while its end is unknown: a CR at the end may belong to a CRLF.
    pub(super) fn least_record_bytes(&self) -> usize {
        let come = self.record();
        come.len() - usize::from(come.last() == Some(&b'\r'))
    }

    /// Returns the text of the last consumed record.
    pub(super) fn before(&self, end: RecordEnd) -> &[u8] {
        let (consumed, _) = self.bytes.split_at(self.from);
        let (_, record) = consumed.split_at(self.from - end.next);
        record.split_at(end.record).0
    }

    /// Skips the line ends before a record, and a byte order mark. Returns false if it needs more bytes to decide.
    pub(super) fn skip_blank(&mut self) -> bool {
        if self.is_beginning {
            let come = self.record();
            if come.len() < BOM.len() && BOM.starts_with(come) && !self.has_ended {
                return false;
            }
            let has_mark = come.starts_with(BOM);
            self.is_beginning = false;
            if has_mark {
                self.from += BOM.len();
                self.position.byte += BOM.len() as u64;
            }
        }
        let come = self.record();
        let blank = come.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
        let mut blank_bytes = blank.unwrap_or(come.len());
        if blank.is_none() && !self.has_ended {
            // A CR may be the first half of a CRLF.
            blank_bytes -= usize::from(come.last() == Some(&b'\r'));
        }
        let lines = count_line_ends(come.split_at(blank_bytes).0);
        self.from += blank_bytes;
        self.position = Position { byte: self.position.byte + blank_bytes as u64, line: self.position.line + lines };
        blank.is_some() || self.has_ended
    }

    /// Consumes the record that ends there. Returns where the search for the next record starts.
    #[inline]
    pub(super) fn advance(&mut self, end: RecordEnd, has_inner_line_ends: bool) -> Position {
        let lines = match self.record().get(..end.next) {
            Some(text) if has_inner_line_ends => count_line_ends(text),
            _ => u64::from(end.next > end.record),
        };
        self.from += end.next;
        self.position = Position { byte: self.position.byte + end.next as u64, line: self.position.line + lines };
        self.position
    }

    /// Drops the consumed bytes and reads more.
    pub(super) async fn fill(&mut self, input: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        self.bytes.drain(..self.from);
        self.from = 0;
        self.bytes.reserve(BUFFER_BYTES);
        self.has_ended = input.take(BUFFER_BYTES as u64).read_buf(&mut self.bytes).await? == 0;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Counts the line ends LF, CRLF and single CR in a text that does not start or end within a CRLF.
pub(super) fn count_line_ends(text: &[u8]) -> u64 {
    let mut nexts = text.iter().skip(1);
    let is_end = |byte: &&u8| {
        let next = nexts.next();
        **byte == b'\n' || (**byte == b'\r' && next != Some(&b'\n'))
    };
    text.iter().filter(is_end).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_counted() {
        for (text, count) in [("", 0), ("\n", 1), ("\r\n", 1), ("\r", 1), ("\r\r\n\n\r", 4), ("a\rb\r\nc\nd", 3)] {
            assert_eq!(count_line_ends(text.as_bytes()), count, "{text:?}");
        }
    }
}
