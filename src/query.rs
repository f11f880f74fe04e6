//! `notaflux query`: what the API answers, for people and for pipes.
//!
//! | file | what it does |
//! | --- | --- |
//! | `request` | arguments as a path and parameters of the API |
//! | `client` | asks the API's own router, in this process |
//! | `refusal` | what the API refuses, in the words of the command line |
//! | `form` | answers as NDJSON, JSON and CSV |
//! | `columns` | which columns lists have as tables |
//! | `table` | rows that line up and fit a terminal |
//! | `readable` | one thing as indented lines |
//! | `json` | JSON for eyes |

mod client;
mod columns;
mod form;
mod json;
mod readable;
mod refusal;
mod request;
mod table;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use console::Term;

use super::place::{Services, TableArgs};
use super::{Failure, cursor_key};
use client::Client;
use form::Form;
use notaflux_api::{Api, CursorKeys};
use notaflux_aws as aws;
use notaflux_table::Table;
use request::{IngestionArgs, InvoiceArgs, Kind, Request};

/// Elements of a page when all are wanted: as many as the API gives at once.
const LIMIT_OF_ALL: usize = notaflux_api::parameters::LIMIT_MOST;

/// Arguments of `notaflux query`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A list of invoices; at least one of --issuer, --recipient, --month or --status is needed, and all that is given must hold
    Invoices {
        #[command(flatten)]
        which: Box<InvoiceArgs>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// One invoice, with the first 100 of its lines and of its events
    Invoice(OneArgs),
    /// The lines of an invoice
    Lines {
        #[command(flatten)]
        of: IdArgs,
        #[command(flatten)]
        list: ListArgs,
    },
    /// The events of an invoice
    Events {
        #[command(flatten)]
        of: IdArgs,
        #[command(flatten)]
        list: ListArgs,
    },
    /// A list of ingestions, the newest first
    Ingestions {
        #[command(flatten)]
        which: IngestionArgs,
        #[command(flatten)]
        list: ListArgs,
    },
    /// The report of one ingestion
    Ingestion(OneArgs),
    /// The records that an ingestion rejected, in their order
    Rejects {
        #[command(flatten)]
        of: IdArgs,
        #[command(flatten)]
        list: ListArgs,
    },
}

/// Whose.
#[derive(Debug, clap::Args)]
struct IdArgs {
    /// Its id
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
}

/// How much of a list, and in which form.
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Elements of a page, 1 to 1000 [default: 50; with --all 1000]
    #[arg(long, value_name = "N")]
    limit: Option<String>,
    /// Go on where a page ended: its cursor, with the options that it was given for (--limit may change)
    #[arg(long, value_name = "C")]
    cursor: Option<String>,
    /// All pages to the end, one after the other
    #[arg(long)]
    all: bool,
    /// How it is printed [default: table on a terminal, ndjson elsewhere]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<ListFormat>,
    #[command(flatten)]
    place: TableArgs,
}

