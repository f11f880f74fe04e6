//! `notaflux check`: the survey alone, told for people. What a source is, what would become of it, and what that would cost.

use std::collections::{BTreeMap, HashMap};

use arrayvec::ArrayString;
use serde::Serialize;

use super::block::Header;
use super::classify::Judged;
use super::error::Error;
use super::finalize::{self, Merged};
use super::merge::{self, Placed};
use super::plan::{Plan, Segment, Skipped};
use super::progress::{Found, Progress};
use super::report::LISTED_LIMIT;
use super::stop_signal::StopSignal;
use super::store::WorkStore;
use super::survey;
use super::work::{Ended, Slot, Work};
use super::{Observer, Settings};
use notaflux_invoice::tax_id::TAX_ID_LIMIT;
use notaflux_invoice::{InvoiceFields, Role};
use notaflux_layout::{Bound, Conventions, Mapping, Record, Reject, Row, Yields};
use notaflux_records::record::{Content, RawRecord};
use notaflux_records::source::{Identity, Source};
use notaflux_table::Schema;

/// Examples that are shown of each kind of reject and warning.
const EXAMPLES: usize = 3;

/// Sample values of a column, the characters of each, and the records that they are taken from.
const SAMPLES: usize = 3;
const SAMPLE_CHARS: usize = 40;
const SAMPLE_RECORDS: u64 = 1_000;

/// Paths of JSON that are noted of an entry: an NF-e of many taxes has some 400.
const PATHS_LIMIT: usize = 2_000;

/// Issuers that are counted at once. With more of them in a source a count may be too low, by the records of a source of which
/// each of so many issuers has one at most.
const ISSUERS_COUNTED: usize = 4_096;

/// Issuers that are told of.
const ISSUERS_TOLD: usize = 5;

/// What a source is and what would become of it.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// The version of the object.
    pub source: Identity,
    /// What would be ingested, in order.
    pub entries: Vec<CheckedEntry>,
    /// What would not, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// How many further entries and skipped entries there are.
    pub unlisted: usize,
    /// Records of the source.
    pub records_read: u64,
    /// Distinct keys, each of which would be written.
    pub written: u64,
    /// Records whose key comes again later in the source.
    pub superseded: u64,
    /// Records that would lie in the rejects.
    pub rejected: u64,
    /// Rows that are no records.
    pub trailers: u64,
    /// Rejects by reason, the commonest first.
    pub rejects: Vec<Kind>,
    /// Warnings by kind, the commonest first; a record may have several.
    pub warnings: Vec<Kind>,
    /// The issuers of most invoices, superseded ones included.
    pub issuers: Vec<Issuer>,
    /// Whether the issuers' counts are exact; otherwise each may be too low.
    pub issuers_exact: bool,
    /// Items that would be put.
    pub items: u64,
    /// Write units that they would consume in an empty table: superseded records have an average share.
    pub write_units: u64,
    /// Bytes behind the decompressor.
    pub bytes_decoded: u64,
}

/// One entry of a source.
#[derive(Debug, Clone, Serialize)]
pub struct CheckedEntry {
    /// Its name in the archive; none for the object itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How its bytes are compressed.
    pub compression: String,
    /// What its bytes are.
    pub format: &'static str,
    /// Field delimiter, of CSV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Keys that lead to the list of records, of JSON that has one within objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Which layout it would be read by.
    pub layout: String,
    /// What people call that layout.
    pub title: String,
    /// What a row is.
    pub yields: Yields,
    /// How its amounts and dates are written.
    pub conventions: Conventions,
    /// Of the cells of its first records, how many can be read in that way alone: amounts, dates. Where there are none the
    /// layout says so.
    pub decisive_cells: (u64, u64),
    /// Records in it.
    pub records_read: u64,
    /// Its columns in order, and what becomes of each; of JSON the paths of its first records' values.
    pub columns: Vec<CheckedColumn>,
    /// Fields of the layout that no column gives a value to.
    pub without_column: Vec<String>,
}

/// One column of a header, or one path of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedColumn {
    /// Its name, as the source has it.
    pub column: String,
    /// The fields that are read from it; none where it is not read.
    pub fields: Vec<String>,
    /// The first values that differ.
    pub samples: Vec<String>,
}

/// Records of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// Reason of a reject or kind of a warning.
    pub kind: String,
    /// Records of it.
    pub records: u64,
    /// The first of them.
    pub examples: Vec<Example>,
}

/// A record that shows what a kind is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Its entry, in an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Its line, from 1.
    pub line: u64,
    /// What is wrong, or the id of the invoice.
    pub message: String,
}

/// An issuer of many invoices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Issuer {
    /// Its tax id.
    pub tax_id: String,
    /// Invoices of it.
    pub invoices: u64,
    /// Of all invoices, in percent.
    pub percent: f64,
}

