//! A guard that lets a writer send only while the lease on its work is valid.
//!
//! A process may be frozen for an hour and then continue as if nothing had happened. Another worker may have written newer content
//! meanwhile, so every call checks the lease first, by two clocks: the monotonic clock runs on while a process is stopped, and the
//! wall clock runs on while the machine is asleep.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tokio::time::Instant;

/// The time until which calls may be sent.
#[derive(Debug)]
pub struct LeaseGuard {
    /// The same moment by the monotonic clock and by the wall clock; none for a lease without end.
    until: Mutex<Option<(Instant, SystemTime)>>,
}

/// Returns the moment `until` by both clocks.
fn by_both_clocks(until: Instant) -> (Instant, SystemTime) {
    (until, SystemTime::now() + until.saturating_duration_since(Instant::now()))
}

impl LeaseGuard {
    /// Creates a guard that is always valid.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { until: Mutex::new(None) }
    }

    /// Creates a guard that is valid until `until`.
    #[must_use]
    pub fn until(until: Instant) -> Self {
        Self { until: Mutex::new(Some(by_both_clocks(until))) }
    }

    /// Makes the guard valid until `until`.
    pub fn renew(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(by_both_clocks(until));
    }

    /// Returns whether a call may be sent now.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|(until, by_wall_clock)| Instant::now() < until && SystemTime::now() < by_wall_clock)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_valid_until_its_end_and_can_be_renewed() {
        assert!(LeaseGuard::unlimited().is_valid());
        let lease = LeaseGuard::until(Instant::now());
        assert!(!lease.is_valid());
        lease.renew(Instant::now() + Duration::from_mins(1));
        assert!(lease.is_valid());
    }
}
