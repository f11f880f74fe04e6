//! Keys: what identifies an item, and its place in the indexes.
//!
//! | entity | partition key | sort key |
//! | --- | --- | --- |
//! | schema | `SCHEMA` | `SCHEMA` |
//! | invoice | `N#<id>` | `H` |
//! | line | `N#<id>` | `L#<number, five digits>`, or `L#-<natural key>` where the source numbers none |
//! | event | `N#<id>` | `E#<yyyymmddThhmmss>#<code>` |
//! | ingestion | `J#<ingestion>` | `META`, and a key for each unit of work |
//! | object | `O#<bucket>/<key>` | `O` |
//! | index issuer, recipient | `I#<tax id>#<shard>`, `R#<tax id>#<shard>` | `<yyyymmddThhmmss>#<id>` |
//! | index month | `M#<yyyymm>#<shard>` | `<ddThhmmss>#<id>` |
//! | index state | `X#<status>#<shard>` | `<yyyymmddThhmmss>#<id>` |
//!
//! A partition accepts 1,000 write units a second. Shards spread one issuer, month or status over several partitions, and a query
//! merges them by sort key.

use std::fmt::Write;

use arrayvec::ArrayString;
use jiff::civil::DateTime;

use notaflux_invoice::time::digits;
use notaflux_invoice::{Event, Line, LineKey};
use notaflux_sha256::{self as sha256, HASH_BYTES, Sha256};

/// Partition key attribute of the table.
pub const PK: &str = "PK";
/// Sort key attribute of the table.
pub const SK: &str = "SK";
/// Sort key of an invoice.
pub const INVOICE_SK: &str = "H";
/// Sort key of the item with the report of an ingestion.
pub const INGESTION_SK: &str = "META";
/// Partition and sort key of the schema item.
pub(crate) const SCHEMA_KEY: &str = "SCHEMA";

/// Prefix of the partition key of an invoice.
pub(super) const INVOICE_PREFIX: &str = "N#";
/// Prefix of the sort key of a line.
pub const LINE_SK_PREFIX: &str = "L#";
/// Prefix of the sort key of a line without a number.
const NATURAL_SK_PREFIX: &str = "L#-";
/// Prefix of the sort key of an event.
pub const EVENT_SK_PREFIX: &str = "E#";
/// Most bytes of a line's natural key in its sort key. A hash of the whole key follows if it is longer.
const NATURAL_SHOWN_LIMIT: usize = 200;

/// Prefix of the partition key of an ingestion.
const INGESTION_PREFIX: &str = "J#";
/// Prefix of the partition key of an object.
const OBJECT_PREFIX: &str = "O#";

/// Separates the id from the rest of a hashed key. Neither contains it.
const ID_END: u8 = 0;

/// Most bytes of a partition key, of the table or an index (`DynamoDB` service limit).
const PARTITION_KEY_LIMIT_BYTES: usize = 2048;
/// Most bytes of a sort key, of the table or an index (`DynamoDB` service limit).
pub const SORT_KEY_LIMIT_BYTES: usize = 1024;
/// Most bytes of an id. With a date-time and `#` before it, it must fit into the sort key of an index.
pub const ID_LIMIT_BYTES: usize = SORT_KEY_LIMIT_BYTES - SORT_TIME_LENGTH - 1;

/// Characters of `yyyymmddThhmmss`.
const SORT_TIME_LENGTH: usize = 15;
/// Characters of its year and month, which are in the partition key of the month index.
const MONTH_LENGTH: usize = 6;

/// Returns the partition key of the invoice with this id.
#[must_use]
pub fn invoice_pk(id: &str) -> String {
    format!("{INVOICE_PREFIX}{id}")
}

/// Returns the sort key of a line. Numbered lines sort by number. Lines without a number sort by natural key, before them.
#[must_use]
pub fn line_sk(key: &LineKey<'_>) -> String {
    line_sk_parts(key, &mut LineScratch::new()).concat()
}

/// Returns the sort key of an event: events sort by time.
#[cfg(test)]
pub(crate) fn event_sk(event: &Event<'_>) -> String {
    event_sk_parts(&sort_time(event.at.local), &event.code).concat()
}

/// A buffer for the part of a sort key that [`line_sk_parts`] computes: at most `#` and a hash.
pub(super) type LineScratch = ArrayString<33>;

