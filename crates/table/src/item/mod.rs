//! What the table holds, as items: their JSON as it goes over the wire, their size, and the write units that a put of them takes.
//!
//! | file | item |
//! | --- | --- |
//! | [`invoice`] | an invoice, with its keys in the indexes |
//! | [`mod@line`] | a line |
//! | [`event`] | an event |
//!
//! What all of them have:
//!
//! | attribute | type | holds |
//! | --- | --- | --- |
//! | `PK`, `SK` | S | see [`super::keys`] |
//! | `src`, `rec` | S, N | the ingestion that wrote it, the number of the record in its entry from 1 |
//!
//! A put costs a write unit for each started KB, once for the table and once for each index: names are short, and what
//! can be told from the rest is left out.

pub mod event;
pub mod invoice;
pub mod line;

use std::borrow::Cow;
use std::ops::Range;

use serde::Serialize;

use super::item_writer::{Counter, Json, Name, Sink, name, number_bytes};
use super::keys::{self, ID_LIMIT_BYTES, INVOICE_PREFIX};
use notaflux_invoice::Warning;
use notaflux_invoice::line::LINE_NUMBER_LIMIT;

pub use super::item_writer::NAME_LIMIT_BYTES;
pub use event::{encode_event, measure_event};
pub use invoice::{encode_invoice, measure_invoice};
pub use line::{encode_line, measure_line};

/// Most bytes of an item (`DynamoDB` service limit: 400 KB).
pub const ITEM_LIMIT_BYTES: usize = 400 * 1024;
/// Bytes that one write unit pays for (`DynamoDB` pricing: 1 KB).
pub const WRITE_UNIT_BYTES: usize = 1024;

/// Where a record came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceRef<'a> {
    /// Id of the ingestion.
    pub ingestion: Cow<'a, str>,
    /// Number of the record in its entry, from 1.
    pub record: u64,
}

/// What a put of an item takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Size of the item in bytes, as `DynamoDB` counts: names and values in UTF-8, and what maps and lists take.
    pub size_bytes: usize,
    /// Write units of a put of a new item: one for each started KB, once for the table and once for each index that the
    /// item appears in. A put over an item whose index keys differ costs more.
    pub write_units: u32,
}

/// An item that was appended to a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Size of the item in bytes, as `DynamoDB` counts.
    pub size_bytes: usize,
    /// Write units of a put of it: see [`Measured::write_units`].
    pub write_units: u32,
    /// Where in the buffer the text of its partition key lies.
    pub pk: Range<usize>,
    /// Where in the buffer the text of its sort key lies.
    pub sk: Range<usize>,
}

/// Why `DynamoDB` would refuse an item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An invoice that nothing names, or a line or event that names none.
    #[error("expected an id, found an empty one")]
    EmptyId,
    /// The id does not fit into a key.
    #[error("expected an id of at most {ID_LIMIT_BYTES} bytes, found {size_bytes}")]
    IdTooLong {
        /// Its length in bytes.
        size_bytes: usize,
    },
    /// A further column whose name is empty or too long.
    #[error("expected a further column with a name of 1 to {NAME_LIMIT_BYTES} bytes, found {size_bytes}")]
    Name {
        /// Its length in bytes.
        size_bytes: usize,
    },
    /// A line whose number does not fit into its key.
    #[error("expected a line number from 1 to {LINE_NUMBER_LIMIT}, found {number}")]
    LineNumber {
        /// Its number.
        number: u32,
    },
    /// More than an item may hold.
    #[error("expected a record that makes an item of at most {ITEM_LIMIT_BYTES} bytes, found {size_bytes}")]
    TooLarge {
        /// Size that the item would have, in bytes.
        size_bytes: usize,
    },
}

/// What is known of an item that was walked over: where its keys lie, and in how many indexes it appears.
struct Walked {
    pk: Range<usize>,
    sk: Range<usize>,
    indexes: u32,
}

