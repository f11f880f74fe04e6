//! An invoice and its parties.

use std::borrow::Cow;

use serde::Serialize;

use crate::access_key::AccessKey;
use crate::amount::Decimal;
use crate::extra::as_map;
use crate::status::Status;
use crate::tax_id::TaxId;
use crate::time::Timestamp;
use crate::warning::Warning;

/// An invoice: borrowed from the row that is being ingested (`'a`), or owned (`'static`) if it was read from the table.
///
/// Serialises to the JSON of the API. An absent value has no member; null never occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invoice<'a> {
    /// Permanent id of the invoice: its access key, or a hash of its natural key.
    pub id: Cow<'a, str>,
    /// The access key, if the source has one.
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
    /// Name that the issuer gives to the operation (*natureza da operação*).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Cow<'a, str>>,
    /// Time of issue.
    pub issued_at: Timestamp,
    /// The issuer.
    pub issuer: Party<'a>,
    /// The recipient; `None` if the source gives nothing about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Party<'a>>,
    /// The status.
    pub status: Status,
    /// The status in the words of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_text: Option<Cow<'a, str>>,
    /// Time at which the invoice got that status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_at: Option<Timestamp>,
    /// Total amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Decimal>,
    /// ISO 4217 code.
    pub currency: Cow<'a, str>,
    /// Number of lines, if the source gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_count: Option<u32>,
    /// Further columns that the layout keeps, in the order of the layout.
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Oddities that do not reject the invoice.
    pub warnings: Vec<Warning>,
}

/// Issuer or recipient of an invoice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Party<'a> {
    /// CNPJ, CPF or another id in their column.
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
    /// Returns whether every field is absent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    #![allow(clippy::unnecessary_wraps, reason = "fields of the example are optional")]

    use super::*;
    use crate::tax_id::TaxIdColumn;

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

    /// The example's JSON. The API adds a `source`, which is not part of the invoice.
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
    fn an_invoice_serialises_to_the_json_of_the_api() {
        assert_eq!(serde_json::to_string(&example()).unwrap(), EXAMPLE);
    }

    #[test]
    fn absent_values_have_no_member() {
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
}
