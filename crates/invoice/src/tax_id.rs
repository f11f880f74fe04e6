//! CNPJ, CPF, masked CPF, and other ids in their columns.

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::check_digit::{Weights, ends_in_check_digit};
use crate::text::{all_digits, trimmed};

/// Largest number of bytes of a tax id. It becomes part of index keys, and no form of a CNPJ or CPF is longer than 18.
pub const TAX_ID_LIMIT: usize = 20;

/// Characters of a CNPJ.
const CNPJ_LENGTH: usize = 14;
/// Characters of a CPF.
const CPF_LENGTH: usize = 11;

/// A tax id. A CNPJ or CPF has no punctuation; a masked one and any other id are kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TaxId {
    /// The characters of the tax id.
    #[serde(rename = "tax_id")]
    pub text: ArrayString<TAX_ID_LIMIT>,
    /// The kind of the tax id.
    #[serde(rename = "tax_id_kind")]
    pub kind: TaxIdKind,
}

/// The kind of a tax id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxIdKind {
    /// The id of a company: 14 characters, with letters since July 2026.
    Cnpj,
    /// The id of a person: 11 digits.
    Cpf,
    /// The id of a person with its ends masked: `***.165.104-**`.
    Masked,
    /// Any other id.
    Other,
}

impl TaxIdKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Cnpj, Self::Cpf, Self::Masked, Self::Other];

    /// Returns the word that the API uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cnpj => "cnpj",
            Self::Cpf => "cpf",
            Self::Masked => "masked",
            Self::Other => "other",
        }
    }
}

/// The kind of tax ids in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxIdColumn {
    /// CNPJs. Too few digits have lost their leading zeros.
    Cnpj,
    /// CPFs. Too few digits have lost their leading zeros.
    Cpf,
    /// CNPJs and CPFs. Too few digits are another id.
    #[default]
    Either,
}

/// Why a text cannot be stored as a tax id. The message states what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TaxIdError {
    /// The text is empty or has only spaces.
    #[error("expected a CNPJ or CPF")]
    Empty,
    /// The text is longer than [`TAX_ID_LIMIT`].
    #[error("expected a CNPJ or CPF, or at most {TAX_ID_LIMIT} bytes of another kind")]
    TooLong,
    /// The text has a line break or another control character.
    #[error("expected a CNPJ or CPF without control characters")]
    ControlCharacter,
}

impl TaxId {
    /// Parses `text` and detects its kind. Drops the points, slashes, hyphens and spaces of a CNPJ or CPF, and makes
    /// its letters capital. Keeps any other text as it is.
    ///
    /// In a [`TaxIdColumn::Cnpj`], up to 13 digits are padded with zeros to 14, except 11 digits that are a valid CPF
    /// and, padded, not a valid CNPJ. In a [`TaxIdColumn::Cpf`], up to 10 digits are padded to 11.
    ///
    /// # Errors
    /// An empty or too long text, or a control character. Wrong check digits are not an error: see
    /// [`TaxId::check_digit_ok`].
    pub fn parse(text: &str, column: TaxIdColumn) -> Result<Self, TaxIdError> {
        let text = trimmed(text);
        if text.len() == CNPJ_LENGTH && all_digits(text.as_bytes()) {
            // Most tax ids have this form.
            return Ok(Self::of(text, TaxIdKind::Cnpj));
        }
        let Some(bare) = bare(text) else { return Self::kept(text) };
        let digits = all_digits(bare.as_bytes());
        match kind_of_bare(&bare) {
            TaxIdKind::Cpf if column == TaxIdColumn::Cnpj => Ok(Self::padded_unless_cpf(&bare)),
            TaxIdKind::Other if digits && !bare.is_empty() && bare.len() < length_of(column) => {
                Ok(Self::padded(&bare, length_of(column)))
            }
            TaxIdKind::Masked | TaxIdKind::Other => Self::kept(text),
            kind => Ok(Self::of(&bare, kind)),
        }
    }

    /// Returns the kind of a tax id from its text. For every result of [`TaxId::parse`] this is the kind of the result.
    #[must_use]
    pub fn kind_of(text: &str) -> TaxIdKind {
        match kind_of_bare(text) {
            TaxIdKind::Other if text.contains('*') => TaxIdKind::Masked,
            kind => kind,
        }
    }

    /// Returns whether the check digits are right. True for kinds without check digits.
    #[must_use]
    pub fn check_digit_ok(&self) -> bool {
        let text = self.text.as_bytes();
        match self.kind {
            TaxIdKind::Cnpj => text.iter().any(|&byte| byte != b'0') && both_digits_ok(text, Weights::UP_TO_9),
            TaxIdKind::Cpf => !all_equal(text) && both_digits_ok(text, Weights::RISING),
            TaxIdKind::Masked | TaxIdKind::Other => true,
        }
    }