/// One thing, and in which form.
#[derive(Debug, clap::Args)]
struct OneArgs {
    #[command(flatten)]
    of: IdArgs,
    /// How it is printed [default: table on a terminal, json elsewhere]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<OneFormat>,
    #[command(flatten)]
    place: TableArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// Columns that line up; on a terminal, those that fit
    Table,
    /// One object with the elements in `items`, and `next_cursor` where more follow
    Json,
    /// An element a line
    Ndjson,
    /// A row an element, below a header row
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OneFormat {
    /// Indented lines, its lists as tables
    Table,
    /// Indented JSON
    Json,
    /// JSON in one line
    Ndjson,
}

/// What standard output is.
#[derive(Debug, Clone, Copy)]
struct Screen {
    is_terminal: bool,
    /// Columns of the terminal; none where lines may have any length.
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
        match self.what {
            What::Invoices { which, list } => list.run(Request::invoices(&which), screen).await,
            What::Lines { of, list } => list.run(Request::of_id(Kind::Lines, &of.id), screen).await,
            What::Events { of, list } => list.run(Request::of_id(Kind::Events, &of.id), screen).await,
            What::Ingestions { which, list } => list.run(Request::ingestions(&which), screen).await,
            What::Rejects { of, list } => list.run(Request::of_id(Kind::Rejects, &of.id), screen).await,
            What::Invoice(one) => one.run(Kind::Invoices, screen).await,
            What::Ingestion(one) => one.run(Kind::Ingestions, screen).await,
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
        let form: Box<dyn Form> = match format {
            ListFormat::Table => Box::new(form::Rows::new(request.kind.columns(), screen.width)),
            ListFormat::Json => Box::new(form::Document::default()),
            ListFormat::Ndjson => Box::new(form::Ndjson::new(screen.is_terminal)),
            ListFormat::Csv => Box::new(form::Csv::new(screen.is_terminal)),
        };
        // The services have to live for as long as they are asked.
        let (client, _services) = open(&self.place).await?;
        let is_told = format == ListFormat::Table || io::stderr().is_terminal();
        walk(&client, request, self.all, form, is_told).await
    }
}

impl OneArgs {
    async fn run(self, kind: Kind, screen: Screen) -> Result<(), Failure> {
        let default = if screen.is_terminal { OneFormat::Table } else { OneFormat::Json };
        let (client, _services) = open(&self.place).await?;
        let answer = client.get(&Request::of_id(kind, &self.of.id), form::JSON).await?;
        let text = str::from_utf8(&answer.body)?;
        match self.format.unwrap_or(default) {
            OneFormat::Table => {
                let value = serde_json::from_str(text)?;
                print(&readable::text(&value, screen.width))?;
                tell(&readable::remarks(&value, &self.of.id))
            }
            OneFormat::Json => print(&(json::indented(text, 0)? + "\n")),
            OneFormat::Ndjson if screen.is_terminal => print(&format!("{}\n", json::shown(text))),
            OneFormat::Ndjson => print(&format!("{text}\n")),
        }
    }
}

/// The API on the table that is meant.
async fn open(place: &TableArgs) -> Result<(Client, Services), Failure> {
    let (services, name) = place.open().await?;
    let table = Table::open_to_read(aws::dynamodb_reader(&services.dynamodb), name).await?;
    let api = Api::new(table, aws::s3_reader(&services.s3), cursor_keys(place, &services)?);
    Ok((Client::new(notaflux_api::router(api)), services))
}

/// The key of the API that serves the same folder, so that each takes the other's cursors.
fn cursor_keys(place: &TableArgs, services: &Services) -> Result<CursorKeys, Failure> {
    match &services.stack {
        _ if place.table.is_some() => cursor_key::of_tables(),
        Some(stack) => cursor_key::in_folder(stack.folder()),
        None => cursor_key::of_server_in(&place.data),
    }
}

/// Prints a page, or with `all` that one and all that follow, each before the next one is asked for.
async fn walk(
    client: &Client,
    mut request: Request,
    all: bool,
    mut form: Box<dyn Form>,
    is_told: bool,
) -> Result<(), Failure> {
    let mut is_first = true;
    let next = loop {
        let answer = match client.get(&request, form.media_type()).await {
            Err(failure) if !is_first => return Err(go_on(&failure, &request).into()),
            answer => answer?,
        };
        print(&form.page(&answer.body)?)?;
        is_first = false;
        match answer.next {
            Some(next) if all => request = request.with("cursor", Some(&next)),
            next => break next,
        }
    };
    print(&form.end(next.as_deref())?)?;
    let mut remarks = form.remarks();
    remarks.extend(next.map(|cursor| format!("more may follow: add --cursor {cursor}, or --all for all of it")));
    if is_told { tell(&remarks) } else { Ok(()) }
}

/// Says what goes with a result and is none. A cursor is no secret, and would not stand being masked.
fn tell(remarks: &[String]) -> Result<(), Failure> {
    for remark in remarks {
        writeln!(io::stderr(), "notaflux: {remark}")?;
    }
    Ok(())
}

/// A walk that is broken off can be gone on with.
fn go_on(failure: &Failure, request: &Request) -> String {
    let cursor = request.parameter("cursor").unwrap_or_default();
    format!("{failure}; what is printed is complete up to there, and --cursor {cursor} goes on")
}

/// Prints a part of a result as it is.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}
