//! The plan: everything that is decided once for a source, and followed by every worker that ever works on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use notaflux_layout::{self as layout, Detection, Layout, Mapping, Yields};
use notaflux_records::container::Contents;
use notaflux_records::record::Format;
use notaflux_records::source::{Identity, Source};

use super::choice::Catalog;
use super::error::Error;
use super::ingestion_id::ingestion_id;
use super::inspect::{Inspected, inspect};
use super::segment::Segment;
use super::settings::Settings;
use super::skipped::Skipped;
use super::store::WorkStore;

/// Entries that are inspected at once.
const INSPECTED_AT_ONCE: usize = 8;

/// Version of the objects in the work store. The engine cannot resume an ingestion of another version.
const FORMAT_VERSION: u32 = 4;

/// Everything that is decided for a source before the first record is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// [`FORMAT_VERSION`] of the engine that made the plan.
    pub(crate) format_version: u32,
    /// Id of the ingestion.
    pub(crate) ingestion: String,
    /// The version of the object.
    pub(crate) source: Identity,
    /// Bytes of decoded input in a block.
    pub(crate) block_bytes: u64,
    /// The entries that are ingested, in order.
    pub(crate) segments: Vec<Segment>,
    /// The entries that are not ingested, and why.
    pub(crate) skipped: Vec<Skipped>,
    /// Whether a warning rejects its record.
    pub(crate) strict: bool,
    /// Texts of the layouts that are not built in, by hash.
    pub(crate) layouts: BTreeMap<String, String>,
}

/// The field that plans of every version have.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

/// A segment and the kind of its rows, before the segments are sorted.
struct Planned {
    yields: Yields,
    segment: Segment,
}

/// The first entries that are not read.
#[derive(Default)]
struct Unread {
    /// One that no layout fits.
    unknown: Option<(String, Box<Detection>)>,
    /// One that holds data, and why it is not read.
    with_data: Option<(String, String)>,
}

impl Plan {
    /// Reads the plan of this source from the work store, or makes it and stores it there.
    ///
    /// # Errors
    /// A source that cannot be read, or that no layout fits; a stored plan that this engine cannot follow.
    pub(crate) async fn obtain(
        source: &Source,
        store: &WorkStore,
        folder: &str,
        settings: &Settings,
    ) -> Result<Self, Error> {
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
        // The version first: a plan of another version may have other fields.
        let Version { format_version: found } = serde_json::from_slice(stored).map_err(Error::corrupt("the plan"))?;
        if found != FORMAT_VERSION {
            return Err(Error::OtherVersion { found });
        }
        serde_json::from_slice(stored).map_err(Error::corrupt("the plan"))
    }

    /// Inspects the source and makes a plan. Stores nothing.
    ///
    /// # Errors
    /// A source that cannot be read, is empty, or that no layout fits; a named layout that does not exist.
    pub(crate) async fn draft(source: &Source, store: &WorkStore, settings: &Settings) -> Result<Self, Error> {
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
        let inspections = entries.into_iter().map(async |entry| {
            let name = entry.name.clone().unwrap_or_else(|| source.to_string());
            Ok::<_, Error>((name, inspect(source, entry, &catalog).await?))
        });
        let mut inspections = std::pin::pin!(stream::iter(inspections).buffered(INSPECTED_AT_ONCE));
        let (mut planned, mut unread) = (Vec::new(), Unread::default());
        while let Some((name, inspected)) = inspections.try_next().await? {
            planned.extend(plan.add(name, inspected, &mut unread));
        }
        plan.finish(planned, unread, settings.layouts.skip_unknown, source)
    }

