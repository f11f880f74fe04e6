//! Blocks: what the survey leaves behind for each stretch of decoded bytes.
//!
//! A block begins at the end of the one before it and ends before the first record that starts at or behind its size in
//! bytes, or before the record that would take its keys or rejects over their limit. That makes it a pure function of the
//! bytes: doing it again gives the same object, so repetition and overwriting are harmless.
//!
//! ```text
//! magic | header length | header (JSON) | buckets | keys, sorted | superseded, in order | rejects (NDJSON)
//! ```
//!
//! A block holds a key once, with its last position; the earlier positions are its own superseded list. So a file of one
//! key repeated a million times costs the merge no more than a file of a million keys.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes of decoded input that a block covers.
pub const BLOCK_BYTES: u64 = 16 * 1024 * 1024;

/// Most keys in a block: 6 MB of them.
const KEYS_LIMIT: usize = 256 * 1024;

/// Most bytes of rejects in a block, beyond which it ends early.
const REJECTS_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Stretches of the hash space that a block's keys can be read by.
pub const BUCKETS: usize = 1024;

/// Bytes of a key entry: the hash, then the position, both big endian, so that entries sort as bytes.
pub const KEY_BYTES: usize = 24;

const MAGIC: &[u8; 8] = b"nfxblk1\n";
const PREFIX_BYTES: usize = MAGIC.len() + 4;
const BUCKETS_BYTES: usize = (BUCKETS + 1) * 4;

/// A key's hash and the position of a record that has it.
pub type KeyEntry = [u8; KEY_BYTES];

/// What a block counts. Everything is relative to the block, so that it depends on nothing before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// First byte of the block in the decoded entry.
    pub first_byte: u64,
    /// First byte behind it: where the next block begins.
    pub end_byte: u64,
    /// Line ends within it.
    pub lines: u64,
    /// Records that start in it.
    pub records: u64,
    /// Records that were rejected.
    pub rejected: u64,
    /// Distinct keys.
    pub keys: u64,
    /// Records whose key comes again in the same block.
    pub superseded: u64,
    /// Write units that its valid records would consume, superseded ones included.
    pub write_units: u64,
    /// Valid records with a warning, by kind.
    pub warnings: BTreeMap<String, u64>,
}

/// A reject as the block holds it: line and record count from the block's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockReject {
    /// Line ends between the block's first byte and the record.
    pub line: u64,
    /// Records of the block before this one.
    pub record: u64,
    /// First byte of the record in the decoded entry.
    pub byte: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Reason, as a word.
    pub reason: String,
    /// Reason, for people.
    pub message: String,
    /// The record as it stands in the source, cut at 4 KiB.
    pub raw: String,
}

/// Collects one block.
#[derive(Debug)]
pub struct BlockBuilder {
    header: Header,
    limit_byte: u64,
    keys: Vec<KeyEntry>,
    rejects: Vec<u8>,
}

impl BlockBuilder {
    /// A block of `block_bytes` from `first_byte` on.
    #[must_use]
    pub fn new(first_byte: u64, block_bytes: u64) -> Self {
        let header = Header { first_byte, ..Header::default() };
        Self { header, limit_byte: first_byte.saturating_add(block_bytes), keys: Vec::new(), rejects: Vec::new() }
    }

    /// Whether a record that starts at `byte` belongs to the next block.
    #[must_use]
    pub fn ends_before(&self, byte: u64) -> bool {
        byte >= self.limit_byte || self.keys.len() >= KEYS_LIMIT || self.rejects.len() >= REJECTS_LIMIT_BYTES
    }

