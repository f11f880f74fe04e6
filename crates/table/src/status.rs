//! Cancellation: how an event that cancels an invoice changes the status of the invoice.
//!
//! Invoices and events come in any order and from any ingestion. An invoice brings its own status. A cancelling event that is not older
//! than that status replaces it. A read of one invoice by its id computes this from the events. For lists, the ingestion that brings
//! the event writes the status into the invoice's item.

use std::borrow::Cow;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};

use crate::admin::Table;
use crate::error::TableError;
use crate::keys::{self, INVOICE_SK, PK, SK};
use crate::schema::Index;
use crate::stored::{StoredStatus, decode_status};
use notaflux_invoice::{Invoice, Status, Timestamp};

/// Most attempts of an update whose invoice changed after it was read. Each time another writer changed it, so more than a few
/// attempts point to another problem.
const ATTEMPTS_LIMIT: u32 = 16;

/// The result of [`cancel_invoice`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cancelled {
    /// Whether this call changed the status. False for an earlier change whose answer was lost.
    pub changed: bool,
    /// Write units that the change consumed, its indexes included; none if the service does not report them. The service never
    /// reports the units of attempts whose condition failed.
    pub write_units: Option<f64>,
}

/// Nothing was changed, and no write unit consumed.
const UNCHANGED: Cancelled = Cancelled { changed: false, write_units: Some(0.0) };

/// Returns whether a cancelling event at `at` replaces a status that began at `since`. Compares local times, since many sources
/// state no offset.
#[must_use]
fn replaces_status(at: &Timestamp, since: Option<&Timestamp>) -> bool {
    since.is_none_or(|since| since.local <= at.local)
}

/// Marks `invoice` as cancelled at `at` with the text `text`, if its status is not later. Returns whether it did.
pub fn cancel<'a>(invoice: &mut Invoice<'a>, at: Timestamp, text: Option<Cow<'a, str>>) -> bool {
    let replaces = replaces_status(&at, invoice.status_at.as_ref());
    if replaces {
        (invoice.status, invoice.status_text, invoice.status_at) = (Status::Cancelled, text, Some(at));
    }
    replaces
}

/// Marks the item of invoice `id` as cancelled at `at` with the text `text`, and lists it among the cancelled invoices. Does nothing
/// if there is no such invoice, if its status is later, or if it is already cancelled at that time. So calls may be repeated and come
/// in any order.
///
/// # Errors
/// An error of `DynamoDB`; a damaged item; an invoice that other writers change at every attempt.
pub async fn cancel_invoice(
    table: &Table,
    id: &str,
    at: &Timestamp,
    text: Option<&str>,
) -> Result<Cancelled, TableError> {
    let mut attempts = 0;
    loop {
        let Some(read) = read(table, id).await? else { return Ok(UNCHANGED) };
        let is_done = read.status == Status::Cancelled && read.since.is_some_and(|since| since.local == at.local);
        if is_done || !replaces_status(at, read.since.as_ref()) {
            return Ok(UNCHANGED);
        }
        let error = match update(table, id, &read, at, text).send().await {
            Ok(answer) => {
                let write_units = answer.consumed_capacity.and_then(|consumed| consumed.capacity_units);
                return Ok(Cancelled { changed: true, write_units });
            }
            Err(error) => error,
        };
        attempts += 1;
        if error.code() != Some("ConditionalCheckFailedException") {
            return Err(TableError::service(&table.name, error));
        }
        if attempts == ATTEMPTS_LIMIT {
            let message =
                format!("an invoice changed {attempts} times while its status was being written; try again later");
            return Err(TableError::Unavailable { table: table.name.clone(), message, source: Box::new(error) });
        }
    }
}

/// Reads the status of an invoice, with a consistent read.
async fn read(table: &Table, id: &str) -> Result<Option<StoredStatus>, TableError> {
    let get = table
        .client()
        .get_item()
        .table_name(&table.name)
        .key(PK, AttributeValue::S(keys::invoice_pk(id)))
        .key(SK, AttributeValue::S(INVOICE_SK.to_owned()))
        .consistent_read(true)
        .projection_expression("#at, #status, #since")
        .expression_attribute_names("#at", "at")
        .expression_attribute_names("#status", "st")
        .expression_attribute_names("#since", "st_at");
    let answer = get.send().await.map_err(|error| TableError::service(&table.name, error))?;
    let Some(item) = answer.item else { return Ok(None) };
    let read = decode_status(&item);
    read.map(Some).map_err(|error| TableError::Foreign {
        table: table.name.clone(),
        expected: format!("invoices with {} in attribute {}", error.expected, error.attribute),
        found: error.found.to_owned(),
    })
}

