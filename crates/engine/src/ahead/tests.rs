#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic to fail")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::task::{Wake, Waker};

use fastrand::Rng;
use proptest::prelude::*;

use super::*;

/// Counts over all parts of a range.
#[derive(Debug, Default)]
struct Counts {
    opened: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
    bytes: AtomicUsize,
}

fn count(of: &AtomicUsize) -> usize {
    of.load(Ordering::Relaxed)
}

/// A part whose chunks have random lengths and come after random waits.
struct Fake {
    left: Range<u64>,
    fails_at: Vec<u64>,
    /// Percentage of polls that find nothing.
    slow: u8,
    chunk_bytes: usize,
    dice: Rng,
    /// The byte from which on it returns nothing until the flag is set.
    gate: Option<(u64, Arc<AtomicBool>)>,
    counts: Arc<Counts>,
}

impl Fake {
    fn open(left: Range<u64>, slow: u8, chunk_bytes: usize, dice: Rng, counts: &Arc<Counts>) -> Self {
        counts.opened.fetch_add(1, Ordering::Relaxed);
        let open = counts.open.fetch_add(1, Ordering::Relaxed) + 1;
        counts.most.fetch_max(open, Ordering::Relaxed);
        Self { left, fails_at: Vec::new(), slow, chunk_bytes, dice, gate: None, counts: Arc::clone(counts) }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stream for Fake {
    type Item = Result<Bytes, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let is_shut = |(at, gate): &(u64, Arc<AtomicBool>)| self.left.start >= *at && !gate.load(Ordering::Relaxed);
        if self.gate.as_ref().is_some_and(is_shut) || self.dice.u8(..100) < self.slow {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.fails_at.contains(&self.left.start) {
            return Poll::Ready(Some(Err(failure(self.left.start))));
        }
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let most = self.chunk_bytes as u64;
        let length = self.dice.u64(1..=most);
        let end = self.fails_at.iter().fold(self.left.end.min(self.left.start + length), |end, at| {
            if (self.left.start + 1..end).contains(at) { *at } else { end }
        });
        let chunk: Vec<u8> = (self.left.start..end).map(byte).collect();
        self.counts.bytes.fetch_add(chunk.len(), Ordering::Relaxed);
        self.left.start = end;
        Poll::Ready(Some(Ok(chunk.into())))
    }
}

fn failure(at: u64) -> ReadError {
    ReadError::Refused { object: "x".to_owned(), detail: at.to_string() }
}

fn byte(at: u64) -> u8 {
    u8::try_from(at % 251).unwrap()
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls a stream, and checks that it keeps its limits and never waits without a wake-up.
struct Driver<F> {
    ahead: Ahead<F>,
    counts: Arc<Counts>,
    given: usize,
    wakes: Arc<Wakes>,
}

impl<F: FnMut(Range<u64>, Clock) -> Chunks + Unpin> Driver<F> {
    fn new(ahead: Ahead<F>, counts: Arc<Counts>) -> Self {
        Self { ahead, counts, given: 0, wakes: Arc::default() }
    }

    fn poll(&mut self) -> Poll<Option<Result<Bytes, ReadError>>> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        let before = count(&self.wakes.0);
        let given = self.ahead.poll_next_unpin(&mut Context::from_waker(&waker));
        match &given {
            Poll::Pending => assert!(count(&self.wakes.0) > before, "it waits without a wake-up"),
            Poll::Ready(Some(Ok(bytes))) => self.given += bytes.len(),
            Poll::Ready(_) => return given,
        }
        let Limits { parts, held_bytes, block_bytes, .. } = self.ahead.limits;
        let blocks = |part: &Part| part.stored.full.len() + usize::from(!part.stored.last.is_empty());
        assert_eq!(self.ahead.held, self.ahead.parts.iter().map(blocks).sum::<usize>() * block_bytes);
        assert!(self.ahead.held <= held_bytes, "{} bytes are held", self.ahead.held);
        assert!(count(&self.counts.bytes) - self.given <= held_bytes, "bytes that arrived and were not returned");
        assert!(count(&self.counts.most) <= parts, "{} parts at once", count(&self.counts.most));
        given
    }

    fn next(&mut self) -> Option<Result<Bytes, ReadError>> {
        loop {
            if let Poll::Ready(given) = self.poll() {
                return given;
            }
        }
    }

    /// Reads the rest. Holds a third of the chunks to the end, and checks that they do not change.
    fn rest(&mut self) -> (Vec<u8>, Option<ReadError>) {
        let (mut bytes, mut held) = (Vec::new(), Vec::new());
        let error = loop {
            match self.next() {
                Some(Ok(chunk)) => {
                    let start = bytes.len();
                    bytes.extend_from_slice(&chunk);
                    if start % 3 == 0 {
                        held.push((start, chunk));
                    }
                }
                Some(Err(error)) => {
                    assert!(self.next().is_none(), "nothing follows an error");
                    break Some(error);
                }
                None => break None,
            }
        };
        for (start, chunk) in held {
            assert_eq!(bytes[start..start + chunk.len()], chunk);
        }
        (bytes, error)
    }
}

fn small() -> Limits {
    Limits { part_bytes: 300, parts: 5, growth_bytes: 60, held_bytes: 640, block_bytes: 32, chunk_bytes: 64 }
}

/// A stream with parts of equal speed.
fn steady(range: Range<u64>, limits: Limits, slow: u8) -> Driver<impl FnMut(Range<u64>, Clock) -> Chunks + Unpin> {
    let counts = Arc::new(Counts::default());
    let counting = Arc::clone(&counts);
    let open = move |part: Range<u64>, _| {
        let dice = Rng::with_seed(part.start);
        Fake::open(part, slow, limits.chunk_bytes, dice, &counting).boxed()
    };
    Driver::new(Ahead::new(range, limits, open), counts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn bytes_come_in_order_for_any_behavior_of_the_parts(
        seed: u64,
        part_bytes in 1_u64..400,
        parts in 1_usize..7,
        held_bytes in 0_usize..1000,
        start in 0_u64..1000,
        length in 0_u64..5000,
        fails_at in proptest::collection::vec(0_u64..10_000, 0..3),
    ) {
        let limits = Limits { part_bytes, parts, growth_bytes: part_bytes / 4, held_bytes, block_bytes: 16, chunk_bytes: 32 };
        let (range, counts) = (start..start + length, Arc::new(Counts::default()));
        let (mut dice, counting, failing) = (Rng::with_seed(seed), Arc::clone(&counts), fails_at.clone());
        let open = move |part: Range<u64>, _| {
            let mut fake = Fake::open(part.clone(), dice.u8(..100), limits.chunk_bytes, dice.fork(), &counting);
            fake.fails_at = failing.iter().copied().filter(|at| part.contains(at)).collect();
            fake.boxed()
        };
        let mut driver = Driver::new(Ahead::new(range.clone(), limits, open), Arc::clone(&counts));
        let (bytes, error) = driver.rest();
        let fails = fails_at.into_iter().filter(|at| range.contains(at)).min();
        let expected: Vec<u8> = (start..fails.unwrap_or(range.end)).map(byte).collect();
        prop_assert!(bytes == expected, "{} bytes of {}", bytes.len(), expected.len());
        prop_assert_eq!(error.map(|error| error.to_string()), fails.map(|at| failure(at).to_string()));
        prop_assert_eq!(count(&counts.open), 0, "no part stays open after the end");
    }
}

#[test]
fn a_block_is_reused_if_nobody_holds_it() {
    let used = || Bytes::from(vec![7; 100]);
    assert_eq!((block_of(used(), 64).len(), block_of(used(), 64).capacity()), (0, 100));
    let held = used();
    assert!(block_of(held.clone(), 64).capacity() < 100);
    assert_eq!(held, used());
    assert_eq!(block_of(Bytes::new(), 64).capacity(), 64);
}

#[test]
fn the_block_returned_last_is_reused() {
    let mut driver = steady(0..9_000, small(), 90);
    while driver.ahead.last_given.is_empty() {
        driver.next().unwrap().unwrap();
    }
    loop {
        let used = Bytes::from(vec![0; 1000]);
        let at = used.as_ptr();
        driver.ahead.last_given = used;
        driver.next().unwrap().unwrap();
        let stored = driver.ahead.parts.iter().map(|part| &part.stored);
        let mut blocks = stored.flat_map(|stored| stored.full.iter().map(|block| &block[..]).chain([&stored.last[..]]));
        if blocks.any(|block| block.as_ptr() == at) {
            break;
        }
    }
}

#[test]
fn a_reader_that_waits_gets_all_parts_one_by_one() {
    let mut driver = steady(0..9_000, small(), 90);
    let growth = usize::try_from(small().growth_bytes).unwrap();
    while driver.given < 9_000 {
        driver.next().unwrap().unwrap();
        let most = 1 + driver.given / growth;
        assert!(count(&driver.counts.most) <= most, "after {} bytes", driver.given);
    }
    assert_eq!(count(&driver.counts.most), small().parts);
    assert_eq!(count(&driver.counts.opened), 30);
}

#[test]
fn a_reader_that_never_waits_has_one_part() {
    let mut driver = steady(0..9_000, small(), 0);
    assert_eq!(driver.rest().0.len(), 9_000);
    assert_eq!((count(&driver.counts.opened), count(&driver.counts.most)), (30, 1));
}

#[test]
fn reading_a_beginning_opens_one_part_and_dropping_closes_all() {
    let mut driver = steady(0..9_000, small(), 90);
    assert_eq!(count(&driver.counts.opened), 0, "the first poll opens the first part");
    driver.next().unwrap().unwrap();
    driver.next().unwrap().unwrap();
    assert_eq!(count(&driver.counts.opened), 1);
    while count(&driver.counts.open) < 5 {
        driver.next().unwrap().unwrap();
    }
    let counts = Arc::clone(&driver.counts);
    drop(driver);
    assert_eq!(count(&counts.open), 0);
}

#[test]
fn the_stream_yields_to_other_tasks() {
    let limits = Limits { part_bytes: 1 << 20, block_bytes: 1 << 15, chunk_bytes: 1 << 16, ..Limits::default() };
    let mut driver = steady(0..10 << 20, limits, 0);
    let (mut in_a_row, mut turns) = (0, 0);
    loop {
        match driver.poll() {
            Poll::Ready(Some(bytes)) => in_a_row += bytes.unwrap().len(),
            Poll::Ready(None) => break,
            Poll::Pending => (in_a_row, turns) = (0, turns + 1),
        }
        assert!(in_a_row < TURN_BYTES + limits.chunk_bytes);
    }
    assert!(turns >= 18, "{turns}");
}

#[test]
fn time_without_a_waiting_reader_does_not_count() {
    let (clocks, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let counts = Arc::new(Counts::default());
    let (given_clocks, closed, counting) = (Arc::clone(&clocks), Arc::clone(&gate), Arc::clone(&counts));
    let open = move |part: Range<u64>, clock| {
        given_clocks.lock().unwrap().push(clock);
        let gate = (part.start == 0).then(|| (100, Arc::clone(&closed)));
        let mut fake = Fake::open(part, 0, 64, Rng::with_seed(1), &counting);
        fake.gate = gate;
        fake.boxed()
    };
    let limits = Limits { held_bytes: 128, ..small() };
    let mut driver = Driver::new(Ahead::new(0..600, limits, open), counts);
    let stopped = |at: usize| clocks.lock().unwrap().get(at).map_or(Duration::ZERO, Clock::stopped);
    let pass = || {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(20) {}
    };

    driver.next().unwrap().unwrap();
    pass();
    while driver.poll().is_ready() {}
    assert!(stopped(0) >= Duration::from_millis(20), "the reader was away");
    assert!(driver.poll().is_pending());
    assert!(!driver.ahead.has_room() && count(&driver.counts.open) == 2);

    let before = [stopped(0), stopped(1)];
    pass();
    assert!(driver.poll().is_pending());
    gate.store(true, Ordering::Relaxed);
    driver.next().unwrap().unwrap();
    assert_eq!(stopped(0), before[0], "the reader waited for the first part");
    driver.rest();
    assert!(stopped(1) >= before[1] + Duration::from_millis(20), "the second part had no room");
}
