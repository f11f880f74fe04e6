//! Keys of service invoices (NFS-e) of the national standard: 50 digits.
//!
//! | digits | content |
//! | --- | --- |
//! | 1–7 | IBGE code of the city, whose first two digits are the state's |
//! | 8 | environment that issued the key |
//! | 9 | kind of the issuer's tax id: 1 for a CPF, 2 for a CNPJ |
//! | 10–23 | the issuer's CNPJ; `000` and a CPF |
//! | 24–36 | number |
//! | 37–40 | AAMM, year and month of issue |
//! | 41–49 | random code |
//! | 50 | check digit |

use std::ops::Range;

use arrayvec::ArrayString;
use thiserror::Error;

use crate::check_digit::{Weights, ends_in_check_digit};
use crate::state;
use crate::tax_id::{TaxId, TaxIdKind};
use crate::text::without_leading_zeros;

/// Digits of a key.
const NFSE_KEY_LENGTH: usize = 50;

const STATE: Range<usize> = 0..2;
const ISSUER_KIND: Range<usize> = 8..9;
const ISSUER: Range<usize> = 9..23;
const NUMBER: Range<usize> = 23..36;
const YEAR: Range<usize> = 36..38;
const MONTH: Range<usize> = 38..40;

/// A key of an NFS-e with a valid structure. Its check digit may be wrong: see [`NfseKey::check_digit_ok`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NfseKey(ArrayString<NFSE_KEY_LENGTH>);

/// Why a text is not a key of an NFS-e. The message states what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NfseKeyError {
    /// The text is too short or too long.
    #[error("expected an NFS-e key of 50 digits, not {found} characters")]
    Length {
        /// Number of characters in the text.
        found: usize,
    },
    /// The character is not a digit.
    #[error("expected an NFS-e key with a digit as character {position}")]
    Character {
        /// Position of the character, from 1.
        position: usize,
    },
    /// The code of the state does not exist.
    #[error("expected an NFS-e key that begins with the code of a state")]
    State,
    /// The month is not 01 to 12.
    #[error("expected an NFS-e key with a month from 01 to 12 as digits 39 and 40")]
    Month,
}

impl NfseKey {
    /// Parses `text` as a key. Does not check the check digit.
    ///
    /// # Errors
    /// The first part of `text` that is not possible.
    pub fn parse(text: &str) -> Result<Self, NfseKeyError> {
        if let Some(at) = text.chars().position(|char| !char.is_ascii_digit()) {
            return Err(NfseKeyError::Character { position: at + 1 });
        }
        let found = text.len();
        let key = ArrayString::from(text).map(Self).map_err(|_| NfseKeyError::Length { found })?;
        if found != NFSE_KEY_LENGTH {
            return Err(NfseKeyError::Length { found });
        }
        if state::letters(key.part(STATE)).is_none() {
            return Err(NfseKeyError::State);
        }
        if !("01"..="12").contains(&key.part(MONTH)) {
            return Err(NfseKeyError::Month);
        }
        Ok(key)
    }

    /// Returns the 50 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns year and month of issue, such as `(2026, 2)`.
    #[must_use]
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "`parse` checks year and month")]
    pub fn year_month(&self) -> (u16, u8) {
        let year = self.part(YEAR).parse::<u16>().expect("the year is two digits");
        (2000 + year, self.part(MONTH).parse().expect("the month is two digits"))
    }

    /// Returns the tax id of the issuer.
    #[must_use]
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "14 bytes are fewer than `TAX_ID_LIMIT`")]
    pub fn issuer_tax_id(&self) -> TaxId {
        let issuer = self.part(ISSUER);
        let (text, kind) = match issuer.strip_prefix("000") {
            Some(cpf) if self.part(ISSUER_KIND) == "1" => (cpf, TaxIdKind::Cpf),
            _ => (issuer, TaxIdKind::Cnpj),
        };
        TaxId { text: ArrayString::from(text).expect("the tax id fits"), kind }
    }

    /// Returns the number without leading zeros; `0` if it has only zeros.
    #[must_use]
    pub fn number(&self) -> &str {
        without_leading_zeros(self.part(NUMBER))
    }

    /// Returns whether the last digit is the check digit of the others.
    #[must_use]
    pub fn check_digit_ok(&self) -> bool {
        ends_in_check_digit(self.as_str().as_bytes(), Weights::UP_TO_9)
    }

    #[expect(clippy::expect_used, reason = "`parse` checks length and characters, which are ASCII")]
    fn part(&self, range: Range<usize>) -> &str {
        self.as_str().get(range).expect("a key has all its parts")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    const VALID: &str = "52115031239558194000180000000000486626023714913456";

    #[test]
    fn parts() {
        let key = NfseKey::parse(VALID).unwrap();
        assert!(key.check_digit_ok());
        assert_eq!((key.year_month(), key.number(), key.as_str()), ((2026, 2), "4866", VALID));
        let issuer = key.issuer_tax_id();
        assert_eq!((issuer.text.as_str(), issuer.kind), ("39558194000180", TaxIdKind::Cnpj));
        let of_person = NfseKey::parse("52115031100052998224725000000000486626023714913456").unwrap();
        assert_eq!((&*of_person.issuer_tax_id().text, of_person.issuer_tax_id().kind), ("52998224725", TaxIdKind::Cpf));
        assert!(!of_person.check_digit_ok());
    }

    #[test]
    fn wrong_texts_are_errors() {
        for (text, error) in [
            ("", NfseKeyError::Length { found: 0 }),
            (&VALID[1..], NfseKeyError::Length { found: 49 }),
            (&*format!("{VALID}0"), NfseKeyError::Length { found: 51 }),
            (&*VALID.replacen('5', "A", 1), NfseKeyError::Character { position: 1 }),
            (&*VALID.replacen("52", "99", 1), NfseKeyError::State),
            (&*VALID.replacen("2602", "2613", 1), NfseKeyError::Month),
        ] {
            assert_eq!(NfseKey::parse(text), Err(error), "{text}");
        }
    }
}
