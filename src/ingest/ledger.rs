//! The ledger: where each ingestion stands, as items of the table itself.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::error::Error;
use super::report::Report;
use crate::table::{Table, TableError, keys};
use crate::write::writer::OUTAGE_LIMIT;

/// Pause between two tries to record a change of state, on top of the client's own retries.
const RECORD_PAUSE: Duration = Duration::from_secs(2);

/// Progress of one pass over one segment, as the ledger holds it. Behind it everything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "pass", rename_all = "snake_case")]
pub enum Checkpoint {
    /// Blocks before this one lie in the work store.
    Survey {
        /// Next block.
        block: u32,
        /// Where it begins.
        cursor: Cursor,
    },
    /// Records before this one are acknowledged or need no write.
    Write {
        /// First record that is not acknowledged.
        cursor: Cursor,
        /// Items of the records before it, all of them acknowledged.
        items: u64,
    },
}

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Decoded byte.
    pub byte: u64,
    /// Physical line, from 1.
    pub line: u64,
    /// Records before it.
    pub record: u64,
}

/// What the ledger holds of an ingestion.
#[derive(Debug, Clone, PartialEq)]
pub struct Meta {
    /// The report as it stands.
    pub report: Report,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// When the ingestion was first seen, in UTC, RFC 3339.
    pub created_at: String,
}

/// The ledger in one table.
#[derive(Debug, Clone)]
pub struct Ledger {
    table: Table,
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

impl Ledger {
    /// The ledger in `table`.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// What is known of an ingestion.
    ///
    /// # Errors
    /// What DynamoDB answers; an item that this engine did not write.
    pub async fn meta(&self, ingestion: &str) -> Result<Option<Meta>, Error> {
        let get = self.table.client.get_item().table_name(&self.table.name).consistent_read(true);
        let got = get.key("PK", text(keys::ingestion_pk(ingestion))).key("SK", text(keys::INGESTION_SK)).send().await;
        let Some(item) = got.map_err(|error| self.error(error))?.item else { return Ok(None) };
        let word = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        let report = serde_json::from_str(&word("report")).map_err(Error::corrupt("the ledger's report"))?;
        let attempt = item.get("attempt").and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or(1);
        Ok(Some(Meta { report, attempt, created_at: word("created_at") }))
    }

    /// Records how an ingestion stands.
    ///
    /// # Errors
    /// What DynamoDB answers.
    pub async fn record(&self, meta: &Meta) -> Result<(), Error> {
        let report = serde_json::to_string(&meta.report).map_err(Error::corrupt("a report"))?;
        let mut item = HashMap::from([
            ("PK".to_owned(), text(keys::ingestion_pk(&meta.report.ingestion))),
            ("SK".to_owned(), text(keys::INGESTION_SK)),
            ("state".to_owned(), text(meta.report.state.as_str())),
            ("report".to_owned(), text(report)),
            ("attempt".to_owned(), AttributeValue::N(meta.attempt.to_string())),
            ("created_at".to_owned(), text(&meta.created_at)),
        ]);
        if self.table.schema.indexes.month {
            let month: String = meta.created_at.chars().filter(char::is_ascii_digit).take(6).collect();
            item.insert("MK".to_owned(), text(format!("J#{month}")));
            item.insert("MS".to_owned(), text(format!("{}#{}", meta.created_at, meta.report.ingestion)));
        }
        self.put(item).await
    }

    /// Records how far a pass over a segment has come.
    ///
    /// # Errors
    /// What DynamoDB answers.
    pub async fn checkpoint(
        &self,
        ingestion: &str,
        attempt: u32,
        segment: usize,
        checkpoint: &Checkpoint,
    ) -> Result<(), Error> {
        let body = serde_json::to_string(checkpoint).map_err(Error::corrupt("a checkpoint"))?;
        self.put(HashMap::from([
            ("PK".to_owned(), text(keys::ingestion_pk(ingestion))),
            ("SK".to_owned(), text(format!("S#{segment:05}"))),
            ("attempt".to_owned(), AttributeValue::N(attempt.to_string())),
            ("checkpoint".to_owned(), text(body)),
        ]))
        .await
    }

    /// Like [`Ledger::record`], trying again for as long as a batch of items is tried.
    ///
    /// # Errors
    /// Refusals at once, an outage after [`OUTAGE_LIMIT`].
    pub async fn record_patiently(&self, meta: &Meta) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            match self.record(meta).await {
                Err(error) if !error.is_permanent() && began.elapsed() < OUTAGE_LIMIT => {
                    tracing::warn!(%error, "the ledger does not take how the ingestion stands; trying again");
                    sleep(RECORD_PAUSE).await;
                }
                other => return other,
            }
        }
    }

    async fn put(&self, item: HashMap<String, AttributeValue>) -> Result<(), Error> {
        let put = self.table.client.put_item().table_name(&self.table.name).set_item(Some(item));
        put.send().await.map(drop).map_err(|error| self.error(error))
    }

    fn error<E>(&self, error: SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        Error::Table(TableError::service(&self.table.name, error))
    }
}
