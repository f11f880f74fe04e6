//! The domain: an invoice and what it is made of. Pure values, no I/O, no knowledge of files or tables.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`access_key`] | the 44 characters that name an NF-e, their parts and check digit |
//! | [`nfse_key`] | the 50 digits that name a service invoice of the national standard |
//! | [`tax_id`] | CNPJ, CPF, masked CPF |
//! | [`amount`] | exact decimals, kept as text |
//! | [`time`] | local date-times, with an offset only where the source has one |
//! | [`mod@line`], [`event`] | what belongs to an invoice |
//! | [`fields`] | an invoice field by field |

pub mod access_key;
pub mod amount;
pub mod check_digit;
pub mod event;
pub mod fields;
pub mod line;
pub mod nfse_key;
mod state;
pub mod tax_id;
pub mod text;
pub mod time;

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

pub use access_key::{AccessKey, AccessKeyError};
pub use amount::{Decimal, DecimalConvention, DecimalError};
pub use event::{Event, EventKind};
pub use fields::{InvoiceFields, Role, TextField};
pub use line::{Line, LineKey};
pub use nfse_key::{NfseKey, NfseKeyError};
pub use tax_id::{TaxId, TaxIdColumn, TaxIdError, TaxIdKind};
pub use time::{DateConvention, Timestamp, TimestampError, UtcOffset};

/// One invoice, borrowed from a row that is being ingested (`'a`) or owned (`'static`) when read from the table.
///
/// Serialises to the JSON that the API answers with; absent values are absent, never null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invoice<'a> {
    /// What names the invoice for ever: its access key, or a hash of its natural key.
    pub id: Cow<'a, str>,
    /// The access key, where the source has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key: Option<AccessKey>,
    /// Fiscal model, such as `55`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Cow<'a, str>>,
    /// Series, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Cow<'a, str>>,
    /// Number, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<Cow<'a, str>>,
    /// What the issuer calls the operation (*natureza da operação*).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Cow<'a, str>>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Who issued it.
    pub issuer: Party<'a>,
    /// Whom it was issued to; nobody where nothing is known of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Party<'a>>,
    /// Its status.
    pub status: Status,
    /// The status in the words of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_text: Option<Cow<'a, str>>,
    /// Since when it has that status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_at: Option<Timestamp>,
    /// Total amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Decimal>,
    /// ISO 4217 code.
    pub currency: Cow<'a, str>,
    /// How many lines it has, where the source says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_count: Option<u32>,
    /// Further columns that the layout keeps, in its order.
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// What was odd about it and is stored all the same.
    pub warnings: Vec<Warning>,
}

/// Issuer or recipient of an invoice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Party<'a> {
    /// CNPJ, CPF or what stands in their place.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<TaxId>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// State registration (*inscrição estadual*).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_registration: Option<Cow<'a, str>>,
    /// State, two letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uf: Option<Cow<'a, str>>,
    /// City.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<Cow<'a, str>>,
}

impl Party<'_> {
    /// Whether nothing is known of this party.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether an invoice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// In force.
    Authorized,
    /// Cancelled by its issuer.
    Cancelled,
    /// Refused by the tax authority (*denegada*).
    Denied,
    /// The source does not say.
    Unknown,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Authorized, Self::Cancelled, Self::Denied, Self::Unknown];

    /// The word that the API and the table use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Cancelled => "cancelled",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }

    /// The status that [`Status::as_str`] calls `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// Something odd about a record that does not keep it out of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// A check digit of the access key, a CNPJ or a CPF is wrong.
    CheckDigit,
    /// The issuer is not the one that the access key names.
    IssuerUnlikeKey,
    /// It was issued in another month than its access key says.
    MonthUnlikeKey,
    /// Model, series or number are not those of the access key.
    NumberUnlikeKey,
    /// A CNPJ or CPF stands where a city should.
    CityIsTaxId,
}

impl Warning {
    /// Every kind of warning.
    pub const ALL: [Self; 5] =
        [Self::CheckDigit, Self::IssuerUnlikeKey, Self::MonthUnlikeKey, Self::NumberUnlikeKey, Self::CityIsTaxId];

    /// The word that the API, the report and the table use.
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

    /// The warning that [`Warning::as_str`] calls `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|warning| warning.as_str() == word)
    }
}

