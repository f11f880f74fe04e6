//! What a layout file may say: the shape of its TOML. Unknown words are errors.
//!
//! A field is written as the column it comes from (`series = "SÉRIE"`), as columns of which the first that has a value
//! counts (`series = ["SÉRIE", "SERIE NF"]`), or as a table with more to say
//! (`model = { from = "MODELO", take = "code" }`).

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Conventions;
use crate::invoice::{DateConvention, DecimalConvention, Status, TaxIdColumn};

/// A whole layout file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayoutSpec {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) requires: Vec<String>,
    #[serde(default)]
    pub(super) absent: Vec<String>,
    #[serde(default = "real")]
    pub(super) currency: String,
    pub(super) conventions: Conventions,
    #[serde(default)]
    pub(super) extra: Vec<ExtraSpec>,
    pub(super) invoice: InvoiceSpec,
}

/// ISO 4217 code of what invoices of Brazil are in.
fn real() -> String {
    "BRL".to_owned()
}

/// Where the fields of an invoice come from. Names are CONTRACT's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InvoiceSpec {
    pub(super) access_key: Field<PlainSpec>,
    pub(super) model: Option<Field<TextSpec>>,
    pub(super) series: Option<Field<TextSpec>>,
    pub(super) number: Option<Field<TextSpec>>,
    pub(super) operation: Option<Field<TextSpec>>,
    pub(super) issued_at: Field<DateSpec>,
    #[serde(default)]
    pub(super) issuer: PartySpec,
    #[serde(default)]
    pub(super) recipient: PartySpec,
    pub(super) status: Option<StatusSpec>,
    pub(super) status_at: Option<Field<DateSpec>>,
    pub(super) total: Option<Field<AmountSpec>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartySpec {
    pub(super) tax_id: Option<Field<TaxIdSpec>>,
    pub(super) name: Option<Field<TextSpec>>,
    pub(super) state_registration: Option<Field<TextSpec>>,
    pub(super) uf: Option<Field<TextSpec>>,
    pub(super) city: Option<Field<TextSpec>>,
}

/// How the text of one column tells the status.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusSpec {
    pub(super) from: Source,
    #[serde(default)]
    pub(super) absent: Vec<String>,
    /// The first whose words are part of the text counts.
    pub(super) rules: Vec<StatusRule>,
    /// Where no rule fits.
    pub(super) otherwise: Status,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusRule {
    pub(super) contains: String,
    pub(super) status: Status,
}

/// A column that is no field of ours, kept under a name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtraSpec {
    pub(super) name: String,
    pub(super) from: Source,
    #[serde(default)]
    pub(super) absent: Vec<String>,
}

/// Text, or part of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TextSpec {
    pub(super) from: Source,
    #[serde(default)]
    pub(super) absent: Vec<String>,
    #[serde(default)]
    pub(super) take: Take,
}

/// Which part of a text is the value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Take {
    /// All of it.
    #[default]
    Whole,
    /// The letters and digits before ` - `: `55` of `55 - NF-E`. A text without them is taken whole.
    Code,
}

/// A field with nothing more to say than where it comes from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlainSpec {
    pub(super) from: Source,
    #[serde(default)]
    pub(super) absent: Vec<String>,
}

/// A CNPJ or CPF.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaxIdSpec {
    pub(super) from: Source,
    #[serde(default)]
    pub(super) absent: Vec<String>,
    #[serde(default)]
    pub(super) holds: TaxIdColumn,
}

/// A date; its convention is that of the layout if it does not say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DateSpec {
    pub(super) from: Source,
    #[serde(default)]
    pub(super) absent: Vec<String>,
    #[serde(default)]
    pub(super) convention: Option<DateConvention>,
}

/// An amount; its convention is that of the layout if it does not say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AmountSpec {
    pub(super) from: Source,
    #[serde(default)]
    pub(super) absent: Vec<String>,
    #[serde(default)]
    pub(super) convention: Option<DecimalConvention>,
}

impl From<Source> for TextSpec {
    fn from(from: Source) -> Self {
        Self { from, absent: Vec::new(), take: Take::Whole }
    }
}

impl From<Source> for PlainSpec {
    fn from(from: Source) -> Self {
        Self { from, absent: Vec::new() }
    }
}

impl From<Source> for TaxIdSpec {
    fn from(from: Source) -> Self {
        Self { from, absent: Vec::new(), holds: TaxIdColumn::default() }
    }
}

impl From<Source> for DateSpec {
    fn from(from: Source) -> Self {
        Self { from, absent: Vec::new(), convention: None }
    }
}

impl From<Source> for AmountSpec {
    fn from(from: Source) -> Self {
        Self { from, absent: Vec::new(), convention: None }
    }
}

/// Source columns, of which the first that has a value counts.
#[derive(Debug)]
pub(super) struct Source(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = Source;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a column name or a list of column names")
    }

    fn visit_str<E>(self, column: &str) -> Result<Source, E> {
        Ok(Source(vec![column.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut columns: A) -> Result<Source, A::Error> {
        let mut source = Vec::new();
        while let Some(column) = columns.next_element()? {
            source.push(column);
        }
        Ok(Source(source))
    }
}

/// A field in its short or its long form.
#[derive(Debug)]
pub(super) struct Field<T>(pub(super) T);

impl<'de, T: Deserialize<'de> + From<Source>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor(PhantomData)).map(Field)
    }
}

struct FieldVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + From<Source>> Visitor<'de> for FieldVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a column name, a list of column names, or a table with `from`")
    }

    fn visit_str<E: serde::de::Error>(self, column: &str) -> Result<T, E> {
        SourceVisitor.visit_str(column).map(T::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, columns: A) -> Result<T, A::Error> {
        SourceVisitor.visit_seq(columns).map(T::from)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(table))
    }
}
