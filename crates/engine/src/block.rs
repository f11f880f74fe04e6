//! Blocks: the result of the survey for one stretch of decoded bytes.
//!
//! A block begins where the previous one ends. It ends before the first record that starts at or after its size in bytes, or
//! before the record that would exceed the limit of its keys or rejects. So a block is a pure function of the bytes: building
//! it again gives the same object, and repeating or overwriting it does no harm.
//!
//! ```text
//! magic | header length | header (JSON) | buckets of the keys | buckets of the cancellations
//!       | keys, sorted | cancellations, sorted | superseded, in order | rejects (NDJSON)
//! ```
//!
//! A block contains each key once, with its last position. The earlier positions are in its list of superseded items. So a
//! file of one key repeated a million times costs the merge no more than a file of a million keys.
//!
//! [`BlockHead`](super::block_head::BlockHead) reads a block.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use notaflux_sha256::HASHED_TOGETHER;
use notaflux_table::keys::{Key, KeyTexts};

use super::entry::{
    BUCKETS, CancellationEntry, Entry, ItemPosition, ItemRole, KeyEntry, bucket_of, count_records, encode_all,
    take_superseded,
};
use super::stamp::CancellationStamp;

/// Bytes of decoded input in a block.
pub(crate) const BLOCK_BYTES: u64 = 16 * 1024 * 1024;

/// Most keys and cancellations in a block: at most 8 MiB of them.
const KEYS_LIMIT: usize = 256 * 1024;

/// Bytes of rejects after which a block ends early.
const REJECTS_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// First bytes of every block.
pub(crate) const MAGIC: &[u8; 8] = b"nfxblk3\n";

/// Bytes before the header: the magic and the length of the header.
pub(crate) const PREFIX_BYTES: usize = MAGIC.len() + 4;

/// Bytes of the buckets of a list: for each bucket, and for the end, the number of entries before it, as a little-endian
/// `u32`.
pub(crate) const BUCKETS_BYTES: usize = (BUCKETS + 1) * 4;

/// Most bytes of a header. A header has about 400 bytes, and one warning kind adds about 40.
pub(crate) const HEADER_LIMIT_BYTES: usize = 4096;

/// The counts of a block. All of them are relative to the block, so that it depends on nothing before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// First byte of the block in the decoded entry.
    pub(crate) first_byte: u64,
    /// First byte after the block: the next block begins there.
    pub(crate) end_byte: u64,
    /// Line ends within the block.
    pub(crate) lines: u64,
    /// Records that start in the block.
    pub(crate) records: u64,
    /// Rejected records.
    pub(crate) rejected: u64,
    /// Rows that are no records, such as one of totals.
    pub(crate) trailers: u64,
    /// Rows that are the header again.
    pub(crate) repeated_headers: u64,
    /// Distinct keys of items.
    pub(crate) keys: u64,
    /// Events that cancel an invoice.
    pub(crate) cancellations: u64,
    /// Items whose key comes again in the same block.
    pub(crate) superseded: u64,
    /// Superseded items by which a record is counted.
    pub(crate) superseded_records: u64,
    /// Write units of the valid records, superseded ones included.
    pub(crate) write_units: u64,
    /// Items that count as no record, superseded ones included: invoices that the rows of lines repeat, and lines within the
    /// record of their invoice.
    #[serde(rename = "besides")]
    pub(crate) extra_items: u64,
    /// Write units of those items.
    #[serde(rename = "besides_units")]
    pub(crate) extra_units: u64,
    /// Valid records with a warning, by kind.
    pub(crate) warnings: BTreeMap<String, u64>,
}

impl Header {
    /// Returns the memory that the entries of the block take in the merge, in keys.
    pub(crate) const fn merge_weight(&self) -> u64 {
        self.keys + self.cancellations * CancellationEntry::BYTES.div_ceil(KeyEntry::BYTES) as u64
    }
}

/// A reject in a block. Line and record count from the start of the block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlockReject {
    /// Line ends between the first byte of the block and the record.
    pub(crate) line: u64,
    /// Records of the block before this one.
    pub(crate) record: u64,
    /// First byte of the record in the decoded entry.
    pub(crate) byte: u64,
    /// Length of the record in bytes.
    pub(crate) length: u64,
    /// Reason, as a word.
    pub(crate) reason: String,
    /// Reason, for people.
    pub(crate) message: String,
    /// The first 4 KiB of the record, as in the source.
    pub(crate) raw: String,
}

/// The write units of the items of a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Units {
    /// Write units of the item by which the record is counted.
    pub(crate) primary: u32,
    /// Write units of its other items.
    pub(crate) extra: u32,
    /// Lines within the record of an invoice.
    pub(crate) nested_lines: u16,
}

