//! Whole ingestions of JSON: the same invoices in every dialect and shape, records with errors, and sources with
//! errors.

use std::collections::BTreeMap;
use std::io::Write as _;

use notaflux_engine::{Outcome, Settings};
use notaflux_table::ingestion::IngestionState;

use crate::program;
use crate::support::place::{Items, Place};
use crate::support::rows;

fn settings() -> Settings {
    Settings { block_bytes: 2_000, ..Settings::default() }
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("../fixtures/{name}")).unwrap()
}

fn counts(outcome: &Outcome) -> [u64; 4] {
    let report = &outcome.report;
    assert_eq!(report.state, IngestionState::Completed, "{:?}", outcome.error);
    [report.records_read, report.written, report.superseded, report.rejected]
}

/// Returns the items of an ingestion of these bytes into a new table, without the attributes that name the ingestion.
async fn items(bytes: &[u8]) -> (Outcome, Items) {
    let place = Place::new().await;
    let outcome = place.ingest(bytes, settings()).await;
    let mut items = place.items().await;
    for item in items.values_mut() {
        item.retain(|name, _| name != "src");
    }
    (outcome, items)
}

/// Returns a value without the zeros at both ends, which a program drops that writes it as a JSON number. Keeps those
/// of times.
fn as_number(value: &str) -> String {
    let Some((head, text)) = value.strip_suffix("\")").and_then(|value| value.split_once("(\"")) else {
        return value.to_owned();
    };
    match text.parse::<f64>() {
        Ok(number) => format!("{head}({number})"),
        Err(_) => value.to_owned(),
    }
}

#[tokio::test]
async fn the_items_are_the_same_in_every_dialect_and_shape() {
    let (outcome, expected) = Box::pin(items(&fixture("nfe-xmltodict.json"))).await;
    assert_eq!(counts(&outcome), [3, 3, 0, 0]);
    assert_eq!((outcome.report.items_written, expected.len()), (7, 7), "three invoices, four lines");
    let entry = &outcome.report.entries[0];
    assert_eq!((entry.layout.as_str(), entry.format.as_str(), &entry.delimiter), ("nfe", "json", &None));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&fixture("nfe-xmltodict.json")).unwrap();
    let two_frames = [&fixture("nfe-xmltodict.ndjson")[..1_500], &fixture("nfe-xmltodict.ndjson")[1_500..]];
    let two_frames = two_frames.map(|part| zstd::encode_all(part, 3).unwrap()).concat();
    let array = fixture("nfe-xmltodict.json");
    for (name, format, bytes) in [
        ("nfe-xmltodict.ndjson", "ndjson", fixture("nfe-xmltodict.ndjson")),
        ("nfe-wrapped.json", "json", fixture("nfe-wrapped.json")),
        ("nfe-xml2js.json", "json", fixture("nfe-xml2js.json")),
        ("nfe-xmljs.json", "json", fixture("nfe-xmljs.json")),
        ("gzip", "json", gzip.finish().unwrap()),
        ("zstd of two frames", "ndjson", two_frames),
        ("zip", "json", rows::zipped(&[("notas.json", &array)])),
        ("with a byte order mark", "json", [b"\xef\xbb\xbf \r\n", &array[..]].concat()),
    ] {
        let (outcome, items) = Box::pin(items(&bytes)).await;
        assert_eq!(outcome.report.entries[0].format, format, "{name}");
        assert_eq!(items.len(), expected.len(), "{name}");
        for (key, item) in &expected {
            assert_eq!(items.get(key), Some(item), "{name}: {key:?}");
        }
    }
    let (_, numbers) = Box::pin(items(&fixture("nfe-numeric.json"))).await;
    let numeric = |items: &Items| -> Items {
        let item = |item: &BTreeMap<String, String>| {
            item.iter().map(|(name, value)| (name.clone(), as_number(value))).collect()
        };
        items.iter().map(|(key, value)| (key.clone(), item(value))).collect()
    };
    let (numbers, expected) = (numeric(&numbers), numeric(&expected));
    for (key, item) in &expected {
        let found = &numbers[key];
        // The values in `x`, the extra fields, also lose their zeros.
        for (name, value) in item.iter().filter(|(name, _)| *name != "x") {
            assert_eq!(found.get(name), Some(value), "{key:?}, {name}");
        }
    }
}

