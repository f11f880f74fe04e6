//! Inputs for the tests of the readers.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::error::ReadError;
use super::source::{Identity, Origin, Source};

/// Gives its bytes in pieces of these lengths in turn, and is pending once before each piece.
pub(super) struct Split<'a> {
    bytes: &'a [u8],
    lengths: &'a [usize],
    turn: usize,
    ready: bool,
}

impl<'a> Split<'a> {
    pub(super) fn new(bytes: &'a [u8], lengths: &'a [usize]) -> Self {
        Self { bytes, lengths, turn: 0, ready: false }
    }
}

impl AsyncRead for Split<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.ready = !self.ready;
        if self.ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let length = self.lengths[self.turn % self.lengths.len()].min(buf.remaining()).min(self.bytes.len());
        self.turn += 1;
        buf.put_slice(&self.bytes[..length]);
        self.bytes = &self.bytes[length..];
        Poll::Ready(Ok(()))
    }
}

/// A head followed by many equal bytes. Counts the bytes that are read.
pub(super) struct Endless {
    head: &'static [u8],
    byte: u8,
    left: usize,
    taken: usize,
}

impl Endless {
    pub(super) fn new(head: &'static [u8], byte: u8, left: usize) -> Self {
        Self { head, byte, left, taken: 0 }
    }

    pub(super) fn taken_bytes(&self) -> usize {
        self.taken
    }
}

impl AsyncRead for Endless {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let (head, rest) = self.head.split_at(self.head.len().min(buf.remaining()));
        buf.put_slice(head);
        self.head = rest;
        let length = buf.remaining().min(self.left);
        let byte = self.byte;
        buf.initialize_unfilled_to(length).fill(byte);
        buf.advance(length);
        self.left -= length;
        self.taken += buf.filled().len() - before;
        Poll::Ready(Ok(()))
    }
}

/// Runs a future to its end.
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// An origin in memory. Gives its bytes in chunks of one length, and can break at a byte.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) bytes: Bytes,
    pub(super) chunk_bytes: usize,
    /// Byte before which the stream breaks.
    pub(super) breaks_at: Option<usize>,
}

impl Memory {
    /// Makes a source of `size_bytes` bytes, of which the stream gives those before the break.
    pub(super) fn source(self, size_bytes: usize) -> Source {
        let identity = Identity { size_bytes: size_bytes as u64, ..Identity::default() };
        Source::from_origin(Arc::new(identity), Arc::new(self))
    }
}

impl Origin for Memory {
    fn newest(&self) -> BoxFuture<'_, Result<Identity, ReadError>> {
        async { Err(ReadError::NotFound { object: "memory".to_owned(), what: "key" }) }.boxed()
    }

    fn stream(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, ReadError>> {
        let index = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX);
        let (start, end) = (index(range.start), index(range.end));
        let limit = self.breaks_at.unwrap_or(end).min(end);
        let bytes = self.bytes.slice(start.min(limit)..limit);
        let chunks = bytes.chunks(self.chunk_bytes).map(|chunk| Ok(Bytes::copy_from_slice(chunk)));
        let broken = (limit < end).then(|| Err(io::Error::other("connection reset").into()));
        stream::iter(chunks.chain(broken).collect::<Vec<_>>()).boxed()
    }
}

/// Holds a reader to the contract of [`AsyncRead`]: a call that returns an error, or is pending, fills nothing, and
/// neither bytes nor an end follow an error.
pub(super) struct Contract<R> {
    reader: R,
    failed: bool,
}

impl<R> Contract<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, failed: false }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Contract<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.reader).poll_read(cx, buf);
        let filled = buf.filled().len() - before;
        match &read {
            Poll::Ready(Ok(())) => assert!(!self.failed, "{filled} bytes after an error"),
            Poll::Pending => assert_eq!(filled, 0, "bytes of a call that is pending"),
            Poll::Ready(Err(error)) => {
                assert_eq!(filled, 0, "bytes together with an error: {error}");
                self.failed = true;
            }
        }
        read
    }
}

/// Reads to the end with a buffer of this length, and once more after that. Returns all bytes, and the error if there
/// is one.
pub(super) async fn drain(reader: impl AsyncRead + Unpin, buffer_bytes: usize) -> (Vec<u8>, Option<ReadError>) {
    let (mut reader, mut buffer, mut bytes) = (Contract::new(reader), vec![0; buffer_bytes], Vec::new());
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => {
                assert!(matches!(reader.read(&mut buffer).await, Ok(0)), "the end stays the end");
                return (bytes, None);
            }
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) => {
                assert!(reader.read(&mut buffer).await.is_err(), "an error does not turn into an end");
                return (bytes, Some(error.into()));
            }
        }
    }
}
