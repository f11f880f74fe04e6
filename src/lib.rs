//! notaflux
pub mod aws;
pub mod ingest;
pub mod invoice;
pub mod layout;
#[cfg(feature = "local")]
pub mod local;
pub mod logs;
pub mod query;
pub mod read;
pub mod table;
pub mod write;
