//! Local date-times of the source, with an offset only if the source has one.

mod clear;

use std::fmt;

use arrayvec::ArrayString;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::text::{all_digits, trimmed};

/// Number of characters of the longest plain form: `2019-11-12T00:00:00-03:00`.
pub const TIMESTAMP_LIMIT: usize = 25;

/// Number of characters of the plain form without an offset.
const LOCAL_LENGTH: usize = 19;

/// A date and time of the source, without fractions of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// Date and time on the clock of the source.
    pub local: DateTime,
    /// Offset from UTC, if the source has one.
    pub offset: Option<Offset>,
}

/// The order of day, month and year in a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateConvention {
    /// `31/12/2024`, or with `-` or `.` as separator.
    DayMonthYear,
    /// `12/31/2024`, or with `-` or `.` as separator.
    MonthDayYear,
    /// `2024-12-31`.
    Iso,
    /// `31122024`.
    Packed,
}

impl DateConvention {
    /// Every convention.
    pub const ALL: [Self; 4] = [Self::DayMonthYear, Self::MonthDayYear, Self::Iso, Self::Packed];

    /// Returns the word that layouts and plans use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DayMonthYear => "day_month_year",
            Self::MonthDayYear => "month_day_year",
            Self::Iso => "iso",
            Self::Packed => "packed",
        }
    }

    /// Returns an example for messages.
    #[must_use]
    pub const fn example(self) -> &'static str {
        match self {
            Self::DayMonthYear => "31/12/2024 23:59:59",
            Self::MonthDayYear => "12/31/2024 23:59:59",
            Self::Iso => "2024-12-31T23:59:59",
            Self::Packed => "31122024",
        }
    }
}

/// A fixed offset from UTC, written `-03:00`. A layout can set one for a source without offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct UtcOffset(Offset);

impl UtcOffset {
    /// Parses `-03:00`, `-0300`, `-03` or `Z`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = Cursor(text.as_bytes());
        let minutes = rest.offset()??;
        if !rest.0.is_empty() {
            return None;
        }
        Offset::from_seconds(minutes * 60).ok().map(Self)
    }
}

impl TryFrom<String> for UtcOffset {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("expected an offset from UTC such as \"-03:00\"")
    }
}

impl fmt::Display for UtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        offset_text(self.0).into_iter().try_for_each(|byte| fmt::Write::write_char(f, byte.into()))
    }
}

impl Serialize for UtcOffset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is not a date. The message states what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimestampError {
    /// The text does not follow the convention.
    #[error("expected a date such as {}", .0.example())]
    Malformed(DateConvention),
    /// The text follows the convention, but the date or time does not exist.
    #[error("expected a date that exists, such as {}", .0.example())]
    Nonexistent(DateConvention),
}

impl Timestamp {
    /// Parses `text` by `convention`. A time may follow the date after a space or `T` (`hh:mm`, `hh:mm:ss` or with a
    /// fraction), and an offset may follow the time (`Z`, `-03:00`, `-0300` or `-03`). A date alone means midnight.
    ///
    /// # Errors
    /// Text of another form, or a date or time that does not exist.
    pub fn parse(text: &str, convention: DateConvention) -> Result<Self, TimestampError> {
        let parts = Parts::read(trimmed(text).as_bytes(), convention);
        let parts = parts.ok_or(TimestampError::Malformed(convention))?;
        parts.timestamp().ok_or(TimestampError::Nonexistent(convention))
    }

    /// Parses `text` like [`Timestamp::parse`], or as a date whose order of day, month and year cannot be mistaken: with the
    /// year first (`2024/12/31`, `20241231`), or with the name of the month in Portuguese, English or Spanish (`31-Dec-2024`,
    /// `1 de fevereiro de 2025`). A year may have two digits where the convention gives the order. The time may have AM or PM,
    /// and the word UTC or GMT after it.
    ///
    /// # Errors
    /// Those of [`Timestamp::parse`].
    pub fn parse_clear(text: &str, convention: DateConvention) -> Result<Self, TimestampError> {
        let strict = Self::parse(text, convention);
        let is_sure = strict.is_ok() && convention != DateConvention::Packed;
        let clear = || clear::read(trimmed(text).as_bytes(), convention).and_then(|parts| parts.timestamp());
        if is_sure { strict } else { clear().map_or(strict, Ok) }
    }

