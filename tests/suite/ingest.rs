//! Whole ingestions with the embedded servers: the table, the rejects and the report at the end.

use std::collections::BTreeMap;
use std::io::Write as _;

use notaflux_records::file;

use notaflux_engine::{RejectLimit, Settings};
use notaflux_table::ingestion::IngestionState;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::place::{Items, Place};
use crate::support::rows;

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn the_last_valid_of_five_records_with_one_key_stays() {
    let place = Place::new().await;
    let outcome = place.ingest(include_bytes!("../../fixtures/same-key-five-times.csv"), Settings::default()).await;
    let report = &outcome.report;
    assert_eq!(report.state, IngestionState::Completed);
    assert_eq!((report.records_read, report.written, report.superseded, report.rejected), (8, 3, 5, 0));
    let items = place.items().await;
    let totals = ["35240111222333000181550010000000311100000310", "35240111222333000181550010000000321100000326"]
        .map(|key| items[&(format!("N#{key}"), "H".to_owned())]["total"].clone());
    assert_eq!(totals, ["S(\"50.00\")", "S(\"7.77\")"]);
    assert_eq!(items.len(), 3);
}

/// Returns the expected table after rows of (key, total): the last valid row of each key.
fn expected(rows: &[(u32, Option<u32>)]) -> BTreeMap<String, String> {
    let valid = rows.iter().filter_map(|(key, total)| Some((rows::key(*key), format!("S(\"{}.00\")", (*total)?))));
    valid.collect()
}

fn file_of(rows: &[(u32, Option<u32>)]) -> Vec<u8> {
    rows::file(
        rows.iter().map(|(key, total)| (rows::key(*key), total.map_or("12,3,4".to_owned(), |t| format!("{t},00")))),
    )
}

/// Random patterns of duplicates and bad rows, block sizes and concurrency: the table holds the last valid record of
/// each key, and the counts add up.
#[test]
fn the_last_valid_record_of_each_key_stays_for_any_pattern() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = runtime.block_on(Place::new());
    let row = (0_u32..40, prop::option::weighted(0.9, 0_u32..1000));
    let strategy = (prop::collection::vec(row, 0..200), 1_usize..20, 1_u64..20_000);
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |(rows, calls_in_flight, block_bytes)| {
            runtime.block_on(async {
                let place = place.another().await;
                let settings = Settings { calls_in_flight, block_bytes, ..Settings::default() };
                let outcome = place.ingest(&file_of(&rows), settings).await;
                prop_assert!(outcome.error.is_none(), "{:?}", outcome.error);
                let expected = expected(&rows);
                let items = place.items().await;
                let found: BTreeMap<String, String> =
                    items.iter().map(|((pk, _), item)| (pk[2..].to_owned(), item["total"].clone())).collect();
                prop_assert_eq!(&found, &expected);
                let report = &outcome.report;
                let bad = rows.iter().filter(|(_, total)| total.is_none()).count() as u64;
                prop_assert_eq!(report.records_read, rows.len() as u64);
                prop_assert_eq!(report.rejected, bad);
                prop_assert_eq!(report.written, expected.len() as u64);
                prop_assert_eq!(report.superseded, report.records_read - bad - report.written);
                prop_assert_eq!(place.rejects(&outcome).await.len() as u64, bad);
                Ok(())
            })
        })
        .unwrap();
}

#[tokio::test]
async fn a_reject_has_its_place_and_the_expected_value() {
    let place = Place::new().await;
    let mut bytes = rows::file([(rows::key(1), "1,00".to_owned()), (rows::key(2), "12,3,4".to_owned())]);
    let second_byte = rows::header().len() + rows::row(&rows::key(1), "1,00").len();
    bytes.extend(rows::row(&rows::key(3), "3,00"));
    // Blocks of a few bytes: positions must not depend on the blocks.
    for block_bytes in [1, 700, 16 << 20] {
        let outcome = place.ingest(&bytes, Settings { block_bytes, ..Settings::default() }).await;
        let rejects = place.rejects(&outcome).await;
        assert_eq!(rejects.len(), 1);
        let reject = &rejects[0];
        assert_eq!(reject["line"], 3);
        assert_eq!(reject["record"], 2);
        assert_eq!(reject["byte"], second_byte);
        assert_eq!(reject["reason"], "invalid_amount");
        let message = reject["message"].as_str().unwrap();
        assert!(message.contains("VALOR NOTA FISCAL") && message.contains("12,3,4"), "{message}");
        let raw = reject["raw"].as_str().unwrap();
        assert!(raw.starts_with("\"35") && raw.contains("SÃO PAULO") && raw.ends_with("12,3,4\""), "{raw}");
        assert_eq!(reject["length"], rows::row(&rows::key(2), "12,3,4").len() - 2);
    }
}