/// Returns the sort key of [`line_sk`] in parts, so that nothing is allocated. At most 236 bytes.
#[expect(clippy::expect_used, reason = "a hash has 32 digits, and the buffer 33 bytes")]
pub(super) fn line_sk_parts<'k>(key: &'k LineKey<'_>, scratch: &'k mut LineScratch) -> [&'k str; 3] {
    match key {
        LineKey::Number(number) => {
            push_digits(*number, 5, scratch);
            [LINE_SK_PREFIX, scratch, ""]
        }
        LineKey::Natural(natural) if natural.len() <= NATURAL_SHOWN_LIMIT => [NATURAL_SK_PREFIX, natural, ""],
        LineKey::Natural(natural) => {
            let (shown, _) = natural.split_at(natural.floor_char_boundary(NATURAL_SHOWN_LIMIT));
            write!(scratch, "#{:032x}", key_hash(natural, "")).expect("the hash fits into the buffer");
            [NATURAL_SK_PREFIX, shown, scratch]
        }
    }
}

/// Returns the sort key of an event in parts: `time` is its [`sort_time`]. At most 34 bytes.
pub(super) fn event_sk_parts<'k>(time: &'k str, code: &'k str) -> [&'k str; 4] {
    [EVENT_SK_PREFIX, time, "#", code]
}

/// Reads the key of a line from its sort key. Of a long natural key it returns the part in the sort key.
pub(super) fn line_key_of(sort_key: &str) -> Option<LineKey<'static>> {
    if let Some(natural) = sort_key.strip_prefix(NATURAL_SK_PREFIX) {
        return Some(LineKey::Natural(natural.to_owned().into()));
    }
    sort_key.strip_prefix(LINE_SK_PREFIX)?.parse().ok().map(LineKey::Number)
}

/// Reads the code of an event from its sort key.
pub(super) fn event_code_of(sort_key: &str) -> Option<&str> {
    sort_key.strip_prefix(EVENT_SK_PREFIX)?.split_once('#').map(|(_, code)| code)
}

/// Returns the partition key of the ingestion with this id.
#[must_use]
pub fn ingestion_pk(ingestion: &str) -> String {
    format!("{INGESTION_PREFIX}{ingestion}")
}

/// Returns the partition key, in the month index, of the ingestions that began in `month` (`yyyymm`).
#[must_use]
pub fn ingestions_of(month: &str) -> String {
    format!("{INGESTION_PREFIX}{month}")
}

/// Returns the months from `month` back, in the form `yyyymm`: `202601`, `202512` and so on.
///
/// # Panics
/// Panics if `month` is no `yyyymm`. Callers pass a month that they formatted themselves.
#[expect(clippy::expect_used, reason = "a wrong month would silently give an empty list")]
pub fn months_back_from(month: &str) -> impl Iterator<Item = String> + use<> {
    let number: u32 = month.parse().expect("a month is yyyymm");
    let months = number / 100 * 12 + (number % 100).saturating_sub(1);
    (0..months).map(move |back| format!("{:04}{:02}", (months - back) / 12, (months - back) % 12 + 1))
}

/// Returns the partition key of the item that records which version of the object `name` is being ingested. A hash replaces a name
/// that is too long for a key.
#[must_use]
pub fn object_pk(name: &str) -> String {
    if OBJECT_PREFIX.len() + name.len() <= PARTITION_KEY_LIMIT_BYTES {
        return format!("{OBJECT_PREFIX}{name}");
    }
    format!("{OBJECT_PREFIX}{:032x}", key_hash(name, ""))
}

/// Returns the shard of an id among `shards`: the first 8 bytes of its SHA-256, big endian, modulo `shards`.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a remainder of a division by a u16")]
pub fn shard(id: &str, shards: u16) -> u16 {
    let first = u64::from_be_bytes(first_bytes(&sha256::digest(id)));
    (first % u64::from(shards.max(1))) as u16
}

/// Returns a 128-bit hash of the key of an item, by which an ingestion finds the records of one key. `sort` is empty for an invoice,
/// and the sort key for a line or an event; it contains no NUL.
///
/// Two of n keys share a hash with a probability of about n²/2¹²⁹: 10⁻¹⁸ for 10¹⁰ keys.
#[must_use]
pub fn key_hash(id: &str, sort: &str) -> u128 {
    let mut hasher = Sha256::new();
    hasher.update(id);
    hasher.update([ID_END]);
    hasher.update(sort);
    first_half(&hasher.finish())
}