/// Builds one block.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    header: Header,
    limit_byte: u64,
    keys: Vec<KeyEntry>,
    /// Texts of the last keys, whose hashes are not computed yet.
    unhashed: KeyTexts,
    cancellations: Vec<CancellationEntry>,
    rejects: Vec<u8>,
}

impl BlockBuilder {
    /// Begins a block of `block_bytes` at `first_byte`.
    #[must_use]
    pub(crate) fn new(first_byte: u64, block_bytes: u64) -> Self {
        let header = Header { first_byte, ..Header::default() };
        let limit_byte = first_byte.saturating_add(block_bytes);
        let (keys, unhashed) = (Vec::new(), KeyTexts::default());
        Self { header, limit_byte, keys, unhashed, cancellations: Vec::new(), rejects: Vec::new() }
    }

    /// Whether a record that starts at `byte` belongs to the next block.
    #[must_use]
    pub(crate) fn ends_before(&self, byte: u64) -> bool {
        byte >= self.limit_byte
            || self.keys.len() + self.cancellations.len() >= KEYS_LIMIT
            || self.rejects.len() >= REJECTS_LIMIT_BYTES
    }

    /// Returns the number of records so far.
    #[must_use]
    pub(crate) fn records(&self) -> u64 {
        self.header.records
    }

    /// Returns the number of rejects so far.
    #[must_use]
    pub(crate) fn rejected(&self) -> u64 {
        self.header.rejected
    }

    /// Adds a valid record with the key by which it is counted.
    pub(crate) fn accept(&mut self, key: Key<'_>, byte: u64, units: Units) {
        self.header.records += 1;
        self.header.write_units += u64::from(units.primary);
        self.header.extra_items += u64::from(units.nested_lines);
        self.header.extra_units += u64::from(units.extra);
        self.add_key(key, ItemPosition::new(byte, ItemRole::Primary), units.nested_lines);
    }

    /// Adds the invoice that the row of a line repeats: a second key of the record that was accepted.
    pub(crate) fn accept_secondary(&mut self, key: Key<'_>, byte: u64) {
        self.header.extra_items += 1;
        self.add_key(key, ItemPosition::new(byte, ItemRole::Secondary), 0);
    }

    /// Adds the event at `byte`, which cancels the invoice with this hash.
    pub(crate) fn cancel(&mut self, invoice: u128, byte: u64, stamp: CancellationStamp) {
        let position = ItemPosition::new(byte, ItemRole::Secondary);
        self.cancellations.push(CancellationEntry { hash: invoice, stamp, position });
    }

    /// Counts a row that is no record.
    pub(crate) fn count_trailer(&mut self) {
        self.header.trailers += 1;
    }

    /// Counts a row that is the header again.
    pub(crate) fn count_repeated_header(&mut self) {
        self.header.repeated_headers += 1;
    }

    fn add_key(&mut self, key: Key<'_>, position: ItemPosition, nested_lines: u16) {
        // `hash` fills in the hash.
        self.keys.push(KeyEntry { hash: 0, position, nested_lines });
        self.unhashed.push(key);
        if self.unhashed.len() >= HASHED_TOGETHER {
            self.hash();
        }
    }

    /// Computes the hashes of the last keys.
    fn hash(&mut self) {
        let hashed = self.keys.len().saturating_sub(self.unhashed.len());
        let entries = self.keys.iter_mut().skip(hashed);
        for (entry, hash) in entries.zip(self.unhashed.take_hashes()) {
            entry.hash = hash;
        }
    }

    /// Counts a warning of a valid record.
    pub(crate) fn warn(&mut self, kind: &str) {
        if let Some(count) = self.header.warnings.get_mut(kind) {
            *count += 1;
        } else {
            self.header.warnings.insert(kind.to_owned(), 1);
        }
    }

    /// Adds a rejected record.
    ///
    /// # Errors
    /// None in practice: a reject consists of text and numbers.
    pub(crate) fn reject(&mut self, reject: &BlockReject) -> Result<(), serde_json::Error> {
        self.header.records += 1;
        self.header.rejected += 1;
        serde_json::to_writer(&mut self.rejects, reject)?;
        self.rejects.push(b'\n');
        Ok(())
    }

