//! Reads the head of a stored block: its counts, and where its parts are.

use super::block::{BUCKETS_BYTES, HEADER_LIMIT_BYTES, Header, MAGIC, PREFIX_BYTES};
use super::entry::{BUCKETS, CancellationEntry, Entry, ItemPosition, KeyEntry};

/// Bytes from the start of a block that are sure to contain its head.
pub(crate) const HEAD_LIMIT_BYTES: u64 = (PREFIX_BYTES + HEADER_LIMIT_BYTES + 2 * BUCKETS_BYTES) as u64;

/// Entries of a list from which on the numbers of its buckets take less memory than the buckets of its entries.
const FEW_ENTRIES: u64 = BUCKETS as u64;

/// Why bytes are not the head of a block.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadError {
    /// The first bytes are of something else.
    #[error("it does not begin as a block does")]
    Magic,
    /// The bytes end before the head does.
    #[error("it ends within its head")]
    Truncated,
    /// The header cannot be read.
    #[error("its header cannot be read: {0}")]
    Header(#[from] serde_json::Error),
    /// The numbers of the buckets decrease, or do not end at the number of entries.
    #[error("its buckets do not add up to its entries")]
    Buckets,
}

/// The head of a stored block: its counts, and where its parts are.
#[derive(Debug, Clone)]
pub(crate) struct BlockHead {
    /// Its counts.
    pub(crate) header: Header,
    key_buckets: Buckets,
    cancellation_buckets: Buckets,
    keys_at: u64,
}

/// The number of entries before each bucket, in as little memory as possible: nearly none for few entries. A file of nothing
/// but rejects has very many blocks of few keys, and so has an archive of small files.
#[derive(Debug, Clone)]
enum Buckets {
    /// The number of entries before each bucket, and before the end.
    Whole(Box<[u32]>),
    /// The bucket of each entry, in order.
    Few(Box<[u16]>),
}

impl Buckets {
    fn parse(bytes: &[u8], entries: u64) -> Result<Self, HeadError> {
        let (numbers, _) = bytes.as_chunks::<4>();
        let before: Vec<u32> = numbers.iter().map(|number| u32::from_le_bytes(*number)).collect();
        if !before.is_sorted() || before.last().copied().map(u64::from) != Some(entries) || before.first() != Some(&0) {
            return Err(HeadError::Buckets);
        }
        if entries >= FEW_ENTRIES {
            return Ok(Self::Whole(before.into()));
        }
        let counts = before.iter().zip(before.iter().skip(1)).map(|(before, after)| after - before);
        let buckets = (0_u16..).zip(counts).flat_map(|(bucket, count)| (0..count).map(move |_| bucket));
        Ok(Self::Few(buckets.collect()))
    }

    /// Returns the number of entries before `bucket`, which is at most [`BUCKETS`].
    #[expect(clippy::expect_used, reason = "parsing has checked how many numbers there are")]
    fn before(&self, bucket: usize) -> u64 {
        match self {
            Self::Whole(before) => u64::from(*before.get(bucket).expect("a bucket is at most BUCKETS")),
            Self::Few(buckets) => buckets.partition_point(|each| usize::from(*each) < bucket) as u64,
        }
    }
}

