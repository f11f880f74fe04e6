//! `notaflux ingestions`: the ledger.

use std::process::ExitCode;

use clap::Subcommand;

use super::place::TableArgs;
use super::summary::{self, grouped};
use super::{Failure, say};
use notaflux_aws as aws;
use notaflux_engine::claim;
use notaflux_engine::ledger::{Ledger, Meta};
use notaflux_engine::machine::Phase;
use notaflux_engine::progress::Progress;
use notaflux_table::ingestion::IngestionState;
use notaflux_table::{Table, keys};

/// Ingestions that are listed if nothing else is asked for.
const LISTED: i32 = 50;

/// Months that are looked through for them, the current one first.
const MONTHS: usize = 24;

/// Arguments of `notaflux ingestions`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    place: TableArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The newest ingestions
    List {
        #[command(flatten)]
        place: TableArgs,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = LISTED)]
        limit: i32,
    },
    /// The report of one ingestion, and how far its work is
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        place: TableArgs,
    },
    /// End an ingestion that is not over; what it has put stays
    Cancel {
        /// Its id
        id: String,
        #[command(flatten)]
        place: TableArgs,
    },
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let command = self.command.unwrap_or(Command::List { place: self.place, limit: LISTED });
        let (Command::List { place, .. } | Command::Show { place, .. } | Command::Cancel { place, .. }) = &command;
        let (services, name) = place.open().await?;
        let table = Table::open_to_read(aws::dynamodb_worker(&services.dynamodb), name).await?;
        match &command {
            Command::List { limit, .. } => list(&table, *limit).await?,
            Command::Show { id, .. } => show(&table, id).await?,
            Command::Cancel { id, .. } => {
                let closed = claim::close(&Ledger::new(table), id, IngestionState::Cancelled).await?;
                let meta = closed.ok_or_else(|| unknown(id))?;
                if meta.report.state != IngestionState::Cancelled {
                    return Err(format!("ingestion {id} is {} already", meta.report.state.as_str()).into());
                }
                say(format!("ingestion {id} is cancelled: its workers stop at their next checkpoint"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn unknown(id: &str) -> Failure {
    format!("no ingestion has the id {id:?}; see notaflux ingestions list").into()
}

async fn list(table: &Table, limit: i32) -> Result<(), Failure> {
    if !table.schema.indexes.month {
        return Err(
            "this table has no month index to list ingestions by; notaflux ingestions show ID does without".into()
        );
    }
    let ledger = Ledger::new(table.clone());
    let mut left = limit;
    for month in keys::months_back_from(&jiff::Timestamp::now().strftime("%Y%m").to_string()).take(MONTHS) {
        let found = ledger.of_month(&month, left).await?;
        left -= i32::try_from(found.len()).unwrap_or(left);
        for meta in found {
            say(line(&meta))?;
        }
        if left <= 0 {
            break;
        }
    }
    if left == limit {
        say("no ingestions yet; notaflux ingest FILE begins one")?;
    }
    Ok(())
}

fn line(meta: &Meta) -> String {
    let report = &meta.report;
    let (state, source) = (report.state.as_str(), &report.source);
    format!("{}  {}  {state:<10}  {:>12}  {source}", report.ingestion, meta.created_at, grouped(report.records_read))
}

async fn show(table: &Table, id: &str) -> Result<(), Failure> {
    let ledger = Ledger::new(table.clone());
    let meta = ledger.meta(id).await?.ok_or_else(|| unknown(id))?;
    say(summary::of_report(&meta.report))?;
    if let Some(cause) = &meta.report.cause {
        say(format!("  {:<16}{cause}", "cause"))?;
    }
    say(format!("  {:<16}{}", "attempt", meta.attempt))?;
    if meta.report.state.is_end() {
        return Ok(());
    }
    for phase in Phase::ALL {
        let mut units: Vec<_> = ledger.units(id, meta.attempt, phase).await?.into_iter().collect();
        units.sort_by_key(|(id, _)| id.number);
        for (id, unit) in units {
            let at = match unit.progress {
                Progress::Survey { cursor, .. } | Progress::Write { cursor, .. } => {
                    format!("{} records, byte {}", grouped(cursor.record), grouped(cursor.byte))
                }
                Progress::Merge(found) => format!("{} keys", grouped(found.written)),
                Progress::Settle { block } => format!("{} blocks", grouped(block)),
            };
            let done = if unit.done { ", done" } else { "" };
            say(format!("  {:<16}{at}{done}, worker {}", format!("{} {}", phase.as_str(), id.number), unit.hop))?;
        }
    }
    Ok(())
}
