//! A line of an invoice: one product or service.

use std::borrow::Cow;

use serde::Serialize;

use super::{Decimal, Warning, as_map};

/// Highest number of a line: its key has five digits.
pub const LINE_NUMBER_LIMIT: u32 = 99_999;

/// One line of an invoice, borrowed from a row that is being ingested (`'a`) or owned (`'static`) when read from the table.
///
/// Serialises to the JSON that the API answers with; absent values are absent, never null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line<'a> {
    /// Id of its invoice.
    #[serde(skip)]
    pub invoice: Cow<'a, str>,
    /// What tells it from the other lines of its invoice.
    #[serde(flatten)]
    pub key: LineKey<'a>,
    /// The seller's code of the product or service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Cow<'a, str>>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Cow<'a, str>>,
    /// NCM, the customs code of the product: eight digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ncm: Option<Cow<'a, str>>,
    /// CFOP, the fiscal code of the operation: four digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cfop: Option<Cow<'a, str>>,
    /// How many or how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Decimal>,
    /// Of what unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Cow<'a, str>>,
    /// Price of a unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Decimal>,
    /// Total amount of the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Decimal>,
    /// Further columns that the layout keeps, in its order.
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// What was odd about it and is stored all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// What tells a line from the others of its invoice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LineKey<'a> {
    /// Its number, 1 to [`LINE_NUMBER_LIMIT`].
    Number(u32),
    /// Where a source numbers no lines: the values of the columns that its layout calls the line's key.
    Natural(Cow<'a, str>),
}

impl Serialize for LineKey<'_> {
    /// As `{"number": "1"}`, or as nothing where there is no number.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;

        let mut map = serializer.serialize_map(None)?;
        if let Self::Number(number) = self {
            map.serialize_entry("number", &number.to_string())?;
        }
        map.end()
    }
}
