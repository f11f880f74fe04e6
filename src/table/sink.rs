//! Where the parts of an item go: into a count of bytes, or into JSON as well.
//!
//! One walk over an invoice serves both, so that what is measured and what is written cannot differ.

use std::ops::Range;

/// Bytes that a map or list takes besides its elements (`DynamoDB` developer guide, "Item sizes and formats").
const CONTAINER_BYTES: usize = 3;
/// Bytes that each element of a map or list takes besides itself (same page).
const ELEMENT_BYTES: usize = 1;
/// Bytes of a boolean (same page).
const BOOLEAN_BYTES: usize = 1;

/// Takes the parts of an item in order: a name, then its value; or an element of a list, then its value.
pub(super) trait Sink {
    /// Begins an attribute of the item or of the open map, under a name of ours: none of those needs an escape.
    fn name(&mut self, name: &'static str);
    /// Likewise, under a name that comes from elsewhere.
    fn further_name(&mut self, name: &str);
    /// Begins an element of the open list.
    fn element(&mut self);
    /// A text, given in parts. Gives where it lies in the output, without its quotes.
    fn text(&mut self, parts: &[&str]) -> Range<usize>;
    /// A whole number.
    fn number(&mut self, number: u64);
    /// A boolean.
    fn boolean(&mut self, value: bool);
    /// Begins a map.
    fn open_map(&mut self);
    /// Ends it.
    fn close_map(&mut self);
    /// Begins a list.
    fn open_list(&mut self);
    /// Ends it.
    fn close_list(&mut self);
    /// Size of the item so far, in bytes as `DynamoDB` counts them.
    fn size_bytes(&self) -> usize;
}

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Counter {
    size_bytes: usize,
    depth: usize,
}

impl Counter {
    fn open(&mut self) {
        self.size_bytes += CONTAINER_BYTES;
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}

impl Sink for Counter {
    fn name(&mut self, name: &'static str) {
        self.further_name(name);
    }

    fn further_name(&mut self, name: &str) {
        self.size_bytes += name.len();
        if self.depth > 0 {
            self.size_bytes += ELEMENT_BYTES;
        }
    }

    fn element(&mut self) {
        self.size_bytes += ELEMENT_BYTES;
    }

    fn text(&mut self, parts: &[&str]) -> Range<usize> {
        self.size_bytes += parts.iter().map(|part| part.len()).sum::<usize>();
        0..0
    }

    /// One byte for two significant digits and one more (same page); zeros at the end are counted as if significant.
    fn number(&mut self, number: u64) {
        let digits = number.checked_ilog10().unwrap_or_default() + 1;
        self.size_bytes += digits.div_ceil(2) as usize + 1;
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

    fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

/// Writes `DynamoDB` JSON and counts.
#[derive(Debug)]
pub(super) struct Json<'o> {
    out: &'o mut Vec<u8>,
    counter: Counter,
    first: bool,
}

impl<'o> Json<'o> {
    /// An item appended to `out`.
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, counter: Counter::default(), first: true }
    }

    /// Ends the item.
    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    fn comma(&mut self) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
    }

    fn open(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.first = true;
    }

    fn close(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.first = false;
    }
}

