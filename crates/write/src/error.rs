//! Why writing stops.

use crate::wire::CallError;
use notaflux_table::TableError;

/// Why writing stops. The writer retries everything else by itself.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The service refuses the call and would refuse it again. Not retried.
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
    /// The lease on the work has expired: another worker may be writing now. The call was not sent.
    #[error("the lease on this work has expired, so nothing more was written to table {table:?}")]
    LeaseOver {
        /// The table.
        table: String,
    },
    /// The service refuses to update an invoice and would refuse it again. Not retried.
    #[error(transparent)]
    Update(Box<TableError>),
    /// The service acknowledged nothing for too long: see [`OUTAGE_LIMIT`](crate::OUTAGE_LIMIT).
    #[error("DynamoDB accepted no write to table {table:?} for {seconds} s; the last error: {message}")]
    Unavailable {
        /// The table.
        table: String,
        /// Seconds since the first failed attempt.
        seconds: u64,
        /// The last error.
        message: String,
    },
    /// The answer names an unprocessed item that was not sent.
    #[error("DynamoDB answered for table {table:?} with an unprocessed item that was not sent: {key}")]
    Protocol {
        /// The table.
        table: String,
        /// Partition key and sort key of the item.
        key: String,
    },
}
