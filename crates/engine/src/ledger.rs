//! The ledger: the state of every ingestion, as items in the invoice table itself.
//!
//! | item | PK | SK | holds |
//! | --- | --- | --- | --- |
//! | ingestion | `J#<ingestion>` | `META` | report, attempt, stage |
//! | unit of work | `J#<ingestion>` | `S#<attempt>#<phase>#<number>` | lease, progress |
//! | claim | `O#<bucket>/<key>` | `O` | which version of the object is being ingested |
//!
//! Every write names the revision that it read (`swap`). So a late or repeated write changes nothing.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::error::Error;
use super::ledger_item::{DamagedItem, LedgerItem};
use super::machine::{Phase, Stage, Unit, UnitId};
use super::report::Report;
use notaflux_table::{Table, TableError, keys};
use notaflux_write::OUTAGE_LIMIT;

/// Pause between two attempts to write, in addition to the client's own retries.
const WRITE_PAUSE: Duration = Duration::from_secs(2);

/// Attribute of every item of the ledger: how often the item was written.
const REV: &str = "rev";

/// Sort key of a claim.
const OBJECT_SK: &str = "O";

type Item = HashMap<String, AttributeValue>;

/// The state of an ingestion, as the ledger holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Meta {
    /// Revision: the number of writes so far.
    pub rev: u64,
    /// The report so far.
    pub report: Report,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// When a worker first saw the ingestion, in UTC, RFC 3339.
    pub created_at: String,
    /// The current phase and the number of its units.
    pub stage: Stage,
    /// When this attempt began, and when its write pass began (0: not yet), in milliseconds since 1970.
    pub began_ms: (u64, u64),
}

/// The version of an object that is being ingested, or that was ingested last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Revision: the number of writes so far.
    pub rev: u64,
    /// The ingestion of that version.
    pub ingestion: String,
    /// When that version was stored.
    pub modified: Option<jiff::Timestamp>,
    /// The ingestion that this one replaced, until no call of that one can be under way any more.
    pub previous: Option<String>,
}

/// The result of a write that names the revision it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Swap {
    /// The item is written.
    Done,
    /// Another write came after that revision. Nothing is written.
    Lost,
}

/// How long to retry a write that gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteRetry {
    /// For [`OUTAGE_LIMIT`], as long as a batch of items: no later write records the same fact.
    Outage,
    /// Not at all: a newer write follows soon.
    Never,
}

/// The ledger in one table.
#[derive(Debug, Clone)]
pub struct Ledger {
    table: Table,
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn unit_prefix(attempt: u32, phase: Phase) -> String {
    format!("S#{attempt:04}#{}#", phase.as_str())
}

fn unit_sk(attempt: u32, id: UnitId) -> String {
    format!("{}{:06}", unit_prefix(attempt, id.phase), id.number)
}

/// The fields of a [`Meta`] that only workers use, stored as JSON in the attribute `work`.
#[derive(Serialize, Deserialize)]
struct WorkerState {
    stage: Stage,
    began_ms: (u64, u64),
}

impl Ledger {
    /// The ledger in `table`.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// Reads the state of an ingestion, if the ledger has it.
    ///
    /// # Errors
    /// An error of DynamoDB; an item that this program did not write.
    pub async fn meta(&self, ingestion: &str) -> Result<Option<Meta>, Error> {
        let found = self.get(&keys::ingestion_pk(ingestion), keys::INGESTION_SK).await?;
        found.map(|item| meta_of(&item)).transpose()
    }

    /// Reads the state of an ingestion that has begun.
    ///
    /// # Errors
    /// As [`Ledger::meta`]; no such item.
    pub(crate) async fn existing_meta(&self, ingestion: &str) -> Result<Meta, Error> {
        let found = self.meta(ingestion).await?;
        Ok(found.ok_or_else(|| DamagedItem::missing(keys::ingestion_pk(ingestion), keys::INGESTION_SK))?)
    }

