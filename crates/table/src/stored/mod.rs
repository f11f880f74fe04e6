//! Items as what they hold: the way back of [`super::item`].
//!
//! | file | what it reads |
//! | --- | --- |
//! | [`invoice`] | an invoice |
//! | [`mod@line`] | a line |
//! | [`event`] | an event |

pub mod event;
pub mod invoice;
pub mod line;

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::SourceRef;
use super::keys::{self, INVOICE_PREFIX};
use notaflux_invoice::{Decimal, Timestamp, Warning};

pub use event::{StoredEvent, decode_event};
pub(super) use invoice::{StatusOfItem, status_of_item};
pub use invoice::{StoredInvoice, decode_invoice};
pub use line::{StoredLine, decode_line};

/// Attributes by name.
type Attributes = HashMap<String, AttributeValue>;

/// An item that is none of ours. Holds no values: they may be personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("attribute {attribute:?} of {of} item: expected {expected}, found {found}")]
pub struct DecodeError {
    /// Whose item it should be, such as `an invoice's`.
    pub of: &'static str,
    /// Name of the attribute.
    pub attribute: &'static str,
    /// What should be there.
    pub expected: &'static str,
    /// What kind of value is there.
    pub found: &'static str,
}

/// The attributes of an item, or of a map in it.
#[derive(Debug, Clone, Copy)]
struct Fields<'i> {
    /// Whose item it should be: see [`DecodeError::of`].
    of: &'static str,
    attributes: &'i Attributes,
}

/// A further column: its name and its value.
type Column = (Cow<'static, str>, Cow<'static, str>);

impl<'i> Fields<'i> {
    /// A text is there, and it is not what it should be.
    const fn wrong(self, attribute: &'static str, expected: &'static str) -> DecodeError {
        DecodeError { of: self.of, attribute, expected, found: "another text" }
    }

    /// Nothing is there, or something of another type.
    fn missing(self, attribute: &'static str, expected: &'static str) -> DecodeError {
        let found = self.attributes.get(attribute).map_or("nothing", type_name);
        DecodeError { of: self.of, attribute, expected, found }
    }

    fn text(self, name: &'static str) -> Result<Option<&'i str>, DecodeError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(self.missing(name, "a text")),
        }
    }

    fn owned(self, name: &'static str) -> Result<Option<Cow<'static, str>>, DecodeError> {
        Ok(self.text(name)?.map(owned))
    }

    fn required(self, name: &'static str) -> Result<&'i str, DecodeError> {
        self.text(name)?.ok_or_else(|| self.missing(name, "a text"))
    }

    fn map(self, name: &'static str) -> Result<Option<Fields<'i>>, DecodeError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(AttributeValue::M(attributes)) => Ok(Some(Fields { of: self.of, attributes })),
            Some(_) => Err(self.missing(name, "a map")),
        }
    }

    /// A whole number that may be absent.
    fn number<N: std::str::FromStr>(self, name: &'static str) -> Result<Option<N>, DecodeError> {
        let Some(value) = self.attributes.get(name) else { return Ok(None) };
        let number = value.as_n().ok().and_then(|digits| digits.parse().ok());
        number.map(Some).ok_or_else(|| self.missing(name, "a whole number"))
    }

    fn timestamp(self, name: &'static str) -> Result<Option<Timestamp>, DecodeError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let read = Timestamp::from_plain(text);
        read.map(Some).ok_or(self.wrong(name, "a date-time like 2019-11-12T00:00:00"))
    }

    fn required_timestamp(self, name: &'static str) -> Result<Timestamp, DecodeError> {
        self.timestamp(name)?.ok_or_else(|| self.missing(name, "a text"))
    }

    fn decimal(self, name: &'static str) -> Result<Option<Decimal>, DecodeError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        Decimal::from_plain(text).map(Some).ok_or(self.wrong(name, "a decimal like 2040.00"))
    }

    /// Id of the invoice that it is or belongs to.
    fn id(self) -> Result<&'i str, DecodeError> {
        let pk = self.required(keys::PK)?;
        pk.strip_prefix(INVOICE_PREFIX).ok_or(self.wrong(keys::PK, "the key of an invoice"))
    }

    fn extra(self) -> Result<Vec<Column>, DecodeError> {
        let Some(map) = self.map("x")? else { return Ok(Vec::new()) };
        let each = map.attributes.iter().map(|(name, value)| match value {
            AttributeValue::S(value) => Ok((owned(name), owned(value))),
            other => Err(DecodeError { of: self.of, attribute: "x", expected: "texts", found: type_name(other) }),
        });
        let mut columns: Vec<_> = each.collect::<Result<_, _>>()?;
        columns.sort_unstable();
        Ok(columns)
    }

    fn warnings(self) -> Result<Vec<Warning>, DecodeError> {
        let list = match self.attributes.get("w") {
            None => return Ok(Vec::new()),
            Some(AttributeValue::L(list)) => list,
            Some(_) => return Err(self.missing("w", "a list")),
        };
        let word = |value: &AttributeValue| value.as_s().ok().and_then(|word| Warning::from_word(word));
        list.iter().map(|value| word(value).ok_or(self.wrong("w", "warnings"))).collect()
    }

    fn source(self) -> Result<SourceRef<'static>, DecodeError> {
        let record = self.number("rec")?.ok_or_else(|| self.missing("rec", "a whole number"))?;
        Ok(SourceRef { ingestion: owned(self.required("src")?), record })
    }
}

fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
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
