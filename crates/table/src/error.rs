//! Why a table cannot be used, and whether a retry can help.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::schema::Schema;
use notaflux_aws::{self as aws, Fault};

/// Why a table cannot be used. [`TableError::is_permanent`] states for each kind whether a retry can help.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// No table in this region and account has this name.
    #[error("there is no table {table:?}; create it with notaflux table create and the same --table or --data")]
    Missing {
        /// Its name.
        table: String,
    },
    /// The table is being created, changed or deleted.
    #[error("table {table:?} is {status} and cannot be used now; try again in a minute")]
    NotReady {
        /// Its name.
        table: String,
        /// Its state in the words of `DynamoDB`.
        status: String,
    },
    /// The table is not a notaflux table.
    #[error("table {table:?} is not a notaflux table: expected {expected}, found {found}; choose another name")]
    Foreign {
        /// Its name.
        table: String,
        /// What a notaflux table has.
        expected: String,
        /// What this table has.
        found: String,
    },
    /// Another version of this program created the table.
    #[error(
        "table {table:?} has schema version {found}, and this program needs version {known}: use the program that \
         created it, or ingest into a new table"
    )]
    OtherVersion {
        /// Its name.
        table: String,
        /// The version that its `SCHEMA` item records.
        found: u32,
        /// The version that this program needs.
        known: u32,
    },
    /// A table of this name exists with another schema than requested.
    #[error(
        "table {table:?} exists with {found}, not with {asked}: these cannot be changed later; choose another name, or \
         delete it with: notaflux table delete --table {table}"
    )]
    OtherSchema {
        /// Its name.
        table: String,
        /// The schema that it has.
        found: Schema,
        /// The requested schema.
        asked: Schema,
    },
    /// There are no credentials, or the service does not accept them.
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
    /// The service refuses the call and would refuse it again.
    #[error("DynamoDB refused a call on table {table:?}: {message}")]
    Refused {
        /// Its name.
        table: String,
        /// Code and message of the service.
        message: String,
        /// The SDK's error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Too many calls; retries did not help.
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
    /// The service cannot be reached or fails; retries did not help.
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
    /// The table did not reach the requested state in time.
    #[error("table {table:?} is still {status} after {seconds} s; check it with: notaflux table show --table {table}")]
    TooSlow {
        /// Its name.
        table: String,
        /// Its state in the words of `DynamoDB`.
        status: String,
        /// The wait in seconds.
        seconds: u64,
    },
}

impl TableError {
    /// Classifies an error of a call on `table`.
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

    /// Returns whether a retry would fail the same way.
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
