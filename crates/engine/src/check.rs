//! `notaflux check`: the survey and the merge alone. Shows what a source contains, what would be ingested, and the cost.

use std::collections::{BTreeMap, HashMap};

use arrayvec::ArrayString;
use serde::Serialize;

use notaflux_invoice::tax_id::TAX_ID_LIMIT;
use notaflux_invoice::{InvoiceFields, Role};
use notaflux_layout::{Bound, Conventions, Mapping, Record, Reject, Row, Yields};
use notaflux_records::container::Encoding;
use notaflux_records::record::{Content, RawRecord};
use notaflux_records::source::{Identity, Source};
use notaflux_table::Schema;

use super::block::Header;
use super::checkpoint::{Checkpoint, Ended};
use super::classify::ValidRecord;
use super::error::Error;
use super::finalize;
use super::merge::{self, StoredBlock};
use super::merged::Merged;
use super::plan::Plan;
use super::progress::{MergeCounts, Progress};
use super::progress_event::Observer;
use super::report::LISTED_LIMIT;
use super::segment::Segment;
use super::settings::Settings;
use super::skipped::Skipped;
use super::stop_signal::StopSignal;
use super::store::WorkStore;
use super::survey;
use super::work::Work;

/// Examples of each kind of reject and warning.
const EXAMPLES: usize = 3;

/// Sample values of a column, their length in characters, and the first records from which they are taken.
const SAMPLES: usize = 3;
const SAMPLE_CHARS: usize = 40;
const SAMPLE_RECORDS: u64 = 1_000;

/// Most JSON paths that are listed for an entry. An NF-e with many taxes has about 400.
const PATHS_LIMIT: usize = 2_000;

/// Issuers that are counted at once. If a source has more, each count may be too low, by at most the number of invoices
/// divided by this number.
const ISSUERS_COUNTED: usize = 4_096;

/// Issuers that are shown.
const ISSUERS_SHOWN: usize = 5;

/// The result of a check: the content of a source, and what an ingestion of it would do.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// The version of the object.
    pub source: Identity,
    /// The entries that would be ingested, in order.
    pub entries: Vec<CheckedEntry>,
    /// The entries that would not be ingested, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// Number of further entries and skipped entries.
    pub unlisted: usize,
    /// Records of the source.
    pub records_read: u64,
    /// Distinct keys, each of which would be written.
    pub written: u64,
    /// Records whose key comes again later in the source.
    pub superseded: u64,
    /// Records that would be rejected.
    pub rejected: u64,
    /// Rows that are no records.
    pub trailers: u64,
    /// Rows that are the header again.
    pub repeated_headers: u64,
    /// Rejects by reason, the most frequent first.
    pub rejects: Vec<Kind>,
    /// Warnings by kind, the most frequent first. A record may have several.
    pub warnings: Vec<Kind>,
    /// The issuers with the most invoices, superseded ones included.
    pub issuers: Vec<Issuer>,
    /// Whether the counts of the issuers are exact. If not, each may be too low.
    pub issuers_exact: bool,
    /// Items that would be put.
    pub items: u64,
    /// Write units that they would consume in an empty table. An estimate: superseded records are taken as average ones.
    pub write_units: u64,
    /// Bytes after decompression.
    pub bytes_decoded: u64,
}

/// An entry that would be ingested.
#[derive(Debug, Clone, Serialize)]
pub struct CheckedEntry {
    /// Name in the archive; none for the object itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Compression.
    pub compression: String,
    /// Format: `csv`, `json` or `ndjson`.
    pub format: &'static str,
    /// Field delimiter, for CSV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Physical line of the header, from 1, for CSV. The lines before it are not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_line: Option<u64>,
    /// How the text is encoded: UTF-16, or the bytes as they are (UTF-8 or windows-1252).
    pub encoding: Encoding,
    /// Path of the list of records, for JSON with a list within objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Name of the layout.
    pub layout: String,
    /// Title of the layout, for people.
    pub title: String,
    /// What a row yields.
    pub yields: Yields,
    /// How amounts and dates are written.
    pub conventions: Conventions,
    /// Sampled cells that can be read in this way only: amounts, dates. If there are none, the layout decides.
    pub decisive_cells: (u64, u64),
    /// Records in the entry.
    pub records_read: u64,
    /// The columns in order, and how each is used. For JSON: the paths of the values in the first records.
    pub columns: Vec<CheckedColumn>,
    /// Fields of the layout without a column.
    pub without_column: Vec<String>,
}

