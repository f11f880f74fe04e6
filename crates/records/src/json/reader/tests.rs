#![allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::Value;

use super::super::splitter::line_feeds;
use super::*;
use crate::record::RAW_LIMIT_BYTES;
use crate::testing::{Endless, Split, run};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    /// `None` if the element is too long.
    text: Option<Vec<u8>>,
    byte: u64,
    end: u64,
    line: u64,
    raw: Vec<u8>,
    next: Position,
}

impl Owned {
    fn value(&self) -> Value {
        serde_json::from_slice(self.text.as_ref().unwrap()).unwrap()
    }
}

type Outcome = (Vec<Owned>, Result<Position, ReadError>);

async fn drain<R: AsyncRead + Send + Unpin>(reader: &mut JsonReader<R>) -> Outcome {
    let mut records = Vec::new();
    loop {
        match reader.next().await {
            Ok(Some(record)) => records.push(Owned {
                text: if let Content::Json(text) = record.content { Some(text.to_vec()) } else { None },
                byte: record.byte,
                end: record.end,
                line: record.line,
                raw: record.raw().to_vec(),
                next: record.next(),
            }),
            Ok(None) => return (records, Ok(reader.position())),
            Err(error) => {
                assert!(
                    matches!(reader.next().await, Err(ReadError::UsedAfterError)),
                    "it does not go on after an error"
                );
                return (records, Err(error));
            }
        }
    }
}

const ALL: &[usize] = &[usize::MAX];
const ROOT: Shape = Shape::Array { levels: 0, alone: false };
const WRAPPED: Shape = Shape::Array { levels: 1, alone: false };

/// Reads a text from a position.
fn read_from(text: &[u8], shape: Shape, from: Position, is_beginning: bool, lengths: &[usize]) -> Outcome {
    let tail = &text[usize::try_from(from.byte).unwrap()..];
    run(drain(&mut JsonReader::new(Split::new(tail, lengths), shape, from, is_beginning)))
}

fn position_of(text: &[u8], byte: usize) -> Position {
    Position { byte: byte as u64, line: 1 + line_feeds(&text[..byte]) }
}

/// A text, the position of its data and its elements.
#[derive(Debug, Clone)]
struct Document {
    shape: Shape,
    text: Vec<u8>,
    data: Position,
    values: Vec<Value>,
}

impl Document {
    fn read(&self, lengths: &[usize]) -> Outcome {
        read_from(&self.text, self.shape, self.data, true, lengths)
    }
}

/// Writes JSON with this white space in turn, wherever JSON allows it.
struct Writer<'a> {
    out: String,
    blanks: &'a [&'static str],
    turn: usize,
    /// Whether letters outside ASCII are escaped.
    ascii: bool,
}

impl Writer<'_> {
    fn blank(&mut self) {
        self.out.push_str(self.blanks[self.turn % self.blanks.len()]);
        self.turn += 1;
    }

    fn sign(&mut self, sign: char) {
        self.blank();
        self.out.push(sign);
        self.blank();
    }

    fn leaf(&mut self, value: &Value) {
        for c in value.to_string().chars() {
            if c.is_ascii() || !self.ascii {
                self.out.push(c);
            } else {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    write!(self.out, "\\u{unit:04x}").unwrap();
                }
            }
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Array(values) => self.list(values),
            Value::Object(members) => {
                self.out.push('{');
                for (nth, (name, value)) in members.iter().enumerate() {
                    if nth > 0 {
                        self.sign(',');
                    }
                    self.leaf(&Value::from(name.as_str()));
                    self.sign(':');
                    self.value(value);
                }
                self.blank();
                self.out.push('}');
            }
            leaf => self.leaf(leaf),
        }
    }

    fn list(&mut self, values: &[Value]) {
        self.out.push('[');
        self.blank();
        for (nth, value) in values.iter().enumerate() {
            if nth > 0 {
                self.sign(',');
            }
            self.value(value);
        }
        self.blank();
        self.out.push(']');
    }
}