#[tokio::test]
async fn a_record_too_large_for_an_item_is_a_reject() {
    let place = Place::new().await;
    let mut bytes = rows::file([(rows::key(1), "1,00".to_owned())]);
    // A character of one byte in windows-1252 takes two bytes in the item: only the second record is too large.
    for (number, length) in [(2, 195_000), (3, 210_000)] {
        let row = rows::row(&rows::key(number), "1,00");
        let at = row.windows(5).position(|part| part == b"VENDA").unwrap();
        bytes.extend([&row[..at], &vec![0xe7; length], &row[at..]].concat());
    }
    let outcome = place.ingest(&bytes, Settings::default()).await;
    assert_eq!((outcome.report.written, outcome.report.rejected), (2, 1));
    let rejects = place.rejects(&outcome).await;
    assert_eq!(rejects[0]["reason"], "item_too_large");
    assert_eq!(rejects[0]["record"], 3);
    assert_eq!(place.items().await.len(), 2);
}

#[tokio::test]
async fn plain_and_gzip_files_give_the_same_items() {
    let place = Place::new().await;
    let rows: Vec<(u32, Option<u32>)> = (0..500).map(|n| (n % 400, Some(n))).collect();
    let bytes = file_of(&rows);
    place.ingest(&bytes, Settings::default()).await;
    let plain = place.items().await;
    let place = place.another().await;
    let (first, second) = bytes.split_at(bytes.len() / 3);
    let members = [gzipped(first), gzipped(second)].concat();
    let outcome = place.ingest(&members, Settings::default()).await;
    assert_eq!(outcome.report.entries[0].compression, "gzip");
    assert_eq!(outcome.report.bytes_decoded, bytes.len() as u64);
    let without_source = |items: Items| -> Items {
        items
            .into_iter()
            .map(|(key, mut item)| {
                item.remove("src");
                (key, item)
            })
            .collect()
    };
    assert_eq!(without_source(place.items().await), without_source(plain));
}

/// The entries of the zip are stored without compression.
#[tokio::test]
async fn the_entries_of_a_zip_are_one_source_in_order() {
    let place = Place::new().await;
    let first = file_of(&[(1, Some(1)), (2, Some(2)), (3, None), (4, Some(4))]);
    let second = file_of(&[(2, None), (1, Some(10)), (5, Some(5)), (1, Some(11))]);
    let one_line = vec![b'x'; 2 << 20];
    let zip = rows::zipped(&[
        ("a.csv", &first),
        ("folder/", b""),
        ("leia-me.txt", b"fruta;2\n"),
        ("x.bin", &one_line),
        ("b.csv", &second),
    ]);
    for block_bytes in [1, 16 << 20] {
        let place = place.another().await;
        let outcome = place.ingest(&zip, Settings { block_bytes, ..Settings::default() }).await;
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        let report = &outcome.report;
        assert_eq!((report.records_read, report.written, report.superseded, report.rejected), (8, 4, 2, 2));
        let names: Vec<_> = report.entries.iter().map(|entry| entry.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["a.csv", "b.csv"]);
        let skipped: Vec<_> = report.skipped.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(skipped, ["leia-me.txt", "x.bin"]);
        let items = place.items().await;
        let total = |key| items[&(format!("N#{}", rows::key(key)), "H".to_owned())]["total"].clone();
        assert_eq!([1, 2, 4, 5].map(total), ["S(\"11.00\")", "S(\"2.00\")", "S(\"4.00\")", "S(\"5.00\")"]);
        let rejects = place.rejects(&outcome).await;
        let at = |n: usize| (rejects[n]["entry"].clone(), rejects[n]["line"].clone(), rejects[n]["record"].clone());
        assert_eq!(at(0), ("a.csv".into(), 4.into(), 3.into()));
        assert_eq!(at(1), ("b.csv".into(), 2.into(), 1.into()));
    }
}

