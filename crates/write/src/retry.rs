//! The delays between the attempts of a write.

use std::time::Duration;

use notaflux_aws::backoff::Backoff;

/// Bounds of the delay between two attempts. An on-demand table throttles for seconds, not minutes, while it splits a partition.
pub(crate) const RETRY_DELAY: Backoff = Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(5) };
