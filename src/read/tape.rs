//! What the CSV reader reads from: the input, and a copy of what of it may still be asked for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::error::{Place, ReadError};
use super::record::Position;

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// The input of a CSV reader.
///
/// It keeps what it handed out since the record in the making began, so that raw text and positions are exact, and stops
/// when that is more than a record may have. For that it relies on its reader to come only when all that was handed out is
/// parsed, as a buffered reader does.
///
/// Two things are made simpler for the parser: a byte order mark at byte 0 is left out, and a CR is never handed out
/// without what follows it, so that CRLF is never taken for two line ends. The first byte handed out is a line feed of our
/// own: the parser would drop U+FEFF from the first bytes it sees, wherever in the file they stand.
#[derive(Debug)]
pub(super) struct Tape<R> {
    inner: R,
    kept: Vec<u8>,
    /// Byte of the input that `kept` begins with.
    kept_byte: u64,
    /// Where the record in the making begins, or the blank lines before it.
    from: Position,
    limit_bytes: usize,
    phase: Phase,
    /// Bytes read and not yet handed out: a CR, or what was looked at for a byte order mark.
    prefix: [u8; 3],
    prefix_bytes: usize,
    bom_bytes: u64,
    end_told: bool,
    lone_cr: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Our own line feed comes first.
    Begin,
    /// A byte order mark may come.
    Mark,
    /// The input.
    Body,
    /// The input has ended.
    Ended,
}

impl<R> Tape<R> {
    pub(super) fn new(inner: R, start: Position, limit_bytes: usize) -> Self {
        Self {
            inner,
            kept: Vec::new(),
            kept_byte: start.byte,
            from: start,
            limit_bytes,
            phase: Phase::Begin,
            prefix: [0; 3],
            prefix_bytes: 0,
            bom_bytes: 0,
            end_told: false,
            lone_cr: false,
        }
    }

    pub(super) fn inner(&self) -> &R {
        &self.inner
    }

    /// Where the record in the making begins.
    pub(super) fn from(&self) -> Position {
        self.from
    }

    /// Says that the record before this position is done with.
    pub(super) fn advance(&mut self, to: Position) {
        self.from = to;
    }

    /// Length of the byte order mark that was left out.
    pub(super) fn bom_bytes(&self) -> u64 {
        self.bom_bytes
    }

    /// Whether the reader has been told of the end: the record it gave was ended by that.
    pub(super) fn end_told(&self) -> bool {
        self.end_told
    }

    /// Whether a CR without a LF has been handed out.
    pub(super) fn has_lone_cr(&self) -> bool {
        self.lone_cr
    }

    /// What was handed out between two bytes of the input, as far as it is kept.
    pub(super) fn slice(&self, from: u64, to: u64) -> &[u8] {
        let at = |byte: u64| usize::try_from(byte.saturating_sub(self.kept_byte)).unwrap_or(usize::MAX);
        self.kept.get(at(from)..at(to).min(self.kept.len())).unwrap_or_default()
    }

    /// Moves over the line ends before a record: they belong to none.
    pub(super) fn skip_blank(&mut self) {
        let skipped = self.slice(self.from.byte, u64::MAX);
        let blank = skipped.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(skipped.len());
        let lines = count_line_ends(skipped.get(..blank).unwrap_or_default());
        self.from.byte += blank as u64;
        self.from.line += lines;
    }

    #[cfg(test)]
    pub(super) fn kept_capacity(&self) -> usize {
        self.kept.capacity()
    }

    fn check_limit(&self) -> Result<(), ReadError> {
        if self.slice(self.from.byte, u64::MAX).len() > self.limit_bytes { Err(self.too_long()) } else { Ok(()) }
    }

    /// The error of a record that begins at [`Tape::from`].
    pub(super) fn too_long(&self) -> ReadError {
        let place = Place { line: Some(self.from.line), byte: Some(self.from.byte), ..Place::default() };
        ReadError::RecordTooLong { place: Box::new(place), limit_bytes: self.limit_bytes }
    }

