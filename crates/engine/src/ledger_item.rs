//! Reads the attributes of an item of the ledger. An attribute that is missing or has another type is an error, never a
//! default value: a revision read as 0 would let a worker write its claim again and again, and never succeed.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;

/// An item of the ledger that this program cannot have written.
#[derive(Debug, thiserror::Error)]
#[error(
    "ledger item PK={pk:?} SK={sk:?}: {attribute}: expected {expected}, found {found}: something else has changed the \
     item; delete it and ingest the object again"
)]
pub struct DamagedItem {
    pk: String,
    sk: String,
    attribute: &'static str,
    expected: &'static str,
    found: String,
    #[source]
    source: Option<serde_json::Error>,
}

impl DamagedItem {
    /// The error for an attribute with a wrong value.
    pub(crate) fn new(pk: String, sk: &str, attribute: &'static str, expected: &'static str, found: &str) -> Self {
        Self { pk, sk: sk.to_owned(), attribute, expected, found: found.to_owned(), source: None }
    }

    /// The error for an item that must exist and does not.
    pub(crate) fn missing(pk: String, sk: &str) -> Self {
        Self::new(pk, sk, "all attributes", "an item", "none")
    }
}

/// One item with its key, for error messages.
pub(crate) struct LedgerItem {
    pk: String,
    sk: String,
    attributes: HashMap<String, AttributeValue>,
}

impl LedgerItem {
    /// Takes an item that was read from the table.
    ///
    /// # Errors
    /// An item without a text key.
    pub(crate) fn new(attributes: HashMap<String, AttributeValue>) -> Result<Self, DamagedItem> {
        let item = Self { pk: String::new(), sk: String::new(), attributes };
        let (pk, sk) = (item.text("PK")?.to_owned(), item.text("SK")?.to_owned());
        Ok(Self { pk, sk, ..item })
    }

    /// The sort key.
    pub(crate) fn sk(&self) -> &str {
        &self.sk
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, attribute: &'static str) -> Result<&str, DamagedItem> {
        const EXPECTED: &str = "a text";
        match self.attributes.get(attribute) {
            Some(AttributeValue::S(text)) if !text.is_empty() => Ok(text),
            found => Err(self.damaged(attribute, EXPECTED, describe(found))),
        }
    }

    /// A text that may be absent, but not empty or of another type.
    pub(crate) fn optional_text(&self, attribute: &'static str) -> Result<Option<&str>, DamagedItem> {
        if self.attributes.contains_key(attribute) { self.text(attribute).map(Some) } else { Ok(None) }
    }

    /// A time in RFC 3339 that may be absent.
    pub(crate) fn optional_time(&self, attribute: &'static str) -> Result<Option<jiff::Timestamp>, DamagedItem> {
        let Some(text) = self.optional_text(attribute)? else { return Ok(None) };
        let time = text.parse();
        time.map(Some).map_err(|_| self.damaged(attribute, "a time in RFC 3339", format!("{text:?}")))
    }

    /// A whole number from 1. Revisions and attempts both count from 1.
    pub(crate) fn count<N: TryFrom<u64>>(&self, attribute: &'static str) -> Result<N, DamagedItem> {
        let found = self.attributes.get(attribute);
        let number = match found {
            Some(AttributeValue::N(digits)) => digits.parse().ok().filter(|number| *number > 0),
            _ => None,
        };
        let number = number.and_then(|number| N::try_from(number).ok());
        number.ok_or_else(|| self.damaged(attribute, "a whole number from 1", describe(found)))
    }

    /// A value that is stored as JSON text.
    pub(crate) fn json<T: DeserializeOwned>(&self, attribute: &'static str) -> Result<T, DamagedItem> {
        let text = self.text(attribute)?;
        serde_json::from_str(text).map_err(|error| DamagedItem {
            source: Some(error),
            ..self.damaged(attribute, "JSON as this version writes it", shortened(text))
        })
    }

    /// The error for an attribute with a wrong value.
    pub(crate) fn damaged(&self, attribute: &'static str, expected: &'static str, found: String) -> DamagedItem {
        DamagedItem { pk: self.pk.clone(), sk: self.sk.clone(), attribute, expected, found, source: None }
    }
}

fn describe(found: Option<&AttributeValue>) -> String {
    match found {
        None => "nothing".to_owned(),
        Some(AttributeValue::S(text)) => format!("the text {}", shortened(text)),
        Some(AttributeValue::N(digits)) => format!("the number {digits}"),
        Some(_) => "a value of another type".to_owned(),
    }
}

/// The first 80 characters in quotes: enough to recognize a value in a message.
fn shortened(text: &str) -> String {
    format!("{:?}", text.chars().take(80).collect::<String>())
}
