//! How many calls are in flight at once: as many as the table takes.
//!
//! Additive increase, multiplicative decrease, as TCP does: each call that is taken raises the limit by its share of one, a
//! throttled one lowers it by a third. Calls that went out before the last decrease say nothing new and lower nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Calls in flight at the start: few enough for the smallest table, doubled within some ten calls by any that takes more.
const START: f64 = 4.0;

/// What is left of the limit after a throttle. TCP halves; a table throttles for less reason than a full queue.
const DECREASE: f64 = 0.67;

/// A limit on calls in flight that finds its own size.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    state: Mutex<State>,
    room: Notify,
    most: f64,
}

#[derive(Debug)]
struct State {
    limit: f64,
    in_flight: u32,
    /// Raised by each decrease.
    epoch: u64,
    /// Whether the table has throttled yet: before, the limit doubles.
    throttled: bool,
}

/// One call in flight. What it meets is told by [`Pass::taken`] or [`Pass::throttled`]; dropped, it says nothing.
#[derive(Debug)]
pub struct Pass<'f> {
    flight: &'f ConcurrencyLimit,
    epoch: u64,
}

impl ConcurrencyLimit {
    /// At most `most` calls at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = f64::from(u32::try_from(most.max(1)).unwrap_or(u32::MAX));
        let state = State { limit: START.min(most), in_flight: 0, epoch: 0, throttled: false };
        Self { state: Mutex::new(state), room: Notify::new(), most }
    }

    /// Waits until one more call may be in flight.
    pub async fn enter(&self) -> Pass<'_> {
        loop {
            let room = self.room.notified();
            if let Some(pass) = self.try_enter() {
                return pass;
            }
            room.await;
        }
    }

    pub(super) fn try_enter(&self) -> Option<Pass<'_>> {
        let mut state = self.state();
        if f64::from(state.in_flight) + 1.0 > state.limit {
            return None;
        }
        state.in_flight += 1;
        Some(Pass { flight: self, epoch: state.epoch })
    }

    /// How many calls may be in flight now.
    #[must_use]
    pub fn limit(&self) -> f64 {
        self.state().limit
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The table took the call.
    pub fn taken(self) {
        let mut state = self.flight.state();
        let raise = if state.throttled { 1.0 / state.limit } else { 1.0 };
        state.limit = (state.limit + raise).min(self.flight.most);
        drop(state);
        self.flight.room.notify_one();
    }

    /// The table is full.
    pub fn throttled(self) {
        let mut state = self.flight.state();
        if self.epoch == state.epoch {
            state.limit = (state.limit * DECREASE).max(1.0);
            state.epoch += 1;
            state.throttled = true;
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.flight.state().in_flight -= 1;
        self.flight.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp, reason = "a test; the numbers are exact")]

    use super::*;

    #[test]
    fn it_grows_by_one_a_call_until_the_first_throttle_and_by_one_a_round_after_it() {
        let flight = ConcurrencyLimit::new(32);
        for _ in 0..6 {
            flight.try_enter().unwrap().taken();
        }
        assert_eq!(flight.limit(), 10.0);
        flight.try_enter().unwrap().throttled();
        let after = flight.limit();
        assert_eq!(after, 10.0 * DECREASE);
        for _ in 0..7 {
            flight.try_enter().unwrap().taken();
        }
        assert!(flight.limit() - after > 0.9 && flight.limit() - after < 1.1, "{}", flight.limit());
    }

    #[test]
    fn throttles_of_one_round_lower_it_once_and_never_below_one() {
        let flight = ConcurrencyLimit::new(8);
        let round: Vec<_> = (0..4).map(|_| flight.try_enter().unwrap()).collect();
        assert!(flight.try_enter().is_none());
        round.into_iter().for_each(Pass::throttled);
        assert_eq!(flight.limit(), 4.0 * DECREASE);
        for _ in 0..20 {
            flight.try_enter().unwrap().throttled();
        }
        assert_eq!(flight.limit(), 1.0);
        assert!(flight.try_enter().is_some(), "one call is always let through");
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_room() {
        let flight = ConcurrencyLimit::new(1);
        let first = flight.enter().await;
        let mut second = std::pin::pin!(flight.enter());
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(first);
        second.await.taken();
    }
}
