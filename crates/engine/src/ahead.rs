//! The bytes of a long range, fetched in parts ahead of who takes them, and given in order.
//!
//! Nothing is spawned: whoever polls the stream also drives the parts, and dropping it drops them all. It knows nothing of S3: a
//! part is any stream of chunks.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, Stream, StreamExt};
use tokio::task;
use tokio::time::Instant;

use notaflux_records::ReadError;

/// Bytes given without a pause before other tasks get their turn: those that read the sockets among them. Some 1 ms where one core
/// surveys 200 MB/s, in which a connection of 80 MB/s brings less than the kernel holds of it by default (128 KiB, `tcp_rmem`).
const TURN_BYTES: usize = 192 * 1024;

/// How much is fetched at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of a part, counted from the start of the range.
    pub(super) part_bytes: u64,
    /// Parts that are fetched at once.
    pub(super) parts: usize,
    /// Bytes that are taken before one more part is begun, if bytes have to be waited for.
    pub(super) growth_bytes: u64,
    /// Bytes of all parts that came and are not yet taken, as memory; there may be one block more, to be used again. A part that is
    /// not the next in order waits where a chunk might not fit any more.
    pub(super) held_bytes: usize,
    /// Bytes that are allocated at once for what is held.
    pub(super) block_bytes: usize,
    /// Largest chunk that a part gives, rounded up to blocks. A larger one goes over the limit by as much.
    pub(super) chunk_bytes: usize,
}

impl Default for Limits {
    /// Six parts of 4 MiB, of which 6 MiB are held. S3 gives 85 to 90 MB/s a request (S3 User Guide, "Performance design
    /// patterns"), so that a part takes 50 ms behind the 30 ms to its first byte: six bring 300 MB/s, which is more than one
    /// core surveys of CSV. Parts of 8 MiB, which the guide names as typical, need twice the memory for the same speed, and a
    /// worker is to stay below 48 MB. One more part for each 1 MiB, which is over what a header and the first records are. Blocks
    /// of 256 KiB, which is over what readers gather. Chunks of two blocks: hyper reads at most 408 KiB at once.
    fn default() -> Self {
        Self {
            part_bytes: 4 * 1024 * 1024,
            parts: 6,
            growth_bytes: 1024 * 1024,
            held_bytes: 6 * 1024 * 1024,
            block_bytes: 256 * 1024,
            chunk_bytes: 512 * 1024,
        }
    }
}

