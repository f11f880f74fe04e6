//! Clients of the AWS SDK, the meaning of their errors, and delays between retries.
//!
//! | module | content |
//! | --- | --- |
//! | `clients` | clients for S3 and DynamoDB with our retries and time limits |
//! | `fault` | classifies errors: the only place that decides whether to retry one |
//! | `describe` | one-line descriptions of errors, with what to do about them |
//! | `object_name` | names of S3 objects: `s3://bucket/key` |
//! | [`backoff`] | delays between retries |
//!
//! Only [`config`] reads the environment; the binaries call it once.

pub mod backoff;
mod clients;
mod describe;
mod fault;
mod object_name;

pub use clients::{
    EMBEDDED_KEYS, EMBEDDED_REGION, READ_TIMEOUT, config, connector, dynamodb_client, dynamodb_reader, dynamodb_worker,
    embedded_config, reader_retries, s3_client, s3_reader, worker_retries,
};
pub use describe::describe_error;
pub use fault::{Fault, fault};
pub use object_name::{OBJECT_SCHEME, object_of};