fn as_map<S: Serializer>(pairs: &[(Cow<'_, str>, Cow<'_, str>)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(pairs.len()))?;
    for (name, value) in pairs {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]
    #![allow(clippy::unnecessary_wraps, reason = "fields of the example are optional")]

    use super::*;

    fn text(text: &str) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(text))
    }

    fn tax_id(text: &str) -> Option<TaxId> {
        Some(TaxId::parse(text, TaxIdColumn::Either).unwrap())
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_plain(text).unwrap()
    }

    fn example() -> Invoice<'static> {
        let key = "31191108676370000155550010000070831000062423";
        Invoice {
            id: Cow::Borrowed(key),
            access_key: Some(AccessKey::parse(key).unwrap()),
            model: text("55"),
            series: text("1"),
            number: text("7083"),
            operation: text("VENDA DE MERCADORIA ADQUIRIDA"),
            issued_at: at("2019-11-12T00:00:00"),
            issuer: Party {
                tax_id: tax_id("08676370000155"),
                name: text("DIST. DE MEDICAMENTOS PRO SAUDE LTD"),
                state_registration: text("10428180043"),
                uf: text("MG"),
                city: text("UBERLANDIA"),
            },
            recipient: Some(Party {
                tax_id: tax_id("09579964000291"),
                name: text("HOSP GERAL DE CURITIBA"),
                uf: text("PR"),
                ..Party::default()
            }),
            status: Status::Authorized,
            status_text: text("Autorização de Uso"),
            status_at: Some(at("2019-11-12T13:01:52")),
            total: Decimal::from_plain("2040.00"),
            currency: Cow::Borrowed("BRL"),
            line_count: None,
            extra: vec![(Cow::Borrowed("final_consumer"), Cow::Borrowed("1 - CONSUMIDOR FINAL"))],
            warnings: Vec::new(),
        }
    }

    /// The example of CONTRACT.md without its `source`, which is not the invoice's.
    const EXAMPLE: &str = concat!(
        r#"{"id":"31191108676370000155550010000070831000062423","#,
        r#""access_key":"31191108676370000155550010000070831000062423","#,
        r#""model":"55","series":"1","number":"7083","operation":"VENDA DE MERCADORIA ADQUIRIDA","#,
        r#""issued_at":"2019-11-12T00:00:00","#,
        r#""issuer":{"tax_id":"08676370000155","tax_id_kind":"cnpj","name":"DIST. DE MEDICAMENTOS PRO SAUDE LTD","#,
        r#""state_registration":"10428180043","uf":"MG","city":"UBERLANDIA"},"#,
        r#""recipient":{"tax_id":"09579964000291","tax_id_kind":"cnpj","name":"HOSP GERAL DE CURITIBA","uf":"PR"},"#,
        r#""status":"authorized","status_text":"Autorização de Uso","status_at":"2019-11-12T13:01:52","#,
        r#""total":"2040.00","currency":"BRL","extra":{"final_consumer":"1 - CONSUMIDOR FINAL"},"warnings":[]}"#,
    );

    #[test]
    fn an_invoice_serialises_to_the_contract() {
        assert_eq!(serde_json::to_string(&example()).unwrap(), EXAMPLE);
    }

    #[test]
    fn absent_values_are_absent() {
        let invoice = Invoice {
            access_key: None,
            model: None,
            series: None,
            number: None,
            operation: None,
            issuer: Party::default(),
            recipient: None,
            status: Status::Unknown,
            status_text: None,
            status_at: None,
            total: None,
            extra: Vec::new(),
            warnings: vec![Warning::CheckDigit, Warning::IssuerUnlikeKey],
            ..example()
        };
        assert_eq!(
            serde_json::to_string(&invoice).unwrap(),
            concat!(
                r#"{"id":"31191108676370000155550010000070831000062423","issued_at":"2019-11-12T00:00:00","#,
                r#""issuer":{},"status":"unknown","currency":"BRL","warnings":["check_digit","issuer_unlike_key"]}"#,
            )
        );
    }

    #[test]
    fn every_word_leads_back() {
        for status in Status::ALL {
            assert_eq!(Status::from_word(status.as_str()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for warning in Warning::ALL {
            assert_eq!(Warning::from_word(warning.as_str()), Some(warning));
            assert_eq!(serde_json::to_value(warning).unwrap(), warning.as_str());
        }
    }
}
