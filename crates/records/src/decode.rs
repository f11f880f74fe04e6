//! The decoded bytes of an entry.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{DeflateDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use crc32fast::Hasher;
use tokio::io::{AsyncRead, ReadBuf};

use super::entry::{Compression, Entry};
use super::error::{Place, ReadError};
use super::source::Source;
use super::stored::Stored;
use super::zip;

/// Decoded bytes thrown away at once on the way to where reading shall begin.
const SKIP_BYTES: usize = 128 * 1024;

/// Logarithm of the bytes of decoded text that a zstd frame may refer back to, which are held in memory: 32 MiB. `zstd` takes at
/// most 8 MiB up to level 19, and 128 MiB by `--ultra -22` and `--long`.
const ZSTD_WINDOW_LOG_LIMIT: u32 = 25;

/// What the decoder says of a frame whose window is over the limit.
const ZSTD_WINDOW_ERROR: &str = "too much memory";

/// Such stretches before other tasks get their turn: a few milliseconds.
const SKIPS_A_TURN: u32 = 32;

/// Opens an entry at byte `from` of its decoded bytes.
///
/// A plain or stored entry is read from there; a compressed one is decoded from its start, and what lies before is thrown
/// away; so it is with a stored one that has a checksum, where that shall be `checked`. The checksum is compared whenever all of
/// the entry was read: always but for a stored entry opened behind its start. (A plain object has none.)
///
/// # Errors
/// An entry that is not supported; a start behind its end; a damaged local header; a source that cannot be read.
pub async fn open_entry(source: &Source, entry: &Entry, from: u64, checked: bool) -> Result<DecodedReader, ReadError> {
    let place = Place { entry: entry.name.clone(), ..source.place() };
    if let Some(reason) = &entry.unsupported {
        return Err(ReadError::unsupported(place, format!("this entry ({reason})"), "pack it anew, by deflate"));
    }
    if entry.size.is_some_and(|size| from > size) {
        let found = format!("{} bytes", entry.size.unwrap_or_default());
        return Err(ReadError::corrupt(place, format!("at least {from} decoded bytes"), found));
    }
    let start = match &entry.name {
        None => entry.offset,
        Some(_) => zip::data_start(source, entry).await?,
    };
    let end = start.saturating_add(entry.compressed_size);
    let seek = match entry.compression {
        Compression::None => Some(from),
        Compression::Stored if !checked || entry.crc32.is_none() => Some(from),
        Compression::Stored => Some(0),
        Compression::Gzip | Compression::Deflate | Compression::Zstd => None,
    };
    let origin = start + seek.unwrap_or_default();
    let stored = Stored::new(source.open(origin..end), origin..end);
    let inner = match entry.compression {
        Compression::None | Compression::Stored => Inner::Raw(stored),
        Compression::Gzip => {
            let mut decoder = GzipDecoder::new(stored);
            decoder.multiple_members(true);
            Inner::Gzip(Box::new(decoder))
        }
        Compression::Deflate => Inner::Deflate(Box::new(DeflateDecoder::new(stored))),
        Compression::Zstd => {
            let window = DParameter::window_log_max(ZSTD_WINDOW_LOG_LIMIT);
            let mut decoder = ZstdDecoder::with_params(stored, &[window]);
            decoder.multiple_members(true);
            Inner::Zstd(Box::new(decoder))
        }
    };
    let whole = seek.is_none_or(|from| from == 0);
    let crc32 = entry.crc32.filter(|_| whole).map(|expected| (Hasher::new(), expected));
    let (decoded, skip) = seek.map_or((0, from), |seek| (seek, from - seek));
    let (size, state, deferred, scratch) = (entry.size, State::Open, None, Vec::new());
    Ok(DecodedReader { inner, place, decoded, skip, size, crc32, state, deferred, scratch })
}

/// The decoded bytes of an entry. Ends only where the entry ends; what is cut short or damaged is an error.
#[derive(Debug)]
pub struct DecodedReader {
    inner: Inner,
    place: Place,
    /// Decoded bytes that have come out of `inner`, with those before its start.
    decoded: u64,
    /// Decoded bytes still to be thrown away.
    skip: u64,
    size: Option<u64>,
    crc32: Option<(Hasher, u32)>,
    state: State,
    /// An error that came together with decoded bytes: the next poll returns it.
    deferred: Option<ReadError>,
    scratch: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Failed,
}

#[derive(Debug)]
enum Inner {
    Raw(Stored),
    Gzip(Box<GzipDecoder<Stored>>),
    Deflate(Box<DeflateDecoder<Stored>>),
    Zstd(Box<ZstdDecoder<Stored>>),
}

impl Inner {
    fn stored(&self) -> &Stored {
        match self {
            Self::Raw(stored) => stored,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Deflate(decoder) => decoder.get_ref(),
            Self::Zstd(decoder) => decoder.get_ref(),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Raw(stored) => Pin::new(stored).poll_read(cx, buf),
            Self::Gzip(decoder) => Pin::new(decoder).poll_read(cx, buf),
            Self::Deflate(decoder) => Pin::new(decoder).poll_read(cx, buf),
            Self::Zstd(decoder) => Pin::new(decoder).poll_read(cx, buf),
        }
    }
}

