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
use std::fmt;
use std::io::{self, Write};
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

/// Prints a line of a result on standard output.
fn say(line: impl fmt::Display) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

impl Cli {
    /// Runs the command. Whoever reads its results may stop reading: that is no failure.
    ///
    /// # Errors
    /// What keeps it from being done, as one line that says what to do.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let unread = |error: &Failure| {
            error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        };
        match self.command.run().await {
            Err(error) if unread(&error) => Ok(ExitCode::SUCCESS),
            other => other,
        }
    }
}

impl Command {
    async fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Demo(args) => Box::pin(args.run()).await,
            Self::Ingest(args) => Box::pin(args.run()).await,
            Self::Generate(args) => args.run(),
            Self::Table(args) => args.run().await,
        }
    }
}
