//! The ceiling: write units a second that are never exceeded.

use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// Share of the ceiling that may go out at once, as a divisor. Within any one second a limiter lets through its rate and
/// one burst, so the rate is what the burst leaves of the ceiling; a small burst costs little of the rate.
const BURST_DIVISOR: u32 = 20;

/// Room for calls that leave evenly and arrive in a clump, as a divisor of the ceiling.
const JITTER_DIVISOR: u32 = 50;

/// A hard limit on write units a second.
#[derive(Debug)]
pub struct Ceiling {
    limiter: Option<Limiter>,
}

#[derive(Debug)]
struct Limiter {
    inner: DefaultDirectRateLimiter,
    clock: DefaultClock,
    burst: NonZeroU32,
}

impl Ceiling {
    /// No limit.
    #[must_use]
    pub const fn none() -> Self {
        Self { limiter: None }
    }

    /// At most `write_units` in any one second, single items that are larger than that apart.
    #[must_use]
    pub fn per_second(write_units: NonZeroU32) -> Self {
        let at_least_one = |units: u32| NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN);
        let total = write_units.get();
        let burst = at_least_one(total / BURST_DIVISOR);
        let rate = at_least_one(total - total / BURST_DIVISOR - total / JITTER_DIVISOR);
        let inner = RateLimiter::direct(Quota::per_second(rate).allow_burst(burst));
        Self { limiter: Some(Limiter { inner, clock: DefaultClock::default(), burst }) }
    }

    /// Write units that a batch should not exceed, so that it goes out in one burst.
    #[must_use]
    pub fn batch_limit_units(&self) -> u64 {
        self.limiter.as_ref().map_or(u64::MAX, |limiter| u64::from(limiter.burst.get()))
    }

    /// Waits until `write_units` may be spent, and spends them.
    pub async fn take(&self, write_units: u64) {
        let Some(limiter) = &self.limiter else { return };
        let mut left = write_units;
        while left > 0 {
            // More than a burst is paid in instalments, all of them before the call.
            let part = u32::try_from(left).unwrap_or(u32::MAX).min(limiter.burst.get());
            let Some(cells) = NonZeroU32::new(part) else { return };
            match limiter.inner.check_n(cells) {
                Ok(Ok(())) => left -= u64::from(part),
                Ok(Err(not_until)) => tokio::time::sleep(not_until.wait_time_from(limiter.clock.now())).await,
                // `part` is at most the burst, which is what the limiter can hold.
                Err(_insufficient_capacity) => return,
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Spends for a while and counts the largest sum within any one second: a law of the limiter, whatever the machine's speed.
    #[tokio::test]
    async fn no_second_exceeds_the_ceiling() {
        let ceiling = Ceiling::per_second(NonZeroU32::new(2_000).unwrap());
        let (mut spent, started) = (Vec::new(), Instant::now());
        while started.elapsed().as_millis() < 1_500 {
            ceiling.take(90).await;
            spent.push((Instant::now(), 90_u64));
        }
        for (n, (from, _)) in spent.iter().enumerate() {
            let within = spent.iter().skip(n).take_while(|(at, _)| at.duration_since(*from).as_millis() < 1_000);
            let sum: u64 = within.map(|(_, units)| units).sum();
            assert!(sum <= 2_000, "{sum} write units within a second");
        }
    }

    #[tokio::test]
    async fn more_than_a_burst_is_paid_whole() {
        let ceiling = Ceiling::per_second(NonZeroU32::new(1_000).unwrap());
        let started = Instant::now();
        ceiling.take(300).await;
        assert!(started.elapsed().as_millis() >= 200, "300 units at 930 a second after a burst of 50");
    }
}
