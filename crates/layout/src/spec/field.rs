//! A field of a layout. It is a column (`series = "SÉRIE"`), several columns of which the first with a value counts
//! (`series = ["SÉRIE", "SERIE NF"]`), or a table with options (`model = { from = "MODELO", take = "code" }`).

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use notaflux_invoice::{DateConvention, DecimalConvention, TaxIdColumn};

/// A text, or a part of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextSpec {
    pub(crate) from: Source,
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    #[serde(default)]
    pub(crate) take: Take,
    /// Number of digits. A shorter text of digits gets zeros on the left.
    #[serde(default)]
    pub(crate) pad: usize,
}

/// Which part of a text is the value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Take {
    /// The whole text.
    #[default]
    Whole,
    /// The letters and digits before ` - `: `55` from `55 - NF-E`. Any other text is taken whole.
    Code,
    /// Digits without the `.0` that a spreadsheet or pandas added. Any other text is taken whole.
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

/// Which part of a text is the key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TakeKey {
    /// The whole text.
    #[default]
    Whole,
    /// Its letters and digits without the letters of a document at the start, as in `NFe3519 1108…` and `'35191108…`.
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

/// A date. Without a convention it has the convention of the source.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DateSpec {
    pub(crate) from: Source,
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    #[serde(default)]
    pub(crate) convention: Option<DateConvention>,
}

/// An amount. Without a convention it has the convention of the source.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AmountSpec {
    pub(crate) from: Source,
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    #[serde(default)]
    pub(crate) convention: Option<DecimalConvention>,
}

/// Converts the short form of a field, which has no options.
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

/// One or more columns, of which the first with a value counts. Never empty in a parsed layout.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source(pub(crate) Vec<String>);

impl Source {
    /// The first name.
    #[expect(clippy::expect_used, reason = "the parser refuses an empty list")]
    pub(crate) fn first(&self) -> &str {
        self.0.first().expect("a source has at least one name")
    }

    /// Returns `A`, or `A or B` for several names.
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

/// A field in its short or long form.
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

/// Fields with names from the layout, in the order of the file.
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
            // The TOML parser sorts them by name; the positions restore the order of the file.
            fields.push((field.span().start, name, field.into_inner().0));
        }
        fields.sort_by_key(|(at, ..)| *at);
        Ok(Named(fields.into_iter().map(|(_, name, field)| (name, field)).collect()))
    }
}

/// One value or a list of values. Never empty.
#[derive(Debug, Clone)]
pub(crate) struct OneOrMore<T>(pub(crate) Vec<T>);

impl<T> OneOrMore<T> {
    /// The first value.
    #[expect(clippy::expect_used, reason = "the parser refuses an empty list")]
    pub(crate) fn first(&self) -> &T {
        self.0.first().expect("a list has at least one value")
    }
}

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
