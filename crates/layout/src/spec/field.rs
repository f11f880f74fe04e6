//! A field of a layout: the column that it comes from (`series = "SÉRIE"`), columns of which the first that has a value
//! counts (`series = ["SÉRIE", "SERIE NF"]`), or a table with more to say (`model = { from = "MODELO", take = "code" }`).

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use notaflux_invoice::{DateConvention, DecimalConvention, TaxIdColumn};

/// Text, or part of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextSpec {
    pub(crate) from: Source,
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    #[serde(default)]
    pub(crate) take: Take,
    /// Digits that a text of digits alone is filled up to, with zeros at the left.
    #[serde(default)]
    pub(crate) pad: usize,
}

/// Which part of a text is the value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Take {
    /// All of it.
    #[default]
    Whole,
    /// The letters and digits before ` - `: `55` of `55 - NF-E`. A text without them is taken whole.
    Code,
    /// Digits without the `.0` that a spreadsheet or pandas gave them. Any other text is taken whole.
    Integer,
}

/// An access key, or the key of an NFS-e.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeySpec {
    pub(crate) from: Source,
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    #[serde(default)]
    pub(crate) take: TakeKey,
}

/// What of a text is the key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TakeKey {
    /// All of it.
    #[default]
    Whole,
    /// Its letters and digits, without a document's letters before them: of `NFe3519 1108…` and `'35191108…` too.
    Bare,
}

/// A CNPJ or CPF.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaxIdSpec {
    pub(crate) from: Source,
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    #[serde(default)]
    pub(crate) take: Take,
    #[serde(default)]
    pub(crate) holds: TaxIdColumn,
}

/// A date; its convention is that of the layout if it does not say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DateSpec {
    pub(crate) from: Source,
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    #[serde(default)]
    pub(crate) convention: Option<DateConvention>,
}

/// An amount; its convention is that of the layout if it does not say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AmountSpec {
    pub(crate) from: Source,
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    #[serde(default)]
    pub(crate) convention: Option<DecimalConvention>,
}

/// The short form of a field: where it comes from, and nothing more.
macro_rules! from_source {
    ($($spec:ty),+) => {$(
        impl From<Source> for $spec {
            fn from(from: Source) -> Self {
                Self { from, ..Self::default() }
            }
        }
    )+};
}

from_source!(TextSpec, KeySpec, TaxIdSpec, DateSpec, AmountSpec);

/// Source columns, of which the first that has a value counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source(pub(crate) Vec<String>);

impl Source {
    /// `A`, or `A or B` where one of several does.
    pub(crate) fn alternatives(&self) -> String {
        self.0.join(" or ")
    }
}

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

    fn visit_str<E: Error>(self, column: &str) -> Result<Source, E> {
        named(column.to_owned()).map(|column| Source(vec![column]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut columns: A) -> Result<Source, A::Error> {
        let mut source = Vec::new();
        while let Some(column) = columns.next_element()? {
            source.push(named(column)?);
        }
        if source.is_empty() {
            Err(A::Error::custom("expected at least one column name, found an empty list"))
        } else {
            Ok(Source(source))
        }
    }
}

fn named<E: Error>(column: String) -> Result<String, E> {
    if column.trim().is_empty() { Err(E::custom("expected a column name, found a blank text")) } else { Ok(column) }
}

/// A field in its short or its long form.
#[derive(Debug)]
pub(crate) struct Field<T>(pub(crate) T);

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

    fn visit_str<E: Error>(self, column: &str) -> Result<T, E> {
        SourceVisitor.visit_str(column).map(T::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, columns: A) -> Result<T, A::Error> {
        SourceVisitor.visit_seq(columns).map(T::from)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(table))
    }
}

/// Fields under names that the layout gives them, in the order of the file.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de> + From<Source>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + From<Source>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of names, each with its column")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Named<T>, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = table.next_key::<String>()? {
            let field = table.next_value::<Spanned<Field<T>>>()?;
            // The reader hands them over by name; the file's order is where they stand.
            fields.push((field.span().start, name, field.into_inner().0));
        }
        fields.sort_by_key(|(at, ..)| *at);
        Ok(Named(fields.into_iter().map(|(_, name, field)| (name, field)).collect()))
    }
}

/// One, or a list of several.
#[derive(Debug, Clone)]
pub(crate) struct OneOrMore<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMoreVisitor(PhantomData))
    }
}

struct OneOrMoreVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMoreVisitor<T> {
    type Value = OneOrMore<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: Error>(self, one: &str) -> Result<OneOrMore<T>, E> {
        T::deserialize(one.into_deserializer()).map(|one| OneOrMore(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore<T>, A::Error> {
        let mut several = Vec::new();
        while let Some(one) = list.next_element()? {
            several.push(one);
        }
        if several.is_empty() {
            Err(A::Error::custom("expected at least one text, found an empty list"))
        } else {
            Ok(OneOrMore(several))
        }
    }
}
