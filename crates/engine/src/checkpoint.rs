//! The progress of a unit of work while a worker is on it, and how the hop ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::machine::Pause;
use super::progress::Progress;

/// How a hop ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ended {
    /// The unit is done.
    Done(Progress),
    /// There is more to do from this progress on.
    Paused(Progress, Pause),
    /// Like `Paused`, but some calls may still be in flight.
    CutOff(Progress, Pause),
}

/// The latest progress of a unit of work. The work sets it; the renewal of the lease reads it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    progress: Mutex<Progress>,
    has_items: AtomicBool,
}

impl Checkpoint {
    pub(crate) const fn new(progress: Progress) -> Self {
        Self { progress: Mutex::new(progress), has_items: AtomicBool::new(false) }
    }

    pub(crate) fn set(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    pub(crate) fn get(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the hop has items to put. If it makes no progress from then on, the reason is not a lack of time but a
    /// table that accepts nothing, which must not fail the ingestion.
    pub(crate) fn note_items(&self) {
        self.has_items.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_items(&self) -> bool {
        self.has_items.load(Ordering::Relaxed)
    }
}
