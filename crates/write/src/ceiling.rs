//! The ceiling: write units a second that are never exceeded.
//!
//! Two limits stand one behind the other. `governor` spreads what goes out evenly over the second, in small bursts. Its
//! bound for any one second is the rate and a burst, and a call may cost more than a burst; so what went out within the
//! last second is kept too, and a call waits until there is room for it.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

/// Share of the ceiling that may go out at once, as a divisor.
const BURST_DIVISOR: u32 = 20;

/// The second that the ceiling is for, and room for calls that leave evenly and arrive in a clump.
const WINDOW: Duration = Duration::from_millis(1_100);

/// What each of `workers` may spend of `ceiling` write units a second, so that all at once stay below it; none if that is
/// less than one for each.
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
    pace: DefaultDirectRateLimiter,
    clock: DefaultClock,
    burst: NonZeroU32,
    ceiling: u64,
    /// When how much went out, of the last [`WINDOW`]. Its lock is held while waiting: first come, first served.
    recent: Mutex<VecDeque<(Instant, u64)>>,
}

impl Ceiling {
    /// No limit.
    #[must_use]
    pub const fn none() -> Self {
        Self { limiter: None }
    }

    /// At most `write_units` in any one second; a single call that is larger than that goes out alone.
    #[must_use]
    pub fn per_second(write_units: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(write_units.get() / BURST_DIVISOR).unwrap_or(NonZeroU32::MIN);
        let pace = RateLimiter::direct(Quota::per_second(write_units).allow_burst(burst));
        let (clock, ceiling, recent) = (DefaultClock::default(), u64::from(write_units.get()), Mutex::default());
        Self { limiter: Some(Limiter { pace, clock, burst, ceiling, recent }) }
    }

    /// Write units that a batch should not exceed, so that it goes out in one burst.
    #[must_use]
    pub fn batch_limit_units(&self) -> u64 {
        self.limiter.as_ref().map_or(u64::MAX, |limiter| u64::from(limiter.burst.get()))
    }

    /// Waits until `write_units` may be spent, spends them, and tells when that was.
    pub async fn take(&self, write_units: u64) -> Instant {
        let Some(limiter) = self.limiter.as_ref().filter(|_| write_units > 0) else { return Instant::now() };
        let mut recent = limiter.recent.lock().await;
        limiter.pace(write_units).await;
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
    /// Spreads what goes out: more than a burst is paid in instalments.
    async fn pace(&self, write_units: u64) {
        let mut left = write_units;
        while left > 0 {
            let part = u32::try_from(left).unwrap_or(u32::MAX).min(self.burst.get());
            let Some(cells) = NonZeroU32::new(part) else { return };
            match self.pace.check_n(cells) {
                Ok(Ok(())) => left -= u64::from(part),
                Ok(Err(not_until)) => sleep(not_until.wait_time_from(self.clock.now())).await,
                // `part` is at most the burst, which is what the limiter can hold.
                Err(_insufficient_capacity) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use std::sync::Arc;

    use super::*;

    /// Spends from many tasks at once and gives the largest sum within any one second.
    async fn busiest_second(ceiling: u32, cost: u64, calls: usize) -> u64 {
        let ceiling = Arc::new(Ceiling::per_second(NonZeroU32::new(ceiling).unwrap()));
        let tasks = (0..calls).map(|_| {
            let ceiling = Arc::clone(&ceiling);
            tokio::spawn(async move { ceiling.take(cost).await })
        });
        let mut spent: Vec<Instant> = futures::future::try_join_all(tasks).await.unwrap();
        spent.sort_unstable();
        let within = |from: Instant| {
            let so_far = spent.iter().map(|at| at.saturating_duration_since(from)).zip(&spent);
            so_far.filter(|(passed, at)| **at >= from && passed.as_millis() < 1_000).count()
        };
        let most = spent.iter().map(|from| within(*from)).max().unwrap_or_default();
        most as u64 * cost
    }

    /// A law of the limiter, whatever the machine's speed.
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
    async fn a_call_above_the_ceiling_goes_out_alone() {
        assert_eq!(busiest_second(2, 3, 2).await, 3);
    }
}
