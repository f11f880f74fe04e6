//! Inspects one entry of a source, for the plan.

use std::sync::Arc;

use notaflux_layout::{ConventionVotes, Detection, Layout, Mapping, Scratch};
use notaflux_records::ReadError;
use notaflux_records::container::{self, Entry};
use notaflux_records::csv::{self, Head, Top};
use notaflux_records::json::{self, Candidate, JsonHead};
use notaflux_records::reader::RecordReader;
use notaflux_records::record::{Format, Position, Shape};
use notaflux_records::source::Source;

use super::choice::Catalog;
use super::classify;
use super::error::Error;
use super::segment::Segment;

/// Records, and bytes of them, from which the conventions of amounts and dates are detected.
const SAMPLE_RECORDS: usize = 2_000;
const SAMPLE_LIMIT_BYTES: u64 = 1024 * 1024;

/// The result of an inspection.
pub(crate) enum Inspected {
    /// The entry can be ingested.
    Segment {
        segment: Box<Segment>,
        layout: Arc<Layout>,
        /// Paths of the lists of objects before the list of records. They are not read.
        skipped_lists: Vec<String>,
    },
    /// The entry contains no records.
    Empty,
    /// The entry is plainly no data, for this reason.
    NoData(String),
    /// The entry may hold data, and cannot be read for this reason.
    Unreadable(String),
    /// No layout fits.
    Unknown {
        detection: Detection,
        /// Whether it is a table or JSON, and not a text for people.
        holds_records: bool,
    },
}

/// Inspects the start of an entry, and chooses its format, layout and conventions.
///
/// # Errors
/// A source that cannot be read.
pub(crate) async fn inspect(source: &Source, entry: Entry, catalog: &Catalog) -> Result<Inspected, Error> {
    if let Some(reason) = &entry.unsupported {
        return Ok(Inspected::Unreadable(reason.clone()));
    }
    let mut reader = container::open_entry(source, &entry, 0, false).await?;
    let place = reader.place().clone();
    let head = json::read_json_head(&mut reader).await.map_err(|error| error.called(&place))?;
    let entry = Entry { encoding: reader.encoding(), ..entry };
    match head {
        Some(head) => inspect_json(source, entry, head, catalog).await,
        None => inspect_table(source, entry, catalog).await,
    }
}

async fn inspect_table(source: &Source, entry: Entry, catalog: &Catalog) -> Result<Inspected, Error> {
    let reader = container::open_entry(source, &entry, 0, false).await?;
    let place = reader.place().clone();
    let top = Top::read(reader, csv::RECORD_LIMIT_BYTES).await.map_err(|error| error.called(&place))?;
    if let Some(format) = container::format_within(top.text()) {
        return Ok(Inspected::Unreadable(format!("it is {format} within an archive")));
    }
    let first = match top.first().await {
        Ok(Some(first)) => first,
        Ok(None) => return Ok(Inspected::Empty),
        // An archive may contain files of any kind. An object that is no table is an error.
        Err(ReadError::RecordTooLong { .. }) if entry.name.is_some() => {
            return Ok(Inspected::NoData("its first line is too long for a table".to_owned()));
        }
        Err(error) => return Err(error.called(&place).into()),
    };
    let (head, layout) = match header(&top, first, catalog).await {
        (head, Detection::Fits(layout)) => (head, layout),
        (_, detection) => return Ok(Inspected::Unknown { detection, holds_records: top.has_rows() }),
    };
    let mapping = Mapping::new(layout.clone(), &head.fields);
    let draft = Draft {
        format: Format::Csv { delimiter: head.delimiter },
        header: head.fields,
        header_line: head.start.line,
        list: Vec::new(),
        skipped_lists: Vec::new(),
        data: head.data,
        mapping: mapping.map_err(|error| Error::Mapping { source: Box::new(error) })?,
    };
    draft.finish(source, entry, layout).await
}

/// Finds the header of a table: the first record that fits a layout, within the lines where a header may stand. If none does,
/// returns the record that came nearest.
async fn header(top: &Top, first: Head, catalog: &Catalog) -> (Head, Detection) {
    let mut nearest = (catalog.detect(&first.fields), first);
    if matches!(nearest.0, Detection::Unknown { .. }) {
        for head in top.others().await {
            let detection = catalog.detect(&head.fields);
            if detection.is_nearer_than(&nearest.0) {
                nearest = (detection, head);
            }
            if !matches!(nearest.0, Detection::Unknown { .. }) {
                break;
            }
        }
    }
    (nearest.1, catalog.warned(nearest.0))
}

