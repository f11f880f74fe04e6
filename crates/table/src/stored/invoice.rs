//! Decodes the item of an invoice.

use std::borrow::Cow;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use super::fields::{Attributes, DecodeError, Fields, owned};
use crate::item::SourceRef;
use crate::item::invoice::COMMON_CURRENCY;
use notaflux_invoice::{AccessKey, Invoice, Party, Status, TaxId, TaxIdKind, Timestamp};

/// An invoice as stored in the table. Serialises to the answer of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredInvoice {
    /// The invoice. Its extra columns are sorted by name, since an item keeps no order.
    #[serde(flatten)]
    pub invoice: Invoice<'static>,
    /// The origin of its record.
    pub source: SourceRef<'static>,
}

/// Decodes the item of an invoice. Skips unknown attributes.
///
/// # Errors
/// The first attribute that is missing or damaged.
pub fn decode_invoice(item: &Attributes) -> Result<StoredInvoice, DecodeError> {
    let item = Fields { of: "an invoice's", attributes: item };
    let id = item.id()?;
    let invoice = Invoice {
        id: owned(id),
        access_key: access_key(item, id)?,
        model: item.owned("model")?,
        series: item.owned("series")?,
        number: item.owned("number")?,
        operation: item.owned("op")?,
        issued_at: item.required_timestamp("at")?,
        // An issuer without any field is not written.
        issuer: party(item, "iss")?.unwrap_or_default(),
        recipient: party(item, "rcp")?,
        status: status(item)?,
        status_text: item.owned("st_text")?,
        status_at: item.timestamp("st_at")?,
        total: item.decimal("total")?,
        currency: item.owned("cur")?.unwrap_or(Cow::Borrowed(COMMON_CURRENCY)),
        line_count: item.number("lines")?,
        extra: item.extra()?,
        warnings: item.warnings()?,
    };
    Ok(StoredInvoice { invoice, source: item.source()? })
}

/// The status of a stored invoice, and its time of issue, which its index keys contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredStatus {
    /// Time of issue.
    pub(crate) issued_at: Timestamp,
    /// Status.
    pub(crate) status: Status,
    /// When the status began.
    pub(crate) since: Option<Timestamp>,
}

/// Decodes the status. Needs only the attributes `at`, `st` and `st_at`.
///
/// # Errors
/// The first attribute that is missing or damaged.
pub(crate) fn decode_status(item: &Attributes) -> Result<StoredStatus, DecodeError> {
    let item = Fields { of: "an invoice's", attributes: item };
    Ok(StoredStatus {
        issued_at: item.required_timestamp("at")?,
        status: status(item)?,
        since: item.timestamp("st_at")?,
    })
}

fn status(item: Fields<'_>) -> Result<Status, DecodeError> {
    Status::from_word(item.required("st")?).ok_or(item.wrong("st", "a status"))
}

fn access_key(item: Fields<'_>, id: &str) -> Result<Option<AccessKey>, DecodeError> {
    if let Some(key) = item.text("key")? {
        return AccessKey::parse(key).map(Some).map_err(|_| item.wrong("key", "an access key"));
    }
    let only_looks_like_one = match item.attributes.get("ak") {
        None => false,
        Some(AttributeValue::Bool(false)) => true,
        Some(_) => return Err(item.missing("ak", "false")),
    };
    Ok(AccessKey::parse(id).ok().filter(|_| !only_looks_like_one))
}

fn party(item: Fields<'_>, name: &'static str) -> Result<Option<Party<'static>>, DecodeError> {
    let Some(map) = item.map(name)? else { return Ok(None) };
    Ok(Some(Party {
        tax_id: map.text("doc")?.map(|doc| tax_id(doc, map)).transpose()?,
        name: map.owned("name")?,
        state_registration: map.owned("ie")?,
        uf: map.owned("uf")?,
        city: map.owned("city")?,
    }))
}