/// A column of a header, or a path of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedColumn {
    /// Name, as in the source.
    pub column: String,
    /// The fields that are read from it; none if it is not used.
    pub fields: Vec<String>,
    /// The first distinct values.
    pub samples: Vec<String>,
}

/// The records with one reason of a reject, or one kind of warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// Reason of the reject, or kind of the warning.
    pub kind: String,
    /// Number of records.
    pub records: u64,
    /// The first records.
    pub examples: Vec<Example>,
}

/// A record as an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The entry, in an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with a reject; the id of the record for a warning.
    pub message: String,
}

/// An issuer and the number of its invoices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Issuer {
    /// Tax id.
    pub tax_id: String,
    /// Number of invoices.
    pub invoices: u64,
    /// Share of all invoices, in percent.
    pub percent: f64,
}

/// Surveys and merges `source` for a table with `schema`. Stores its blocks in `store`.
///
/// # Errors
/// The errors that would stop an ingestion: a source that cannot be read, or that no layout fits; the work store.
pub async fn check(
    source: &Source,
    store: &WorkStore,
    settings: &Settings,
    schema: &Schema,
    observer: Option<&Observer>,
) -> Result<Check, Error> {
    let plan = Plan::draft(source, store, settings).await?;
    let work = Work::of_plan(source, store, settings, schema, plan, observer);
    let mut notes = Notes::default();
    let (mut blocks, mut weight) = (Vec::new(), 0);
    for (number, segment) in work.plan.segments.iter().enumerate() {
        let checkpoint = Checkpoint::new(survey::beginning(segment));
        let entry = notes.begin(segment, &work.plan)?;
        let seen = |raw: &RawRecord<'_>, row: Option<&Row<'_>>, classified: &Result<ValidRecord<'_>, Reject>| {
            notes.see(segment, entry, raw, row, classified);
        };
        let ended = survey::survey(&work, number, &checkpoint, &StopSignal::default(), seen).await?;
        let Ended::Done(Progress::Survey { block, keys, .. }) = ended else { return Err(not_done("a survey")) };
        blocks.push(block);
        weight += keys;
    }
    let heads = merge::heads(&work, &blocks).await?;
    let merged = finalize::sums(&work, &heads, &merge_all(&work, &heads, merge::partitions(weight)).await?)?;
    Ok(notes.into_check(&work.plan, &heads, &merged))
}

/// Returns the error for a phase that has ended before it was done, though nothing asked it to stop.
fn not_done(what: &str) -> Error {
    Error::damaged(what)
}

async fn merge_all(work: &Work<'_>, heads: &[StoredBlock], partitions: u32) -> Result<Vec<MergeCounts>, Error> {
    let mut all = Vec::new();
    for number in 0..partitions {
        let ended = merge::merge(work, heads, number, partitions).await?;
        let Ended::Done(Progress::Merge(counts)) = ended else { return Err(not_done("a merge")) };
        all.push(counts);
    }
    Ok(all)
}

/// The observations of a survey that are not in its blocks.
#[derive(Debug, Default)]
struct Notes {
    entries: Vec<EntryNotes>,
    seen: u64,
    rejects: BTreeMap<&'static str, (u64, Vec<Example>)>,
    warnings: BTreeMap<&'static str, (u64, Vec<Example>)>,
    issuers: Issuers,
}

/// The observations of the survey of one entry.
#[derive(Debug)]
struct EntryNotes {
    mapping: Mapping,
    columns: Vec<CheckedColumn>,
    /// For JSON: the index of the column of each path.
    paths: HashMap<String, usize>,
}

impl EntryNotes {
    fn new(mapping: Mapping) -> Self {
        let columns = mapping.columns().iter().filter(|_| !mapping.is_of_json()).map(|bound| {
            let (column, fields) = (bound.column.clone(), bound.fields.clone());
            CheckedColumn { column, fields, samples: Vec::new() }
        });
        Self { columns: columns.collect(), mapping, paths: HashMap::new() }
    }

    fn sample(&mut self, raw: &RawRecord<'_>, row: Option<&Row<'_>>) {
        match (raw.content, row) {
            (Content::Json(element), _) => {
                let (columns, paths, mapping) = (&mut self.columns, &mut self.paths, &self.mapping);
                let bound = mapping.columns();
                mapping.show_json(element, &mut |shown| {
                    let bound = shown.column.and_then(|column| bound.get(column));
                    let Some(column) = path_column(columns, paths, shown.path, bound) else { return };
                    column.sample(shown.text);
                    if column.fields.is_empty() {
                        column.fields.extend(mapping.kept_name(&shown).map(|name| format!("extra.{name}")));
                    }
                });
            }
            (_, Some(row)) => self.columns.iter_mut().zip(row.iter()).for_each(|(column, value)| column.sample(value)),
            (_, None) => {}
        }
    }

