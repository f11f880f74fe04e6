//! A limit on the calls in flight that follows what the table accepts.
//!
//! Additive increase, multiplicative decrease, as in TCP: each accepted call raises the limit by its share of one, a throttled
//! call lowers it by a third. Calls that were sent before the last decrease carry no news and lower nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Calls in flight at the start: few enough for the smallest table. A table that accepts more doubles it within some ten calls.
const START: f64 = 4.0;

/// Factor by which a throttle lowers the limit. TCP halves; a table throttles for less reason than a full queue.
const DECREASE: f64 = 0.67;

/// A limit on the calls in flight that adapts its size.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    state: Mutex<LimitState>,
    /// Wakes a caller when a call ends or the limit rises.
    room: Notify,
    most: f64,
}

#[derive(Debug)]
struct LimitState {
    limit: f64,
    in_flight: u32,
    /// Number of decreases so far.
    epoch: u64,
    /// Whether the table has throttled yet. Until then every accepted call raises the limit by one.
    has_throttled: bool,
}

/// One call in flight. Report its outcome by [`InFlight::accepted`] or [`InFlight::throttled`]; dropped, it leaves the limit as it is.
#[derive(Debug)]
pub(crate) struct InFlight<'l> {
    concurrency: &'l ConcurrencyLimit,
    epoch: u64,
}

impl ConcurrencyLimit {
    /// Creates a limit of at most `most` calls at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = f64::from(u32::try_from(most.max(1)).unwrap_or(u32::MAX));
        let state = LimitState { limit: START.min(most), in_flight: 0, epoch: 0, has_throttled: false };
        Self { state: Mutex::new(state), room: Notify::new(), most }
    }

    /// Waits until one more call may be in flight.
    pub(crate) async fn enter(&self) -> InFlight<'_> {
        loop {
            let room = self.room.notified();
            if let Some(in_flight) = self.try_enter() {
                return in_flight;
            }
            room.await;
        }
    }

    /// Admits one more call, if there is room.
    pub(crate) fn try_enter(&self) -> Option<InFlight<'_>> {
        let mut state = self.state();
        if f64::from(state.in_flight) + 1.0 > state.limit {
            return None;
        }
        state.in_flight += 1;
        Some(InFlight { concurrency: self, epoch: state.epoch })
    }

    /// Returns how many calls may be in flight now.
    #[cfg(test)]
    pub(crate) fn limit(&self) -> f64 {
        self.state().limit
    }

    fn state(&self) -> MutexGuard<'_, LimitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlight<'_> {
    /// Reports that the table accepted the call.
    pub(crate) fn accepted(self) {
        let mut state = self.concurrency.state();
        let raise = if state.has_throttled { 1.0 / state.limit } else { 1.0 };
        state.limit = (state.limit + raise).min(self.concurrency.most);
        drop(state);
        self.concurrency.room.notify_one();
    }

    /// Reports that the table is full.
    pub(crate) fn throttled(self) {
        let mut state = self.concurrency.state();
        if self.epoch == state.epoch {
            state.limit = (state.limit * DECREASE).max(1.0);
            state.epoch += 1;
            state.has_throttled = true;
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.concurrency.state().in_flight -= 1;
        self.concurrency.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp, reason = "a test; the numbers are exact")]

    use super::*;

    #[test]
    fn the_limit_grows_by_one_per_call_before_the_first_throttle_and_by_one_per_round_after_it() {
        let concurrency = ConcurrencyLimit::new(32);
        for _ in 0..6 {
            concurrency.try_enter().unwrap().accepted();
        }
        assert_eq!(concurrency.limit(), 10.0);
        concurrency.try_enter().unwrap().throttled();
        let after = concurrency.limit();
        assert_eq!(after, 10.0 * DECREASE);
        for _ in 0..7 {
            concurrency.try_enter().unwrap().accepted();
        }
        assert!(concurrency.limit() - after > 0.9 && concurrency.limit() - after < 1.1, "{}", concurrency.limit());
    }

    #[test]
    fn throttles_of_one_round_lower_the_limit_once_and_never_below_one() {
        let concurrency = ConcurrencyLimit::new(8);
        let round: Vec<_> = (0..4).map(|_| concurrency.try_enter().unwrap()).collect();
        assert!(concurrency.try_enter().is_none());
        round.into_iter().for_each(InFlight::throttled);
        assert_eq!(concurrency.limit(), 4.0 * DECREASE);
        for _ in 0..20 {
            concurrency.try_enter().unwrap().throttled();
        }
        assert_eq!(concurrency.limit(), 1.0);
        assert!(concurrency.try_enter().is_some(), "one call is always admitted");
    }

    #[tokio::test]
    async fn a_waiting_call_enters_when_another_ends() {
        let concurrency = ConcurrencyLimit::new(1);
        let first = concurrency.enter().await;
        let mut second = std::pin::pin!(concurrency.enter());
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(first);
        second.await.accepted();
    }
}
