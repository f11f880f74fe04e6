//! What the tests of the readers read from.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// Gives its bytes in stretches of these lengths, over and over, and is not ready before each.
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

/// So many bytes of one kind behind others, counted as they are taken.
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

/// Waits for a future.
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
