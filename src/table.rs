//! `notaflux table`

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Subcommand;

use super::place::TableArgs;
use super::summary::grouped;
use super::{Failure, say};
use notaflux_aws as aws;
use notaflux_table::{self as table, IndexSet, Schema};

/// Arguments of `notaflux table`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the table with its indexes
    Create {
        #[command(flatten)]
        place: TableArgs,
        /// Partitions that each index key is spread over; cannot be changed later
        #[arg(long, value_name = "S", default_value_t = Schema::default().shards, value_parser = clap::value_parser!(u16).range(1..=256))]
        shards: u16,
        /// Indexes to make, each a write unit an invoice: issuer, recipient, month, state, or none
        #[arg(long, value_name = "LIST", default_value = "issuer,recipient,month,state", value_parser = index_set)]
        indexes: IndexSet,
    },
    /// Show its state, indexes and size
    Show {
        #[command(flatten)]
        place: TableArgs,
    },
    /// Delete it with all that is in it
    Delete {
        #[command(flatten)]
        place: TableArgs,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn index_set(text: &str) -> Result<IndexSet, String> {
    IndexSet::parse(text).ok_or_else(|| "expected a list like issuer,month, or none".to_owned())
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let (Command::Create { place, .. } | Command::Show { place } | Command::Delete { place, .. }) = &self.command;
        let (services, name) = place.open().await?;
        let client = aws::dynamodb_worker(&services.dynamodb);
        match &self.command {
            Command::Create { shards, indexes, .. } => {
                let schema = Schema { shards: *shards, indexes: *indexes, ..Schema::default() };
                let table = table::create(client, name, schema).await?;
                say(format!("table {} is ready: {} shards, indexes {}", table.name, shards, indexes))?;
            }
            Command::Show { .. } => {
                let found = table::describe(&client, &name).await?;
                say(format!("table {name}\n  status   {}\n  items    {}", found.status, grouped(found.items)))?;
                say(format!(
                    "  bytes    {}\n  shards   {}\n  indexes  {}",
                    grouped(found.size_bytes),
                    found.schema.shards,
                    found.schema.indexes
                ))?;
            }
            Command::Delete { yes, .. } if *yes || confirmed(&name)? => {
                table::delete(&client, &name).await?;
                say(format!("table {name} is deleted"))?;
            }
            Command::Delete { .. } => return Err(format!("table {name} was not deleted: confirm with --yes").into()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn confirmed(name: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("Delete table {name} with all that is in it? Type its name: ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == name)
}
