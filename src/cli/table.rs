//! `notaflux table`

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Subcommand;

use super::Failure;
use super::place::{EMBEDDED_TABLE, embedded_stack};
use super::summary::grouped;
use crate::aws;
use crate::local::stack::Stack;
use crate::table::{self, IndexSet, Schema};

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
        place: Which,
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
        place: Which,
    },
    /// Delete it with all that is in it
    Delete {
        #[command(flatten)]
        place: Which,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which table.
#[derive(Debug, clap::Args)]
struct Which {
    /// Folder of the embedded S3 and DynamoDB
    #[arg(long, value_name = "DIR", default_value = "notaflux-data")]
    data: std::path::PathBuf,
    /// A table in AWS, by the environment's region, credentials and endpoint (`AWS_ENDPOINT_URL`)
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
}

fn index_set(text: &str) -> Result<IndexSet, String> {
    IndexSet::parse(text).ok_or_else(|| "expected a list like issuer,month, or none".to_owned())
}

impl Which {
    async fn open(&self) -> Result<(Option<Stack>, aws_sdk_dynamodb::Client, String), Failure> {
        if let Some(name) = &self.table {
            return Ok((None, aws::dynamodb_reader(&aws::config().await), name.clone()));
        }
        let stack = embedded_stack(&self.data).await?;
        let client = aws::dynamodb_reader(&stack.sdk_config());
        Ok((Some(stack), client, EMBEDDED_TABLE.to_owned()))
    }
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let (Command::Create { place, .. } | Command::Show { place } | Command::Delete { place, .. }) = &self.command;
        let (stack, client, name) = place.open().await?;
        let done = match &self.command {
            Command::Create { shards, indexes, .. } => {
                let schema = Schema { shards: *shards, indexes: *indexes, ..Schema::default() };
                let table = table::create(client, name, schema).await?;
                println!("table {} is ready: {} shards, indexes {}", table.name, shards, indexes);
                ExitCode::SUCCESS
            }
            Command::Show { .. } => {
                let found = table::describe(&client, &name).await?;
                println!("table {name}\n  status   {}\n  items    {}", found.status, grouped(found.items));
                println!("  bytes    {}\n  shards   {}\n  indexes  {}", grouped(found.size_bytes), found.schema.shards, found.schema.indexes);
                ExitCode::SUCCESS
            }
            Command::Delete { yes, .. } if *yes || confirmed(&name)? => {
                table::delete(&client, &name).await?;
                println!("table {name} is deleted");
                ExitCode::SUCCESS
            }
            Command::Delete { .. } => return Err(format!("table {name} was not deleted: confirm with --yes").into()),
        };
        if let Some(stack) = stack {
            stack.stop().await;
        }
        Ok(done)
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
