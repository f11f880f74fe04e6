//! One `BatchWriteItem` call and what its answer means.
//!
//! The SDK signs and sends; the body is ours, set before the SDK signs it. Building the items as the SDK's maps of
//! attribute values costs about three times what the whole rest of a call does.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_write_item::{BatchWriteItemError, BatchWriteItemOutput};
use aws_sdk_dynamodb::types::ThrottlingReason;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};

use super::batch::Batch;
use crate::aws::{self, Fault};
use crate::table::TableError;

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
        source: Box<SdkError<BatchWriteItemError, HttpResponse>>,
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
pub async fn put<T>(client: &Client, table: &str, batch: &Batch<T>, pending: &[usize]) -> Result<Answer, WriteError> {
    let body = Bytes::from(batch.body(table, pending));
    let length = HeaderValue::from(body.len());
    let sent = client
        .batch_write_item()
        .customize()
        .mutate_request(move |request| {
            *request.body_mut() = SdkBody::from(body.clone());
            if let Ok(length) = length.to_str() {
                request.headers_mut().insert(CONTENT_LENGTH.as_str(), length.to_owned());
            }
        })
        .send()
        .await;
    match sent {
        Ok(output) => done(table, batch, &output),
        Err(error) => failed(table, error),
    }
}

fn done<T>(table: &str, batch: &Batch<T>, output: &BatchWriteItemOutput) -> Result<Answer, WriteError> {
    let requests = output.unprocessed_items().into_iter().flat_map(|by_table| by_table.values()).flatten();
    let unprocessed = requests
        .map(|request| {
            let item = request.put_request().map(aws_sdk_dynamodb::types::PutRequest::item);
            let part = |name: &str| item.and_then(|item| item.get(name)?.as_s().ok()).map_or("", String::as_str);
            let (pk, sk) = (part("PK"), part("SK"));
            let unknown = || WriteError::Protocol { table: table.to_owned(), key: format!("{pk} / {sk}") };
            batch.position(pk, sk).ok_or_else(unknown)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let consumed = output.consumed_capacity();
    let consumed_units = (!consumed.is_empty())
        .then(|| consumed.iter().filter_map(aws_sdk_dynamodb::types::ConsumedCapacity::capacity_units).sum());
    Ok(Answer::Done { unprocessed, consumed_units })
}

fn failed(table: &str, error: SdkError<BatchWriteItemError, HttpResponse>) -> Result<Answer, WriteError> {
    let message = aws::describe_error(&error);
    match aws::fault(&error) {
        Fault::Throttled => Ok(Answer::Throttled { message, key_range: is_of_key_ranges(&error) }),
        Fault::Unavailable => Ok(Answer::Failed { message }),
        Fault::Refused | Fault::Credentials => {
            Err(WriteError::Refused { table: table.to_owned(), message, source: Box::new(error) })
        }
    }
}

/// Whether every reason that the service gives for a throttle is a key range
/// (`ThrottlingReasons`: `TableWriteKeyRangeThroughputExceeded`, `IndexWriteKeyRangeThroughputExceeded`).
fn is_of_key_ranges(error: &SdkError<BatchWriteItemError, HttpResponse>) -> bool {
    let reasons = match error.as_service_error() {
        Some(BatchWriteItemError::ThrottlingException(error)) => error.throttling_reasons(),
        Some(BatchWriteItemError::ProvisionedThroughputExceededException(error)) => error.throttling_reasons(),
        Some(BatchWriteItemError::RequestLimitExceeded(error)) => error.throttling_reasons(),
        _ => &[],
    };
    let is_key_range = |reason: &ThrottlingReason| reason.reason().is_some_and(|word| word.contains("KeyRange"));
    !reasons.is_empty() && reasons.iter().all(is_key_range)
}
