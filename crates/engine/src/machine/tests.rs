//! Explores every interleaving of small cases: two workers, two segments, crashes, lost and repeated messages, and
//! leases that end early.
//!
//! The model has a ledger that compares revisions, a queue, and workers that take one step at a time in the order of
//! `worker.rs`. The functions under test make the decisions and the units to write.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed as it should"
)]

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::*;
use crate::progress::{Cursor, PutCounts};
use notaflux_write::Tally;

const WORKERS: usize = 2;
const SEGMENTS: u32 = 2;
/// Number of faults of each kind in one run. The search tries every point at which they can happen.
const CRASHES: u8 = 2;
const EXPIRIES: u8 = 1;
const REPEATS: u8 = 1;
/// The clock stands still. To end a lease, the model sets its end to now.
const NOW_MS: u64 = 10;
const LIVING_MS: u64 = 20;

/// A unit without its progress: the machine decides without it.
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
    Progress::Write { cursor: Cursor::default(), put: PutCounts::default(), tally: Tally::default() }
}

/// The next action of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Action {
    /// Waits for a message.
    Idle,
    /// Reads the stage of the ingestion.
    ReadStage,
    /// Reads the units of the phase, after the stage.
    ReadUnits { stage: Stage, rev: u64 },
    /// Starts the next phase, if the revision is still the one that it has read.
    Advance { stage: Stage, rev: u64 },
    /// Leases a unit, if its revision is still the one that it has read.
    Lease { id: UnitId, stage: Stage, was: Option<Row> },
    /// Checks that the ingestion is unchanged, while it holds a lease.
    Check { id: UnitId, stage: Stage, mine: Row },
    /// Does the work of the unit.
    Work { id: UnitId, mine: Row },
    /// Records that the unit is done.
    Finish { id: UnitId, mine: Row },
    /// Sends a delayed message, because other workers hold all units that remain.
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
    workers: [Action; WORKERS],
    /// Units whose work was really done.
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
            workers: [Action::Idle, Action::Idle],
            worked: BTreeMap::new(),
            crashes: CRASHES,
            expiries: EXPIRIES,
            repeats: REPEATS,
        }
    }

    /// Returns every state that is one step away.
    fn successors(&self) -> Vec<Self> {
        let mut found = Vec::new();
        for at in 0..WORKERS {
            found.extend(self.step(at));
            if self.crashes > 0 && self.workers[at] != Action::Idle {
                // The queue makes its message visible again.
                let mut next = self.clone();
                next.crashes -= 1;
                next.messages += 1;
                next.workers[at] = Action::Idle;
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

    /// Takes the next step of worker `at`; none if it waits for a message and there is none.
    fn step(&self, at: usize) -> Option<Self> {
        let mut next = self.clone();
        next.workers[at] = match self.workers[at].clone() {
            Action::Idle => {
                next.messages = self.messages.checked_sub(1)?;
                Action::ReadStage
            }
            Action::ReadStage if self.is_over => Action::Delete,
            Action::ReadStage => Action::ReadUnits { stage: self.stage, rev: self.rev },
            Action::ReadUnits { stage, rev } => self.decide(stage, rev),
            Action::Advance { stage, rev } => {
                next.advance(stage, rev);
                Action::ReadStage
            }
            Action::Lease { id, stage, was } => next.lease(at, id, stage, was.as_ref()),
            Action::Check { id, stage, mine } if !self.is_over && self.stage == stage => Action::Work { id, mine },
            Action::Check { id, mine, .. } => {
                next.swap(id, &mine, &mine.unit().paused(nowhere(), &nowhere(), Pause::Asked));
                Action::ReadStage
            }
            Action::Work { id, mine } => {
                next.worked.insert(id, true);
                Action::Finish { id, mine }
            }
            Action::Finish { id, mine } => {
                next.swap(id, &mine, &mine.unit().finished(nowhere()));
                Action::ReadStage
            }
            Action::SendLater => {
                next.messages += 1;
                Action::Delete
            }
            Action::Delete => Action::Idle,
        };
        Some(next)
    }

    fn decide(&self, stage: Stage, rev: u64) -> Action {
        let units: HashMap<UnitId, Unit> = self.units.iter().map(|(id, row)| (*id, row.unit())).collect();
        match next_step(&stage, |id| units.get(&id), NOW_MS) {
            NextStep::Advance => Action::Advance { stage, rev },
            NextStep::Work(id) => Action::Lease { id, stage, was: self.units.get(&id).cloned() },
            NextStep::Wait { .. } => Action::SendLater,
        }
    }

    fn advance(&mut self, stage: Stage, rev: u64) {
        if self.rev != rev {
            return;
        }
        self.rev += 1;
        // The work of the phase must be done, whatever happened before.
        for id in stage.units() {
            assert!(self.worked.contains_key(&id), "{id:?} was never done, and the next phase began");
        }
        match stage.phase.next() {
            Some(phase) => self.stage = Stage { phase, partitions: 1, ..stage },
            None => self.is_over = true,
        }
    }

    fn lease(&mut self, at: usize, id: UnitId, stage: Stage, was: Option<&Row>) -> Action {
        let unit = was.map_or_else(|| Unit::untouched(nowhere()), Row::unit);
        // No other lease has this name.
        let lease = Lease { holder: format!("{at}.{}", unit.hop), until_ms: LIVING_MS };
        let Some(leased) = unit.leased(lease, NOW_MS) else { return Action::ReadStage };
        let over = Row::of(&unit);
        if self.swap(id, &over, &leased) {
            return Action::Check { id, stage, mine: Row::of(&leased) };
        }
        Action::ReadStage
    }

    /// Acts as the ledger: writes if the revision is the expected one.
    fn swap(&mut self, id: UnitId, over: &Row, next: &Unit) -> bool {
        assert_eq!(next.rev, over.rev + 1, "a write names the revision before its own");
        let there = self.units.get(&id).map_or(0, |row| row.rev);
        if there != over.rev {
            return false;
        }
        if let Some(row) = self.units.get(&id) {
            assert!(!row.done, "{id:?} was done, and a worker writes it again");
        }
        self.units.insert(id, Row::of(next));
        true
    }

    /// Whether the ingestion has not ended and nothing will continue it.
    fn is_stranded(&self) -> bool {
        !self.is_over && self.messages == 0 && self.workers.iter().all(|action| *action == Action::Idle)
    }
}

fn expired(row: &Row) -> Row {
    let lease = row.lease.clone().map(|lease| Lease { until_ms: NOW_MS, ..lease });
    Row { lease, ..row.clone() }
}

/// Visits every reachable state; returns their number.
fn explore() -> usize {
    let (mut known, mut open) = (HashSet::new(), VecDeque::from([World::new()]));
    known.insert(World::new());
    let mut completed = 0;
    while let Some(world) = open.pop_front() {
        assert!(!world.is_stranded(), "no worker is active, and no message remains: {world:?}");
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
fn no_interleaving_strands_an_ingestion_or_starts_a_phase_too_early() {
    let states = explore();
    println!("{states} states");
    assert!(states > 10_000, "only {states} states: the search ended too early");
}

/// From every state one worker alone reaches the end, if no more faults happen.
#[test]
fn from_every_state_one_worker_alone_reaches_the_end() {
    let (mut known, mut open) = (HashSet::new(), VecDeque::from([World::new()]));
    while let Some(world) = open.pop_front() {
        for next in world.successors() {
            if known.insert(next.clone()) {
                open.push_back(next);
            }
        }
        // The other worker has died, its lease has ended, and its message becomes visible again.
        let mut alone = world.clone();
        if alone.workers[1] != Action::Idle {
            alone.workers[1] = Action::Idle;
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
    Progress::Write {
        cursor: Cursor { byte, line: 1, record: byte },
        put: PutCounts::default(),
        tally: Tally::default(),
    }
}

#[test]
fn only_a_lease_that_has_not_ended_excludes_other_workers() {
    let other = || Lease { holder: "b".to_owned(), until_ms: 99 };
    assert_eq!(leased(3, 20).leased(other(), 19), None);
    let taken = leased(3, 20).leased(other(), 20).unwrap();
    assert_eq!((taken.hop, taken.rev, taken.lease), (4, 6, Some(other())));
    let finished = leased(3, 20).finished(nowhere());
    assert_eq!(finished.leased(other(), 99), None, "a unit that is done is never leased");
    assert!(!leased(3, 20).is_hop_of(&leased(4, 20)));
}

#[test]
fn consecutive_hops_without_progress_in_their_time_are_counted() {
    let unit = leased(1, 20);
    let stuck = unit.paused(at(7), &at(7), Pause::Deadline);
    assert_eq!((stuck.stalls, stuck.lease.is_none()), (1, true));
    assert_eq!(stuck.paused(at(7), &at(7), Pause::Deadline).stalls, STALLS_LIMIT);
    assert_eq!(stuck.paused(at(7), &at(7), Pause::Asked).stalls, 1, "a request to stop does not count");
    assert_eq!(stuck.paused(at(8), &at(7), Pause::Deadline).stalls, 0);
}

#[test]
fn phases_follow_in_order_and_each_has_its_units() {
    let mut phases = vec![Phase::Survey];
    while let Some(next) = phases[phases.len() - 1].next() {
        phases.push(next);
    }
    assert_eq!(phases, Phase::ALL);
    let stage = |phase| Stage { phase, segments: 3, partitions: 5 };
    assert_eq!(Phase::ALL.map(|phase| stage(phase).units().count()), [3, 5, 1, 3]);
}
