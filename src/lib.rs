//! The command line: arguments, what each command composes, and what it prints.
//!
//! Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 failed, 2 wrong use,
//! 130 interrupted.

mod bar;
mod check;
mod cursor_key;
mod demo;
mod generate;
mod http;
mod ingest;
mod ingestions;
mod layouts;
mod place;
mod progress;
mod query;
mod serve;
mod stop;
mod summary;
mod table;
mod worker;

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use notaflux_logs as logs;

/// What a command ends with when it fails: one line for people.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Streams invoice dumps into DynamoDB and serves them page by page.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// How log lines look on standard error: text for people, or json, which tells more
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", env = "NOTAFLUX_LOG_FORMAT")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole thing on this machine: embedded S3 and DynamoDB, a generated sample, queries
    Demo(demo::Args),
    /// Serve embedded S3 and DynamoDB and the API; ingest what is put into the uploads bucket
    Serve(serve::Args),
    /// Ingest a file, an S3 object or standard input
    Ingest(ingest::Args),
    /// Say what a file is, what would become of it and what that would cost; writes nothing
    Check(check::Args),
    /// Write seeded, realistic invoices
    Generate(generate::Args),
    /// Create, show or delete the table
    Table(table::Args),
    /// Ask for invoices, their lines and events, ingestions and rejects, as the API answers
    Query(query::Args),
    /// List, show or cancel ingestions
    Ingestions(ingestions::Args),
    /// List or print layouts
    Layouts(layouts::Args),
}

/// Exit code of wrong use, as the parser of arguments has it.
const WRONG_USE: u8 = 2;

/// A failure for which the arguments are to blame.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUse(String);

/// Prints a line of a result on standard output.
fn say(line: impl fmt::Display) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

impl Cli {
    /// Runs the command and says on standard error why it failed, if it did. Whoever reads its results may stop
    /// reading: that is no failure.
    pub async fn run(self) -> ExitCode {
        match self.log_format {
            LogFormat::Text => logs::for_people(),
            LogFormat::Json => logs::as_json_on_stderr(),
        }
        let unread = |error: &Failure| {
            error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        };
        match self.command.run().await {
            Ok(code) => code,
            Err(error) if unread(&error) => ExitCode::SUCCESS,
            Err(error) => {
                match self.log_format {
                    // With nobody at the other end the exit code has to do.
                    LogFormat::Text => writeln!(logs::Masked(io::stderr()), "notaflux: {error}").unwrap_or_default(),
                    LogFormat::Json => tracing::error!("{error}"),
                }
                if error.is::<WrongUse>() { ExitCode::from(WRONG_USE) } else { ExitCode::FAILURE }
            }
        }
    }
}

impl Command {
    async fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Demo(args) => Box::pin(args.run()).await,
            Self::Serve(args) => Box::pin(args.run()).await,
            Self::Ingest(args) => Box::pin(args.run()).await,
            Self::Check(args) => Box::pin(args.run()).await,
            Self::Generate(args) => args.run(),
            Self::Table(args) => args.run().await,
            Self::Query(args) => Box::pin(args.run()).await,
            Self::Ingestions(args) => args.run().await,
            Self::Layouts(args) => args.run(),
        }
    }
}