const TEXTS: [&str; 11] =
    ["a", "\"", "\\", "{", "]", ",", "é", "\u{1f4b0}", "\n", "\u{feff}", "uma descrição mais longa "];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&TEXTS[..]), 0..8).prop_map(|parts| parts.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 64.0)),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn objects() -> impl Strategy<Value = Vec<Value>> {
    let object = prop::collection::vec((text(), value()), 0..4);
    prop::collection::vec(object.prop_map(|members| Value::Object(members.into_iter().collect())), 0..6)
}

fn blanks() -> impl Strategy<Value = Vec<&'static str>> {
    let blank = prop::sample::select(&["", "", " ", "\n", "\r\n", "\n                ", "\t"][..]);
    prop_oneof![Just(vec![""]), prop::collection::vec(blank, 1..9)]
}

fn arrays() -> impl Strategy<Value = Document> {
    let lists = prop::collection::vec(prop::collection::vec(value(), 0..5), 1..4);
    (lists, blanks(), any::<bool>()).prop_map(|(lists, blanks, ascii)| {
        let mut writer = Writer { out: String::new(), blanks: &blanks, turn: 0, ascii };
        writer.blank();
        let data = writer.out.len() + 1;
        for list in &lists {
            writer.list(list);
            writer.blank();
        }
        let text = writer.out.into_bytes();
        Document { shape: ROOT, data: position_of(&text, data), text, values: lists.concat() }
    })
}

fn wrapped() -> impl Strategy<Value = Document> {
    let around = prop::collection::vec((text(), value()), 0..3);
    (objects(), around, 1..5_u32, blanks(), any::<bool>()).prop_map(|(values, around, levels, blanks, ascii)| {
        let mut writer = Writer { out: String::new(), blanks: &blanks, turn: 0, ascii };
        for level in 0..levels {
            writer.sign('{');
            for (name, value) in around.iter().take(level as usize) {
                writer.leaf(&Value::from(name.as_str()));
                writer.sign(':');
                writer.value(value);
                writer.sign(',');
            }
            writer.out.push_str("\"list\"");
            writer.sign(':');
        }
        let data = writer.out.len() + 1;
        writer.list(&values);
        for _ in 0..levels {
            for (name, value) in &around {
                writer.sign(',');
                writer.leaf(&Value::from(name.as_str()));
                writer.sign(':');
                writer.value(value);
            }
            writer.sign('}');
        }
        let text = writer.out.into_bytes();
        Document { shape: Shape::Array { levels, alone: true }, data: position_of(&text, data), text, values }
    })
}

fn sequences() -> impl Strategy<Value = Document> {
    (objects(), blanks(), any::<bool>()).prop_map(|(values, blanks, ascii)| {
        let mut writer = Writer { out: String::new(), blanks: &blanks, turn: 0, ascii };
        for value in &values {
            writer.blank();
            writer.value(value);
        }
        Document { shape: Shape::Values, text: writer.out.into_bytes(), data: Position::START, values }
    })
}

fn lines() -> impl Strategy<Value = Document> {
    let end = prop::sample::select(&["\n", "\r\n", "\n\n", " \t\r\n  \n "][..]);
    let values = prop::collection::vec((value(), end), 0..6);
    (values, any::<bool>(), any::<bool>()).prop_map(|(values, mark, is_ended)| {
        let mut text = if mark { "\u{feff}".to_owned() } else { String::new() };
        for (value, end) in &values {
            write!(text, "{value}{end}").unwrap();
        }
        let text = if is_ended { &text } else { text.trim_ascii_end() };
        let values = values.into_iter().map(|(value, _)| value).collect();
        Document { shape: Shape::Lines, text: text.as_bytes().to_vec(), data: Position::START, values }
    })
}

