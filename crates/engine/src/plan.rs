//! The plan: what is decided once for a whole source, and obeyed by every worker that ever works on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::Settings;
use super::choice::{self, Catalog};
use super::classify;
use super::error::Error;
use super::store::WorkStore;
use notaflux_layout::{self as layout, ConventionVotes, Conventions, Detection, Layout, Mapping, Scratch, Yields};
use notaflux_records::ReadError;
use notaflux_records::container::{self, Contents, Entry};
use notaflux_records::csv;
use notaflux_records::json::{self, Candidate, JsonHead};
use notaflux_records::reader::RecordReader;
use notaflux_records::record::{Format, Position, Shape};
use notaflux_records::source::{Identity, Source};
use notaflux_sha256 as sha256;

/// Entries that are looked at at once.
const LOOKS_AT_ONCE: usize = 8;

/// Records, and bytes of them, that show how the amounts and dates of a source are written.
const SAMPLE_RECORDS: usize = 2_000;
const SAMPLE_LIMIT_BYTES: u64 = 1024 * 1024;

/// Version of what the engine leaves in the work store. Work of another version is done anew.
pub const FORMAT_VERSION: u32 = 3;

/// Everything that is decided for a source before the first record is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT_VERSION`] of the engine that made it.
    pub format_version: u32,
    /// Id of the ingestion.
    pub ingestion: String,
    /// The version of the object that is meant.
    pub source: Identity,
    /// Bytes of decoded input in a block.
    pub block_bytes: u64,
    /// What is ingested, in order.
    pub segments: Vec<Segment>,
    /// What is not, and why.
    pub skipped: Vec<Skipped>,
    /// Whether what is odd about a record rejects it.
    pub strict: bool,
    /// The texts of the layouts that are not built in, by their hashes.
    pub layouts: BTreeMap<String, String>,
}

/// What every plan says, whatever its version.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

/// One entry of the source that is ingested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Where its bytes lie.
    pub entry: Entry,
    /// What its bytes are.
    pub format: Format,
    /// Column names as they stand in the source, of CSV.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header: Vec<String>,
    /// Keys that lead to the list of its records, of JSON that has one within objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<String>,
    /// First decoded byte of the records: behind the header, or behind the `[` of the list.
    pub data_byte: u64,
    /// Physical line of that byte, from 1.
    pub data_line: u64,
    /// Name of the layout.
    pub layout: String,
    /// Hash of the layout's text, so that a changed layout is noticed.
    pub layout_hash: String,
    /// How amounts and dates are written in all of it.
    pub conventions: Conventions,
    /// Of the cells looked at, how many can be read in that way alone: amounts, dates. Where there are none the layout says so.
    pub decisive_cells: (u64, u64),
}

impl Segment {
    /// What reports call its format.
    #[must_use]
    pub const fn format_name(&self) -> &'static str {
        match self.format {
            Format::Csv { .. } => "csv",
            Format::Json(Shape::Lines) => "ndjson",
            Format::Json(_) => "json",
        }
    }

    /// Field delimiter, of CSV.
    #[must_use]
    pub fn delimiter(&self) -> Option<String> {
        match self.format {
            Format::Csv { delimiter } => Some(char::from(delimiter).to_string()),
            Format::Json(_) => None,
        }
    }

    /// The path of the list of its records, of JSON that has one within objects.
    #[must_use]
    pub fn list(&self) -> Option<String> {
        (!self.list.is_empty()).then(|| self.list.join("."))
    }
}

/// One entry of the source that is not ingested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// The id of the ingestion of this version of an object: 24 hexadecimal digits of a SHA-256, so that no two objects that
/// anybody could make share one.
#[must_use]
pub fn ingestion_id(source: &Identity) -> String {
    let digest = sha256::digest(source.fingerprint());
    let first = digest
        .first_chunk::<12>()
        .map_or(0, |bytes| bytes.iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte)));
    format!("{first:024x}")
}

