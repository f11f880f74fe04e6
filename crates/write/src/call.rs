//! One `BatchWriteItem` call and the meaning of its answer.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use crate::batch::Batch;
use crate::error::WriteError;
use crate::wire::{CallError, Wire};
use notaflux_aws::{self as aws, Fault};

/// The outcome of one call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The service answered. It may have left items unprocessed.
    Done {
        /// Positions in the batch of the items that the service left unprocessed.
        unprocessed: Vec<usize>,
        /// Write units consumed, where the service reports them.
        consumed_units: Option<f64>,
    },
    /// Too fast for the table or the account. Retried without a limit.
    Throttled {
        /// Code and message of the service.
        message: String,
        /// Whether only key ranges are too hot, and neither the table nor the account is full.
        is_key_range: bool,
    },
    /// Broken connection, timeout or a fault of the service. Retried for a bounded time.
    Failed {
        /// What happened.
        message: String,
    },
}

/// Puts the items at `pending` of `batch`.
///
/// # Errors
/// What would fail again: refusals, and answers with an item that was not sent.
pub(crate) async fn put<T>(
    wire: &Wire,
    table: &str,
    batch: &Batch<T>,
    pending: &[usize],
) -> Result<Answer, WriteError> {
    match wire.send(batch.body(pending)).await {
        Ok(body) => match serde_json::from_slice(&body) {
            Ok(done) => done_of(table, batch, pending, &done),
            Err(error) => Ok(Answer::Failed { message: format!("cannot read the answer: {error}") }),
        },
        Err(error) => failed(wire, table, error).await,
    }
}

/// The answer to a call that the service accepted. Only the keys of the unprocessed items are read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Done<'a> {
    #[serde(borrow)]
    unprocessed_items: Option<HashMap<String, Vec<UnprocessedRequest<'a>>>>,
    consumed_capacity: Option<Vec<Consumed>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UnprocessedRequest<'a> {
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
    let requests = done.unprocessed_items.iter().flat_map(HashMap::values).flatten();
    let unprocessed = requests.map(|request| {
        // A request without a put has no key of ours: no item of the batch has an empty one.
        let keys = request.put_request.as_ref().map(|put| &put.item);
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

/// Returns the sum of the units that are reported; none if none are.
fn sum_of(units: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    units.flatten().fold(None, |sum, units| Some(sum.unwrap_or(0.0) + units))
}

async fn failed(wire: &Wire, table: &str, error: CallError) -> Result<Answer, WriteError> {
    let message = aws::describe_error(&error);
    match aws::fault(&error) {
        Fault::Throttled => Ok(Answer::Throttled { message, is_key_range: is_of_key_ranges(&error) }),
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

/// The body of a throttle.
#[derive(Debug, Deserialize)]
struct ThrottledBody {
    #[serde(rename = "ThrottlingReasons", alias = "throttlingReasons", default)]
    reasons: Vec<Reason>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

/// Returns whether every reason that the service gives for a throttle is a key range
/// (`ThrottlingReasons`: `TableWriteKeyRangeThroughputExceeded`, `IndexWriteKeyRangeThroughputExceeded`). A throttle without readable
/// reasons counts as one of the table.
fn is_of_key_ranges(error: &CallError) -> bool {
    let body = error.raw_response().and_then(|response| response.body().bytes());
    let throttled = body.and_then(|body| serde_json::from_slice::<ThrottledBody>(body).ok());
    throttled.is_some_and(|throttled| {
        !throttled.reasons.is_empty() && throttled.reasons.iter().all(|reason| reason.reason.contains("KeyRange"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use aws_sdk_dynamodb::config::http::HttpResponse;
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemError;
    use aws_smithy_types::body::SdkBody;

    use super::*;
    use crate::batch::tests::batch_of;

    fn read(answer: &str, pending: &[usize]) -> Result<(Vec<usize>, Option<f64>), String> {
        let batch = batch_of(&[("a", "H"), ("b", "H"), ("ç", "L#1")]);
        let done = done_of("t", &batch, pending, &serde_json::from_str(answer).unwrap());
        match done.map_err(|error| error.to_string())? {
            Answer::Done { unprocessed, consumed_units } => Ok((unprocessed, consumed_units)),
            other => panic!("{other:?}"),
        }
    }

    fn unprocessed(keys: &[(&str, &str)]) -> String {
        let put = |(pk, sk): &(&str, &str)| serde_json::json!({"PutRequest": {"Item": {"PK": {"S": pk}, "SK": {"S": sk}, "x": {"N": "1"}}}});
        let puts: Vec<_> = keys.iter().map(put).collect();
        serde_json::json!({ "UnprocessedItems": { "t": puts } }).to_string()
    }

    #[test]
    fn absent_fields_of_an_answer_are_none() {
        for answer in ["{}", r#"{"UnprocessedItems": {}}"#, r#"{"UnprocessedItems": null, "ConsumedCapacity": null}"#] {
            assert_eq!(read(answer, &[0, 1, 2]), Ok((vec![], None)), "{answer}");
        }
        let consumed = r#"{"ConsumedCapacity": [{"TableName": "t", "CapacityUnits": 2.5}, {"CapacityUnits": null}, {"CapacityUnits": 4}]}"#;
        assert_eq!(read(consumed, &[0]), Ok((vec![], Some(6.5))));
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
    async fn a_throttle_is_of_key_ranges_if_every_reason_is() {
        let (index, table) = ("IndexWriteKeyRangeThroughputExceeded", "TableWriteAccountLimitExceeded");
        let range = "TableWriteKeyRangeThroughputExceeded";
        for (reasons, expected) in [(&[][..], false), (&[range, index], true), (&[range, table], false)] {
            let answer = answered("ThrottlingException", reasons).await.unwrap();
            let Answer::Throttled { is_key_range, .. } = answer else { panic!("{answer:?}") };
            assert_eq!(is_key_range, expected, "{reasons:?}");
        }
    }

    #[tokio::test]
    async fn expired_credentials_are_retried_and_wrong_ones_refused() {
        assert!(matches!(answered("ExpiredTokenException", &[]).await, Ok(Answer::Failed { .. })));
        for code in ["UnrecognizedClientException", "ValidationException"] {
            assert!(matches!(answered(code, &[]).await, Err(WriteError::Refused { .. })), "{code}");
        }
    }

    #[test]
    fn an_unprocessed_item_that_was_not_sent_is_an_error() {
        assert_eq!(read(&unprocessed(&[("ç", "L#1"), ("a", "H"), ("ç", "L#1")]), &[0, 2]), Ok((vec![0, 2], None)));
        for unknown in [
            unprocessed(&[("b", "H")]),
            unprocessed(&[("d", "H")]),
            r#"{"UnprocessedItems": {"t": [{"DeleteRequest": {}}]}}"#.to_owned(),
        ] {
            let error = read(&unknown, &[0, 2]).unwrap_err();
            assert!(error.contains("that was not sent"), "{error}");
        }
    }
}
