//! Every interleaving of small cases: two workers, two segments, crashes, lost and repeated messages, leases that end early.
//!
//! The model has a ledger that compares revisions, a queue, and workers that do one thing at a time in the order in which
//! `worker.rs` does it. What a worker decides and what it writes come from the functions under test.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed as it should"
)]

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::*;
use crate::progress::{Cursor, Put};
use notaflux_write::Tally;

const WORKERS: usize = 2;
const SEGMENTS: u32 = 2;
/// What may go wrong in one run: the search is over every place that it can go wrong at.
const CRASHES: u8 = 2;
const EXPIRIES: u8 = 1;
const REPEATS: u8 = 1;
/// The clock stands still; a lease ends by being set to end now.
const NOW_MS: u64 = 10;
const LIVING_MS: u64 = 20;

/// A unit without its progress: what the machine decides by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Row {
    rev: u64,
    hop: u32,
    lease: Option<Lease>,
    done: bool,
}

impl Row {
    fn of(unit: &Unit) -> Self {
        Self { rev: unit.rev, hop: unit.hop, lease: unit.lease.clone(), done: unit.done }
    }

    fn unit(&self) -> Unit {
        let Self { rev, hop, lease, done } = self.clone();
        Unit { rev, hop, lease, done, stalls: 0, progress: nowhere() }
    }
}

fn nowhere() -> Progress {
    Progress::Write { cursor: Cursor::default(), put: Put::default(), tally: Tally::default() }
}

/// What a worker is about to do next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Doing {
    /// Waits for a message.
    Idle,
    /// Reads how the ingestion stands.
    ReadStage,
    /// Reads the units of the phase, having read the stage.
    ReadUnits { stage: Stage, rev: u64 },
    /// Moves the ingestion on over the revision that it has read.
    Advance { stage: Stage, rev: u64 },
    /// Leases a unit, as it has read it.
    Lease { id: UnitId, stage: Stage, was: Option<Row> },
    /// Looks whether the ingestion is as before, holding a lease.
    Check { id: UnitId, stage: Stage, mine: Row },
    /// Does the work of the unit.
    Work { id: UnitId, mine: Row },
    /// Writes that the unit is done.
    Finish { id: UnitId, mine: Row },
    /// Sends a message for later, because others work on all that is left.
    SendLater,
    /// Deletes its message.
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    stage: Stage,
    is_over: bool,
    rev: u64,
    units: BTreeMap<UnitId, Row>,
    /// Messages that can be received.
    messages: u8,
    workers: [Doing; WORKERS],
    /// Units of which the work was really done.
    worked: BTreeMap<UnitId, bool>,
    crashes: u8,
    expiries: u8,
    repeats: u8,
}

impl World {
    fn new() -> Self {
        Self {
            stage: Stage::begun(SEGMENTS),
            is_over: false,
            rev: 1,
            units: BTreeMap::new(),
            messages: 1,
            workers: [Doing::Idle, Doing::Idle],
            worked: BTreeMap::new(),
            crashes: CRASHES,
            expiries: EXPIRIES,
            repeats: REPEATS,
        }
    }

    /// Every state that one step leads to.
    fn successors(&self) -> Vec<Self> {
        let mut found = Vec::new();
        for at in 0..WORKERS {
            found.extend(self.step(at));
            if self.crashes > 0 && self.workers[at] != Doing::Idle {
                // Its message becomes visible again by itself.
                let mut next = self.clone();
                next.crashes -= 1;
                next.messages += 1;
                next.workers[at] = Doing::Idle;
                found.push(next);
            }
        }
        for (id, row) in self.units.iter().filter(|(_, row)| row.lease.is_some() && self.expiries > 0) {
            let mut next = self.clone();
            next.expiries -= 1;
            next.units.insert(*id, expired(row));
            found.push(next);
        }
        if self.repeats > 0 && self.messages > 0 {
            found.push(Self { repeats: self.repeats - 1, messages: self.messages + 1, ..self.clone() });
        }
        found
    }