impl Plan {
    /// The plan of this source: the one in the work store, or a new one put there.
    ///
    /// # Errors
    /// A source that cannot be read or that no layout fits; a plan in the store that this engine cannot obey.
    pub async fn obtain(source: &Source, store: &WorkStore, folder: &str, settings: &Settings) -> Result<Self, Error> {
        let key = format!("{folder}/plan.json");
        let stored = if let Some(stored) = store.get_if_there(&key).await? {
            stored
        } else {
            let drafted = Self::draft(source, store, settings).await?;
            let text = Bytes::from(serde_json::to_vec(&drafted).map_err(Error::corrupt("a plan"))?);
            store.put_if_absent(&key, text).await?
        };
        Self::parse(&stored)
    }

    fn parse(stored: &[u8]) -> Result<Self, Error> {
        // Looked at first: a plan of another version may have other fields.
        let Version { format_version: found } = serde_json::from_slice(stored).map_err(Error::corrupt("the plan"))?;
        if found != FORMAT_VERSION {
            return Err(Error::OtherVersion { found });
        }
        serde_json::from_slice(stored).map_err(Error::corrupt("the plan"))
    }

    /// Looks at the source and decides.
    ///
    /// # Errors
    /// A source that cannot be read, is empty, or that no layout fits; a layout that is named and is not there.
    pub async fn draft(source: &Source, store: &WorkStore, settings: &Settings) -> Result<Self, Error> {
        let identity = source.identity().clone();
        let catalog = Catalog::open(&settings.layouts, &identity, store).await?;
        let mut plan = Self {
            format_version: FORMAT_VERSION,
            ingestion: ingestion_id(&identity),
            source: identity,
            block_bytes: settings.block_bytes,
            segments: Vec::new(),
            skipped: Vec::new(),
            strict: settings.layouts.strict,
            layouts: BTreeMap::new(),
        };
        let entries = Contents::inspect(source).await?.entries;
        let looks = entries.into_iter().map(async |entry| {
            let name = entry.name.clone().unwrap_or_else(|| source.to_string());
            Ok::<_, Error>((name, look_at(source, entry, &catalog).await?))
        });
        let mut looks = std::pin::pin!(stream::iter(looks).buffered(LOOKS_AT_ONCE));
        let (mut segments, mut unknown) = (Vec::new(), None);
        while let Some((name, look)) = looks.try_next().await? {
            match look {
                Look::Segment { segment, layout, passed_over } => {
                    choice::keep(&layout, &mut plan);
                    let reason = "a list of objects before that of the records";
                    plan.skipped.extend(
                        passed_over
                            .into_iter()
                            .map(|list| Skipped { name: format!("{name}, list {list}"), reason: reason.to_owned() }),
                    );
                    segments.push((rank(layout.yields()), layout.yields(), *segment));
                }
                Look::Empty => plan.skipped.push(Skipped { name, reason: "it is empty".to_owned() }),
                Look::Unsupported(reason) => plan.skipped.push(Skipped { name, reason }),
                Look::Unknown(detection) => {
                    plan.skipped.push(Skipped { name: name.clone(), reason: "no layout fits it".to_owned() });
                    unknown.get_or_insert((name, detection));
                }
            }
        }
        if segments.is_empty() {
            return Err(match unknown {
                Some((name, detection)) => Error::NoLayout { name, detection: Box::new(detection) },
                None => Error::NoData { name: source.to_string(), skipped: plan.skipped },
            });
        }
        segments.sort_by_key(|(rank, ..)| *rank);
        refuse_lines_of_two_kinds(&segments)?;
        plan.segments = segments.into_iter().map(|(.., segment)| segment).collect();
        Ok(plan)
    }

    /// The mapping that a segment was planned with.
    ///
    /// # Errors
    /// A layout that is gone or has changed since.
    pub fn mapping(&self, segment: &Segment) -> Result<Mapping, Error> {
        let layout = match self.layouts.get(&segment.layout_hash) {
            Some(text) => Layout::parse(text).ok().map(Arc::new),
            None => layout::by_name(&segment.layout).filter(|layout| layout.content_hash() == segment.layout_hash),
        };
        let layout = layout.ok_or_else(|| Error::LayoutChanged { layout: segment.layout.clone() })?;
        let mapping = match segment.format {
            Format::Csv { .. } => Mapping::with_conventions(layout, &segment.header, segment.conventions),
            Format::Json(_) => Mapping::of_json(layout, Some(segment.conventions)),
        };
        Ok(mapping.map_err(|error| Error::Mapping { source: Box::new(error) })?.strict(self.strict))
    }
}

