//! One `BatchWriteItem` call and what its answer means.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use super::batch::Batch;
use super::wire::{CallError, Wire};
use notaflux_aws::{self as aws, Fault};
use notaflux_table::TableError;

/// What became of one call.
#[derive(Debug)]
pub enum Answer {
    /// The service answered; some items may be left over.
    Done {
        /// Items that the service left unprocessed, as positions in the batch.
        unprocessed: Vec<usize>,
        /// Write units consumed, where the service says.
        consumed_units: Option<f64>,
    },
    /// Too fast for the table or the account. Retried for as long as it takes.
    Throttled {
        /// Code and message of the service.
        message: String,
        /// Whether it is one key range that is too hot, and not the table or the account that is full.
        key_range: bool,
    },
    /// Broken connection, timeout or a fault of the service. Retried for a bounded time.
    Failed {
        /// What happened.
        message: String,
    },
}

/// Why writing stops.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The service refuses the call, and would refuse it again: not retried.
    #[error("DynamoDB refused to write to table {table:?}: {message}")]
    Refused {
        /// The table.
        table: String,
        /// Code and message of the service, and what to do about it.
        message: String,
        /// The SDK's error.
        #[source]
        source: Box<CallError>,
    },
    /// The leave to write has ended: somebody else may be writing by now. Nothing was sent since.
    #[error("the lease on this work has ended, and with it the leave to write to table {table:?}")]
    LeaseOver {
        /// The table.
        table: String,
    },
    /// The service refuses to update an invoice, and would refuse it again: not retried.
    #[error(transparent)]
    Update(Box<TableError>),
    /// Nothing was acknowledged for too long.
    #[error("DynamoDB did not take a write to table {table:?} for {seconds} s, last: {message}")]
    Unavailable {
        /// The table.
        table: String,
        /// How long was tried, in seconds.
        seconds: u64,
        /// What happened last.
        message: String,
    },
    /// An answer that names an item that was not sent.
    #[error("DynamoDB answered for table {table:?} with an unprocessed item that was not sent: {key}")]
    Protocol {
        /// The table.
        table: String,
        /// Key of the item.
        key: String,
    },
}

/// Puts the items at `pending` of `batch`.
///
/// # Errors
/// What would fail again: refusals, and answers that make no sense.
pub async fn put<T>(wire: &Wire, table: &str, batch: &Batch<T>, pending: &[usize]) -> Result<Answer, WriteError> {
    match wire.send(batch.body(pending)).await {
        Ok(body) => match serde_json::from_slice(&body) {
            Ok(done) => done_of(table, batch, pending, &done),
            Err(error) => Ok(Answer::Failed { message: format!("the answer cannot be read: {error}") }),
        },
        Err(error) => failed(wire, table, error).await,
    }
}

/// The answer to a call that the service took. Of the items that are left only their keys are read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Done<'a> {
    #[serde(borrow)]
    unprocessed_items: Option<HashMap<String, Vec<Left<'a>>>>,
    consumed_capacity: Option<Vec<Consumed>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Left<'a> {
    #[serde(borrow)]
    put_request: Option<Put<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put<'a> {
    #[serde(borrow)]
    item: Keys<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Keys<'a> {
    #[serde(borrow)]
    pk: Text<'a>,
    #[serde(borrow)]
    sk: Text<'a>,
}

#[derive(Debug, Deserialize)]
struct Text<'a> {
    #[serde(rename = "S", borrow)]
    text: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Consumed {
    capacity_units: Option<f64>,
}

fn done_of<T>(table: &str, batch: &Batch<T>, pending: &[usize], done: &Done<'_>) -> Result<Answer, WriteError> {
    let left = done.unprocessed_items.iter().flat_map(HashMap::values).flatten();
    let unprocessed = left.map(|left| {
        let keys = left.put_request.as_ref().map(|put| &put.item);
        let (pk, sk) = keys.map_or(("", ""), |keys| (&*keys.pk.text, &*keys.sk.text));
        let position = batch.position(pk, sk).filter(|at| pending.contains(at));
        position.ok_or_else(|| WriteError::Protocol { table: table.to_owned(), key: format!("{pk} / {sk}") })
    });
    let mut unprocessed = unprocessed.collect::<Result<Vec<_>, _>>()?;
    unprocessed.sort_unstable();
    unprocessed.dedup();
    let consumed = done.consumed_capacity.iter().flatten().map(|table| table.capacity_units);
    Ok(Answer::Done { unprocessed, consumed_units: sum_of(consumed) })
}

/// The sum of those that are told; none where none is.
fn sum_of(units: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    units.flatten().fold(None, |sum, units| Some(sum.unwrap_or(0.0) + units))
}

async fn failed(wire: &Wire, table: &str, error: CallError) -> Result<Answer, WriteError> {
    let message = aws::describe_error(&error);
    match aws::fault(&error) {
        Fault::Throttled => Ok(Answer::Throttled { message, key_range: is_of_key_ranges(&error) }),
        Fault::Unavailable | Fault::ExpiredSignature => Ok(Answer::Failed { message }),
        // The next call asks the provider for others.
        Fault::ExpiredToken => {
            wire.forget_credentials().await;
            Ok(Answer::Failed { message })
        }
        Fault::Refused | Fault::Credentials => {
            Err(WriteError::Refused { table: table.to_owned(), message, source: Box::new(error) })
        }
    }
}