    /// Returns the columns. For JSON, leaves out the paths that only lead to others.
    fn value_columns(self) -> Vec<CheckedColumn> {
        let is_of_json = self.mapping.is_of_json();
        let shown = |column: &CheckedColumn| !is_of_json || !column.samples.is_empty() || !column.fields.is_empty();
        self.columns.into_iter().filter(shown).collect()
    }

    /// Returns the fields of the layout without a column.
    fn without_column(&self) -> Vec<String> {
        let mut without: Vec<String> = self.mapping.fit().without_column.to_vec();
        for field in self.mapping.columns().iter().flat_map(|bound| &bound.fields) {
            if !without.contains(field) && !self.columns.iter().any(|column| column.fields.contains(field)) {
                without.push(field.clone());
            }
        }
        without
    }
}

/// Returns the column of `path`, and adds it if it is new; none if there are too many.
fn path_column<'c>(
    columns: &'c mut Vec<CheckedColumn>,
    paths: &mut HashMap<String, usize>,
    path: &str,
    bound: Option<&Bound>,
) -> Option<&'c mut CheckedColumn> {
    if let Some(at) = paths.get(path) {
        return columns.get_mut(*at);
    }
    if columns.len() >= PATHS_LIMIT {
        return None;
    }
    paths.insert(path.to_owned(), columns.len());
    let fields = bound.map(|bound| bound.fields.clone()).unwrap_or_default();
    columns.push(CheckedColumn { column: path.to_owned(), fields, samples: Vec::new() });
    columns.last_mut()
}

impl Notes {
    /// Begins the notes on a segment. Returns their index; beyond [`LISTED_LIMIT`] entries an index without notes.
    fn begin(&mut self, segment: &Segment, plan: &Plan) -> Result<usize, Error> {
        self.seen = 0;
        if self.entries.len() >= LISTED_LIMIT {
            return Ok(LISTED_LIMIT);
        }
        self.entries.push(EntryNotes::new(plan.mapping(segment)?));
        Ok(self.entries.len() - 1)
    }

    fn see(
        &mut self,
        segment: &Segment,
        entry: usize,
        raw: &RawRecord<'_>,
        row: Option<&Row<'_>>,
        classified: &Result<ValidRecord<'_>, Reject>,
    ) {
        self.seen += 1;
        if self.seen <= SAMPLE_RECORDS
            && let Some(entry) = self.entries.get_mut(entry)
        {
            entry.sample(raw, row);
        }
        let example =
            |message: &str| Example { entry: segment.entry.name.clone(), line: raw.line, message: message.to_owned() };
        match classified {
            Ok(ValidRecord { record, .. }) => {
                for warning in record.warnings() {
                    note(self.warnings.entry(warning.as_str()).or_default(), || example(record.id()));
                }
                let invoice = match record {
                    Record::Invoice(invoice) => Some(invoice),
                    Record::InvoiceLine(both) => Some(&both.0),
                    Record::InvoiceWithLines(all) => Some(&all.0),
                    Record::Line(_) | Record::Event(_) => None,
                };
                if let Some(tax_id) = invoice.and_then(|invoice| invoice.tax_id(Role::Issuer)) {
                    self.issuers.count(&tax_id.text);
                }
            }
            Err(reject) => note(self.rejects.entry(reject.reason.as_str()).or_default(), || example(&reject.message)),
        }
    }

