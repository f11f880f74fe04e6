//! An item as the invoice that it holds: the way back of [`super::item`].

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use super::item::{COMMON_CURRENCY, SourceRef};
use super::keys::{self, INVOICE_PREFIX};
use crate::invoice::{AccessKey, Decimal, Invoice, Party, Status, TaxId, TaxIdKind, Timestamp, Warning};

/// Attributes by name.
type Attributes = HashMap<String, AttributeValue>;

/// An invoice as the table holds it. Serialises to what the API answers with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredInvoice {
    /// The invoice. Its further columns are in the order of their names: an item keeps no order.
    #[serde(flatten)]
    pub invoice: Invoice<'static>,
    /// Where it came from.
    pub source: SourceRef<'static>,
}

/// An item that is no invoice of ours. Holds no values: they may be personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("attribute {attribute:?} of an invoice's item: expected {expected}, found {found}")]
pub struct DecodeError {
    /// Name of the attribute.
    pub attribute: &'static str,
    /// What should be there.
    pub expected: &'static str,
    /// What kind of value is there.
    pub found: &'static str,
}

/// Reads the invoice out of its item. Attributes of no meaning here are passed over.
///
/// # Errors
/// The first attribute that is missing or is not what the writer writes.
pub fn decode_invoice(item: &Attributes) -> Result<StoredInvoice, DecodeError> {
    let pk = required(item, keys::PK)?;
    let id = pk.strip_prefix(INVOICE_PREFIX).ok_or(wrong(keys::PK, "the key of an invoice"))?;
    let invoice = Invoice {
        id: owned(id),
        access_key: access_key(item, id)?,
        model: text(item, "model")?.map(owned),
        series: text(item, "series")?.map(owned),
        number: text(item, "number")?.map(owned),
        operation: text(item, "op")?.map(owned),
        issued_at: timestamp(required(item, "at")?, "at")?,
        issuer: party(item, "iss")?.unwrap_or_default(),
        recipient: party(item, "rcp")?,
        status: Status::from_word(required(item, "st")?).ok_or(wrong("st", "a status"))?,
        status_text: text(item, "st_text")?.map(owned),
        status_at: text(item, "st_at")?.map(|at| timestamp(at, "st_at")).transpose()?,
        total: text(item, "total")?.map(decimal).transpose()?,
        currency: text(item, "cur")?.map_or(Cow::Borrowed(COMMON_CURRENCY), owned),
        extra: extra(item)?,
        warnings: warnings(item)?,
    };
    let record = item.get("rec").and_then(|value| value.as_n().ok()?.parse().ok());
    let record = record.ok_or_else(|| missing(item, "rec", "a record number"))?;
    let source = SourceRef { ingestion: owned(required(item, "src")?), record };
    Ok(StoredInvoice { invoice, source })
}

fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

const fn wrong(attribute: &'static str, expected: &'static str) -> DecodeError {
    DecodeError { attribute, expected, found: "another text" }
}

fn missing(item: &Attributes, attribute: &'static str, expected: &'static str) -> DecodeError {
    DecodeError { attribute, expected, found: item.get(attribute).map_or("nothing", type_name) }
}

fn type_name(value: &AttributeValue) -> &'static str {
    match value {
        AttributeValue::S(_) => "a text",
        AttributeValue::N(_) => "a number",
        AttributeValue::M(_) => "a map",
        AttributeValue::L(_) => "a list",
        AttributeValue::Bool(_) => "a boolean",
        AttributeValue::Null(_) => "a null",
        _ => "another type",
    }
}

fn text<'i>(item: &'i Attributes, name: &'static str) -> Result<Option<&'i str>, DecodeError> {
    match item.get(name) {
        None => Ok(None),
        Some(AttributeValue::S(text)) => Ok(Some(text)),
        Some(_) => Err(missing(item, name, "a text")),
    }
}

fn required<'i>(item: &'i Attributes, name: &'static str) -> Result<&'i str, DecodeError> {
    text(item, name)?.ok_or_else(|| missing(item, name, "a text"))
}

fn map<'i>(item: &'i Attributes, name: &'static str) -> Result<Option<&'i Attributes>, DecodeError> {
    match item.get(name) {
        None => Ok(None),
        Some(AttributeValue::M(map)) => Ok(Some(map)),
        Some(_) => Err(missing(item, name, "a map")),
    }
}

fn timestamp(text: &str, name: &'static str) -> Result<Timestamp, DecodeError> {
    Timestamp::from_plain(text).ok_or(wrong(name, "a date-time like 2019-11-12T00:00:00"))
}