    /// Records counted so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.header.records
    }

    /// Rejects counted so far.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.header.rejected
    }

    /// Takes in a valid record.
    pub fn accept(&mut self, hash: u128, byte: u64, write_units: u32) {
        self.header.records += 1;
        self.header.write_units += u64::from(write_units);
        let mut entry = [0; KEY_BYTES];
        let (hash_part, position_part) = entry.split_at_mut(16);
        hash_part.copy_from_slice(&hash.to_be_bytes());
        position_part.copy_from_slice(&byte.to_be_bytes());
        self.keys.push(entry);
    }

    /// Counts a warning of a valid record.
    pub fn warn(&mut self, kind: &str) {
        if let Some(count) = self.header.warnings.get_mut(kind) {
            *count += 1;
        } else {
            self.header.warnings.insert(kind.to_owned(), 1);
        }
    }

    /// Takes in a rejected record.
    ///
    /// # Errors
    /// None in practice: a reject is text and numbers.
    pub fn reject(&mut self, reject: &BlockReject) -> Result<(), serde_json::Error> {
        self.header.records += 1;
        self.header.rejected += 1;
        serde_json::to_writer(&mut self.rejects, reject)?;
        self.rejects.push(b'\n');
        Ok(())
    }

    /// Ends the block before `end_byte`, with `lines` line ends in it.
    ///
    /// # Errors
    /// None in practice: a header is text and numbers.
    pub fn finish(mut self, end_byte: u64, lines: u64) -> Result<(Header, Bytes), serde_json::Error> {
        let superseded = take_superseded(&mut self.keys);
        self.header.end_byte = end_byte;
        self.header.lines = lines;
        self.header.keys = self.keys.len() as u64;
        self.header.superseded = superseded.len() as u64;
        let header = serde_json::to_vec(&self.header)?;
        let body_bytes = self.keys.len() * KEY_BYTES + superseded.len() * 8 + self.rejects.len();
        let mut block = Vec::with_capacity(PREFIX_BYTES + header.len() + BUCKETS_BYTES + body_bytes);
        block.extend_from_slice(MAGIC);
        block.extend_from_slice(&u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
        block.extend_from_slice(&header);
        write_buckets(&self.keys, &mut block);
        block.extend_from_slice(self.keys.as_flattened());
        for byte in &superseded {
            block.extend_from_slice(&byte.to_be_bytes());
        }
        block.extend_from_slice(&self.rejects);
        Ok((self.header, block.into()))
    }
}

/// Sorts `keys` and keeps the last position of each; gives the other positions in order.
pub fn take_superseded(keys: &mut Vec<KeyEntry>) -> Vec<u64> {
    keys.sort_unstable();
    let mut superseded = Vec::new();
    // `dedup_by` keeps the first of equal neighbours: walking it from the back keeps the last position.
    keys.reverse();
    keys.dedup_by(|earlier, later| {
        let same = hash_of(earlier) == hash_of(later);
        if same {
            superseded.push(position_of(earlier));
        }
        same
    });
    keys.reverse();
    superseded.sort_unstable();
    superseded
}

fn hash_of(entry: &KeyEntry) -> &[u8] {
    entry.split_at(16).0
}

/// The position of a key entry.
#[must_use]
pub fn position_of(entry: &KeyEntry) -> u64 {
    entry.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn bucket_of(entry: &KeyEntry) -> usize {
    let top = entry.first_chunk::<2>().map_or(0, |bytes| u16::from_be_bytes(*bytes));
    usize::from(top >> 6)
}

/// For each bucket how many keys lie before it, and how many there are.
fn write_buckets(keys: &[KeyEntry], out: &mut Vec<u8>) {
    let mut before = 0_u32;
    let mut keys = keys.iter().peekable();
    for bucket in 0..=BUCKETS {
        while keys.next_if(|entry| bucket_of(entry) < bucket).is_some() {
            before += 1;
        }
        out.extend_from_slice(&before.to_le_bytes());
    }
}

/// The head of a stored block: its counts, and where its parts lie.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its counts.
    pub header: Header,
    buckets: Bytes,
    keys_at: u64,
}

/// Bytes from a block's start that surely hold its head.
pub const HEAD_LIMIT_BYTES: u64 = (PREFIX_BYTES + BUCKETS_BYTES + 4096) as u64;

impl Head {
    /// Reads the head from the first bytes of a block; none if they are not a block's.
    #[must_use]
    pub fn parse(bytes: &Bytes) -> Option<Self> {
        let length = bytes.get(MAGIC.len()..PREFIX_BYTES)?.first_chunk::<4>()?;
        let header_end = PREFIX_BYTES + usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let header = serde_json::from_slice(bytes.get(PREFIX_BYTES..header_end)?).ok()?;
        let keys_at = header_end + BUCKETS_BYTES;
        if !bytes.starts_with(MAGIC) || bytes.len() < keys_at {
            return None;
        }
        Some(Self { header, buckets: bytes.slice(header_end..keys_at), keys_at: keys_at as u64 })
    }

