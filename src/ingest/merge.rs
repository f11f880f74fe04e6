//! The merge: which record of each key is the last.
//!
//! The hash space is cut into partitions of bounded size, each a unit of work. The keys of every block that fall into it are
//! read by range and sorted: of the records that share a key the last in the source stays, the others' positions go into the
//! partition's list. What a partition leaves depends on the blocks alone, so it may be done twice.

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::block::{self, BUCKETS, HEAD_LIMIT_BYTES, Head, KEY_BYTES, KeyEntry};
use super::error::Error;
use super::progress::Progress;
use super::work::{Ended, Work};

/// Bytes of keys that a partition should hold: the memory of the merge.
const PARTITION_BYTES: u64 = 8 * 1024 * 1024;

/// Ranged reads of the work store at once.
const READS_AT_ONCE: usize = 8;

/// Bits of a position that say the byte; the bits above say the segment. 256 TB a segment, 65,536 segments.
const BYTE_BITS: u32 = 48;

/// The position of a record among all segments, in the order of the source.
#[must_use]
pub(super) const fn position(segment: usize, byte: u64) -> u64 {
    ((segment as u64) << BYTE_BITS) | byte
}

/// A block, with its place among all.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) segment: usize,
    pub(super) key: String,
    pub(super) head: Head,
}

/// How many partitions so many keys are merged by.
pub(super) fn partitions(keys: u64) -> u32 {
    let wanted = usize::try_from((keys * KEY_BYTES as u64).div_ceil(PARTITION_BYTES)).unwrap_or(BUCKETS);
    u32::try_from(wanted.clamp(1, BUCKETS)).unwrap_or(u32::MAX)
}

/// The buckets of partition `number` of `count`, so that each holds about as much.
fn buckets_of(number: u32, count: u32) -> (usize, usize) {
    let cut = |number: usize| number * BUCKETS / count.max(1) as usize;
    (cut(number as usize), cut(number as usize + 1))
}

/// Merges partition `number` of `count`.
///
/// # Errors
/// The work store; a block that is not there or damaged.
pub(super) async fn merge(work: &Work<'_>, blocks: &[Placed], number: u32, count: u32) -> Result<Ended, Error> {
    let (from, to) = buckets_of(number, count);
    let mut keys = keys_between(work, blocks, from, to).await?;
    let superseded = block::take_superseded(&mut keys);
    if !superseded.is_empty() {
        let list: Vec<u8> = superseded.iter().flat_map(|position| position.to_be_bytes()).collect();
        work.store.put(&work.superseded_key(number as usize), list.into()).await?;
    }
    let (written, superseded) = (keys.len() as u64, superseded.len() as u64);
    Ok(Ended::Done(Progress::Merge { written, superseded }))
}

/// The heads of all blocks, given how many each segment has, in the order of the source.
///
/// # Errors
/// The work store; a block that is not there or damaged.
pub(super) async fn heads(work: &Work<'_>, blocks: &[u32]) -> Result<Vec<Placed>, Error> {
    let places = blocks.iter().enumerate().flat_map(|(segment, count)| (0..*count).map(move |n| (segment, n)));
    let reads = places.map(|(segment, number)| async move {
        let key = work.block_key(segment, number);
        let bytes = work.store.get_range(&key, 0, HEAD_LIMIT_BYTES).await?;
        let head = Head::parse(&bytes).ok_or_else(|| Error::damaged(&key))?;
        // What was read besides the head must not be held for as long as the head is.
        Ok::<_, Error>(Placed { segment, key, head: head.detached() })
    });
    stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_cover_the_buckets_and_are_bounded() {
        for keys in [0, 1, 300_000, 400_000, 2_000_000, 100_000_000, 10_000_000_000] {
            let count = partitions(keys);
            let cuts: Vec<_> = (0..count).map(|number| buckets_of(number, count)).collect();
            assert_eq!((cuts[0].0, cuts[cuts.len() - 1].1), (0, BUCKETS), "{keys} keys");
            assert!(
                cuts.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[0].0 < pair[0].1),
                "{keys} keys: {cuts:?}"
            );
        }
        assert_eq!(partitions(2_000_000), 6);
    }

    #[test]
    fn positions_keep_the_order_of_the_source() {
        assert!(position(0, (1 << 48) - 1) < position(1, 0));
        assert!(position(1, 5) < position(1, 6));
    }
}
