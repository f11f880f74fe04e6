//! A simulation of a table and its writers in virtual time: the properties that the rate keeps.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss, reason = "a test may panic")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::model::Model;
use crate::concurrency::{ConcurrencyLimit, InFlight};
use crate::retry::RETRY_DELAY;

/// Batches that a writer puts at once, and its most calls in flight.
const BATCHES: usize = 32;

/// Parameters of a simulation.
#[derive(Debug, Clone)]
struct Case {
    /// Pairs of a second and the write units a second that the table accepts from then on.
    limits: Vec<(f64, f64)>,
    /// Seconds of its limit that the table saves up.
    saves_seconds: f64,
    /// Share of the items that stay unprocessed, and of the calls that are refused, at any load.
    faults: (f64, f64),
    /// The limit of one hot key range in write units a second, and the share of its items.
    hot: Option<(f64, f64)>,
    latency_ms: f64,
    /// When each writer starts, in seconds.
    starts: Vec<f64>,
    has_rate: bool,
    seed: u64,
}

impl Case {
    fn of(limit: f64) -> Self {
        Self {
            limits: vec![(0.0, limit)],
            saves_seconds: 0.5,
            faults: (0.0, 0.0),
            hot: None,
            latency_ms: 10.0,
            starts: vec![0.0],
            has_rate: true,
            seed: 1,
        }
    }

    /// A table that accepts everything.
    fn free() -> Self {
        Self::of(1e9)
    }

    fn limit(&self, at: f64) -> f64 {
        self.limits.iter().rev().find(|(from, _)| *from <= at).map_or(0.0, |(_, limit)| *limit)
    }

    /// Simulates this many seconds.
    fn run(&self, seconds: f64) -> Run {
        let concurrencies: Vec<ConcurrencyLimit> = self.starts.iter().map(|_| ConcurrencyLimit::new(BATCHES)).collect();
        World::new(self, &concurrencies).run(seconds)
    }
}

#[derive(Debug, Clone, Copy)]
struct Item {
    units: f64,
    is_hot: bool,
}

fn units_of(items: &[Item]) -> f64 {
    items.iter().map(|item| item.units).sum()
}

/// A token bucket.
struct Table {
    level: f64,
    hot_level: f64,
    filled_at: f64,
    random: fastrand::Rng,
}

impl Table {
    /// Takes the items that fit, and returns those that do not.
    fn put(&mut self, case: &Case, at: f64, items: &[Item]) -> Vec<Item> {
        let (limit, passed) = (case.limit(at), at - self.filled_at);
        self.level = (self.level + limit * passed).min(limit * case.saves_seconds);
        let hot_limit = case.hot.map_or(f64::INFINITY, |(limit, _)| limit);
        self.hot_level = (self.hot_level + hot_limit * passed).min(hot_limit);
        self.filled_at = at;
        let (unprocessed_share, refused_share) = case.faults;
        if self.random.f64() < refused_share {
            return items.to_vec();
        }
        let is_unprocessed = |item: &&Item| {
            let is_full = self.level < item.units || (item.is_hot && self.hot_level < item.units);
            if is_full || self.random.f64() < unprocessed_share {
                return true;
            }
            self.level -= item.units;
            self.hot_level -= if item.is_hot { item.units } else { 0.0 };
            false
        };
        items.iter().filter(is_unprocessed).copied().collect()
    }
}

/// A batch that is being put.
struct Batch<'c> {
    pending: Vec<Item>,
    attempt: u32,
    in_flight: Option<InFlight<'c>>,
}

struct Writer<'c> {
    concurrency: &'c ConcurrencyLimit,
    model: Model,
    batches: Vec<Batch<'c>>,
    /// Batches that wait for room among the calls in flight.
    waiting: VecDeque<usize>,
    /// Batches that wait for their turn.
    in_turn: VecDeque<usize>,
    is_asleep: bool,
}

enum Event {
    /// A batch may be sent.
    Ready(usize),
    /// The batch whose turn it is may try again.
    Retry,
    /// A call arrives at the table.
    Arrives { batch: usize, items: Vec<Item>, epoch: u64 },
    /// The answer arrives at the writer.
    Answered { batch: usize, sent: usize, units: f64, unprocessed: Vec<Item>, epoch: u64 },
}

struct Call {
    at: f64,
    taken: f64,
    is_throttled: bool,
}