fn decimal(text: &str) -> Result<Decimal, DecodeError> {
    Decimal::from_plain(text).ok_or(wrong("total", "a decimal like 2040.00"))
}

fn access_key(item: &Attributes, id: &str) -> Result<Option<AccessKey>, DecodeError> {
    if let Some(key) = text(item, "key")? {
        return AccessKey::parse(key).map(Some).map_err(|_| wrong("key", "an access key"));
    }
    let only_looks_like_one = matches!(item.get("ak"), Some(AttributeValue::Bool(false)));
    Ok(AccessKey::parse(id).ok().filter(|_| !only_looks_like_one))
}

fn party(item: &Attributes, name: &'static str) -> Result<Option<Party<'static>>, DecodeError> {
    let Some(map) = map(item, name)? else { return Ok(None) };
    Ok(Some(Party {
        tax_id: text(map, "doc")?.map(|doc| tax_id(doc, map)).transpose()?,
        name: text(map, "name")?.map(owned),
        state_registration: text(map, "ie")?.map(owned),
        uf: text(map, "uf")?.map(owned),
        city: text(map, "city")?.map(owned),
    }))
}

fn tax_id(doc: &str, party: &Attributes) -> Result<TaxId, DecodeError> {
    let kinds = [TaxIdKind::Cnpj, TaxIdKind::Cpf, TaxIdKind::Masked, TaxIdKind::Other];
    let kind = match text(party, "kind")? {
        None => TaxId::kind_of(doc),
        Some(word) => kinds.into_iter().find(|kind| kind.as_str() == word).ok_or(wrong("kind", "a kind of tax id"))?,
    };
    let text = doc.try_into().map_err(|_| wrong("doc", "a tax id"))?;
    Ok(TaxId { text, kind })
}

/// A further column: its name and its value.
type Column = (Cow<'static, str>, Cow<'static, str>);

fn extra(item: &Attributes) -> Result<Vec<Column>, DecodeError> {
    let Some(map) = map(item, "x")? else { return Ok(Vec::new()) };
    let each = map.iter().map(|(name, value)| match value {
        AttributeValue::S(value) => Ok((owned(name), owned(value))),
        other => Err(DecodeError { attribute: "x", expected: "texts", found: type_name(other) }),
    });
    let mut columns: Vec<_> = each.collect::<Result<_, _>>()?;
    columns.sort_unstable();
    Ok(columns)
}

fn warnings(item: &Attributes) -> Result<Vec<Warning>, DecodeError> {
    let list = match item.get("w") {
        None => return Ok(Vec::new()),
        Some(AttributeValue::L(list)) => list,
        Some(_) => return Err(missing(item, "w", "a list")),
    };
    let word = |value: &AttributeValue| value.as_s().ok().and_then(|word| Warning::from_word(word));
    list.iter().map(|value| word(value).ok_or(wrong("w", "warnings"))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::table::Schema;
    use crate::table::item::encode_invoice;
    use crate::table::testing::{any_invoice, attributes, example};

    fn stored(invoice: &Invoice<'_>, record: u64) -> Attributes {
        let source = SourceRef { ingestion: "9f2c".into(), record };
        let mut json = Vec::new();
        encode_invoice(invoice, &source, &Schema::default(), &mut json);
        attributes(&json)
    }

    #[test]
    fn a_stored_invoice_serialises_to_the_contract() {
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
    fn an_id_that_only_looks_like_an_access_key_is_none() {
        let invoice = Invoice { access_key: None, ..example() };
        assert_eq!(decode_invoice(&stored(&invoice, 1)).unwrap().invoice, invoice);
        let invoice = Invoice { id: "another".into(), ..example() };
        assert_eq!(decode_invoice(&stored(&invoice, 1)).unwrap().invoice, invoice);
    }

    #[test]
    fn an_item_of_another_shape_is_told() {
        for (name, value, message) in [
            ("at", None, r#"attribute "at" of an invoice's item: expected a text, found nothing"#),
            ("st", Some("gone"), r#"attribute "st" of an invoice's item: expected a status, found another text"#),
            ("rec", Some("1"), r#"attribute "rec" of an invoice's item: expected a record number, found a text"#),
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
    }

    proptest! {
        #[test]
        fn what_was_stored_comes_back(mut invoice in any_invoice(), record in any::<u64>()) {
            let StoredInvoice { invoice: found, source } = decode_invoice(&stored(&invoice, record)).unwrap();
            invoice.extra.sort();
            prop_assert_eq!(found, invoice);
            prop_assert_eq!(source, SourceRef { ingestion: "9f2c".into(), record });
        }
    }
}
