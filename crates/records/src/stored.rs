//! The stored bytes of an entry, counted, and gathered for the decoders.

use std::io;
use std::mem;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::Stream;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::error::ReadError;
use super::source::SourceStream;

/// Bytes given to a decoder at once, as far as they are there: the body of an S3 object comes as the network gives it, over TLS in
/// records of at most 16 KiB (RFC 8446, section 5.1).
const GATHER_BYTES: usize = 128 * 1024;

/// The stored bytes of an entry.
#[derive(Debug)]
pub(super) struct Stored {
    stream: SourceStream,
    /// What has come of the stream and is not yet taken.
    chunk: Bytes,
    /// Several chunks of a stream, put together.
    gathered: Vec<u8>,
    /// Bytes of `gathered` that are taken.
    taken: usize,
    /// What the next look at the stream returns: an error that came after the gathered bytes, or that reading has failed.
    failed: Option<ReadError>,
    /// Byte of the object that comes next.
    at: u64,
    end: u64,
}

impl Stored {
    /// Reads from a stream that gives this range of an object.
    pub(super) fn new(stream: SourceStream, range: Range<u64>) -> Self {
        let (chunk, gathered) = (Bytes::new(), Vec::new());
        Self { stream, chunk, gathered, taken: 0, failed: None, at: range.start, end: range.end }
    }

    /// Byte of the object that comes next.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    /// Waits for a chunk. There is none at the end of the stream. Every call after an error is an error.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        if let Some(error) = self.failed.take() {
            self.failed = Some(ReadError::UsedAfterError);
            return Poll::Ready(Err(error));
        }
        while self.chunk.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => {
                    self.failed = Some(ReadError::UsedAfterError);
                    return Poll::Ready(Err(error));
                }
                None => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Puts chunks together that are there, until they are enough.
    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        ready!(self.poll_chunk(cx))?;
        if self.chunk.len() >= GATHER_BYTES {
            return Poll::Ready(Ok(()));
        }
        self.gathered.clear();
        self.taken = 0;
        self.gathered.extend_from_slice(&mem::take(&mut self.chunk));
        while !self.gathered.is_empty() && self.gathered.len() < GATHER_BYTES {
            match self.poll_chunk(cx) {
                Poll::Ready(Ok(())) if !self.chunk.is_empty() => {
                    self.gathered.extend_from_slice(&mem::take(&mut self.chunk));
                }
                Poll::Ready(Err(error)) => {
                    self.failed = Some(error);
                    break;
                }
                Poll::Ready(Ok(())) | Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn gathered(&self) -> &[u8] {
        self.gathered.get(self.taken..).unwrap_or_default()
    }
}

impl AsyncRead for Stored {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.gathered().is_empty() {
            ready!(self.poll_chunk(cx))?;
        }
        let this = &mut *self;
        let next = if this.gathered().is_empty() { &this.chunk[..] } else { this.gathered() };
        let amount = next.len().min(buf.remaining());
        buf.put_slice(next.get(..amount).unwrap_or_default());
        self.consume(amount);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Stored {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.gathered().is_empty() && this.chunk.is_empty() {
            ready!(this.poll_gather(cx))?;
        }
        Poll::Ready(Ok(if this.gathered().is_empty() { &this.chunk } else { this.gathered() }))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.at += amount as u64;
        if self.gathered().is_empty() {
            let amount = amount.min(self.chunk.len());
            self.chunk.advance(amount);
            if self.chunk.is_empty() {
                // Its memory can be used again.
                self.chunk = Bytes::new();
            }
        } else {
            self.taken += amount;
        }
    }
}

#[cfg(test)]
mod tests;