struct World<'c> {
    case: &'c Case,
    epoch: Instant,
    now: f64,
    table: Table,
    writers: Vec<Writer<'c>>,
    random: fastrand::Rng,
    events: BTreeMap<u64, (usize, Event)>,
    order: BinaryHeap<Reverse<(u64, u64)>>,
    next: u64,
    calls: Vec<Call>,
}

impl<'c> World<'c> {
    fn new(case: &'c Case, concurrencies: &'c [ConcurrencyLimit]) -> Self {
        let epoch = Instant::now();
        let random = fastrand::Rng::with_seed(case.seed);
        let level = case.limit(0.0) * case.saves_seconds;
        let table = Table { level, hot_level: 0.0, filled_at: 0.0, random: fastrand::Rng::with_seed(case.seed + 100) };
        let (events, order) = (BTreeMap::new(), BinaryHeap::new());
        let mut world =
            Self { case, epoch, now: 0.0, table, writers: vec![], random, events, order, next: 0, calls: vec![] };
        for (writer, (concurrency, starts_at)) in concurrencies.iter().zip(&case.starts).enumerate() {
            let batches = (0..BATCHES).map(|_| world.batch()).collect();
            let (model, waiting, in_turn) = (Model::new(epoch), VecDeque::new(), VecDeque::new());
            world.writers.push(Writer { concurrency, model, batches, waiting, in_turn, is_asleep: false });
            (0..BATCHES).for_each(|batch| world.at(*starts_at, writer, Event::Ready(batch)));
        }
        world
    }

    fn batch(&mut self) -> Batch<'c> {
        let hot = self.case.hot.map_or(0.0, |(_, share)| share);
        let mut item = || Item { units: f64::from(self.random.u8(4..=8)), is_hot: self.random.f64() < hot };
        Batch { pending: (0..25).map(|_| item()).collect(), attempt: 0, in_flight: None }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of some minutes")]
    fn at(&mut self, at: f64, writer: usize, event: Event) {
        self.order.push(Reverse(((at.max(self.now) * 1e9) as u64, self.next)));
        self.events.insert(self.next, (writer, event));
        self.next += 1;
    }

    fn instant(&self) -> Instant {
        self.epoch + Duration::from_secs_f64(self.now)
    }

    fn half_way(&mut self) -> f64 {
        self.case.latency_ms / 1_000.0 * (0.4 + 0.2 * self.random.f64())
    }

    fn run(mut self, seconds: f64) -> Run {
        while let Some(Reverse((at, event))) = self.order.pop() {
            self.now = at as f64 / 1e9;
            if self.now > seconds {
                break;
            }
            let (writer, event) = self.events.remove(&event).unwrap();
            match event {
                Event::Ready(batch) => self.writers[writer].waiting.push_back(batch),
                Event::Retry => self.writers[writer].is_asleep = false,
                Event::Arrives { batch, items, epoch } => {
                    let unprocessed = self.table.put(self.case, self.now, &items);
                    let (sent, units) = (items.len(), units_of(&items));
                    self.calls.push(Call {
                        at: self.now,
                        taken: units - units_of(&unprocessed),
                        is_throttled: !unprocessed.is_empty(),
                    });
                    let back = self.now + self.half_way();
                    self.at(back, writer, Event::Answered { batch, sent, units, unprocessed, epoch });
                }
                Event::Answered { batch, sent, units, unprocessed, epoch } => {
                    let now = self.instant();
                    self.writers[writer].model.answered(now, epoch, units, units_of(&unprocessed));
                    self.finish_call(writer, batch, sent, unprocessed);
                }
            }
            self.send(writer);
        }
        Run { case: self.case.clone(), calls: self.calls }
    }

    /// Does what `Writer::put` does before a call.
    fn send(&mut self, writer: usize) {
        let now = self.instant();
        loop {
            let one = &mut self.writers[writer];
            while let Some(in_flight) = (!one.waiting.is_empty()).then(|| one.concurrency.try_enter()).flatten() {
                let batch = one.waiting.pop_front().unwrap();
                one.batches[batch].in_flight = Some(in_flight);
                one.in_turn.push_back(batch);
            }
            let Some(&batch) = one.in_turn.front().filter(|_| !one.is_asleep) else { return };
            if let Some(then) = one.model.wait(now).filter(|_| self.case.has_rate) {
                one.is_asleep = true;
                // Timers of the runtime count in milliseconds.
                let at = then.duration_since(self.epoch).as_secs_f64() + 0.001 * self.random.f64();
                return self.at(at, writer, Event::Retry);
            }
            one.in_turn.pop_front();
            let limit = if self.case.has_rate { one.model.call_limit_units() } else { f64::INFINITY };
            let pending = &mut one.batches[batch].pending;
            let fits = (2..=pending.len()).take_while(|count| units_of(&pending[..*count]) <= limit);
            let count = fits.last().unwrap_or(1);
            let items: Vec<Item> = pending.drain(..count).collect();
            let epoch = one.model.send(now, units_of(&items));
            let at = self.now + self.half_way();
            self.at(at, writer, Event::Arrives { batch, items, epoch });
        }
    }

