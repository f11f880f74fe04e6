//! The command line: parses the arguments, runs a command and prints its result.
//!
//! Results go to standard output. Progress and errors go to standard error. Exit codes: 0 done, 1 failed, 2 wrong use,
//! 130 interrupted.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `demo`, `serve`, `ingest`, `check`, `generate`, `table`, `query`, `ingestions`, `layouts` | one command each |
//! | `backend` | the services, the table and the work store that a command uses |
//! | `worker` | a worker of `serve` |
//! | `bar`, `progress` | progress on standard error |
//! | `summary` | reports as text |
//! | `arguments` | argument values that several commands parse |
//! | `cursor_key` | the keys of cursors |
//! | `http` | a GET request |
//! | `stop` | Ctrl-C and SIGTERM |
//! | `output`, `failure` | how commands print and fail |

mod arguments;
mod backend;
mod bar;
mod check;
mod cursor_key;
mod demo;
mod failure;
mod generate;
mod http;
mod ingest;
mod ingestions;
mod layouts;
mod output;
mod progress;
mod query;
mod serve;
mod stop;
mod summary;
mod table;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use notaflux_logs as logs;

use crate::failure::{Failure, WRONG_USE_CODE, WrongUse};

/// Streams invoice dumps into DynamoDB and serves them page by page.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// Format of the log lines on standard error; json has more details
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
    /// Run everything once on this machine, with a generated sample
    Demo(demo::Args),
    /// Run embedded S3, DynamoDB and the API; ingest every object uploaded to the bucket "uploads"
    Serve(serve::Args),
    /// Ingest a file, an S3 object or standard input
    Ingest(ingest::Args),
    /// Show what a file contains, what would be written and what that costs; writes nothing
    Check(check::Args),
    /// Write realistic invoices for tests; the same seed gives the same bytes
    Generate(generate::Args),
    /// Create, show or delete the table
    Table(table::Args),
    /// List and show invoices, lines, events, ingestions and rejects, as the API does
    Query(query::Args),
    /// List, show or cancel ingestions
    Ingestions(ingestions::Args),
    /// List or print layouts
    Layouts(layouts::Args),
}

impl Cli {
    /// Runs the command. Prints the cause of a failure on standard error. If the reader of the results closes the pipe,
    /// that is not a failure.
    pub async fn run(self) -> ExitCode {
        match self.log_format {
            LogFormat::Text => logs::for_people(),
            LogFormat::Json => logs::as_json_on_stderr(),
        }
        let is_closed_pipe = |error: &Failure| {
            error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        };
        match self.command.run().await {
            Ok(code) => code,
            Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => {
                match self.log_format {
                    // If standard error is closed, only the exit code reports the failure.
                    LogFormat::Text => writeln!(logs::Masked(io::stderr()), "notaflux: {error}").unwrap_or_default(),
                    LogFormat::Json => tracing::error!("{error}"),
                }
                if error.is::<WrongUse>() { ExitCode::from(WRONG_USE_CODE) } else { ExitCode::FAILURE }
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
