//! The status of an invoice: what an event that cancels makes of it.
//!
//! Invoices and events come in any order and by any ingestion. An invoice brings its own status. An event that cancels
//! and is not older than that status ends it: when an invoice is read by its id that is worked out, and for lists the
//! ingestion that brings the event writes it into the invoice's item.

use std::borrow::Cow;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};

use super::admin::Table;
use super::error::TableError;
use super::keys::{self, INVOICE_SK, PK, SK};
use super::schema::Index;
use super::stored::{StatusOfItem, status_of_item};
use notaflux_invoice::{Invoice, Status, Timestamp};

/// Times that an update is tried again because the invoice has changed since it was read. Each time somebody else
/// has written it, so that more than a few mean that something else is wrong.
const TRIES_LIMIT: u32 = 16;

/// What [`cancel_invoice`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cancelled {
    /// Whether the status was changed. A change whose answer was lost counts as none when it is found done.
    pub changed: bool,
    /// Write units that the change took, its indexes included. What tries took that lost their condition is not told
    /// by the service.
    pub write_units: f64,
}

/// Whether an event that cancels, at `at`, ends a status that is from `since`. Times are compared on the clocks of
/// their sources: many have no offset.
#[must_use]
pub fn ends_status(at: &Timestamp, since: Option<&Timestamp>) -> bool {
    since.is_none_or(|since| since.local <= at.local)
}

/// Makes `invoice` one that was cancelled `at`, in the words `text`, if that is not older than its status. Gives whether it
/// did.
pub fn cancel<'a>(invoice: &mut Invoice<'a>, at: Timestamp, text: Option<Cow<'a, str>>) -> bool {
    let ends = ends_status(&at, invoice.status_at.as_ref());
    if ends {
        (invoice.status, invoice.status_text, invoice.status_at) = (Status::Cancelled, text, Some(at));
    }
    ends
}

/// Writes into the item of invoice `id` that it was cancelled `at`, in the words `text`, and lists it among the cancelled
/// ones. Does nothing where there is no such invoice, where its status is from a later time, and where it is cancelled
/// since that time already. So it can be repeated, and the order of repetitions is of no matter.
///
/// # Errors
/// What `DynamoDB` answers; an item that is none of ours; an invoice that others change all the time.
pub async fn cancel_invoice(
    table: &Table,
    id: &str,
    at: &Timestamp,
    text: Option<&str>,
) -> Result<Cancelled, TableError> {
    let mut tries = 0;
    loop {
        let Some(read) = read(table, id).await? else { return Ok(Cancelled::default()) };
        let is_done = read.status == Status::Cancelled && read.since.is_some_and(|since| since.local == at.local);
        if is_done || !ends_status(at, read.since.as_ref()) {
            return Ok(Cancelled::default());
        }
        let error = match update(table, id, &read, at, text).send().await {
            Ok(answer) => {
                let write_units = answer.consumed_capacity.and_then(|consumed| consumed.capacity_units);
                return Ok(Cancelled { changed: true, write_units: write_units.unwrap_or_default() });
            }
            Err(error) => error,
        };
        tries += 1;
        if error.code() != Some("ConditionalCheckFailedException") {
            return Err(TableError::service(&table.name, error));
        }
        if tries == TRIES_LIMIT {
            let message =
                format!("an invoice changed {tries} times while its status was being written; try again later");
            return Err(TableError::Unavailable { table: table.name.clone(), message, source: Box::new(error) });
        }
    }
}

/// What the item of an invoice says of its status, as the last write left it.
async fn read(table: &Table, id: &str) -> Result<Option<StatusOfItem>, TableError> {
    let get = table
        .client
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
    let read = status_of_item(&item);
    read.map(Some).map_err(|error| TableError::Foreign {
        table: table.name.clone(),
        expected: format!("invoices with {} in attribute {}", error.expected, error.attribute),
        found: error.found.to_owned(),
    })
}