    /// What worker `at` does next; nothing if it waits for a message and there is none.
    fn step(&self, at: usize) -> Option<Self> {
        let mut next = self.clone();
        next.workers[at] = match self.workers[at].clone() {
            Doing::Idle => {
                next.messages = self.messages.checked_sub(1)?;
                Doing::ReadStage
            }
            Doing::ReadStage if self.is_over => Doing::Delete,
            Doing::ReadStage => Doing::ReadUnits { stage: self.stage, rev: self.rev },
            Doing::ReadUnits { stage, rev } => self.decide(stage, rev),
            Doing::Advance { stage, rev } => {
                next.advance(stage, rev);
                Doing::ReadStage
            }
            Doing::Lease { id, stage, was } => next.lease(at, id, stage, was.as_ref()),
            Doing::Check { id, stage, mine } if !self.is_over && self.stage == stage => Doing::Work { id, mine },
            Doing::Check { id, mine, .. } => {
                next.swap(id, &mine, &mine.unit().paused(nowhere(), &nowhere(), Pause::Asked));
                Doing::ReadStage
            }
            Doing::Work { id, mine } => {
                next.worked.insert(id, true);
                Doing::Finish { id, mine }
            }
            Doing::Finish { id, mine } => {
                next.swap(id, &mine, &mine.unit().finished(nowhere()));
                Doing::ReadStage
            }
            Doing::SendLater => {
                next.messages += 1;
                Doing::Delete
            }
            Doing::Delete => Doing::Idle,
        };
        Some(next)
    }

    fn decide(&self, stage: Stage, rev: u64) -> Doing {
        let units: HashMap<UnitId, Unit> = self.units.iter().map(|(id, row)| (*id, row.unit())).collect();
        match next_step(&stage, |id| units.get(&id), NOW_MS) {
            Step::Advance => Doing::Advance { stage, rev },
            Step::Work(id) => Doing::Lease { id, stage, was: self.units.get(&id).cloned() },
            Step::Wait { .. } => Doing::SendLater,
        }
    }

    fn advance(&mut self, stage: Stage, rev: u64) {
        if self.rev != rev {
            return;
        }
        self.rev += 1;
        // What the phase was for must have been done, whatever happened on the way.
        for id in stage.units() {
            assert!(self.worked.contains_key(&id), "{id:?} was never done, and the ingestion moved on");
        }
        match stage.phase.next() {
            Some(phase) => self.stage = Stage { phase, partitions: 1, ..stage },
            None => self.is_over = true,
        }
    }

    fn lease(&mut self, at: usize, id: UnitId, stage: Stage, was: Option<&Row>) -> Doing {
        let unit = was.map_or_else(|| Unit::untouched(nowhere()), Row::unit);
        // A name that no other lease has.
        let lease = Lease { holder: format!("{at}.{}", unit.hop), until_ms: LIVING_MS };
        let Some(leased) = unit.leased(lease, NOW_MS) else { return Doing::ReadStage };
        let over = Row::of(&unit);
        if self.swap(id, &over, &leased) {
            return Doing::Check { id, stage, mine: Row::of(&leased) };
        }
        Doing::ReadStage
    }

    /// What the ledger does: writes if the revision is the one named.
    fn swap(&mut self, id: UnitId, over: &Row, next: &Unit) -> bool {
        assert_eq!(next.rev, over.rev + 1, "a write names the revision before its own");
        let there = self.units.get(&id).map_or(0, |row| row.rev);
        if there != over.rev {
            return false;
        }
        if let Some(row) = self.units.get(&id) {
            assert!(!row.done, "{id:?} was done, and is written again");
        }
        self.units.insert(id, Row::of(next));
        true
    }

    /// Whether it can go on without anything coming from outside.
    fn is_stranded(&self) -> bool {
        !self.is_over && self.messages == 0 && self.workers.iter().all(|doing| *doing == Doing::Idle)
    }
}

fn expired(row: &Row) -> Row {
    let lease = row.lease.clone().map(|lease| Lease { until_ms: NOW_MS, ..lease });
    Row { lease, ..row.clone() }
}