fn document() -> impl Strategy<Value = Document> {
    prop_oneof![arrays(), wrapped(), sequences(), lines()]
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), Just(vec![usize::MAX]), prop::collection::vec(1..90_usize, 1..6)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn elements_are_the_values_at_their_positions(document in document(), lengths in lengths()) {
        let (records, end) = document.read(&lengths);
        let text = &document.text;
        prop_assert_eq!(end.unwrap(), position_of(text, text.len()));
        prop_assert_eq!(records.iter().map(Owned::value).collect::<Vec<_>>(), document.values);
        for record in records {
            let (byte, end) = (usize::try_from(record.byte).unwrap(), usize::try_from(record.end).unwrap());
            prop_assert_eq!(record.text.as_deref(), Some(&text[byte..end]));
            prop_assert_eq!(record.line, position_of(text, byte).line);
            prop_assert_eq!(record.next, position_of(text, usize::try_from(record.next.byte).unwrap()));
            prop_assert_eq!(record.raw, &text[byte..end.min(byte + RAW_LIMIT_BYTES)]);
        }
    }

    #[test]
    fn reading_resumes_at_every_element_and_after_it(document in document(), lengths in lengths()) {
        let (whole, end) = document.read(ALL);
        let end = end.unwrap();
        for (nth, record) in whole.iter().enumerate() {
            let at = Position { byte: record.byte, line: record.line };
            for (from, rest) in [(at, &whole[nth..]), (record.next, &whole[nth + 1..])] {
                let (tail, tail_end) = read_from(&document.text, document.shape, from, false, &lengths);
                prop_assert_eq!(&tail[..], rest);
                prop_assert_eq!(tail_end.unwrap(), end);
            }
        }
        let (nothing, tail_end) = read_from(&document.text, document.shape, end, false, &lengths);
        prop_assert!(nothing.is_empty() && tail_end.unwrap() == end);
    }

    #[test]
    fn cut_anywhere_it_gives_fewer_elements_or_an_error(document in document()) {
        let (whole, _) = document.read(ALL);
        let data = usize::try_from(document.data.byte).unwrap();
        for cut in data..document.text.len() {
            let (mut records, end) = read_from(&document.text[..cut], document.shape, document.data, true, ALL);
            if document.shape == Shape::Lines {
                // The parser checks whether a line is complete.
                records.pop();
            }
            prop_assert!(whole.starts_with(&records), "cut at {}", cut);
            match end {
                Ok(end) => {
                    prop_assert_eq!(end, position_of(&document.text, cut));
                    let whole_values = serde_json::Deserializer::from_slice(&document.text[..cut]).into_iter::<Value>();
                    prop_assert!(document.shape == Shape::Lines || whole_values.into_iter().all(|value| value.is_ok()));
                }
                Err(error) => {
                    prop_assert!(matches!(&error, ReadError::Truncated { .. }), "{}", error);
                    let place = error.position().unwrap();
                    let byte = usize::try_from(place.byte.unwrap()).unwrap();
                    prop_assert!(byte <= cut && place.line == Some(position_of(&document.text, byte).line), "{}", error);
                }
            }
        }
    }

    #[test]
    fn the_limit_is_the_same_for_every_split(document in document(), lengths in lengths(), limit in 1..40_usize) {
        let (whole, _) = document.read(ALL);
        let tail = &document.text[usize::try_from(document.data.byte).unwrap()..];
        let split = Split::new(tail, &lengths);
        let mut reader = JsonReader::with_limit(split, document.shape, document.data, true, limit);
        let (records, end) = run(drain(&mut reader));
        prop_assert_eq!(end.unwrap(), position_of(&document.text, document.text.len()));
        prop_assert_eq!(records.len(), whole.len());
        for (mut record, whole) in records.into_iter().zip(whole) {
            let text = whole.text.as_ref().unwrap();
            prop_assert_eq!(&record.text, &Some(text.clone()).filter(|text| text.len() <= limit));
            prop_assert_eq!(&record.raw, &text[..text.len().min(limit)]);
            (record.text, record.raw) = (whole.text.clone(), whole.raw.clone());
            prop_assert_eq!(record, whole);
        }
    }
}

