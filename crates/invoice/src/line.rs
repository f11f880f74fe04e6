//! A line of an invoice: one product or service.

use std::borrow::Cow;

use serde::Serialize;

use crate::amount::Decimal;
use crate::extra::as_map;
use crate::warning::Warning;

/// Largest number of a line: the number has five digits in the key of the line's item.
pub const LINE_NUMBER_LIMIT: u32 = 99_999;

/// A line of an invoice: borrowed from the row that is being ingested (`'a`), or owned (`'static`) if it was read from
/// the table.
///
/// Serialises to the JSON of the API. An absent value has no member; null never occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line<'a> {
    /// Id of its invoice.
    #[serde(skip)]
    pub invoice: Cow<'a, str>,
    /// Key of the line among the lines of its invoice.
    #[serde(flatten)]
    pub key: LineKey<'a>,
    /// The seller's code of the product or service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Cow<'a, str>>,
    /// Description of the product or service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Cow<'a, str>>,
    /// NCM, the customs code of the product: eight digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ncm: Option<Cow<'a, str>>,
    /// CFOP, the fiscal code of the operation: four digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cfop: Option<Cow<'a, str>>,
    /// Quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Decimal>,
    /// Unit of the quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Cow<'a, str>>,
    /// Price of one unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Decimal>,
    /// Total amount of the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Decimal>,
    /// Further columns that the layout keeps, in the order of the layout.
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Oddities that do not reject the line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// Key of a line among the lines of its invoice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LineKey<'a> {
    /// The number of the line, 1 to [`LINE_NUMBER_LIMIT`].
    Number(u32),
    /// For a source without line numbers: the values of the columns that the layout declares as the key of a line.
    Natural(Cow<'a, str>),
}

impl Serialize for LineKey<'_> {
    /// Serialises to `{"number": "1"}`, or to `{}` without a number.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;

        let mut map = serializer.serialize_map(None)?;
        if let Self::Number(number) = self {
            map.serialize_entry("number", &number.to_string())?;
        }
        map.end()
    }
}
