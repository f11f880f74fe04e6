//! Stamps: when and how an event cancels its invoice, in 64 bits.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use notaflux_invoice::event::CANCELLATIONS;
use notaflux_invoice::{Event, Timestamp};

/// Bits of the offset from UTC, in minutes.
const OFFSET_BITS: u32 = 13;
/// Bits of the event's index in [`CANCELLATIONS`].
const CODE_BITS: u32 = 8;

/// Minutes added to an offset, so that it is positive: jiff's offsets are shorter than 26 hours. 0 means no offset.
const OFFSET_BASE: i32 = 26 * 60;

/// The date-time from which a stamp counts its seconds: the start of year 1.
const FIRST: DateTime = jiff::civil::date(1, 1, 1).at(0, 0, 0, 0);

/// When and how an event cancels its invoice. A later event has a greater stamp.
///
/// From the highest bit: seconds of local time since the year 1, offset, code of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CancellationStamp(u64);

/// When and by which event an invoice was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CancelledBy {
    /// When the event was.
    pub(crate) at: Timestamp,
    /// Official name of the event.
    pub(crate) name: &'static str,
}

impl CancellationStamp {
    /// Returns the stamp of an event that cancels its invoice. None if a stamp cannot express the event: it is before the
    /// year 1 or its code is not in [`CANCELLATIONS`]. The write pass then updates the invoice after the puts.
    pub(crate) fn of(event: &Event<'_>) -> Option<Self> {
        let seconds = u64::try_from(event.at.local.duration_since(FIRST).as_secs()).ok()?;
        let offset = event.at.offset.map_or(0, |offset| offset.seconds() / 60 + OFFSET_BASE);
        let offset = u64::try_from(offset).ok()?;
        let code = CANCELLATIONS.iter().position(|(code, _)| *code == event.code.as_str())? as u64;
        Some(Self((seconds << (OFFSET_BITS + CODE_BITS)) | (offset << CODE_BITS) | code))
    }

    /// Returns the event in the stamp; none if the stamp is damaged.
    pub(crate) fn event(self) -> Option<CancelledBy> {
        let bits = |from: u32, count: u32| (self.0 >> from) & ((1 << count) - 1);
        let seconds = i64::try_from(self.0 >> (OFFSET_BITS + CODE_BITS)).ok()?;
        let local = FIRST.checked_add(SignedDuration::from_secs(seconds)).ok()?;
        let minutes = i32::try_from(bits(CODE_BITS, OFFSET_BITS)).ok()?;
        let offset = match minutes {
            0 => None,
            minutes => Some(Offset::from_seconds((minutes - OFFSET_BASE) * 60).ok()?),
        };
        let (_, name) = CANCELLATIONS.get(usize::try_from(bits(0, CODE_BITS)).ok()?)?;
        Some(CancelledBy { at: Timestamp { local, offset }, name })
    }

    /// Returns the stamp as it is stored.
    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the stamp that is stored as `bits`.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;
    use notaflux_testing::example_event;

    fn event(at: &str, code: &str) -> Event<'static> {
        let at = Timestamp::from_plain(at).unwrap();
        Event { at, code: code.try_into().unwrap(), ..example_event() }
    }

    #[test]
    fn a_stamp_is_stored_in_known_bits_and_read_back() {
        let event = event("2026-11-02T10:00:00-03:00", "110112");
        let stamp = CancellationStamp::of(&event).unwrap();
        // 63,929,210,400 s from 0001-01-01 to 2026-11-02T10:00:00; -180 + 1,560 minutes; the second code.
        assert_eq!(stamp.to_bits(), (63_929_210_400 << 21) | (1_380 << 8) | 1);
        let read = CancellationStamp::from_bits(stamp.to_bits()).event().unwrap();
        assert_eq!(read, CancelledBy { at: event.at, name: "Cancelamento por substituição" });
    }

    #[test]
    fn a_later_event_has_a_greater_stamp() {
        let stamp = |at: &str| CancellationStamp::of(&event(at, "110111")).unwrap();
        assert!(stamp("2026-11-02T10:00:00") < stamp("2026-11-02T10:00:01"));
        assert!(stamp("0001-01-01T00:00:00") < stamp("9999-12-31T23:59:59"));
    }

    #[test]
    fn a_code_that_cancels_nothing_has_no_stamp_and_a_damaged_stamp_no_event() {
        assert_eq!(CancellationStamp::of(&event("2026-11-02T10:00:00", "110110")), None);
        assert_eq!(CancellationStamp::from_bits(2).event(), None, "no such code");
        assert_eq!(CancellationStamp::from_bits(u64::MAX).event(), None, "no such time");
    }
}
