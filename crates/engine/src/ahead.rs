//! Reads ahead: fetches a long range in several parts at once, and returns the bytes in order.
//!
//! It spawns no task: polling the stream drives all parts, and dropping the stream drops them. It does not depend on
//! S3: a part is any stream of chunks.

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

/// Bytes returned before the stream yields to other tasks, such as those that read the sockets. At 200 MB/s, the speed
/// of the survey on one core, this takes about 1 ms. In this time a connection of 80 MB/s brings less than the kernel
/// buffers by default (128 KiB, `tcp_rmem`).
const TURN_BYTES: usize = 192 * 1024;

/// Limits of reading ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Size of a part in bytes. Parts are counted from the start of the range.
    pub(super) part_bytes: u64,
    /// Largest number of parts that are fetched at once.
    pub(super) parts: usize,
    /// Bytes that the reader takes before one more part may begin. A part begins only if the reader has to wait.
    pub(super) growth_bytes: u64,
    /// Memory in bytes for data that has arrived and is not yet taken; one more block may be kept for reuse. A part
    /// that is not the next in order waits when another chunk might not fit.
    pub(super) held_bytes: usize,
    /// Size in bytes of a block, the unit of allocation.
    pub(super) block_bytes: usize,
    /// Largest chunk of a part in bytes, rounded up to blocks. A larger chunk exceeds `held_bytes` by the difference.
    pub(super) chunk_bytes: usize,
}

impl Default for Limits {
    /// Six parts of 4 MiB, with 6 MiB of memory. S3 sends 85 to 90 MB/s per request (S3 User Guide, "Performance design
    /// patterns"), so a part takes 50 ms after the 30 ms to its first byte. Six parts bring 300 MB/s, more than one
    /// core surveys of CSV. Parts of 8 MiB, which the guide calls typical, need twice the memory for the same speed,
    /// and a worker shall stay below 48 MB. One more part begins after each 1 MiB, which is more than a header and the
    /// first records. A block of 256 KiB is more than readers gather. A chunk takes at most two blocks: hyper reads at
    /// most 408 KiB at once.
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

/// A clock that stops while nobody waits for the bytes of a part: while the reader does something else, and while there
/// is no room. That time does not count against the time limits of the part.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    began: Instant,
    stopped_ns: Arc<AtomicU64>,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), stopped_ns: Arc::default() }
    }

    /// Returns the time since the start without the stops.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed().saturating_sub(self.stopped())
    }

    fn stopped(&self) -> Duration {
        Duration::from_nanos(self.stopped_ns.load(Ordering::Relaxed))
    }

    /// Adds a stop that has just ended. A stop of more than `u64::MAX` ns (584 years) counts as that.
    pub(super) fn stop_for(&self, time: Duration) {
        self.stopped_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The chunks of a part.
pub(super) type Chunks = BoxStream<'static, Result<Bytes, ReadError>>;

/// A stream of the bytes of a range, in order.
///
/// It begins with one part. One more part may begin each time the reader has to wait after it has taken `growth_bytes`,
/// so a reader of only the beginning opens one part. An error comes in order: after all bytes before it.
pub(super) struct Ahead<F> {
    open: F,
    limits: Limits,
    /// The parts that are being fetched, in order.
    parts: VecDeque<Part>,
    /// The rest of the range, which no part has yet.
    left: Range<u64>,
    /// Number of parts that may be fetched at once.
    allowed: usize,
    /// Memory of the blocks of all parts, in bytes.
    held: usize,
    /// Bytes returned since the number of parts last grew.
    grown: u64,
    /// Bytes returned since the stream last yielded to other tasks.
    turn: usize,
    /// The block returned last. It is used again if nobody else holds it, because the kernel must first map the pages
    /// of new memory.
    last_given: Bytes,
}

impl<F> Ahead<F>
where
    F: FnMut(Range<u64>, Clock) -> Chunks + Unpin,
{
    /// Creates the stream of `range`. `open` opens a part; its clock measures the time limits of the part.
    pub(super) fn new(range: Range<u64>, limits: Limits, open: F) -> Self {
        let (parts, last_given) = (VecDeque::new(), Bytes::new());
        Self { open, limits, parts, left: range, allowed: 1, held: 0, grown: 0, turn: 0, last_given }
    }

    fn poll_range(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ReadError>>> {
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

    /// Whether one more part may begin, now that the reader has to wait.
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
                stored: Stored::default(),
                clock,
                stopped_at: None,
            });
            self.left.start = end;
        }
    }

    fn has_room(&self) -> bool {
        self.held + self.limits.chunk_bytes <= self.limits.held_bytes
    }

    /// Stores the chunks that have arrived, first those of the nearest part, as long as there is room. A chunk of the
    /// first part is not stored if it can be returned at once.
    fn fetch(&mut self, cx: &mut Context<'_>) {
        for at in 0..self.parts.len() {
            loop {
                let has_room = self.has_room();
                let Some(part) = self.parts.get_mut(at).filter(|part| at > 0 || !part.stored.is_empty()) else { break };
                if !has_room {
                    part.stop_clock();
                    break;
                }
                match part.poll_chunk(cx) {
                    Poll::Ready(Some(Ok(chunk))) => {
                        let block = || block_of(mem::take(&mut self.last_given), self.limits.block_bytes);
                        self.held += part.stored.push(&chunk, self.limits.block_bytes, block);
                    }
                    Poll::Ready(Some(Err(error))) => part.failed = Some(error),
                    Poll::Ready(None) | Poll::Pending => break,
                }
            }
        }
    }

    /// Returns the next bytes of the first part; none at its end, or if there is no part.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ReadError>>> {
        let Some(part) = self.parts.front_mut() else { return Poll::Ready(None) };
        if let Some(block) = part.stored.pop() {
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
        let given = ready!(this.poll_range(cx));
        if let Some(Ok(bytes)) = &given {
            this.grown += bytes.len() as u64;
            this.turn += bytes.len();
        }
        this.parts.iter_mut().for_each(Part::stop_clock);
        Poll::Ready(given)
    }
}