/// Builds the update, on the condition that the status is still the one that was read.
fn update(table: &Table, id: &str, read: &StoredStatus, at: &Timestamp, text: Option<&str>) -> UpdateItemFluentBuilder {
    let value = |text: &str| AttributeValue::S(text.to_owned());
    let mut set = "SET #status = :status, #since = :since".to_owned();
    let mut condition = "#at = :read_at AND #status = :read_status".to_owned();
    let mut call = table
        .client()
        .update_item()
        .table_name(&table.name)
        .key(PK, AttributeValue::S(keys::invoice_pk(id)))
        .key(SK, value(INVOICE_SK))
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .expression_attribute_names("#at", "at")
        .expression_attribute_names("#status", "st")
        .expression_attribute_names("#since", "st_at")
        .expression_attribute_names("#text", "st_text")
        .expression_attribute_values(":status", value(Status::Cancelled.as_str()))
        .expression_attribute_values(":since", value(&at.to_plain()))
        .expression_attribute_values(":read_at", value(&read.issued_at.to_plain()))
        .expression_attribute_values(":read_status", value(read.status.as_str()));
    if let Some(since) = &read.since {
        condition.push_str(" AND #since = :read_since");
        call = call.expression_attribute_values(":read_since", value(&since.to_plain()));
    } else {
        condition.push_str(" AND attribute_not_exists(#since)");
    }
    if table.schema.indexes.contains(Index::State) {
        let shard = keys::shard(id, table.schema.shards);
        let partition = Index::State.partition(Status::Cancelled.as_str(), shard);
        let sort = format!("{}#{id}", keys::sort_time(read.issued_at.local));
        set.push_str(", #partition = :partition, #sort = :sort");
        call = call
            .expression_attribute_names("#partition", Index::State.partition_attribute())
            .expression_attribute_names("#sort", Index::State.sort_attribute())
            .expression_attribute_values(":partition", AttributeValue::S(partition))
            .expression_attribute_values(":sort", AttributeValue::S(sort));
    }
    if let Some(text) = text {
        set.push_str(", #text = :text");
        call = call.expression_attribute_values(":text", value(text));
    } else {
        set.push_str(" REMOVE #text");
    }
    call.update_expression(set).condition_expression(condition)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use futures::future::join_all;

    use super::*;
    use crate::admin::create;
    use crate::item::{SourceRef, encode_invoice};
    use crate::schema::{IndexSet, Schema};
    use crate::stored::decode_invoice;
    use notaflux_testing::{EXAMPLE_KEY, attributes, dynamodb, example};

    async fn table(indexes: &str) -> Table {
        let schema = Schema { indexes: IndexSet::parse(indexes).unwrap(), ..Schema::default() };
        create(dynamodb().await, "inv".into(), schema).await.unwrap()
    }

    type Item = std::collections::HashMap<String, AttributeValue>;

    fn item(table: &Table, invoice: &Invoice<'_>) -> Item {
        let mut json = Vec::new();
        encode_invoice(invoice, &SourceRef { ingestion: "9f2c".into(), record: 1 }, &table.schema, &mut json).unwrap();
        attributes(&json)
    }

    async fn put(table: &Table, invoice: &Invoice<'_>) {
        let put = table.client().put_item().table_name(&table.name).set_item(Some(item(table, invoice)));
        put.send().await.unwrap();
    }

    async fn found(table: &Table, id: &str) -> Item {
        let get = table.client().get_item().table_name(&table.name).consistent_read(true);
        let get = get.key(PK, AttributeValue::S(keys::invoice_pk(id))).key(SK, AttributeValue::S("H".into()));
        get.send().await.unwrap().item.unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_plain(text).unwrap()
    }

    async fn cancel_in(table: &Table, time: &str, text: Option<&str>) -> Cancelled {
        cancel_invoice(table, EXAMPLE_KEY, &at(time), text).await.unwrap()
    }

    /// The item equals the one that a put of the cancelled invoice writes, index keys included.
    #[tokio::test]
    async fn an_update_leaves_the_item_that_a_put_writes() {
        for indexes in ["issuer,recipient,month,state", "issuer", "none"] {
            let table = table(indexes).await;
            for text in [Some("Cancelamento da NF-e"), None] {
                for status in [Status::Authorized, Status::Unknown, Status::Denied] {
                    for status_at in [example().status_at, None] {
                        put(&table, &Invoice { status, status_at, ..example() }).await;
                        let done = cancel_in(&table, "2019-11-13T08:09:10-03:00", text).await;
                        assert!(done.changed && done.write_units.unwrap() >= 1.0, "{done:?}");
                        let expected = Invoice {
                            status: Status::Cancelled,
                            status_text: text.map(Into::into),
                            status_at: Some(at("2019-11-13T08:09:10-03:00")),
                            ..example()
                        };
                        assert_eq!(found(&table, EXAMPLE_KEY).await, item(&table, &expected), "{status:?} {indexes}");
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn an_older_event_and_a_repeated_one_change_nothing() {
        let table = table("state").await;
        put(&table, &example()).await;
        assert_eq!(cancel_in(&table, "2019-11-12T13:01:51", Some("older")).await, UNCHANGED);
        assert_eq!(found(&table, EXAMPLE_KEY).await, item(&table, &example()));
        // Not older by local time, though earlier in UTC.
        assert!(cancel_in(&table, "2019-11-12T13:01:52+09:00", Some("same")).await.changed);
        let cancelled = found(&table, EXAMPLE_KEY).await;
        for time in ["2019-11-12T13:01:52", "2019-11-12T13:01:52+09:00", "2019-11-12T00:00:00"] {
            assert_eq!(cancel_in(&table, time, Some("again")).await, UNCHANGED, "{time}");
        }
        assert_eq!(found(&table, EXAMPLE_KEY).await, cancelled);
        assert!(cancel_in(&table, "2019-11-12T13:01:53", Some("later")).await.changed);
        let later = decode_invoice(&found(&table, EXAMPLE_KEY).await).unwrap().invoice;
        assert_eq!((later.status_text, later.status_at), (Some("later".into()), Some(at("2019-11-12T13:01:53"))));
    }

    #[tokio::test]
    async fn an_unknown_invoice_is_not_created() {
        let table = table("state").await;
        assert_eq!(cancel_in(&table, "2019-11-13T08:09:10", None).await, UNCHANGED);
        let items = table.client().scan().table_name(&table.name).send().await.unwrap().items.unwrap();
        assert_eq!(items.len(), 1, "only the schema");
    }

    #[tokio::test]
    async fn the_latest_of_many_concurrent_cancellations_stays() {
        let table = table("state").await;
        put(&table, &example()).await;
        let times: Vec<String> = (10..22).map(|second| format!("2019-11-13T00:00:{second}")).collect();
        let done = join_all(times.iter().map(|time| cancel_in(&table, time, Some(time)))).await;
        assert!(done.iter().any(|done| done.changed));
        let invoice = decode_invoice(&found(&table, EXAMPLE_KEY).await).unwrap().invoice;
        assert_eq!(invoice.status_text.as_deref(), Some("2019-11-13T00:00:21"));
        assert_eq!(invoice.status_at, Some(at("2019-11-13T00:00:21")));
    }

    #[tokio::test]
    async fn a_damaged_item_is_an_error() {
        let table = table("none").await;
        let mut damaged = item(&table, &example());
        damaged.insert("st_at".into(), AttributeValue::S("yesterday".into()));
        table.client().put_item().table_name(&table.name).set_item(Some(damaged)).send().await.unwrap();
        let error = cancel_invoice(&table, EXAMPLE_KEY, &at("2019-11-13T00:00:00"), None).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "table \"inv\" is not a notaflux table: expected invoices with a date-time like 2019-11-12T00:00:00 in \
             attribute st_at, found another text; choose another name"
        );
    }

    #[test]
    fn an_event_changes_a_status_unless_it_is_older() {
        let cancelled = |time: &str, invoice: Invoice<'static>| {
            let mut after = invoice.clone();
            assert_eq!(cancel(&mut after, at(time), Some("Cancelamento".into())), after != invoice);
            (after.status, after.status_text, after.status_at)
        };
        let unchanged = (Status::Authorized, example().status_text, example().status_at);
        let after = |time: &str| (Status::Cancelled, Some("Cancelamento".into()), Some(at(time)));
        for time in ["2019-11-12T13:01:52", "2019-11-13T00:00:00"] {
            assert_eq!(cancelled(time, example()), after(time));
        }
        let long_ago = "1999-01-01T00:00:00";
        assert_eq!(cancelled(long_ago, Invoice { status_at: None, ..example() }), after(long_ago));
        assert_eq!(cancelled("2019-11-12T13:01:51", example()), unchanged);
    }
}
