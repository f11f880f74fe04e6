//! The limit for rejected records (`--max-rejects`).

use std::fmt;

/// The number or share of rejected records above which nothing is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RejectLimit {
    /// A number of records.
    Records(u64),
    /// Percent of the records read, from 0 to 100.
    Percent(f64),
}

impl RejectLimit {
    /// Parses `12` (records) or `0.5%`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|share| (0.0..=100.0).contains(share)).map(Self::Percent),
            None => text.parse().ok().map(Self::Records),
        }
    }

    /// Whether the limit can be checked before all records are read.
    pub(crate) const fn is_absolute(self) -> bool {
        matches!(self, Self::Records(_))
    }

    #[allow(clippy::cast_precision_loss, reason = "a share of records: the last bit does not matter")]
    pub(crate) fn is_exceeded(self, rejected: u64, records: u64) -> bool {
        match self {
            Self::Records(limit) => rejected > limit,
            Self::Percent(limit) => rejected as f64 > records as f64 * limit / 100.0,
        }
    }
}

impl fmt::Display for RejectLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records(limit) => write!(f, "{limit}"),
            Self::Percent(limit) => write!(f, "{limit}%"),
        }
    }
}
