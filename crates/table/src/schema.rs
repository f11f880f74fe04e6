//! The layout of a table: its version, shards and indexes, and the item that records them.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::keys;

/// Version of the layout of keys and items.
pub(crate) const VERSION: u32 = 1;
/// Default number of shards of a table: 8 partitions accept 8,000 write units a second for one issuer.
pub const SHARDS: u16 = 8;
/// Most shards of a table. Each page of a list queries all of them.
pub(crate) const SHARDS_LIMIT: u16 = 256;

/// An index of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Index {
    /// By issuer.
    Issuer,
    /// By recipient.
    Recipient,
    /// By month of issue. It lists ingestions too.
    Month,
    /// By status, except authorised invoices.
    State,
}

impl Index {
    /// Every index, in the order of display.
    pub const ALL: [Self; 4] = [Self::Issuer, Self::Recipient, Self::Month, Self::State];

    /// Returns its name in `DynamoDB`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Recipient => "recipient",
            Self::Month => "month",
            Self::State => "state",
        }
    }

    /// Returns the index with this name.
    #[must_use]
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|index| index.name() == name)
    }

    /// Returns the attribute that is its partition key.
    #[must_use]
    pub const fn partition_attribute(self) -> &'static str {
        match self {
            Self::Issuer => "IK",
            Self::Recipient => "RK",
            Self::Month => "MK",
            Self::State => "XK",
        }
    }

    /// Returns the attribute that is its sort key.
    #[must_use]
    pub const fn sort_attribute(self) -> &'static str {
        match self {
            Self::Issuer => "IS",
            Self::Recipient => "RS",
            Self::Month => "MS",
            Self::State => "XS",
        }
    }

    /// Returns the prefix of its partition keys.
    #[must_use]
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Issuer => "I#",
            Self::Recipient => "R#",
            Self::Month => "M#",
            Self::State => "X#",
        }
    }

    /// Returns the partition key of `shard` of `value`: a tax id, a month as `yyyymm`, or a status.
    #[must_use]
    pub fn partition(self, value: &str, shard: u16) -> String {
        format!("{}{value}#{shard}", self.prefix())
    }
}

/// The indexes that a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of four, each of which may be in it")]
pub struct IndexSet {
    /// [`Index::Issuer`] is in the set.
    pub issuer: bool,
    /// [`Index::Recipient`] is in the set.
    pub recipient: bool,
    /// [`Index::Month`] is in the set.
    pub month: bool,
    /// [`Index::State`] is in the set.
    pub state: bool,
}

impl Default for IndexSet {
    /// Every index.
    fn default() -> Self {
        Self::of(|_| true)
    }
}

impl IndexSet {
    /// Returns the set of the indexes for which `chosen` returns true.
    #[must_use]
    pub fn of(chosen: impl Fn(Index) -> bool) -> Self {
        Self {
            issuer: chosen(Index::Issuer),
            recipient: chosen(Index::Recipient),
            month: chosen(Index::Month),
            state: chosen(Index::State),
        }
    }

    /// Returns whether `index` is in the set.
    #[must_use]
    pub const fn contains(self, index: Index) -> bool {
        match index {
            Index::Issuer => self.issuer,
            Index::Recipient => self.recipient,
            Index::Month => self.month,
            Index::State => self.state,
        }
    }

    /// Returns the indexes in the set.
    pub fn iter(self) -> impl Iterator<Item = Index> {
        Index::ALL.into_iter().filter(move |index| self.contains(*index))
    }

    /// Reads a list such as `issuer,month`, or `none`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim() == "none" {
            return Some(Self::of(|_| false));
        }
        let named: Vec<Index> = text.split(',').map(|name| Index::from_name(name.trim())).collect::<Option<_>>()?;
        Some(Self::of(|index| named.contains(&index)))
    }
}

impl fmt::Display for IndexSet {
    /// Writes the form that [`IndexSet::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Index::name).collect();
        f.write_str(if names.is_empty() { "none".to_owned() } else { names.join(",") }.as_str())
    }
}

/// The layout of a table. Its first writer records it in the table, and it never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Version of the layout of keys and items.
    pub version: u32,
    /// Partitions over which each key of an index is spread: 1 to `SHARDS_LIMIT`.
    pub shards: u16,
    /// The indexes. Each costs one write unit for each started KB of an invoice.
    pub indexes: IndexSet,
}

impl Default for Schema {
    /// Returns this version, [`SHARDS`] shards and every index.
    fn default() -> Self {
        Self { version: VERSION, shards: SHARDS, indexes: IndexSet::default() }
    }
}

/// Reads a number of shards: 1 to `SHARDS_LIMIT`.
#[must_use]
pub fn parse_shards(text: &str) -> Option<u16> {
    text.parse().ok().filter(|shards| (1..=SHARDS_LIMIT).contains(shards))
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shards and indexes {}", self.shards, self.indexes)
    }
}

impl Schema {
    /// Returns the `SCHEMA` item.
    pub(crate) fn to_item(&self) -> HashMap<String, AttributeValue> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let indexes = self.indexes.iter().map(|index| text(index.name())).collect();
        HashMap::from([
            (keys::PK.to_owned(), text(keys::SCHEMA_KEY)),
            (keys::SK.to_owned(), text(keys::SCHEMA_KEY)),
            ("version".to_owned(), AttributeValue::N(self.version.to_string())),
            ("shards".to_owned(), AttributeValue::N(self.shards.to_string())),
            ("indexes".to_owned(), AttributeValue::L(indexes)),
        ])
    }

    /// Reads the version in a `SCHEMA` item; none if the item is damaged.
    pub(crate) fn version_of(item: &HashMap<String, AttributeValue>) -> Option<u32> {
        item.get("version")?.as_n().ok()?.parse().ok()
    }

    /// Reads the schema in a `SCHEMA` item of this version; none if the item is damaged.
    pub(crate) fn from_item(item: &HashMap<String, AttributeValue>) -> Option<Self> {
        let version = Self::version_of(item)?;
        let shards: u16 = item.get("shards")?.as_n().ok()?.parse().ok()?;
        let names = item.get("indexes")?.as_l().ok()?.iter();
        let indexes: Vec<Index> = names.map(|name| Index::from_name(name.as_s().ok()?)).collect::<Option<_>>()?;
        let indexes = IndexSet::of(|index| indexes.contains(&index));
        (1..=SHARDS_LIMIT).contains(&shards).then_some(Self { version, shards, indexes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_indexes_is_parsed_as_it_is_shown() {
        for text in ["issuer,recipient,month,state", "issuer", "month,state", "none"] {
            assert_eq!(IndexSet::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(IndexSet::parse(" state , issuer ").unwrap().to_string(), "issuer,state");
        for text in ["", "issuer,", "issuers", "none,issuer"] {
            assert_eq!(IndexSet::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_of_shards_is_1_to_256() {
        assert_eq!((parse_shards("1"), parse_shards("256")), (Some(1), Some(256)));
        for text in ["", "0", "257", "-1", "8.0", "65544"] {
            assert_eq!(parse_shards(text), None, "{text}");
        }
    }

    #[test]
    fn the_item_holds_the_schema() {
        let schema = Schema { shards: 3, indexes: IndexSet::parse("month").unwrap(), ..Schema::default() };
        assert_eq!(Schema::from_item(&schema.to_item()), Some(schema.clone()));
        let mut damaged = schema.to_item();
        damaged.insert("shards".to_owned(), AttributeValue::N("0".to_owned()));
        assert_eq!(Schema::from_item(&damaged), None);
    }
}
