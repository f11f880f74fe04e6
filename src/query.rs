//! `notaflux query`: prints what the API answers.
//!
//! | file | what it does |
//! | --- | --- |
//! | `request` | turns arguments into a path and parameters of the API |
//! | `client` | sends requests to the API's router in this process |
//! | `refusal` | turns errors of the API into messages of the command line |
//! | `printer` | prints lists as NDJSON, JSON, CSV and tables |
//! | `columns` | the columns of tables |
//! | `table` | aligns rows and fits them to a terminal |
//! | `readable` | prints a single resource as indented lines |
//! | `json` | JSON for a terminal |

mod client;
mod columns;
mod json;
mod printer;
mod readable;
mod refusal;
mod request;
mod table;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use console::Term;

use super::backend::{Services, TableArgs};
use super::cursor_key;
use crate::failure::Failure;
use client::Client;
use notaflux_api::{Api, CursorKeys};
use notaflux_aws as aws;
use notaflux_table::Table;
use printer::Printer;
use request::{IngestionArgs, InvoiceArgs, Request, Resource};

/// Elements per page with `--all`: the limit of the API.
const LIMIT_OF_ALL: usize = notaflux_api::parameters::LIMIT_MOST;

/// Arguments of `notaflux query`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    query: Query,
}

#[derive(Debug, Subcommand)]
enum Query {
    /// List invoices that match all given options; give --issuer, --recipient, --month or --status
    Invoices {
        #[command(flatten)]
        which: Box<InvoiceArgs>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show an invoice with its first 100 lines and its first 100 events
    Invoice(OneArgs),
    /// List the lines of an invoice
    Lines {
        #[command(flatten)]
        of: IdArgs,
        #[command(flatten)]
        list: ListArgs,
    },
    /// List the events of an invoice
    Events {
        #[command(flatten)]
        of: IdArgs,
        #[command(flatten)]
        list: ListArgs,
    },
    /// List ingestions, the newest first
    Ingestions {
        #[command(flatten)]
        which: IngestionArgs,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show the report of an ingestion
    Ingestion(OneArgs),
    /// List the records that an ingestion rejected, in the order of the source
    Rejects {
        #[command(flatten)]
        of: IdArgs,
        #[command(flatten)]
        list: ListArgs,
    },
}

/// The argument that names an invoice or an ingestion.
#[derive(Debug, clap::Args)]
struct IdArgs {
    /// Id of the invoice or the ingestion
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
}

/// Arguments of a list.
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Elements per page, from 1 to 1000 [default: 50; with --all 1000]
    #[arg(long, value_name = "N")]
    limit: Option<String>,
    /// Print the page at this cursor; the other options must be those that gave the cursor, except --limit
    #[arg(long, value_name = "C")]
    cursor: Option<String>,
    /// Print all pages
    #[arg(long)]
    all: bool,
    /// Output format [default: table on a terminal, ndjson elsewhere]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<ListFormat>,
    #[command(flatten)]
    target: TableArgs,
}

/// Arguments of a single resource.
#[derive(Debug, clap::Args)]
struct OneArgs {
    #[command(flatten)]
    of: IdArgs,
    /// Output format [default: table on a terminal, json elsewhere]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<OneFormat>,
    #[command(flatten)]
    target: TableArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// Aligned columns; on a terminal, only those that fit
    Table,
    /// One object with the elements in `items`, and `next_cursor` if more follow
    Json,
    /// One JSON object per line
    Ndjson,
    /// A header row, then one row per element
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OneFormat {
    /// Indented lines, with lists as tables
    Table,
    /// Indented JSON
    Json,
    /// JSON on one line
    Ndjson,
}

/// Properties of standard output.
#[derive(Debug, Clone, Copy)]
struct Screen {
    is_terminal: bool,
    /// Columns of the terminal. `None` if lines may have any length.
    width: Option<usize>,
}

impl Screen {
    fn of_stdout() -> Self {
        let is_terminal = io::stdout().is_terminal();
        let size = if is_terminal { Term::stdout().size_checked() } else { None };
        Self { is_terminal, width: size.map(|(_, columns)| usize::from(columns)) }
    }
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let screen = Screen::of_stdout();
        match self.query {
            Query::Invoices { which, list } => list.run(Request::invoices(&which), screen).await,
            Query::Lines { of, list } => list.run(Request::of_id(Resource::Lines, &of.id), screen).await,
            Query::Events { of, list } => list.run(Request::of_id(Resource::Events, &of.id), screen).await,
            Query::Ingestions { which, list } => list.run(Request::ingestions(&which), screen).await,
            Query::Rejects { of, list } => list.run(Request::of_id(Resource::Rejects, &of.id), screen).await,
            Query::Invoice(one) => one.run(Resource::Invoices, screen).await,
            Query::Ingestion(one) => one.run(Resource::Ingestions, screen).await,
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ListArgs {
    async fn run(self, request: Request, screen: Screen) -> Result<(), Failure> {
        let default = if screen.is_terminal { ListFormat::Table } else { ListFormat::Ndjson };
        let format = self.format.unwrap_or(default);
        let limit = self.limit.or_else(|| self.all.then(|| LIMIT_OF_ALL.to_string()));
        let request = request.with("limit", limit.as_deref()).with("cursor", self.cursor.as_deref());
        let printer: Box<dyn Printer> = match format {
            ListFormat::Table => Box::new(printer::Rows::new(request.resource.columns(), screen.width)),
            ListFormat::Json => Box::new(printer::Document::default()),
            ListFormat::Ndjson => Box::new(printer::Ndjson::new(screen.is_terminal)),
            ListFormat::Csv => Box::new(printer::Csv::new(screen.is_terminal)),
        };
        // The services must live until the last request.
        let (client, _services) = open(&self.target).await?;
        let with_remarks = format == ListFormat::Table || io::stderr().is_terminal();
        walk(&client, request, self.all, printer, with_remarks).await
    }
}

impl OneArgs {
    async fn run(self, resource: Resource, screen: Screen) -> Result<(), Failure> {
        let default = if screen.is_terminal { OneFormat::Table } else { OneFormat::Json };
        let (client, _services) = open(&self.target).await?;
        let answer = client.get(&Request::of_id(resource, &self.of.id), printer::JSON).await?;
        let text = str::from_utf8(&answer.body)?;
        match self.format.unwrap_or(default) {
            OneFormat::Table => {
                let value = serde_json::from_str(text)?;
                print(&readable::text(&value, screen.width))?;
                print_remarks(&readable::remarks(&value, &self.of.id))
            }
            OneFormat::Json => print(&(json::indented(text, 0)? + "\n")),
            OneFormat::Ndjson if screen.is_terminal => print(&format!("{}\n", json::shown(text))),
            OneFormat::Ndjson => print(&format!("{text}\n")),
        }
    }
}

/// Opens the API on the table that the user named.
async fn open(target: &TableArgs) -> Result<(Client, Services), Failure> {
    let (services, name) = target.open().await?;
    let table = Table::open_to_read(aws::dynamodb_reader(&services.dynamodb), name).await?;
    let api = Api::new(table, aws::s3_reader(&services.s3), cursor_keys(target, &services)?);
    Ok((Client::new(notaflux_api::router(api)), services))
}

/// Returns the keys of the API that serves the same folder, so that each accepts the cursors of the other.
fn cursor_keys(target: &TableArgs, services: &Services) -> Result<CursorKeys, Failure> {
    match &services.stack {
        _ if target.table.is_some() => cursor_key::of_tables(),
        Some(stack) => cursor_key::in_folder(stack.folder()),
        None => cursor_key::of_server_in(&target.data),
    }
}

/// Prints a page; with `all`, also all following pages. Each page is printed before the next one is requested.
async fn walk(
    client: &Client,
    mut request: Request,
    all: bool,
    mut printer: Box<dyn Printer>,
    with_remarks: bool,
) -> Result<(), Failure> {
    let mut is_first = true;
    let next = loop {
        let answer = match client.get(&request, printer.media_type()).await {
            Err(failure) if !is_first => return Err(interrupted(&failure, &request).into()),
            answer => answer?,
        };
        print(&printer.page(&answer.body)?)?;
        is_first = false;
        match answer.next {
            Some(next) if all => request = request.with("cursor", Some(&next)),
            next => break next,
        }
    };
    print(&printer.end(next.as_deref())?)?;
    let mut remarks = printer.remarks();
    remarks.extend(next.map(|cursor| format!("more may follow: add --cursor {cursor}, or --all for all pages")));
    if with_remarks { print_remarks(&remarks) } else { Ok(()) }
}

/// Prints remarks on standard error. They are not masked: a masked cursor would not work, and cursors are not secret.
fn print_remarks(remarks: &[String]) -> Result<(), Failure> {
    for remark in remarks {
        writeln!(io::stderr(), "notaflux: {remark}")?;
    }
    Ok(())
}

/// Adds to a failure how to resume the output.
fn interrupted(failure: &Failure, request: &Request) -> String {
    // Every page except the first one has a cursor.
    let cursor = request.parameter("cursor").unwrap_or_default();
    format!("{failure}; the printed pages are complete, and --cursor {cursor} resumes after them")
}

/// Prints a part of a result without changes.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}