/// Inspects JSON. Takes the first candidate that fits a layout. If none does, returns the detection that came nearest.
async fn inspect_json(source: &Source, entry: Entry, head: JsonHead, catalog: &Catalog) -> Result<Inspected, Error> {
    if head.candidates.iter().all(|candidate| candidate.is_empty) {
        return Ok(Inspected::Empty);
    }
    let mut unknown: Option<Detection> = None;
    for candidate in &head.candidates {
        let elements: Vec<&[u8]> = match candidate.elements.as_slice() {
            // The head contains no complete element: use the start of the first one.
            [] => head.text.get(start_of(candidate)..).into_iter().collect(),
            ranges => ranges.iter().filter_map(|range| head.text.get(range.clone())).collect(),
        };
        match catalog.choose_json(&candidate.path, &elements) {
            Detection::Fits(layout) => {
                let mapping = Mapping::of_json(layout.clone(), None);
                let draft = Draft {
                    format: Format::Json(shape_of(candidate, layout.records().is_some())),
                    header: Vec::new(),
                    header_line: 1,
                    list: candidate.path.clone(),
                    skipped_lists: lists_before(&head, candidate),
                    data: candidate.data,
                    mapping: mapping.map_err(|error| Error::Mapping { source: Box::new(error) })?,
                };
                return draft.finish(source, entry, layout).await;
            }
            other if unknown.as_ref().is_none_or(|best| other.is_nearer_than(best)) => unknown = Some(other),
            _ => {}
        }
    }
    let mut lists =
        head.candidates.iter().filter(|candidate| matches!(candidate.shape, Shape::Array { .. })).peekable();
    match (lists.peek().map(|list| list.path.join(".")), unknown) {
        (_, None) => Ok(Inspected::Empty),
        (Some(first), _) if lists.all(|list| list.is_empty) => {
            Ok(Inspected::NoData(format!("its list {first:?} is empty, and the object around it matches no layout")))
        }
        (_, Some(detection)) => Ok(Inspected::Unknown { detection, holds_records: true }),
    }
}

/// Returns the paths of the lists of objects before that of a candidate. Reading finds the lists after it. Lists within an
/// object that is the record itself belong to the record.
fn lists_before(head: &JsonHead, chosen: &Candidate) -> Vec<String> {
    let is_list = |candidate: &&Candidate| matches!(candidate.shape, Shape::Array { .. }) && !candidate.is_empty;
    let before = head.candidates.iter().filter(is_list).filter(|list| list.data.byte < chosen.data.byte);
    before.map(|list| list.path.join(".")).collect()
}

/// Returns where the data of a candidate starts. A start beyond `usize` is beyond the head too.
fn start_of(candidate: &Candidate) -> usize {
    usize::try_from(candidate.data.byte).unwrap_or(usize::MAX)
}

/// Returns the shape of the records. Other lists may follow a list that the layout specifies.
const fn shape_of(candidate: &Candidate, is_named: bool) -> Shape {
    match candidate.shape {
        Shape::Array { levels, .. } => Shape::Array { levels, alone: is_named },
        other => other,
    }
}

/// An entry whose conventions are not known yet.
struct Draft {
    format: Format,
    header: Vec<String>,
    header_line: u64,
    list: Vec<String>,
    skipped_lists: Vec<String>,
    data: Position,
    mapping: Mapping,
}

impl Draft {
    /// Detects the conventions.
    async fn finish(self, source: &Source, entry: Entry, layout: Arc<Layout>) -> Result<Inspected, Error> {
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
            header_line: self.header_line,
            list: self.list,
            data_byte: self.data.byte,
            data_line: self.data.line,
            layout: layout.name().to_owned(),
            layout_hash: layout.content_hash().to_owned(),
            conventions,
            decisive_cells: decisive,
        };
        Ok(Inspected::Segment { segment: Box::new(segment), layout, skipped_lists: self.skipped_lists })
    }

    /// Counts the votes of the first records of the entry. A damaged record ends the sample: the survey will report it.
    ///
    /// # Errors
    /// A source that cannot be read at the moment: a shorter sample could change the conventions.
    async fn sample(&self, source: &Source, entry: &Entry, votes: &mut ConventionVotes<'_>) -> Result<(), Error> {
        let reader = container::open_entry(source, entry, self.data.byte, false).await?;
        let mut records = RecordReader::new(reader, self.format, self.data, true);
        let mut scratch = Scratch::default();
        for _ in 0..SAMPLE_RECORDS {
            let raw = match records.next().await {
                Ok(Some(raw)) => raw,
                Err(error) if !error.is_permanent() => return Err(error.into()),
                Ok(None) | Err(_) => break,
            };
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