    /// Parses text in the form that [`Timestamp::to_plain`] writes. Returns `None` for any other text.
    #[must_use]
    pub fn from_plain(text: &str) -> Option<Self> {
        let has_offset = match text.len() {
            LOCAL_LENGTH => false,
            TIMESTAMP_LIMIT => true,
            _ => return None,
        };
        let read = Self::parse(text, DateConvention::Iso).ok()?;
        // Texts of this length may still differ from the plain form: in the `T`, or in the form of the offset.
        (read.offset.is_some() == has_offset && read.to_plain() == *text).then_some(read)
    }

    /// Returns `2019-11-12T00:00:00`, followed by `-03:00` if there is an offset.
    #[must_use]
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "the bytes are digits and marks")]
    pub fn to_plain(&self) -> ArrayString<TIMESTAMP_LIMIT> {
        let mut plain = ArrayString::from_byte_string(&self.plain_bytes()).expect("the plain form is ASCII");
        plain.truncate(self.plain_length());
        plain
    }

    /// Returns the number of bytes of the plain form.
    #[inline]
    #[must_use]
    pub fn plain_length(&self) -> usize {
        if self.offset.is_some() { TIMESTAMP_LIMIT } else { LOCAL_LENGTH }
    }

    /// Returns the plain form with an offset. Without an offset, the one in the result is that of UTC.
    #[must_use]
    pub fn plain_bytes(&self) -> [u8; TIMESTAMP_LIMIT] {
        let ([y1, y2, y3, y4, m1, m2, d1, d2], [h1, h2, n1, n2, s1, s2]) = digits(self.local);
        let [sign, o1, o2, mark, p1, p2] = offset_text(self.offset.unwrap_or(Offset::UTC));
        [
            y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, sign, o1, o2, mark,
            p1, p2,
        ]
    }

    /// Returns this date and time with `offset`, if it has no offset yet.
    #[must_use]
    pub fn or_offset(self, offset: Option<UtcOffset>) -> Self {
        Self { offset: self.offset.or(offset.map(|UtcOffset(offset)| offset)), ..self }
    }
}

impl fmt::Display for Timestamp {
    /// Writes the plain form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_plain())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_plain())
    }
}

/// Returns the digits of the date, `yyyymmdd`, and of the time, `hhmmss`. Does not use `fmt`, which is slower: every
/// record has several dates.
#[must_use]
pub fn digits(local: DateTime) -> ([u8; 8], [u8; 6]) {
    let (date, time) = (local.date(), local.time());
    let year = date.year().unsigned_abs();
    let of = |number: i8| two_digits(u16::from(number.unsigned_abs()));
    let ([y1, y2], [y3, y4]) = (two_digits(year / 100), two_digits(year % 100));
    let ([m1, m2], [d1, d2]) = (of(date.month()), of(date.day()));
    let ([h1, h2], [n1, n2], [s1, s2]) = (of(time.hour()), of(time.minute()), of(time.second()));
    ([y1, y2, y3, y4, m1, m2, d1, d2], [h1, h2, n1, n2, s1, s2])
}

/// Returns an offset as `-03:00`.
fn offset_text(offset: Offset) -> [u8; 6] {
    let minutes = offset.seconds() / 60;
    let size = u16::try_from(minutes.unsigned_abs()).unwrap_or_default();
    let ([h1, h2], [m1, m2]) = (two_digits(size / 60), two_digits(size % 60));
    [if minutes < 0 { b'-' } else { b'+' }, h1, h2, b':', m1, m2]
}

/// Returns the last two digits of a number.
fn two_digits(number: u16) -> [u8; 2] {
    let digit = |value: u16| b'0' + u8::try_from(value % 10).unwrap_or_default();
    [digit(number / 10), digit(number)]
}

/// The numbers in a text, before a check whether the date and time exist.
#[derive(Debug, Default, PartialEq)]
struct Parts {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    offset_minutes: Option<i32>,
}