/// Why a call was throttled.
#[derive(Debug, Deserialize)]
struct Throttled {
    #[serde(rename = "ThrottlingReasons", alias = "throttlingReasons", default)]
    reasons: Vec<Reason>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

/// Whether every reason that the service gives for a throttle is a key range
/// (`ThrottlingReasons`: `TableWriteKeyRangeThroughputExceeded`, `IndexWriteKeyRangeThroughputExceeded`).
fn is_of_key_ranges(error: &CallError) -> bool {
    let body = error.raw_response().and_then(|response| response.body().bytes());
    let said = body.and_then(|body| serde_json::from_slice::<Throttled>(body).ok());
    said.is_some_and(|said| {
        !said.reasons.is_empty() && said.reasons.iter().all(|reason| reason.reason.contains("KeyRange"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use aws_sdk_dynamodb::config::http::HttpResponse;
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemError;
    use aws_smithy_types::body::SdkBody;

    use super::super::batch::tests::batch_of;
    use super::*;

    fn told(answer: &str, pending: &[usize]) -> Result<(Vec<usize>, Option<f64>), String> {
        let batch = batch_of(&[("a", "H"), ("b", "H"), ("ç", "L#1")]);
        let done = done_of("t", &batch, pending, &serde_json::from_str(answer).unwrap());
        match done.map_err(|error| error.to_string())? {
            Answer::Done { unprocessed, consumed_units } => Ok((unprocessed, consumed_units)),
            other => panic!("{other:?}"),
        }
    }

    fn left(keys: &[(&str, &str)]) -> String {
        let put = |(pk, sk): &(&str, &str)| serde_json::json!({"PutRequest": {"Item": {"PK": {"S": pk}, "SK": {"S": sk}, "x": {"N": "1"}}}});
        let left: Vec<_> = keys.iter().map(put).collect();
        serde_json::json!({ "UnprocessedItems": { "t": left } }).to_string()
    }

    #[test]
    fn what_an_answer_does_not_say_is_nothing() {
        for answer in ["{}", r#"{"UnprocessedItems": {}}"#, r#"{"UnprocessedItems": null, "ConsumedCapacity": null}"#] {
            assert_eq!(told(answer, &[0, 1, 2]), Ok((vec![], None)), "{answer}");
        }
        let consumed = r#"{"ConsumedCapacity": [{"TableName": "t", "CapacityUnits": 2.5}, {"CapacityUnits": null}, {"CapacityUnits": 4}]}"#;
        assert_eq!(told(consumed, &[0]), Ok((vec![], Some(6.5))));
    }

    async fn answered(code: &str, reasons: &[&str]) -> Result<Answer, WriteError> {
        let reasons: Vec<_> = reasons.iter().map(|reason| serde_json::json!({ "reason": reason })).collect();
        let body = serde_json::json!({ "__type": code, "ThrottlingReasons": reasons }).to_string();
        let response = HttpResponse::new(400.try_into().unwrap(), SdkBody::from(body));
        let error = BatchWriteItemError::generic(ErrorMetadata::builder().code(code).build());
        let wire = Wire::new(&aws::embedded_config("http://127.0.0.1:1"));
        failed(&wire, "t", CallError::service_error(error, response)).await
    }

    #[tokio::test]
    async fn only_a_throttle_for_nothing_but_key_ranges_is_of_a_key_range() {
        let (index, table) = ("IndexWriteKeyRangeThroughputExceeded", "TableWriteAccountLimitExceeded");
        let range = "TableWriteKeyRangeThroughputExceeded";
        for (reasons, expected) in [(&[][..], false), (&[range, index], true), (&[range, table], false)] {
            let answer = answered("ThrottlingException", reasons).await.unwrap();
            let Answer::Throttled { key_range, .. } = answer else { panic!("{answer:?}") };
            assert_eq!(key_range, expected, "{reasons:?}");
        }
    }

    #[tokio::test]
    async fn credentials_that_have_ended_are_no_refusal_and_wrong_ones_are() {
        assert!(matches!(answered("ExpiredTokenException", &[]).await, Ok(Answer::Failed { .. })));
        for code in ["UnrecognizedClientException", "ValidationException"] {
            assert!(matches!(answered(code, &[]).await, Err(WriteError::Refused { .. })), "{code}");
        }
    }

    #[test]
    fn what_is_left_is_of_what_was_sent() {
        assert_eq!(told(&left(&[("ç", "L#1"), ("a", "H"), ("ç", "L#1")]), &[0, 2]), Ok((vec![0, 2], None)));
        for unknown in [
            left(&[("b", "H")]),
            left(&[("d", "H")]),
            r#"{"UnprocessedItems": {"t": [{"DeleteRequest": {}}]}}"#.to_owned(),
        ] {
            let error = told(&unknown, &[0, 2]).unwrap_err();
            assert!(error.contains("that was not sent"), "{error}");
        }
    }
}
