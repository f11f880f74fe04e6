//! A request in progress: its calls to the table, and their read units.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::api::Api;
use super::meter::ReadUnitMeter;
use super::problem::Problem;
use notaflux_table::{Table, TableError, keys};

/// An item as the SDK returns it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// A request in progress.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) api: Arc<Api>,
    meter: ReadUnitMeter,
}

/// The answer to a query.
pub(super) struct QueryAnswer {
    pub(super) items: Vec<Item>,
    /// The key after which the query continues; `None` at the end.
    pub(super) end: Option<Item>,
    /// Items that the query read, before its filter.
    pub(super) examined: usize,
    /// Read units that the query consumed.
    pub(super) units: f64,
}

impl Call {
    pub(super) fn table(&self) -> &Table {
        &self.api.table
    }

    /// Gets one item with eventual consistency.
    pub(super) async fn get(&self, pk: String, sk: &str) -> Result<Option<Item>, TableError> {
        let (name, sk) = (&self.table().name, AttributeValue::S(sk.to_owned()));
        let get =
            self.table().client().get_item().table_name(name).key(keys::PK, AttributeValue::S(pk)).key(keys::SK, sk);
        let sent = get.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let answer = sent.map_err(|error| TableError::service(name, error))?;
        self.count(answer.consumed_capacity);
        Ok(answer.item)
    }

    /// Sends a query; adds the name of the table to it.
    pub(super) async fn query(&self, query: QueryFluentBuilder) -> Result<QueryAnswer, Problem> {
        let name = &self.table().name;
        let sent = query.table_name(name).return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let answer = sent.map_err(|error| TableError::service(name, error))?;
        let units = self.count(answer.consumed_capacity);
        let items = answer.items.ok_or_else(|| Problem::damaged("the answer to a query has no items"))?;
        let end = answer.last_evaluated_key.filter(|key| !key.is_empty());
        let examined = usize::try_from(answer.scanned_count)
            .map_err(|_| Problem::damaged("the answer to a query has a negative number of items"))?;
        Ok(QueryAnswer { items, end, examined, units })
    }

    /// Adds the read units of an answer and returns them. An answer without read units adds none: a page that is bounded
    /// by its units is then bounded by its time alone.
    fn count(&self, consumed: Option<ConsumedCapacity>) -> f64 {
        let units = consumed.and_then(|consumed| consumed.capacity_units).unwrap_or(0.0);
        self.meter.add(units);
        units
    }
}

/// Returns the text of a key attribute. A page continues at such a key, so an item without it is an error.
pub(super) fn key_text<'i>(item: &'i Item, attribute: &str) -> Result<&'i str, Problem> {
    let text = item.get(attribute).and_then(|value| value.as_s().ok());
    text.map(String::as_str).ok_or_else(|| Problem::damaged(&format!("an item has no text in its key {attribute}")))
}

/// Returns a number of items as the `Limit` of a query. A larger number asks for the largest possible one: DynamoDB ends
/// a query at 1 MB in any case.
pub(super) fn query_limit(items: usize) -> i32 {
    i32::try_from(items).unwrap_or(i32::MAX)
}

impl FromRequestParts<Arc<Api>> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Infallible> {
        // A router without the layers, as some tests use it, has no meter.
        let meter = parts.extensions.get::<ReadUnitMeter>().cloned().unwrap_or_default();
        Ok(Self { api: api.clone(), meter })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_without_a_key_is_an_error() {
        let item = |value| Item::from([(keys::SK.to_owned(), value)]);
        assert_eq!(key_text(&item(AttributeValue::S("L#1".into())), keys::SK), Ok("L#1"));
        assert_eq!(key_text(&item(AttributeValue::N("1".into())), keys::SK), Err(Problem::Internal));
        assert_eq!(key_text(&Item::new(), keys::SK), Err(Problem::Internal));
    }
}
