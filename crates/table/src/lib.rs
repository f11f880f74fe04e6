//! The DynamoDB table: its keys, its items and how they are encoded and decoded, and the table itself. Writers and readers share it.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`keys`] | partition and sort keys of every entity, and the shard of an id |
//! | [`item`] | encodes invoices, lines and events as the JSON of their items; measures size and write units |
//! | `item_writer` | the writers behind [`item`]: one counts, one writes JSON |
//! | [`stored`] | decodes items |
//! | [`ingestion`] | the states of an ingestion |
//! | [`schema`] | version, shards and indexes, and the `SCHEMA` item that records them |
//! | `admin` | creates, opens, describes and deletes the table |
//! | [`status`] | cancels an invoice |
//! | `error` | why a table cannot be used |
//!
//! Items hold nothing that varies between runs, so that repeated puts of one record are the same put.

mod admin;
mod error;
pub mod ingestion;
pub mod item;
mod item_writer;
pub mod keys;
pub mod schema;
pub mod status;
pub mod stored;

pub use admin::{Description, Table, create, delete, describe};
pub use error::TableError;
pub use schema::{Index, IndexSet, Schema};
