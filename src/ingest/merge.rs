//! The merge: from the blocks of all segments to exact counts, the positions of superseded records, and the rejects.
//!
//! The hash space is cut into partitions of bounded size. For each, the keys of every block are read by range and sorted:
//! of the records that share a key the last in the source stays, the others' positions go into the partition's list.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::Work;
use super::block::{self, BUCKETS, BlockReject, HEAD_LIMIT_BYTES, Head, KEY_BYTES, KeyEntry};
use super::error::Error;
use super::survey::Surveyed;
use crate::read::source::Identity;

/// Bytes of keys that a partition should hold: the memory of the merge.
const PARTITION_BYTES: u64 = 8 * 1024 * 1024;

/// Ranged reads of the work store at once.
const READS_AT_ONCE: usize = 8;

/// Bits of a position that say the byte; the bits above say the segment. 256 TB a segment, 65,536 segments.
const BYTE_BITS: u32 = 48;

/// The position of a record among all segments, in the order of the source.
#[must_use]
pub const fn position(segment: usize, byte: u64) -> u64 {
    ((segment as u64) << BYTE_BITS) | byte
}

/// What the merge found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// Records of all segments.
    pub records: u64,
    /// Distinct keys.
    pub written: u64,
    /// Records whose key comes again.
    pub superseded: u64,
    /// Rejected records.
    pub rejected: u64,
    /// Records with a warning, by kind.
    pub warnings: BTreeMap<String, u64>,
    /// Superseded positions in each partition's list.
    pub partitions: Vec<u64>,
    /// Blocks of each segment.
    pub blocks: Vec<u32>,
    /// Records of each segment.
    pub segment_records: Vec<u64>,
    /// Decoded bytes of each segment.
    pub segment_bytes: Vec<u64>,
}

/// A block, with its place among all.
struct Placed {
    segment: usize,
    key: String,
    head: Head,
}

/// Merges the blocks of all segments.
///
/// # Errors
/// The work store; a block that is not there or damaged.
pub async fn merge(work: &Work<'_>, surveyed: &[Surveyed]) -> Result<Merged, Error> {
    let blocks = heads(work, surveyed).await?;
    let mut merged = Merged {
        blocks: surveyed.iter().map(|found| found.blocks).collect(),
        segment_records: surveyed.iter().map(|found| found.sums.records).collect(),
        segment_bytes: surveyed.iter().map(|found| found.sums.end_byte).collect(),
        ..Merged::default()
    };
    for found in surveyed {
        merged.records += found.sums.records;
        merged.rejected += found.sums.rejected;
        for (kind, count) in &found.sums.warnings {
            *merged.warnings.entry(kind.clone()).or_default() += count;
        }
    }
    let cuts = cuts(blocks.iter().map(|placed| placed.head.header.keys).sum());
    for (number, (from, to)) in cuts.iter().zip(cuts.iter().skip(1)).enumerate() {
        let mut keys = keys_between(work, &blocks, *from, *to).await?;
        let superseded = block::take_superseded(&mut keys);
        merged.written += keys.len() as u64;
        merged.partitions.push(superseded.len() as u64);
        if !superseded.is_empty() {
            let list: Vec<u8> = superseded.iter().flat_map(|position| position.to_be_bytes()).collect();
            work.store.put(&work.superseded_key(number), list.into()).await?;
        }
    }
    merged.superseded = merged.records - merged.rejected - merged.written;
    write_rejects(work, &blocks).await?;
    let text = serde_json::to_vec(&merged).map_err(Error::corrupt("the result of the merge"))?;
    work.store.put(&work.merged_key(), text.into()).await?;
    Ok(merged)
}

async fn heads(work: &Work<'_>, surveyed: &[Surveyed]) -> Result<Vec<Placed>, Error> {
    let places = surveyed.iter().enumerate().flat_map(|(segment, found)| (0..found.blocks).map(move |n| (segment, n)));
    let reads = places.map(|(segment, number)| async move {
        let key = work.block_key(segment, number);
        let bytes = work.store.get_range(&key, 0, HEAD_LIMIT_BYTES).await?;
        let head = Head::parse(&bytes).ok_or_else(|| Error::damaged(&key))?;
        // What was read besides the head must not be held for as long as the head is.
        Ok::<_, Error>(Placed { segment, key, head: head.detached() })
    });
    stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await
}

