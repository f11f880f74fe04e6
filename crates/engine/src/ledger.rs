//! The ledger: where each ingestion stands, as items of the table itself.
//!
//! | item | PK | SK | holds |
//! | --- | --- | --- | --- |
//! | ingestion | `J#<ingestion>` | `META` | report, attempt, stage |
//! | unit of work | `J#<ingestion>` | `S#<attempt>#<phase>#<number>` | lease, progress |
//! | object | `O#<bucket>/<key>` | `O` | which version is being ingested |
//!
//! Every write names the revision that it read (`swap`), so a late or repeated write changes nothing.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::error::Error;
use super::machine::{Phase, Stage, Unit, UnitId};
use super::report::Report;
use notaflux_table::{Table, TableError, keys};
use notaflux_write::writer::OUTAGE_LIMIT;

/// Pause between two tries to write, on top of the client's own retries.
const WRITE_PAUSE: Duration = Duration::from_secs(2);

/// Attribute that every item of the ledger has: how often it was written.
const REV: &str = "rev";

/// Sort key of an object.
const OBJECT_SK: &str = "O";

type Item = HashMap<String, AttributeValue>;

/// What the ledger holds of an ingestion.
#[derive(Debug, Clone, PartialEq)]
pub struct Meta {
    /// Raised by every write.
    pub rev: u64,
    /// The report as it stands.
    pub report: Report,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// When the ingestion was first seen, in UTC, RFC 3339.
    pub created_at: String,
    /// How far it is.
    pub stage: Stage,
    /// When this attempt began and when its write pass began (0: not yet), in milliseconds since 1970.
    pub began_ms: (u64, u64),
}

/// Which version of an object is being ingested, or was last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Raised by every write.
    pub rev: u64,
    /// The ingestion of that version.
    pub ingestion: String,
    /// When that version was made.
    pub modified: Option<jiff::Timestamp>,
    /// The ingestion that it took the place of, until that one has come to rest.
    pub previous: Option<String>,
}

/// Whether a write came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Swap {
    /// It is written.
    Done,
    /// Something else was written since the revision that it names.
    Lost,
}

/// How long a write is tried again that finds no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As long as a batch of items is tried: what this write says cannot be said later.
    Outage,
    /// Not at all: another one follows soon.
    None,
}

/// The ledger in one table.
#[derive(Debug, Clone)]
pub struct Ledger {
    table: Table,
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn word<'i>(item: &'i Item, name: &str) -> &'i str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

fn number<N: std::str::FromStr + Default>(item: &Item, name: &str) -> N {
    item.get(name).and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or_default()
}

fn json<T: DeserializeOwned>(item: &Item, name: &str, what: &str) -> Result<T, Error> {
    serde_json::from_str(word(item, name)).map_err(Error::corrupt(what))
}

fn unit_prefix(attempt: u32, phase: Phase) -> String {
    format!("S#{attempt:04}#{}#", phase.as_str())
}

fn unit_sk(attempt: u32, id: UnitId) -> String {
    format!("{}{:06}", unit_prefix(attempt, id.phase), id.number)
}

