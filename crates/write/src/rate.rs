//! When calls go out: in turn, and no faster than the table takes them.
//!
//! How fast that is, the model learns from what the table leaves. A table that takes everything has no pace.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Queue, MutexGuard as Place};
use tokio::time::{Instant, sleep_until};

use self::model::Model;

mod model;
#[cfg(test)]
mod simulation;

/// The pace of all calls to one table.
#[derive(Debug)]
pub struct RateController {
    model: Mutex<Model>,
    /// Whose turn it is. Held while waiting: first come, first served.
    turn: Queue<()>,
}

/// A batch that is being written, until it is dropped: without any the pace learns nothing.
#[derive(Debug)]
pub struct Writing<'p>(&'p RateController);

/// The turn of one call, whose time has come.
#[derive(Debug)]
pub struct Turn<'p> {
    pace: &'p RateController,
    _place: Place<'p, ()>,
}

/// A call that goes out. What the table left of it is told by [`Sent::answered`]; dropped, it says nothing.
#[derive(Debug)]
pub struct Sent<'p> {
    pace: &'p RateController,
    units: f64,
    epoch: u64,
}

impl RateController {
    /// No pace yet.
    #[must_use]
    pub fn new() -> Self {
        Self { model: Mutex::new(Model::new(Instant::now())), turn: Queue::default() }
    }

    /// Write units a second that go out at most; none while the table takes everything.
    #[must_use]
    pub fn units(&self) -> Option<f64> {
        self.model().units()
    }

    /// A batch is to be written.
    #[must_use]
    pub fn writing(&self) -> Writing<'_> {
        self.model().begin(Instant::now());
        Writing(self)
    }

    fn wait(&self) -> Option<Instant> {
        self.model().wait(Instant::now())
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for RateController {
    fn default() -> Self {
        Self::new()
    }
}

impl<'p> Writing<'p> {
    /// Waits until the next call may go out.
    pub async fn turn(&self) -> Turn<'p> {
        let place = self.0.turn.lock().await;
        while let Some(then) = self.0.wait() {
            sleep_until(then).await;
        }
        Turn { pace: self.0, _place: place }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.model().end(Instant::now());
    }
}

impl<'p> Turn<'p> {
    /// Write units that the call should not exceed.
    #[must_use]
    pub fn call_limit_units(&self) -> f64 {
        self.pace.model().call_limit_units()
    }

    /// Spends the write units of the call. The next one has its turn when they are paid for.
    #[must_use]
    pub fn send(self, write_units: u64) -> Sent<'p> {
        let units = as_f64(write_units);
        let epoch = self.pace.model().send(Instant::now(), units);
        Sent { pace: self.pace, units, epoch }
    }
}

impl Sent<'_> {
    /// The table answered, and left so many of the write units that were sent.
    pub fn answered(self, left_units: u64) {
        self.pace.model().answered(Instant::now(), self.epoch, self.units, as_f64(left_units));
    }
}

#[allow(clippy::cast_precision_loss, reason = "a call has some thousand units, far below 2^52")]
const fn as_f64(write_units: u64) -> f64 {
    write_units as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn without_a_pace_nobody_waits_and_calls_have_no_limit() {
        let pace = RateController::new();
        let writing = pace.writing();
        for _ in 0..1_000 {
            let turn = writing.turn().await;
            assert!(turn.call_limit_units().is_infinite());
            turn.send(1_000).answered(0);
        }
        assert_eq!(pace.units(), None);
    }

    #[tokio::test]
    async fn turns_come_one_after_the_other() {
        let pace = RateController::new();
        let writing = pace.writing();
        let first = writing.turn().await;
        let mut second = std::pin::pin!(writing.turn());
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(first);
        drop(tokio::time::timeout(Duration::from_secs(10), second).await);
    }
}
