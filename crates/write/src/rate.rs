//! The rate: when the next call may be sent, so that the table accepts it.
//!
//! The model learns the rate from what the table leaves unprocessed. A table that accepts everything has no rate.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Queue, MutexGuard as QueueHead};
use tokio::time::{Instant, sleep_until};

use self::model::Model;

mod model;
#[cfg(test)]
mod simulation;

/// The rate of all calls to one table.
#[derive(Debug)]
pub struct RateController {
    model: Mutex<Model>,
    /// Locked by the caller whose turn it is, while it waits: callers are served in the order in which they come.
    queue: Queue<()>,
}

/// A batch or an update that is being written, until it is dropped. The model does not measure time without any.
#[derive(Debug)]
pub(crate) struct ActiveWork<'r>(&'r RateController);

/// The turn of one call, which may be sent now.
#[derive(Debug)]
pub(crate) struct Turn<'r> {
    rate: &'r RateController,
    _head: QueueHead<'r, ()>,
}

/// A call that was sent. Report its answer by [`SentCall::answered`]; dropped, it teaches the model nothing.
#[derive(Debug)]
pub(crate) struct SentCall<'r> {
    rate: &'r RateController,
    units: f64,
    epoch: u64,
}

impl RateController {
    /// Creates a controller without a rate.
    #[must_use]
    pub fn new() -> Self {
        Self { model: Mutex::new(Model::new(Instant::now())), queue: Queue::default() }
    }

    /// Returns the write units a second that may be sent; none while the table accepts everything.
    #[cfg(test)]
    pub(crate) fn limit_units(&self) -> Option<f64> {
        self.model().rate_units()
    }

    /// Begins a piece of work.
    pub(crate) fn begin_work(&self) -> ActiveWork<'_> {
        self.model().begin(Instant::now());
        ActiveWork(self)
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

impl<'r> ActiveWork<'r> {
    /// Waits until the next call may be sent.
    pub(crate) async fn turn(&self) -> Turn<'r> {
        let head = self.0.queue.lock().await;
        while let Some(then) = self.0.wait() {
            sleep_until(then).await;
        }
        Turn { rate: self.0, _head: head }
    }
}

impl Drop for ActiveWork<'_> {
    fn drop(&mut self) {
        self.0.model().end(Instant::now());
    }
}

impl<'r> Turn<'r> {
    /// Returns the write units that the call should not exceed.
    pub(crate) fn call_limit_units(&self) -> f64 {
        self.rate.model().call_limit_units()
    }

    /// Spends the write units of the call. The next call has its turn when the rate has earned them back.
    pub(crate) fn send(self, write_units: u64) -> SentCall<'r> {
        let units = as_f64(write_units);
        let epoch = self.rate.model().send(Instant::now(), units);
        SentCall { rate: self.rate, units, epoch }
    }
}

impl SentCall<'_> {
    /// Reports that the table answered, and the write units that it left unprocessed.
    pub(crate) fn answered(self, unprocessed_units: u64) {
        self.rate.model().answered(Instant::now(), self.epoch, self.units, as_f64(unprocessed_units));
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
    async fn without_a_rate_no_call_waits_or_has_a_limit() {
        let rate = RateController::new();
        let work = rate.begin_work();
        for _ in 0..1_000 {
            let turn = work.turn().await;
            assert!(turn.call_limit_units().is_infinite());
            turn.send(1_000).answered(0);
        }
        assert_eq!(rate.limit_units(), None);
    }

    #[tokio::test]
    async fn turns_come_one_after_another() {
        let rate = RateController::new();
        let work = rate.begin_work();
        let first = work.turn().await;
        let mut second = std::pin::pin!(work.turn());
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(first);
        drop(tokio::time::timeout(Duration::from_secs(10), second).await);
    }
}