/// The order of entries: what belongs to invoices comes behind them.
const fn rank(yields: Yields) -> u8 {
    match yields {
        Yields::Invoice | Yields::InvoiceLine | Yields::InvoiceWithLines => 0,
        Yields::Line => 1,
        Yields::Event => 2,
    }
}

enum Look {
    Segment {
        segment: Box<Segment>,
        layout: Arc<Layout>,
        /// Paths of lists of objects before that of the records, which are not read.
        passed_over: Vec<String>,
    },
    Empty,
    Unsupported(String),
    Unknown(Detection),
}

/// Lines that stand alone and lines within their invoices may be the same items, and nothing would say which of them is to
/// stay.
fn refuse_lines_of_two_kinds(segments: &[(u8, Yields, Segment)]) -> Result<(), Error> {
    let named = |wanted: &[Yields]| {
        let found = segments.iter().find(|(_, yields, _)| wanted.contains(yields));
        found.map(|(.., segment)| segment.entry.name.clone().unwrap_or_default())
    };
    match (named(&[Yields::InvoiceWithLines]), named(&[Yields::Line, Yields::InvoiceLine])) {
        (Some(invoices), Some(lines)) => Err(Error::LinesOfTwoKinds { invoices, lines }),
        _ => Ok(()),
    }
}

async fn look_at(source: &Source, entry: Entry, catalog: &Catalog) -> Result<Look, Error> {
    if let Some(reason) = &entry.unsupported {
        return Ok(Look::Unsupported(reason.clone()));
    }
    let reader = container::open_entry(source, &entry, 0, false).await?;
    let place = reader.place().clone();
    match json::read_json_head(reader).await.map_err(|error| error.called(&place))? {
        Some(head) => look_at_json(source, entry, head, catalog).await,
        None => look_at_table(source, entry, catalog).await,
    }
}

async fn look_at_table(source: &Source, entry: Entry, catalog: &Catalog) -> Result<Look, Error> {
    let reader = container::open_entry(source, &entry, 0, false).await?;
    let place = reader.place().clone();
    let head = match csv::read_header(reader, csv::RECORD_LIMIT_BYTES).await {
        Ok(Some(head)) => head,
        Ok(None) => return Ok(Look::Empty),
        // An archive may hold all sorts of things; an object that is no table is an error.
        Err(ReadError::RecordTooLong { .. }) if entry.name.is_some() => {
            return Ok(Look::Unsupported("its first line has no end: it is no table".to_owned()));
        }
        Err(error) => return Err(error.called(&place).into()),
    };
    let layout = match catalog.choose(&head.fields) {
        Detection::Fits(layout) => layout,
        other => return Ok(Look::Unknown(other)),
    };
    let mapping = Mapping::new(layout.clone(), &head.fields);
    let draft = Draft {
        format: Format::Csv { delimiter: head.delimiter },
        header: head.fields,
        list: Vec::new(),
        passed_over: Vec::new(),
        data: head.data,
        mapping: mapping.map_err(|error| Error::Mapping { source: Box::new(error) })?,
    };
    draft.look(source, entry, layout).await
}

/// Takes the first candidate that a layout fits, or else tells why the likeliest is of none.
async fn look_at_json(source: &Source, entry: Entry, head: JsonHead, catalog: &Catalog) -> Result<Look, Error> {
    if head.candidates.iter().all(|candidate| candidate.is_empty) {
        return Ok(Look::Empty);
    }
    let mut unknown: Option<Detection> = None;
    for candidate in &head.candidates {
        let elements: Vec<&[u8]> = match candidate.elements.as_slice() {
            // None that is whole: what there is of the first one.
            [] => head.text.get(begin_of(candidate)..).into_iter().collect(),
            ranges => ranges.iter().filter_map(|range| head.text.get(range.clone())).collect(),
        };
        match catalog.choose_json(&candidate.path, &elements) {
            Detection::Fits(layout) => {
                let mapping = Mapping::of_json(layout.clone(), None);
                let draft = Draft {
                    format: Format::Json(shape_of(candidate, layout.records().is_some())),
                    header: Vec::new(),
                    list: candidate.path.clone(),
                    passed_over: lists_before(&head, candidate),
                    data: candidate.data,
                    mapping: mapping.map_err(|error| Error::Mapping { source: Box::new(error) })?,
                };
                return draft.look(source, entry, layout).await;
            }
            other if unknown.as_ref().is_none_or(|best| other.is_nearer_than(best)) => unknown = Some(other),
            _ => {}
        }
    }
    let mut lists =
        head.candidates.iter().filter(|candidate| matches!(candidate.shape, Shape::Array { .. })).peekable();
    match (lists.peek().map(|list| list.path.join(".")), unknown) {
        (_, None) => Ok(Look::Empty),
        (Some(first), _) if lists.all(|list| list.is_empty) => {
            Ok(Look::Unsupported(format!("its list {first:?} is empty, and what stands around it fits no layout")))
        }
        (_, Some(detection)) => Ok(Look::Unknown(detection)),
    }
}