/// What of a [`Meta`] is for workers alone.
#[derive(Serialize, Deserialize)]
struct Work {
    stage: Stage,
    began_ms: (u64, u64),
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
        let found = self.get(&keys::ingestion_pk(ingestion), keys::INGESTION_SK).await?;
        found.map(|item| meta_of(&item)).transpose()
    }

    /// Records how an ingestion stands, over revision `meta.rev`.
    ///
    /// # Errors
    /// Refusals at once, an outage after [`OUTAGE_LIMIT`].
    pub async fn swap_meta(&self, meta: &Meta) -> Result<Swap, Error> {
        let report = serde_json::to_string(&meta.report).map_err(Error::corrupt("a report"))?;
        let work = Work { stage: meta.stage, began_ms: meta.began_ms };
        let work = serde_json::to_string(&work).map_err(Error::corrupt("a stage"))?;
        let mut item = HashMap::from([
            ("PK".to_owned(), text(keys::ingestion_pk(&meta.report.ingestion))),
            ("SK".to_owned(), text(keys::INGESTION_SK)),
            ("state".to_owned(), text(meta.report.state.as_str())),
            ("report".to_owned(), text(report)),
            ("work".to_owned(), text(work)),
            ("attempt".to_owned(), AttributeValue::N(meta.attempt.to_string())),
            ("created_at".to_owned(), text(&meta.created_at)),
        ]);
        if self.table.schema.indexes.month {
            let month: String = meta.created_at.chars().filter(char::is_ascii_digit).take(6).collect();
            item.insert("MK".to_owned(), text(keys::ingestions_of(&month)));
            item.insert("MS".to_owned(), text(format!("{}#{}", meta.created_at, meta.report.ingestion)));
        }
        self.swap(item, meta.rev, Patience::Outage).await
    }

    /// The units of one phase of an attempt that somebody has begun.
    ///
    /// # Errors
    /// What DynamoDB answers; an item that this engine did not write.
    pub async fn units(&self, ingestion: &str, attempt: u32, phase: Phase) -> Result<HashMap<UnitId, Unit>, Error> {
        let prefix = unit_prefix(attempt, phase);
        let query = self.table.client.query().table_name(&self.table.name).consistent_read(true);
        let query = query.key_condition_expression("PK = :pk AND begins_with(SK, :prefix)");
        let query = query.expression_attribute_values(":pk", text(keys::ingestion_pk(ingestion)));
        let mut pages = query.expression_attribute_values(":prefix", text(&prefix)).into_paginator().send();
        let mut units = HashMap::new();
        while let Some(page) = pages.next().await {
            for item in page.map_err(|error| self.error(error))?.items.unwrap_or_default() {
                let number = word(&item, "SK").strip_prefix(&prefix).and_then(|number| number.parse().ok());
                let number = number.ok_or_else(|| Error::damaged("a unit of the ledger"))?;
                units.insert(UnitId { phase, number }, json(&item, "unit", "a unit of the ledger")?);
            }
        }
        Ok(units)
    }

    /// One unit of an attempt, if somebody has begun it.
    ///
    /// # Errors
    /// What DynamoDB answers; an item that this engine did not write.
    pub async fn unit(&self, ingestion: &str, attempt: u32, id: UnitId) -> Result<Option<Unit>, Error> {
        let found = self.get(&keys::ingestion_pk(ingestion), &unit_sk(attempt, id)).await?;
        found.map(|item| json(&item, "unit", "a unit of the ledger")).transpose()
    }

    /// Records a unit over the revision before its own.
    ///
    /// # Errors
    /// Refusals at once, an outage after as long as `patience` says.
    pub async fn swap_unit(
        &self,
        ingestion: &str,
        attempt: u32,
        id: UnitId,
        unit: &Unit,
        patience: Patience,
    ) -> Result<Swap, Error> {
        let body = serde_json::to_string(unit).map_err(Error::corrupt("a unit"))?;
        let item = HashMap::from([
            ("PK".to_owned(), text(keys::ingestion_pk(ingestion))),
            ("SK".to_owned(), text(unit_sk(attempt, id))),
            ("unit".to_owned(), text(body)),
        ]);
        self.swap(item, unit.rev.saturating_sub(1), patience).await
    }

    /// Which version of the object called `name` is being ingested.
    ///
    /// # Errors
    /// What DynamoDB answers.
    pub async fn claim(&self, name: &str) -> Result<Option<Claim>, Error> {
        let Some(item) = self.get(&keys::object_pk(name), OBJECT_SK).await? else { return Ok(None) };
        let some = |name| Some(word(&item, name)).filter(|word| !word.is_empty());
        Ok(Some(Claim {
            rev: number(&item, REV),
            ingestion: word(&item, "ingestion").to_owned(),
            modified: some("modified").and_then(|modified| modified.parse().ok()),
            previous: some("previous").map(str::to_owned),
        }))
    }

    /// Records which version is being ingested, over revision `claim.rev`.
    ///
    /// # Errors
    /// Refusals at once, an outage after [`OUTAGE_LIMIT`].
    pub async fn swap_claim(&self, name: &str, claim: &Claim) -> Result<Swap, Error> {
        let mut item = HashMap::from([
            ("PK".to_owned(), text(keys::object_pk(name))),
            ("SK".to_owned(), text(OBJECT_SK)),
            ("ingestion".to_owned(), text(&claim.ingestion)),
        ]);
        item.extend(claim.modified.map(|modified| ("modified".to_owned(), text(modified.to_string()))));
        item.extend(claim.previous.as_ref().map(|previous| ("previous".to_owned(), text(previous))));
        self.swap(item, claim.rev, Patience::Outage).await
    }

    /// The reports of the ingestions that were first seen in a month (`yyyymm`), newest first, up to `limit`.
    ///
    /// # Errors
    /// What DynamoDB answers; a table without the month index.
    pub async fn of_month(&self, month: &str, limit: i32) -> Result<Vec<Meta>, Error> {
        let query = self.table.client.query().table_name(&self.table.name).index_name("month");
        let query = query.key_condition_expression("MK = :mk").scan_index_forward(false).limit(limit);
        let found = query.expression_attribute_values(":mk", text(keys::ingestions_of(month))).send().await;
        let items = found.map_err(|error| self.error(error))?.items.unwrap_or_default();
        items.iter().map(meta_of).collect()
    }

    async fn get(&self, pk: &str, sk: &str) -> Result<Option<Item>, Error> {
        let get = self.table.client.get_item().table_name(&self.table.name).consistent_read(true);
        let got = get.key("PK", text(pk)).key("SK", text(sk)).send().await;
        Ok(got.map_err(|error| self.error(error))?.item)
    }

    /// Puts an item over revision `over` of it, 0 being none. Safe to try again: once it is written, the same write loses.
    /// Where an answer was lost, a write that came first may be told as [`Swap::Lost`]: callers look at what is there.
    async fn swap(&self, mut item: Item, over: u64, patience: Patience) -> Result<Swap, Error> {
        item.insert(REV.to_owned(), AttributeValue::N((over + 1).to_string()));
        let began = Instant::now();
        loop {
            let put = self.table.client.put_item().table_name(&self.table.name).set_item(Some(item.clone()));
            let put = match over {
                0 => put.condition_expression("attribute_not_exists(PK)"),
                _ => put
                    .condition_expression("rev = :over")
                    .expression_attribute_values(":over", AttributeValue::N(over.to_string())),
            };
            let error = match put.send().await {
                Ok(_) => return Ok(Swap::Done),
                Err(error) if error.code() == Some("ConditionalCheckFailedException") => return Ok(Swap::Lost),
                Err(error) => self.error(error),
            };
            if error.is_permanent() || patience == Patience::None || began.elapsed() >= OUTAGE_LIMIT {
                return Err(error);
            }
            tracing::warn!(%error, "the ledger does not answer; trying again");
            sleep(WRITE_PAUSE).await;
        }
    }

    fn error<E>(&self, error: SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        Error::Table(TableError::service(&self.table.name, error))
    }
}

fn meta_of(item: &Item) -> Result<Meta, Error> {
    let work: Work = json(item, "work", "the ledger's stage")?;
    Ok(Meta {
        rev: number(item, REV),
        report: json(item, "report", "the ledger's report")?,
        attempt: number(item, "attempt"),
        created_at: word(item, "created_at").to_owned(),
        stage: work.stage,
        began_ms: work.began_ms,
    })
}
