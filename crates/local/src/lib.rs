//! Everything on one machine: embedded S3 and DynamoDB, generated files, and how a person sees the work go on.
//!
//! Used by the command line only (feature `local`); no other room knows of this one.

mod dynamodb;
mod folder;
mod gateway;
mod s3;
pub mod stack;

pub use folder::{Endpoints, running};
pub use s3::{ObjectCreated, OnCreated};
pub use stack::{Stack, StackError, StackOptions};

#[cfg(test)]
mod tests;