/// Paths of the lists of objects before that of a candidate: reading finds those behind it. What stands within an object that is
/// the record itself is the record's own.
fn lists_before(head: &JsonHead, chosen: &Candidate) -> Vec<String> {
    let is_list = |candidate: &&Candidate| matches!(candidate.shape, Shape::Array { .. }) && !candidate.is_empty;
    let before = head.candidates.iter().filter(is_list).filter(|list| list.data.byte < chosen.data.byte);
    before.map(|list| list.path.join(".")).collect()
}

fn begin_of(candidate: &Candidate) -> usize {
    usize::try_from(candidate.data.byte).unwrap_or(usize::MAX)
}

/// How the records lie; a list that the layout names may have others behind it.
const fn shape_of(candidate: &Candidate, is_named: bool) -> Shape {
    match candidate.shape {
        Shape::Array { levels, .. } => Shape::Array { levels, alone: is_named },
        other => other,
    }
}

/// What is known of an entry before its conventions are.
struct Draft {
    format: Format,
    header: Vec<String>,
    list: Vec<String>,
    passed_over: Vec<String>,
    data: Position,
    mapping: Mapping,
}

impl Draft {
    async fn look(self, source: &Source, entry: Entry, layout: Arc<Layout>) -> Result<Look, Error> {
        let mut votes = ConventionVotes::new(&self.mapping);
        if votes.matters() {
            self.sample(source, &entry, &mut votes).await?;
        }
        let conventions = votes.decide();
        let decisive = (votes.decimal().votes_for(conventions.decimal), votes.date().votes_for(conventions.date));
        let segment = Segment {
            entry,
            format: self.format,
            header: self.header,
            list: self.list,
            data_byte: self.data.byte,
            data_line: self.data.line,
            layout: layout.name().to_owned(),
            layout_hash: layout.content_hash().to_owned(),
            conventions,
            decisive_cells: decisive,
        };
        Ok(Look::Segment { segment: Box::new(segment), layout, passed_over: self.passed_over })
    }

    /// Shows the first records of the entry. Where those cannot be read, reading tells it later.
    async fn sample(&self, source: &Source, entry: &Entry, votes: &mut ConventionVotes<'_>) -> Result<(), Error> {
        let reader = container::open_entry(source, entry, self.data.byte, false).await?;
        let mut records = RecordReader::new(reader, self.format, self.data, true);
        let mut scratch = Scratch::default();
        for _ in 0..SAMPLE_RECORDS {
            let Ok(Some(raw)) = records.next().await else { break };
            if raw.end > self.data.byte + SAMPLE_LIMIT_BYTES {
                break;
            }
            if let Ok(row) = classify::row_of(&self.mapping, &raw, &mut scratch) {
                votes.see(&row);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_another_version_is_told_as_such_whatever_else_it_says() {
        let earlier = Plan::parse(br#"{"format_version":1,"segments":[{"layout":"portal-invoice"}]}"#).unwrap_err();
        assert!(matches!(earlier, Error::OtherVersion { found: 1 }), "{earlier}");
        let damaged = Plan::parse(br#"{"format_version":3,"segments":[{"layout":"portal-invoice"}]}"#).unwrap_err();
        assert!(matches!(damaged, Error::Corrupt { .. }), "{damaged}");
    }
}
