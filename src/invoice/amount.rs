//! Exact decimals, kept as the text that they are.

use arrayvec::ArrayString;
use serde::{Serialize, Serializer};

/// Most characters of an amount, sign and point included: 38 significant digits are what a `DynamoDB` number holds.
pub const DECIMAL_LIMIT: usize = 40;

/// An exact decimal in its plain form: `-?[0-9]+(\.[0-9]+)?`, with the places that the source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal(ArrayString<DECIMAL_LIMIT>);

impl Decimal {
    /// Takes text that is already in the plain form, as the table holds it.
    #[must_use]
    pub fn from_plain(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, places) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(places) {
            return None;
        }
        ArrayString::from(text).ok().map(Self)
    }

    /// The plain form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
