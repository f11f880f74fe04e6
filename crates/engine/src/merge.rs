//! The merge: finds the last record of each key, and the invoices that events of the source cancel.
//!
//! The hash space is divided into partitions of limited size. Each partition is a unit of work: the merge reads by range the
//! keys of every block that belong to it, and sorts them. Of the items that share a key, the last one in the source stays.
//! The positions of the others go into the partition's list of superseded items.
//!
//! If an event cancels an invoice of the same source, the invoice's position and the event's stamp go into the partition's
//! list of cancelled invoices. The write pass then puts the invoice as cancelled at once. So all puts of the invoice are the
//! same, and the event need not update it. The lists of a partition depend on the blocks alone, so merging it twice does no
//! harm.

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::block_head::{BlockHead, HEAD_LIMIT_BYTES};
use super::checkpoint::Ended;
use super::entry::{
    BUCKETS, CancellationEntry, CancelledEntry, Entry, ItemPosition, KeyEntry, count_records, decode_all, encoded,
    take_superseded,
};
use super::error::Error;
use super::progress::{MergeCounts, Progress};
use super::work::Work;

/// Bytes of keys that a partition should have: the memory of the merge.
const PARTITION_BYTES: u64 = 8 * 1024 * 1024;

/// Most partitions: each has at least one bucket.
#[expect(clippy::cast_possible_truncation, reason = "there are 1,024 buckets")]
const PARTITIONS_LIMIT: u32 = BUCKETS as u32;

/// Concurrent ranged reads of the work store.
const READS_AT_ONCE: usize = 8;

/// The head of a block, and where the block is.
#[derive(Debug)]
pub(crate) struct StoredBlock {
    /// Segment of the block.
    pub(crate) segment: usize,
    /// Key of the block in the work store.
    pub(crate) key: String,
    pub(crate) head: BlockHead,
}

/// Returns the number of partitions for entries that take as much memory as `keys` keys.
pub(crate) fn partitions(keys: u64) -> u32 {
    let wanted = keys.saturating_mul(KeyEntry::BYTES as u64).div_ceil(PARTITION_BYTES);
    u32::try_from(wanted).unwrap_or(u32::MAX).clamp(1, PARTITIONS_LIMIT)
}

/// Returns the buckets of partition `number` of `count`. All partitions have about the same number of buckets.
fn buckets_of(number: u32, count: u32) -> (usize, usize) {
    let cut = |number: usize| number * BUCKETS / count.max(1) as usize;
    (cut(number as usize), cut(number as usize + 1))
}

/// Merges partition `number` of `count`.
///
/// # Errors
/// The work store; a block that is missing or damaged.
pub(crate) async fn merge(work: &Work<'_>, blocks: &[StoredBlock], number: u32, count: u32) -> Result<Ended, Error> {
    let (from, to) = buckets_of(number, count);
    let mut keys: Vec<KeyEntry> = read_entries(work, blocks, |head| head.keys_range(from, to)).await?;
    let mut superseded = take_superseded(&mut keys);
    let mut cancellations = read_entries(work, blocks, |head| head.cancellations_range(from, to)).await?;
    cancellations.sort_unstable();
    let written = count_records(keys.iter().map(Entry::position));
    let nested_lines: u64 = keys.iter().map(|key| u64::from(key.nested_lines)).sum();
    let superseded_records = count_records(superseded.iter().copied());
    let (cancelled, applied) = join(&keys, &cancellations);
    if !applied.is_empty() {
        superseded.extend(applied);
        superseded.sort_unstable();
    }
    if !superseded.is_empty() {
        work.store.put(&work.superseded_key(number as usize), encoded(&superseded).into()).await?;
    }
    if !cancelled.is_empty() {
        work.store.put(&work.cancelled_key(number as usize), encoded(&cancelled).into()).await?;
    }
    Ok(Ended::Done(Progress::Merge(MergeCounts {
        written,
        extra_items: keys.len() as u64 - written + nested_lines,
        superseded: superseded_records,
        listed: superseded.len() as u64,
        cancelled: cancelled.len() as u64,
    })))
}

/// Finds the invoices among `keys` that `cancellations` cancel. Both are sorted. Returns the invoices, each with its latest
/// stamp, and the positions of the events that need not update their invoice any more.
fn join(keys: &[KeyEntry], cancellations: &[CancellationEntry]) -> (Vec<CancelledEntry>, Vec<ItemPosition>) {
    let (mut cancelled, mut applied) = (Vec::new(), Vec::new());
    let mut keys = keys.iter().peekable();
    for events in cancellations.chunk_by(|a, b| a.hash == b.hash) {
        // The events of one invoice are sorted by stamp.
        let Some(CancellationEntry { hash, stamp, .. }) = events.last().copied() else { continue };
        while keys.next_if(|key| key.hash < hash).is_some() {}
        let Some(invoice) = keys.next_if(|key| key.hash == hash) else { continue };
        cancelled.push(CancelledEntry { position: invoice.position, stamp });
        applied.extend(events.iter().map(|event| event.position));
    }
    cancelled.sort_unstable();
    (cancelled, applied)
}

