//! Oddities of a record that do not reject it.

use serde::{Deserialize, Serialize};

/// An oddity of a record. The record is stored nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// A check digit of the access key, a CNPJ or a CPF is wrong.
    CheckDigit,
    /// The issuer differs from the issuer in the access key.
    IssuerUnlikeKey,
    /// The month of issue differs from the month in the access key.
    MonthUnlikeKey,
    /// Model, series or number differ from those in the access key.
    NumberUnlikeKey,
    /// The city's column holds a CNPJ or CPF.
    CityIsTaxId,
}

impl Warning {
    /// Every kind of warning.
    pub const ALL: [Self; 5] =
        [Self::CheckDigit, Self::IssuerUnlikeKey, Self::MonthUnlikeKey, Self::NumberUnlikeKey, Self::CityIsTaxId];

    /// Returns the word that the API, the report and the table use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CheckDigit => "check_digit",
            Self::IssuerUnlikeKey => "issuer_unlike_key",
            Self::MonthUnlikeKey => "month_unlike_key",
            Self::NumberUnlikeKey => "number_unlike_key",
            Self::CityIsTaxId => "city_is_tax_id",
        }
    }

    /// Returns the warning whose [`Warning::as_str`] is `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|warning| warning.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for value in Warning::ALL {
            assert_eq!(Warning::from_word(value.as_str()), Some(value));
            assert_eq!(serde_json::to_value(value).unwrap(), value.as_str());
        }
    }
}