#[test]
fn invalid_json_is_an_error_with_its_place() {
    let alone = Shape::Array { levels: 1, alone: true };
    let deep = Shape::Array { levels: 2, alone: false };
    let list = "a second list of objects is not supported: name the list in the layout (records = …), or take the other one out";
    let cases = [
        (
            ROOT,
            "1 2]",
            1,
            "line 1, byte 2: invalid JSON: expected \",\" or \"]\", found \"2\": correct the file and ingest it again",
        ),
        (ROOT, "{}\n{}]", 1, "line 2, byte 3: invalid JSON: expected \",\" or \"]\", found \"{\""),
        (ROOT, "1,]", 1, "line 1, byte 2: invalid JSON: expected a value, found \"]\""),
        (ROOT, ",1]", 0, "line 1, byte 0: invalid JSON: expected a value or \"]\", found \",\""),
        (ROOT, "\n 'a']", 0, "line 2, byte 2: invalid JSON: expected a value or \"]\", found \"'\""),
        (ROOT, "1,\"a\"}", 2, "line 1, byte 5: invalid JSON: expected \",\" or \"]\", found \"}\""),
        (ROOT, "{}\u{a0}]", 1, "line 1, byte 2: invalid JSON: expected \",\" or \"]\", found byte 0xc2"),
        (ROOT, "1]x", 1, "line 1, byte 2: invalid JSON: expected the end or another \"[\", found \"x\""),
        (ROOT, "1][2] ,[3]", 2, "line 1, byte 6: invalid JSON: expected the end or another \"[\", found \",\""),
        (ROOT, "1]\"", 1, "line 1, byte 2: invalid JSON: expected the end or another \"[\", found \"\\\"\""),
        (
            ROOT,
            "1\n",
            1,
            "line 2, byte 2: cut short: expected the end of the array, found the end: get a complete copy",
        ),
        (ROOT, "{},{\"a\":[{}", 1, "line 1, byte 3: cut short: expected the end of the value that begins here"),
        (ROOT, "\n{\"a\":\n\"b}", 0, "line 3, byte 7: cut short: expected the end of the string that begins here"),
        (ROOT, "\"a", 0, "line 1, byte 0: cut short: expected the end of the string that begins here"),
        (WRAPPED, "{}]", 1, "line 1, byte 3: cut short: expected the end of the object around the array"),
        (WRAPPED, "{}]}}", 1, "line 1, byte 4: invalid JSON: expected the end, found \"}\""),
        (WRAPPED, "{}]}[{}]", 1, "line 1, byte 4: invalid JSON: expected the end, found \"[\""),
        (WRAPPED, "{}],}", 1, "line 1, byte 4: invalid JSON: expected the name of a member, found \"}\""),
        (WRAPPED, "{}] \"a\":1}", 1, "line 1, byte 4: invalid JSON: expected \",\" or \"}\", found \"\\\"\""),
        (WRAPPED, "{}],\"a\",1}", 1, "line 1, byte 7: invalid JSON: expected \":\", found \",\""),
        (WRAPPED, "{}],\"a\":}", 1, "line 1, byte 8: invalid JSON: expected a value, found \"}\""),
        (WRAPPED, "{}],\"a\":[1,}", 1, "line 1, byte 11: invalid JSON: expected a value, \",\" or \"]\", found \"}\""),
        (WRAPPED, "{}],\n\"a\":[1,[{}],{}]}", 1, &format!("line 2, byte 9: {list}")),
        (deep, "{}],\"a\":1},\"b\":[{}]}", 1, &format!("line 1, byte 15: {list}")),
        (alone, "{}],\"a\":[1,{}", 1, "line 1, byte 8: cut short: expected the end of the value that begins here"),
        (alone, "{}],\"a", 1, "line 1, byte 4: cut short: expected the end of the string that begins here"),
        (Shape::Values, "{} , {}", 1, "line 1, byte 3: invalid JSON: expected a value, found \",\""),
        (Shape::Values, "{}\n{", 1, "line 2, byte 3: cut short: expected the end of the value that begins here"),
    ];
    for (shape, text, count, message) in cases {
        for lengths in [ALL, &[1]] {
            let (records, end) = read_from(text.as_bytes(), shape, Position::START, true, lengths);
            let error = end.unwrap_err();
            assert!(error.is_permanent());
            assert!(error.to_string().starts_with(&format!("input, {message}")), "{text}: {error}");
            assert_eq!(records.len(), count, "{text}");
        }
    }
    let (records, end) =
        read_from(b"{}],\"a\":[1,[{}],[\"{\"]],\"b\":{\"c\":[{}]}}\n", WRAPPED, Position::START, true, &[1]);
    assert_eq!(
        (records.len(), end.unwrap()),
        (1, Position { byte: 39, line: 2 }),
        "none of these is a list of objects"
    );
}