#[tokio::test]
async fn fixtures_of_every_json_layout_are_ingested() {
    for (name, layout, list, items_written, expected) in [
        ("nfe-with-protocol.ndjson", "nfe", None, 7, [3, 3, 0, 0]),
        ("nfse-national.json", "nfse-national", None, 2, [2, 2, 0, 0]),
        ("portal-api.json", "portal-api", None, 2, [2, 2, 0, 0]),
        ("erp.json", "erp-json", Some("data.notas"), 5, [3, 3, 0, 0]),
        ("bad.ndjson", "erp-json", None, 2, [7, 2, 0, 5]),
    ] {
        let (outcome, items) = Box::pin(items(&fixture(name))).await;
        let entry = &outcome.report.entries[0];
        assert_eq!((entry.layout.as_str(), entry.list.as_deref()), (layout, list), "{name}");
        assert_eq!(counts(&outcome), expected, "{name}");
        assert_eq!((outcome.report.items_written, items.len() as u64), (items_written, items_written), "{name}");
        assert_eq!(outcome.report.warnings, BTreeMap::new(), "{name}");
        let statuses: Vec<&str> = items.values().filter_map(|item| item.get("st")).map(String::as_str).collect();
        if name.starts_with("nfe-with") {
            assert_eq!(statuses, ["S(\"authorized\")", "S(\"cancelled\")", "S(\"denied\")"]);
        }
    }
}

