//! The state machine of an ingestion: which unit of work is next, and how each write changes a unit. It is pure: it
//! reads no clock and makes no call. The tests explore every interleaving of small cases.
//!
//! ```text
//! survey ─► merge ─► settle ─► write ─► completed
//!    └────────┴─────────┴────────┴────► failed | superseded | cancelled
//! ```
//!
//! Each phase has units, and one worker at a time leases a unit. The units of the survey are the segments of the plan,
//! those of the merge are partitions of the hash space, the third phase (`settle`) has one unit, and the units of the
//! write pass are the segments again. A phase ends when all its units are done. The worker that sees this starts the
//! next phase. Every write names the revision that it read, and fails if another write came in between.
//!
//! A *hop* is the work of one worker on one unit, from taking the lease to giving it back.

use serde::{Deserialize, Serialize};

use super::progress::Progress;

/// The phases of an ingestion, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reads the whole source and stores blocks. Its units are the segments.
    Survey,
    /// Finds the last record of each key. Its units are partitions of the hash space.
    Merge,
    /// Adds up the counts and stores the rejects. It has one unit. The ledger and users see it as `settle`.
    #[serde(rename = "settle")]
    Finalize,
    /// Reads the source again and puts the items. Its units are the segments.
    Write,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 4] = [Self::Survey, Self::Merge, Self::Finalize, Self::Write];

    /// The name of the phase, in the ledger and in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Survey => "survey",
            Self::Merge => "merge",
            Self::Finalize => "settle",
            Self::Write => "write",
        }
    }

    /// The next phase; none after the last one.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| *phase > self)
    }

    /// The phase that `progress` belongs to.
    pub(crate) const fn of(progress: &Progress) -> Self {
        match progress {
            Progress::Survey { .. } => Self::Survey,
            Progress::Merge(_) => Self::Merge,
            Progress::Finalize { .. } => Self::Finalize,
            Progress::Write { .. } => Self::Write,
        }
    }
}

/// One unit of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId {
    /// Its phase.
    pub phase: Phase,
    /// Number of the segment or partition, from 0.
    pub number: u32,
}

/// The current phase, and the numbers of units that the choice of the next step needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stage {
    /// The current phase.
    pub phase: Phase,
    /// Number of segments in the plan.
    pub segments: u32,
    /// Number of partitions of the merge; 0 until the survey is done.
    pub partitions: u32,
}

impl Stage {
    /// The first stage of an attempt.
    #[must_use]
    pub const fn begun(segments: u32) -> Self {
        Self { phase: Phase::Survey, segments, partitions: 0 }
    }

    /// The units of the current phase.
    pub fn units(&self) -> impl Iterator<Item = UnitId> + use<> {
        let phase = self.phase;
        let count = match phase {
            Phase::Survey | Phase::Write => self.segments,
            Phase::Merge => self.partitions,
            Phase::Finalize => 1,
        };
        (0..count).map(move |number| UnitId { phase, number })
    }
}

/// The right of one worker to work on a unit until a point in time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// A random name that no other lease has.
    pub holder: String,
    /// When it ends unless the holder renews it, in milliseconds since 1970.
    pub until_ms: u64,
}

/// A unit of work, as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// Revision: the number of writes so far.
    pub rev: u64,
    /// Number of leases so far.
    pub hop: u32,
    /// The current lease, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Whether all its work is done.
    pub done: bool,
    /// Consecutive hops that ran out of time without any progress.
    pub stalls: u32,
    /// The last checkpoint.
    pub progress: Progress,
}

/// Number of consecutive hops without progress after which an ingestion fails: another hop would end the same way.
pub(crate) const STALLS_LIMIT: u32 = 2;

/// Why a hop stops before its unit is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pause {
    /// A request to stop, or an error that may not occur again.
    Asked,
    /// The worker reached its deadline.
    Deadline,
}