    /// Does what `Writer::put` does after a call.
    fn finish_call(&mut self, writer: usize, batch: usize, sent: usize, unprocessed: Vec<Item>) {
        let one = &mut self.writers[writer].batches[batch];
        let in_flight = one.in_flight.take().unwrap();
        if unprocessed.len() > sent - unprocessed.len() {
            in_flight.throttled();
        } else {
            in_flight.accepted();
        }
        one.attempt = if unprocessed.len() < sent { 0 } else { one.attempt + 1 };
        let is_incomplete = !unprocessed.is_empty();
        one.pending.extend(unprocessed);
        let delay = if is_incomplete { RETRY_DELAY.delay(one.attempt, self.random.f64()) } else { Duration::ZERO };
        if one.pending.is_empty() {
            self.writers[writer].batches[batch] = self.batch();
        }
        self.at(self.now + delay.as_secs_f64(), writer, Event::Ready(batch));
    }
}

/// The result of a simulation.
struct Run {
    case: Case,
    calls: Vec<Call>,
}

impl Run {
    fn within(&self, from: f64, to: f64) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| (from..to).contains(&call.at))
    }

    /// Returns the write units a second that the table took.
    fn taken(&self, from: f64, to: f64) -> f64 {
        self.within(from, to).map(|call| call.taken).sum::<f64>() / (to - from)
    }

    /// Returns the share that was used of what the table allows.
    fn used(&self, from: f64, to: f64) -> f64 {
        let moments = (0..1_000).map(|n| from + (to - from) * f64::from(n) / 1_000.0);
        self.taken(from, to) / (moments.map(|at| self.case.limit(at)).sum::<f64>() / 1_000.0)
    }

    /// Returns the share of the calls that left anything unprocessed.
    fn throttled(&self, from: f64, to: f64) -> f64 {
        let throttled = self.within(from, to).filter(|call| call.is_throttled).count();
        throttled as f64 / self.within(from, to).count().max(1) as f64
    }
}

/// Shares of items that stay unprocessed and of calls that are refused at random, at any load.
const FAULTS: [(f64, f64); 10] = [
    (0.000_5, 0.0),
    (0.01, 0.0),
    (0.1, 0.0),
    (0.3, 0.0),
    (0.5, 0.0),
    (0.0, 0.01),
    (0.0, 0.1),
    (0.0, 0.3),
    (0.0, 0.5),
    (0.2, 0.2),
];

#[test]
fn writers_use_all_that_a_table_allows_and_few_calls_are_throttled() {
    for (saves_seconds, latency_ms) in [(0.1, 5.0), (0.1, 50.0), (0.5, 10.0), (1.0, 5.0), (1.0, 10.0)] {
        for (limit, seed) in [1_000.0, 4_000.0, 40_000.0].into_iter().flat_map(|limit| [(limit, 1), (limit, 2)]) {
            let run = Case { saves_seconds, latency_ms, seed, ..Case::of(limit) }.run(65.0);
            let (used, throttled) = (run.used(5.0, 65.0), run.throttled(5.0, 65.0));
            println!(
                "{limit} units/s, {saves_seconds} s saved, {latency_ms} ms: used {used:.3}, throttled {throttled:.3}"
            );
            assert!(used >= 0.97 && throttled < 0.03);
        }
    }
}

#[test]
fn a_table_that_accepts_everything_has_no_rate() {
    let (run, without) = (Case::free().run(20.0), Case { has_rate: false, ..Case::free() }.run(20.0));
    assert!((run.taken(0.0, 20.0) / without.taken(0.0, 20.0) - 1.0).abs() < 0.001);
}

