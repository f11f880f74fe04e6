//! Until when a writer may send: for as long as whoever it writes for holds the lease.
//!
//! A process may be frozen for an hour and go on as if nothing had been. Others may have written newer content meanwhile,
//! so every call asks first, by a clock that runs on while the process does not.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// A time up to which calls may be sent.
#[derive(Debug)]
pub struct Permit {
    until: Mutex<Option<Instant>>,
}

impl Permit {
    /// Leave to send without end.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { until: Mutex::new(None) }
    }

    /// Leave to send until `until`.
    #[must_use]
    pub const fn until(until: Instant) -> Self {
        Self { until: Mutex::new(Some(until)) }
    }

    /// Moves the end.
    pub fn renew(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// Whether a call may be sent now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_holds_until_its_end_and_can_be_renewed() {
        assert!(Permit::unlimited().holds());
        let permit = Permit::until(Instant::now());
        assert!(!permit.holds());
        permit.renew(Instant::now() + Duration::from_mins(1));
        assert!(permit.holds());
    }
}
