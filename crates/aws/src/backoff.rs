//! Delays between retries: exponential backoff with full jitter.
//!
//! The computation is pure: the attempt and a random number give a delay, and the caller sleeps.

use std::time::Duration;

/// A sequence of delays whose bound doubles from `base` up to `cap`. Each delay is drawn evenly between zero and its
/// bound ("full jitter"), so that callers that failed at the same time do not retry at the same time.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Bound of the first delay.
    pub base: Duration,
    /// Largest bound of any delay.
    pub cap: Duration,
}

impl Backoff {
    /// Returns the delay before attempt number `attempt + 1`. `attempt` counts from 0 and `random` lies in `[0, 1)`.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let bound = self.base.saturating_mul(2_u32.saturating_pow(attempt.min(31))).min(self.cap);
        bound.mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(5) };

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let bounds: Vec<u128> = [0, 1, 2, 6, 7, 31, u32::MAX].map(|n| BACKOFF.delay(n, 1.0).as_millis()).to_vec();
        assert_eq!(bounds, [50, 100, 200, 3200, 5000, 5000, 5000]);
    }

    #[test]
    fn the_delay_is_a_random_share_of_the_bound() {
        assert_eq!(BACKOFF.delay(3, 0.0), Duration::ZERO);
        assert_eq!(BACKOFF.delay(3, 0.25), Duration::from_millis(100));
    }
}
