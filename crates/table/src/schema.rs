//! How a table is laid out: its version, its shards, its indexes, and the item that records them.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;

use super::keys;

/// Version of the layout of keys and items.
pub const VERSION: u32 = 1;
/// Shards of a table unless others are asked for: 8 partitions take 8,000 write units a second for one issuer.
pub const SHARDS: u16 = 8;
/// Most shards. A page of a list queries each of them.
pub const SHARDS_LIMIT: u16 = 256;

/// An index of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Index {
    /// By who issued the invoice.
    Issuer,
    /// By whom it was issued to.
    Recipient,
    /// By the month of issue; ingestions too.
    Month,
    /// By status, for every status but authorised.
    State,
}

impl Index {
    /// Every index, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Issuer, Self::Recipient, Self::Month, Self::State];

    /// Its name in `DynamoDB`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Recipient => "recipient",
            Self::Month => "month",
            Self::State => "state",
        }
    }

    /// The index with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|index| index.name() == name)
    }

    /// Attribute that is its partition key.
    #[must_use]
    pub const fn partition_attribute(self) -> &'static str {
        match self {
            Self::Issuer => "IK",
            Self::Recipient => "RK",
            Self::Month => "MK",
            Self::State => "XK",
        }
    }

    /// Attribute that is its sort key.
    #[must_use]
    pub const fn sort_attribute(self) -> &'static str {
        match self {
            Self::Issuer => "IS",
            Self::Recipient => "RS",
            Self::Month => "MS",
            Self::State => "XS",
        }
    }

    /// What the partition key of an invoice begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Issuer => "I#",
            Self::Recipient => "R#",
            Self::Month => "M#",
            Self::State => "X#",
        }
    }

    /// Partition key of what stands in `shard` of `of`: a tax id, a month as `yyyymm`, or a status.
    #[must_use]
    pub fn partition(self, of: &str, shard: u16) -> String {
        format!("{}{of}#{shard}", self.prefix())
    }
}

/// Which indexes a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of four, each of which may be in it")]
pub struct IndexSet {
    /// [`Index::Issuer`] is in it.
    pub issuer: bool,
    /// [`Index::Recipient`] is in it.
    pub recipient: bool,
    /// [`Index::Month`] is in it.
    pub month: bool,
    /// [`Index::State`] is in it.
    pub state: bool,
}

impl Default for IndexSet {
    /// Every index.
    fn default() -> Self {
        Self::of(|_| true)
    }
}

impl IndexSet {
    /// The indexes that `chosen` holds for.
    #[must_use]
    pub fn of(chosen: impl Fn(Index) -> bool) -> Self {
        Self {
            issuer: chosen(Index::Issuer),
            recipient: chosen(Index::Recipient),
            month: chosen(Index::Month),
            state: chosen(Index::State),
        }
    }

    /// Whether `index` is in it.
    #[must_use]
    pub const fn contains(self, index: Index) -> bool {
        match index {
            Index::Issuer => self.issuer,
            Index::Recipient => self.recipient,
            Index::Month => self.month,
            Index::State => self.state,
        }
    }

    /// What is in it.
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
    /// As [`IndexSet::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Index::name).collect();
        f.write_str(if names.is_empty() { "none".to_owned() } else { names.join(",") }.as_str())
    }
}

/// How a table is laid out. Recorded in the table by its first writer, and never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Version of the layout of keys and items.
    pub version: u32,
    /// Partitions that each key of an index is spread over: 1 to [`SHARDS_LIMIT`].
    pub shards: u16,
    /// The indexes; each costs a write unit for each started KB of an invoice.
    pub indexes: IndexSet,
}

impl Default for Schema {
    /// This version, [`SHARDS`] shards, every index.
    fn default() -> Self {
        Self { version: VERSION, shards: SHARDS, indexes: IndexSet::default() }
    }
}

/// Reads a number of shards: 1 to [`SHARDS_LIMIT`].
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
    /// The `SCHEMA` item.
    pub(super) fn to_item(&self) -> HashMap<String, AttributeValue> {
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

    /// Version in a `SCHEMA` item.
    pub(super) fn version_of(item: &HashMap<String, AttributeValue>) -> Option<u32> {
        item.get("version")?.as_n().ok()?.parse().ok()
    }

    /// The schema in a `SCHEMA` item of this version.
    pub(super) fn from_item(item: &HashMap<String, AttributeValue>) -> Option<Self> {
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
    fn a_list_of_indexes_is_read_as_it_is_shown() {
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