impl Sink for Json<'_> {
    fn name(&mut self, name: &'static str) {
        debug_assert!(is_plain(name.as_bytes()), "{name} needs no escape");
        self.counter.name(name);
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn further_name(&mut self, name: &str) {
        self.counter.further_name(name);
        self.comma();
        self.out.push(b'"');
        escape(name, self.out);
        self.out.extend_from_slice(b"\":");
    }

    fn element(&mut self) {
        self.counter.element();
        self.comma();
    }

    fn text(&mut self, parts: &[&str]) -> Range<usize> {
        self.counter.text(parts);
        self.out.extend_from_slice(br#"{"S":""#);
        let start = self.out.len();
        for part in parts {
            escape(part, self.out);
        }
        let end = self.out.len();
        self.out.extend_from_slice(br#""}"#);
        start..end
    }

    fn number(&mut self, number: u64) {
        self.counter.number(number);
        self.out.extend_from_slice(br#"{"N":""#);
        let mut digits = [b'0'; 20];
        let mut rest = number;
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            used += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.out.extend(digits.iter().skip(20 - used));
        self.out.extend_from_slice(br#""}"#);
    }

    fn boolean(&mut self, value: bool) {
        self.counter.boolean(value);
        self.out.extend_from_slice(if value { br#"{"BOOL":true}"# } else { br#"{"BOOL":false}"# });
    }

    fn open_map(&mut self) {
        self.counter.open_map();
        self.open(br#"{"M":{"#);
    }

    fn close_map(&mut self) {
        self.counter.close_map();
        self.close(b"}}");
    }

    fn open_list(&mut self) {
        self.counter.open_list();
        self.open(br#"{"L":["#);
    }

    fn close_list(&mut self) {
        self.counter.close_list();
        self.close(b"]}");
    }

    fn size_bytes(&self) -> usize {
        self.counter.size_bytes()
    }
}

/// Appends `text` as the inside of a JSON string: what needs no escape is copied in runs.
fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    if is_plain(rest) {
        out.extend_from_slice(rest);
        return;
    }
    while let Some(at) = rest.iter().position(|byte| needs_escape(*byte)) {
        let (run, after) = rest.split_at(at);
        out.extend_from_slice(run);
        let Some((&byte, after)) = after.split_first() else { return };
        escape_byte(byte, out);
        rest = after;
    }
    out.extend_from_slice(rest);
}

const fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Whether nothing in `bytes` needs an escape, in blocks of which the last may overlap: most texts are too short for a loop to pay.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    fn needs_escapes<const N: usize>(block: &[u8; N]) -> bool {
        block.iter().fold(false, |any, byte| any | needs_escape(*byte))
    }
    if let Some(last) = bytes.last_chunk::<16>() {
        let (blocks, _) = bytes.as_chunks::<16>();
        return !blocks.iter().fold(needs_escapes(last), |any, block| any | needs_escapes(block));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return !(needs_escapes(first) | needs_escapes(last));
    }
    bytes.iter().all(|byte| !needs_escape(*byte))
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
        escape(&text, &mut out);
        out.push(b'"');
        assert!(out.iter().all(|&byte| byte >= b' '));
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 7, 10, 4096, u64::MAX] {
            let mut out = Vec::new();
            let mut json = Json::begin(&mut out);
            json.name("n");
            json.number(number);
            json.end();
            assert_eq!(String::from_utf8(out).unwrap(), format!(r#"{{"n":{{"N":"{number}"}}}}"#));
        }
    }

    /// The sizes of the developer guide: "Item sizes and formats".
    #[test]
    fn sizes_are_counted_as_documented() {
        let mut counter = Counter::default();
        counter.name("ab");
        let _ = counter.text(&["x", "é"]);
        assert_eq!(counter.size_bytes(), 2 + 3, "a name and a text are as long as their UTF-8");
        counter.name("n");
        counter.number(12_345);
        assert_eq!(counter.size_bytes(), 5 + 1 + 4, "5 digits take 3 bytes and 1");
        counter.name("m");
        counter.open_map();
        counter.name("k");
        let _ = counter.text(&["v"]);
        counter.close_map();
        assert_eq!(
            counter.size_bytes(),
            10 + 1 + 3 + (1 + 1 + 1),
            "an element takes 1 byte besides its name and value"
        );
        counter.name("l");
        counter.open_list();
        counter.element();
        counter.boolean(true);
        counter.close_list();
        assert_eq!(counter.size_bytes(), 17 + 1 + 3 + (1 + 1));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let mut out = Vec::new();
            let mut json = Json::begin(&mut out);
            json.name("t");
            let range = json.text(&[&text]);
            json.end();
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(value["t"]["S"].as_str(), Some(text.as_str()));
            prop_assert_eq!(&out[range.start - 1..range.start], b"\"");
            prop_assert_eq!(&out[range.end..=range.end], b"\"");
        }
    }
}
