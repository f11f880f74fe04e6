//! Opens the text of an entry: its decoded bytes, as UTF-8 where they are UTF-16, without the padding at their end.

mod padding;
mod utf16;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use self::padding::Unpadded;
use self::utf16::Utf16;
use super::decode::{DecodedReader, open_decoded};
use super::entry::{Encoding, Entry};
use super::error::{Place, ReadError};
use super::source::Source;

/// Bytes of a byte order mark of UTF-16.
const MARK_BYTES: usize = 2;

/// Opens the text of an entry at byte `from`.
///
/// UTF-16 is recognized by its byte order mark and read as UTF-8. Positions are then those of the UTF-8 text. If `from` is 0,
/// the bytes tell the encoding; otherwise `entry` does.
///
/// A plain or stored entry is read from byte `from`, unless it is UTF-16. Every other entry is decoded from its start, and the
/// bytes before `from` are discarded. A stored entry with a checksum is also read from its start if `checked` is set. The
/// checksum is verified whenever the whole entry is read, which is always except for a stored entry opened after its start
/// without `checked`. A plain object has no checksum.
///
/// # Errors
/// An unsupported entry; a start after the end of the entry; a damaged local header; a source that cannot be read.
pub async fn open_entry(source: &Source, entry: &Entry, from: u64, checked: bool) -> Result<EntryReader, ReadError> {
    let (start, state) = match entry.encoding {
        _ if from == 0 => (0, State::Beginning(Vec::new())),
        Encoding::Bytes => (from, State::Bytes(Vec::new())),
        encoding => (0, State::Utf16(Box::new(Utf16::new(encoding, Vec::new(), from)))),
    };
    let inner = open_decoded(source, entry, start, checked).await?;
    Ok(EntryReader(Unpadded::new(Text { inner, state })))
}

/// Reads the text of an entry.
///
/// Zeros and 0x1A at the end are left out: 0x1A ends a text on old systems, and programs fill the last sector with either.
/// The same bytes anywhere else are text.
///
/// The reader ends only at the end of the entry; missing or damaged bytes are errors.
#[derive(Debug)]
pub struct EntryReader(Unpadded<Text>);

impl EntryReader {
    /// Returns object and entry, for errors of a reader on top of this one.
    #[must_use]
    pub fn place(&self) -> &Place {
        self.0.inner().inner.place()
    }

    /// Returns the encoding. It is known once the first byte has been read, or the end.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        match &self.0.inner().state {
            State::Beginning(_) | State::Bytes(_) => Encoding::Bytes,
            State::Utf16(utf16) => utf16.encoding(),
        }
    }
}

impl AsyncRead for EntryReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

/// Decoded bytes, as UTF-8 where they are UTF-16.
#[derive(Debug)]
struct Text {
    inner: DecodedReader,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Looks for a byte order mark. These bytes have been read.
    Beginning(Vec<u8>),
    /// The bytes are the text. These come first.
    Bytes(Vec<u8>),
    Utf16(Box<Utf16>),
}

impl AsyncRead for Text {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { inner, state } = self.get_mut();
        loop {
            match state {
                State::Bytes(head) if head.is_empty() => return Pin::new(inner).poll_read(cx, buf),
                State::Bytes(head) => {
                    let amount = head.len().min(buf.remaining());
                    buf.put_slice(head.split_at(amount).0);
                    head.drain(..amount);
                    return Poll::Ready(Ok(()));
                }
                State::Utf16(utf16) => return utf16.poll_read(inner, cx, buf),
                State::Beginning(head) => {
                    let mut room = [0; MARK_BYTES];
                    let mut rest = ReadBuf::new(room.split_at_mut(MARK_BYTES - head.len()).0);
                    ready!(Pin::new(&mut *inner).poll_read(cx, &mut rest))?;
                    head.extend_from_slice(rest.filled());
                    if head.len() < MARK_BYTES && !rest.filled().is_empty() {
                        continue;
                    }
                    let (encoding, head) = (Encoding::of_mark(head), std::mem::take(head));
                    *state = match encoding {
                        Encoding::Bytes => State::Bytes(head),
                        _ => State::Utf16(Box::new(Utf16::new(encoding, head, 0))),
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
