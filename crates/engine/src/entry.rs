//! Entries of blocks and of the lists of the merge, and how each is stored. All numbers are big endian, so that stored
//! entries sort as their bytes do.

use super::stamp::CancellationStamp;

/// Ranges of the hash space by which the entries of a block can be read.
pub(crate) const BUCKETS: usize = 1024;

/// Bits of a hash that give its bucket: the upper 10 of 128.
const BUCKET_SHIFT: u32 = u128::BITS - BUCKETS.ilog2();

/// Bits of a position within a segment. The bits above give the segment: 128 TiB per segment, 65,536 segments.
const SEGMENT_SHIFT: u32 = 48;

/// One of the items of a record that have a key of their own in the merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemRole {
    /// The item by which the record is counted.
    Primary,
    /// The invoice that the row of a line repeats. For an event: the change that it makes to its invoice.
    Secondary,
}

/// The position of an item in the source: the segment, the first byte of its record, and its role. Positions sort as the
/// items do in the source. In a block the segment is 0, since a block depends on nothing but its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ItemPosition(u64);

impl ItemPosition {
    /// Returns the position in its segment of an item whose record starts at `byte` of the decoded entry.
    pub(crate) const fn new(byte: u64, role: ItemRole) -> Self {
        Self(byte << 1 | matches!(role, ItemRole::Secondary) as u64)
    }

    /// Returns this position of a block, with the segment of the block.
    pub(crate) const fn in_segment(self, segment: usize) -> Self {
        Self((segment as u64) << SEGMENT_SHIFT | self.0)
    }

    /// Returns which item of its record it is.
    pub(crate) const fn role(self) -> ItemRole {
        if self.0 & 1 == 0 { ItemRole::Primary } else { ItemRole::Secondary }
    }
}

/// An entry with a position, stored in a fixed number of bytes.
pub(crate) trait Entry: Copy {
    /// Bytes of a stored entry.
    const BYTES: usize;

    /// Appends the stored entry to `out`.
    fn encode(self, out: &mut Vec<u8>);

    /// Reads a stored entry; none if there are more or fewer than [`Entry::BYTES`] bytes.
    fn decode(bytes: &[u8]) -> Option<Self>;

    /// Returns the position of the entry.
    fn position(&self) -> ItemPosition;

    /// Returns the entry of a block, with the segment of the block in its position.
    #[must_use]
    fn in_segment(self, segment: usize) -> Self;
}

/// Appends the stored entries to `out`, one after the other.
pub(crate) fn encode_all<E: Entry>(entries: &[E], out: &mut Vec<u8>) {
    for entry in entries {
        entry.encode(out);
    }
}

/// Returns the stored entries, one after the other.
pub(crate) fn encoded<E: Entry>(entries: &[E]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * E::BYTES);
    encode_all(entries, &mut out);
    out
}

/// Decodes entries that are stored one after the other; none if the last one is truncated.
pub(crate) fn decode_all<E: Entry>(bytes: &[u8]) -> Option<impl Iterator<Item = Option<E>>> {
    bytes.len().is_multiple_of(E::BYTES).then(|| bytes.chunks_exact(E::BYTES).map(E::decode))
}

/// Returns the bucket of a hash.
pub(crate) const fn bucket_of(hash: u128) -> usize {
    (hash >> BUCKET_SHIFT) as usize
}

/// The key of an item in the source. Stored in 26 bytes: hash, position, nested lines.
///
/// Packed, so that the 262,144 keys of a block take 26 bytes each in memory, not 48.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, packed)]
pub(crate) struct KeyEntry {
    /// Hash of the key.
    pub(crate) hash: u128,
    /// Position of the item.
    pub(crate) position: ItemPosition,
    /// Lines that the record of an invoice contains. They have no key of their own in the merge.
    pub(crate) nested_lines: u16,
}

impl KeyEntry {
    /// Returns what entries are sorted by: the same order as that of the stored bytes.
    pub(crate) const fn order(&self) -> (u128, ItemPosition, u16) {
        (self.hash, self.position, self.nested_lines)
    }
}

impl Entry for KeyEntry {
    const BYTES: usize = 26;

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash.to_be_bytes());
        out.extend_from_slice(&self.position.0.to_be_bytes());
        out.extend_from_slice(&self.nested_lines.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (hash, bytes) = bytes.split_first_chunk()?;
        let (position, bytes) = bytes.split_first_chunk()?;
        Some(Self {
            hash: u128::from_be_bytes(*hash),
            position: ItemPosition(u64::from_be_bytes(*position)),
            nested_lines: u16::from_be_bytes(bytes.try_into().ok()?),
        })
    }

    fn position(&self) -> ItemPosition {
        self.position
    }

    fn in_segment(self, segment: usize) -> Self {
        Self { position: self.position.in_segment(segment), ..self }
    }
}

/// An event that cancels an invoice. Stored in 32 bytes: hash, stamp, position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CancellationEntry {
    /// Hash of the key of the invoice.
    pub(crate) hash: u128,
    /// When and how the event cancels it.
    pub(crate) stamp: CancellationStamp,
    /// Position of the event, as [`ItemRole::Secondary`].
    pub(crate) position: ItemPosition,
}

impl Entry for CancellationEntry {
    const BYTES: usize = 32;

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash.to_be_bytes());
        out.extend_from_slice(&self.stamp.to_bits().to_be_bytes());
        out.extend_from_slice(&self.position.0.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (hash, bytes) = bytes.split_first_chunk()?;
        let (stamp, bytes) = bytes.split_first_chunk()?;
        Some(Self {
            hash: u128::from_be_bytes(*hash),
            stamp: CancellationStamp::from_bits(u64::from_be_bytes(*stamp)),
            position: ItemPosition(u64::from_be_bytes(bytes.try_into().ok()?)),
        })
    }

    fn position(&self) -> ItemPosition {
        self.position
    }

    fn in_segment(self, segment: usize) -> Self {
        Self { position: self.position.in_segment(segment), ..self }
    }
}

