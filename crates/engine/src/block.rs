//! Blocks: what the survey leaves behind for each stretch of decoded bytes.
//!
//! A block begins at the end of the one before it and ends before the first record that starts at or behind its size in
//! bytes, or before the record that would take its keys or rejects over their limit. That makes it a pure function of the
//! bytes: doing it again gives the same object, so repetition and overwriting are harmless.
//!
//! ```text
//! magic | header length | header (JSON) | buckets of the keys | buckets of the cancellations
//!       | keys, sorted | cancellations, sorted | superseded, in order | rejects (NDJSON)
//! ```
//!
//! A block holds a key once, with its last place; the earlier places are its own superseded list. So a file of one key
//! repeated a million times costs the merge no more than a file of a million keys.
//!
//! A *place* is a record's first byte and which of its items is meant: the one that the record is counted by, or the one
//! [`Part::Besides`] it, which is the invoice of a row that is a line and repeats its invoice. The lines of a record that is
//! an invoice with all of them have no key of their own here: they go *with* it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use notaflux_sha256::HASHED_TOGETHER;
use notaflux_table::keys::{Key, KeyTexts};

/// Bytes of decoded input that a block covers.
pub const BLOCK_BYTES: u64 = 16 * 1024 * 1024;

/// Most keys in a block: 6 MB of them.
const KEYS_LIMIT: usize = 256 * 1024;

/// Most bytes of rejects in a block, beyond which it ends early.
const REJECTS_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Stretches of the hash space that a block's keys can be read by.
pub const BUCKETS: usize = 1024;

/// Bytes of a key's hash.
const HASH_LENGTH: usize = 16;

/// Bytes of a key entry: the hash, the place, how many items go with the record; all big endian, so that entries sort as
/// bytes.
pub const KEY_BYTES: usize = 26;

/// Bytes of a cancellation: the hash of the invoice's key, the stamp, the event's place, all big endian.
pub const CANCELLATION_BYTES: usize = 32;

const MAGIC: &[u8; 8] = b"nfxblk3\n";
const PREFIX_BYTES: usize = MAGIC.len() + 4;
const BUCKETS_BYTES: usize = (BUCKETS + 1) * 4;

/// A key's hash, the place of an item that has it, and how many items go with it.
pub type KeyEntry = [u8; KEY_BYTES];

/// An invoice's hash, and the event that cancels it.
pub type CancellationEntry = [u8; CANCELLATION_BYTES];

/// Which item of a record is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The one that the record is counted by.
    Record,
    /// The invoice that a line's row repeats; of an event, what it makes of its invoice.
    Besides,
}

/// The place of a part of the record that starts at `byte`: places sort as their records do.
#[must_use]
pub const fn place(byte: u64, part: Part) -> u64 {
    byte << 1 | matches!(part, Part::Besides) as u64
}

/// Which part a place is of.
#[must_use]
pub const fn part_of(place: u64) -> Part {
    if place & 1 == 0 { Part::Record } else { Part::Besides }
}

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
    /// Rows that are no records, such as one of totals.
    pub trailers: u64,
    /// Distinct keys of items.
    pub keys: u64,
    /// Events that cancel an invoice.
    pub cancellations: u64,
    /// Items whose key comes again in the same block.
    pub superseded: u64,
    /// Of those, the ones that a record is counted by.
    pub superseded_records: u64,
    /// Write units that its valid records would consume, superseded ones included.
    pub write_units: u64,
    /// Invoices that rows of lines repeat and lines that go with their invoice, superseded ones included.
    pub besides: u64,
    /// Write units that those would consume.
    pub besides_units: u64,
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

/// What the items of a record take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Units {
    /// Write units of the item that the record is counted by.
    pub record: u32,
    /// Write units of its other items.
    pub besides: u32,
    /// How many items go with it, without a key of their own.
    pub with: u16,
}

/// Collects one block.
#[derive(Debug)]
pub struct BlockBuilder {
    header: Header,
    limit_byte: u64,
    keys: Vec<KeyEntry>,
    /// What the hashes of the last of those are to be of.
    unhashed: KeyTexts,
    cancellations: Vec<CancellationEntry>,
    rejects: Vec<u8>,
}

