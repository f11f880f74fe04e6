//! Writers of items: one counts the bytes of an item, the other writes its JSON as well.
//!
//! The same code passes the parts of an item to both, so that the measured and the written item cannot differ.

use std::ops::Range;

use jiff::civil::DateTime;
use wide::u8x16;

use crate::keys::{SortTime, sort_time};
use notaflux_invoice::Timestamp;
use notaflux_invoice::time::TIMESTAMP_LIMIT;

/// Bytes of a map or list without its elements (`DynamoDB` developer guide, "Item sizes and formats").
const CONTAINER_BYTES: usize = 3;
/// Bytes that each element of a map or list adds to its own size (same page).
const ELEMENT_BYTES: usize = 1;
/// Most bytes of an attribute's name (`DynamoDB` service limit: 64 KB).
pub(crate) const NAME_LIMIT_BYTES: usize = 64 * 1024 - 1;
/// Bytes of a boolean (same page).
const BOOLEAN_BYTES: usize = 1;

/// JSON before a text.
const TEXT: &[u8; 6] = br#"{"S":""#;
/// JSON after a text or number.
const END: [u8; 2] = *br#""}"#;

/// Most bytes of a name in JSON: with a comma before it, its quotes, a colon and [`TEXT`].
const NAME_BYTES: usize = 24;

/// A fixed name of an attribute: short, and of characters that JSON does not escape.
#[derive(Debug)]
pub(super) struct Name {
    text: &'static str,
    /// `"name":{"S":"`
    first: [u8; NAME_BYTES],
    /// `,"name":{"S":"`
    further: [u8; NAME_BYTES],
}

impl Name {
    /// Creates a name at compile time: see [`name!`].
    #[allow(clippy::indexing_slicing, reason = "evaluated for constants only, where an error does not compile")]
    pub(super) const fn new(text: &'static str) -> Self {
        const fn of(text: &[u8], before: &[u8]) -> [u8; NAME_BYTES] {
            let mut json = [0; NAME_BYTES];
            let mut length = 0;
            let parts = [before, text, b"\":", TEXT];
            let mut part = 0;
            while part < parts.len() {
                let mut nth = 0;
                while nth < parts[part].len() {
                    assert!(part != 1 || !needs_escape(text[nth]));
                    json[length] = parts[part][nth];
                    (nth, length) = (nth + 1, length + 1);
                }
                part += 1;
            }
            json
        }
        Self { text, first: of(text.as_bytes(), b"\""), further: of(text.as_bytes(), b",\"") }
    }
}

/// A constant [`Name`].
macro_rules! name {
    ($text:expr) => {
        const { &$crate::item_writer::Name::new($text) }
    };
}
pub(super) use name;

/// Receives the parts of an item in order: texts with their names, other values after their names.
pub(super) trait ItemWriter {
    /// Begins an attribute of the item or of the open map.
    fn name(&mut self, name: &Name);
    /// Writes an attribute that is a text.
    fn text(&mut self, name: &Name, text: &str);
    /// Writes an attribute that is a text, given in parts. Returns the range of the text in the output, without its quotes.
    fn key(&mut self, name: &Name, parts: &[&str]) -> Range<usize>;
    /// Writes an attribute that is a text, under a name that comes from the source.
    fn column(&mut self, name: &str, text: &str);
    /// Writes an element of the open list, which is a text.
    fn element(&mut self, text: &str);
    /// Writes a time in the plain form.
    fn time(&mut self, at: &Timestamp);
    /// Returns the time for index keys, or a text of the same length.
    fn sort_time(&self, local: DateTime) -> SortTime;
    /// Writes a whole number.
    fn number(&mut self, number: u64);
    /// Writes a boolean.
    fn boolean(&mut self, value: bool);
    /// Begins a map.
    fn open_map(&mut self);
    /// Ends the open map.
    fn close_map(&mut self);
    /// Begins a list.
    fn open_list(&mut self);
    /// Ends the open list.
    fn close_list(&mut self);
}

/// Counts the bytes of an item.
#[derive(Debug, Default)]
pub(super) struct Counter {
    size_bytes: usize,
    depth: usize,
    /// Length in bytes of a name from the source that `DynamoDB` refuses.
    invalid_name_bytes: Option<usize>,
}

impl Counter {
    fn open(&mut self) {
        self.size_bytes += CONTAINER_BYTES;
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Returns the size of the item so far, in bytes as `DynamoDB` counts them.
    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Returns the length in bytes of a name from the source that `DynamoDB` refuses, if there was one.
    pub(super) fn invalid_name_bytes(&self) -> Option<usize> {
        self.invalid_name_bytes
    }

    #[inline]
    fn count_name(&mut self, length: usize) {
        self.size_bytes += length;
        if self.depth > 0 {
            self.size_bytes += ELEMENT_BYTES;
        }
    }
}

impl ItemWriter for Counter {
    #[inline]
    fn name(&mut self, name: &Name) {
        self.count_name(name.text.len());
    }

