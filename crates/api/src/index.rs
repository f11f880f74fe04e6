//! The shards of a list as an index of the table holds them.

use aws_sdk_dynamodb::types::AttributeValue;

use super::call::{Call, Item};
use super::filter::Filter;
use super::merge::{Entry, Order};
use super::page::{End, Piece, Shards};
use notaflux_table::{Index, TableError, keys};

/// A list: what stands under one key of an index, from one sort key to another, in one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List {
    /// The index.
    pub(super) index: Index,
    /// Whose entries: a tax id, a month as `yyyymm`, or a status.
    pub(super) of: String,
    /// Sort keys from here on, this one included.
    pub(super) lower: String,
    /// Sort keys up to here, this one included.
    pub(super) upper: String,
    /// The order.
    pub(super) order: Order,
    /// Which of them.
    pub(super) filter: Filter,
}

/// A list, and where in it to begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listing<'q> {
    /// What it is read for.
    pub(super) call: &'q Call,
    /// The list.
    pub(super) list: &'q List,
    /// The sort key behind which it begins, for another page than the first.
    pub(super) behind: Option<&'q str>,
}

impl Listing<'_> {
    /// Sort keys to ask for. `BETWEEN` takes both its ends, so that the item that a cursor names is asked for again.
    fn range(&self) -> (&str, &str) {
        let (lower, upper) = (self.list.lower.as_str(), self.list.upper.as_str());
        match (self.behind, self.list.order) {
            (None, _) => (lower, upper),
            (Some(behind), Order::Ascending) => (behind, upper),
            (Some(behind), Order::Descending) => (lower, behind),
        }
    }

    /// Whether `shard` holds the item that the cursor names: it is read again, and passed over.
    fn repeats(&self, shard: u16) -> bool {
        let id = self.behind.and_then(keys::id_of_sort_key);
        id.is_some_and(|id| keys::shard(id, self.call.table().schema.shards) == shard)
    }
}

impl Shards for Listing<'_> {
    type Item = Item;
    type Key = Item;
    type Error = TableError;

    fn count(&self) -> usize {
        usize::from(self.call.table().schema.shards)
    }

    fn order(&self) -> Order {
        self.list.order
    }

    async fn read(&self, shard: usize, behind: Option<&Item>, limit: usize) -> Result<Piece<Item, Item>, TableError> {
        let List { index, of, order, filter, .. } = self.list;
        let shard = u16::try_from(shard).unwrap_or(u16::MAX);
        let (lower, upper) = self.range();
        let limit = limit + usize::from(behind.is_none() && self.repeats(shard));
        let query = self.call.table().client().query();
        let query = query
            .index_name(index.name())
            .key_condition_expression("#partition = :partition AND #sort BETWEEN :lower AND :upper")
            .expression_attribute_names("#partition", index.partition_attribute())
            .expression_attribute_names("#sort", index.sort_attribute())
            .expression_attribute_values(":partition", AttributeValue::S(index.partition(of, shard)))
            .expression_attribute_values(":lower", AttributeValue::S(lower.to_owned()))
            .expression_attribute_values(":upper", AttributeValue::S(upper.to_owned()))
            .scan_index_forward(*order == Order::Ascending)
            .set_exclusive_start_key(behind.cloned())
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let found = self.call.query(filter.narrow(query)).await?;
        let sort_key = |item: &Item| item.get(index.sort_attribute())?.as_s().ok().cloned();
        let items = found.items.into_iter().filter(|item| filter.takes(item));
        let entries = items.filter_map(|item| {
            let sort = sort_key(&item)?;
            (self.behind != Some(sort.as_str())).then_some(Entry { sort, item })
        });
        let end = found.end.and_then(|key| Some(End { sort: sort_key(&key)?, key }));
        Ok(Piece { entries: entries.collect(), end, read: found.examined, units: found.units })
    }
}