    fn into_check(self, plan: &Plan, heads: &[StoredBlock], merged: &Merged) -> Check {
        let parts = plan.segments.iter().zip(self.entries).zip(&merged.segment_records);
        let entries = parts.map(|((segment, notes), records)| CheckedEntry {
            name: segment.entry.name.clone(),
            compression: segment.entry.compression.to_string(),
            format: segment.format_name(),
            delimiter: segment.delimiter(),
            header_line: segment.delimiter().map(|_| segment.header_line),
            encoding: segment.entry.encoding,
            list: segment.list(),
            layout: segment.layout.clone(),
            title: notes.mapping.layout().title().to_owned(),
            yields: notes.mapping.layout().yields(),
            conventions: segment.conventions,
            decisive_cells: segment.decisive_cells,
            records_read: *records,
            without_column: notes.without_column(),
            columns: notes.value_columns(),
        });
        let valid = merged.records - merged.rejected;
        let sum = |of: fn(&Header) -> u64| heads.iter().map(|block| of(&block.head.header)).sum::<u64>();
        let record_units = share(sum(|header| header.write_units), merged.written, valid);
        let extra_items = merged.items - merged.written;
        let extra_units = share(sum(|header| header.extra_units), extra_items, sum(|header| header.extra_items));
        Check {
            source: plan.source.clone(),
            entries: entries.collect(),
            skipped: plan.skipped.iter().take(LISTED_LIMIT).cloned().collect(),
            unlisted: plan.segments.len().saturating_sub(LISTED_LIMIT)
                + plan.skipped.len().saturating_sub(LISTED_LIMIT),
            records_read: merged.records,
            written: merged.written,
            superseded: merged.superseded,
            rejected: merged.rejected,
            trailers: merged.trailers,
            repeated_headers: merged.repeated_headers,
            rejects: kinds(self.rejects),
            warnings: kinds(self.warnings),
            issuers_exact: !self.issuers.is_crowded,
            issuers: self.issuers.busiest(),
            items: merged.items,
            write_units: record_units + extra_units,
            bytes_decoded: merged.segment_bytes.iter().sum(),
        }
    }
}

/// Returns the share `part / of` of a sum.
fn share(sum: u64, part: u64, of: u64) -> u64 {
    let share = u128::from(sum) * u128::from(part) / u128::from(of.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

impl CheckedColumn {
    fn sample(&mut self, value: &str) {
        let value = value.trim();
        if self.samples.len() >= SAMPLES || value.is_empty() {
            return;
        }
        let sample: String = value.chars().take(SAMPLE_CHARS).collect();
        if !self.samples.contains(&sample) {
            self.samples.push(sample);
        }
    }
}

fn note(kind: &mut (u64, Vec<Example>), example: impl FnOnce() -> Example) {
    kind.0 += 1;
    if kind.1.len() < EXAMPLES {
        kind.1.push(example());
    }
}

fn kinds(found: BTreeMap<&'static str, (u64, Vec<Example>)>) -> Vec<Kind> {
    let kind = |(kind, (records, examples)): (&str, _)| Kind { kind: kind.to_owned(), records, examples };
    let mut kinds: Vec<Kind> = found.into_iter().map(kind).collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.records));
    kinds
}

/// Finds the issuers with the most invoices in limited memory (Misra and Gries 1982). Every issuer with more than one in
/// [`ISSUERS_COUNTED`] invoices is among them.
#[derive(Debug, Default)]
struct Issuers {
    counts: HashMap<ArrayString<TAX_ID_LIMIT>, u64>,
    all: u64,
    is_crowded: bool,
}

impl Issuers {
    fn count(&mut self, tax_id: &ArrayString<TAX_ID_LIMIT>) {
        self.all += 1;
        if let Some(count) = self.counts.get_mut(tax_id) {
            *count += 1;
        } else if self.counts.len() < ISSUERS_COUNTED {
            self.counts.insert(*tax_id, 1);
        } else {
            self.is_crowded = true;
            self.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a percentage for people")]
    fn busiest(self) -> Vec<Issuer> {
        let mut counts: Vec<_> = self.counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let issuer = |(tax_id, invoices): (ArrayString<TAX_ID_LIMIT>, u64)| Issuer {
            tax_id: tax_id.to_string(),
            invoices,
            percent: invoices as f64 * 100.0 / self.all.max(1) as f64,
        };
        counts.into_iter().take(ISSUERS_SHOWN).map(issuer).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_issuer_is_found_among_more_issuers_than_are_counted() {
        let mut issuers = Issuers::default();
        for n in 0..50_000_u64 {
            let tax_id = if n % 5 == 0 { "busiest".to_owned() } else { format!("{n:014}") };
            issuers.count(&ArrayString::from(&tax_id).unwrap());
        }
        assert!(issuers.is_crowded && issuers.counts.len() <= ISSUERS_COUNTED);
        let busiest = issuers.busiest();
        assert_eq!(busiest[0].tax_id, "busiest");
        assert!(busiest[0].invoices <= 10_000 && busiest[0].invoices + 50_000 / 4_096 + 1 >= 10_000);
    }

    #[test]
    fn superseded_records_cost_nothing() {
        assert_eq!(share(400, 75, 100), 300);
        assert_eq!(share(0, 0, 0), 0);
    }
}