/// A part that is being fetched.
struct Part {
    /// None after its end.
    chunks: Option<Chunks>,
    /// The error that it ended with, after the stored bytes.
    failed: Option<ReadError>,
    stored: Stored,
    clock: Clock,
    /// When its clock stopped, if it is stopped.
    stopped_at: Option<Instant>,
}

impl Part {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ReadError>>> {
        let Some(chunks) = &mut self.chunks else { return Poll::Ready(None) };
        if let Some(stopped_at) = self.stopped_at.take() {
            self.clock.stop_for(stopped_at.elapsed());
        }
        let chunk = ready!(chunks.poll_next_unpin(cx));
        if !matches!(chunk, Some(Ok(_))) {
            self.chunks = None;
        }
        Poll::Ready(chunk)
    }

    /// Stops its clock from now until the next poll.
    fn stop_clock(&mut self) {
        if self.chunks.is_some() {
            self.stopped_at.get_or_insert_with(Instant::now);
        }
    }
}

/// Returns an empty block: `used` if nobody else holds it, or else a new one.
fn block_of(used: Bytes, block_bytes: usize) -> BytesMut {
    let mut block = used.try_into_mut().unwrap_or_else(|_| BytesMut::with_capacity(block_bytes));
    block.clear();
    block
}

/// The stored bytes of a part, copied into blocks: a chunk is a view into a buffer of the HTTP client that may be
/// several times as large.
#[derive(Default)]
struct Stored {
    full: VecDeque<Bytes>,
    last: BytesMut,
}

impl Stored {
    fn is_empty(&self) -> bool {
        self.full.is_empty() && self.last.is_empty()
    }

    /// Copies a chunk into blocks of `block_bytes`, which `block` allocates. Returns the bytes allocated.
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

    /// Takes the next block.
    fn pop(&mut self) -> Option<Bytes> {
        let last = || Some(mem::take(&mut self.last)).filter(|last| !last.is_empty()).map(BytesMut::freeze);
        self.full.pop_front().or_else(last)
    }
}

#[cfg(test)]
mod tests;