    /// Ends the block before `end_byte`, with `lines` line ends in it. Returns its header and its bytes.
    ///
    /// # Errors
    /// None in practice: a header consists of text and numbers.
    pub(crate) fn finish(mut self, end_byte: u64, lines: u64) -> Result<(Header, Bytes), serde_json::Error> {
        self.hash();
        let superseded = take_superseded(&mut self.keys);
        self.cancellations.sort_unstable();
        self.header.end_byte = end_byte;
        self.header.lines = lines;
        self.header.keys = self.keys.len() as u64;
        self.header.cancellations = self.cancellations.len() as u64;
        self.header.superseded = superseded.len() as u64;
        self.header.superseded_records = count_records(superseded.iter().copied());
        let header = serde_json::to_vec(&self.header)?;
        let body_bytes = self.keys.len() * KeyEntry::BYTES
            + self.cancellations.len() * CancellationEntry::BYTES
            + superseded.len() * ItemPosition::BYTES
            + self.rejects.len();
        let mut block = Vec::with_capacity(PREFIX_BYTES + header.len() + 2 * BUCKETS_BYTES + body_bytes);
        block.extend_from_slice(MAGIC);
        block.extend_from_slice(&header_length(&header).to_le_bytes());
        block.extend_from_slice(&header);
        write_buckets(self.keys.iter().map(|key| key.hash), &mut block);
        write_buckets(self.cancellations.iter().map(|cancellation| cancellation.hash), &mut block);
        encode_all(&self.keys, &mut block);
        encode_all(&self.cancellations, &mut block);
        encode_all(&superseded, &mut block);
        block.extend_from_slice(&self.rejects);
        Ok((self.header, block.into()))
    }
}

#[expect(clippy::expect_used, reason = "a header has some numbers and a count for each kind of warning")]
fn header_length(header: &[u8]) -> u32 {
    let length = u32::try_from(header.len()).ok().filter(|_| header.len() <= HEADER_LIMIT_BYTES);
    length.expect("a header has at most 4 KiB")
}

/// Writes for each bucket, and for the end, the number of entries before it, given the sorted hashes of the entries.
fn write_buckets(hashes: impl Iterator<Item = u128>, out: &mut Vec<u8>) {
    let mut before = 0_u32;
    let mut hashes = hashes.peekable();
    for bucket in 0..=BUCKETS {
        while hashes.next_if(|hash| bucket_of(*hash) < bucket).is_some() {
            before += 1;
        }
        out.extend_from_slice(&before.to_le_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;
    use notaflux_table::keys::key_hash;

    #[test]
    fn a_block_is_stored_in_known_bytes() {
        let mut builder = BlockBuilder::new(100, BLOCK_BYTES);
        builder.accept(Key::Invoice("a"), 110, Units { primary: 4, extra: 6, nested_lines: 3 });
        builder.accept(Key::Invoice("a"), 120, Units { primary: 5, extra: 0, nested_lines: 0 });
        builder.warn("no_issuer");
        builder.cancel(key_hash("b", ""), 130, CancellationStamp::from_bits(7));
        builder.count_trailer();
        builder.count_repeated_header();
        let reject = BlockReject {
            line: 4,
            record: 2,
            byte: 140,
            length: 9,
            reason: "bad".to_owned(),
            message: "no".to_owned(),
            raw: "x;y".to_owned(),
        };
        builder.reject(&reject).unwrap();
        let (_, block) = builder.finish(1000, 10).unwrap();

        let header = br#"{"first_byte":100,"end_byte":1000,"lines":10,"records":3,"rejected":1,"trailers":1,"#;
        let header =
            [&header[..], br#""repeated_headers":1,"keys":1,"cancellations":1,"superseded":1,"superseded_records":1,"write_units":9,"#].concat();
        let header = [&header[..], br#""besides":3,"besides_units":6,"warnings":{"no_issuer":1}}"#].concat();
        let buckets = |hash: u128| -> Vec<u8> {
            (0..=BUCKETS).flat_map(|bucket| u32::from((hash >> 118) < bucket as u128).to_le_bytes()).collect()
        };
        let (a, b) = (key_hash("a", ""), key_hash("b", ""));
        let (kept, superseded) = ((120_u64 * 2).to_be_bytes(), (110_u64 * 2).to_be_bytes());
        let expected = [
            b"nfxblk3\n",
            &u32::try_from(header.len()).unwrap().to_le_bytes()[..],
            &header,
            &buckets(a),
            &buckets(b),
            &[&a.to_be_bytes()[..], &kept, &[0, 0]].concat(),
            &[&b.to_be_bytes()[..], &7_u64.to_be_bytes(), &(130_u64 * 2 + 1).to_be_bytes()].concat(),
            &superseded,
            br#"{"line":4,"record":2,"byte":140,"length":9,"reason":"bad","message":"no","raw":"x;y"}"#,
            b"\n",
        ];
        assert!(block == expected.concat(), "{}", block.escape_ascii());
    }

    #[test]
    fn a_record_at_the_limit_belongs_to_the_next_block() {
        let builder = BlockBuilder::new(100, 50);
        assert!(!builder.ends_before(149));
        assert!(builder.ends_before(150));
    }
}
