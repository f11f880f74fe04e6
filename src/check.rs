//! `notaflux check`

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::process::ExitCode;

use notaflux_records::file;

use super::bar::Bar;
use super::place::TableArgs;
use super::summary::grouped;
use super::{Failure, layouts, say, stop};
use crate::progress::Display;
use notaflux_aws as aws;
use notaflux_engine::check::{Check, CheckedEntry, Example, Kind, check};
use notaflux_engine::{Settings, WorkStore, spool};
use notaflux_local::stack::{Stack, StackOptions, WORK_BUCKET};
use notaflux_records::source::printable;
use notaflux_table::{IndexSet, Schema, Table};

/// US dollars for a million write units on demand, in us-east-1 (`DynamoDB` pricing).
const PRICE_A_MILLION: f64 = 0.625;

/// Write units a second that a new table on demand takes (`DynamoDB` service limit).
const NEW_TABLE_UNITS: u64 = 4_000;

/// Arguments of `notaflux check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A path, `s3://bucket/key`, or - for standard input
    #[arg(value_parser = super::ingest::source_name)]
    source: String,
    #[command(flatten)]
    which: TableArgs,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    layouts: layouts::ChoiceArgs,
    /// Indexes of the table, which cost a write unit each, or none; those of --table if there is one
    #[arg(long, value_name = "NAMES", value_parser = super::table::index_set)]
    indexes: Option<IndexSet>,
    /// Price of a million write units, in US dollars
    #[arg(long, value_name = "USD", default_value_t = PRICE_A_MILLION)]
    price: f64,
    /// Write units a second to reckon the time by, besides those of a new table
    #[arg(long, value_name = "N")]
    max_write_units: Option<NonZeroU32>,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let stop = stop::on_signal()?;
        // What the survey leaves behind lies in a folder that goes with it: a check changes nothing.
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
            let mut value = serde_json::to_value(&checked)?;
            if let (Some(value), serde_json::Value::Object(costs)) =
                (value.as_object_mut(), serde_json::to_value(&costs)?)
            {
                value.extend(costs);
            }
            say(serde_json::to_string_pretty(&value)?)?;
        } else {
            say(text(&checked, &costs, &self.source))?;
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

    #[allow(clippy::cast_precision_loss, reason = "a price for people")]
    fn costs(&self, checked: &Check) -> Costs {
        let rate = self.max_write_units.map(|units| u64::from(units.get()));
        let rates = rate.into_iter().chain([NEW_TABLE_UNITS]);
        let time = |units_a_second| Time { units_a_second, seconds: checked.write_units.div_ceil(units_a_second) };
        let price_usd = checked.write_units as f64 * self.price / 1e6;
        Costs { price_usd, price_a_million_usd: self.price, times: rates.map(time).collect() }
    }
}

/// What an ingestion would cost.
#[derive(Debug, serde::Serialize)]
struct Costs {
    /// Of all write units.
    price_usd: f64,
    /// Of a million.
    price_a_million_usd: f64,
    /// How long it would take by what a table takes, the last one as a new table on demand does.
    times: Vec<Time>,
}

#[derive(Debug, serde::Serialize)]
struct Time {
    units_a_second: u64,
    seconds: u64,
}