/// Looks at every state that can be reached; gives their number.
fn explore() -> usize {
    let (mut known, mut open) = (HashSet::new(), VecDeque::from([World::new()]));
    known.insert(World::new());
    let mut completed = 0;
    while let Some(world) = open.pop_front() {
        assert!(!world.is_stranded(), "nobody works on it, and no message is left: {world:?}");
        completed += usize::from(world.is_over);
        for next in world.successors() {
            if known.insert(next.clone()) {
                open.push_back(next);
            }
        }
    }
    assert!(completed > 0);
    known.len()
}

#[test]
fn no_interleaving_strands_an_ingestion_or_moves_it_on_too_early() {
    let states = explore();
    println!("{states} states");
    assert!(states > 10_000, "only {states} states: the search does not search");
}

/// From every state, if nothing more goes wrong, the end is reached: by whichever worker goes on alone.
#[test]
fn from_every_state_one_worker_alone_reaches_the_end() {
    let (mut known, mut open) = (HashSet::new(), VecDeque::from([World::new()]));
    while let Some(world) = open.pop_front() {
        for next in world.successors() {
            if known.insert(next.clone()) {
                open.push_back(next);
            }
        }
        // The other one has died, and its lease has ended; its message comes again.
        let mut alone = world.clone();
        if alone.workers[1] != Doing::Idle {
            alone.workers[1] = Doing::Idle;
            alone.messages += 1;
        }
        alone.units.iter_mut().for_each(|(_, row)| *row = expired(row));
        for _ in 0..200 {
            if alone.is_over {
                break;
            }
            alone = alone.step(0).unwrap_or_else(|| panic!("stranded from {world:?}"));
        }
        assert!(alone.is_over, "no end from {world:?}");
    }
}

fn leased(hop: u32, until_ms: u64) -> Unit {
    let lease = Some(Lease { holder: "a".to_owned(), until_ms });
    Unit { rev: 5, hop, lease, done: false, stalls: 0, progress: nowhere() }
}

fn at(byte: u64) -> Progress {
    Progress::Write { cursor: Cursor { byte, line: 1, record: byte }, put: Put::default(), tally: Tally::default() }
}

#[test]
fn a_living_lease_keeps_others_away_and_a_dead_one_does_not() {
    let other = || Lease { holder: "b".to_owned(), until_ms: 99 };
    assert_eq!(leased(3, 20).leased(other(), 19), None);
    let taken = leased(3, 20).leased(other(), 20).unwrap();
    assert_eq!((taken.hop, taken.rev, taken.lease), (4, 6, Some(other())));
    let finished = leased(3, 20).finished(nowhere());
    assert_eq!(finished.leased(other(), 99), None, "what is done is done");
    assert!(!leased(3, 20).is_hop_of(&leased(4, 20)));
}

#[test]
fn hops_that_end_where_they_began_for_want_of_time_are_counted() {
    let unit = leased(1, 20);
    let stuck = unit.paused(at(7), &at(7), Pause::Deadline);
    assert_eq!((stuck.stalls, stuck.lease.is_none()), (1, true));
    assert_eq!(stuck.paused(at(7), &at(7), Pause::Deadline).stalls, STALLS_LIMIT);
    assert_eq!(stuck.paused(at(7), &at(7), Pause::Asked).stalls, 1, "an interruption says nothing of its time");
    assert_eq!(stuck.paused(at(8), &at(7), Pause::Deadline).stalls, 0);
}

#[test]
fn the_phases_come_in_order_and_each_has_its_units() {
    let mut phases = vec![Phase::Survey];
    while let Some(next) = phases[phases.len() - 1].next() {
        phases.push(next);
    }
    assert_eq!(phases, Phase::ALL);
    let stage = |phase| Stage { phase, segments: 3, partitions: 5 };
    assert_eq!(Phase::ALL.map(|phase| stage(phase).units().count()), [3, 5, 1, 3]);
}
