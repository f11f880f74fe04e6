//! Exact decimals, kept as text. Nothing here uses floating point.

mod clear;

use std::cmp::Ordering;
use std::fmt;

use arrayvec::{ArrayString, ArrayVec};
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::text::{all_digits, trimmed};

/// Largest number of characters of an amount: the 38 significant digits of a `DynamoDB` number, a sign and a point.
pub const DECIMAL_LIMIT: usize = 40;

/// Largest number of digits of an amount: those of a `DynamoDB` number.
const DIGIT_LIMIT: usize = 38;

/// An exact decimal in its plain form `-?[0-9]+(\.[0-9]+)?`, with as many decimal places as in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal(ArrayString<DECIMAL_LIMIT>);

/// Which mark separates the decimal places. The other mark may separate groups of three digits before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecimalConvention {
    /// `1234,56` or `1.234,56`.
    Comma,
    /// `1234.56` or `1,234.56`.
    Point,
}

impl DecimalConvention {
    /// Every convention.
    pub const ALL: [Self; 2] = [Self::Comma, Self::Point];

    /// Returns the word that layouts and plans use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Point => "point",
        }
    }

    /// Returns an example for messages.
    #[must_use]
    pub const fn example(self) -> &'static str {
        match self {
            Self::Comma => "1234,56",
            Self::Point => "1234.56",
        }
    }

    /// Returns the decimal mark and the grouping mark.
    const fn marks(self) -> (u8, u8) {
        match self {
            Self::Comma => (b',', b'.'),
            Self::Point => (b'.', b','),
        }
    }
}

/// Why a text is not an amount. The message states what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecimalError {
    /// The text is not a decimal of the convention.
    #[error("expected a decimal such as {}", .0.example())]
    Malformed(DecimalConvention),
    /// The decimal has more digits than the table can store.
    #[error("expected a decimal of at most {DIGIT_LIMIT} digits")]
    TooLong,
}

impl Decimal {
    /// Describes the plain form in messages.
    pub const EXPECTED: &'static str = "a decimal such as 1234.56";

    /// Parses `text` by `convention`: a sign, digits with or without groups of three, decimal places, an exponent
    /// (`1,2E+3`). Keeps all decimal places of the source, including zeros. Drops leading zeros and the sign of a zero.
    ///
    /// # Errors
    /// Any other text, such as one with a group that does not have three digits.
    pub fn parse(text: &str, convention: DecimalConvention) -> Result<Self, DecimalError> {
        let text = trimmed(text).as_bytes();
        let common = common(text, convention.marks().0);
        common.map_or_else(|| Self::parse_any(text, convention), Ok)
    }

    /// Parses `text` like [`Decimal::parse`], or as people write amounts: with the sign or code of a currency, in brackets or
    /// with the minus at the end if negative, with spaces or apostrophes between the thousands, or grouped as in India.
    ///
    /// # Errors
    /// Those of [`Decimal::parse`].
    pub fn parse_clear(text: &str, convention: DecimalConvention) -> Result<Self, DecimalError> {
        Self::parse(text, convention).or_else(|error| clear::read(text, convention).ok_or(error))
    }

    fn parse_any(text: &[u8], convention: DecimalConvention) -> Result<Self, DecimalError> {
        let malformed = DecimalError::Malformed(convention);
        let (decimal_mark, grouping_mark) = convention.marks();
        let (negative, text) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, text),
        };
        let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => {
                let (mantissa, exponent) = text.split_at(at);
                (mantissa, read_exponent(exponent).ok_or(malformed)?)
            }
            None => (text, 0),
        };
        let (whole, places) = match mantissa.iter().position(|&byte| byte == decimal_mark) {
            Some(at) => {
                let (whole, places) = mantissa.split_at(at);
                (whole, places.split_first().map(|(_, places)| places))
            }
            None => (mantissa, None),
        };
        let places_stand = places.is_none_or(|places| !places.is_empty() && all_digits(places));
        if !places_stand || !(all_digits(whole) || is_grouped(whole, grouping_mark)) {
            return Err(malformed);
        }
        if whole.is_empty() && places.is_none() {
            return Err(malformed);
        }
        plain(negative, whole, places.unwrap_or_default(), exponent).ok_or(DecimalError::TooLong)
    }

    /// Parses text in the plain form, as the table stores it. Returns `None` for any other text.
    #[must_use]
    pub fn from_plain(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, places) = digits.split_once('.').unwrap_or((digits, "0"));
        let are_digits = |part: &str| !part.is_empty() && all_digits(part.as_bytes());
        if !are_digits(whole) || !are_digits(places) {
            return None;
        }
        ArrayString::from(text).ok().map(Self)
    }

    /// Returns the plain form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Compares the numbers exactly: `1.50` and `1.5` are equal here, although their texts differ.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        let (one, other) = (Magnitude::of(self), Magnitude::of(other));
        match (one.is_negative, other.is_negative) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => one.compare(&other),
            (true, true) => other.compare(&one),
        }
    }
}