/// Surveys `source` for a table of `schema`, leaving its blocks in `store`.
///
/// # Errors
/// What would keep it from being ingested: a source that cannot be read, or that no layout fits; the work store.
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
    for (at, segment) in work.plan.segments.iter().enumerate() {
        let slot = Slot::new(survey::beginning(segment));
        let entry = notes.begin(segment, &work.plan)?;
        let seen = |raw: &RawRecord<'_>, row: Option<&Row<'_>>, judged: &Result<Judged<'_>, Reject>| {
            notes.see(segment, entry, raw, row, judged);
        };
        let ended = survey::survey(&work, at, &slot, &StopSignal::default(), seen).await?;
        let Ended::Done(Progress::Survey { block, keys, .. }) = ended else { return Err(Error::damaged("a survey")) };
        blocks.push(block);
        weight += keys;
    }
    let heads = merge::heads(&work, &blocks).await?;
    let merged = finalize::sums(&work, &heads, &merge_all(&work, &heads, merge::partitions(weight)).await?);
    Ok(notes.told(&work.plan, &heads, &merged))
}

async fn merge_all(work: &Work<'_>, heads: &[Placed], partitions: u32) -> Result<Vec<Found>, Error> {
    let mut all = Vec::new();
    for number in 0..partitions {
        if let Ended::Done(Progress::Merge(found)) = merge::merge(work, heads, number, partitions).await? {
            all.push(found);
        }
    }
    Ok(all)
}

/// What the survey of a source shows besides its blocks.
#[derive(Debug, Default)]
struct Notes {
    entries: Vec<EntryNotes>,
    seen: u64,
    rejects: BTreeMap<&'static str, (u64, Vec<Example>)>,
    warnings: BTreeMap<&'static str, (u64, Vec<Example>)>,
    issuers: Issuers,
}

/// What the survey of an entry shows.
#[derive(Debug)]
struct EntryNotes {
    mapping: Mapping,
    columns: Vec<CheckedColumn>,
    /// Of JSON: where the column of each path is.
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

    /// The columns, of JSON without the paths that only lead to others.
    fn value_columns(self) -> Vec<CheckedColumn> {
        let is_of_json = self.mapping.is_of_json();
        let shown = |column: &CheckedColumn| !is_of_json || !column.samples.is_empty() || !column.fields.is_empty();
        self.columns.into_iter().filter(shown).collect()
    }

    /// Fields of the layout that nothing gives a value to.
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

/// The notes on `path`, begun where they are not there; none where there are too many, or where it only leads to others.
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
    /// Begins the notes on a segment. Gives their number; one that there is none of behind the last.
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
        judged: &Result<Judged<'_>, Reject>,
    ) {
        self.seen += 1;
        if self.seen <= SAMPLE_RECORDS
            && let Some(entry) = self.entries.get_mut(entry)
        {
            entry.sample(raw, row);
        }
        let example =
            |message: &str| Example { entry: segment.entry.name.clone(), line: raw.line, message: message.to_owned() };
        match judged {
            Ok(Judged { record, .. }) => {
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

    fn told(self, plan: &Plan, heads: &[Placed], merged: &Merged) -> Check {
        let parts = plan.segments.iter().zip(self.entries).zip(&merged.segment_records);
        let entries = parts.map(|((segment, notes), records)| CheckedEntry {
            name: segment.entry.name.clone(),
            compression: segment.entry.compression.to_string(),
            format: segment.format_name(),
            delimiter: segment.delimiter(),
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
        let sum = |of: fn(&Header) -> u64| heads.iter().map(|placed| of(&placed.head.header)).sum::<u64>();
        let of_records = share(sum(|header| header.write_units), merged.written, valid);
        let put_besides = merged.items - merged.written;
        let of_besides = share(sum(|header| header.besides_units), put_besides, sum(|header| header.besides));
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
            rejects: kinds(self.rejects),
            warnings: kinds(self.warnings),
            issuers_exact: !self.issuers.is_crowded,
            issuers: self.issuers.busiest(),
            items: merged.items,
            write_units: of_records + of_besides,
            bytes_decoded: merged.segment_bytes.iter().sum(),
        }
    }
}

/// `part` of `of` of a sum.
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

/// Counts the issuers of most invoices in bounded memory (Misra and Gries 1982): whoever has more than one in
/// [`ISSUERS_COUNTED`] of all is among them.
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

    #[allow(clippy::cast_precision_loss, reason = "a share for people")]
    fn busiest(self) -> Vec<Issuer> {
        let mut counts: Vec<_> = self.counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let issuer = |(tax_id, invoices): (ArrayString<TAX_ID_LIMIT>, u64)| Issuer {
            tax_id: tax_id.to_string(),
            invoices,
            percent: invoices as f64 * 100.0 / self.all.max(1) as f64,
        };
        counts.into_iter().take(ISSUERS_TOLD).map(issuer).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_issuer_is_found_among_more_than_are_counted() {
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
    fn superseded_records_do_not_cost() {
        assert_eq!(share(400, 75, 100), 300);
        assert_eq!(share(0, 0, 0), 0);
    }
}