    #[inline]
    fn text(&mut self, name: &Name, text: &str) {
        self.count_name(name.text.len());
        self.size_bytes += text.len();
    }

    #[inline]
    fn key(&mut self, name: &Name, parts: &[&str]) -> Range<usize> {
        self.count_name(name.text.len());
        self.size_bytes += parts.iter().map(|part| part.len()).sum::<usize>();
        0..0
    }

    #[inline]
    fn column(&mut self, name: &str, text: &str) {
        if !(1..=NAME_LIMIT_BYTES).contains(&name.len()) {
            self.invalid_name_bytes = Some(name.len());
        }
        self.count_name(name.len());
        self.size_bytes += text.len();
    }

    fn element(&mut self, text: &str) {
        self.size_bytes += ELEMENT_BYTES + text.len();
    }

    #[inline]
    fn time(&mut self, at: &Timestamp) {
        self.size_bytes += at.plain_length();
    }

    #[inline]
    fn sort_time(&self, _local: DateTime) -> SortTime {
        SortTime::zero_filled()
    }

    fn number(&mut self, number: u64) {
        self.size_bytes += number_bytes(number);
    }

    fn boolean(&mut self, _value: bool) {
        self.size_bytes += BOOLEAN_BYTES;
    }

    fn open_map(&mut self) {
        self.open();
    }

    fn close_map(&mut self) {
        self.close();
    }

    fn open_list(&mut self) {
        self.open();
    }

    fn close_list(&mut self) {
        self.close();
    }
}

/// Returns the bytes of a number: one for each two significant digits, and one more (same page). Counts zeros at the end as significant.
pub(super) fn number_bytes(number: u64) -> usize {
    // 0 has no logarithm, and one digit.
    let digits = number.checked_ilog10().unwrap_or(0) + 1;
    digits.div_ceil(2) as usize + 1
}

/// Writes `DynamoDB` JSON and counts the bytes of the item.
#[derive(Debug)]
pub(super) struct Json<'o> {
    /// The written bytes, and room after them: texts are short, and are written in stretches of a fixed length.
    out: &'o mut Vec<u8>,
    /// End of the written bytes.
    at: usize,
    counter: Counter,
    /// Whether the next element is the first of its map or list.
    first: bool,
}

/// Bytes of room that are added at once: enough for most items.
const ROOM_BYTES: usize = 2048;

impl<'o> Json<'o> {
    /// Begins an item that is appended to `out`.
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        let at = out.len();
        let mut json = Self { out, at, counter: Counter::default(), first: true };
        json.put(*b"{");
        json
    }

    /// Ends the item. Returns the counter.
    pub(super) fn end(mut self) -> Counter {
        self.put(*b"}");
        self.out.truncate(self.at);
        self.counter
    }

    /// Returns room for at least `length` and [`NAME_BYTES`] more bytes.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "`at` is at most the length, to which room was added")]
    fn room(&mut self, length: usize) -> &mut [u8] {
        let needed = self.at + length + NAME_BYTES;
        if self.out.len() < needed {
            self.make_room(needed);
        }
        &mut self.out[self.at..]
    }

    #[cold]
    fn make_room(&mut self, needed: usize) {
        self.out.resize(needed + ROOM_BYTES, 0);
    }

    #[inline]
    #[expect(clippy::expect_used, reason = "a byte that is left out would damage the item")]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        *self.room(N).first_chunk_mut().expect("there is room for N bytes") = bytes;
        self.at += N;
    }

    /// Writes a name, and the first `text_bytes` of [`TEXT`] after it.
    #[inline]
    #[expect(clippy::expect_used, reason = "a name that is left out would damage the item")]
    fn put_name(&mut self, name: &Name, text_bytes: usize) {
        let (json, before) = if self.first { (&name.first, 1) } else { (&name.further, 2) };
        *self.room(NAME_BYTES).first_chunk_mut().expect("there is room for a name") = *json;
        self.at += before + name.text.len() + 2 + text_bytes;
        self.first = false;
    }

    /// Writes the content of a JSON string.
    #[inline]
    fn put_text(&mut self, text: &str) {
        let text = text.as_bytes();
        if copy_plain(text, self.room(text.len())) {
            self.at += text.len();
        } else {
            self.put_escaped(text);
        }
    }

    #[cold]
    fn put_escaped(&mut self, text: &[u8]) {
        self.out.truncate(self.at);
        escape(text, self.out);
        self.at = self.out.len();
    }

    #[inline]
    fn comma(&mut self) {
        if !self.first {
            self.put(*b",");
        }
        self.first = false;
    }

    fn open<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put(bytes);
        self.first = true;
    }

    fn close<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put(bytes);
        self.first = false;
    }
}