/// The update, on condition that what was read still holds.
fn update(table: &Table, id: &str, read: &StatusOfItem, at: &Timestamp, text: Option<&str>) -> UpdateItemFluentBuilder {
    let value = |text: &str| AttributeValue::S(text.to_owned());
    let mut set = "SET #status = :status, #since = :since".to_owned();
    let mut condition = "#at = :read_at AND #status = :read_status".to_owned();
    let mut call = table
        .client
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
    use crate::item::{SourceRef, encode_invoice};
    use crate::stored::decode_invoice;
    use crate::{IndexSet, Schema, create};
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
        let put = table.client.put_item().table_name(&table.name).set_item(Some(item(table, invoice)));
        put.send().await.unwrap();
    }

    async fn found(table: &Table, id: &str) -> Item {
        let get = table.client.get_item().table_name(&table.name).consistent_read(true);
        let get = get.key(PK, AttributeValue::S(keys::invoice_pk(id))).key(SK, AttributeValue::S("H".into()));
        get.send().await.unwrap().item.unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_plain(text).unwrap()
    }

    async fn cancel_in(table: &Table, time: &str, text: Option<&str>) -> Cancelled {
        cancel_invoice(table, EXAMPLE_KEY, &at(time), text).await.unwrap()
    }

    /// The item is the one that a put of the cancelled invoice would have left, index keys included.
    #[tokio::test]
    async fn a_cancelled_invoice_is_as_if_it_had_been_put_so() {
        for indexes in ["issuer,recipient,month,state", "issuer", "none"] {
            let table = table(indexes).await;
            for text in [Some("Cancelamento da NF-e"), None] {
                for status in [Status::Authorized, Status::Unknown, Status::Denied] {
                    for status_at in [example().status_at, None] {
                        put(&table, &Invoice { status, status_at, ..example() }).await;
                        let done = cancel_in(&table, "2019-11-13T08:09:10-03:00", text).await;
                        assert!(done.changed && done.write_units >= 1.0, "{done:?}");
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
        assert_eq!(cancel_in(&table, "2019-11-12T13:01:51", Some("older")).await, Cancelled::default());
        assert_eq!(found(&table, EXAMPLE_KEY).await, item(&table, &example()));
        // Not older on its clock, though earlier in the world.
        assert!(cancel_in(&table, "2019-11-12T13:01:52+09:00", Some("same")).await.changed);
        let cancelled = found(&table, EXAMPLE_KEY).await;
        for time in ["2019-11-12T13:01:52", "2019-11-12T13:01:52+09:00", "2019-11-12T00:00:00"] {
            assert_eq!(cancel_in(&table, time, Some("again")).await, Cancelled::default(), "{time}");
        }
        assert_eq!(found(&table, EXAMPLE_KEY).await, cancelled);
        assert!(cancel_in(&table, "2019-11-12T13:01:53", Some("later")).await.changed);
        let later = decode_invoice(&found(&table, EXAMPLE_KEY).await).unwrap().invoice;
        assert_eq!((later.status_text, later.status_at), (Some("later".into()), Some(at("2019-11-12T13:01:53"))));
    }

    #[tokio::test]
    async fn no_invoice_is_made() {
        let table = table("state").await;
        assert_eq!(cancel_in(&table, "2019-11-13T08:09:10", None).await, Cancelled::default());
        let items = table.client.scan().table_name(&table.name).send().await.unwrap().items.unwrap();
        assert_eq!(items.len(), 1, "the schema alone");
    }

    #[tokio::test]
    async fn of_many_at_once_the_latest_stands() {
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
    async fn an_item_of_another_shape_is_an_error() {
        let table = table("none").await;
        let mut damaged = item(&table, &example());
        damaged.insert("st_at".into(), AttributeValue::S("yesterday".into()));
        table.client.put_item().table_name(&table.name).set_item(Some(damaged)).send().await.unwrap();
        let error = cancel_invoice(&table, EXAMPLE_KEY, &at("2019-11-13T00:00:00"), None).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "table \"inv\" is not a notaflux table: expected invoices with a date-time like 2019-11-12T00:00:00 in \
             attribute st_at, found another text; choose another name"
        );
    }

    #[test]
    fn only_what_is_not_older_changes_a_status() {
        let cancelled = |time: &str, invoice: Invoice<'static>| {
            let mut after = invoice.clone();
            assert_eq!(cancel(&mut after, at(time), Some("Cancelamento".into())), after != invoice);
            (after.status, after.status_text, after.status_at)
        };
        let as_it_was = (Status::Authorized, example().status_text, example().status_at);
        let after = |time: &str| (Status::Cancelled, Some("Cancelamento".into()), Some(at(time)));
        for time in ["2019-11-12T13:01:52", "2019-11-13T00:00:00"] {
            assert_eq!(cancelled(time, example()), after(time));
        }
        let long_ago = "1999-01-01T00:00:00";
        assert_eq!(cancelled(long_ago, Invoice { status_at: None, ..example() }), after(long_ago));
        assert_eq!(cancelled("2019-11-12T13:01:51", example()), as_it_was);
    }
}
