//! Access keys (*chave de acesso*): 44 characters that identify a fiscal document.
//!
//! | characters | content |
//! | --- | --- |
//! | 1–2 | cUF, the IBGE code of the issuer's state |
//! | 3–6 | AAMM, year and month of issue |
//! | 7–20 | the issuer's CNPJ; `000` and a CPF for series 920–969 |
//! | 21–22 | fiscal model |
//! | 23–25 | series |
//! | 26–34 | number |
//! | 35 | form of issue (tpEmis) |
//! | 36–43 | random code (cNF) |
//! | 44 | check digit |

use std::ops::Range;

use arrayvec::ArrayString;
use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::check_digit::{Weights, ends_in_check_digit};
use crate::state;
use crate::tax_id::{TaxId, TaxIdKind};
use crate::text::{all_digits, without_leading_zeros};

/// Number of characters of an access key.
const ACCESS_KEY_LENGTH: usize = 44;

/// Fiscal models with an access key: NF-e, NFC-e, CT-e, MDF-e, CT-e OS, `NFCom`, BP-e, GTV-e, `NF3e`.
const MODELS: [&str; 9] = ["55", "65", "57", "58", "67", "62", "63", "64", "66"];

const UF: Range<usize> = 0..2;
const YEAR: Range<usize> = 2..4;
const MONTH: Range<usize> = 4..6;
const ISSUER: Range<usize> = 6..20;
/// The part of the issuer's CNPJ that may have letters. The check digits may not.
const LETTERS: Range<usize> = 6..18;
const MODEL: Range<usize> = 20..22;
const SERIES: Range<usize> = 22..25;
const NUMBER: Range<usize> = 25..34;

/// An access key with a valid structure: its characters, state, month and model are possible. Its check digit may be
/// wrong: see [`AccessKey::check_digit_ok`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessKey(ArrayString<ACCESS_KEY_LENGTH>);

/// Why a text is not an access key. The message states what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AccessKeyError {
    /// The text is too short or too long.
    #[error("expected an access key of 44 characters, not {found}")]
    Length {
        /// Number of characters in the text.
        found: usize,
    },
    /// The character is not allowed at its position.
    #[error("expected an access key with another character {position} (digits; capitals in 7 to 18 only)")]
    Character {
        /// Position of the character, from 1.
        position: usize,
    },
    /// The code of the state does not exist.
    #[error("expected an access key that begins with the code of a state")]
    State,
    /// The month is not 01 to 12.
    #[error("expected an access key with a month from 01 to 12 as characters 5 and 6")]
    Month,
    /// The fiscal model has no access key.
    #[error("expected an access key with a model such as 55 or 65 as characters 21 and 22")]
    Model,
}

impl AccessKey {
    /// Parses `text` as an access key. Does not check the check digit.
    ///
    /// # Errors
    /// The first part of `text` that is not possible.
    pub fn parse(text: &str) -> Result<Self, AccessKeyError> {
        let is_allowed =
            |(at, byte): (usize, &u8)| byte.is_ascii_digit() || (LETTERS.contains(&at) && byte.is_ascii_uppercase());
        if text.len() != ACCESS_KEY_LENGTH {
            return Err(Self::wrong_length(text));
        }
        // Nearly all keys have digits only, which one pass over all characters shows fast.
        if !all_digits(text.as_bytes())
            && let Some(at) = text.as_bytes().iter().enumerate().position(|each| !is_allowed(each))
        {
            return Err(AccessKeyError::Character { position: at + 1 });
        }
        let key = Self(ArrayString::from(text).map_err(|_| AccessKeyError::Length { found: text.len() })?);
        if state::letters(key.part(UF)).is_none() {
            return Err(AccessKeyError::State);
        }
        if !("01"..="12").contains(&key.part(MONTH)) {
            return Err(AccessKeyError::Month);
        }
        if !MODELS.contains(&key.model()) {
            return Err(AccessKeyError::Model);
        }
        Ok(key)
    }

    #[cold]
    fn wrong_length(text: &str) -> AccessKeyError {
        let found = text.chars().count();
        match text.chars().position(|char| !char.is_ascii()) {
            Some(at) if found == ACCESS_KEY_LENGTH => AccessKeyError::Character { position: at + 1 },
            _ => AccessKeyError::Length { found },
        }
    }