#[tokio::test]
async fn a_bad_line_is_a_reject_with_its_place_and_reading_continues() {
    let place = Place::new().await;
    let outcome = place.ingest(&fixture("bad.ndjson"), settings()).await;
    let rejects = place.rejects(&outcome).await;
    let told: Vec<_> = rejects
        .iter()
        .map(|reject| {
            let number = |name: &str| reject[name].as_u64().unwrap();
            (number("line"), number("record"), reject["reason"].as_str().unwrap(), reject["message"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            (2, 2, "invalid_json", "byte 146: expected the end of the string, found the end"),
            (4, 3, "invalid_amount", "valor: expected a decimal such as 1234.56, found \"12,3,4\""),
            (5, 4, "unexpected_value", "expected an object, found a list"),
            (6, 5, "invalid_json", "byte 281: expected both halves of a surrogate pair, found \"\\\"\""),
            (7, 6, "repeated_value", "byte 306: numero: expected one value, found \"5\" and \"6\""),
        ]
    );
    let bytes = fixture("bad.ndjson");
    for reject in &rejects {
        let (from, length) = (reject["byte"].as_u64().unwrap(), reject["length"].as_u64().unwrap());
        let part = &bytes[usize::try_from(from).unwrap()..usize::try_from(from + length).unwrap()];
        assert_eq!(reject["raw"].as_str().unwrap().as_bytes(), part);
    }
}

/// The items before the refused one are already in the unfinished batch when the refusal happens.
#[tokio::test]
async fn no_item_is_put_of_a_record_with_an_item_that_is_too_large() {
    let text = String::from_utf8(fixture("nfe-xmltodict.ndjson")).unwrap();
    // The first record goes last: the large record is too long for the detection of the layout.
    let (first, others) = text.split_once('\n').unwrap();
    let (outcome, whole) = Box::pin(items(format!("{others}{first}\n").as_bytes())).await;
    assert_eq!(counts(&outcome), [3, 3, 0, 0]);
    let of_first =
        whole.keys().filter(|key| format!("{key:?}").contains("35261008341255000120550010000047111000329771"));
    assert_eq!((whole.len(), of_first.count()), (7, 3));
    // The second line of the record, and the operation of its invoice.
    for place in ["SERINGA 5ML", "VENDA DE MERCADORIA"] {
        let first = first.replacen(place, &"X".repeat(420_000), 1);
        let (outcome, items) = Box::pin(items(format!("{others}{first}\n").as_bytes())).await;
        assert_eq!(counts(&outcome), [3, 2, 0, 1], "{place}");
        assert_eq!(outcome.report.items_written, 4);
        let others: Items = whole.clone().into_iter().filter(|(key, _)| items.contains_key(key)).collect();
        assert_eq!((items.len(), items == others), (4, true));
    }
}

/// After an element that is not JSON, the end of the element is uncertain.
#[tokio::test]
async fn a_broken_list_writes_nothing_and_fails_with_its_place() {
    let record = |n: u32| format!("{{\"numero\": {n}, \"data_emissao\": \"01/10/2026\", \"valor\": 1}}");
    let (first, second) = (record(1), record(2));
    // The place of the error, counted from the end of the text.
    for (text, line, from_end, expected) in [
        (format!("[{first},\n {first}\n {second}]"), 3, second.len() + 1, "expected \",\" or \"]\", found \"{\""),
        (format!("[{first},\n{{\"numero\" 3}}]"), 2, 3, "expected \":\", found \"3\""),
        (format!("[{first},\n{{\"numero\": \"3}}]"), 2, 4, "the end of the string that begins here"),
        (format!("[{first}, {second}"), 1, 0, "cut short"),
        (format!("[{first}, {second}]]"), 1, 1, "found \"]\""),
        (
            format!("{{\"notas\": [{first}], \"canceladas\": [{second}]}}"),
            1,
            second.len() + 3,
            "name the list in the layout",
        ),
    ] {
        let place = format!("line {line}, byte {}", text.len() - from_end);
        let own = Place::new().await;
        let report = own.ingest(text.as_bytes(), settings()).await.report;
        assert_eq!(report.state, IngestionState::Failed, "{text}");
        let cause = report.cause.unwrap();
        assert!(cause.contains(expected) && cause.contains(&place), "{text}, {place}: {cause}");
        assert_eq!(own.items().await, Items::new(), "{text}");
    }
}

/// An invoice comes again with fewer lines: the lines of the last record stay, and `check` predicts the items that are
/// put.
#[tokio::test]
async fn the_last_record_of_an_invoice_counts_with_its_lines() {
    let record = |number: u32, lines: &[&str]| {
        let lines: Vec<String> = lines.iter().map(|what| format!("{{\"descricao\": {what:?}}}")).collect();
        let lines = lines.join(", ");
        format!("{{\"numero\": {number}, \"data_emissao\": \"01/10/2026\", \"valor\": 1, \"itens\": [{lines}]}}\n")
    };
    let text = [
        record(1, &["a", "b", "c"]),
        record(2, &["d"]),
        record(1, &["e", "f"]),
        record(3, &[]),
        // It is not valid, so it supersedes nothing.
        record(3, &["g"]).replace("01/10/2026", "32/10/2026"),
    ]
    .concat();
    for block_bytes in [1, 200, 100_000] {
        let place = Place::new().await;
        let settings = Settings { block_bytes, ..Settings::default() };
        let outcome = place.ingest(text.as_bytes(), settings).await;
        assert_eq!(counts(&outcome), [5, 3, 1, 1]);
        let items = place.items().await;
        let described: Vec<&str> = items.values().filter_map(|item| item.get("desc")).map(String::as_str).collect();
        let mut described = described;
        described.sort_unstable();
        assert_eq!(described, ["S(\"d\")", "S(\"e\")", "S(\"f\")"]);
        assert_eq!((outcome.report.items_written, items.len()), (6, 6));
    }
}

#[tokio::test]
async fn separate_lines_and_lines_within_invoices_are_not_mixed() {
    let (invoices, lines) = (fixture("nfe-xmltodict.json"), fixture("portal-lines-v1.csv"));
    let zip = rows::zipped(&[("notas.json", &invoices), ("itens.csv", &lines)]);
    let place = Place::new().await;
    let report = place.ingest(&zip, settings()).await.report;
    let cause = report.cause.unwrap();
    assert!(
        cause.contains("\"notas.json\" contains invoices with their lines, and \"itens.csv\" contains lines alone"),
        "{cause}"
    );
}

#[tokio::test]
async fn an_export_without_records_is_reported_as_empty() {
    for text in ["[]", " [ ] \n", "{\"total\": 0, \"notas\": []}"] {
        let place = Place::new().await;
        let cause = place.ingest(text.as_bytes(), settings()).await.report.cause.unwrap();
        assert!(cause.contains("empty"), "{text}: {cause}");
    }
}

#[tokio::test]
async fn a_list_outside_the_layout_is_reported() {
    let text = r#"{"links": [{"rel": "self"}], "notas": [{"numero": 1, "data_emissao": "01/10/2026", "valor": 1}]}"#;
    let place = Place::new().await;
    let outcome = place.ingest(text.as_bytes(), settings()).await;
    assert_eq!(counts(&outcome), [1, 1, 0, 0]);
    let skipped = &outcome.report.skipped;
    assert!(skipped.len() == 1 && skipped[0].name.ends_with(", list links"), "{skipped:?}");
}

/// A truncated first line is a bad line like any other.
#[tokio::test]
async fn lines_after_a_truncated_first_line_are_detected() {
    let place = Place::new().await;
    let good = "{\"numero\": 1, \"data_emissao\": \"01/10/2026\", \"valor\": 1}\n";
    let outcome = place.ingest(format!("{{\"numero\": 7,\n{good}").as_bytes(), settings()).await;
    assert_eq!(counts(&outcome), [2, 1, 0, 1]);
}

/// `check` shows the paths, the use of each, and samples.
#[test]
fn check_shows_paths_and_samples() {
    let out = program::run(&["check", "../fixtures/nfe-wrapped.json"], None);
    let text = String::from_utf8(out.stdout).unwrap();
    for part in [
        "3 records, JSON, in the list \"notas\"",
        "layout nfe",
        "NFe.infNFe.det.prod.NCM",
        "line.ncm",
        "40151200 | 90183119 | 03049069",
        "NFe.infNFe.ide.cUF",
        "3 records = 3 to write + 0 superseded + 0 rejected",
        "7 items",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}
