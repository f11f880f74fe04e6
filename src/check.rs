//! `notaflux check`: shows what a source contains, what would be written and what that costs.

use std::fmt::{self, Write as _};
use std::num::NonZeroU32;
use std::process::ExitCode;

use notaflux_records::container::Encoding;
use notaflux_records::file;

use super::backend::TableArgs;
use super::bar::Bar;
use super::summary::grouped;
use super::{arguments, layouts, stop};
use crate::failure::Failure;
use crate::output::print_line;
use crate::progress::Display;
use notaflux_aws as aws;
use notaflux_engine::check::{Check, CheckedEntry, Example, Kind, check};
use notaflux_engine::{Settings, WorkStore, spool};
use notaflux_local::stack::{Stack, StackOptions, WORK_BUCKET};
use notaflux_records::source::printable;
use notaflux_table::{IndexSet, Schema, Table};

/// US dollars per million write units on demand, in us-east-1 (`DynamoDB` pricing).
const PRICE_PER_MILLION: f64 = 0.625;

/// Write units per second that a new table on demand takes (`DynamoDB` service limit).
const NEW_TABLE_UNITS: u64 = 4_000;

/// Arguments of `notaflux check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A path, `s3://bucket/key`, or - for standard input
    #[arg(value_parser = arguments::source_name)]
    source: String,
    #[command(flatten)]
    which: TableArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    layouts: layouts::ChoiceArgs,
    /// Indexes of the table, or none; each index costs write units [default: those of --table, or all four]
    #[arg(long, value_name = "NAMES", value_parser = arguments::index_set)]
    indexes: Option<IndexSet>,
    /// Price of a million write units in US dollars
    #[arg(long, value_name = "USD", default_value_t = PRICE_PER_MILLION)]
    price: f64,
    /// Also show the time at this many write units per second
    #[arg(long, value_name = "N")]
    max_write_units: Option<NonZeroU32>,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let stop = stop::on_signal()?;
        // The survey writes its blocks to a temporary folder, so a check changes nothing.
        let stack = Stack::start(StackOptions::default())?;
        let store = WorkStore::new(aws::s3_client(&stack.sdk_config()), WORK_BUCKET.to_owned());
        let services = self.which.services_of(&self.source).await?;
        let source = match (self.source.as_str(), &services) {
            ("-", _) => spool::spool(&store, tokio::io::stdin(), &stop).await?,
            (name, Some(services)) => services.source(name).await?,
            (path, None) => file::open(path).await?,
        };
        let settings = Settings { layouts: self.layouts.choice()?, ..Settings::default() };
        let bar = Bar::new(&source.to_string(), Display::for_stderr(self.quiet));
        let (schema, observer) = (self.schema().await?, bar.observer());
        let checked = Box::pin(check(&source, &store, &settings, &schema, Some(&observer)));
        let checked = tokio::select! {
            checked = checked => checked,
            () = stop.cancelled() => return Ok(stop::interrupted()),
        };
        bar.finish();
        let checked = checked?;
        let costs = self.costs(&checked);
        if self.json {
            print_line(serde_json::to_string_pretty(&CheckWithCosts { checked: &checked, costs: &costs })?)?;
        } else {
            print_line(text(&checked, &costs, &self.source)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Args {
    async fn schema(&self) -> Result<Schema, Failure> {
        let of_table = match &self.which.table {
            Some(name) => Table::open(aws::dynamodb_worker(&aws::config().await), name.clone()).await?.schema,
            None => Schema::default(),
        };
        Ok(Schema { indexes: self.indexes.unwrap_or(of_table.indexes), ..of_table })
    }

    #[allow(clippy::cast_precision_loss, reason = "a price is shown with two decimals")]
    fn costs(&self, checked: &Check) -> Costs {
        let rate = self.max_write_units.map(|units| u64::from(units.get()));
        let rates = rate.into_iter().chain([NEW_TABLE_UNITS]);
        let time = |units_a_second| Time { units_a_second, seconds: checked.write_units.div_ceil(units_a_second) };
        let price_usd = checked.write_units as f64 * self.price / 1e6;
        Costs { price_usd, price_a_million_usd: self.price, times: rates.map(time).collect() }
    }
}

/// The result of `--json`.
#[derive(serde::Serialize)]
struct CheckWithCosts<'c> {
    #[serde(flatten)]
    checked: &'c Check,
    #[serde(flatten)]
    costs: &'c Costs,
}

/// What an ingestion would cost.
#[derive(Debug, serde::Serialize)]
struct Costs {
    /// The price of all write units.
    price_usd: f64,
    /// The price of a million write units.
    price_a_million_usd: f64,
    /// How long the writes take at several speeds. The last one is the speed of a new table on demand.
    times: Vec<Time>,
}

#[derive(Debug, serde::Serialize)]
struct Time {
    units_a_second: u64,
    seconds: u64,
}

fn text(checked: &Check, costs: &Costs, source: &str) -> Result<String, fmt::Error> {
    let mut out = format!("{source}: {}", bytes(checked.source.size_bytes));
    for entry in &checked.entries {
        write_entry(&mut out, entry)?;
    }
    for skipped in &checked.skipped {
        write!(out, "\n\nskipped: {}: {}", skipped.name, skipped.reason)?;
    }
    if checked.unlisted > 0 {
        write!(out, "\n\nand {} more entries", grouped(checked.unlisted as u64))?;
    }
    let Check { records_read, written, superseded, rejected, .. } = checked;
    let counts = [*records_read, *written, *superseded, *rejected].map(grouped);
    let [records_read, written, superseded, rejected] = counts;
    write!(out, "\n\n{records_read} records = {written} to write + {superseded} superseded + {rejected} rejected")?;
    if checked.trailers > 0 {
        write!(out, "; {} rows that are not records", grouped(checked.trailers))?;
    }
    if checked.repeated_headers > 0 {
        write!(out, "; the header comes again {} times", grouped(checked.repeated_headers))?;
    }
    write_kinds(&mut out, "rejected", &checked.rejects)?;
    write_kinds(&mut out, "warnings (these records are written)", &checked.warnings)?;
    if !checked.issuers.is_empty() {
        let bound = if checked.issuers_exact { "" } else { " (minimum counts)" };
        write!(out, "\n\nissuers with the most invoices{bound}")?;
    }
    for issuer in &checked.issuers {
        write!(out, "\n  {:<20} {:>12}  {:.1} %", issuer.tax_id, grouped(issuer.invoices), issuer.percent)?;
    }
    write_costs(&mut out, checked, costs)?;
    Ok(out)
}

fn write_costs(out: &mut String, checked: &Check, costs: &Costs) -> fmt::Result {
    let (items, units) = (grouped(checked.items), grouped(checked.write_units));
    let Costs { price_usd, price_a_million_usd, times } = costs;
    write!(out, "\n\n{items} items, {units} write units: {price_usd:.2} USD at {price_a_million_usd} USD per million")?;
    for (at, Time { units_a_second, seconds }) in times.iter().enumerate() {
        let whose = if at + 1 == times.len() { ", the limit of a new table" } else { "" };
        write!(out, "\n  {} at {} write units/s{whose}", duration(*seconds), grouped(*units_a_second))?;
    }
    Ok(())
}

fn write_entry(out: &mut String, entry: &CheckedEntry) -> fmt::Result {
    let name = entry.name.as_deref().unwrap_or("the whole file");
    let format = match (entry.format, entry.delimiter.as_deref()) {
        (_, Some("\t")) => "CSV with the delimiter TAB".to_owned(),
        (_, Some(delimiter)) => format!("CSV with the delimiter {delimiter:?}"),
        ("ndjson", _) => "JSON, one value per line".to_owned(),
        _ => entry.list.as_ref().map_or_else(|| "JSON".to_owned(), |list| format!("JSON, in the list {list:?}")),
    };
    let format = match entry.encoding {
        Encoding::Bytes => format,
        Encoding::Utf16Le | Encoding::Utf16Be => format!("{format}, encoded in UTF-16"),
    };
    let format = match entry.header_line {
        Some(line) if line > 1 => format!("{format}, header in line {line}"),
        _ => format,
    };
    let columns = if entry.delimiter.is_some() { "columns" } else { "paths" };
    let read = entry.columns.iter().filter(|column| !column.fields.is_empty()).count();
    write!(
        out,
        "\n\n{name}: {} records, {format}, compression {}\n  layout {}: {}\n  reads {read} of {} {columns}",
        grouped(entry.records_read),
        entry.compression,
        entry.layout,
        entry.title,
        entry.columns.len()
    )?;
    if entry.without_column.is_empty() {
        out.push_str("; every field of the layout is mapped");
    } else {
        write!(out, "; these fields of the layout are not mapped: {}", entry.without_column.join(", "))?;
    }
    let (decimal, date) = (entry.conventions.decimal.example(), entry.conventions.date.example());
    let source = |cells| match cells {
        0 => "from the layout".to_owned(),
        cells => format!("detected from {} cells of the first records", grouped(cells)),
    };
    let (amounts, dates) = entry.decisive_cells;
    write!(out, "\n  amounts like {decimal} ({})\n  dates like {date} ({})", source(amounts), source(dates))?;
    write_columns(out, entry)
}

fn write_columns(out: &mut String, entry: &CheckedEntry) -> fmt::Result {
    let width = |text: &str| text.chars().count();
    let names = entry.columns.iter().map(|column| width(&column.column)).max().unwrap_or(0).min(COLUMN_WIDTH);
    let fields = entry.columns.iter().map(|column| width(&column.fields.join(", "))).max().unwrap_or(0);
    let fields = fields.clamp(1, COLUMN_WIDTH);
    for column in &entry.columns {
        let to = if column.fields.is_empty() { "-".to_owned() } else { column.fields.join(", ") };
        let samples = column.samples.join(" | ").replace(char::is_control, " ");
        write!(out, "\n    {:<names$}  {to:<fields$}  {samples}", printable(&column.column))?;
    }
    Ok(())
}

/// Longest name of a column, and longest list of fields, in characters, that the table aligns.
const COLUMN_WIDTH: usize = 56;

fn write_kinds(out: &mut String, title: &str, kinds: &[Kind]) -> fmt::Result {
    if !kinds.is_empty() {
        write!(out, "\n\n{title}")?;
    }
    for Kind { kind, records, examples } in kinds {
        write!(out, "\n  {kind}: {}", grouped(*records))?;
        for Example { entry, line, message } in examples {
            let entry = entry.as_deref().map(|entry| format!("{entry}, ")).unwrap_or_default();
            write!(out, "\n    {}line {line}: {}", printable(&entry), printable(message))?;
        }
    }
    Ok(())
}

fn bytes(count: u64) -> String {
    format!("{} bytes", grouped(count))
}

fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