impl BlockHead {
    /// Reads the head from the first bytes of a block.
    ///
    /// # Errors
    /// Bytes that are not the head of a block, or a damaged one.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        let bytes_after_magic = bytes.strip_prefix(MAGIC).ok_or(HeadError::Magic)?;
        let (length, rest) = bytes_after_magic.split_first_chunk::<4>().ok_or(HeadError::Truncated)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (header, rest) = rest.split_at_checked(length).ok_or(HeadError::Truncated)?;
        let (key_buckets, rest) = rest.split_at_checked(BUCKETS_BYTES).ok_or(HeadError::Truncated)?;
        let (cancellation_buckets, _) = rest.split_at_checked(BUCKETS_BYTES).ok_or(HeadError::Truncated)?;
        let header: Header = serde_json::from_slice(header)?;
        Ok(Self {
            key_buckets: Buckets::parse(key_buckets, header.keys)?,
            cancellation_buckets: Buckets::parse(cancellation_buckets, header.cancellations)?,
            keys_at: (PREFIX_BYTES + length + 2 * BUCKETS_BYTES) as u64,
            header,
        })
    }

    /// Returns start and length in bytes of the keys in the buckets from `from` up to `to`.
    pub(crate) fn keys_range(&self, from: usize, to: usize) -> (u64, u64) {
        range_of::<KeyEntry>(&self.key_buckets, from, to, self.keys_at)
    }

    /// Returns start and length in bytes of the cancellations in the buckets from `from` up to `to`.
    pub(crate) fn cancellations_range(&self, from: usize, to: usize) -> (u64, u64) {
        range_of::<CancellationEntry>(&self.cancellation_buckets, from, to, self.cancellations_at())
    }

    const fn cancellations_at(&self) -> u64 {
        self.keys_at + self.header.keys * KeyEntry::BYTES as u64
    }

    /// Returns start and length in bytes of the superseded positions.
    pub(crate) const fn superseded_range(&self) -> (u64, u64) {
        let start = self.cancellations_at() + self.header.cancellations * CancellationEntry::BYTES as u64;
        (start, self.header.superseded * ItemPosition::BYTES as u64)
    }

    /// Returns the start of the rejects. They extend to the end of the block.
    pub(crate) const fn rejects_at(&self) -> u64 {
        let (start, length) = self.superseded_range();
        start + length
    }
}

