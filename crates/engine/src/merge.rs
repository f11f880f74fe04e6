//! The merge: which record of each key is the last, and which invoices the events of the source cancel.
//!
//! The hash space is cut into partitions of bounded size, each a unit of work. The keys of every block that fall into it are
//! read by range and sorted: of the items that share a key the last in the source stays, the others' positions go into the
//! partition's list of superseded ones. Where an event cancels an invoice of the same source, the invoice's position and the
//! event's stamp go into its list of cancelled ones: the invoice is then put as cancelled at once, so that all puts of it are
//! alike, and the event need not change it. What a partition leaves depends on the blocks alone, so it may be done twice.

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::block::{self, BUCKETS, CANCELLATION_BYTES, CancellationEntry, HEAD_LIMIT_BYTES, Head, KEY_BYTES, KeyEntry};
use super::error::Error;
use super::progress::{Found, Progress};
use super::work::{Ended, Work};

/// Bytes of keys that a partition should hold: the memory of the merge.
const PARTITION_BYTES: u64 = 8 * 1024 * 1024;

/// Ranged reads of the work store at once.
const READS_AT_ONCE: usize = 8;

/// Bits of a position that say the place; the bits above say the segment. 128 TB a segment, 65,536 segments.
const PLACE_BITS: u32 = 48;

/// Bytes of a cancelled invoice's entry: its position and the stamp.
pub(super) const CANCELLED_BYTES: usize = 16;

/// The position of a [`block::place`] among all segments, in the order of the source.
#[must_use]
pub(super) const fn position(segment: usize, place: u64) -> u64 {
    ((segment as u64) << PLACE_BITS) | place
}

/// A block, with its place among all.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) segment: usize,
    pub(super) key: String,
    pub(super) head: Head,
}

/// What a block's entries take in the merge, in keys.
pub(super) const fn weight(header: &block::Header) -> u64 {
    header.keys + header.cancellations * CANCELLATION_BYTES.div_ceil(KEY_BYTES) as u64
}

/// How many partitions entries of so many keys' weight are merged by.
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
    let mut keys = between(work, blocks, |head| head.keys_range(from, to)).await?;
    let mut superseded = block::take_superseded(&mut keys);
    let mut cancellations = between(work, blocks, |head| head.cancellations_range(from, to)).await?;
    cancellations.sort_unstable();
    let mut found = Found { written: block::count_records(keys.iter().map(block::place_of)), ..Found::default() };
    found.besides =
        keys.len() as u64 - found.written + keys.iter().map(|key| u64::from(block::with_of(key))).sum::<u64>();
    found.superseded = block::count_records(superseded.iter().copied());
    let (cancelled, settled) = join(&keys, &cancellations);
    if !settled.is_empty() {
        superseded.extend(settled);
        superseded.sort_unstable();
    }
    (found.listed, found.cancelled) = (superseded.len() as u64, cancelled.len() as u64);
    if !superseded.is_empty() {
        let list: Vec<u8> = superseded.iter().flat_map(|position| position.to_be_bytes()).collect();
        work.store.put(&work.superseded_key(number as usize), list.into()).await?;
    }
    if !cancelled.is_empty() {
        work.store.put(&work.cancelled_key(number as usize), cancelled.as_flattened().to_vec().into()).await?;
    }
    Ok(Ended::Done(Progress::Merge(found)))
}

/// Finds the invoices among `keys` that `cancellations` are of. Gives their positions, each with the latest stamp, and the
/// positions of the events that need not change the invoice any more.
fn join(keys: &[KeyEntry], cancellations: &[CancellationEntry]) -> (Vec<[u8; CANCELLED_BYTES]>, Vec<u64>) {
    let (mut cancelled, mut settled) = (Vec::new(), Vec::new());
    let mut keys = keys.iter().peekable();
    for events in cancellations.chunk_by(|a, b| block::hash_of(a) == block::hash_of(b)) {
        let Some(last) = events.last() else { continue };
        let hash = block::hash_of(last);
        while keys.next_if(|key| block::hash_of(key) < hash).is_some() {}
        let Some(invoice) = keys.next_if(|key| block::hash_of(key) == hash) else { continue };
        let mut entry = [0; CANCELLED_BYTES];
        // Of the events of one invoice the last in order has the latest stamp.
        let parts = block::place_of(invoice).to_be_bytes().into_iter().chain(last.iter().skip(16).take(8).copied());
        entry.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        cancelled.push(entry);
        settled.extend(events.iter().map(block::place_of));
    }
    cancelled.sort_unstable();
    (cancelled, settled)
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

/// The entries of all blocks that lie where `range` says, with their segments in their positions.
async fn between<const N: usize>(
    work: &Work<'_>,
    blocks: &[Placed],
    range: impl Fn(&Head) -> (u64, u64),
) -> Result<Vec<[u8; N]>, Error> {
    let reads = blocks.iter().map(|placed| (placed, range(&placed.head))).filter(|(_, (_, length))| *length > 0);
    let reads = reads.map(async |(placed, (start, length))| {
        let bytes = work.store.get_range(&placed.key, start, length).await?;
        Ok::<_, Error>((placed.segment, bytes))
    });
    let fold = async |mut entries: Vec<[u8; N]>, (segment, bytes): (usize, Bytes)| {
        let (found, _rest) = bytes.as_chunks::<N>();
        entries.extend(found.iter().map(|entry| placed_in(segment, entry)));
        Ok(entries)
    };
    stream::iter(reads).buffered(READS_AT_ONCE).try_fold(Vec::new(), fold).await
}

/// The entry with the segment in the upper bits of its place.
fn placed_in<const N: usize>(segment: usize, entry: &[u8; N]) -> [u8; N] {
    let mut placed = *entry;
    if let Some(part) = placed.get_mut(block::place_at(N)..).and_then(|rest| rest.first_chunk_mut::<8>()) {
        *part = position(segment, block::place_of(entry)).to_be_bytes();
    }
    placed
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
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
        assert_eq!(partitions(2_000_000), 7);
    }

    #[test]
    fn an_invoice_is_cancelled_by_its_latest_event_and_an_event_without_one_stays() {
        let key = |hash: u128, position: u64| -> KeyEntry {
            [&hash.to_be_bytes()[..], &position.to_be_bytes(), &[0, 0]].concat().try_into().unwrap()
        };
        let event = |hash: u128, stamp: u64, position: u64| -> CancellationEntry {
            [&hash.to_be_bytes()[..], &stamp.to_be_bytes(), &position.to_be_bytes()].concat().try_into().unwrap()
        };
        let keys = [key(1, 40), key(3, 20), key(7, 60)];
        let mut events = [event(3, 5, 91), event(3, 9, 81), event(2, 1, 71), event(7, 2, 61), event(9, 9, 51)];
        events.sort_unstable();
        let (cancelled, settled) = join(&keys, &events);
        let entry = |position: u64, stamp: u64| -> [u8; CANCELLED_BYTES] {
            [position.to_be_bytes(), stamp.to_be_bytes()].concat().try_into().unwrap()
        };
        assert_eq!(cancelled, [entry(20, 9), entry(60, 2)]);
        assert_eq!(settled, [91, 81, 61]);
    }

    #[test]
    fn positions_keep_the_order_of_the_source() {
        assert!(position(0, (1 << 48) - 1) < position(1, 0));
        assert!(position(1, 5) < position(1, 6));
    }
}
