//! A request while it is answered: what it is answered from, and the read units that this takes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::api::Api;
use super::meter::ReadUnitMeter;
use notaflux_table::{Table, TableError, keys};

/// An item as the SDK gives it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// A request while it is answered.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) api: Arc<Api>,
    meter: ReadUnitMeter,
}

/// What a query has found.
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    /// Key to go on behind; none at the end.
    pub(super) end: Option<Item>,
    /// Items that were looked at.
    pub(super) examined: usize,
    /// Read units that it took.
    pub(super) units: f64,
}

impl Call {
    pub(super) fn table(&self) -> &Table {
        &self.api.table
    }

    /// One item, as it was a moment ago.
    pub(super) async fn get(&self, pk: String, sk: &str) -> Result<Option<Item>, TableError> {
        let (table, sk) = (self.table(), AttributeValue::S(sk.to_owned()));
        let name = &table.name;
        let get = table.client().get_item().table_name(name).key(keys::PK, AttributeValue::S(pk)).key(keys::SK, sk);
        let sent = get.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let answer = sent.map_err(|error| TableError::service(name, error))?;
        self.count(answer.consumed_capacity);
        Ok(answer.item)
    }

    /// Sends a query, as prepared but for the table's name.
    pub(super) async fn query(&self, query: QueryFluentBuilder) -> Result<Found, TableError> {
        let name = &self.table().name;
        let sent = query.table_name(name).return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let answer = sent.map_err(|error| TableError::service(name, error))?;
        let units = self.count(answer.consumed_capacity);
        let end = answer.last_evaluated_key.filter(|key| !key.is_empty());
        let examined = usize::try_from(answer.scanned_count).unwrap_or_default();
        Ok(Found { items: answer.items.unwrap_or_default(), end, examined, units })
    }

    fn count(&self, consumed: Option<ConsumedCapacity>) -> f64 {
        let units = consumed.and_then(|consumed| consumed.capacity_units).unwrap_or_default();
        self.meter.add(units);
        units
    }
}

impl FromRequestParts<Arc<Api>> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Infallible> {
        let meter = parts.extensions.get::<ReadUnitMeter>().cloned().unwrap_or_default();
        Ok(Self { api: api.clone(), meter })
    }
}