    /// Adds an inspected entry to the skipped entries, or returns its segment.
    fn add(&mut self, name: String, inspected: Inspected, unread: &mut Unread) -> Option<Planned> {
        let reason = match inspected {
            Inspected::Segment { segment, layout, skipped_lists } => {
                self.keep_layout(&layout);
                let reason = "a list of objects before the list of records";
                let skipped = skipped_lists.into_iter().map(|list| format!("{name}, list {list}"));
                self.skipped.extend(skipped.map(|name| Skipped { name, reason: reason.to_owned() }));
                return Some(Planned { yields: layout.yields(), segment: *segment });
            }
            Inspected::Empty => "it is empty".to_owned(),
            Inspected::NoData(reason) => reason,
            Inspected::Unreadable(reason) => {
                unread.with_data.get_or_insert_with(|| (name.clone(), reason.clone()));
                reason
            }
            Inspected::Unknown { detection, holds_records } => {
                if holds_records {
                    unread.with_data.get_or_insert_with(|| (name.clone(), detection.to_string()));
                }
                unread.unknown.get_or_insert_with(|| (name.clone(), Box::new(detection)));
                "no layout fits it".to_owned()
            }
        };
        self.skipped.push(Skipped { name, reason });
        None
    }

    /// Keeps the text of a layout that is not built in, so that every worker reads the same layout.
    fn keep_layout(&mut self, layout: &Layout) {
        let built_in = layout::by_name(layout.name());
        if built_in.is_none_or(|built_in| built_in.content_hash() != layout.content_hash()) {
            self.layouts.insert(layout.content_hash().to_owned(), layout.text().to_owned());
        }
    }

    /// Sorts the segments and adds them to the plan.
    ///
    /// # Errors
    /// There is nothing to ingest; an entry that holds data is not read, and nobody asked to skip it.
    fn finish(
        mut self,
        mut planned: Vec<Planned>,
        unread: Unread,
        skip_unknown: bool,
        source: &Source,
    ) -> Result<Self, Error> {
        if planned.is_empty() {
            return Err(match unread.unknown {
                Some((name, detection)) => Error::NoLayout { name, detection },
                None => Error::NoData { name: source.to_string(), skipped: self.skipped },
            });
        }
        if let Some((entry, reason)) = unread.with_data.filter(|_| !skip_unknown) {
            return Err(Error::UnreadEntry { archive: source.to_string(), entry, reason });
        }
        planned.sort_by_key(|planned| rank(planned.yields));
        refuse_lines_of_two_kinds(&planned, source)?;
        self.segments = planned.into_iter().map(|planned| planned.segment).collect();
        Ok(self)
    }

    /// Returns the mapping of a segment.
    ///
    /// # Errors
    /// A built-in layout that has changed or does not exist any more; a damaged plan.
    pub(crate) fn mapping(&self, segment: &Segment) -> Result<Mapping, Error> {
        let layout = match self.layouts.get(&segment.layout_hash) {
            Some(text) => Some(Arc::new(Layout::parse(text).map_err(Error::corrupt("a layout of the plan"))?)),
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

/// Returns the place of entries in the order of the plan: lines and events come after the invoices to which they belong.
const fn rank(yields: Yields) -> u8 {
    match yields {
        Yields::Invoice | Yields::InvoiceLine | Yields::InvoiceWithLines => 0,
        Yields::Line => 1,
        Yields::Event => 2,
    }
}

/// Refuses a source with lines alone and lines within their invoices. They may be the same items, and no rule says which of
/// them should stay.
fn refuse_lines_of_two_kinds(planned: &[Planned], source: &Source) -> Result<(), Error> {
    let first_of = |wanted: &[Yields]| {
        let found = planned.iter().find(|planned| wanted.contains(&planned.yields));
        found.map(|planned| planned.segment.entry.name.clone().unwrap_or_else(|| source.to_string()))
    };
    match (first_of(&[Yields::InvoiceWithLines]), first_of(&[Yields::Line, Yields::InvoiceLine])) {
        (Some(invoices), Some(lines)) => Err(Error::LinesOfTwoKinds { invoices, lines }),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_another_version_is_an_error_of_its_own_whatever_else_it_contains() {
        let earlier = Plan::parse(br#"{"format_version":1,"segments":[{"layout":"portal-invoice"}]}"#).unwrap_err();
        assert!(matches!(earlier, Error::OtherVersion { found: 1 }), "{earlier}");
        let damaged = Plan::parse(br#"{"format_version":4,"segments":[{"layout":"portal-invoice"}]}"#).unwrap_err();
        assert!(matches!(damaged, Error::Corrupt { .. }), "{damaged}");
    }
}