/// An invoice that an event of the same source cancels. Stored in 16 bytes: position, stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CancelledEntry {
    /// Position of the invoice.
    pub(crate) position: ItemPosition,
    /// When and how the event cancels it.
    pub(crate) stamp: CancellationStamp,
}

impl Entry for CancelledEntry {
    const BYTES: usize = 16;

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.position.0.to_be_bytes());
        out.extend_from_slice(&self.stamp.to_bits().to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (position, bytes) = bytes.split_first_chunk()?;
        Some(Self {
            position: ItemPosition(u64::from_be_bytes(*position)),
            stamp: CancellationStamp::from_bits(u64::from_be_bytes(bytes.try_into().ok()?)),
        })
    }

    fn position(&self) -> ItemPosition {
        self.position
    }

    fn in_segment(self, segment: usize) -> Self {
        Self { position: self.position.in_segment(segment), ..self }
    }
}

/// The position of a superseded item. Stored in 8 bytes.
impl Entry for ItemPosition {
    const BYTES: usize = 8;

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self(u64::from_be_bytes(bytes.try_into().ok()?)))
    }

    fn position(&self) -> ItemPosition {
        *self
    }

    fn in_segment(self, segment: usize) -> Self {
        Self::in_segment(self, segment)
    }
}

/// Counts the positions of primary items, each of which stands for a record.
pub(crate) fn count_records(positions: impl Iterator<Item = ItemPosition>) -> u64 {
    positions.filter(|position| position.role() == ItemRole::Primary).count() as u64
}

/// Sorts `keys` and keeps the last position of each. Returns the other positions in order.
pub(crate) fn take_superseded(keys: &mut Vec<KeyEntry>) -> Vec<ItemPosition> {
    keys.sort_unstable_by_key(KeyEntry::order);
    let mut superseded = Vec::new();
    // `dedup_by` keeps the first of equal neighbours: in reverse order that is the last position.
    keys.reverse();
    keys.dedup_by(|earlier, later| {
        let same = earlier.hash == later.hash;
        if same {
            superseded.push(earlier.position);
        }
        same
    });
    keys.reverse();
    superseded.sort_unstable();
    superseded
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    const HASH: u128 = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;
    const HASH_BYTES: [u8; 16] =
        [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

    /// Checks that the entry is stored as these bytes, and that nothing else is read as it.
    fn assert_stored<E: Entry + PartialEq + std::fmt::Debug>(entry: E, parts: &[&[u8]]) {
        let expected = parts.concat();
        assert_eq!(encoded(&[entry, entry]), [&expected[..], &expected[..]].concat());
        assert_eq!((expected.len(), E::decode(&expected)), (E::BYTES, Some(entry)));
        for cut in 0..expected.len() {
            assert_eq!(E::decode(&expected[..cut]), None, "cut at {cut}");
            assert_eq!(decode_all::<E>(&expected[..cut]).is_some(), cut == 0, "cut at {cut}");
        }
        assert_eq!(E::decode(&[&expected[..], &[0]].concat()), None);
    }

    #[test]
    fn entries_are_stored_in_known_bytes() {
        let position = ItemPosition::new(0x0102_0304, ItemRole::Secondary).in_segment(0x0a0b);
        let (position_bytes, stamp) = ([0x0a, 0x0b, 0, 0, 2, 4, 6, 9], CancellationStamp::from_bits(0x0506));
        let stamp_bytes = [0, 0, 0, 0, 0, 0, 5, 6];
        assert_stored(position, &[&position_bytes]);
        let key = KeyEntry { hash: HASH, position, nested_lines: 0x0c0d };
        assert_stored(key, &[&HASH_BYTES, &position_bytes, &[0x0c, 0x0d]]);
        let cancellation = CancellationEntry { hash: HASH, stamp, position };
        assert_stored(cancellation, &[&HASH_BYTES, &stamp_bytes, &position_bytes]);
        assert_stored(CancelledEntry { position, stamp }, &[&position_bytes, &stamp_bytes]);
    }

    #[test]
    fn keys_are_ordered_as_their_bytes_are() {
        // Each differs from the others in one byte.
        let entries = (0..KeyEntry::BYTES).flat_map(|at| {
            [0, 0x7f, 0xff].map(|byte| {
                let mut bytes = [0x80; KeyEntry::BYTES];
                bytes[at] = byte;
                (bytes, KeyEntry::decode(&bytes).unwrap().order())
            })
        });
        let entries: Vec<_> = entries.collect();
        for (one, other) in entries.iter().flat_map(|one| entries.iter().map(move |other| (one, other))) {
            assert_eq!(one.1.cmp(&other.1), one.0.cmp(&other.0), "{one:?} {other:?}");
        }
    }

    #[test]
    fn positions_keep_the_order_of_the_source() {
        let primary = |byte| ItemPosition::new(byte, ItemRole::Primary);
        assert!(primary((1 << 47) - 1).in_segment(0) < primary(0).in_segment(1));
        assert!(primary(5).in_segment(1) < primary(6).in_segment(1));
        assert!(primary(5) < ItemPosition::new(5, ItemRole::Secondary));
        assert!(ItemPosition::new(5, ItemRole::Secondary) < primary(6));
    }

    #[test]
    fn a_key_takes_no_more_memory_than_it_takes_bytes() {
        assert_eq!(size_of::<KeyEntry>(), KeyEntry::BYTES);
    }
}