#[test]
fn failures_that_do_not_depend_on_the_load_hardly_slow_writers() {
    for (faults, latency_ms) in FAULTS.into_iter().flat_map(|faults| [(faults, 10.0), (faults, 50.0)]) {
        let (mut with, mut without) = (0.0, 0.0);
        for seed in 1..=2 {
            let case = Case { faults, latency_ms, seed, ..Case::free() };
            let alone = Case { has_rate: false, ..case.clone() }.run(60.0).taken(0.0, 60.0);
            let taken = case.run(60.0).taken(0.0, 60.0);
            assert!(taken > 0.7 * alone, "{faults:?} at {latency_ms} ms, seed {seed}: {taken:.0} of {alone:.0}");
            (with, without) = (with + taken, without + alone);
        }
        println!("{faults:?} at {latency_ms} ms: {:.3} of the speed without a rate", with / without);
        assert!(with > 0.9 * without);
    }
}

#[test]
fn writers_use_a_limited_table_that_leaves_items_at_random() {
    for (limit, faults) in [1_000.0, 4_000.0, 40_000.0]
        .into_iter()
        .flat_map(|limit| [(0.000_5, 0.0), (0.01, 0.0), (0.05, 0.0), (0.0, 0.01)].map(|faults| (limit, faults)))
    {
        let run = Case { faults, ..Case::of(limit) }.run(65.0);
        let used = run.used(5.0, 65.0);
        println!("{limit} units/s, {faults:?}: used {used:.3}, throttled {:.3}", run.throttled(5.0, 65.0));
        assert!(used > 0.9);
    }
}

#[test]
fn the_rate_follows_a_limit_that_changes() {
    for (before, after, within) in
        [(4_000.0, 16_000.0, 30.0), (1_000.0, 2_000.0, 30.0), (16_000.0, 4_000.0, 5.0), (40_000.0, 20_000.0, 5.0)]
    {
        let run = Case { limits: vec![(0.0, before), (30.0, after)], ..Case::of(before) }.run(120.0);
        let from = 30.0 + within;
        let (used, throttled) = (run.used(from, 120.0), run.throttled(from, 120.0));
        println!("{before} to {after}: {used:.3}, {throttled:.3} from {within} s on");
        assert!(used >= 0.95 && throttled < 0.05);
    }
}

#[test]
fn saved_capacity_is_spent_at_full_speed_before_the_rate_settles() {
    for limit in [1_000.0, 4_000.0, 10_000.0] {
        let run = Case { saves_seconds: 300.0, ..Case::of(limit) }.run(90.0);
        let spent = run.calls.iter().find(|call| call.is_throttled).map_or(90.0, |call| call.at);
        assert!(run.taken(0.0, spent) > 350_000.0, "without a rate some 420,000 units/s at 10 ms");
        let (used, throttled) = (run.used(spent + 3.0, 90.0), run.throttled(spent + 3.0, 90.0));
        println!(
            "{limit} units/s: {:.3} throttled for 3 s, then {used:.3}, {throttled:.3}",
            run.throttled(spent, spent + 3.0)
        );
        assert!(used >= 0.95 && throttled < 0.05);
    }
}

#[test]
fn independent_writers_together_use_all_of_a_table() {
    let late = vec![0.0, 10.0, 20.0, 30.0];
    for (limit, starts) in
        [(4_000.0, vec![0.0; 4]), (4_000.0, late.clone()), (40_000.0, vec![0.0; 4]), (40_000.0, late)]
    {
        let run = Case { starts, ..Case::of(limit) }.run(120.0);
        let (used, throttled) = (run.used(5.0, 120.0), run.throttled(5.0, 120.0));
        println!("{limit} units/s from {:?}: used {used:.3}, throttled {throttled:.3}", run.case.starts);
        assert!(used >= 0.95 && throttled < 0.1);
    }
}

#[test]
fn a_hot_key_range_slows_only_itself() {
    for share in [0.02, 0.1, 0.3] {
        let case = Case { hot: Some((1_000.0, share)), ..Case::free() };
        let without = Case { has_rate: false, ..case.clone() }.run(60.0).taken(5.0, 60.0);
        let taken = case.run(60.0).taken(5.0, 60.0);
        println!("{share} of the items: {:.3} of the speed without a rate", taken / without);
        assert!(taken > 0.9 * without);
    }
}

#[test]
fn writers_soon_use_a_table_again_that_took_nothing_for_half_a_minute() {
    let run = Case { limits: vec![(0.0, 40_000.0), (20.0, 0.01), (50.0, 40_000.0)], ..Case::of(40_000.0) }.run(120.0);
    let used = run.used(80.0, 120.0);
    assert!(used >= 0.95, "used {used:.3}");
}
