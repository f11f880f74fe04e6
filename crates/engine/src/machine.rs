//! The state machine of an ingestion: which unit of work is next, and what each write to the ledger makes of what is
//! there. Pure: no clock, no wire. The tests search every interleaving of small cases.
//!
//! ```text
//! survey ─► merge ─► settle ─► write ─► completed
//!    └────────┴─────────┴────────┴────► failed | superseded | cancelled
//! ```
//!
//! A phase has units, each leased by one worker at a time: the segments of the plan, the partitions of the hash space,
//! one for the rejects, the segments again. A phase is over when all its units are done; whoever sees that moves the
//! ingestion on. Every write names the revision that it read, and fails if another came between.

use serde::{Deserialize, Serialize};

use super::progress::Progress;

/// What an ingestion is doing, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reads all of the source and leaves blocks. Its units are the segments.
    Survey,
    /// Finds which record of each key is the last. Its units are partitions of the hash space.
    Merge,
    /// Counts everything and lays down the rejects. One unit.
    Settle,
    /// Reads again and puts. Its units are the segments.
    Write,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 4] = [Self::Survey, Self::Merge, Self::Settle, Self::Write];

    /// The word for it in the ledger and for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Survey => "survey",
            Self::Merge => "merge",
            Self::Settle => "settle",
            Self::Write => "write",
        }
    }

    /// The phase behind it; none behind the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| *phase > self)
    }
}

/// One unit of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId {
    /// The phase that it belongs to.
    pub phase: Phase,
    /// Segment or partition.
    pub number: u32,
}

/// How far an ingestion is, as far as the choice of the next step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stage {
    /// What is being done.
    pub phase: Phase,
    /// Segments of the plan.
    pub segments: u32,
    /// Partitions of the merge; 0 until the survey is done.
    pub partitions: u32,
}

impl Stage {
    /// The stage of an ingestion that has just been planned.
    #[must_use]
    pub const fn begun(segments: u32) -> Self {
        Self { phase: Phase::Survey, segments, partitions: 0 }
    }

    /// The units of its phase.
    pub fn units(&self) -> impl Iterator<Item = UnitId> + use<> {
        let phase = self.phase;
        let count = match phase {
            Phase::Survey | Phase::Write => self.segments,
            Phase::Merge => self.partitions,
            Phase::Settle => 1,
        };
        (0..count).map(move |number| UnitId { phase, number })
    }
}

/// Who works on a unit, and until when others leave it alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// A name that nobody else has, of no meaning.
    pub holder: String,
    /// When it ends unless it is renewed, in milliseconds since 1970.
    pub until_ms: u64,
}

/// A unit as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// Raised by every write.
    pub rev: u64,
    /// Raised by every lease.
    pub hop: u32,
    /// The lease, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Whether all of it is done.
    pub done: bool,
    /// Hops in a row that ran out of time without getting any further.
    pub stalls: u32,
    /// How far it is.
    pub progress: Progress,
}

/// Hops without progress after which an ingestion fails: another hop would end the same way.
pub const STALLS_LIMIT: u32 = 2;

/// Why a hop ends before its unit is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pause {
    /// Somebody asked for it, or something failed that may not fail again.
    Asked,
    /// The worker's time is up.
    Deadline,
}

impl Unit {
    /// A unit that nobody has begun.
    #[must_use]
    pub fn untouched(progress: Progress) -> Self {
        Self { rev: 0, hop: 0, lease: None, done: false, stalls: 0, progress }
    }

    /// Whether somebody works on it at `now_ms`.
    #[must_use]
    pub fn is_leased(&self, now_ms: u64) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.until_ms > now_ms)
    }

    /// The unit leased by `lease`; none if it is done or somebody works on it.
    #[must_use]
    pub fn leased(&self, lease: Lease, now_ms: u64) -> Option<Self> {
        if self.done || self.is_leased(now_ms) {
            return None;
        }
        Some(Self { rev: self.rev + 1, hop: self.hop + 1, lease: Some(lease), ..self.clone() })
    }

    /// The unit with its lease renewed, at `progress`.
    #[must_use]
    pub fn renewed(&self, progress: Progress, until_ms: u64) -> Self {
        let lease = self.lease.clone().map(|lease| Lease { until_ms, ..lease });
        Self { rev: self.rev + 1, lease, progress, ..self.clone() }
    }

    /// The unit given back unfinished at `progress`, where the hop began at `began`.
    #[must_use]
    pub fn paused(&self, progress: Progress, began: &Progress, why: Pause) -> Self {
        let stalls = match why {
            Pause::Deadline if !progress.is_beyond(began) => self.stalls + 1,
            Pause::Deadline => 0,
            Pause::Asked => self.stalls,
        };
        Self { rev: self.rev + 1, lease: None, stalls, progress, ..self.clone() }
    }

    /// The same, but left to its lease: calls that were cut off may still be under way for as long as that.
    #[must_use]
    pub fn cut_off(&self, progress: Progress, began: &Progress, why: Pause) -> Self {
        Self { lease: self.lease.clone(), ..self.paused(progress, began, why) }
    }

    /// The unit done.
    #[must_use]
    pub fn finished(&self, progress: Progress) -> Self {
        Self { rev: self.rev + 1, lease: None, done: true, stalls: 0, progress, ..self.clone() }
    }

    /// Whether what the ledger holds, `self`, is still of the hop that `mine` was read in: nobody else writes within it.
    #[must_use]
    pub fn is_hop_of(&self, mine: &Self) -> bool {
        let holder = |unit: &Self| unit.lease.as_ref().map(|lease| lease.holder.clone());
        self.hop == mine.hop && holder(self) == holder(mine)
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Lease this unit and work on it.
    Work(UnitId),
    /// Every unit of the phase is done: move the ingestion on.
    Advance,
    /// Others work on all that is left; none of their leases ends before this time, in milliseconds since 1970.
    Wait {
        /// When the first lease ends.
        until_ms: u64,
    },
}

/// What to do next in an ingestion that is not over, by what the ledger holds of the units of its phase.
#[must_use]
pub fn next_step<'u>(stage: &Stage, unit: impl Fn(UnitId) -> Option<&'u Unit>, now_ms: u64) -> Step {
    let mut first_end_ms = None;
    for id in stage.units() {
        match unit(id) {
            Some(unit) if unit.done => {}
            Some(Unit { lease: Some(lease), .. }) if lease.until_ms > now_ms => {
                first_end_ms = Some(first_end_ms.map_or(lease.until_ms, |end: u64| end.min(lease.until_ms)));
            }
            Some(_) | None => return Step::Work(id),
        }
    }
    first_end_ms.map_or(Step::Advance, |until_ms| Step::Wait { until_ms })
}

#[cfg(test)]
mod tests;