    /// Returns whether this tax id of a column may be `whole`, the one in an access key: the two are equal, or this is
    /// a masked CPF whose visible digits are those of `whole`.
    #[must_use]
    pub fn may_be(&self, whole: &Self) -> bool {
        match (self.kind, whole.kind) {
            (TaxIdKind::Masked, TaxIdKind::Cpf) => fits_mask(&self.text, &whole.text),
            _ => self == whole,
        }
    }

    /// Returns `whole` if this tax id is `whole` without its leading zeros, which spreadsheets drop; otherwise itself.
    #[must_use]
    pub fn with_zeros_of(self, whole: &Self) -> Self {
        let lost = whole.text.strip_suffix(self.text.as_str());
        match lost {
            Some(lost) if !lost.is_empty() && lost.bytes().all(|byte| byte == b'0') => *whole,
            _ => self,
        }
    }

    #[expect(clippy::expect_used, reason = "callers pass 14 bytes at most")]
    fn of(text: &str, kind: TaxIdKind) -> Self {
        Self { text: ArrayString::from(text).expect("a CNPJ or CPF fits"), kind }
    }

    fn padded(digits: &str, length: usize) -> Self {
        let mut text = ArrayString::new();
        for _ in digits.len()..length {
            text.push('0');
        }
        text.push_str(digits);
        Self { text, kind: if length == CPF_LENGTH { TaxIdKind::Cpf } else { TaxIdKind::Cnpj } }
    }

    fn padded_unless_cpf(digits: &str) -> Self {
        let (cnpj, cpf) = (Self::padded(digits, CNPJ_LENGTH), Self::of(digits, TaxIdKind::Cpf));
        if cpf.check_digit_ok() && !cnpj.check_digit_ok() { cpf } else { cnpj }
    }

    fn kept(text: &str) -> Result<Self, TaxIdError> {
        if text.is_empty() {
            return Err(TaxIdError::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(TaxIdError::ControlCharacter);
        }
        let kept = ArrayString::from(text).map_err(|_| TaxIdError::TooLong)?;
        let kind = if text.contains('*') { TaxIdKind::Masked } else { TaxIdKind::Other };
        Ok(Self { text: kept, kind })
    }
}

/// Returns the length to which digits in a column are padded; 0 for no padding.
const fn length_of(column: TaxIdColumn) -> usize {
    match column {
        TaxIdColumn::Cnpj => CNPJ_LENGTH,
        TaxIdColumn::Cpf => CPF_LENGTH,
        TaxIdColumn::Either => 0,
    }
}

/// Returns the letters and digits of `text`, in capitals. Returns `None` if it has other characters than these and the
/// punctuation of a CNPJ or CPF, or more of them than a CNPJ.
fn bare(text: &str) -> Option<ArrayString<CNPJ_LENGTH>> {
    let mut bare = ArrayString::new();
    for byte in text.bytes() {
        match byte {
            b'.' | b'/' | b'-' | b' ' => {}
            _ if byte.is_ascii_alphanumeric() => bare.try_push(char::from(byte.to_ascii_uppercase())).ok()?,
            _ => return None,
        }
    }
    Some(bare)
}

fn kind_of_bare(text: &str) -> TaxIdKind {
    let bytes = text.as_bytes();
    match bytes.len() {
        CPF_LENGTH if all_digits(bytes) => TaxIdKind::Cpf,
        CNPJ_LENGTH if all_digits(bytes) => TaxIdKind::Cnpj,
        CNPJ_LENGTH => {
            let (body, check) = bytes.split_at(CNPJ_LENGTH - 2);
            let letters_too = body.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
            if letters_too && all_digits(check) { TaxIdKind::Cnpj } else { TaxIdKind::Other }
        }
        _ => TaxIdKind::Other,
    }
}

fn both_digits_ok(text: &[u8], weights: &Weights) -> bool {
    let first = text.split_last().map_or(text, |(_, rest)| rest);
    ends_in_check_digit(first, weights) && ends_in_check_digit(text, weights)
}

fn all_equal(text: &[u8]) -> bool {
    text.windows(2).all(|pair| matches!(pair, [a, b] if a == b))
}

fn fits_mask(masked: &str, whole: &str) -> bool {
    let shown = || masked.bytes().filter(|byte| byte.is_ascii_digit() || *byte == b'*');
    shown().count() == whole.len() && shown().zip(whole.bytes()).all(|(mask, byte)| mask == b'*' || mask == byte)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str, column: TaxIdColumn) -> (String, TaxIdKind, bool) {
        let id = TaxId::parse(text, column).unwrap();
        (id.text.to_string(), id.kind, id.check_digit_ok())
    }

    fn either(text: &str) -> (String, TaxIdKind, bool) {
        parsed(text, TaxIdColumn::Either)
    }