#[test]
fn any_text_in_a_line_is_returned() {
    let text = "\u{feff}\n {\"a\": 1 \r\n\r\n\t\n]x,\u{a0}\n\"open\nnull";
    let (records, end) = read_from(text.as_bytes(), Shape::Lines, Position::START, true, &[2]);
    end.unwrap();
    let found: Vec<_> = records.iter().map(|record| (&record.raw[..], record.byte, record.end, record.line)).collect();
    let expected: [(&[u8], u64, u64, u64); 4] =
        [(b"{\"a\": 1", 5, 12, 2), ("]x,\u{a0}".as_bytes(), 19, 24, 5), (b"\"open", 25, 30, 6), (b"null", 31, 35, 7)];
    assert_eq!(found, expected);
}

#[test]
fn an_element_over_the_limit_takes_no_memory_and_the_next_one_is_whole() {
    type Case = (Shape, &'static [u8], u8, &'static [u8], u64);
    const HUGE_BYTES: usize = 100_000_000;
    let limit = 1_000_000;
    let cases: [Case; 4] = [
        (ROOT, b"{\"a\":\"", b'x', b"\"},{\"b\":2}]", 1),
        (ROOT, b"{\"a\":  1", b'\n', b"},{\"b\":2}]", 1 + HUGE_BYTES as u64),
        (Shape::Values, b"{}{\"a\":\"", b'\\', b"\"}\n{}{\"b\":2}", 2),
        (Shape::Lines, b"{}\n{\"a\":\"", b'[', b"\n{\"b\":2}", 3),
    ];
    for (shape, head, byte, tail, line) in cases {
        let source = Endless::new(head, byte, HUGE_BYTES).chain(tail);
        let mut reader = JsonReader::with_limit(source, shape, Position::START, true, limit);
        let (records, end) = run(drain(&mut reader));
        end.unwrap();
        let long = records.iter().find(|record| record.text.is_none()).unwrap();
        assert!(long.end - long.byte > HUGE_BYTES as u64);
        assert_eq!(long.raw.len(), RAW_LIMIT_BYTES);
        assert!(long.raw.starts_with(b"{\"a\":"));
        let last = records.last().unwrap();
        assert_eq!((last.text.as_deref(), last.line), (Some(&b"{\"b\":2}"[..]), line));
        assert!(reader.buffer_capacity() <= 2 * (limit + READ_BYTES));
    }
    let deep = Endless::new(b"", b'[', HUGE_BYTES);
    let mut reader = JsonReader::with_limit(deep, ROOT, Position::START, true, limit);
    let (_, end) = run(drain(&mut reader));
    assert_eq!(end.unwrap_err().position().unwrap().byte, Some(0));
    assert!(reader.buffer_capacity() <= 2 * (limit + READ_BYTES));
}

#[test]
fn errors_are_named_and_a_dropped_read_makes_the_reader_unusable() {
    let name = Place { entry: Some("x.json".to_owned()), ..Place::of("s3://b/k") };
    let mut reader = JsonReader::new(&b"{} x"[..], Shape::Values, Position::START, true).called(&name);
    let (records, end) = run(drain(&mut reader));
    assert_eq!(records.len(), 1);
    assert!(end.unwrap_err().to_string().starts_with("s3://b/k, entry \"x.json\", line 1, byte 3: invalid JSON"));
    let mut reader = JsonReader::new(Split::new(b"{}{}", &[3]), Shape::Values, Position::START, true);
    run(async {
        assert!(futures::poll!(Box::pin(reader.next())).is_pending());
        assert!(matches!(reader.next().await, Err(ReadError::UsedAfterError)));
    });
}