fn first_half(hash: &[u8; HASH_BYTES]) -> u128 {
    u128::from_be_bytes(first_bytes(hash))
}

/// Returns the first N bytes of a hash, which are at most 32.
#[expect(clippy::expect_used, reason = "a hash has 32 bytes")]
fn first_bytes<const N: usize>(hash: &[u8; HASH_BYTES]) -> [u8; N] {
    *hash.first_chunk().expect("a hash has N bytes")
}

/// The entity of an item, with the fields of its key.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// The invoice with this id.
    Invoice(&'a str),
    /// A line.
    Line(&'a Line<'a>),
    /// An event.
    Event(&'a Event<'a>),
}

/// Keys whose [`key_hash`]es are computed together, which takes a fraction of the time.
#[derive(Debug, Default)]
pub struct KeyTexts {
    texts: Vec<u8>,
    ends: Vec<usize>,
}

impl KeyTexts {
    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds a key.
    pub fn push(&mut self, key: Key<'_>) {
        match key {
            Key::Invoice(id) => self.push_parts(id, &[]),
            Key::Line(line) => {
                self.push_parts(&line.invoice, &line_sk_parts(&line.key, &mut LineScratch::new()));
            }
            Key::Event(event) => {
                self.push_parts(&event.invoice, &event_sk_parts(&sort_time(event.at.local), &event.code));
            }
        }
    }

    fn push_parts(&mut self, id: &str, sort: &[&str]) {
        self.texts.extend_from_slice(id.as_bytes());
        self.texts.push(ID_END);
        for part in sort {
            self.texts.extend_from_slice(part.as_bytes());
        }
        self.ends.push(self.texts.len());
    }

    /// Removes all keys and returns their hashes, in order.
    #[expect(clippy::indexing_slicing, reason = "each end is a length of the texts, and ends grow")]
    pub fn take_hashes(&mut self) -> impl Iterator<Item = u128> + use<> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let texts = starts.zip(&self.ends).map(|(start, &end)| &self.texts[start..end]);
        let hashes = sha256::digests(&texts.collect::<Vec<_>>());
        self.texts.clear();
        self.ends.clear();
        hashes.into_iter().map(|hash| first_half(&hash))
    }
}

/// A time as `yyyymmddThhmmss`.
pub type SortTime = ArrayString<SORT_TIME_LENGTH>;

/// Formats a time as `yyyymmddThhmmss`. Texts in this form sort by time.
#[must_use]
#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "digits and a T are ASCII, which is UTF-8")]
pub fn sort_time(local: DateTime) -> SortTime {
    let ([y1, y2, y3, y4, m1, m2, d1, d2], [h1, h2, n1, n2, s1, s2]) = digits(local);
    let text = [y1, y2, y3, y4, m1, m2, d1, d2, b'T', h1, h2, n1, n2, s1, s2];
    ArrayString::from_byte_string(&text).expect("ASCII is UTF-8")
}

/// Splits a [`sort_time`] into its month, which is in the partition key of the month index, and the rest, which is in the sort key. A
/// shorter text is all month.
#[must_use]
pub fn split_month(sort_time: &str) -> (&str, &str) {
    sort_time.split_at_checked(MONTH_LENGTH).unwrap_or((sort_time, ""))
}

/// Returns the id at the end of a sort key of an index.
#[must_use]
pub fn id_of_sort_key(sort_key: &str) -> Option<&str> {
    sort_key.split_once('#').map(|(_, id)| id)
}

/// Formats a shard as in keys.
pub(super) fn shard_text(shard: u16) -> ArrayString<5> {
    let mut text = ArrayString::new();
    push_digits(shard.into(), 1, &mut text);
    text
}