/// Where to cut the buckets, so that each partition holds about as much as it should.
fn cuts(keys: u64) -> Vec<usize> {
    let wanted = usize::try_from((keys * KEY_BYTES as u64).div_ceil(PARTITION_BYTES)).unwrap_or(BUCKETS);
    let count = wanted.clamp(1, BUCKETS);
    (0..=count).map(|n| n * BUCKETS / count).collect()
}

async fn keys_between(work: &Work<'_>, blocks: &[Placed], from: usize, to: usize) -> Result<Vec<KeyEntry>, Error> {
    let reads = blocks.iter().map(|placed| async move {
        let (start, length) = placed.head.keys_range(from, to);
        let bytes = work.store.get_range(&placed.key, start, length).await?;
        Ok::<_, Error>((placed.segment, bytes))
    });
    let fold = |mut keys: Vec<KeyEntry>, (segment, bytes): (usize, Bytes)| async move {
        let (entries, _rest) = bytes.as_chunks::<KEY_BYTES>();
        keys.extend(entries.iter().map(|entry| placed_in(segment, entry)));
        Ok(keys)
    };
    stream::iter(reads).buffered(READS_AT_ONCE).try_fold(Vec::new(), fold).await
}

/// The entry with the segment in the upper bits of its position.
fn placed_in(segment: usize, entry: &KeyEntry) -> KeyEntry {
    let mut placed = *entry;
    if let Some(part) = placed.last_chunk_mut::<8>() {
        *part = position(segment, block::position_of(entry)).to_be_bytes();
    }
    placed
}

/// A reject as users find it.
#[derive(Debug, Serialize, Deserialize)]
struct RejectLine<'a> {
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'a str>,
    line: u64,
    record: u64,
    byte: u64,
    length: u64,
    reason: String,
    message: String,
    raw: String,
}

/// Writes the rejects of every block that has any, with line and record counted from the start of their entry.
async fn write_rejects(work: &Work<'_>, blocks: &[Placed]) -> Result<(), Error> {
    let source = named(&work.plan.source);
    let (mut segment, mut line, mut record) = (usize::MAX, 0, 0);
    for (number, placed) in blocks.iter().enumerate() {
        let planned = work.segment(placed.segment)?;
        if placed.segment != segment {
            (segment, line, record) = (placed.segment, planned.data_line, 0);
        }
        if placed.head.header.rejected > 0 {
            let found = work.store.get_range(&placed.key, placed.head.rejects_at(), REJECTS_READ_BYTES).await?;
            let mut out = Vec::with_capacity(found.len() + found.len() / 4);
            for text in found.split(|&byte| byte == b'\n').filter(|text| !text.is_empty()) {
                let reject: BlockReject = serde_json::from_slice(text).map_err(Error::corrupt(&placed.key))?;
                let reject = RejectLine {
                    source: &source,
                    entry: planned.entry.name.as_deref(),
                    line: line + reject.line,
                    record: record + reject.record + 1,
                    byte: reject.byte,
                    length: reject.length,
                    reason: reject.reason,
                    message: reject.message,
                    raw: reject.raw,
                };
                serde_json::to_writer(&mut out, &reject).map_err(Error::corrupt("a reject"))?;
                out.push(b'\n');
            }
            work.store.put(&work.rejects_key(number), out.into()).await?;
        }
        line += placed.head.header.lines;
        record += placed.head.header.records;
    }
    Ok(())
}

/// `bucket/key`, or the path.
fn named(source: &Identity) -> String {
    match (&source.bucket, &source.key, &source.path) {
        (Some(bucket), Some(key), _) => format!("{bucket}/{key}"),
        (_, _, path) => path.clone().unwrap_or_default(),
    }
}

/// Above what a block's rejects can take: their limit and one more reject.
const REJECTS_READ_BYTES: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_cover_the_buckets_and_bound_the_partitions() {
        for keys in [0, 1, 300_000, 400_000, 2_000_000, 100_000_000, 10_000_000_000] {
            let cuts = cuts(keys);
            assert_eq!((cuts.first(), cuts.last()), (Some(&0), Some(&BUCKETS)), "{keys} keys");
            assert!(cuts.is_sorted_by(|a, b| a < b), "{keys} keys: {cuts:?}");
        }
        assert_eq!(cuts(2_000_000).len(), 7);
    }

    #[test]
    fn positions_keep_the_order_of_the_source() {
        assert!(position(0, (1 << 48) - 1) < position(1, 0));
        assert!(position(1, 5) < position(1, 6));
    }
}