/// Returns start and length in bytes of the entries in the buckets from `from` up to `to`, of a list that starts at `at`.
fn range_of<E: Entry>(buckets: &Buckets, from: usize, to: usize, at: u64) -> (u64, u64) {
    let (start, end) = (buckets.before(from), buckets.before(to));
    (at + start * E::BYTES as u64, (end - start) * E::BYTES as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::block::{BLOCK_BYTES, BlockBuilder, Units};
    use crate::entry::{ItemRole, bucket_of, decode_all};
    use crate::stamp::CancellationStamp;
    use notaflux_table::keys::{Key, key_hash};

    fn built(records: &[(&str, u64)]) -> (Header, Bytes) {
        let mut builder = BlockBuilder::new(0, BLOCK_BYTES);
        for &(id, byte) in records {
            builder.accept(Key::Invoice(id), byte, Units { primary: 4, ..Units::default() });
        }
        builder.finish(1000, 10).unwrap()
    }

    fn part<E: Entry>(block: &Bytes, (start, length): (u64, u64)) -> Vec<E> {
        let bytes = &block[usize::try_from(start).unwrap()..usize::try_from(start + length).unwrap()];
        decode_all(bytes).unwrap().map(Option::unwrap).collect()
    }

    fn keys(block: &Bytes) -> Vec<(u128, ItemPosition)> {
        let range = BlockHead::parse(block).unwrap().keys_range(0, BUCKETS);
        part::<KeyEntry>(block, range).into_iter().map(|key| (key.hash, key.position)).collect()
    }

    fn primary(byte: u64) -> ItemPosition {
        ItemPosition::new(byte, ItemRole::Primary)
    }

    #[test]
    fn a_block_contains_a_key_once_with_its_last_position() {
        let (header, block) = built(&[("a", 10), ("b", 20), ("a", 30), ("a", 40)]);
        assert_eq!((header.records, header.keys, header.superseded, header.superseded_records), (4, 2, 2, 2));
        let head = BlockHead::parse(&block).unwrap();
        assert_eq!(part::<ItemPosition>(&block, head.superseded_range()), [10, 30].map(primary));
        let mut last = [("a", 40), ("b", 20)].map(|(id, byte)| (key_hash(id, ""), primary(byte)));
        last.sort_unstable();
        assert_eq!(keys(&block), last);
    }

    #[test]
    fn each_key_has_its_own_hash_however_many_there_are() {
        for count in [0, 1, 2, 15, 16, 17, 31, 32, 33, 100] {
            let ids: Vec<String> = (0..count).map(|n| format!("id {n}")).collect();
            let records: Vec<(&str, u64)> = ids.iter().map(String::as_str).zip(0..).collect();
            let (_, block) = built(&records);
            let mut expected: Vec<_> = records.iter().map(|(id, byte)| (key_hash(id, ""), primary(*byte))).collect();
            expected.sort_unstable();
            assert_eq!(keys(&block), expected, "{count} keys");
        }
    }

    #[test]
    fn secondary_items_do_not_count_as_records() {
        let mut builder = BlockBuilder::new(0, BLOCK_BYTES);
        for (line, byte) in [("1", 10), ("2", 20), ("1", 30)] {
            builder.accept(Key::Invoice(line), byte, Units { primary: 4, extra: 4, nested_lines: 0 });
            builder.accept_secondary(Key::Invoice("invoice"), byte);
        }
        builder.cancel(key_hash("invoice", ""), 20, CancellationStamp::from_bits(7));
        let (header, block) = builder.finish(1000, 10).unwrap();
        assert_eq!((header.records, header.keys, header.cancellations), (3, 3, 1));
        assert_eq!((header.superseded, header.superseded_records), (3, 1));
        let head = BlockHead::parse(&block).unwrap();
        let expected = [(10, ItemRole::Primary), (10, ItemRole::Secondary), (20, ItemRole::Secondary)];
        let expected = expected.map(|(byte, role)| ItemPosition::new(byte, role));
        assert_eq!(part::<ItemPosition>(&block, head.superseded_range()), expected);
        let cancellation = CancellationEntry {
            hash: key_hash("invoice", ""),
            stamp: CancellationStamp::from_bits(7),
            position: ItemPosition::new(20, ItemRole::Secondary),
        };
        assert_eq!(part::<CancellationEntry>(&block, head.cancellations_range(0, BUCKETS)), [cancellation]);
    }

    #[test]
    fn buckets_cut_the_keys_without_gap_or_overlap() {
        let ids: Vec<String> = (0..5000).map(|n| format!("{n}")).collect();
        let records: Vec<(&str, u64)> = ids.iter().map(String::as_str).zip((0..).step_by(100)).collect();
        let cuts = [0, 1, 2, 500, 501, 1023, BUCKETS];
        for count in [0, 1, 3, 700, 1023, 1024, 5000] {
            let (_, block) = built(&records[..count]);
            let head = BlockHead::parse(&block).unwrap();
            let whole = part::<KeyEntry>(&block, head.keys_range(0, BUCKETS));
            let parts = cuts.windows(2).map(|cut| part::<KeyEntry>(&block, head.keys_range(cut[0], cut[1])));
            assert_eq!(parts.collect::<Vec<_>>().concat(), whole, "{count} keys");
            for key in part::<KeyEntry>(&block, head.keys_range(500, 501)) {
                assert_eq!(bucket_of(key.hash), 500, "{count} keys");
            }
        }
    }

    #[test]
    fn a_truncated_block_is_an_error() {
        let (_, block) = built(&[("a", 10)]);
        let head = BlockHead::parse(&block).unwrap();
        for cut in 0..usize::try_from(head.keys_at).unwrap() {
            assert!(BlockHead::parse(&block.slice(..cut)).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn buckets_that_do_not_add_up_are_an_error() {
        let (_, block) = built(&[("a", 10)]);
        let keys_at = usize::try_from(BlockHead::parse(&block).unwrap().keys_at).unwrap();
        for list_end in [keys_at, keys_at - BUCKETS_BYTES] {
            for number in [list_end - BUCKETS_BYTES, list_end - BUCKETS_BYTES / 2, list_end - 4] {
                let mut damaged = block.to_vec();
                damaged[number] = 9;
                assert!(matches!(BlockHead::parse(&damaged), Err(HeadError::Buckets)), "{number}");
            }
        }
    }
}
