//! The bytes of the input from the record in the making on.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::scanner::RecordEnd;
use crate::record::{BOM, Position};

/// Bytes asked for at once. Measured: below 128 KiB the calls between show.
pub(super) const BUFFER_BYTES: usize = 128 * 1024;

/// What has come of the input and is not done with.
#[derive(Debug)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// Where in `bytes` the record in the making begins, or the blank lines before it.
    from: usize,
    /// The same place in the input.
    position: Position,
    /// Whether a byte order mark may come.
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

    /// Whether all of the input has come.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// What has come of the record in the making, and behind it.
    pub(super) fn record(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or_default()
    }

    /// Bytes that the record in the making has at least, if its end has not come: a CR may be half of that.
    pub(super) fn least_record_bytes(&self) -> usize {
        let come = self.record();
        come.len() - usize::from(come.last() == Some(&b'\r'))
    }

    /// The text of the record that was advanced over last.
    pub(super) fn before(&self, end: RecordEnd) -> &[u8] {
        let start = self.from.saturating_sub(end.next);
        self.bytes.get(start..start + end.record).unwrap_or_default()
    }

    /// Moves over the line ends before a record, which belong to none, and over a byte order mark; false where more bytes are
    /// needed to tell.
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
            // A CR may be half of a line end.
            blank_bytes -= usize::from(come.last() == Some(&b'\r'));
        }
        let lines = count_line_ends(come.get(..blank_bytes).unwrap_or_default());
        self.from += blank_bytes;
        self.position = Position { byte: self.position.byte + blank_bytes as u64, line: self.position.line + lines };
        blank.is_some() || self.has_ended
    }

    /// Says that the record that ends there is done with. Gives where the next one's search begins.
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

    /// Reads on. What is done with is forgotten.
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

/// Line ends in a text that begins and ends at one: LF, CRLF, and a CR alone.
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