/// Reads the heads of all blocks in the order of the source. `blocks` is the number of blocks of each segment.
///
/// # Errors
/// The work store; a block that is missing or damaged.
pub(crate) async fn heads(work: &Work<'_>, blocks: &[u32]) -> Result<Vec<StoredBlock>, Error> {
    let numbers = blocks.iter().enumerate().flat_map(|(segment, count)| (0..*count).map(move |n| (segment, n)));
    let reads = numbers.map(|(segment, number)| async move {
        let key = work.block_key(segment, number);
        let bytes = work.store.get_range(&key, 0, HEAD_LIMIT_BYTES).await?;
        let head = BlockHead::parse(&bytes).map_err(Error::corrupt(&key))?;
        Ok::<_, Error>(StoredBlock { segment, key, head })
    });
    stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await
}

/// Reads from all blocks the entries in `range` (start and length in bytes), and sets the segments in their positions.
async fn read_entries<E: Entry>(
    work: &Work<'_>,
    blocks: &[StoredBlock],
    range: impl Fn(&BlockHead) -> (u64, u64),
) -> Result<Vec<E>, Error> {
    let reads = blocks.iter().map(|block| (block, range(&block.head))).filter(|(_, (_, length))| *length > 0);
    let reads = reads.map(async |(block, (start, length))| {
        let bytes = work.store.get_range(&block.key, start, length).await?;
        Ok::<_, Error>((block, length, bytes))
    });
    let add = async |mut entries: Vec<E>, (block, length, bytes): (&StoredBlock, u64, Bytes)| {
        add_entries(&mut entries, block.segment, length, &bytes).ok_or_else(|| Error::damaged(&block.key))?;
        Ok(entries)
    };
    stream::iter(reads).buffered(READS_AT_ONCE).try_fold(Vec::new(), add).await
}

/// Adds the entries of a block, of which `bytes` should have `length` bytes; none if they have not, or if an entry is cut.
fn add_entries<E: Entry>(entries: &mut Vec<E>, segment: usize, length: u64, bytes: &[u8]) -> Option<()> {
    if bytes.len() as u64 != length {
        return None;
    }
    entries.reserve(bytes.len() / E::BYTES);
    for entry in decode_all::<E>(bytes)? {
        entries.push(entry?.in_segment(segment));
    }
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;
    use crate::entry::ItemRole;
    use crate::stamp::CancellationStamp;

    fn position(byte: u64) -> ItemPosition {
        ItemPosition::new(byte, ItemRole::Primary)
    }

    #[test]
    fn partitions_cover_the_buckets_and_are_bounded() {
        for keys in [0, 1, 300_000, 400_000, 2_000_000, 100_000_000, 10_000_000_000, u64::MAX] {
            let count = partitions(keys);
            let cuts: Vec<_> = (0..count).map(|number| buckets_of(number, count)).collect();
            assert_eq!((cuts[0].0, cuts[cuts.len() - 1].1), (0, BUCKETS), "{keys} keys");
            assert!(
                cuts.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[0].0 < pair[0].1),
                "{keys} keys: {cuts:?}"
            );
        }
        assert_eq!(partitions(2_000_000), 7);
    }

    #[test]
    fn an_invoice_is_cancelled_by_its_latest_event_and_an_event_without_an_invoice_stays() {
        let key = |hash, byte| KeyEntry { hash, position: position(byte), nested_lines: 0 };
        let stamp = CancellationStamp::from_bits;
        let event = |hash, bits, byte| CancellationEntry { hash, stamp: stamp(bits), position: position(byte) };
        let keys = [key(1, 40), key(3, 20), key(7, 60)];
        let mut events = [event(3, 5, 91), event(3, 9, 81), event(2, 1, 71), event(7, 2, 61), event(9, 9, 51)];
        events.sort_unstable();
        let (cancelled, applied) = join(&keys, &events);
        let entry = |byte, bits| CancelledEntry { position: position(byte), stamp: stamp(bits) };
        assert_eq!(cancelled, [entry(20, 9), entry(60, 2)]);
        assert_eq!(applied, [91, 81, 61].map(position));
    }

    #[test]
    fn entries_that_are_cut_or_missing_are_damage_and_not_zero() {
        let key = |byte| KeyEntry { hash: 7, position: position(byte), nested_lines: 0 };
        let bytes = encoded(&[key(10), key(20)]);
        let mut entries = Vec::new();
        assert!(add_entries::<KeyEntry>(&mut entries, 1, 52, &bytes).is_some());
        assert_eq!(entries, [10, 20].map(|byte| KeyEntry { position: position(byte).in_segment(1), ..key(0) }));
        for cut in 0..bytes.len() {
            assert!(add_entries::<KeyEntry>(&mut Vec::new(), 1, 52, bytes.get(..cut).unwrap()).is_none(), "{cut}");
        }
        assert!(add_entries::<KeyEntry>(&mut Vec::new(), 1, 51, bytes.get(..51).unwrap()).is_none());
    }
}