    fn forget(&mut self) {
        let done = usize::try_from(self.from.byte - self.kept_byte).unwrap_or(usize::MAX).min(self.kept.len());
        self.kept.drain(..done);
        self.kept_byte += done as u64;
    }
}

impl<R: AsyncRead + Unpin> Tape<R> {
    /// Looks at the first bytes of the input and leaves a byte order mark out.
    fn poll_bom(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.prefix_bytes < BOM.len() && self.phase == Phase::Mark {
            let mut buf = ReadBuf::new(self.prefix.get_mut(self.prefix_bytes..).unwrap_or_default());
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buf))?;
            let read = buf.filled().len();
            if read == 0 {
                self.phase = Phase::Ended;
            }
            self.prefix_bytes += read;
        }
        if self.prefix_bytes == BOM.len() && self.prefix == BOM {
            self.prefix_bytes = 0;
            self.bom_bytes = BOM.len() as u64;
            self.from.byte += self.bom_bytes;
            self.kept_byte += self.bom_bytes;
        }
        if self.phase == Phase::Mark {
            self.phase = Phase::Body;
        }
        Poll::Ready(Ok(()))
    }

    /// Fills `buf` with what comes next; leaves it as it is only at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            buf.put_slice(self.prefix.get(..self.prefix_bytes).unwrap_or_default());
            let put = buf.filled().len();
            if self.phase != Phase::Ended {
                match Pin::new(&mut self.inner).poll_read(cx, buf) {
                    Poll::Ready(Ok(())) if buf.filled().len() > put => {}
                    Poll::Ready(Ok(())) => self.phase = Phase::Ended,
                    other => {
                        buf.set_filled(before);
                        return other;
                    }
                }
            }
            self.prefix_bytes = 0;
            if self.phase != Phase::Ended && buf.filled().last() == Some(&b'\r') {
                buf.set_filled(buf.filled().len() - 1);
                (self.prefix, self.prefix_bytes) = ([b'\r', 0, 0], 1);
            }
            if buf.filled().len() > before || self.phase == Phase::Ended {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Tape<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.phase == Phase::Begin {
            this.phase = if this.from.byte == 0 { Phase::Mark } else { Phase::Body };
            buf.put_slice(b"\n");
            return Poll::Ready(Ok(()));
        }
        if this.phase == Phase::Mark {
            ready!(this.poll_bom(cx))?;
        }
        this.skip_blank();
        this.check_limit()?;
        this.forget();
        let before = buf.filled().len();
        ready!(this.poll_fill(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        this.end_told = new.is_empty();
        this.lone_cr = this.lone_cr || has_lone_cr(new);
        this.kept.extend_from_slice(new);
        Poll::Ready(Ok(()))
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

/// Bytes compared at once: few enough that the compiler turns the comparison into vector code.
const BLOCK_BYTES: usize = 64;

/// Whether a CR stands here that no LF follows.
fn has_lone_cr(text: &[u8]) -> bool {
    let (head, last) = match text.split_last() {
        Some((last, head)) => (head, *last),
        None => return false,
    };
    let nexts = text.get(1..).unwrap_or_default();
    let lone = |(byte, next): (&u8, &u8)| (*byte == b'\r') && (*next != b'\n');
    let blocks = head.chunks(BLOCK_BYTES).zip(nexts.chunks(BLOCK_BYTES));
    let mut found = last == b'\r';
    for (bytes, nexts) in blocks {
        found |= bytes.iter().zip(nexts).map(lone).fold(false, |any, one| any | one);
    }
    found
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

    #[test]
    fn a_lone_cr_is_found_anywhere() {
        for length in [1, 2, 63, 64, 65, 128, 200] {
            let text = vec![b'a'; length];
            assert!(!has_lone_cr(&text));
            for at in 0..length {
                let mut text = text.clone();
                text[at] = b'\r';
                assert!(has_lone_cr(&text), "{at} of {length}");
                if at + 1 < length {
                    text[at + 1] = b'\n';
                    assert!(!has_lone_cr(&text), "{at} of {length}");
                }
            }
        }
    }
}
