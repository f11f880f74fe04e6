//! The parts that all items share: their limits, their size, and the code that measures or writes them.

use std::borrow::Cow;
use std::ops::Range;

use serde::Serialize;

use crate::item_writer::{Counter, ItemWriter, Json, NAME_LIMIT_BYTES, Name, name, number_bytes};
use crate::keys::{self, ID_LIMIT_BYTES, INVOICE_PREFIX};
use notaflux_invoice::Warning;
use notaflux_invoice::line::LINE_NUMBER_LIMIT;

/// Most bytes of an item (`DynamoDB` service limit: 400 KB).
pub const ITEM_LIMIT_BYTES: usize = 400 * 1024;
/// Bytes that one write unit pays for (`DynamoDB` pricing: 1 KB).
const WRITE_UNIT_BYTES: usize = 1024;

/// The origin of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceRef<'a> {
    /// Id of the ingestion.
    pub ingestion: Cow<'a, str>,
    /// Number of the record in its entry, from 1.
    pub record: u64,
}

/// The cost of a put of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Size of the item in bytes, as `DynamoDB` counts: names and values in UTF-8, and the overhead of maps and lists.
    pub size_bytes: usize,
    /// Write units of a put of a new item: one for each started KB, once for the table and once for each index that the item appears
    /// in. A put over an item with other index keys costs more.
    pub write_units: u32,
}

/// An item that was appended to a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Size of the item in bytes, as `DynamoDB` counts.
    pub size_bytes: usize,
    /// Write units of a put: see [`Measured::write_units`].
    pub write_units: u32,
    /// Range of the text of its partition key in the buffer.
    pub pk: Range<usize>,
    /// Range of the text of its sort key in the buffer.
    pub sk: Range<usize>,
}

/// Why `DynamoDB` would refuse an item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An invoice without an id, or a line or event without the id of an invoice.
    #[error("expected an id, found an empty one")]
    EmptyId,
    /// The id does not fit into a key.
    #[error("expected an id of at most {ID_LIMIT_BYTES} bytes, found {size_bytes}")]
    IdTooLong {
        /// Its length in bytes.
        size_bytes: usize,
    },
    /// An extra column whose name is empty or too long.
    #[error("expected an extra column with a name of 1 to {NAME_LIMIT_BYTES} bytes, found {size_bytes}")]
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
    /// The item would be too large.
    #[error("expected a record that makes an item of at most {ITEM_LIMIT_BYTES} bytes, found {size_bytes}")]
    TooLarge {
        /// Size that the item would have, in bytes.
        size_bytes: usize,
    },
}

/// An item whose parts were written: the ranges of its keys, and the number of indexes that it appears in.
pub(super) struct WrittenParts {
    pub(super) pk: Range<usize>,
    pub(super) sk: Range<usize>,
    pub(super) indexes: u32,
}

/// Appends the item that `write` writes to `out`, unless `DynamoDB` would refuse it with the longest shard and record number. So it
/// refuses exactly the items that [`measure`] refuses. `shard_margin` is the number of bytes by which a shard may be longer.
pub(super) fn encode(
    source: &SourceRef<'_>,
    out: &mut Vec<u8>,
    shard_margin: usize,
    write: impl FnOnce(&mut Json<'_>) -> WrittenParts,
) -> Result<Encoded, Refusal> {
    let start = out.len();
    let mut json = Json::begin(out);
    let written = write(&mut json);
    let counter = json.end();
    let size_bytes = counter.size_bytes();
    let margin = shard_margin * written.indexes as usize + number_bytes(u64::MAX) - number_bytes(source.record);
    if let Err(refusal) = check(&counter, size_bytes + margin) {
        out.truncate(start);
        return Err(refusal);
    }
    Ok(Encoded { size_bytes, write_units: write_units(size_bytes, written.indexes), pk: written.pk, sk: written.sk })
}

/// Measures the item that `write` writes.
pub(super) fn measure(write: impl FnOnce(&mut Counter) -> WrittenParts) -> Result<Measured, Refusal> {
    let mut counter = Counter::default();
    let written = write(&mut counter);
    let size_bytes = counter.size_bytes();
    check(&counter, size_bytes)?;
    Ok(Measured { size_bytes, write_units: write_units(size_bytes, written.indexes) })
}

/// Checks the limits of `DynamoDB`.
fn check(counter: &Counter, size_bytes: usize) -> Result<(), Refusal> {
    if let Some(size_bytes) = counter.invalid_name_bytes() {
        return Err(Refusal::Name { size_bytes });
    }
    if size_bytes > ITEM_LIMIT_BYTES {
        return Err(Refusal::TooLarge { size_bytes });
    }
    Ok(())
}

/// Returns the write units of a put. The indexes project all attributes, so an entry costs as much as the item.
fn write_units(size_bytes: usize, indexes: u32) -> u32 {
    let each = u32::try_from(size_bytes.div_ceil(WRITE_UNIT_BYTES)).unwrap_or(u32::MAX);
    each.saturating_mul(1 + indexes)
}

/// Checks the id of an invoice.
pub(super) fn check_id(id: &str) -> Result<(), Refusal> {
    match id.len() {
        0 => Err(Refusal::EmptyId),
        size_bytes if size_bytes > ID_LIMIT_BYTES => Err(Refusal::IdTooLong { size_bytes }),
        _ => Ok(()),
    }
}

/// Writes the keys of the table. The sort key is given in parts.
pub(super) fn write_keys(id: &str, sort_key: &[&str], writer: &mut impl ItemWriter) -> (Range<usize>, Range<usize>) {
    (writer.key(name!(keys::PK), &[INVOICE_PREFIX, id]), writer.key(name!(keys::SK), sort_key))
}

/// A map that is written only if it has elements.
pub(super) struct Map {
    name: &'static Name,
    is_open: bool,
}

impl Map {
    pub(super) fn new(name: &'static Name) -> Self {
        Self { name, is_open: false }
    }

    /// Begins the map, if it has not begun.
    #[inline]
    pub(super) fn open<'s, S: ItemWriter>(&mut self, writer: &'s mut S) -> &'s mut S {
        if !self.is_open {
            self.is_open = true;
            writer.name(self.name);
            writer.open_map();
        }
        writer
    }

    /// Ends the map, if it has begun.
    pub(super) fn close(self, writer: &mut impl ItemWriter) {
        if self.is_open {
            writer.close_map();
        }
    }
}

/// Writes an extra column.
pub(super) fn write_column(name: &str, value: &str, columns: &mut Map, writer: &mut impl ItemWriter) {
    columns.open(writer).column(name, value);
}

/// Writes the warnings of a record.
pub(super) fn write_warnings(warnings: impl Iterator<Item = Warning>, writer: &mut impl ItemWriter) {
    let mut is_open = false;
    for warning in warnings {
        if !is_open {
            is_open = true;
            writer.name(name!("w"));
            writer.open_list();
        }
        writer.element(warning.as_str());
    }
    if is_open {
        writer.close_list();
    }
}

/// Writes the origin of a record.
pub(super) fn write_source(source: &SourceRef<'_>, writer: &mut impl ItemWriter) {
    writer.text(name!("src"), &source.ingestion);
    writer.name(name!("rec"));
    writer.number(source.record);
}

/// Writes a text, if there is one.
pub(super) fn write_optional(name: &Name, text: Option<&str>, writer: &mut impl ItemWriter) {
    if let Some(text) = text {
        writer.text(name, text);
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