impl Parts {
    fn read(text: &[u8], convention: DateConvention) -> Option<Self> {
        Self::read_common(text, convention).or_else(|| Self::read_any(text, convention))
    }

    /// Parses the form of most dates, `31/12/2024 23:59:59`, in one pass.
    fn read_common(text: &[u8], convention: DateConvention) -> Option<Self> {
        let &[d1, d2, slash, m1, m2, slash_2, y1, y2, y3, y4, space, h1, h2, colon, n1, n2, colon_2, s1, s2] = text
        else {
            return None;
        };
        let pairs = [[d1, d2], [m1, m2], [y1, y2], [y3, y4], [h1, h2], [n1, n2], [s1, s2]];
        let marks = [slash, slash_2, space, colon, colon_2];
        if marks != *b"// ::" || !all_digits(pairs.as_flattened()) {
            return None;
        }
        let [first, second, century, year, hour, minute, second_of] =
            pairs.map(|[tens, ones]| ((tens - b'0') * 10 + (ones - b'0')).cast_signed());
        let (day, month) = match convention {
            DateConvention::DayMonthYear => (first, second),
            DateConvention::MonthDayYear => (second, first),
            DateConvention::Iso | DateConvention::Packed => return None,
        };
        let year = i16::from(century) * 100 + i16::from(year);
        Some(Self { year, month, day, hour, minute, second: second_of, offset_minutes: None })
    }

    fn read_any(text: &[u8], convention: DateConvention) -> Option<Self> {
        let mut rest = Cursor(text);
        let mut parts = Self::default();
        match convention {
            DateConvention::DayMonthYear => (parts.day, parts.month, parts.year) = rest.date_by_day_or_month()?,
            DateConvention::MonthDayYear => (parts.month, parts.day, parts.year) = rest.date_by_day_or_month()?,
            DateConvention::Iso => {
                parts.year = rest.year()?;
                rest.one_of(b"-")?;
                parts.month = rest.two()?;
                rest.one_of(b"-")?;
                parts.day = rest.two()?;
            }
            DateConvention::Packed => (parts.day, parts.month, parts.year) = (rest.two()?, rest.two()?, rest.year()?),
        }
        if rest.0.is_empty() { Some(parts) } else { parts.read_clock(rest) }
    }

    fn read_clock(mut self, mut rest: Cursor<'_>) -> Option<Self> {
        rest.one_of(b" T")?;
        rest.skip_spaces();
        self.hour = rest.one_or_two()?;
        rest.one_of(b":")?;
        self.minute = rest.two()?;
        if rest.one_of(b":").is_some() {
            self.second = rest.two()?;
            if rest.one_of(b".,").is_some() {
                rest.some_digits()?;
            }
        }
        rest.skip_spaces();
        self.offset_minutes = rest.offset()?;
        rest.0.is_empty().then_some(self)
    }

    fn timestamp(&self) -> Option<Timestamp> {
        // `Date` accepts year 0 and earlier, which no invoice has.
        let date = Date::new(self.year, self.month, self.day).ok().filter(|date| date.year() > 0)?;
        let time = Time::new(self.hour, self.minute, self.second, 0).ok()?;
        let offset = match self.offset_minutes {
            Some(minutes) => Some(Offset::from_seconds(minutes * 60).ok()?),
            None => None,
        };
        Some(Timestamp { local: DateTime::from_parts(date, time), offset })
    }
}