/// The digits of a decimal without leading and trailing zeros.
struct Magnitude<'d> {
    is_negative: bool,
    whole: &'d str,
    places: &'d str,
}

impl<'d> Magnitude<'d> {
    fn of(decimal: &'d Decimal) -> Self {
        let text = decimal.as_str();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, places) = (whole.trim_start_matches('0'), places.trim_end_matches('0'));
        let is_zero = whole.is_empty() && places.is_empty();
        Self { is_negative: digits.len() < text.len() && !is_zero, whole, places }
    }

    /// Compares without the signs. Decimal places compare from the left, so the longer of two equal beginnings is the
    /// larger.
    fn compare(&self, other: &Self) -> Ordering {
        let whole = self.whole.len().cmp(&other.whole.len()).then_with(|| self.whole.cmp(other.whole));
        whole.then_with(|| self.places.cmp(other.places))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Parses the form of most amounts, digits with at most one decimal mark, in one pass. Returns `None` if the text may
/// have another form.
fn common(text: &[u8], decimal_mark: u8) -> Option<Decimal> {
    let is_whole = match text {
        [b'0', second, ..] => *second == decimal_mark,
        [b'0'] | [b'1'..=b'9', ..] => true,
        _ => false,
    };
    if !is_whole || text.len() > DIGIT_LIMIT || text.last() == Some(&decimal_mark) {
        return None;
    }
    let mut plain = [0; DECIMAL_LIMIT];
    let mut marks = 0;
    for (to, &byte) in plain.iter_mut().zip(text) {
        let is_mark = byte == decimal_mark;
        if !is_mark && !byte.is_ascii_digit() {
            return None;
        }
        marks += u8::from(is_mark);
        *to = if is_mark { b'.' } else { byte };
    }
    let mut plain = ArrayString::from_byte_string(&plain).ok().filter(|_| marks <= 1)?;
    plain.truncate(text.len());
    Some(Decimal(plain))
}

/// Parses the exponent after an `E`. An exponent of more than three digits is always too large.
fn read_exponent(text: &[u8]) -> Option<i32> {
    let (_, text) = text.split_first()?;
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 3 || !all_digits(digits) {
        return None;
    }
    let size = digits.iter().fold(0, |size, byte| size * 10 + i32::from(byte - b'0'));
    Some(if negative { -size } else { size })
}

/// Returns whether `whole` has digits in groups: first one to three, then three each. A grouped number does not begin
/// with zero: in `0.125` the point is the decimal mark.
fn is_grouped(whole: &[u8], mark: u8) -> bool {
    let mut groups = whole.split(|&byte| byte == mark);
    let may_begin = |first: &[u8]| (1..=3).contains(&first.len()) && first.first() != Some(&b'0') && all_digits(first);
    let first_stands = groups.next().is_some_and(may_begin);
    first_stands && groups.all(|group| group.len() == 3 && all_digits(group))
}

/// Returns the plain form, or `None` if it has too many digits.
fn plain(negative: bool, whole: &[u8], places: &[u8], exponent: i32) -> Option<Decimal> {
    let mut digits = ArrayVec::<u8, DIGIT_LIMIT>::new();
    // Leading zeros count only for the position of the point.
    let mut seen = 0_i32;
    for &byte in whole.iter().chain(places).filter(|byte| byte.is_ascii_digit()) {
        seen = seen.checked_add(1)?;
        if byte != b'0' || !digits.is_empty() {
            digits.try_push(byte).ok()?;
        }
    }
    let place_count = i32::try_from(places.len()).ok()?.checked_sub(exponent)?;
    let mut text = ArrayString::new();
    if negative && !digits.is_empty() {
        text.try_push('-').ok()?;
    }
    if digits.is_empty() {
        write_zero(&mut text, place_count)?;
        return Some(Decimal(text));
    }
    write_digits(&mut text, &digits, place_count)?;
    Some(Decimal(text))
}

fn write_zero(text: &mut ArrayString<DECIMAL_LIMIT>, place_count: i32) -> Option<()> {
    text.try_push('0').ok()?;
    if place_count > 0 {
        text.try_push('.').ok()?;
        push_zeros(text, place_count)?;
    }
    Some(())
}

/// Writes `digits`, none of them a leading zero, of which the last `place_count` are places; fewer than none are zeros
/// to append.
fn write_digits(text: &mut ArrayString<DECIMAL_LIMIT>, digits: &[u8], place_count: i32) -> Option<()> {
    let whole_count = i32::try_from(digits.len()).ok()?.checked_sub(place_count)?;
    let (whole, places) = digits.split_at(usize::try_from(whole_count).unwrap_or(0).min(digits.len()));
    let push = |text: &mut ArrayString<DECIMAL_LIMIT>, digits: &[u8]| {
        digits.iter().try_for_each(|&byte| text.try_push(char::from(byte)).ok())
    };
    if whole.is_empty() {
        text.try_push('0').ok()?;
    }
    push(text, whole)?;
    push_zeros(text, -place_count)?;
    if place_count > 0 {
        text.try_push('.').ok()?;
        push_zeros(text, -whole_count)?;
        push(text, places)?;
    }
    let significant = text.bytes().filter(u8::is_ascii_digit).count();
    (significant <= DIGIT_LIMIT).then_some(())
}

fn push_zeros(text: &mut ArrayString<DECIMAL_LIMIT>, count: i32) -> Option<()> {
    (0..count).try_for_each(|_| text.try_push('0').ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use proptest::prelude::*;

    use super::*;
    use DecimalConvention::{Comma, Point};

    #[test]
    fn both_conventions_and_their_groups() {
        for (text, convention, plain) in [
            ("2040,00", Comma, "2040.00"),
            ("1.234,56", Comma, "1234.56"),
            ("1234,56", Comma, "1234.56"),
            ("25280,0", Comma, "25280.0"),
            ("163.172,94", Comma, "163172.94"),
            ("1.234.567,8", Comma, "1234567.8"),
            ("1.234", Comma, "1234"),
            ("1234.56", Point, "1234.56"),
            ("1,234.56", Point, "1234.56"),
            ("12,345,678", Point, "12345678"),
            ("0,00", Comma, "0.00"),
            ("7", Comma, "7"),
            (" -1.234,50 ", Comma, "-1234.50"),
            ("+3,1", Comma, "3.1"),
            (",5", Comma, "0.5"),
            ("007,10", Comma, "7.10"),
            ("-0,00", Comma, "0.00"),
            ("0,001", Comma, "0.001"),
        ] {
            assert_eq!(Decimal::parse(text, convention).unwrap().as_str(), plain, "{text}");
        }
    }

    #[test]
    fn exponents_are_expanded_exactly() {
        for (text, plain) in [
            ("1,2E+3", "1200"),
            ("1,2345E+3", "1234.5"),
            ("1,20E+1", "12.0"),
            ("1,2e-3", "0.0012"),
            ("12E-1", "1.2"),
            ("5E0", "5"),
            ("0E+9", "0"),
            ("0,0E-2", "0.000"),
            ("-1,5E+05", "-150000"),
            ("123,45E-5", "0.0012345"),
        ] {
            assert_eq!(Decimal::parse(text, Comma).unwrap().as_str(), plain, "{text}");
        }
    }

    #[test]
    fn other_conventions_are_errors() {
        for text in [
            "",
            "-",
            "12,3,4",
            "1234.56",
            "1.23,45",
            "1.2345,6",
            ".123,4",
            "1..234",
            "1,",
            ",",
            "abc",
            "1 234,5",
            "R$ 10,00",
            "1,2E",
            "1,2E+",
            "1,2E1234",
            "1E2E3",
            "--1",
            "1,2-",
            "1,-2",
            "٣,٥",
            "NaN",
            "1.234.56",
            ".",
            "0.125",
            "001.234,5",
        ] {
            assert_eq!(Decimal::parse(text, Comma), Err(DecimalError::Malformed(Comma)), "{text}");
        }
        assert_eq!(Decimal::parse("1.234,56", Point), Err(DecimalError::Malformed(Point)));
        assert_eq!(Decimal::parse("2040,00", Point), Err(DecimalError::Malformed(Point)));
    }

    #[test]
    fn an_amount_has_at_most_38_digits() {
        let digits = "1".repeat(38);
        assert_eq!(Decimal::parse(&digits, Comma).unwrap().as_str(), digits);
        let with_point = format!("-{},{}", "1".repeat(20), "2".repeat(18));
        assert_eq!(Decimal::parse(&with_point, Comma).unwrap().as_str(), with_point.replace(',', "."));
        for text in ["1".repeat(39), "1E+38".to_owned(), "1E-38".to_owned(), "9E+999".to_owned(), "1".repeat(5_000)] {
            assert_eq!(Decimal::parse(&text, Comma), Err(DecimalError::TooLong), "{text}");
        }
        assert_eq!(Decimal::parse(&"0".repeat(5_000), Comma).unwrap().as_str(), "0");
    }

    #[test]
    fn a_zero_has_no_sign() {
        let zero = |text: &str| Decimal::from_plain(text).unwrap();
        assert!(zero("-0.00").compare(&zero("0")).is_eq() && zero("-0.01").compare(&zero("0.00")).is_lt());
    }

    #[test]
    fn messages_show_the_convention() {
        let error = Decimal::parse("12,3,4", Comma).unwrap_err();
        assert_eq!(error.to_string(), "expected a decimal such as 1234,56");
    }

    proptest! {
        /// Decimals compare like the integers they were made from, whatever zeros they have.
        #[test]
        fn decimals_compare_as_numbers(
            one in -10_i128.pow(12)..10_i128.pow(12), other in -10_i128.pow(12)..10_i128.pow(12), near in -2_i128..=2,
            places in 0_usize..6, zeros in 0_usize..4, is_near in any::<bool>(),
        ) {
            let other = if is_near { one + near } else { other };
            let decimal = |number: i128, zeros: usize| {
                let sign = if number < 0 { "-" } else { "" };
                let digits = format!("{:0width$}", number.unsigned_abs(), width = places + 1);
                let (whole, rest) = digits.split_at(digits.len() - places);
                let rest = format!("{rest}{}", "0".repeat(zeros));
                let mark = if rest.is_empty() { "" } else { "." };
                Decimal::from_plain(&format!("{sign}{whole}{mark}{rest}")).unwrap()
            };
            prop_assert_eq!(decimal(one, zeros).compare(&decimal(other, 0)), one.cmp(&other));
        }

        /// A number written in either convention, grouped or not, is read with all its decimal places.
        #[test]
        fn a_written_number_is_read_back(
            negative in any::<bool>(), whole in 1_u128..10_u128.pow(20), places in "[0-9]{0,12}", comma in any::<bool>(),
            grouped in any::<bool>(),
        ) {
            let sign = if negative { "-" } else { "" };
            let (convention, mark, group) = if comma { (Comma, ",", ".") } else { (Point, ".", ",") };
            let digits = whole.to_string();
            let mut written = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if grouped && at > 0 && (digits.len() - at) % 3 == 0 {
                    written.push_str(group);
                }
                written.push(digit);
            }
            let part = |mark: &str| if places.is_empty() { String::new() } else { format!("{mark}{places}") };
            let read = Decimal::parse(&format!("{sign}{written}{}", part(mark)), convention).unwrap();
            let expected = format!("{sign}{digits}{}", part("."));
            prop_assert_eq!(read.as_str(), expected.as_str());
            prop_assert_eq!(Decimal::from_plain(read.as_str()), Some(read));
        }

        /// An exponent moves the point by as many digits.
        #[test]
        fn exponents_move_the_point(whole in 1_u64..1_000_000, places in 0_usize..6, exponent in -12_i32..12) {
            let text = format!("{whole:06}");
            let (left, right) = text.split_at(6 - places);
            let mark = if places == 0 { "" } else { "," };
            let read = Decimal::parse(&format!("{left}{mark}{right}E{exponent}"), Comma).unwrap();
            let scale = i32::try_from(places).unwrap() - exponent;
            let (_, got_places) = read.as_str().split_once('.').unwrap_or((read.as_str(), ""));
            prop_assert_eq!(got_places.len(), usize::try_from(scale).unwrap_or(0));
            let digits: u128 = read.as_str().replace('.', "").parse().unwrap();
            prop_assert_eq!(digits, u128::from(whole) * 10_u128.pow(u32::try_from(-scale).unwrap_or(0)));
        }

        #[test]
        fn the_fast_path_agrees_with_the_general_one(text in "[0-9]{0,3}[,.]?[0-9]{0,39}[,.]?[0-9]{0,2}", comma in any::<bool>()) {
            let convention = if comma { Comma } else { Point };
            if let Some(common) = common(text.as_bytes(), convention.marks().0) {
                prop_assert_eq!(Decimal::parse_any(text.as_bytes(), convention), Ok(common));
            }
        }

        #[test]
        fn nothing_panics_and_results_are_plain(text in "[-+0-9.,eE ]{0,50}", comma in any::<bool>()) {
            let convention = if comma { Comma } else { Point };
            if let Ok(read) = Decimal::parse(&text, convention) {
                prop_assert_eq!(Decimal::from_plain(read.as_str()), Some(read));
            }
        }
    }
}