impl Unit {
    /// A unit that no worker has leased yet.
    #[must_use]
    pub fn untouched(progress: Progress) -> Self {
        Self { rev: 0, hop: 0, lease: None, done: false, stalls: 0, progress }
    }

    /// Whether a worker holds a lease on it at `now_ms`.
    #[must_use]
    pub(crate) fn is_leased(&self, now_ms: u64) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.until_ms > now_ms)
    }

    /// Returns the unit with the new `lease`; none if it is done or its lease has not ended.
    #[must_use]
    pub fn leased(&self, lease: Lease, now_ms: u64) -> Option<Self> {
        if self.done || self.is_leased(now_ms) {
            return None;
        }
        Some(Self { rev: self.rev + 1, hop: self.hop + 1, lease: Some(lease), ..self.clone() })
    }

    /// Returns the unit at the checkpoint `progress`, with its lease renewed until `until_ms`.
    #[must_use]
    pub fn renewed(&self, progress: Progress, until_ms: u64) -> Self {
        let lease = self.lease.clone().map(|lease| Lease { until_ms, ..lease });
        Self { rev: self.rev + 1, lease, progress, ..self.clone() }
    }

    /// Returns the unfinished unit without a lease, at the checkpoint `progress`. `began` is the checkpoint at which
    /// the hop began.
    #[must_use]
    pub(crate) fn paused(&self, progress: Progress, began: &Progress, why: Pause) -> Self {
        let stalls = match why {
            Pause::Deadline if !progress.is_beyond(began) => self.stalls + 1,
            Pause::Deadline => 0,
            Pause::Asked => self.stalls,
        };
        Self { rev: self.rev + 1, lease: None, stalls, progress, ..self.clone() }
    }

    /// Does the same as [`Unit::paused`] but keeps the lease until it ends: calls that were cut off may be under way
    /// until then.
    #[must_use]
    pub(crate) fn cut_off(&self, progress: Progress, began: &Progress, why: Pause) -> Self {
        Self { lease: self.lease.clone(), ..self.paused(progress, began, why) }
    }

    /// Returns the unit as done, without a lease.
    #[must_use]
    pub(crate) fn finished(&self, progress: Progress) -> Self {
        Self { rev: self.rev + 1, lease: None, done: true, stalls: 0, progress, ..self.clone() }
    }

    /// Whether `self`, as the ledger holds it, belongs to the same hop as `mine`: only the holder of a lease writes
    /// during its hop.
    #[must_use]
    pub fn is_hop_of(&self, mine: &Self) -> bool {
        let holder = |unit: &Self| unit.lease.as_ref().map(|lease| lease.holder.clone());
        self.hop == mine.hop && holder(self) == holder(mine)
    }
}

/// What a worker does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NextStep {
    /// Lease this unit and work on it.
    Work(UnitId),
    /// Start the next phase: every unit of this one is done.
    Advance,
    /// Wait: other workers hold leases on all units that are not done.
    Wait {
        /// When the first of these leases ends, in milliseconds since 1970.
        until_ms: u64,
    },
}

/// Chooses the next step of an ingestion that is not over, from the units of its phase as the ledger holds them.
#[must_use]
pub(crate) fn next_step<'u>(stage: &Stage, unit: impl Fn(UnitId) -> Option<&'u Unit>, now_ms: u64) -> NextStep {
    let mut first_end_ms = None;
    for id in stage.units() {
        match unit(id) {
            Some(unit) if unit.done => {}
            Some(Unit { lease: Some(lease), .. }) if lease.until_ms > now_ms => {
                first_end_ms = Some(first_end_ms.map_or(lease.until_ms, |end: u64| end.min(lease.until_ms)));
            }
            Some(_) | None => return NextStep::Work(id),
        }
    }
    first_end_ms.map_or(NextStep::Advance, |until_ms| NextStep::Wait { until_ms })
}

#[cfg(test)]
mod tests;