    /// The same, holding no more memory than it needs: nearly none for a block without keys, of which a file of nothing
    /// but rejects has very many.
    #[must_use]
    pub fn detached(self) -> Self {
        let buckets = if self.header.keys == 0 { Bytes::new() } else { Bytes::copy_from_slice(&self.buckets) };
        Self { buckets, ..self }
    }

    /// Start and length in bytes of the keys in the buckets from `from` up to `to`, as they lie in the block.
    #[must_use]
    pub fn keys_range(&self, from: usize, to: usize) -> (u64, u64) {
        let before = |bucket: usize| {
            let number = self.buckets.get(bucket * 4..).and_then(|rest| rest.first_chunk::<4>());
            number.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
        };
        let (start, end) = (before(from), before(to));
        (self.keys_at + start * KEY_BYTES as u64, end.saturating_sub(start) * KEY_BYTES as u64)
    }

    /// Start and length in bytes of the superseded positions.
    #[must_use]
    pub fn superseded_range(&self) -> (u64, u64) {
        (self.keys_at + self.header.keys * KEY_BYTES as u64, self.header.superseded * 8)
    }

    /// Where the rejects start; they reach to the end.
    #[must_use]
    pub fn rejects_at(&self) -> u64 {
        let (start, length) = self.superseded_range();
        start + length
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    fn hash(top: u16, rest: u64) -> u128 {
        (u128::from(top) << 112) | u128::from(rest)
    }

    fn built(records: &[(u128, u64)]) -> (Header, Bytes) {
        let mut builder = BlockBuilder::new(0, BLOCK_BYTES);
        for &(hash, byte) in records {
            builder.accept(hash, byte, 4);
        }
        builder.finish(1000, 10).unwrap()
    }

    fn positions(bytes: &[u8]) -> Vec<u64> {
        bytes.chunks(8).map(|chunk| u64::from_be_bytes(chunk.try_into().unwrap())).collect()
    }

    fn part(block: &Bytes, (start, length): (u64, u64)) -> &[u8] {
        &block[usize::try_from(start).unwrap()..usize::try_from(start + length).unwrap()]
    }

    #[test]
    fn a_key_stays_once_with_its_last_position() {
        let (header, block) = built(&[(hash(9, 1), 10), (hash(3, 2), 20), (hash(9, 1), 30), (hash(9, 1), 40)]);
        assert_eq!((header.records, header.keys, header.superseded), (4, 2, 2));
        let head = Head::parse(&block).unwrap();
        assert_eq!(positions(part(&block, head.superseded_range())), [10, 30]);
        let keys = part(&block, head.keys_range(0, BUCKETS));
        let last: Vec<u64> = keys.chunks(KEY_BYTES).map(|entry| position_of(entry.try_into().unwrap())).collect();
        assert_eq!(last, [20, 40]);
    }

    #[test]
    fn buckets_cut_the_keys_without_gap_or_overlap() {
        let top = |n: u16| n.wrapping_mul(7919);
        let records: Vec<(u128, u64)> = (0..5000).map(|n| (hash(top(n), n.into()), u64::from(n) * 100)).collect();
        let (_, block) = built(&records);
        let head = Head::parse(&block).unwrap();
        let whole = part(&block, head.keys_range(0, BUCKETS)).to_vec();
        let cuts = [0, 1, 2, 500, 501, 1023, BUCKETS];
        let parts: Vec<u8> =
            cuts.windows(2).flat_map(|cut| part(&block, head.keys_range(cut[0], cut[1])).to_vec()).collect();
        assert_eq!(parts, whole);
        for entry in part(&block, head.keys_range(500, 501)).chunks(KEY_BYTES) {
            assert_eq!(bucket_of(entry.try_into().unwrap()), 500);
        }
    }

    #[test]
    fn a_cut_block_is_not_read_as_one() {
        let (_, block) = built(&[(hash(1, 1), 10)]);
        let head = Head::parse(&block).unwrap();
        for cut in 0..usize::try_from(head.keys_at).unwrap() {
            assert!(Head::parse(&block.slice(..cut)).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn a_record_at_the_limit_belongs_to_the_next_block() {
        let builder = BlockBuilder::new(100, 50);
        assert!(!builder.ends_before(149));
        assert!(builder.ends_before(150));
    }
}