    /// Writes the state of an ingestion, if its revision is still `meta.rev`.
    ///
    /// # Errors
    /// A refusal at once, an outage after [`OUTAGE_LIMIT`].
    pub(crate) async fn swap_meta(&self, meta: &Meta) -> Result<Swap, Error> {
        let report = serde_json::to_string(&meta.report).map_err(Error::corrupt("a report"))?;
        let work = WorkerState { stage: meta.stage, began_ms: meta.began_ms };
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
        self.swap(item, meta.rev, WriteRetry::Outage).await
    }

    /// Reads the units of one phase of an attempt that a worker has leased at least once.
    ///
    /// # Errors
    /// An error of DynamoDB; an item that this program did not write.
    pub async fn units(&self, ingestion: &str, attempt: u32, phase: Phase) -> Result<HashMap<UnitId, Unit>, Error> {
        let prefix = unit_prefix(attempt, phase);
        let query = self.table.client().query().table_name(&self.table.name).consistent_read(true);
        let query = query.key_condition_expression("PK = :pk AND begins_with(SK, :prefix)");
        let query = query.expression_attribute_values(":pk", text(keys::ingestion_pk(ingestion)));
        let mut pages = query.expression_attribute_values(":prefix", text(&prefix)).into_paginator().send();
        let mut units = HashMap::new();
        while let Some(page) = pages.next().await {
            // The SDK represents an empty page as an absent list.
            for item in page.map_err(|error| self.error(error))?.items.unwrap_or_default() {
                let item = LedgerItem::new(item)?;
                let number = item.sk().strip_prefix(&prefix).and_then(|number| number.parse().ok());
                let number = number
                    .ok_or_else(|| item.damaged("SK", "a unit's number at the end", format!("{:?}", item.sk())))?;
                units.insert(UnitId { phase, number }, unit_of(&item, phase)?);
            }
        }
        Ok(units)
    }

    /// Reads one unit of an attempt, if a worker has leased it at least once.
    ///
    /// # Errors
    /// An error of DynamoDB; an item that this program did not write.
    pub async fn unit(&self, ingestion: &str, attempt: u32, id: UnitId) -> Result<Option<Unit>, Error> {
        let found = self.get(&keys::ingestion_pk(ingestion), &unit_sk(attempt, id)).await?;
        Ok(found.map(|item| unit_of(&item, id.phase)).transpose()?)
    }

    /// Reads one unit of an attempt that a worker has leased.
    ///
    /// # Errors
    /// As [`Ledger::unit`]; no such item.
    pub(crate) async fn existing_unit(&self, ingestion: &str, attempt: u32, id: UnitId) -> Result<Unit, Error> {
        let found = self.unit(ingestion, attempt, id).await?;
        Ok(found.ok_or_else(|| DamagedItem::missing(keys::ingestion_pk(ingestion), &unit_sk(attempt, id)))?)
    }

    /// Writes a unit, if the revision in the ledger is the one before `unit.rev`.
    ///
    /// # Errors
    /// A refusal at once, an outage after the time of `retry`.
    pub async fn swap_unit(
        &self,
        ingestion: &str,
        attempt: u32,
        id: UnitId,
        unit: &Unit,
        retry: WriteRetry,
    ) -> Result<Swap, Error> {
        let body = serde_json::to_string(unit).map_err(Error::corrupt("a unit"))?;
        let item = HashMap::from([
            ("PK".to_owned(), text(keys::ingestion_pk(ingestion))),
            ("SK".to_owned(), text(unit_sk(attempt, id))),
            ("unit".to_owned(), text(body)),
        ]);
        self.swap(item, unit.rev.saturating_sub(1), retry).await
    }

    /// Reads which version of the object called `name` is being ingested.
    ///
    /// # Errors
    /// An error of DynamoDB; an item that this program did not write.
    pub async fn claim(&self, name: &str) -> Result<Option<Claim>, Error> {
        let Some(item) = self.get(&keys::object_pk(name), OBJECT_SK).await? else { return Ok(None) };
        Ok(Some(Claim {
            rev: item.count(REV)?,
            ingestion: item.text("ingestion")?.to_owned(),
            modified: item.optional_time("modified")?,
            previous: item.optional_text("previous")?.map(str::to_owned),
        }))
    }

