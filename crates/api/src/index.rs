//! The shards of a list, in an index of the table.

use aws_sdk_dynamodb::types::AttributeValue;

use super::call::{Call, Item, key_text, query_limit};
use super::filter::Filter;
use super::merge::{Entry, Order};
use super::page::{End, ShardPage, Shards};
use super::problem::Problem;
use notaflux_table::{Index, keys};

/// A list: the entries under one key of an index, in a range of sort keys, in one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List {
    pub(super) index: Index,
    /// The key in the index: a tax id, a month as `yyyymm`, or a status.
    pub(super) of: String,
    /// The first sort key, included.
    pub(super) lower: String,
    /// The last sort key, included.
    pub(super) upper: String,
    pub(super) order: Order,
    /// Which of the entries belong to the list.
    pub(super) filter: Filter,
}

/// A list, and where in it a page begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listing<'q> {
    /// The request that reads the list.
    pub(super) call: &'q Call,
    pub(super) list: &'q List,
    /// The sort key after which the page begins; `None` for the first page.
    pub(super) after: Option<&'q str>,
}

impl Listing<'_> {
    /// Returns the range of sort keys to query. `BETWEEN` includes both ends, so the query reads the cursor's item again.
    fn range(&self) -> (&str, &str) {
        let (lower, upper) = (self.list.lower.as_str(), self.list.upper.as_str());
        match (self.after, self.list.order) {
            (None, _) => (lower, upper),
            (Some(after), Order::Ascending) => (after, upper),
            (Some(after), Order::Descending) => (lower, after),
        }
    }

    /// Whether `shard` holds the cursor's item, which is read again and skipped.
    fn repeats(&self, shard: u16) -> bool {
        let id = self.after.and_then(keys::id_of_sort_key);
        id.is_some_and(|id| keys::shard(id, self.call.table().schema.shards) == shard)
    }
}

impl Shards for Listing<'_> {
    type Item = Item;
    type Key = Item;
    type Error = Problem;

    fn count(&self) -> usize {
        usize::from(self.call.table().schema.shards)
    }

    fn order(&self) -> Order {
        self.list.order
    }

    async fn read(&self, shard: usize, after: Option<&Item>, limit: usize) -> Result<ShardPage<Item, Item>, Problem> {
        let List { index, of, order, filter, .. } = self.list;
        #[expect(clippy::expect_used, reason = "the number of shards is a u16")]
        let shard = u16::try_from(shard).expect("a shard is below the number of shards");
        let (lower, upper) = self.range();
        let limit = limit + usize::from(after.is_none() && self.repeats(shard));
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
            .set_exclusive_start_key(after.cloned())
            .limit(query_limit(limit));
        let answer = self.call.query(filter.add_to(query)).await?;
        let sort_key = |item: &Item| key_text(item, index.sort_attribute()).map(ToOwned::to_owned);
        let mut entries = Vec::with_capacity(answer.items.len());
        for item in answer.items {
            let sort_key = sort_key(&item)?;
            if self.after != Some(sort_key.as_str()) && filter.matches(&item)? {
                entries.push(Entry { sort_key, item });
            }
        }
        let end = answer.end.map(|key| Ok::<_, Problem>(End { sort_key: sort_key(&key)?, key })).transpose()?;
        Ok(ShardPage { entries, end, examined: answer.examined, units: answer.units })
    }
}
