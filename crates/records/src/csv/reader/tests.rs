#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails by panicking is a test that fails")]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::super::window::{BUFFER_BYTES, count_line_ends};
use super::*;
use crate::record::RAW_LIMIT_BYTES;
use crate::testing::{Endless, Split, run};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    fields: Vec<Vec<u8>>,
    byte: u64,
    end: u64,
    line: u64,
    raw: Vec<u8>,
    next: Position,
    unclosed_quote: bool,
}

fn fields(record: &RawRecord<'_>) -> Vec<Vec<u8>> {
    let Content::Fields(fields) = record.content else { panic!("a record of a CSV has fields") };
    fields.iter().map(<[u8]>::to_vec).collect()
}

async fn drain<R: AsyncRead + Send + Unpin>(mut reader: CsvReader<R>) -> (Vec<Owned>, Result<Position, ReadError>) {
    let mut records = Vec::new();
    loop {
        match reader.next().await {
            Ok(Some(record)) => records.push(Owned {
                fields: fields(&record),
                byte: record.byte,
                end: record.end,
                line: record.line,
                raw: record.raw().to_vec(),
                next: record.next(),
                unclosed_quote: record.unclosed_quote,
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

fn read_with(
    text: &[u8],
    start: Position,
    limit: usize,
    lengths: &[usize],
) -> (Vec<Owned>, Result<Position, ReadError>) {
    let options = CsvOptions { delimiter: b';', record_limit_bytes: limit };
    let split = Split::new(text, lengths);
    run(drain(CsvReader::new(split, options, start)))
}

fn read(text: &[u8]) -> Vec<Owned> {
    let (records, end) = read_with(text, Position::START, RECORD_LIMIT_BYTES, ALL);
    end.unwrap();
    records
}

fn places(text: &str) -> Vec<(u64, u64, u64, Position)> {
    read(text.as_bytes()).iter().map(|record| (record.byte, record.end, record.line, record.next)).collect()
}

fn at(byte: u64, line: u64) -> Position {
    Position { byte, line }
}

#[test]
fn positions_by_hand() {
    assert_eq!(places("a;b\nc\n"), [(0, 3, 1, at(4, 2)), (4, 5, 2, at(6, 3))]);
    assert_eq!(places("a;b\r\nc"), [(0, 3, 1, at(5, 2)), (5, 6, 2, at(6, 2))]);
    assert_eq!(places("a\rb\r\r\nc\r"), [(0, 1, 1, at(2, 2)), (2, 3, 2, at(4, 3)), (6, 7, 4, at(8, 5))]);
    assert_eq!(places("\n\n\r\na\n\n\nb"), [(4, 5, 4, at(6, 5)), (8, 9, 7, at(9, 7))]);
    assert_eq!(places("\"x\ny\r\nz\";1\r\nb"), [(0, 10, 1, at(12, 4)), (12, 13, 4, at(13, 4))]);
    assert_eq!(places("\u{feff}a\nb"), [(3, 4, 1, at(5, 2)), (5, 6, 2, at(6, 2))]);
    assert_eq!(places("\u{feff}\na"), [(4, 5, 2, at(5, 2))]);
    assert_eq!(places("a\n\"\""), [(0, 1, 1, at(2, 2)), (2, 4, 2, at(4, 2))]);
    assert_eq!(places(""), []);
    assert_eq!(places("\u{feff}"), []);
    assert_eq!(places("\r\n\r\n"), []);
}

#[test]
fn the_end_has_a_position() {
    for (text, end) in
        [("", at(0, 1)), ("a\n\n\r\n", at(5, 4)), ("a", at(1, 1)), ("\u{feff}", at(3, 1)), ("\"a\n", at(3, 2))]
    {
        assert_eq!(read_with(text.as_bytes(), Position::START, 100, &[1]).1.unwrap(), end, "{text:?}");
    }
}

#[test]
fn quotes_are_detected() {
    let text = "TUBO 1/2\" PVC;\"a;\"\"b\"\"\"\n\"x\"y;z\n";
    let fields: Vec<_> = read(text.as_bytes()).into_iter().map(|record| record.fields).collect();
    let expected: [Vec<Vec<u8>>; 2] =
        [vec![b"TUBO 1/2\" PVC".to_vec(), b"a;\"b\"".to_vec()], vec![b"xy".to_vec(), b"z".to_vec()]];
    assert_eq!(fields, expected);
    for (text, unclosed) in [
        ("a;\"2040,0", true),
        ("a;\"2040,0\"", false),
        ("a;\"20\"\"", true),
        ("a;b\"c", false),
        ("\"a\nb\n", true),
        ("\"a\nb\n\"", false),
        ("\"", true),
        ("\"\"", false),
        ("a;", false),
    ] {
        assert_eq!(read(text.as_bytes()).last().unwrap().unclosed_quote, unclosed, "{text:?}");
    }
}

#[test]
fn a_mark_in_the_middle_is_text() {
    let text = "a;b\n\u{feff}c;d\n\u{feff}\"e;f\"\n";
    let whole = read(text.as_bytes());
    assert_eq!(whole[1].fields[0], "\u{feff}c".as_bytes());
    for (nth, record) in whole.iter().enumerate() {
        let from = usize::try_from(record.next.byte).unwrap();
        let (tail, _) = read_with(&text.as_bytes()[from..], record.next, 100, ALL);
        assert_eq!(tail, whole[nth + 1..]);
    }
}

#[test]
fn raw_text_is_capped() {
    let long = [b"x".repeat(5000), b"\nshort\n".to_vec()].concat();
    let records = read(&long);
    assert_eq!((records[0].raw.len(), records[0].end), (RAW_LIMIT_BYTES, 5000));
    assert_eq!(records[1].raw, b"short");
}

const HUGE_BYTES: usize = 300_000_000;

#[test]
fn a_quote_never_closed_is_an_error_with_its_place_and_memory_stays_flat() {
    let options = CsvOptions { delimiter: b';', record_limit_bytes: RECORD_LIMIT_BYTES };
    for byte in [b'x', b';', b'\n'] {
        let endless = Endless::new(b"a;b\nc;\"d", byte, HUGE_BYTES);
        let mut reader = CsvReader::new(endless, options, Position::START);
        run(async {
            assert_eq!(reader.next().await.unwrap().unwrap().end, 3);
            let error = reader.next().await.unwrap_err();
            assert!(matches!(&error, ReadError::RecordTooLong { .. }) && error.is_permanent(), "{error}");
            let place = error.position().unwrap();
            assert_eq!((place.byte, place.line), (Some(4), Some(2)));
        });
        assert!(reader.reader().taken_bytes() <= RECORD_LIMIT_BYTES + 2 * BUFFER_BYTES);
        assert!(reader.window.capacity() <= 2 * (RECORD_LIMIT_BYTES + 2 * BUFFER_BYTES));
        assert!(reader.unquoter.fields().text().len() <= 2 * (RECORD_LIMIT_BYTES + 2 * BUFFER_BYTES));
    }
}

#[test]
fn blank_lines_without_end_take_no_memory() {
    let options = CsvOptions { delimiter: b';', record_limit_bytes: 1000 };
    let endless = Endless::new(b"a\n", b'\n', HUGE_BYTES);
    let mut reader = CsvReader::new(endless, options, Position::START);
    run(async {
        assert!(reader.next().await.unwrap().is_some());
        assert!(reader.next().await.unwrap().is_none());
    });
    assert_eq!(reader.position(), at(HUGE_BYTES as u64 + 2, HUGE_BYTES as u64 + 2));
    assert!(reader.window.capacity() <= 4 * BUFFER_BYTES);
}

#[test]
fn a_record_may_be_as_long_as_the_limit_and_no_longer() {
    let text = "12345\n\"2345\"\r\n123456\n";
    let (records, end) = read_with(text.as_bytes(), Position::START, 6, ALL);
    assert_eq!(records.len(), 3);
    end.unwrap();
    for lengths in [ALL, &[1], &[3, 1]] {
        let (records, end) = read_with(text.as_bytes(), Position::START, 5, lengths);
        assert_eq!(records.len(), 1);
        let error = end.unwrap_err();
        assert_eq!(error.position().unwrap().to_string(), "input, line 2, byte 6");
    }
}

#[test]
fn errors_of_the_input_come_out_whole_and_named() {
    struct Broken;
    impl AsyncRead for Broken {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(ReadError::truncated(Place::default().at_byte(4), "more").into()))
        }
    }
    let options = CsvOptions { delimiter: b';', record_limit_bytes: 100 };
    let text = tokio::io::AsyncReadExt::chain(&b"a;b\n"[..], Broken);
    let name = Place { entry: Some("x.csv".to_owned()), ..Place::of("s3://b/k") };
    let (records, end) = run(drain(CsvReader::new(text, options, Position::START).called(&name)));
    assert_eq!(records.len(), 1);
    let error = end.unwrap_err();
    assert_eq!(error.position().unwrap().to_string(), "s3://b/k, entry \"x.csv\", byte 4");
    assert!(matches!(error, ReadError::Truncated { .. }));
}

#[test]
fn a_dropped_read_makes_the_reader_unusable() {
    let options = CsvOptions { delimiter: b';', record_limit_bytes: 100 };
    let split = Split::new(b"abc;def\nghi\n", &[5]);
    let mut reader = CsvReader::new(split, options, Position::START);
    run(async {
        assert!(futures::poll!(Box::pin(reader.next())).is_pending());
        assert!(matches!(reader.next().await, Err(ReadError::UsedAfterError)));
    });
}

const TOKENS: [&str; 13] = ["a", "bc", "\"", "\"", "\"\"", ";", ";", "\n", "\r\n", "\r", "é", "\u{feff}", ",1 x"];

fn text() -> impl Strategy<Value = Vec<u8>> {
    let tame =
        prop::collection::vec(prop::sample::select(&["a", "bc;d", "\"e;\nf\"", ";", "\n", "\r\n", "\"\""][..]), 0..40);
    let wild = prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..60);
    let text = prop_oneof![tame, wild].prop_map(|tokens| tokens.concat());
    // Special bytes must also occur where one block of the scanner ends and the next begins.
    let before = prop_oneof![Just(0), 56..66_usize, 120..130_usize];
    (before, any::<bool>(), text).prop_map(|(before, quoted, text)| {
        let quote = if quoted { "\"" } else { "" };
        let before = if before > 0 { format!("{quote}{}", "x".repeat(before)) } else { String::new() };
        [before, text].concat().into_bytes()
    })
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), Just(vec![usize::MAX]), prop::collection::vec(1..9_usize, 1..6)]
}