/// Appends the item that `walk` goes over to `out`, unless `DynamoDB` would refuse it, were its shard and the number of its
/// record as long as they may be: then [`measure`] refuses it too. `spared` is how much longer its shards may be.
fn encode(
    source: &SourceRef<'_>,
    out: &mut Vec<u8>,
    spared: usize,
    walk: impl FnOnce(&mut Json<'_>) -> Walked,
) -> Result<Encoded, Refusal> {
    let start = out.len();
    let mut json = Json::begin(out);
    let walked = walk(&mut json);
    let counter = json.end();
    let size_bytes = counter.size_bytes();
    let spared = spared * walked.indexes as usize + number_bytes(u64::MAX) - number_bytes(source.record);
    if let Err(refusal) = check(&counter, size_bytes + spared) {
        out.truncate(start);
        return Err(refusal);
    }
    Ok(Encoded { size_bytes, write_units: write_units(size_bytes, walked.indexes), pk: walked.pk, sk: walked.sk })
}

/// What a put of the item that `walk` goes over takes.
fn measure(walk: impl FnOnce(&mut Counter) -> Walked) -> Result<Measured, Refusal> {
    let mut counter = Counter::default();
    let walked = walk(&mut counter);
    let size_bytes = counter.size_bytes();
    check(&counter, size_bytes)?;
    Ok(Measured { size_bytes, write_units: write_units(size_bytes, walked.indexes) })
}

/// Checks what was counted.
fn check(counter: &Counter, size_bytes: usize) -> Result<(), Refusal> {
    if let Some(size_bytes) = counter.wrong_name() {
        return Err(Refusal::Name { size_bytes });
    }
    if size_bytes > ITEM_LIMIT_BYTES {
        return Err(Refusal::TooLarge { size_bytes });
    }
    Ok(())
}

/// The indexes project everything: an entry costs what the item does.
fn write_units(size_bytes: usize, indexes: u32) -> u32 {
    let each = u32::try_from(size_bytes.div_ceil(WRITE_UNIT_BYTES)).unwrap_or(u32::MAX);
    each.saturating_mul(1 + indexes)
}

/// Checks the id of an invoice.
fn check_id(id: &str) -> Result<(), Refusal> {
    match id.len() {
        0 => Err(Refusal::EmptyId),
        size_bytes if size_bytes > ID_LIMIT_BYTES => Err(Refusal::IdTooLong { size_bytes }),
        _ => Ok(()),
    }
}

/// The keys of the table. The sort key is given in parts.
fn walk_keys(id: &str, sort_key: &[&str], sink: &mut impl Sink) -> (Range<usize>, Range<usize>) {
    (sink.key(name!(keys::PK), &[INVOICE_PREFIX, id]), sink.key(name!(keys::SK), sort_key))
}

/// A map that is there if anything is in it.
struct Map {
    name: &'static Name,
    is_open: bool,
}

impl Map {
    fn new(name: &'static Name) -> Self {
        Self { name, is_open: false }
    }

    /// Begins it, if it is not begun.
    #[inline]
    fn open<'s, S: Sink>(&mut self, sink: &'s mut S) -> &'s mut S {
        if !self.is_open {
            self.is_open = true;
            sink.name(self.name);
            sink.open_map();
        }
        sink
    }

    fn close(self, sink: &mut impl Sink) {
        if self.is_open {
            sink.close_map();
        }
    }
}

/// A further column.
fn walk_column(name: &str, value: &str, columns: &mut Map, sink: &mut impl Sink) {
    columns.open(sink).further(name, value);
}

fn walk_warnings(warnings: impl Iterator<Item = Warning>, sink: &mut impl Sink) {
    let mut is_open = false;
    for warning in warnings {
        if !is_open {
            is_open = true;
            sink.name(name!("w"));
            sink.open_list();
        }
        sink.element(warning.as_str());
    }
    if is_open {
        sink.close_list();
    }
}

fn walk_source(source: &SourceRef<'_>, sink: &mut impl Sink) {
    sink.text(name!("src"), &source.ingestion);
    sink.name(name!("rec"));
    sink.number(source.record);
}

fn optional(name: &Name, text: Option<&str>, sink: &mut impl Sink) {
    if let Some(text) = text {
        sink.text(name, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_unit_is_a_started_kilobyte() {
        assert_eq!(write_units(1, 0), 1);
        assert_eq!(write_units(1024, 0), 1);
        assert_eq!(write_units(1025, 3), 8);
    }
}