fn tax_id(doc: &str, party: Fields<'_>) -> Result<TaxId, DecodeError> {
    let kinds = [TaxIdKind::Cnpj, TaxIdKind::Cpf, TaxIdKind::Masked, TaxIdKind::Other];
    let kind = match party.text("kind")? {
        None => TaxId::kind_of(doc),
        Some(word) => {
            kinds.into_iter().find(|kind| kind.as_str() == word).ok_or(party.wrong("kind", "a kind of tax id"))?
        }
    };
    let text = doc.try_into().map_err(|_| party.wrong("doc", "a tax id"))?;
    Ok(TaxId { text, kind })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::item::encode_invoice;
    use crate::schema::Schema;
    use notaflux_testing::{any_invoice, attributes, example};

    fn stored(invoice: &Invoice<'_>, record: u64) -> Attributes {
        let source = SourceRef { ingestion: "9f2c".into(), record };
        let mut json = Vec::new();
        encode_invoice(invoice, &source, &Schema::default(), &mut json).unwrap();
        attributes(&json)
    }

    #[test]
    fn a_stored_invoice_serialises_to_the_answer_of_the_api() {
        let stored = decode_invoice(&stored(&example(), 1)).unwrap();
        let expected = concat!(
            r#"{"id":"31191108676370000155550010000070831000062423","#,
            r#""access_key":"31191108676370000155550010000070831000062423","#,
            r#""model":"55","series":"1","number":"7083","operation":"VENDA DE MERCADORIA ADQUIRIDA","#,
            r#""issued_at":"2019-11-12T00:00:00","#,
            r#""issuer":{"tax_id":"08676370000155","tax_id_kind":"cnpj","name":"DIST. DE MEDICAMENTOS PRO SAUDE LTD","#,
            r#""state_registration":"10428180043","uf":"MG","city":"UBERLANDIA"},"#,
            r#""recipient":{"tax_id":"09579964000291","tax_id_kind":"cnpj","name":"HOSP GERAL DE CURITIBA","uf":"PR"},"#,
            r#""status":"authorized","status_text":"Autorização de Uso","status_at":"2019-11-12T13:01:52","#,
            r#""total":"2040.00","currency":"BRL","extra":{"final_consumer":"1 - CONSUMIDOR FINAL"},"warnings":[],"#,
            r#""source":{"ingestion":"9f2c","record":1}}"#,
        );
        assert_eq!(serde_json::to_string(&stored).unwrap(), expected);
    }

    #[test]
    fn an_id_that_only_looks_like_an_access_key_gives_none() {
        let invoice = Invoice { access_key: None, ..example() };
        assert_eq!(decode_invoice(&stored(&invoice, 1)).unwrap().invoice, invoice);
        let invoice = Invoice { id: "another".into(), ..example() };
        assert_eq!(decode_invoice(&stored(&invoice, 1)).unwrap().invoice, invoice);
    }

    #[test]
    fn a_damaged_item_is_an_error() {
        for (name, value, message) in [
            ("at", None, r#"attribute "at" of an invoice's item: expected a text, found nothing"#),
            ("st", Some("gone"), r#"attribute "st" of an invoice's item: expected a status, found another text"#),
            ("rec", Some("1"), r#"attribute "rec" of an invoice's item: expected a whole number, found a text"#),
            (
                "PK",
                Some("J#1"),
                r#"attribute "PK" of an invoice's item: expected the key of an invoice, found another text"#,
            ),
        ] {
            let mut item = stored(&example(), 1);
            item.remove(name);
            if let Some(value) = value {
                item.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
            }
            assert_eq!(decode_invoice(&item).unwrap_err().to_string(), message);
        }
        let mut item = stored(&Invoice { access_key: None, ..example() }, 1);
        item.insert("ak".to_owned(), AttributeValue::Bool(true));
        let message = r#"attribute "ak" of an invoice's item: expected false, found a boolean"#;
        assert_eq!(decode_invoice(&item).unwrap_err().to_string(), message);
    }

    proptest! {
        #[test]
        fn a_stored_invoice_is_read_back(mut invoice in any_invoice(), record in any::<u64>()) {
            let StoredInvoice { invoice: found, source } = decode_invoice(&stored(&invoice, record)).unwrap();
            invoice.extra.sort();
            prop_assert_eq!(found, invoice);
            prop_assert_eq!(source, SourceRef { ingestion: "9f2c".into(), record });
        }
    }
}
