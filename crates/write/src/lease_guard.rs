//! Until when a writer may send: for as long as whoever it writes for holds the lease.
//!
//! A process may be frozen for an hour and go on as if nothing had been. Others may have written newer content meanwhile,
//! so every call asks first, by two clocks: one that runs on while a process is stopped, and that of the wall, which runs on
//! while the machine is asleep.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tokio::time::Instant;

/// A time up to which calls may be sent.
#[derive(Debug)]
pub struct LeaseGuard {
    until: Mutex<Option<(Instant, SystemTime)>>,
}

/// The same moment by the clock of the wall.
fn by_both(until: Instant) -> (Instant, SystemTime) {
    (until, SystemTime::now() + until.saturating_duration_since(Instant::now()))
}

impl LeaseGuard {
    /// Leave to send without end.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { until: Mutex::new(None) }
    }

    /// Leave to send until `until`.
    #[must_use]
    pub fn until(until: Instant) -> Self {
        Self { until: Mutex::new(Some(by_both(until))) }
    }

    /// Moves the end.
    pub fn renew(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(by_both(until));
    }

    /// Whether a call may be sent now.
    #[must_use]
    pub fn holds(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|(until, by_wall)| Instant::now() < until && SystemTime::now() < by_wall)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_holds_until_its_end_and_can_be_renewed() {
        assert!(LeaseGuard::unlimited().holds());
        let permit = LeaseGuard::until(Instant::now());
        assert!(!permit.holds());
        permit.renew(Instant::now() + Duration::from_mins(1));
        assert!(permit.holds());
    }
}
