//! What the API needs to answer.

use super::cors::Cors;
use super::cursor::CursorKeys;
use notaflux_table::Table;

/// What the API needs to answer: clients, keys and settings.
#[derive(Debug, Clone)]
pub struct Api {
    /// The table, with a client that retries.
    pub table: Table,
    /// The client that reads rejects.
    pub s3: aws_sdk_s3::Client,
    /// The keys that encrypt cursors.
    pub cursors: CursorKeys,
    /// The web origins that may read the answers.
    pub cors: Cors,
}

impl Api {
    /// An API over `table` whose answers no web page of another origin may read.
    #[must_use]
    pub fn new(table: Table, s3: aws_sdk_s3::Client, cursors: CursorKeys) -> Self {
        Self { table, s3, cursors, cors: Cors::default() }
    }
}
