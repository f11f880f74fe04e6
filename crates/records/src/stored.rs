//! Counts the stored bytes of an entry, and gathers small chunks for the decoders.

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

/// Bytes gathered for one call of a decoder, if they have arrived. The body of an S3 object arrives in small chunks: a
/// TLS record has at most 16 KiB (RFC 8446, section 5.1).
const GATHER_BYTES: usize = 128 * 1024;

/// The stored bytes of an entry.
#[derive(Debug)]
pub(super) struct Stored {
    stream: SourceStream,
    /// Bytes that have arrived and are not yet consumed.
    chunk: Bytes,
    /// Several chunks of the stream in one buffer.
    gathered: Vec<u8>,
    /// Number of bytes of `gathered` that are consumed.
    taken: usize,
    /// The error of the next call: one that arrived after the gathered bytes, or that reading has already failed.
    failed: Option<ReadError>,
    /// Next byte of the object.
    at: u64,
    end: u64,
}

impl Stored {
    /// Reads from a stream of this range of an object.
    pub(super) fn new(stream: SourceStream, range: Range<u64>) -> Self {
        let (chunk, gathered) = (Bytes::new(), Vec::new());
        Self { stream, chunk, gathered, taken: 0, failed: None, at: range.start, end: range.end }
    }

    /// Next byte of the object.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Returns the number of bytes that remain.
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

    /// Gathers the chunks that have arrived, up to [`GATHER_BYTES`].
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
        self.gathered.split_at(self.taken).1
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
        buf.put_slice(next.split_at(amount).0);
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
                // Releases the memory of the chunk.
                self.chunk = Bytes::new();
            }
        } else {
            self.taken += amount;
        }
    }
}

#[cfg(test)]
mod tests;