    #[test]
    fn valid_cnpjs() {
        for text in ["33000167000101", "12ABC34501DE35", "12ABC345000188", "00394429021965", "06267630001509"] {
            assert_eq!(either(text), (text.to_owned(), TaxIdKind::Cnpj, true));
        }
    }

    #[test]
    fn invalid_cnpjs_are_kept_and_have_wrong_check_digits() {
        for text in ["12ABC34501DE36", "12ABC34501DE45", "00000000000000", "11111111111111"] {
            assert_eq!(either(text), (text.to_owned(), TaxIdKind::Cnpj, false));
        }
    }

    #[test]
    fn cpfs() {
        for text in ["52998224725", "39053344705", "12345678909"] {
            assert_eq!(either(text), (text.to_owned(), TaxIdKind::Cpf, true));
        }
        for text in ["11111111111", "52998224726"] {
            assert_eq!(either(text), (text.to_owned(), TaxIdKind::Cpf, false));
        }
    }

    #[test]
    fn a_masked_cpf_is_kept_as_it_is() {
        assert_eq!(either("***.165.104-**"), ("***.165.104-**".to_owned(), TaxIdKind::Masked, true));
    }

    #[test]
    fn punctuation_is_dropped_and_letters_become_capital() {
        assert_eq!(either("20.235.404/0001-71").0, "20235404000171");
        assert_eq!(either(" 529.982.247-25 ").0, "52998224725");
        assert_eq!(either("12.abc.345/01de-35"), ("12ABC34501DE35".to_owned(), TaxIdKind::Cnpj, true));
    }

    #[test]
    fn lost_zeros_are_restored_only_in_a_cnpj_column() {
        for (text, padded) in
            [("394429021965", "00394429021965"), ("9615848000108", "09615848000108"), ("191", "00000000000191")]
        {
            assert_eq!(parsed(text, TaxIdColumn::Cnpj), (padded.to_owned(), TaxIdKind::Cnpj, true));
            assert_eq!(either(text), (text.to_owned(), TaxIdKind::Other, true));
        }
    }

    #[test]
    fn check_digits_decide_about_eleven_digits_in_a_cnpj_column() {
        assert_eq!(parsed("52998224725", TaxIdColumn::Cnpj).1, TaxIdKind::Cpf);
        assert_eq!(parsed("52998224726", TaxIdColumn::Cnpj), ("00052998224726".to_owned(), TaxIdKind::Cnpj, false));
        // A CNPJ that begins with three zeros.
        assert_eq!(parsed("12345000165", TaxIdColumn::Cnpj).1, TaxIdKind::Cnpj);
    }

    #[test]
    fn other_ids_are_kept() {
        for text in ["EX-998877", "12345", "ÁÉÍ", "A1B2C3D4E5F6GH"] {
            assert_eq!(either(text), (text.to_owned(), TaxIdKind::Other, true));
        }
    }

    #[test]
    fn unstorable_texts_are_errors() {
        assert_eq!(TaxId::parse("  ", TaxIdColumn::Either), Err(TaxIdError::Empty));
        assert_eq!(TaxId::parse("X1234567890123456789-", TaxIdColumn::Either), Err(TaxIdError::TooLong));
        assert_eq!(TaxId::parse("12\n34", TaxIdColumn::Cnpj), Err(TaxIdError::ControlCharacter));
        // Punctuation alone has no digits to pad.
        assert_eq!(parsed("-", TaxIdColumn::Cnpj).1, TaxIdKind::Other);
    }

    #[test]
    fn a_mask_is_compared_by_its_visible_digits() {
        let whole = TaxId::parse("52998224725", TaxIdColumn::Either).unwrap();
        let masked = |text| TaxId::parse(text, TaxIdColumn::Either).unwrap();
        assert!(masked("***.982.247-**").may_be(&whole));
        assert!(!masked("***.982.248-**").may_be(&whole));
        assert!(!masked("***.982-**").may_be(&whole));
        assert!(whole.may_be(&whole));
    }

    #[test]
    fn lost_zeros_are_restored_from_the_whole_id() {
        let id = |text| TaxId::parse(text, TaxIdColumn::Either).unwrap();
        let whole = id("00394429021965");
        assert_eq!(id("394429021965").with_zeros_of(&whole), whole);
        assert_eq!(id("94429021965").with_zeros_of(&whole), id("94429021965"));
        assert_eq!(whole.with_zeros_of(&whole), whole);
    }

    proptest! {
        #[test]
        fn the_kind_follows_from_the_text(text in "[0-9A-Za-z.*/ -]{1,20}", cnpj in any::<bool>()) {
            let column = if cnpj { TaxIdColumn::Cnpj } else { TaxIdColumn::Either };
            if let Ok(id) = TaxId::parse(&text, column) {
                prop_assert_eq!(TaxId::kind_of(&id.text), id.kind);
                prop_assert_eq!(TaxId::parse(&id.text, TaxIdColumn::Either), Ok(id));
            }
        }
    }
}
