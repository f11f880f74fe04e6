//! Embedded S3 and DynamoDB: AWS on one machine, for the command line and for tests.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`stack`] | starts and stops both servers |
//! | `folder` | the data folder and its lock |
//! | `endpoints` | the addresses of a running stack |
//! | `error` | why a stack does not start |
//! | `gateway` | one port for both services |
//! | `s3` | the S3 server |
//! | `dynamodb` | the DynamoDB server |

mod dynamodb;
mod endpoints;
mod error;
mod folder;
mod gateway;
mod s3;
pub mod stack;

pub use endpoints::Endpoints;
pub use error::StackError;
pub use folder::running;
pub use s3::{ObjectCreated, OnCreated};
pub use stack::{Stack, StackOptions};

#[cfg(test)]
mod tests;
