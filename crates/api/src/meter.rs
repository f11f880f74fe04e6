//! The read units of a request.

use std::sync::{Arc, Mutex, PoisonError};

/// Sums up the read units that one request consumes.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadUnitMeter(Arc<Mutex<Option<f64>>>);

impl ReadUnitMeter {
    pub(super) fn add(&self, units: f64) {
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *sum = Some(sum.map_or(units, |sum| sum + units));
    }

    /// Returns the read units so far; `None` if the table was not read.
    pub(super) fn units(&self) -> Option<f64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
