//! Invoice dumps of any size, streamed from S3 into a queryable DynamoDB table.
//!
//! ```text
//! object ─► read ─► layout ─► ingest: survey ─► merge ─► write pass ─► write ─► DynamoDB ─► query ─► clients
//!                               │                 │
//!                               └── blocks ──► work store: plan, blocks, superseded lists, rejects
//! ```
//!
//! # Layout
//! - [`invoice`]: the domain, pure: access key, tax id, amount, date, invoice
//! - [`layout`]: which column means what; rows to records or rejects
//! - [`read`]: bytes to raw records; knows nothing of invoices
//! - [`table`]: keys, items, schema; shared by write and query
//! - [`mod@write`]: batches, ceiling, calls, retries; knows nothing of files
//! - [`ingest`]: one ingestion, from a source to a report
//! - [`query`]: the read API
//! - `local`: embedded S3 and DynamoDB, generated files (feature `local`)
//! - `cli`: the commands (feature `local`)
//! - [`aws`], [`backoff`], [`logs`], [`mod@sha256`]: clients and what their errors mean, delays, log lines, hashes

pub mod aws;
pub mod backoff;
#[cfg(feature = "local")]
pub mod cli;
pub mod ingest;
pub mod invoice;
pub mod layout;
#[cfg(feature = "local")]
pub mod local;
pub mod logs;
pub mod query;
pub mod read;
pub mod sha256;
pub mod table;
pub mod write;