fn text(checked: &Check, costs: &Costs, source: &str) -> String {
    let mut out = format!("{source}: {}", bytes(checked.source.size_bytes));
    for entry in &checked.entries {
        out.push_str(&entry_text(entry));
    }
    // Writing to a String cannot fail.
    for skipped in &checked.skipped {
        write!(out, "\n\nnot read: {}: {}", skipped.name, skipped.reason).unwrap_or_default();
    }
    if checked.unlisted > 0 {
        write!(out, "\n\nand {} more entries", grouped(checked.unlisted as u64)).unwrap_or_default();
    }
    let Check { records_read, written, superseded, rejected, .. } = checked;
    let counts = [*records_read, *written, *superseded, *rejected].map(grouped);
    let [records_read, written, superseded, rejected] = counts;
    write!(out, "\n\n{records_read} records = {written} to write + {superseded} superseded + {rejected} rejected")
        .unwrap_or_default();
    if checked.trailers > 0 {
        write!(out, "; {} rows that are no records", grouped(checked.trailers)).unwrap_or_default();
    }
    out.push_str(&kinds_text("rejected", &checked.rejects));
    out.push_str(&kinds_text("odd, and written all the same", &checked.warnings));
    if !checked.issuers.is_empty() {
        let bound = if checked.issuers_exact { "" } else { ", at least" };
        write!(out, "\n\nissuers of most invoices{bound}").unwrap_or_default();
    }
    for issuer in &checked.issuers {
        write!(out, "\n  {:<20} {:>12}  {:.1} %", issuer.tax_id, grouped(issuer.invoices), issuer.percent)
            .unwrap_or_default();
    }
    let (items, units) = (grouped(checked.items), grouped(checked.write_units));
    write!(
        out,
        "\n\n{items} items, {units} write units: {:.2} USD at {} USD a million",
        costs.price_usd, costs.price_a_million_usd
    )
    .unwrap_or_default();
    for (at, Time { units_a_second, seconds }) in costs.times.iter().enumerate() {
        let whose = if at + 1 == costs.times.len() { ", which is what a new table takes" } else { "" };
        write!(out, "\n  {} at {} write units/s{whose}", duration(*seconds), grouped(*units_a_second))
            .unwrap_or_default();
    }
    out
}

fn entry_text(entry: &CheckedEntry) -> String {
    let name = entry.name.as_deref().unwrap_or("the whole of it");
    let format = match (entry.format, entry.delimiter.as_deref()) {
        (_, Some("\t")) => "CSV with TAB".to_owned(),
        (_, Some(delimiter)) => format!("CSV with {delimiter:?}"),
        ("ndjson", _) => "JSON, one value a line".to_owned(),
        _ => entry.list.as_ref().map_or_else(|| "JSON".to_owned(), |list| format!("JSON, in the list {list:?}")),
    };
    let columns = if entry.delimiter.is_some() { "columns" } else { "paths" };
    let read = entry.columns.iter().filter(|column| !column.fields.is_empty()).count();
    let mut out = format!(
        "\n\n{name}: {} records, {format}, compression {}\n  layout {}: {}\n  {read} of {} {columns} are read",
        grouped(entry.records_read),
        entry.compression,
        entry.layout,
        entry.title,
        entry.columns.len()
    );
    if entry.without_column.is_empty() {
        out.push_str(", and every field of the layout has one");
    } else {
        write!(out, "; none of the {columns} is for {}", entry.without_column.join(", ")).unwrap_or_default();
    }
    let (decimal, date) = (entry.conventions.decimal.example(), entry.conventions.date.example());
    let shown = |cells| match cells {
        0 => "as the layout says".to_owned(),
        cells => format!("as {} cells of the first records show", grouped(cells)),
    };
    let (amounts, dates) = entry.decisive_cells;
    write!(out, "\n  amounts are like {decimal}, {}; dates like {date}, {}", shown(amounts), shown(dates))
        .unwrap_or_default();
    let width = |text: &str| text.chars().count();
    let names = entry.columns.iter().map(|column| width(&column.column)).max().unwrap_or(0).min(COLUMN_WIDTH);
    let fields = entry.columns.iter().map(|column| width(&column.fields.join(", "))).max().unwrap_or(0);
    let fields = fields.clamp(1, COLUMN_WIDTH);
    for column in &entry.columns {
        let to = if column.fields.is_empty() { "-".to_owned() } else { column.fields.join(", ") };
        let samples = column.samples.join(" | ").replace(char::is_control, " ");
        write!(out, "\n    {:<names$}  {to:<fields$}  {samples}", printable(&column.column)).unwrap_or_default();
    }
    out
}

/// Characters of a column's name or fields that a table lines up by.
const COLUMN_WIDTH: usize = 56;

fn kinds_text(title: &str, kinds: &[Kind]) -> String {
    let mut out = String::new();
    if !kinds.is_empty() {
        write!(out, "\n\n{title}").unwrap_or_default();
    }
    for Kind { kind, records, examples } in kinds {
        write!(out, "\n  {kind}: {}", grouped(*records)).unwrap_or_default();
        for Example { entry, line, message } in examples {
            let entry = entry.as_deref().map(|entry| format!("{entry}, ")).unwrap_or_default();
            write!(out, "\n    {}line {line}: {}", printable(&entry), printable(message)).unwrap_or_default();
        }
    }
    out
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
