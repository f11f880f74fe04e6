//! CNPJ, CPF, masked CPF, and what else stands in their columns.

use arrayvec::ArrayString;
use serde::Serialize;

/// Most characters of a tax id that is kept.
pub const TAX_ID_LIMIT: usize = 20;

/// A tax id without punctuation, except where it is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TaxId {
    /// Its characters.
    #[serde(rename = "tax_id")]
    pub text: ArrayString<TAX_ID_LIMIT>,
    /// What it is.
    #[serde(rename = "tax_id_kind")]
    pub kind: TaxIdKind,
}

/// What a tax id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxIdKind {
    /// A company's: 14 characters, letters allowed since July 2026.
    Cnpj,
    /// A person's: 11 digits.
    Cpf,
    /// A person's with its ends masked: `***.165.104-**`.
    Masked,
    /// Anything else.
    Other,
}