impl BlockBuilder {
    /// A block of `block_bytes` from `first_byte` on.
    #[must_use]
    pub fn new(first_byte: u64, block_bytes: u64) -> Self {
        let header = Header { first_byte, ..Header::default() };
        let limit_byte = first_byte.saturating_add(block_bytes);
        let (keys, unhashed) = (Vec::new(), KeyTexts::default());
        Self { header, limit_byte, keys, unhashed, cancellations: Vec::new(), rejects: Vec::new() }
    }

    /// Whether a record that starts at `byte` belongs to the next block.
    #[must_use]
    pub fn ends_before(&self, byte: u64) -> bool {
        byte >= self.limit_byte
            || self.keys.len() + self.cancellations.len() >= KEYS_LIMIT
            || self.rejects.len() >= REJECTS_LIMIT_BYTES
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

    /// Takes in a valid record, by the key that it is counted by.
    pub fn accept(&mut self, key: Key<'_>, byte: u64, units: Units) {
        self.header.records += 1;
        self.header.write_units += u64::from(units.record);
        self.header.besides += u64::from(units.with);
        self.header.besides_units += u64::from(units.besides);
        self.add_key(key, place(byte, Part::Record), units.with);
    }

    /// Takes in the invoice that the row of a line repeats: another key of the record that was accepted.
    pub fn accept_besides(&mut self, key: Key<'_>, byte: u64) {
        self.header.besides += 1;
        self.add_key(key, place(byte, Part::Besides), 0);
    }

    /// Takes in that the event at `byte` cancels the invoice with this hash, as `stamp` says.
    pub fn cancel(&mut self, invoice: u128, byte: u64, stamp: u64) {
        let place = place(byte, Part::Besides).to_be_bytes();
        self.cancellations.push(joined([&invoice.to_be_bytes(), &stamp.to_be_bytes(), &place]));
    }

    /// Counts a row that is no record.
    pub fn pass_over(&mut self) {
        self.header.trailers += 1;
    }

    fn add_key(&mut self, key: Key<'_>, place: u64, with: u16) {
        self.keys.push(joined([&[0; HASH_LENGTH], &place.to_be_bytes(), &with.to_be_bytes()]));
        self.unhashed.push(key);
        if self.unhashed.len() >= HASHED_TOGETHER {
            self.hash();
        }
    }

    /// Gives the keys that have none yet their hashes.
    fn hash(&mut self) {
        let hashed = self.keys.len().saturating_sub(self.unhashed.len());
        let entries = self.keys.iter_mut().skip(hashed);
        for (entry, hash) in entries.zip(self.unhashed.take_hashes()) {
            entry.first_chunk_mut::<HASH_LENGTH>().into_iter().for_each(|to| *to = hash.to_be_bytes());
        }
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
        self.hash();
        let superseded = take_superseded(&mut self.keys);
        self.cancellations.sort_unstable_by_key(order);
        self.header.end_byte = end_byte;
        self.header.lines = lines;
        self.header.keys = self.keys.len() as u64;
        self.header.cancellations = self.cancellations.len() as u64;
        self.header.superseded = superseded.len() as u64;
        self.header.superseded_records = count_records(superseded.iter().copied());
        let header = serde_json::to_vec(&self.header)?;
        let body_bytes = self.keys.as_flattened().len()
            + self.cancellations.as_flattened().len()
            + superseded.len() * 8
            + self.rejects.len();
        let mut block = Vec::with_capacity(PREFIX_BYTES + header.len() + 2 * BUCKETS_BYTES + body_bytes);
        block.extend_from_slice(MAGIC);
        block.extend_from_slice(&u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
        block.extend_from_slice(&header);
        write_buckets(&self.keys, &mut block);
        write_buckets(&self.cancellations, &mut block);
        block.extend_from_slice(self.keys.as_flattened());
        block.extend_from_slice(self.cancellations.as_flattened());
        for place in &superseded {
            block.extend_from_slice(&place.to_be_bytes());
        }
        block.extend_from_slice(&self.rejects);
        Ok((self.header, block.into()))
    }
}

/// An entry of these parts.
#[inline]
fn joined<const N: usize>(parts: [&[u8]; 3]) -> [u8; N] {
    let mut entry = [0; N];
    let mut end = 0;
    for part in parts {
        let start = end;
        end += part.len();
        if let Some(to) = entry.get_mut(start..end) {
            to.copy_from_slice(part);
        }
    }
    debug_assert_eq!(end, N, "the parts are as long as the entry");
    entry
}

/// What entries of up to 32 bytes are sorted by: numbers that sort as the bytes do, and are compared in less time.
#[inline]
fn order<const N: usize>(entry: &[u8; N]) -> [u128; 2] {
    let number = |chunk: Option<&[u8; 16]>| chunk.map_or(0, |bytes| u128::from_be_bytes(*bytes));
    [number(entry.first_chunk()), number(entry.last_chunk())]
}

/// How many of these places are of records.
#[must_use]
pub fn count_records(places: impl Iterator<Item = u64>) -> u64 {
    places.filter(|place| part_of(*place) == Part::Record).count() as u64
}

/// Sorts `keys` and keeps the last place of each; gives the other places in order.
pub fn take_superseded(keys: &mut Vec<KeyEntry>) -> Vec<u64> {
    keys.sort_unstable_by_key(order);
    let mut superseded = Vec::new();
    // `dedup_by` keeps the first of equal neighbours: walking it from the back keeps the last place.
    keys.reverse();
    keys.dedup_by(|earlier, later| {
        let same = hash_of(earlier) == hash_of(later);
        if same {
            superseded.push(place_of(earlier));
        }
        same
    });
    keys.reverse();
    superseded.sort_unstable();
    superseded
}

/// The hash that an entry begins with.
#[must_use]
pub fn hash_of<const N: usize>(entry: &[u8; N]) -> &[u8] {
    entry.get(..HASH_LENGTH).unwrap_or_default()
}

/// Where the place stands in an entry of so many bytes.
#[must_use]
pub const fn place_at(entry_bytes: usize) -> usize {
    match entry_bytes {
        KEY_BYTES => HASH_LENGTH,
        _ => entry_bytes - 8,
    }
}

/// The place that an entry holds.
#[must_use]
pub fn place_of<const N: usize>(entry: &[u8; N]) -> u64 {
    let place = entry.get(place_at(N)..).and_then(|rest| rest.first_chunk::<8>());
    place.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// How many items go with the record of a key.
#[must_use]
pub fn with_of(entry: &KeyEntry) -> u16 {
    entry.last_chunk::<2>().map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

fn bucket_of<const N: usize>(entry: &[u8; N]) -> usize {
    let top = entry.first_chunk::<2>().map_or(0, |bytes| u16::from_be_bytes(*bytes));
    usize::from(top >> 6)
}

/// For each bucket how many entries lie before it, and how many there are.
fn write_buckets<const N: usize>(entries: &[[u8; N]], out: &mut Vec<u8>) {
    let mut before = 0_u32;
    let mut entries = entries.iter().peekable();
    for bucket in 0..=BUCKETS {
        while entries.next_if(|entry| bucket_of(entry) < bucket).is_some() {
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
    key_buckets: Buckets,
    cancellation_buckets: Buckets,
    keys_at: u64,
}

/// How many entries lie before each bucket.
#[derive(Debug, Clone)]
enum Buckets {
    /// As the block has it: a number for each bucket.
    Whole(Bytes),
    /// The buckets of the entries, in order: shorter where there are few.
    Few(Box<[u16]>),
}

impl Buckets {
    fn before(&self, bucket: usize) -> u64 {
        match self {
            Self::Whole(bytes) => {
                let number = bytes.get(bucket * 4..).and_then(|rest| rest.first_chunk::<4>());
                number.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
            }
            Self::Few(buckets) => buckets.partition_point(|each| usize::from(*each) < bucket) as u64,
        }
    }

    /// The same in as little memory of its own as it takes.
    fn detached(&self, entries: u64) -> Self {
        match self {
            Self::Whole(bytes) if entries >= FEW_ENTRIES => Self::Whole(Bytes::copy_from_slice(bytes)),
            Self::Whole(_) => {
                let bucket_of =
                    |entry: u64| (0..=u16::MAX).take(BUCKETS).rfind(|at| self.before(usize::from(*at)) <= entry);
                Self::Few((0..entries).filter_map(bucket_of).collect())
            }
            Self::Few(_) => self.clone(),
        }
    }
}

/// Entries of a block from which on the numbers of its buckets take less memory than the buckets of its entries.
const FEW_ENTRIES: u64 = BUCKETS as u64;

/// Bytes from a block's start that surely hold its head.
pub const HEAD_LIMIT_BYTES: u64 = (PREFIX_BYTES + 2 * BUCKETS_BYTES + 4096) as u64;

impl Head {
    /// Reads the head from the first bytes of a block; none if they are not a block's.
    #[must_use]
    pub fn parse(bytes: &Bytes) -> Option<Self> {
        let length = bytes.get(MAGIC.len()..PREFIX_BYTES)?.first_chunk::<4>()?;
        let header_end = PREFIX_BYTES + usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let header = serde_json::from_slice(bytes.get(PREFIX_BYTES..header_end)?).ok()?;
        let buckets_end = header_end + BUCKETS_BYTES;
        let keys_at = buckets_end + BUCKETS_BYTES;
        if !bytes.starts_with(MAGIC) || bytes.len() < keys_at {
            return None;
        }
        let key_buckets = Buckets::Whole(bytes.slice(header_end..buckets_end));
        let cancellation_buckets = Buckets::Whole(bytes.slice(buckets_end..keys_at));
        Some(Self { header, key_buckets, cancellation_buckets, keys_at: keys_at as u64 })
    }

    /// The same, holding no more memory than it needs: nearly none for a block of few keys. A file of nothing but rejects has
    /// very many of those, and so has an archive of small files.
    #[must_use]
    pub fn detached(self) -> Self {
        let key_buckets = self.key_buckets.detached(self.header.keys);
        let cancellation_buckets = self.cancellation_buckets.detached(self.header.cancellations);
        Self { key_buckets, cancellation_buckets, ..self }
    }

    /// Start and length in bytes of the keys in the buckets from `from` up to `to`, as they lie in the block.
    #[must_use]
    pub fn keys_range(&self, from: usize, to: usize) -> (u64, u64) {
        range_of(&self.key_buckets, from, to, self.keys_at, KEY_BYTES)
    }

    /// The same of the cancellations.
    #[must_use]
    pub fn cancellations_range(&self, from: usize, to: usize) -> (u64, u64) {
        range_of(&self.cancellation_buckets, from, to, self.cancellations_at(), CANCELLATION_BYTES)
    }

    fn cancellations_at(&self) -> u64 {
        self.keys_at + self.header.keys * KEY_BYTES as u64
    }

    /// Start and length in bytes of the superseded places.
    #[must_use]
    pub fn superseded_range(&self) -> (u64, u64) {
        let start = self.cancellations_at() + self.header.cancellations * CANCELLATION_BYTES as u64;
        (start, self.header.superseded * 8)
    }

    /// Where the rejects start; they reach to the end.
    #[must_use]
    pub fn rejects_at(&self) -> u64 {
        let (start, length) = self.superseded_range();
        start + length
    }
}

/// Start and length in bytes of the entries in the buckets from `from` up to `to`, of a list that starts at `at`.
fn range_of(buckets: &Buckets, from: usize, to: usize, at: u64, entry_bytes: usize) -> (u64, u64) {
    let (start, end) = (buckets.before(from), buckets.before(to));
    (at + start * entry_bytes as u64, end.saturating_sub(start) * entry_bytes as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;
    use notaflux_table::keys::key_hash;

    #[test]
    fn entries_are_ordered_as_their_bytes_are() {
        // Each differs from the first in one byte.
        let entries = (0..KEY_BYTES).flat_map(|at| {
            [0, 0x7f, 0xff].map(|byte| {
                let mut entry: KeyEntry = [0x80; KEY_BYTES];
                entry[at] = byte;
                entry
            })
        });
        let entries: Vec<KeyEntry> = entries.collect();
        for (one, other) in entries.iter().flat_map(|one| entries.iter().map(move |other| (one, other))) {
            assert_eq!(order(one).cmp(&order(other)), one.cmp(other), "{one:?} {other:?}");
        }
    }

    fn built(records: &[(&str, u64)]) -> (Header, Bytes) {
        let mut builder = BlockBuilder::new(0, BLOCK_BYTES);
        for &(id, byte) in records {
            builder.accept(Key::Invoice(id), byte, Units { record: 4, ..Units::default() });
        }
        builder.finish(1000, 10).unwrap()
    }

    fn entries(block: &Bytes) -> Vec<KeyEntry> {
        let head = Head::parse(block).unwrap();
        part(block, head.keys_range(0, BUCKETS)).as_chunks().0.to_vec()
    }

    fn positions(bytes: &[u8]) -> Vec<u64> {
        bytes.chunks(8).map(|chunk| u64::from_be_bytes(chunk.try_into().unwrap())).collect()
    }

    fn part(block: &Bytes, (start, length): (u64, u64)) -> &[u8] {
        &block[usize::try_from(start).unwrap()..usize::try_from(start + length).unwrap()]
    }

    #[test]
    fn a_key_stays_once_with_its_last_position() {
        let (header, block) = built(&[("a", 10), ("b", 20), ("a", 30), ("a", 40)]);
        assert_eq!((header.records, header.keys, header.superseded, header.superseded_records), (4, 2, 2, 2));
        let head = Head::parse(&block).unwrap();
        assert_eq!(positions(part(&block, head.superseded_range())), [10, 30].map(|byte| place(byte, Part::Record)));
        let mut last = [("a", 40), ("b", 20)].map(|(id, byte)| (key_hash(id, ""), place(byte, Part::Record)));
        last.sort_unstable();
        let found = entries(&block).into_iter().map(|entry| (hash_of(&entry).to_owned(), place_of(&entry)));
        assert!(found.eq(last.map(|(hash, place)| (hash.to_be_bytes().to_vec(), place))));
    }

    #[test]
    fn each_key_has_its_own_hash_however_many_there_are() {
        for count in [0, 1, 2, 15, 16, 17, 31, 32, 33, 100] {
            let ids: Vec<String> = (0..count).map(|n| format!("id {n}")).collect();
            let mut records: Vec<(&str, u64)> = ids.iter().map(String::as_str).zip(0..).collect();
            let (_, block) = built(&records);
            records.sort_unstable_by_key(|(id, _)| key_hash(id, ""));
            let found = entries(&block).into_iter().map(|entry| (hash_of(&entry).to_owned(), place_of(&entry)));
            let expected =
                records.iter().map(|(id, byte)| (key_hash(id, "").to_be_bytes().to_vec(), place(*byte, Part::Record)));
            assert!(found.eq(expected), "{count} keys");
        }
    }

    #[test]
    fn what_lies_besides_a_record_is_counted_as_no_record() {
        let mut builder = BlockBuilder::new(0, BLOCK_BYTES);
        for (line, byte) in [("1", 10), ("2", 20), ("1", 30)] {
            builder.accept(Key::Invoice(line), byte, Units { record: 4, besides: 4, with: 0 });
            builder.accept_besides(Key::Invoice("invoice"), byte);
        }
        builder.cancel(key_hash("invoice", ""), 20, 7);
        let (header, block) = builder.finish(1000, 10).unwrap();
        assert_eq!((header.records, header.keys, header.cancellations), (3, 3, 1));
        assert_eq!((header.superseded, header.superseded_records), (3, 1));
        let head = Head::parse(&block).unwrap();
        let expected = [(10, Part::Record), (10, Part::Besides), (20, Part::Besides)];
        assert_eq!(positions(part(&block, head.superseded_range())), expected.map(|(byte, part)| place(byte, part)));
        let cancellation: &CancellationEntry = part(&block, head.cancellations_range(0, BUCKETS)).try_into().unwrap();
        assert_eq!(hash_of(cancellation), key_hash("invoice", "").to_be_bytes());
        assert_eq!(place_of(cancellation), place(20, Part::Besides));
    }

    #[test]
    fn buckets_cut_the_keys_without_gap_or_overlap() {
        let ids: Vec<String> = (0..5000).map(|n| format!("{n}")).collect();
        let records: Vec<(&str, u64)> = ids.iter().map(String::as_str).zip((0..).step_by(100)).collect();
        let (_, block) = built(&records);
        let head = Head::parse(&block).unwrap();
        let whole = part(&block, head.keys_range(0, BUCKETS)).to_vec();
        let cuts = [0, 1, 2, 500, 501, 1023, BUCKETS];
        let parts: Vec<u8> =
            cuts.windows(2).flat_map(|cut| part(&block, head.keys_range(cut[0], cut[1])).to_vec()).collect();
        assert_eq!(parts, whole);
        for count in [0, 1, 3, 700, 5000] {
            let (_, block) = built(&records[..count]);
            let (head, detached) = (Head::parse(&block).unwrap(), Head::parse(&block).unwrap().detached());
            for cut in cuts.windows(2) {
                assert_eq!(detached.keys_range(cut[0], cut[1]), head.keys_range(cut[0], cut[1]), "{count} keys");
            }
        }
        for entry in part(&block, head.keys_range(500, 501)).chunks(KEY_BYTES) {
            assert_eq!(bucket_of::<KEY_BYTES>(entry.try_into().unwrap()), 500);
        }
    }

    #[test]
    fn a_cut_block_is_not_read_as_one() {
        let (_, block) = built(&[("a", 10)]);
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