/// Parses with the `csv` crate. The line feed at the start keeps that crate from dropping a byte order mark.
fn oracle(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = [b"\n", text].concat();
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').flexible(true).has_headers(false).from_reader(&text[..]);
    reader.byte_records().map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn fields_are_those_of_the_csv_crate(text in text(), lengths in lengths()) {
        let (records, end) = read_with(&text, Position::START, 1000, &lengths);
        prop_assert!(end.is_ok());
        let fields: Vec<_> = records.into_iter().map(|record| record.fields).collect();
        prop_assert_eq!(fields, oracle(&text));
    }

    #[test]
    fn the_split_of_the_input_does_not_change_the_records(text in text(), lengths in lengths()) {
        let (records, end) = read_with(&text, Position::START, 1000, &lengths);
        let (whole, whole_end) = read_with(&text, Position::START, 1000, ALL);
        prop_assert_eq!(records, whole);
        prop_assert_eq!(end.unwrap(), whole_end.unwrap());
    }

    #[test]
    fn positions_are_those_of_the_text(text in text(), lengths in lengths()) {
        let (records, end) = read_with(&text, Position::START, 1000, &lengths);
        let mut before = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        for record in &records {
            let (byte, end) = (usize::try_from(record.byte).unwrap(), usize::try_from(record.end).unwrap());
            let next = usize::try_from(record.next.byte).unwrap();
            prop_assert!(text[before..byte].iter().all(is_line_end));
            prop_assert!(!is_line_end(&text[byte]));
            prop_assert_eq!(&record.raw, &text[byte..end]);
            prop_assert!(matches!(&text[end..next], b"\n" | b"\r" | b"\r\n") || (end == next && end == text.len()));
            prop_assert_eq!(record.line, 1 + count_line_ends(&text[..byte]));
            prop_assert_eq!(record.next.line, 1 + count_line_ends(&text[..next]));
            before = next;
        }
        prop_assert!(text[before..].iter().all(is_line_end));
        prop_assert_eq!(end.unwrap(), at(text.len() as u64, 1 + count_line_ends(&text)));
    }

    #[test]
    fn reading_resumes_after_any_record(text in text(), lengths in lengths()) {
        let (whole, _) = read_with(&text, Position::START, 1000, ALL);
        for (nth, record) in whole.iter().enumerate() {
            let from = usize::try_from(record.next.byte).unwrap();
            let (tail, _) = read_with(&text[from..], record.next, 1000, &lengths);
            prop_assert_eq!(&tail, &whole[nth + 1..]);
            let from = usize::try_from(record.byte).unwrap();
            let (tail, _) = read_with(&text[from..], at(record.byte, record.line), 1000, &lengths);
            prop_assert!(from == 0 || tail == whole[nth..]);
        }
    }

    #[test]
    fn the_limit_is_the_same_for_every_split(text in text(), lengths in lengths(), limit in 1..12_usize) {
        let (whole, _) = read_with(&text, Position::START, 1000, ALL);
        let fits: Vec<_> = whole.iter().take_while(|record| record.end - record.byte <= limit as u64).cloned().collect();
        let (records, end) = read_with(&text, Position::START, limit, &lengths);
        prop_assert_eq!(end.is_ok(), fits.len() == whole.len());
        if let Err(error) = end {
            let place = error.position().unwrap();
            let long = &whole[fits.len()];
            prop_assert_eq!((place.byte, place.line), (Some(long.byte), Some(long.line)));
        }
        prop_assert_eq!(records, fits);
    }
}
