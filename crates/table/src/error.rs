//! What can be wrong with a table, and what follows from it.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::schema::Schema;
use notaflux_aws::{self as aws, Fault};

/// Why a table cannot be used. One kind, one policy: [`TableError::is_permanent`].
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// No table has this name, in this region and account.
    #[error("there is no table {table:?}; make it with notaflux table create and the same --table or --data")]
    Missing {
        /// Its name.
        table: String,
    },
    /// The table is being made, changed or deleted.
    #[error("table {table:?} is {status} and cannot be used now; try again in a minute")]
    NotReady {
        /// Its name.
        table: String,
        /// What `DynamoDB` calls its state.
        status: String,
    },
    /// The table is not one of ours.
    #[error("table {table:?} is not a notaflux table: expected {expected}, found {found}; choose another name")]
    Foreign {
        /// Its name.
        table: String,
        /// What a table of ours has.
        expected: String,
        /// What this one has.
        found: String,
    },
    /// Another version of this program has made the table.
    #[error(
        "table {table:?} has schema version {found}, and this program knows version {known}: use the program that made \
         it, or ingest into a new table"
    )]
    OtherVersion {
        /// Its name.
        table: String,
        /// The version that its `SCHEMA` item records.
        found: u32,
        /// The version that this program knows.
        known: u32,
    },
    /// A table of this name exists, and it was made otherwise than asked for now.
    #[error(
        "table {table:?} exists with {found}, not with {asked}: neither can be changed later; choose another name, or \
         delete it with: notaflux table delete --table {table}"
    )]
    OtherSchema {
        /// Its name.
        table: String,
        /// What it was made with.
        found: Schema,
        /// What was asked for.
        asked: Schema,
    },
    /// There are no credentials, or the service does not know them.
    #[error("table {table:?}: {message}")]
    Credentials {
        /// Its name.
        table: String,
        /// Code and message of the service, and what to do about it.
        message: String,
        /// The SDK's error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The service refuses, and would refuse again.
    #[error("DynamoDB refused to work on table {table:?}: {message}")]
    Refused {
        /// Its name.
        table: String,
        /// Code and message of the service.
        message: String,
        /// The SDK's error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Too many calls, and retries did not help.
    #[error("DynamoDB throttles table {table:?}: {message}; try again later")]
    Throttled {
        /// Its name.
        table: String,
        /// Code and message of the service.
        message: String,
        /// The SDK's error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The service cannot be reached or fails, and retries did not help.
    #[error("DynamoDB did not answer for table {table:?}: {message}")]
    Unavailable {
        /// Its name.
        table: String,
        /// What happened, and what to do about it.
        message: String,
        /// The SDK's error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The table did not become what was asked for.
    #[error(
        "table {table:?} is still {status} after {seconds} s; look at it with: notaflux table show --table {table}"
    )]
    TooSlow {
        /// Its name.
        table: String,
        /// What `DynamoDB` calls its state.
        status: String,
        /// How long was waited, in seconds.
        seconds: u64,
    },
}

impl TableError {
    /// An error of a call on `table`.
    #[must_use]
    pub fn service<E>(table: &str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let (fault, message) = (aws::fault(&error), aws::describe_error(&error));
        let not_found = error.code() == Some("ResourceNotFoundException");
        let (table, source) = (table.to_owned(), Box::new(error));
        match fault {
            Fault::Refused if not_found => Self::Missing { table },
            Fault::Refused => Self::Refused { table, message, source },
            Fault::Credentials => Self::Credentials { table, message, source },
            Fault::Throttled => Self::Throttled { table, message, source },
            Fault::Unavailable | Fault::ExpiredSignature | Fault::ExpiredToken => {
                Self::Unavailable { table, message, source }
            }
        }
    }

    /// Whether another try would end the same way.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NotReady { .. } | Self::Throttled { .. } | Self::Unavailable { .. } | Self::TooSlow { .. } => false,
            Self::Missing { .. }
            | Self::Foreign { .. }
            | Self::OtherVersion { .. }
            | Self::OtherSchema { .. }
            | Self::Credentials { .. }
            | Self::Refused { .. } => true,
        }
    }
}
