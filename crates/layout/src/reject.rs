//! Why a record is not stored.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use notaflux_invoice::Warning;

/// Characters of a cell that a message quotes.
const QUOTED_LIMIT: usize = 80;

/// What keeps a record out of the table. It is a value, not an error: the work goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The kind of it, for counts.
    pub reason: Reason,
    /// What was expected of which column, and what stood there.
    pub message: String,
}

/// A kind of reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The record has more or fewer columns than the header.
    WrongColumnCount,
    /// A column that must have a value has none.
    MissingField,
    /// The access key cannot be one. A wrong check digit is only a warning.
    InvalidAccessKey,
    /// The key of an NFS-e cannot be one. A wrong check digit is only a warning.
    InvalidNfseKey,
    /// A value of a natural key with a character that parts such values.
    InvalidNaturalKey,
    /// A line's number that is no whole number from 1 to 99999.
    InvalidLineNumber,
    /// A tax id with characters that none has. A wrong check digit is only a warning.
    InvalidTaxId,
    /// An amount that is not of the convention, or has too many digits.
    InvalidAmount,
    /// A date that is not of the convention, or does not exist.
    InvalidDate,
    /// A currency that is not three letters.
    InvalidCurrency,
    /// A value that is longer than what the keys of the table can take.
    ValueTooLong,
    /// More text than an item of the table can hold.
    ItemTooLarge,
    /// An element that is not JSON, or holds what cannot be read.
    InvalidJson,
    /// A value of another kind than what must stand there.
    UnexpectedValue,
    /// Two values that differ where there can be one.
    RepeatedValue,
    /// More lines than an invoice may have.
    TooManyLines,
    /// A record that is longer than what is held of one.
    RecordTooLong,
    /// What is a warning elsewhere: the layout, or whoever ingests, takes none of it.
    Warning(Warning),
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 22] = [
        Self::WrongColumnCount,
        Self::MissingField,
        Self::InvalidAccessKey,
        Self::InvalidNfseKey,
        Self::InvalidNaturalKey,
        Self::InvalidLineNumber,
        Self::InvalidTaxId,
        Self::InvalidAmount,
        Self::InvalidDate,
        Self::InvalidCurrency,
        Self::ValueTooLong,
        Self::ItemTooLarge,
        Self::InvalidJson,
        Self::UnexpectedValue,
        Self::RepeatedValue,
        Self::TooManyLines,
        Self::RecordTooLong,
        Self::Warning(Warning::CheckDigit),
        Self::Warning(Warning::IssuerUnlikeKey),
        Self::Warning(Warning::MonthUnlikeKey),
        Self::Warning(Warning::NumberUnlikeKey),
        Self::Warning(Warning::CityIsTaxId),
    ];

    /// The word that reports and rejects use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongColumnCount => "wrong_column_count",
            Self::MissingField => "missing_field",
            Self::InvalidAccessKey => "invalid_access_key",
            Self::InvalidNfseKey => "invalid_nfse_key",
            Self::InvalidNaturalKey => "invalid_natural_key",
            Self::InvalidLineNumber => "invalid_line_number",
            Self::InvalidTaxId => "invalid_tax_id",
            Self::InvalidAmount => "invalid_amount",
            Self::InvalidDate => "invalid_date",
            Self::InvalidCurrency => "invalid_currency",
            Self::ValueTooLong => "value_too_long",
            Self::ItemTooLarge => "item_too_large",
            Self::InvalidJson => "invalid_json",
            Self::UnexpectedValue => "unexpected_value",
            Self::RepeatedValue => "repeated_value",
            Self::TooManyLines => "too_many_lines",
            Self::RecordTooLong => "record_too_long",
            Self::Warning(warning) => warning.as_str(),
        }
    }

    /// The reason that [`Reason::as_str`] calls `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::from_word(&word).ok_or_else(|| D::Error::custom(format_args!("unknown reason of a reject: {word:?}")))
    }
}

impl Reject {
    /// `expected` tells what `column` should have held; `found` is what it holds.
    #[cold]
    pub(crate) fn of_cell(reason: Reason, column: &str, expected: impl fmt::Display, found: &str) -> Self {
        Self { reason, message: format!("{column}: {expected}, found {}", Quoted(found)) }
    }

    #[cold]
    pub(crate) fn missing(column: &str, expected: &str) -> Self {
        Self { reason: Reason::MissingField, message: format!("{column}: expected {expected}, found nothing") }
    }

    #[cold]
    pub(crate) fn column_count(expected: usize, found: usize) -> Self {
        let message = format!("expected {expected} columns, as in the header, found {found}");
        Self { reason: Reason::WrongColumnCount, message }
    }
}

/// A cell in quotes, its line breaks shown as `\n`, cut where it is long.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(QUOTED_LIMIT) {
            Some((end, _)) => write!(f, "{:?}…", self.0.get(..end).unwrap_or_default()),
            None => write!(f, "{:?}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use super::*;

    #[test]
    fn long_cells_are_cut_and_line_breaks_shown() {
        assert_eq!(Quoted("a\nç").to_string(), r#""a\nç""#);
        let quoted = Quoted(&"é".repeat(10_000)).to_string();
        assert_eq!(quoted, format!("\"{}\"…", "é".repeat(QUOTED_LIMIT)));
    }

    #[test]
    fn every_word_leads_back() {
        let of_warnings = Reason::ALL.iter().filter(|reason| matches!(reason, Reason::Warning(_))).count();
        assert_eq!(of_warnings, Warning::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(Reason::from_word(reason.as_str()), Some(reason));
            let json = serde_json::to_value(reason).unwrap();
            assert_eq!(json, reason.as_str());
            assert_eq!(serde_json::from_value::<Reason>(json).unwrap(), reason);
        }
    }
}
