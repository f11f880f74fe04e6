//! The wall clock.

use std::time::Duration;

/// Returns the current time in milliseconds since 1970.
///
/// # Panics
/// If the system clock is before 1970: every lease would look valid.
#[must_use]
#[expect(clippy::expect_used, reason = "no lease can be compared with a time before 1970")]
pub fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).expect("the system clock is after 1970")
}

/// Returns the current time in UTC, in RFC 3339, with seconds.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns `time` in whole milliseconds; `u64::MAX` if it has more (585 million years).
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
