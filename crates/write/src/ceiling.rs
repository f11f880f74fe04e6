//! The ceiling: write units a second that are never exceeded.
//!
//! A call passes two limits. First, `governor` spreads the write units evenly over the second, in small bursts. Its bound for any
//! one second is the rate plus a burst, and a call may cost more than a burst. So, second, the ceiling remembers the write units of
//! the last second, and a call waits until there is room for it.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

/// The ceiling divided by this is the burst: the write units that may be sent at once.
const BURST_DIVISOR: u32 = 20;

/// The second that the ceiling limits, and a reserve for calls that leave evenly and arrive in a clump.
const WINDOW: Duration = Duration::from_millis(1_100);

/// Returns the share of each of `workers` in `ceiling` write units a second, so that all together stay below it; none if the share
/// is less than one unit.
#[must_use]
pub fn share(ceiling: NonZeroU32, workers: NonZeroU32) -> Option<NonZeroU32> {
    NonZeroU32::new(ceiling.get() / workers.get())
}

/// A hard limit on write units a second.
#[derive(Debug)]
pub struct Ceiling {
    limiter: Option<Limiter>,
}

#[derive(Debug)]
struct Limiter {
    /// Spreads the write units over the second.
    spread: DefaultDirectRateLimiter,
    clock: DefaultClock,
    burst: NonZeroU32,
    ceiling: u64,
    /// When each call of the last [`WINDOW`] was sent, and its write units. The lock is held while a call waits, so that calls are
    /// served in the order in which they come.
    recent: Mutex<VecDeque<(Instant, u64)>>,
}

impl Ceiling {
    /// Creates a ceiling that limits nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self { limiter: None }
    }

    /// Creates a ceiling of `write_units` in any one second. A single call that is larger is sent alone.
    #[must_use]
    pub fn per_second(write_units: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(write_units.get() / BURST_DIVISOR).unwrap_or(NonZeroU32::MIN);
        let spread = RateLimiter::direct(Quota::per_second(write_units).allow_burst(burst));
        let (clock, ceiling, recent) = (DefaultClock::default(), u64::from(write_units.get()), Mutex::default());
        Self { limiter: Some(Limiter { spread, clock, burst, ceiling, recent }) }
    }

    /// Returns the write units that a batch should not exceed, so that it is sent in one burst.
    #[must_use]
    pub(crate) fn batch_limit_units(&self) -> u64 {
        self.limiter.as_ref().map_or(u64::MAX, |limiter| u64::from(limiter.burst.get()))
    }

    /// Waits until `write_units` may be spent, spends them, and returns when it spent them.
    pub(crate) async fn take(&self, write_units: u64) -> Instant {
        let Some(limiter) = self.limiter.as_ref().filter(|_| write_units > 0) else { return Instant::now() };
        let mut recent = limiter.recent.lock().await;
        limiter.spread(write_units).await;
        loop {
            let now = Instant::now();
            while recent.pop_front_if(|(at, _)| *at + WINDOW <= now).is_some() {}
            let spent: u64 = recent.iter().map(|(_, units)| units).sum();
            let Some((oldest, _)) = recent.front().filter(|_| spent + write_units > limiter.ceiling) else { break };
            sleep_until(*oldest + WINDOW).await;
        }
        let now = Instant::now();
        recent.push_back((now, write_units));
        now
    }
}

impl Limiter {
    /// Waits until the spread allows `write_units`. It takes more than a burst in several parts.
    async fn spread(&self, write_units: u64) {
        let mut remaining = write_units;
        let part = |remaining: u64| NonZeroU32::new(u32::try_from(remaining).unwrap_or(u32::MAX).min(self.burst.get()));
        while let Some(units) = part(remaining) {
            match self.spread.check_n(units) {
                Ok(Ok(())) => remaining -= u64::from(units.get()),
                Ok(Err(not_until)) => sleep(not_until.wait_time_from(self.clock.now())).await,
                Err(insufficient) => {
                    unreachable!("a part is at most a burst, which the limiter can hold: {insufficient}")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use std::sync::Arc;

    use super::*;

    /// Spends from many tasks at once and returns the largest sum within any one second.
    async fn busiest_second(ceiling: u32, cost: u64, calls: usize) -> u64 {
        let ceiling = Arc::new(Ceiling::per_second(NonZeroU32::new(ceiling).unwrap()));
        let tasks = (0..calls).map(|_| {
            let ceiling = Arc::clone(&ceiling);
            tokio::spawn(async move { ceiling.take(cost).await })
        });
        let mut spent: Vec<Instant> = futures::future::try_join_all(tasks).await.unwrap();
        spent.sort_unstable();
        let within = |from: Instant| {
            let elapsed = spent.iter().map(|at| at.saturating_duration_since(from)).zip(&spent);
            elapsed.filter(|(passed, at)| **at >= from && passed.as_millis() < 1_000).count()
        };
        let most = spent.iter().map(|from| within(*from)).max().unwrap_or_default();
        most as u64 * cost
    }

    /// Holds on a machine of any speed.
    #[tokio::test]
    async fn no_second_exceeds_the_ceiling() {
        for (ceiling, cost, calls) in [(2_000, 90, 40), (2_000, 1_500, 3), (4, 4, 3), (10, 4, 5)] {
            let busiest = busiest_second(ceiling, cost, calls).await;
            assert!(
                busiest <= ceiling.into(),
                "{busiest} write units within a second under {ceiling} by calls of {cost}"
            );
        }
    }

    #[test]
    fn the_shares_of_all_workers_stay_below_the_ceiling() {
        let of = |ceiling, workers| {
            let share = share(NonZeroU32::new(ceiling).unwrap(), NonZeroU32::new(workers).unwrap());
            share.map(NonZeroU32::get)
        };
        assert_eq!((of(4000, 5), of(7, 2), of(5, 5), of(9, 1)), (Some(800), Some(3), Some(1), Some(9)));
        assert_eq!(of(4, 5), None);
    }

    #[tokio::test]
    async fn a_call_above_the_ceiling_is_sent_alone() {
        assert_eq!(busiest_second(2, 3, 2).await, 3);
    }
}