impl DecodedReader {
    /// Object and entry, to name them in errors of what reads from this.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Decoded bytes so far, those before the start included.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        self.decoded
    }

    /// Byte of the object up to which it has been read.
    #[must_use]
    pub fn stored_byte(&self) -> u64 {
        self.inner.stored().at()
    }

    /// Decodes into `buf`, and checks the size and, at the end, the checksum. Fills nothing where it returns an error.
    fn poll_decode(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<(), ReadError>> {
        if let Some(error) = self.deferred.take() {
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        let read = ready!(self.inner.poll_read(cx, buf));
        let new = buf.filled().get(before..).unwrap_or_default();
        let new_bytes = new.len();
        self.decoded += new_bytes as u64;
        if let Some((hasher, _)) = &mut self.crc32 {
            hasher.update(new);
        }
        if let Some(size) = self.size.filter(|size| self.decoded > *size) {
            buf.set_filled(before);
            return Poll::Ready(Err(ReadError::corrupt(self.here(), format!("{size} decoded bytes"), "more")));
        }
        match read.map_err(|error| self.explain(error)) {
            Ok(()) if new_bytes > 0 => {}
            Ok(()) => {
                self.check_end()?;
                self.state = State::Ended;
            }
            Err(error) if new_bytes > 0 => self.deferred = Some(error),
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }

    fn check_end(&mut self) -> Result<(), ReadError> {
        let (place, left) = (self.here(), self.inner.stored().left());
        if left > 0 {
            let found = format!("{left} more bytes behind it");
            return Err(ReadError::corrupt(place, "the end of the compressed data", found));
        }
        if let Some(size) = self.size.filter(|size| *size != self.decoded) {
            return Err(ReadError::corrupt(place, format!("{size} decoded bytes"), self.decoded.to_string()));
        }
        if self.skip > 0 {
            let expected = format!("{} more decoded bytes before the one to begin with", self.skip);
            return Err(ReadError::corrupt(place, expected, "the end"));
        }
        let Some((hasher, expected)) = self.crc32.take() else { return Ok(()) };
        match hasher.finalize() {
            found if found != expected => {
                Err(ReadError::corrupt(place, format!("CRC-32 {expected:08x}"), format!("{found:08x}")))
            }
            _ => Ok(()),
        }
    }

    fn here(&self) -> Place {
        let place = self.place.clone().at_byte(self.decoded);
        if matches!(self.inner, Inner::Raw(_)) && self.place.entry.is_none() {
            return place;
        }
        place.at_stored_byte(self.inner.stored().at())
    }

    /// Tells a source that cannot be read from one that is damaged.
    fn explain(&self, error: io::Error) -> ReadError {
        let error = match error.downcast::<ReadError>() {
            Ok(error) => return error,
            Err(error) => error,
        };
        let what = match self.inner {
            Inner::Gzip(_) => "gzip",
            Inner::Zstd(_) => "zstd",
            _ => "deflate",
        };
        if what == "zstd" && error.to_string().contains(ZSTD_WINDOW_ERROR) {
            let remedy = "compress it without --ultra and --long: at most 32 MiB are held";
            return ReadError::unsupported(self.here(), "a zstd frame that refers back too far", remedy);
        }
        // Those of gzip and deflate take all there is before they complain of an early end, and do it by another kind.
        let is_at_end = self.inner.stored().left() == 0;
        if error.kind() == io::ErrorKind::UnexpectedEof
            || (what != "zstd" && is_at_end && error.kind() == io::ErrorKind::Other)
        {
            return ReadError::truncated(self.here(), format!("more {what} data"));
        }
        ReadError::corrupt(self.here(), format!("valid {what} data"), error.to_string())
    }

    fn poll_skip(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(SKIP_BYTES, 0);
        let mut turns = 0;
        let done = loop {
            if self.skip == 0 || self.state == State::Ended {
                break Poll::Ready(Ok(()));
            }
            if turns == SKIPS_A_TURN {
                cx.waker().wake_by_ref();
                break Poll::Pending;
            }
            turns += 1;
            let wanted = usize::try_from(self.skip).unwrap_or(usize::MAX).min(SKIP_BYTES);
            let mut buf = ReadBuf::new(scratch.get_mut(..wanted).unwrap_or_default());
            match self.poll_decode(cx, &mut buf) {
                Poll::Ready(Ok(())) => self.skip -= buf.filled().len() as u64,
                other => break other,
            }
        };
        if self.skip > 0 {
            self.scratch = scratch;
        }
        done
    }
}

impl AsyncRead for DecodedReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.state {
            State::Failed => return Poll::Ready(Err(ReadError::UsedAfterError.into())),
            State::Ended => return Poll::Ready(Ok(())),
            State::Open if buf.remaining() == 0 => return Poll::Ready(Ok(())),
            State::Open => {}
        }
        let read = match if this.skip > 0 { this.poll_skip(cx) } else { Poll::Ready(Ok(())) } {
            Poll::Ready(Ok(())) if this.state == State::Open => this.poll_decode(cx, buf),
            other => other,
        };
        if let Poll::Ready(Err(_)) = read {
            this.state = State::Failed;
        }
        read.map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests;