/// Appends the number with at least `least` digits, of which the first are zeros if needed.
fn push_digits<const N: usize>(number: u32, least: u32, text: &mut ArrayString<N>) {
    let digits = number.checked_ilog10().map_or(1, |places| places + 1).max(least);
    for place in (0..digits).rev() {
        let digit = (number / 10_u32.pow(place) % 10) as u8;
        // Callers have room: a u16 has at most 5 digits and a u32 at most 10.
        text.push(char::from(b'0' + digit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notaflux_testing::{example_event, example_line};

    #[test]
    fn a_shard_follows_from_the_sha256_of_the_id() {
        // `printf 31191108676370000155550010000070831000062423 | sha256sum` begins with 7648e892129bb8a5.
        let id = "31191108676370000155550010000070831000062423";
        for (shards, expected) in [(1, 0), (2, 1), (7, 0), (8, 5), (256, 165)] {
            assert_eq!(shard(id, shards), expected, "of {shards}");
        }
    }

    #[test]
    fn shards_are_even() {
        let mut counts = [0_u32; 8];
        (0..8000).for_each(|n| counts[usize::from(shard(&format!("id-{n}"), 8))] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn hashing_together_gives_the_hashes_of_each_key() {
        let (line, event) = (example_line(), example_event());
        let mut keys = KeyTexts::default();
        // The second round shows that nothing stays; other code computes the hash of a single key.
        for times in [5, 1] {
            for _ in 0..times {
                for key in [Key::Invoice(&line.invoice), Key::Line(&line), Key::Event(&event)] {
                    keys.push(key);
                }
            }
            let invoice = key_hash(&line.invoice, "");
            let line = key_hash(&line.invoice, &line_sk(&line.key));
            let event = key_hash(&event.invoice, &event_sk(&event));
            assert_eq!(keys.len(), 3 * times);
            assert_eq!(keys.take_hashes().collect::<Vec<_>>(), [invoice, line, event].repeat(times));
            assert!(keys.is_empty());
        }
        keys.push(Key::Line(&line));
        assert!(keys.take_hashes().eq([key_hash(&line.invoice, &line_sk(&line.key))]));
        assert_eq!(keys.take_hashes().count(), 0);
    }

    #[test]
    fn months_count_back_across_a_new_year() {
        let months: Vec<_> = months_back_from("202602").take(4).collect();
        assert_eq!(months, ["202602", "202601", "202512", "202511"]);
    }

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        assert_ne!(key_hash("a", "b"), key_hash("ab", ""));
        assert_ne!(key_hash("a", ""), key_hash("", "a"));
        assert_ne!(key_hash("a", "L#00001"), key_hash("a", "L#00002"));
    }

    #[test]
    fn lines_sort_by_number_after_those_without_one() {
        let natural = |text: &str| line_sk(&LineKey::Natural(text.to_owned().into()));
        let numbered = |number| line_sk(&LineKey::Number(number));
        assert_eq!([numbered(1), numbered(99_999), natural("a|b")], ["L#00001", "L#99999", "L#-a|b"]);
        assert_eq!((numbered(0), numbered(u32::MAX)), ("L#00000".to_owned(), "L#4294967295".to_owned()));
        assert!(natural("~") < numbered(0) && numbered(9) < numbered(10));
    }

    #[test]
    fn a_hash_distinguishes_long_natural_keys() {
        let sort_key = |text: String| line_sk(&LineKey::Natural(text.into()));
        assert_eq!(sort_key("x".repeat(200)), format!("L#-{}", "x".repeat(200)));
        let (one, other) = (sort_key("é".repeat(101)), sort_key(format!("{}e", "é".repeat(101))));
        assert!(one.starts_with(&format!("L#-{}#", "é".repeat(100))), "{one}");
        assert!(one != other && one.len() == 236 && other.len() == 236);
    }

    #[test]
    fn sort_keys_of_lines_and_events_are_parsed() {
        for key in [LineKey::Number(1), LineKey::Number(99_999), LineKey::Natural("a#-b".into())] {
            assert_eq!(line_key_of(&line_sk(&key)), Some(key));
        }
        assert_eq!((line_key_of("H"), line_key_of("L#x")), (None, None));
        assert_eq!(event_code_of("E#20191102T030405#110111"), Some("110111"));
        assert_eq!((event_code_of("E#20191102T030405"), event_code_of("H")), (None, None));
    }

    #[test]
    fn a_sort_time_is_packed() {
        let local = DateTime::new(2019, 11, 2, 3, 4, 5, 0).unwrap();
        assert_eq!(sort_time(local).as_str(), "20191102T030405");
        assert_eq!(split_month(&sort_time(local)), ("201911", "02T030405"));
        assert_eq!(sort_time(DateTime::new(7, 1, 1, 0, 0, 0, 0).unwrap()).as_str(), "00070101T000000");
    }

    #[test]
    fn the_id_is_parsed_from_a_sort_key() {
        assert_eq!(id_of_sort_key("20191102T030405#a#b"), Some("a#b"));
        assert_eq!(id_of_sort_key("nothing"), None);
    }
}
