//! The command line: arguments, what each command composes, and what it prints.
//!
//! Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 failed, 2 wrong use.

mod bar;
mod demo;
mod generate;
mod http;
mod ingest;
mod place;
mod summary;
mod table;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a command ends with when it fails: one line for people.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Streams invoice dumps into DynamoDB and serves them page by page.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole thing on this machine: embedded S3 and DynamoDB, a generated sample, queries
    Demo(demo::Args),
    /// Ingest a file, an S3 object or standard input
    Ingest(ingest::Args),
    /// Write seeded, realistic invoices
    Generate(generate::Args),
    /// Create, show or delete the table
    Table(table::Args),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// What keeps it from being done, as one line that says what to do.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Demo(args) => Box::pin(args.run()).await,
            Command::Ingest(args) => Box::pin(args.run()).await,
            Command::Generate(args) => args.run(),
            Command::Table(args) => args.run().await,
        }
    }
}
