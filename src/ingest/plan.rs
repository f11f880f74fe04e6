//! The plan: what is decided once for a whole source, and obeyed by every worker that ever works on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Settings;
use super::choice::{self, Catalog};
use super::error::Error;
use super::store::WorkStore;
use crate::layout::{self, ConventionVotes, Conventions, Detection, Layout, Mapping, Row, Scratch, Yields};
use crate::read::ReadError;
use crate::read::container::{self, Contents, Entry};
use crate::read::csv::{self, CsvOptions, CsvReader, Head};
use crate::read::record::Content;
use crate::read::source::{Identity, Source};

/// Entries that are looked at at once.
const LOOKS_AT_ONCE: usize = 8;

/// Records, and bytes of them, that show how the amounts and dates of a source are written.
const SAMPLE_RECORDS: usize = 2_000;
const SAMPLE_LIMIT_BYTES: usize = 1024 * 1024;

/// Version of what the engine leaves in the work store. Work of another version is done anew.
pub const FORMAT_VERSION: u32 = 2;

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
    /// Field delimiter.
    pub delimiter: u8,
    /// Column names as they stand in the source.
    pub header: Vec<String>,
    /// First decoded byte behind the header.
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
    let digest = Sha256::digest(source.fingerprint().as_bytes());
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
                Look::Segment(segment, layout) => {
                    choice::keep(&layout, &mut plan);
                    segments.push((rank(layout.yields()), *segment));
                }
                Look::Empty => plan.skipped.push(Skipped { name, reason: "it is empty".to_owned() }),
                Look::Unsupported(reason) => plan.skipped.push(Skipped { name, reason }),
                Look::Unknown(detection) => {
                    plan.skipped.push(Skipped { name: name.clone(), reason: "no layout fits its header".to_owned() });
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
        segments.sort_by_key(|(rank, _)| *rank);
        plan.segments = segments.into_iter().map(|(_, segment)| segment).collect();
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
        let mapping = Mapping::with_conventions(layout, &segment.header, segment.conventions);
        Ok(mapping.map_err(|error| Error::Mapping { source: Box::new(error) })?.strict(self.strict))
    }
}

/// The order of entries: what belongs to invoices comes behind them.
const fn rank(yields: Yields) -> u8 {
    match yields {
        Yields::Invoice | Yields::InvoiceLine => 0,
        Yields::Line => 1,
        Yields::Event => 2,
    }
}

enum Look {
    Segment(Box<Segment>, Arc<Layout>),
    Empty,
    Unsupported(String),
    Unknown(Detection),
}

async fn look_at(source: &Source, entry: Entry, catalog: &Catalog) -> Result<Look, Error> {
    if let Some(reason) = &entry.unsupported {
        return Ok(Look::Unsupported(reason.clone()));
    }
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
    let (conventions, decisive_cells) = conventions(source, &entry, &head, &layout).await?;
    let segment = Segment {
        entry,
        delimiter: head.delimiter,
        header: head.fields,
        data_byte: head.data.byte,
        data_line: head.data.line,
        layout: layout.name().to_owned(),
        layout_hash: layout.content_hash().to_owned(),
        conventions,
        decisive_cells,
    };
    Ok(Look::Segment(Box::new(segment), layout))
}

/// The conventions of an entry, by what its first records show, and how many cells show it. Where those cannot be read, reading
/// tells it later.
async fn conventions(
    source: &Source,
    entry: &Entry,
    head: &Head,
    layout: &Arc<Layout>,
) -> Result<(Conventions, (u64, u64)), Error> {
    let mapping =
        Mapping::new(layout.clone(), &head.fields).map_err(|error| Error::Mapping { source: Box::new(error) })?;
    let mut votes = ConventionVotes::new(&mapping);
    if !votes.matters() {
        return Ok((votes.decide(), (0, 0)));
    }
    let reader = container::open_entry(source, entry, head.data.byte, false).await?;
    let options = CsvOptions { delimiter: head.delimiter, record_limit_bytes: SAMPLE_LIMIT_BYTES };
    let mut csv = CsvReader::new(reader, options, head.data);
    let mut scratch = Scratch::default();
    for _ in 0..SAMPLE_RECORDS {
        let Ok(Some(raw)) = csv.next().await else { break };
        if raw.end > head.data.byte + SAMPLE_LIMIT_BYTES as u64 {
            break;
        }
        let Content::Fields(fields) = raw.content else { break };
        votes.see(&Row::decode(fields, &mut scratch));
    }
    let conventions = votes.decide();
    Ok((conventions, (votes.decimal().votes_for(conventions.decimal), votes.date().votes_for(conventions.date))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_another_version_is_told_as_such_whatever_else_it_says() {
        let earlier = Plan::parse(br#"{"format_version":1,"segments":[{"layout":"portal-invoice"}]}"#).unwrap_err();
        assert!(matches!(earlier, Error::OtherVersion { found: 1 }), "{earlier}");
        let damaged = Plan::parse(br#"{"format_version":2,"segments":[{"layout":"portal-invoice"}]}"#).unwrap_err();
        assert!(matches!(damaged, Error::Corrupt { .. }), "{damaged}");
    }
}
