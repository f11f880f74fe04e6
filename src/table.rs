//! `notaflux table`: creates, shows and deletes the table.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Subcommand;

use super::arguments;
use super::backend::TableArgs;
use super::summary::grouped;
use crate::failure::Failure;
use crate::output::print_line;
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
    /// Create the table with its indexes
    Create {
        #[command(flatten)]
        target: TableArgs,
        /// Number of partitions over which each index key is spread; cannot be changed later
        #[arg(long, value_name = "S", default_value_t = Schema::default().shards, value_parser = clap::value_parser!(u16).range(1..=256))]
        shards: u16,
        /// Indexes to create: issuer, recipient, month, state, or none; each index that an invoice appears in costs
        /// write units
        #[arg(long, value_name = "LIST", default_value = "issuer,recipient,month,state", value_parser = arguments::index_set)]
        indexes: IndexSet,
    },
    /// Show the status, the indexes and the size of the table
    Show {
        #[command(flatten)]
        target: TableArgs,
    },
    /// Delete the table with all its items
    Delete {
        #[command(flatten)]
        target: TableArgs,
        /// Delete without asking
        #[arg(long)]
        yes: bool,
    },
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let (Command::Create { target, .. } | Command::Show { target } | Command::Delete { target, .. }) =
            &self.command;
        let (services, name) = target.open().await?;
        let client = aws::dynamodb_worker(&services.dynamodb);
        match &self.command {
            Command::Create { shards, indexes, .. } => {
                let schema = Schema { shards: *shards, indexes: *indexes, ..Schema::default() };
                let table = table::create(client, name, schema).await?;
                print_line(format!("table {} is ready: {} shards, indexes {}", table.name, shards, indexes))?;
            }
            Command::Show { .. } => {
                let found = table::describe(&client, &name).await?;
                print_line(format!("table {name}\n  status   {}\n  items    {}", found.status, counted(found.items)))?;
                print_line(format!(
                    "  bytes    {}\n  shards   {}\n  indexes  {}",
                    counted(found.size_bytes),
                    found.schema.shards,
                    found.schema.indexes
                ))?;
            }
            Command::Delete { yes, .. } if *yes || confirmed(&name)? => {
                table::delete(&client, &name).await?;
                print_line(format!("table {name} is deleted"))?;
            }
            Command::Delete { .. } => return Err(format!("table {name} was not deleted; confirm with --yes").into()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Formats a number that `DynamoDB` may leave out.
fn counted(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), grouped)
}

fn confirmed(name: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("Delete table {name} with all its items? Type the name of the table: ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == name)
}
