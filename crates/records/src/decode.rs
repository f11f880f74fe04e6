//! Decodes the bytes of an entry.

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

/// Decoded bytes discarded in one step before the start position.
const SKIP_BYTES: usize = 128 * 1024;

/// Base-2 logarithm of the largest zstd window, which is held in memory: 32 MiB. `zstd` uses at most 8 MiB up to level
/// 19, and 128 MiB with `--ultra -22` and `--long`.
const ZSTD_WINDOW_LOG_LIMIT: u32 = 25;

/// Part of the decoder's message for a frame whose window is over the limit.
const ZSTD_WINDOW_ERROR: &str = "too much memory";

/// Steps of [`SKIP_BYTES`] before the task yields: a few milliseconds.
const SKIPS_A_TURN: u32 = 32;

/// Opens an entry at byte `from` of its decoded bytes, as [`open_entry`](super::text::open_entry) documents.
///
/// # Errors
/// An unsupported entry; a start after the end of the entry; a damaged local header; a source that cannot be read.
pub(super) async fn open_decoded(
    source: &Source,
    entry: &Entry,
    from: u64,
    checked: bool,
) -> Result<DecodedReader, ReadError> {
    let place = Place { entry: entry.name.clone(), ..source.place() };
    if let Some(reason) = &entry.unsupported {
        return Err(ReadError::unsupported(place, format!("this entry ({reason})"), "compress it again with deflate"));
    }
    if let Some(size) = entry.size.filter(|size| from > *size) {
        let found = format!("{size} bytes");
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
    let origin = start + seek.unwrap_or(0);
    let stored = Stored::new(source.open(origin..end), origin..end);
    let inner = match entry.compression {
        Compression::None | Compression::Stored => Decoder::Raw(stored),
        Compression::Gzip => {
            let mut decoder = GzipDecoder::new(stored);
            decoder.multiple_members(true);
            Decoder::Gzip(Box::new(decoder))
        }
        Compression::Deflate => Decoder::Deflate(Box::new(DeflateDecoder::new(stored))),
        Compression::Zstd => {
            let window = DParameter::window_log_max(ZSTD_WINDOW_LOG_LIMIT);
            let mut decoder = ZstdDecoder::with_params(stored, &[window]);
            decoder.multiple_members(true);
            Decoder::Zstd(Box::new(decoder))
        }
    };
    let whole = seek.is_none_or(|from| from == 0);
    let crc32 = entry.crc32.filter(|_| whole).map(|expected| (Hasher::new(), expected));
    let (decoded, skip) = seek.map_or((0, from), |seek| (seek, from - seek));
    let (size, state, deferred, scratch) = (entry.size, ReadState::Open, None, Vec::new());
    Ok(DecodedReader { inner, place, decoded, skip, size, crc32, state, deferred, scratch })
}

/// Reads the decoded bytes of an entry. The reader ends only at the end of the entry; missing or damaged bytes are
/// errors.
#[derive(Debug)]
pub(super) struct DecodedReader {
    inner: Decoder,
    place: Place,
    /// Position in the decoded entry: the bytes from `inner`, and the bytes before its start.
    decoded: u64,
    /// Decoded bytes still to be discarded.
    skip: u64,
    size: Option<u64>,
    crc32: Option<(Hasher, u32)>,
    state: ReadState,
    /// An error that came together with decoded bytes: the next poll returns it.
    deferred: Option<ReadError>,
    scratch: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadState {
    Open,
    Ended,
    Failed,
}

#[derive(Debug)]
enum Decoder {
    Raw(Stored),
    Gzip(Box<GzipDecoder<Stored>>),
    Deflate(Box<DeflateDecoder<Stored>>),
    Zstd(Box<ZstdDecoder<Stored>>),
}

impl Decoder {
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
    /// Returns object and entry, for errors of a reader on top of this one.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Returns the number of decoded bytes so far, including the bytes before the start.
    #[cfg(test)]
    pub(crate) fn decoded_bytes(&self) -> u64 {
        self.decoded
    }

    /// Decodes into `buf`, and checks the size and, at the end, the checksum. Fills nothing where it returns an error.
    fn poll_decode(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<(), ReadError>> {
        if let Some(error) = self.deferred.take() {
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        let read = ready!(self.inner.poll_read(cx, buf));
        let new = buf.filled().split_at(before).1;
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
                self.state = ReadState::Ended;
            }
            Err(error) if new_bytes > 0 => self.deferred = Some(error),
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }

    fn check_end(&mut self) -> Result<(), ReadError> {
        let (place, left) = (self.here(), self.inner.stored().left());
        if left > 0 {
            let found = format!("{left} more bytes after it");
            return Err(ReadError::corrupt(place, "the end of the compressed data", found));
        }
        if let Some(size) = self.size.filter(|size| *size != self.decoded) {
            return Err(ReadError::corrupt(place, format!("{size} decoded bytes"), self.decoded.to_string()));
        }
        if self.skip > 0 {
            let expected = format!("{} more decoded bytes before the start position", self.skip);
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
        if matches!(self.inner, Decoder::Raw(_)) && self.place.entry.is_none() {
            return place;
        }
        place.at_stored_byte(self.inner.stored().at())
    }

    /// Distinguishes a source that cannot be read from damaged data.
    fn explain(&self, error: io::Error) -> ReadError {
        let error = match error.downcast::<ReadError>() {
            Ok(error) => return error,
            Err(error) => error,
        };
        let what = match self.inner {
            Decoder::Gzip(_) => "gzip",
            Decoder::Zstd(_) => "zstd",
            _ => "deflate",
        };
        if what == "zstd" && error.to_string().contains(ZSTD_WINDOW_ERROR) {
            let remedy = "compress it without --ultra and --long: the window may have at most 32 MiB";
            return ReadError::unsupported(self.here(), "a zstd frame with a window over the limit", remedy);
        }
        // The gzip and deflate decoders report an early end only after they take all input, and as another kind of
        // error.
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
            if self.skip == 0 || self.state == ReadState::Ended {
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
            ReadState::Failed => return Poll::Ready(Err(ReadError::UsedAfterError.into())),
            ReadState::Ended => return Poll::Ready(Ok(())),
            ReadState::Open if buf.remaining() == 0 => return Poll::Ready(Ok(())),
            ReadState::Open => {}
        }
        let read = match if this.skip > 0 { this.poll_skip(cx) } else { Poll::Ready(Ok(())) } {
            Poll::Ready(Ok(())) if this.state == ReadState::Open => this.poll_decode(cx, buf),
            other => other,
        };
        if let Poll::Ready(Err(_)) = read {
            this.state = ReadState::Failed;
        }
        read.map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests;