    /// Returns the 44 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the letters of the issuer's state, such as `MG`.
    #[must_use]
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "`parse` checks the state")]
    pub fn uf(&self) -> &'static str {
        state::letters(self.part(UF)).expect("a key has the code of a state")
    }

    /// Returns year and month of issue, such as `(2019, 11)`.
    #[must_use]
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "`parse` checks year and month")]
    pub fn year_month(&self) -> (u16, u8) {
        let year = self.part(YEAR).parse::<u16>().expect("the year is two digits");
        (2000 + year, self.part(MONTH).parse().expect("the month is two digits"))
    }

    /// Returns the tax id of the issuer: a CPF for series 920–969, a CNPJ for any other.
    #[must_use]
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "14 bytes are fewer than `TAX_ID_LIMIT`")]
    pub fn issuer_tax_id(&self) -> TaxId {
        let issuer = self.part(ISSUER);
        let by_person = ("920"..="969").contains(&self.part(SERIES));
        let (text, kind) = match issuer.strip_prefix("000") {
            Some(cpf) if by_person => (cpf, TaxIdKind::Cpf),
            _ => (issuer, TaxIdKind::Cnpj),
        };
        TaxId { text: ArrayString::from(text).expect("the tax id fits"), kind }
    }

    /// Returns the fiscal model, such as `55`.
    #[must_use]
    pub fn model(&self) -> &str {
        self.part(MODEL)
    }

    /// Returns the series without leading zeros; `0` if it has only zeros.
    #[must_use]
    pub fn series(&self) -> &str {
        without_leading_zeros(self.part(SERIES))
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

impl Serialize for AccessKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    const VALID: [&str; 8] = [
        "52060433009911002506550120000007800267301615",
        "35260712ABC34501DE35550010000001231123456787",
        "35260733009911002506570010000001231123456787",
        "35260733009911002506650010000001231123456782",
        "35260700012345678909559200000001231123456785",
        "25240108761132000148558929001803761379847297",
        "13250505914165000192550030000116841779221343",
        "52260912ABC34501DE35550010000000011123456782",
    ];

    #[test]
    fn valid_keys_are_accepted() {
        for text in VALID {
            let key = AccessKey::parse(text).unwrap();
            assert!(key.check_digit_ok(), "{text}");
            assert_eq!(key.as_str(), text);
            assert!(key.issuer_tax_id().check_digit_ok(), "{text}");
        }
    }

    #[test]
    fn a_wrong_check_digit_is_not_a_wrong_structure() {
        for text in [
            "35260712ABC34501DE35550010000001231123456788",
            "52060433009911002506550120000007800267301614",
            "29181033657677000156650010001654399001654399",
        ] {
            assert!(!AccessKey::parse(text).unwrap().check_digit_ok(), "{text}");
        }
    }

    #[test]
    fn an_impossible_part_is_an_error_whatever_the_check_digit() {
        for (text, error) in [
            ("99260733009911002506550010000001231123456787", AccessKeyError::State),
            ("35261333009911002506550010000001231123456788", AccessKeyError::Month),
            ("35260033009911002506550010000001231123456788", AccessKeyError::Month),
            ("35260733009911002506590010000001231123456784", AccessKeyError::Model),
        ] {
            assert_eq!(AccessKey::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn wrong_characters_and_lengths_are_errors() {
        let lower = VALID[1].to_lowercase();
        let accented = VALID[0].replace('4', "é");
        for (text, error) in [
            ("", AccessKeyError::Length { found: 0 }),
            (&VALID[0][1..], AccessKeyError::Length { found: 43 }),
            (&*format!("{}0", VALID[0]), AccessKeyError::Length { found: 45 }),
            (&*lower, AccessKeyError::Character { position: 9 }),
            (&*accented, AccessKeyError::Character { position: 6 }),
            ("5206043300991100250A550120000007800267301615", AccessKeyError::Character { position: 20 }),
        ] {
            assert_eq!(AccessKey::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn parts() {
        let key = AccessKey::parse("31191108676370000155550010000070831000062423").unwrap();
        assert_eq!((key.uf(), key.year_month(), key.model()), ("MG", (2019, 11), "55"));
        assert_eq!((key.series(), key.number()), ("1", "7083"));
        let issuer = key.issuer_tax_id();
        assert_eq!((issuer.text.as_str(), issuer.kind), ("08676370000155", TaxIdKind::Cnpj));

        let of_person = AccessKey::parse(VALID[4]).unwrap().issuer_tax_id();
        assert_eq!((of_person.text.as_str(), of_person.kind), ("12345678909", TaxIdKind::Cpf));

        let zeros = AccessKey::parse("31190108676370000155550000000000001000062423").unwrap();
        assert_eq!((zeros.series(), zeros.number()), ("0", "0"));
    }
}