    /// Writes which version is being ingested, if the revision is still `claim.rev`.
    ///
    /// # Errors
    /// A refusal at once, an outage after [`OUTAGE_LIMIT`].
    pub async fn swap_claim(&self, name: &str, claim: &Claim) -> Result<Swap, Error> {
        let mut item = HashMap::from([
            ("PK".to_owned(), text(keys::object_pk(name))),
            ("SK".to_owned(), text(OBJECT_SK)),
            ("ingestion".to_owned(), text(&claim.ingestion)),
        ]);
        item.extend(claim.modified.map(|modified| ("modified".to_owned(), text(modified.to_string()))));
        item.extend(claim.previous.as_ref().map(|previous| ("previous".to_owned(), text(previous))));
        self.swap(item, claim.rev, WriteRetry::Outage).await
    }

    /// Lists the ingestions that were first seen in a month (`yyyymm`), newest first, up to `limit`.
    ///
    /// # Errors
    /// An error of DynamoDB; a table without the month index; an item that this program did not write.
    pub async fn of_month(&self, month: &str, limit: i32) -> Result<Vec<Meta>, Error> {
        let query = self.table.client().query().table_name(&self.table.name).index_name("month");
        let query = query.key_condition_expression("MK = :mk").scan_index_forward(false).limit(limit);
        let found = query.expression_attribute_values(":mk", text(keys::ingestions_of(month))).send().await;
        // The SDK represents an empty page as an absent list.
        let items = found.map_err(|error| self.error(error))?.items.unwrap_or_default();
        items.into_iter().map(|item| meta_of(&LedgerItem::new(item)?)).collect()
    }

    async fn get(&self, pk: &str, sk: &str) -> Result<Option<LedgerItem>, Error> {
        let get = self.table.client().get_item().table_name(&self.table.name).consistent_read(true);
        let got = get.key("PK", text(pk)).key("SK", text(sk)).send().await;
        let item = got.map_err(|error| self.error(error))?.item;
        Ok(item.map(LedgerItem::new).transpose()?)
    }

    /// Puts an item in place of its revision `over`; 0 means that there is no item. Retries are safe: once the item is
    /// written, the same write loses. If the answer to a write is lost, its retry returns [`Swap::Lost`] although the
    /// write succeeded. So callers read the item again.
    async fn swap(&self, mut item: Item, over: u64, retry: WriteRetry) -> Result<Swap, Error> {
        item.insert(REV.to_owned(), AttributeValue::N((over + 1).to_string()));
        let began = Instant::now();
        loop {
            let put = self.table.client().put_item().table_name(&self.table.name).set_item(Some(item.clone()));
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
            if error.is_permanent() || retry == WriteRetry::Never || began.elapsed() >= OUTAGE_LIMIT {
                return Err(error);
            }
            tracing::warn!(%error, "the ledger does not answer; retrying");
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

/// The error for a report in the ledger whose source names neither a file nor an object.
pub(crate) fn sourceless(ingestion: &str) -> DamagedItem {
    let pk = keys::ingestion_pk(ingestion);
    DamagedItem::new(pk, keys::INGESTION_SK, "report", "a source with a path, or with bucket and key", "neither")
}

fn meta_of(item: &LedgerItem) -> Result<Meta, Error> {
    let state: WorkerState = item.json("work")?;
    Ok(Meta {
        rev: item.count(REV)?,
        report: item.json("report")?,
        attempt: item.count("attempt")?,
        created_at: item.text("created_at")?.to_owned(),
        stage: state.stage,
        began_ms: state.began_ms,
    })
}

/// Reads a unit of `phase`. Its revision is in the item twice: the condition of a write compares the attribute, and the
/// worker knows the one in the JSON.
fn unit_of(item: &LedgerItem, phase: Phase) -> Result<Unit, DamagedItem> {
    let rev: u64 = item.count(REV)?;
    let unit: Unit = item.json("unit")?;
    if unit.rev != rev {
        return Err(item.damaged(REV, "the revision that the attribute unit has", format!("{rev}, not {}", unit.rev)));
    }
    if Phase::of(&unit.progress) != phase {
        let found = format!("progress of the phase {}", Phase::of(&unit.progress).as_str());
        return Err(item.damaged("unit", "progress of the phase that SK names", found));
    }
    Ok(unit)
}

#[cfg(test)]
mod tests;
