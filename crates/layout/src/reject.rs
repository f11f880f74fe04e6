//! Rejects: records that cannot be stored, and why.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use notaflux_invoice::Warning;

/// Most characters of a cell that a message quotes.
const QUOTED_LIMIT: usize = 80;

/// Why a record is not stored. This is a value and not an error, because the ingestion continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The kind of reject, for counts.
    pub reason: Reason,
    /// The column, what was expected there, and what was found.
    pub message: String,
}

/// A kind of reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The record has more or fewer columns than the header.
    WrongColumnCount,
    /// A column that must have a value has none.
    MissingField,
    /// The access key is not valid. A wrong check digit is only a warning.
    InvalidAccessKey,
    /// The key of an NFS-e is not valid. A wrong check digit is only a warning.
    InvalidNfseKey,
    /// A value of a natural key contains a character that separates such values.
    InvalidNaturalKey,
    /// The number of a line is not a whole number from 1 to 99999, or an invoice has it twice.
    InvalidLineNumber,
    /// A tax id contains control characters. A wrong check digit is only a warning.
    InvalidTaxId,
    /// An amount does not follow the convention, or has too many digits.
    InvalidAmount,
    /// A date does not follow the convention, or does not exist.
    InvalidDate,
    /// A currency is not three capital letters.
    InvalidCurrency,
    /// A value is too long for the keys of the table.
    ValueTooLong,
    /// The record is too large for an item of the table.
    ItemTooLarge,
    /// An element is not valid JSON, or exceeds a limit of the parser.
    InvalidJson,
    /// A JSON value has the wrong type.
    UnexpectedValue,
    /// A place that can have one value has two different values.
    RepeatedValue,
    /// The invoice has too many lines.
    TooManyLines,
    /// The record is too long to be held in memory.
    RecordTooLong,
    /// A warning that the layout or `--strict` turns into a reject.
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

    /// Returns the word in reports and rejects.
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

    /// Returns the reason for a word of [`Reason::as_str`]; none if there is no such reason.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
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
    /// Returns a reject for a cell. `expected` begins with "expected"; `found` is quoted.
    #[cold]
    pub(crate) fn of_cell(reason: Reason, column: &str, expected: impl fmt::Display, found: &str) -> Self {
        Self { reason, message: format!("{column}: {expected}, found {}", Quoted(found)) }
    }

    /// Returns a reject for a column that must have a value and has none.
    #[cold]
    pub(crate) fn missing(column: &str, expected: &str) -> Self {
        Self { reason: Reason::MissingField, message: format!("{column}: expected {expected}, found nothing") }
    }

    /// Returns a reject for a row whose number of columns differs from the header.
    #[cold]
    pub(crate) fn column_count(expected: usize, found: usize) -> Self {
        let message = format!("expected {expected} columns, as in the header, found {found}");
        Self { reason: Reason::WrongColumnCount, message }
    }
}

/// Displays a cell in quotes, with line breaks as `\n`, cut at [`QUOTED_LIMIT`] characters.
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
    fn every_word_is_read_as_its_reason() {
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
