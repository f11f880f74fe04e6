//! Typed access to the attributes of an item.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::item::SourceRef;
use crate::keys::{self, INVOICE_PREFIX};
use notaflux_invoice::{Decimal, Timestamp, Warning};

/// Attributes by name.
pub(super) type Attributes = HashMap<String, AttributeValue>;

/// A damaged item. The error holds no values: they may be personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("attribute {attribute:?} of {of} item: expected {expected}, found {found}")]
pub struct DecodeError {
    /// The expected owner of the item, such as `an invoice's`.
    pub of: &'static str,
    /// Name of the attribute.
    pub attribute: &'static str,
    /// The expected value.
    pub expected: &'static str,
    /// The kind of value that was found.
    pub found: &'static str,
}

/// The attributes of an item, or of a map in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'i> {
    /// The owner of the item: see [`DecodeError::of`].
    pub(super) of: &'static str,
    pub(super) attributes: &'i Attributes,
}

/// An extra column: its name and value.
type Column = (Cow<'static, str>, Cow<'static, str>);

impl<'i> Fields<'i> {
    /// Returns the error for a text with a wrong content.
    pub(super) const fn wrong(self, attribute: &'static str, expected: &'static str) -> DecodeError {
        DecodeError { of: self.of, attribute, expected, found: "another text" }
    }

    /// Returns the error for an absent attribute, or one of another type.
    pub(super) fn missing(self, attribute: &'static str, expected: &'static str) -> DecodeError {
        let found = self.attributes.get(attribute).map_or("nothing", type_name);
        DecodeError { of: self.of, attribute, expected, found }
    }

    pub(super) fn text(self, name: &'static str) -> Result<Option<&'i str>, DecodeError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(self.missing(name, "a text")),
        }
    }

    pub(super) fn owned(self, name: &'static str) -> Result<Option<Cow<'static, str>>, DecodeError> {
        Ok(self.text(name)?.map(owned))
    }

    pub(super) fn required(self, name: &'static str) -> Result<&'i str, DecodeError> {
        self.text(name)?.ok_or_else(|| self.missing(name, "a text"))
    }

    pub(super) fn map(self, name: &'static str) -> Result<Option<Fields<'i>>, DecodeError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(AttributeValue::M(attributes)) => Ok(Some(Fields { of: self.of, attributes })),
            Some(_) => Err(self.missing(name, "a map")),
        }
    }

    /// Reads a whole number that may be absent.
    pub(super) fn number<N: std::str::FromStr>(self, name: &'static str) -> Result<Option<N>, DecodeError> {
        let Some(value) = self.attributes.get(name) else { return Ok(None) };
        let number = value.as_n().ok().and_then(|digits| digits.parse().ok());
        number.map(Some).ok_or_else(|| self.missing(name, "a whole number"))
    }

    pub(super) fn timestamp(self, name: &'static str) -> Result<Option<Timestamp>, DecodeError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let read = Timestamp::from_plain(text);
        read.map(Some).ok_or(self.wrong(name, "a date-time like 2019-11-12T00:00:00"))
    }

    pub(super) fn required_timestamp(self, name: &'static str) -> Result<Timestamp, DecodeError> {
        self.timestamp(name)?.ok_or_else(|| self.missing(name, "a text"))
    }

    pub(super) fn decimal(self, name: &'static str) -> Result<Option<Decimal>, DecodeError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        Decimal::from_plain(text).map(Some).ok_or(self.wrong(name, "a decimal such as 2040.00"))
    }

    /// Reads the id of the invoice that the item is or belongs to.
    pub(super) fn id(self) -> Result<&'i str, DecodeError> {
        let pk = self.required(keys::PK)?;
        pk.strip_prefix(INVOICE_PREFIX).ok_or(self.wrong(keys::PK, "the key of an invoice"))
    }

    pub(super) fn extra(self) -> Result<Vec<Column>, DecodeError> {
        let Some(map) = self.map("x")? else { return Ok(Vec::new()) };
        let each = map.attributes.iter().map(|(name, value)| match value {
            AttributeValue::S(value) => Ok((owned(name), owned(value))),
            other => Err(DecodeError { of: self.of, attribute: "x", expected: "texts", found: type_name(other) }),
        });
        let mut columns: Vec<_> = each.collect::<Result<_, _>>()?;
        columns.sort_unstable();
        Ok(columns)
    }

    pub(super) fn warnings(self) -> Result<Vec<Warning>, DecodeError> {
        let list = match self.attributes.get("w") {
            None => return Ok(Vec::new()),
            Some(AttributeValue::L(list)) => list,
            Some(_) => return Err(self.missing("w", "a list")),
        };
        let word = |value: &AttributeValue| value.as_s().ok().and_then(|word| Warning::from_word(word));
        list.iter().map(|value| word(value).ok_or(self.wrong("w", "warnings"))).collect()
    }

    pub(super) fn source(self) -> Result<SourceRef<'static>, DecodeError> {
        let record = self.number("rec")?.ok_or_else(|| self.missing("rec", "a whole number"))?;
        Ok(SourceRef { ingestion: owned(self.required("src")?), record })
    }
}

pub(super) fn owned(text: &str) -> Cow<'static, str> {
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
