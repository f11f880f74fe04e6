//! The plan: what is decided once for a whole source, and obeyed by every worker that ever works on it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::Error;
use super::store::WorkStore;
use crate::layout::{self, Detection, Mapping};
use crate::read::ReadError;
use crate::read::container::{self, Contents, Entry};
use crate::read::csv;
use crate::read::source::{Identity, Source};

/// Version of what the engine leaves in the work store. Work of another version is done anew.
pub const FORMAT_VERSION: u32 = 1;

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
    pub async fn obtain(source: &Source, store: &WorkStore, folder: &str, block_bytes: u64) -> Result<Self, Error> {
        let key = format!("{folder}/plan.json");
        let stored = if let Some(stored) = store.get_if_there(&key).await? {
            stored
        } else {
            let drafted = Self::draft(source, block_bytes).await?;
            let text = Bytes::from(serde_json::to_vec_pretty(&drafted).map_err(Error::corrupt("a plan"))?);
            store.put_if_absent(&key, text).await?
        };
        let plan: Self = serde_json::from_slice(&stored).map_err(Error::corrupt("the plan"))?;
        if plan.format_version != FORMAT_VERSION {
            return Err(Error::OtherVersion { found: plan.format_version });
        }
        Ok(plan)
    }

    /// Looks at the source and decides.
    ///
    /// # Errors
    /// A source that cannot be read, is empty, or that no layout fits.
    pub async fn draft(source: &Source, block_bytes: u64) -> Result<Self, Error> {
        let contents = Contents::inspect(source).await?;
        let (mut segments, mut skipped, mut unknown) = (Vec::new(), Vec::new(), None);
        for entry in contents.entries {
            let name = entry.name.clone().unwrap_or_else(|| source.to_string());
            match look_at(source, entry).await? {
                Look::Segment(segment) => segments.push(*segment),
                Look::Empty => skipped.push(Skipped { name, reason: "it is empty".to_owned() }),
                Look::Unsupported(reason) => skipped.push(Skipped { name, reason }),
                Look::Unknown(detection) => {
                    skipped.push(Skipped { name: name.clone(), reason: "no layout fits its header".to_owned() });
                    unknown.get_or_insert((name, detection));
                }
            }
        }
        if segments.is_empty() {
            return Err(match unknown {
                Some((name, detection)) => Error::NoLayout { name, detection: Box::new(detection) },
                None => Error::NoData { name: source.to_string(), skipped },
            });
        }
        let identity = source.identity().clone();
        let ingestion = ingestion_id(&identity);
        Ok(Self { format_version: FORMAT_VERSION, ingestion, source: identity, block_bytes, segments, skipped })
    }
}

impl Segment {
    /// The mapping that this segment was planned with.
    ///
    /// # Errors
    /// A layout that is gone or has changed since.
    pub fn mapping(&self) -> Result<Mapping, Error> {
        let layout = layout::by_name(&self.layout).filter(|layout| layout.content_hash() == self.layout_hash);
        let layout = layout.ok_or_else(|| Error::LayoutChanged { layout: self.layout.clone() })?;
        Mapping::new(layout, &self.header).map_err(|error| Error::Mapping { source: Box::new(error) })
    }
}

enum Look {
    Segment(Box<Segment>),
    Empty,
    Unsupported(String),
    Unknown(Detection),
}

async fn look_at(source: &Source, entry: Entry) -> Result<Look, Error> {
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
    match layout::detect(&head.fields) {
        Detection::Fits(layout) => Ok(Look::Segment(Box::new(Segment {
            entry,
            delimiter: head.delimiter,
            header: head.fields,
            data_byte: head.data.byte,
            data_line: head.data.line,
            layout: layout.name().to_owned(),
            layout_hash: layout.content_hash().to_owned(),
        }))),
        other => Ok(Look::Unknown(other)),
    }
}