/// The rest of the text to parse.
#[derive(Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn one_of(&mut self, marks: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        marks.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }

    fn skip_spaces(&mut self) {
        while self.one_of(b" ").is_some() {}
    }

    fn digit(&mut self) -> Option<i8> {
        let (first, rest) = self.0.split_first()?;
        let value = first.checked_sub(b'0').filter(|value| *value < 10)?;
        self.0 = rest;
        i8::try_from(value).ok()
    }

    fn two(&mut self) -> Option<i8> {
        Some(self.digit()? * 10 + self.digit()?)
    }

    fn one_or_two(&mut self) -> Option<i8> {
        let first = self.digit()?;
        Some(self.digit().map_or(first, |second| first * 10 + second))
    }

    fn year(&mut self) -> Option<i16> {
        Some(i16::from(self.two()?) * 100 + i16::from(self.two()?))
    }

    fn date_by_day_or_month(&mut self) -> Option<(i8, i8, i16)> {
        let first = self.one_or_two()?;
        let mark = self.one_of(b"/-.")?;
        let second = self.one_or_two()?;
        self.one_of(&[mark])?;
        Some((first, second, self.year()?))
    }

    fn some_digits(&mut self) -> Option<()> {
        self.digit()?;
        while self.digit().is_some() {}
        Some(())
    }

    /// Parses minutes east of UTC. The inner `None` means that the text has ended.
    #[allow(clippy::option_option, reason = "no offset and a malformed offset differ")]
    fn offset(&mut self) -> Option<Option<i32>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let sign = match self.one_of(b"Z+-")? {
            b'Z' => return Some(Some(0)),
            b'-' => -1,
            _ => 1,
        };
        let hours = i32::from(self.two()?);
        let minutes = if self.0.is_empty() {
            0
        } else {
            // The colon is optional.
            let _colon = self.one_of(b":");
            i32::from(self.two()?)
        };
        (hours < 24 && minutes < 60).then_some(Some(sign * (hours * 60 + minutes)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use proptest::prelude::*;

    use super::*;
    use DateConvention::{DayMonthYear, Iso, MonthDayYear, Packed};

    #[test]
    fn dates_in_every_convention() {
        for (text, convention, plain) in [
            ("12/11/2019 13:01:52", DayMonthYear, "2019-11-12T13:01:52"),
            ("12/11/2019 13:01", DayMonthYear, "2019-11-12T13:01:00"),
            (" 12/11/2019 ", DayMonthYear, "2019-11-12T00:00:00"),
            ("1/2/2019 8:05", DayMonthYear, "2019-02-01T08:05:00"),
            ("12-11-2019", DayMonthYear, "2019-11-12T00:00:00"),
            ("12.11.2019", DayMonthYear, "2019-11-12T00:00:00"),
            ("12/1/2010 8:26", MonthDayYear, "2010-12-01T08:26:00"),
            ("2026-02-20", Iso, "2026-02-20T00:00:00"),
            ("2026-02-20 10:11:12", Iso, "2026-02-20T10:11:12"),
            ("2026-02-20T10:11:12", Iso, "2026-02-20T10:11:12"),
            ("2026-02-20T10:11:12-03:00", Iso, "2026-02-20T10:11:12-03:00"),
            ("2026-02-20T10:11:12-0330", Iso, "2026-02-20T10:11:12-03:30"),
            ("2026-02-20T10:11:12+02", Iso, "2026-02-20T10:11:12+02:00"),
            ("2026-02-20T10:11:12Z", Iso, "2026-02-20T10:11:12+00:00"),
            ("2026-02-20T10:11:12.123456789-00:30", Iso, "2026-02-20T10:11:12-00:30"),
            ("2026-02-20 10:11:12.5", Iso, "2026-02-20T10:11:12"),
            ("29/02/2024 23:59:59", DayMonthYear, "2024-02-29T23:59:59"),
            ("01/01/1900 00:00:00", DayMonthYear, "1900-01-01T00:00:00"),
            ("31122024", Packed, "2024-12-31T00:00:00"),
        ] {
            assert_eq!(Timestamp::parse(text, convention).unwrap().to_string(), plain, "{text}");
        }
    }

    #[test]
    fn other_forms_are_errors() {
        for (text, convention) in [
            ("", DayMonthYear),
            ("12/11/19", DayMonthYear),
            ("2019-11-12", DayMonthYear),
            ("12/11-2019", DayMonthYear),
            ("12/11/2019x", DayMonthYear),
            ("12/11/2019 13", DayMonthYear),
            ("12/11/2019 13:01:52 PM", DayMonthYear),
            ("12/11/2019", Iso),
            ("2019-1-12", Iso),
            ("2019-11-12T10:00:00+24:00", Iso),
            ("2019-11-12T10:00:00.", Iso),
            ("2019-11-12T10:00:00-3", Iso),
            ("3112202", Packed),
            ("311220244", Packed),
        ] {
            assert_eq!(Timestamp::parse(text, convention), Err(TimestampError::Malformed(convention)), "{text}");
        }
    }

    #[test]
    fn nonexistent_dates_are_another_error() {
        for text in ["31/02/2024", "29/02/2023", "00/01/2024", "01/13/2024", "01/01/0000", "01/01/2024 24:00:00"] {
            let expected = Err(TimestampError::Nonexistent(DayMonthYear));
            assert_eq!(Timestamp::parse(text, DayMonthYear), expected, "{text}");
        }
        let error = Timestamp::parse("31/02/2024", DayMonthYear).unwrap_err();
        assert_eq!(error.to_string(), "expected a date that exists, such as 31/12/2024 23:59:59");
    }

    #[test]
    fn an_offset_is_added_only_if_there_is_none() {
        let brasilia = UtcOffset::parse("-03:00");
        for (text, plain) in
            [("2026-02-20", "2026-02-20T00:00:00-03:00"), ("2026-02-20T10:11:12Z", "2026-02-20T10:11:12+00:00")]
        {
            assert_eq!(Timestamp::parse(text, Iso).unwrap().or_offset(brasilia).to_string(), plain);
        }
        assert_eq!(Timestamp::parse("2026-02-20", Iso).unwrap().or_offset(None).offset, None);
        for (text, plain) in [("-0300", "-03:00"), ("+05:30", "+05:30"), ("Z", "+00:00")] {
            assert_eq!(UtcOffset::parse(text).unwrap().to_string(), plain);
        }
        for text in ["", "3", "-03:00x", "BRT", "+24:00"] {
            assert_eq!(UtcOffset::parse(text), None, "{text}");
        }
        let json = serde_json::to_string(&brasilia).unwrap();
        assert_eq!(json, r#""-03:00""#);
        assert_eq!(serde_json::from_str::<Option<UtcOffset>>(&json).unwrap(), brasilia);
    }

    #[test]
    fn only_the_plain_form_is_plain() {
        for text in [
            "2026-02-20",
            "2026-02-20 10:11:12",
            "2026-02-20T10:11:12Z",
            "2026-02-20T10:11:12-0300",
            "2026-02-20T10:11:12.00000",
            " 026-02-20T10:11:12",
            "2026-02-30T10:11:12",
            "2026-02-20T10:11:12-99:00",
        ] {
            assert_eq!(Timestamp::from_plain(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_path_agrees_with_the_general_one(
            mut text in "[0-9]{2}/[0-9]{2}/[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}", at in 0_usize..40, byte in "[-0-9/:. TZ+]",
        ) {
            if at < text.len() {
                text.replace_range(at..=at, &byte);
            }
            for convention in DateConvention::ALL {
                if let Some(common) = Parts::read_common(text.as_bytes(), convention) {
                    prop_assert_eq!(Parts::read_any(text.as_bytes(), convention), Some(common), "{}", text);
                }
            }
        }

        #[test]
        fn the_plain_form_is_read_back(
            (year, month, day) in (1_i16..=9999, 1_i8..=12, 1_i8..=28),
            (hour, minute, second) in (0_i8..24, 0_i8..60, 0_i8..60),
            offset_minutes in proptest::option::of(-1439_i32..=1439),
        ) {
            let offset = offset_minutes.map(|minutes| Offset::from_seconds(minutes * 60).unwrap());
            let timestamp = Timestamp { local: DateTime::new(year, month, day, hour, minute, second, 0).unwrap(), offset };
            prop_assert_eq!(Timestamp::from_plain(&timestamp.to_plain()), Some(timestamp));
            prop_assert_eq!(Timestamp::parse(&timestamp.to_plain(), Iso), Ok(timestamp));
        }

        #[test]
        fn nothing_panics(text in "[0-9/:.TZ +-]{0,30}") {
            for convention in [DayMonthYear, MonthDayYear, Iso, Packed] {
                if let Ok(read) = Timestamp::parse(&text, convention) {
                    prop_assert_eq!(Timestamp::from_plain(&read.to_plain()), Some(read));
                }
            }
        }
    }
}
