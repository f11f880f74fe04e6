//! The status of an invoice.

use serde::{Deserialize, Serialize};

/// The status of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// In force.
    Authorized,
    /// Cancelled by its issuer.
    Cancelled,
    /// Refused by the tax authority (*denegada*).
    Denied,
    /// The source does not give a status.
    Unknown,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Authorized, Self::Cancelled, Self::Denied, Self::Unknown];

    /// Returns the word that the API and the table use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Cancelled => "cancelled",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the status whose [`Status::as_str`] is `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for value in Status::ALL {
            assert_eq!(Status::from_word(value.as_str()), Some(value));
            assert_eq!(serde_json::to_value(value).unwrap(), value.as_str());
        }
    }
}
