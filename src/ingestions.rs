//! `notaflux ingestions`: lists, shows and cancels ingestions.

use std::process::ExitCode;

use clap::Subcommand;

use super::backend::TableArgs;
use super::summary::{self, grouped};
use crate::failure::Failure;
use crate::output::print_line;
use notaflux_aws as aws;
use notaflux_engine::claim;
use notaflux_engine::ledger::{Ledger, Meta};
use notaflux_engine::machine::Phase;
use notaflux_engine::progress::Progress;
use notaflux_table::ingestion::IngestionState;
use notaflux_table::{Table, keys};

/// Ingestions that are listed by default.
const DEFAULT_LIMIT: i32 = 50;

/// Months that are searched, from the current month backwards.
const MONTHS: usize = 24;

/// Arguments of `notaflux ingestions`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    target: TableArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the newest ingestions (the default)
    List {
        #[command(flatten)]
        target: TableArgs,
        /// List at most this many
        #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
        limit: i32,
    },
    /// Show the report of one ingestion and the progress of its work
    Show {
        /// Id of the ingestion
        id: String,
        #[command(flatten)]
        target: TableArgs,
    },
    /// Cancel an ingestion that has not ended; records that it has written stay
    Cancel {
        /// Id of the ingestion
        id: String,
        #[command(flatten)]
        target: TableArgs,
    },
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let command = self.command.unwrap_or(Command::List { target: self.target, limit: DEFAULT_LIMIT });
        let (Command::List { target, .. } | Command::Show { target, .. } | Command::Cancel { target, .. }) = &command;
        let (services, name) = target.open().await?;
        let table = Table::open_to_read(aws::dynamodb_worker(&services.dynamodb), name).await?;
        match &command {
            Command::List { limit, .. } => list(&table, *limit).await?,
            Command::Show { id, .. } => show(&table, id).await?,
            Command::Cancel { id, .. } => {
                let closed = claim::close(&Ledger::new(table), id, IngestionState::Cancelled).await?;
                let meta = closed.ok_or_else(|| unknown(id))?;
                if meta.report.state != IngestionState::Cancelled {
                    return Err(format!("ingestion {id} is already {}", meta.report.state.as_str()).into());
                }
                print_line(format!("ingestion {id} is cancelled; its workers stop at their next checkpoint"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn unknown(id: &str) -> Failure {
    format!("no ingestion has the id {id:?}; list the ids with notaflux ingestions").into()
}

async fn list(table: &Table, limit: i32) -> Result<(), Failure> {
    if !table.schema.indexes.month {
        return Err(
            "the table has no month index, so its ingestions cannot be listed; use notaflux ingestions show ID".into(),
        );
    }
    let ledger = Ledger::new(table.clone());
    let mut left = limit;
    for month in keys::months_back_from(&jiff::Timestamp::now().strftime("%Y%m").to_string()).take(MONTHS) {
        let found = ledger.of_month(&month, left).await?;
        left = left.saturating_sub_unsigned(u32::try_from(found.len())?);
        for meta in found {
            print_line(line(&meta))?;
        }
        if left <= 0 {
            break;
        }
    }
    if left == limit {
        print_line("no ingestions yet; start one with notaflux ingest FILE")?;
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
    print_line(summary::of_report(&meta.report))?;
    if let Some(cause) = &meta.report.cause {
        print_line(format!("  {:<16}{cause}", "cause"))?;
    }
    print_line(format!("  {:<16}{}", "attempt", meta.attempt))?;
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
                Progress::Finalize { block } => format!("{} blocks", grouped(block)),
            };
            let done = if unit.done { ", done" } else { "" };
            print_line(format!(
                "  {:<16}{at}{done}, worker {}",
                format!("{} {}", phase.as_str(), id.number),
                unit.hop
            ))?;
        }
    }
    Ok(())
}