#[tokio::test]
async fn damaged_gzip_fails_before_anything_is_written() {
    let place = Place::new().await;
    let rows: Vec<(u32, Option<u32>)> = (0..300).map(|n| (n, Some(n))).collect();
    let whole = gzipped(&file_of(&rows));
    let mut flipped = whole.clone();
    let at = flipped.len() - 6;
    flipped[at] ^= 0xff;
    for (bytes, what) in [(&whole[..whole.len() - 200], "cut"), (&flipped[..], "checksum")] {
        let outcome = place.ingest(bytes, Settings::default()).await;
        assert_eq!(outcome.report.state, IngestionState::Failed, "{what}");
        let error = outcome.error.unwrap();
        assert!(error.is_permanent(), "{what}: {error}");
        assert!(outcome.report.cause.is_some(), "{what}");
    }
    assert_eq!(place.items().await, Items::new());
}

#[tokio::test]
async fn files_without_invoices_are_an_error() {
    let place = Place::new().await;
    let empty = place.ingest(b"", Settings::default()).await;
    assert!(empty.error.unwrap().to_string().contains("empty"));

    let header_only = place.ingest(&rows::header(), Settings::default()).await;
    assert_eq!((header_only.report.state, header_only.report.records_read), (IngestionState::Completed, 0));

    let unknown = place.ingest(b"fruta;quantidade\nbanana;3\n", Settings::default()).await;
    let message = unknown.error.unwrap().to_string();
    assert!(message.contains("portal-line") && message.contains("CHAVE DE ACESSO"), "{message}");
    assert!(message.contains("--layout"), "{message}");

    let missing = file::open("no-such-file.csv").await.unwrap_err();
    assert!(missing.to_string().contains("no-such-file.csv"), "{missing}");
}

#[tokio::test]
async fn too_many_rejects_write_nothing() {
    let place = Place::new().await;
    let rows: Vec<(u32, Option<u32>)> = (0..100).map(|n| (n, (n % 10 != 0).then_some(n))).collect();
    let limited = |limit| Settings { max_rejects: RejectLimit::parse(limit), ..Settings::default() };
    for (limit, told) in [("9", "10 of 91"), ("9.9%", "10 of 100")] {
        let outcome = place.ingest(&file_of(&rows), limited(limit)).await;
        let message = outcome.error.as_ref().unwrap().to_string();
        assert!(message.contains(told), "{message}");
        assert_eq!(place.items().await, Items::new());
        if limit.ends_with('%') {
            // Known only after the whole read: the report has the counts and the location of the rejects.
            assert_eq!((outcome.report.records_read, outcome.report.rejected), (100, 10));
            assert_eq!(place.rejects(&outcome).await.len(), 10);
        }
    }
    for limit in ["10", "10%"] {
        let outcome = place.ingest(&file_of(&rows), limited(limit)).await;
        assert_eq!(outcome.report.state, IngestionState::Completed);
    }
    assert_eq!(place.items().await.len(), 90);
}

#[tokio::test]
async fn a_completed_ingestion_is_repeated_only_if_forced() {
    let place = Place::new().await;
    let source = place.file(&file_of(&[(1, Some(1)), (2, Some(2))])).await;
    let first = place.engine(Settings::default()).ingest(&source).await.unwrap();
    let second = place.engine(Settings::default()).ingest(&source).await.unwrap();
    assert!(!first.repeated && second.repeated);
    assert_eq!(first.report, second.report);
    let before = place.items().await;
    let forced = place.engine(Settings { force: true, ..Settings::default() }).ingest(&source).await.unwrap();
    assert!(!forced.repeated);
    assert_eq!(place.items().await, before);
}

#[tokio::test]
async fn an_unclosed_quote_fails_with_its_position() {
    let place = Place::new().await;
    let mut bytes = rows::file([(rows::key(1), "1,00".to_owned())]);
    let (byte, line) = (bytes.len(), 3);
    bytes.extend(b"\"3526");
    bytes.resize(bytes.len() + (3 << 20), b'x');
    let outcome = place.ingest(&bytes, Settings::default()).await;
    let message = outcome.error.unwrap().to_string();
    assert!(message.contains(&format!("line {line}")) && message.contains(&byte.to_string()), "{message}");
    assert_eq!(place.items().await, Items::new());
}
