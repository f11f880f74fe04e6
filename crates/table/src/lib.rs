//! The DynamoDB table: its keys, its items to and from the domain, and the table itself. Shared by write and query.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`keys`] | partition and sort keys of every entity, and the shard that an id falls into |
//! | [`item`] | invoices, lines and events as the JSON of their items, their size and their price |
//! | [`stored`] | items as what they hold |
//! | [`ingestion`] | the states of an ingestion |
//! | [`schema`] | version, shards and indexes, and the `SCHEMA` item that records them |
//! | [`admin`] | making, opening, describing and deleting the table |
//! | [`status`] | what an event that cancels makes of an invoice |
//! | [`error`] | what can be wrong with a table |
//!
//! Items hold nothing that varies between runs, so that repeated puts of one record are the same put.

pub mod admin;
pub mod error;
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