/// A clock that stands still while nobody waits for the bytes of a part: while whoever takes them does something else, and while
/// there is no room. No patience is lost in that time.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    began: Instant,
    stood_ns: Arc<AtomicU64>,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), stood_ns: Arc::default() }
    }

    /// Time that it has gone.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed().saturating_sub(self.stood())
    }

    fn stood(&self) -> Duration {
        Duration::from_nanos(self.stood_ns.load(Ordering::Relaxed))
    }

    pub(super) fn stand(&self, time: Duration) {
        self.stood_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The chunks of a part.
pub(super) type Chunks = BoxStream<'static, Result<Bytes, ReadError>>;

/// The bytes of a range, in order.
///
/// It begins with one part. One more is allowed each time that there was nothing to give after a stretch was taken: who reads a
/// beginning opens one. An error is told where it stands in order: the bytes ahead of it are given first.
pub(super) struct Ahead<F> {
    open: F,
    limits: Limits,
    /// Those that are fetched, in order.
    parts: VecDeque<Part>,
    /// What is not yet a part.
    left: Range<u64>,
    /// Parts that may be fetched at once.
    allowed: usize,
    /// Bytes that the blocks of all parts take up.
    held: usize,
    /// Bytes given since one more part was allowed.
    grown: u64,
    /// Bytes given since others had their turn.
    turn: usize,
    /// The block given last. If nobody holds it any more it is used again: pages of new memory have to be made first.
    last_given: Bytes,
}

impl<F> Ahead<F>
where
    F: FnMut(Range<u64>, Clock) -> Chunks + Unpin,
{
    /// Reads a range; `open` opens a part of it, whose time goes by the clock that it is given.
    pub(super) fn new(range: Range<u64>, limits: Limits, open: F) -> Self {
        let (parts, last_given) = (VecDeque::new(), Bytes::new());
        Self { open, limits, parts, left: range, allowed: 1, held: 0, grown: 0, turn: 0, last_given }
    }

    fn poll_given(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ReadError>>> {
        loop {
            self.open_parts();
            self.fetch(cx);
            match self.poll_first(cx) {
                Poll::Ready(None) if self.parts.pop_front().is_some() => {}
                Poll::Ready(Some(Err(error))) => {
                    self.parts.clear();
                    self.left.start = self.left.end;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Pending if self.may_grow() => {
                    self.allowed += 1;
                    self.grown = 0;
                }
                given => return given,
            }
        }
    }

    /// Whether one more part is due, now that bytes have to be waited for.
    fn may_grow(&self) -> bool {
        self.grown >= self.limits.growth_bytes && self.allowed < self.limits.parts && !self.left.is_empty()
    }

    fn open_parts(&mut self) {
        let has_failed = self.parts.iter().any(|part| part.failed.is_some());
        while !has_failed && self.parts.len() < self.allowed && !self.left.is_empty() {
            let end = self.left.end.min(self.left.start.saturating_add(self.limits.part_bytes.max(1)));
            let clock = Clock::start();
            let chunks = (self.open)(self.left.start..end, clock.clone());
            self.parts.push_back(Part {
                chunks: Some(chunks),
                failed: None,
                kept: Kept::default(),
                clock,
                left_at: None,
            });
            self.left.start = end;
        }
    }

    fn has_room(&self) -> bool {
        self.held + self.limits.chunk_bytes <= self.limits.held_bytes
    }

    /// Keeps what has come of all parts, the nearest first, as far as there is room. Of the first part it is not kept if it can
    /// be given at once.
    fn fetch(&mut self, cx: &mut Context<'_>) {
        for at in 0..self.parts.len() {
            loop {
                let has_room = self.has_room();
                let Some(part) = self.parts.get_mut(at).filter(|part| at > 0 || !part.kept.is_empty()) else { break };
                if !has_room {
                    part.leave();
                    break;
                }
                match part.poll_chunk(cx) {
                    Poll::Ready(Some(Ok(chunk))) => {
                        let block = || block_of(mem::take(&mut self.last_given), self.limits.block_bytes);
                        self.held += part.kept.push(&chunk, self.limits.block_bytes, block);
                    }
                    Poll::Ready(Some(Err(error))) => part.failed = Some(error),
                    Poll::Ready(None) | Poll::Pending => break,
                }
            }
        }
    }

    /// The next bytes of the first part; none at its end, or where there is no part.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ReadError>>> {
        let Some(part) = self.parts.front_mut() else { return Poll::Ready(None) };
        if let Some(block) = part.kept.pop() {
            self.held = self.held.saturating_sub(self.limits.block_bytes);
            self.last_given = block.clone();
            return Poll::Ready(Some(Ok(block)));
        }
        if let Some(error) = part.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        part.poll_chunk(cx)
    }
}

impl<F> Stream for Ahead<F>
where
    F: FnMut(Range<u64>, Clock) -> Chunks + Unpin,
{
    type Item = Result<Bytes, ReadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.turn >= TURN_BYTES {
            this.turn = 0;
            ready!(pin!(task::yield_now()).poll(cx));
        }
        let given = ready!(this.poll_given(cx));
        if let Some(Ok(bytes)) = &given {
            this.grown += bytes.len() as u64;
            this.turn += bytes.len();
        }
        this.parts.iter_mut().for_each(Part::leave);
        Poll::Ready(given)
    }
}

/// A part that is fetched.
struct Part {
    /// None behind its end.
    chunks: Option<Chunks>,
    /// What it ended with, behind what is kept.
    failed: Option<ReadError>,
    kept: Kept,
    clock: Clock,
    /// When it was last polled and not waited for.
    left_at: Option<Instant>,
}

impl Part {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ReadError>>> {
        let Some(chunks) = &mut self.chunks else { return Poll::Ready(None) };
        if let Some(left_at) = self.left_at.take() {
            self.clock.stand(left_at.elapsed());
        }
        let chunk = ready!(chunks.poll_next_unpin(cx));
        if !matches!(chunk, Some(Ok(_))) {
            self.chunks = None;
        }
        Poll::Ready(chunk)
    }

    /// Its clock stands from now on until it is polled again.
    fn leave(&mut self) {
        if self.chunks.is_some() {
            self.left_at.get_or_insert_with(Instant::now);
        }
    }
}

/// An empty block: `used`, if it is one that nobody else holds, or a new one.
fn block_of(used: Bytes, block_bytes: usize) -> BytesMut {
    let mut block = used.try_into_mut().unwrap_or_else(|_| BytesMut::with_capacity(block_bytes));
    block.clear();
    block
}

/// Bytes that wait for their turn, copied into blocks: a chunk is a view into a buffer of the HTTP client that may be several
/// times as large.
#[derive(Default)]
struct Kept {
    full: VecDeque<Bytes>,
    last: BytesMut,
}

impl Kept {
    fn is_empty(&self) -> bool {
        self.full.is_empty() && self.last.is_empty()
    }

    /// Takes in a chunk, in blocks of so many bytes that `block` gives. Gives the bytes of those that it asked for.
    fn push(&mut self, mut chunk: &[u8], block_bytes: usize, mut block: impl FnMut() -> BytesMut) -> usize {
        let mut taken = 0;
        while !chunk.is_empty() {
            if self.last.is_empty() {
                self.last = block();
                taken += block_bytes;
            }
            let room = block_bytes.saturating_sub(self.last.len());
            let (now, later) = chunk.split_at_checked(room).unwrap_or((chunk, &[]));
            self.last.extend_from_slice(now);
            if now.len() == room {
                self.full.push_back(mem::take(&mut self.last).freeze());
            }
            chunk = later;
        }
        taken
    }

    /// The next block.
    fn pop(&mut self) -> Option<Bytes> {
        let last = || Some(mem::take(&mut self.last)).filter(|last| !last.is_empty()).map(BytesMut::freeze);
        self.full.pop_front().or_else(last)
    }
}

#[cfg(test)]
mod tests;