impl ItemWriter for Json<'_> {
    #[inline]
    fn name(&mut self, name: &Name) {
        self.counter.name(name);
        self.put_name(name, 0);
    }

    fn text(&mut self, name: &Name, text: &str) {
        self.counter.text(name, text);
        self.put_name(name, TEXT.len());
        self.put_text(text);
        self.put(END);
    }

    fn key(&mut self, name: &Name, parts: &[&str]) -> Range<usize> {
        self.counter.key(name, parts);
        self.put_name(name, TEXT.len());
        let start = self.at;
        for part in parts {
            self.put_text(part);
        }
        let end = self.at;
        self.put(END);
        start..end
    }

    fn column(&mut self, name: &str, text: &str) {
        self.counter.column(name, text);
        self.comma();
        self.put(*b"\"");
        self.put_text(name);
        self.put(*br#"":{"S":""#);
        self.put_text(text);
        self.put(END);
    }

    fn element(&mut self, text: &str) {
        self.counter.element(text);
        self.comma();
        self.put(*TEXT);
        self.put_text(text);
        self.put(END);
    }

    fn time(&mut self, at: &Timestamp) {
        self.counter.time(at);
        self.put(*TEXT);
        let length = at.plain_length();
        self.put(at.plain_bytes());
        self.at -= TIMESTAMP_LIMIT - length;
        self.put(END);
    }

    fn sort_time(&self, local: DateTime) -> SortTime {
        sort_time(local)
    }

    fn number(&mut self, number: u64) {
        self.counter.number(number);
        self.put(*br#"{"N":""#);
        let mut digits = [b'0'; 20];
        let mut rest = number;
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            let last = (rest % 10) as u8;
            *digit = b'0' + last;
            used += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        for digit in digits.iter().skip(20 - used) {
            self.put([*digit]);
        }
        self.put(END);
    }

    fn boolean(&mut self, value: bool) {
        self.counter.boolean(value);
        if value {
            self.put(*br#"{"BOOL":true}"#);
        } else {
            self.put(*br#"{"BOOL":false}"#);
        }
    }

    fn open_map(&mut self) {
        self.counter.open_map();
        self.open(*br#"{"M":{"#);
    }

    fn close_map(&mut self) {
        self.counter.close_map();
        self.close(*b"}}");
    }

    fn open_list(&mut self) {
        self.counter.open_list();
        self.open(*br#"{"L":["#);
    }

    fn close_list(&mut self) {
        self.counter.close_list();
        self.close(*b"]}");
    }
}

/// Copies `text` to the beginning of `room`, which is at least as long, and returns whether no byte of it needs an escape. Copies in
/// stretches, of which the last may overlap: most texts are too short for a loop or a call to pay off.
#[inline]
fn copy_plain(text: &[u8], room: &mut [u8]) -> bool {
    let Some(room) = room.get_mut(..text.len()) else { return false };
    if let (Some(last), Some(last_room)) = (text.last_chunk::<16>(), room.last_chunk_mut::<16>()) {
        *last_room = *last;
        let mut found = escapes(*last);
        for (to, from) in room.as_chunks_mut::<16>().0.iter_mut().zip(text.as_chunks::<16>().0) {
            *to = *from;
            found |= escapes(*from);
        }
        return found.to_bitmask() == 0;
    }
    if let Some((first, last)) = halves::<8>(text, room) {
        return is_plain(u64::from_ne_bytes(first)) & is_plain(u64::from_ne_bytes(last));
    }
    if let Some((first, last)) = halves::<4>(text, room) {
        return is_plain(u64::from(u32::from_ne_bytes(first)) << 32 | u64::from(u32::from_ne_bytes(last)));
    }
    let mut plain = true;
    for (to, from) in room.iter_mut().zip(text) {
        *to = *from;
        plain &= !needs_escape(*from);
    }
    plain
}

/// Copies a text of N to 2 N bytes: its first N and its last N. Returns both.
#[inline]
fn halves<const N: usize>(text: &[u8], room: &mut [u8]) -> Option<([u8; N], [u8; N])> {
    let (first, last) = (*text.first_chunk()?, *text.last_chunk()?);
    *room.first_chunk_mut()? = first;
    *room.last_chunk_mut()? = last;
    Some((first, last))
}

const fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Marks the bytes that need an escape.
#[inline]
fn escapes(bytes: [u8; 16]) -> u8x16 {
    let bytes = u8x16::new(bytes);
    let is_control = bytes.min(u8x16::splat(b' ' - 1)).simd_eq(bytes);
    is_control | bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'))
}

/// Returns whether none of eight bytes needs an escape. A subtraction sets the highest bit of each byte that is below the limit
/// (Anderson, "Bit Twiddling Hacks", "Determine if a word has a byte less than n").
#[inline]
fn is_plain(bytes: u64) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let has_below = |bytes: u64, limit: u8| bytes.wrapping_sub(EACH * u64::from(limit)) & !bytes;
    let is = |byte: u8| has_below(bytes ^ (EACH * u64::from(byte)), 1);
    (has_below(bytes, b' ') | is(b'"') | is(b'\\')) & (EACH << 7) == 0
}

/// Appends `text` as the content of a JSON string. Copies bytes that need no escape in runs.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| needs_escape(*byte)) {
        let (run, after) = rest.split_at(at);
        out.extend_from_slice(run);
        let Some((&byte, after)) = after.split_first() else { return };
        escape_byte(byte, out);
        rest = after;
    }
    out.extend_from_slice(rest);
}

fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    let hex = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    match byte {
        b'"' => out.extend_from_slice(br#"\""#),
        b'\\' => out.extend_from_slice(br"\\"),
        b'\n' => out.extend_from_slice(br"\n"),
        b'\r' => out.extend_from_slice(br"\r"),
        b'\t' => out.extend_from_slice(br"\t"),
        _ => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_character_below_the_space_is_escaped() {
        let text: String = (0..0x80_u8).map(char::from).chain("ção\u{1F600}\u{2028}".chars()).collect();
        let mut out = vec![b'"'];
        escape(text.as_bytes(), &mut out);
        out.push(b'"');
        assert!(out.iter().all(|&byte| byte >= b' '));
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }

    #[test]
    fn one_byte_that_needs_an_escape_is_found_anywhere() {
        for length in 0..70 {
            let text = vec![b'a'; length];
            let mut room = vec![0; length + 3];
            assert!(copy_plain(&text, &mut room), "{length}");
            assert_eq!((&room[..length], &room[length..]), (&text[..], &[0, 0, 0][..]));
            for (at, byte) in (0..length).flat_map(|at| [b'"', b'\\', 0, 0x1f].map(|byte| (at, byte))) {
                let mut text = text.clone();
                text[at] = byte;
                assert!(!copy_plain(&text, &mut room), "{byte} at {at} of {length}");
            }
        }
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 7, 10, 4096, u64::MAX] {
            let mut out = Vec::new();
            let mut json = Json::begin(&mut out);
            json.name(name!("n"));
            json.number(number);
            json.end();
            assert_eq!(String::from_utf8(out).unwrap(), format!(r#"{{"n":{{"N":"{number}"}}}}"#));
        }
    }

    /// The sizes of the developer guide: "Item sizes and formats".
    #[test]
    fn sizes_are_counted_as_documented() {
        let mut counter = Counter::default();
        let _ = counter.key(name!("ab"), &["x", "é"]);
        assert_eq!(counter.size_bytes(), 2 + 3, "a name and a text are as long as their UTF-8");
        counter.name(name!("n"));
        counter.number(12_345);
        assert_eq!(counter.size_bytes(), 5 + 1 + 4, "5 digits take 3 bytes and 1");
        counter.name(name!("m"));
        counter.open_map();
        counter.text(name!("k"), "v");
        counter.close_map();
        assert_eq!(counter.size_bytes(), 10 + 1 + 3 + (1 + 1 + 1), "an element adds 1 byte to its name and value");
        counter.name(name!("l"));
        counter.open_list();
        counter.element("e");
        counter.close_list();
        counter.name(name!("b"));
        counter.boolean(true);
        assert_eq!(counter.size_bytes(), 17 + 1 + 3 + (1 + 1) + (1 + 1));
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(text in any::<String>(), name in any::<String>(), end in any::<String>()) {
            let mut out = b"before".to_vec();
            let mut json = Json::begin(&mut out);
            json.text(name!("t"), &text);
            let range = json.key(name!("k"), &[&text, "#", &end]);
            json.name(name!("m"));
            json.open_map();
            json.column(&name, &text);
            json.close_map();
            json.name(name!("l"));
            json.open_list();
            json.element(&text);
            json.element(&end);
            json.close_list();
            json.end();
            let written = out.strip_prefix(b"before").unwrap();
            let value: serde_json::Value = serde_json::from_slice(written).unwrap();
            let key = format!("{text}#{end}");
            prop_assert_eq!(&value, &serde_json::json!({
                "t": {"S": &text},
                "k": {"S": &key},
                "m": {"M": {name: {"S": &text}}},
                "l": {"L": [{"S": &text}, {"S": &end}]},
            }));
            prop_assert_eq!(serde_json::to_string(&key).unwrap().len() - 2, range.len());
            prop_assert_eq!(&out[range.start - 1..range.start], b"\"");
            prop_assert_eq!(&out[range.end..=range.end], b"\"");
        }
    }
}
