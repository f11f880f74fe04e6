//! What stands around the rows of a table: lines above the header, the delimiter, the encoding, padding at the end. Each file has
//! the same two records.

use std::fs;

use serde_json::{Value, json};

use crate::program;
use crate::support::rows;

const SHOP: &str = r#"
name = "shop"
title = "Invoices of a shop"
requires = ["Nota", "Emitida em", "Valor"]
[id.natural_key]
name = "shop"
from = ["Nota"]
[invoice]
number = "Nota"
issued_at = "Emitida em"
total = "Valor"
[invoice.recipient]
name = "Cliente"
"#;

const ROWS: &str = "Nota;Emitida em;Valor;Cliente\n1;31/12/2024;1.234,56;Ana\n2;02/01/2025;80,00;Zé\n";

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect()
}

/// The files, each with the members of `check` that tell it apart.
fn files() -> Vec<(&'static str, Vec<u8>, Value)> {
    let plain = |text: &str| text.as_bytes().to_vec();
    let header = |line: u64| json!({"header_line": line, "encoding": "bytes", "repeated_headers": 0});
    let with = |delimiter: &str| ROWS.replace(';', delimiter);
    let lines = |end: &str| ROWS.replace('\n', end);
    let utf16_header = |encoding: &str| json!({"header_line": 1, "encoding": encoding, "delimiter": "\t"});
    vec![
        ("plain", plain(ROWS), header(1)),
        ("a named delimiter", plain(&format!("sep=;\r\n{ROWS}")), header(2)),
        ("a preamble", plain(&format!("Empresa \"Exemplo\nRelatório de notas;;;\n\n\"A\";B\n{ROWS}")), header(5)),
        ("the longest preamble", plain(&format!("{}{ROWS}", "De 01/12/2024, a; b\n".repeat(64))), header(65)),
        ("surplus delimiters", plain(&lines(";;\n").replacen(";;\n", "\n", 1)), header(1)),
        ("surplus delimiters in the header too", plain(&lines(";\n")), header(1)),
        ("line ends of CR", plain(&lines("\r")), header(1)),
        ("an end of text and zeros", [ROWS.as_bytes(), b"\x1a", &[0; 5_000]].concat(), header(1)),
        ("another delimiter", plain(&with("~")), json!({"delimiter": "~"})),
        ("a control character as delimiter", plain(&with("\u{1}")), json!({"delimiter": "\u{1}"})),
        ("a header that comes again", plain(&format!("{ROWS}{ROWS}")), json!({"repeated_headers": 1})),
        ("UTF-16, low byte first", utf16(&with("\t"), u16::to_le_bytes), utf16_header("utf16_le")),
        ("UTF-16, high byte first", utf16(&with("\t"), u16::to_be_bytes), utf16_header("utf16_be")),
    ]
}

#[test]
fn what_stands_around_the_rows_does_not_change_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (file, layout) = (at("file.csv"), at("shop.toml"));
    fs::write(&layout, SHOP).unwrap();
    for (number, (name, bytes, expected)) in files().into_iter().enumerate() {
        fs::write(&file, bytes).unwrap();
        let checked = program::run(&["check", &file, "--layout", &layout, "--json", "--quiet"], None);
        let checked: Value = serde_json::from_slice(&checked.stdout).expect(name);
        for (member, value) in expected.as_object().unwrap() {
            let found = checked.get(member).or_else(|| checked["entries"][0].get(member));
            assert_eq!(found, Some(value), "{name}: {member}");
        }
        assert_eq!((&checked["written"], &checked["rejected"]), (&json!(2), &json!(0)), "{name}: {checked}");

        let data = at(&format!("data-{number}"));
        let ingested = program::run(&["ingest", &file, "--layout", &layout, "--data", &data], None);
        assert!(ingested.status.success(), "{name}: {}", String::from_utf8_lossy(&ingested.stderr));
        let of_month = |month: &str| {
            let listed =
                program::run(&["query", "invoices", "--month", month, "--format", "json", "--data", &data], None);
            let listed: Value = serde_json::from_slice(&listed.stdout).expect(name);
            let invoice = &listed["items"][0];
            [&invoice["number"], &invoice["total"], &invoice["recipient"]["name"]].map(Value::to_string).join(" ")
        };
        assert_eq!(of_month("2024-12"), r#""1" "1234.56" "Ana""#, "{name}");
        assert_eq!(of_month("2025-01"), r#""2" "80.00" "Zé""#, "{name}");
    }
}

/// 65 lines above the header are too many. The message is about the header, not about a loss.
#[test]
fn a_header_that_is_too_far_down_is_an_error_before_the_first_write() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("shop.toml"), SHOP).unwrap();
    fs::write(at("file.csv"), format!("{}{ROWS}", "a\n".repeat(65))).unwrap();
    let layout = at("shop.toml");
    let ingested = program::run(&["ingest", &at("file.csv"), "--layout", &layout, "--data", &at("data")], None);
    assert_eq!(ingested.status.code(), Some(1));
    let error = String::from_utf8(ingested.stderr).unwrap();
    assert!(error.contains("one of the first 65 lines is the header"), "{error}");
}

/// An ingestion that wrote nothing is no success.
#[test]
fn an_ingestion_of_rejects_alone_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("shop.toml"), SHOP).unwrap();
    fs::write(at("file.csv"), "Nota;Emitida em;Valor;Cliente\n1;never;1,00;Ana\n").unwrap();
    let layout = at("shop.toml");
    let ingested = program::run(&["ingest", &at("file.csv"), "--layout", &layout, "--data", &at("data")], None);
    assert_eq!(ingested.status.code(), Some(1));
    let error = String::from_utf8(ingested.stderr).unwrap();
    assert!(error.contains("nothing was written"), "{error}");
}

/// Months of an archive must not be left out in silence.
#[test]
fn an_entry_with_data_that_is_not_read_fails_the_archive_unless_it_may_be_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("shop.toml"), SHOP).unwrap();
    let texts: [(&str, &[u8]); 4] = [
        ("LEIAME.txt", b"Notas de 2024.\nOs valores, em reais, incluem impostos.\nFim\n"),
        ("empty.csv", b""),
        ("guide.pdf", b"%PDF-1.7\n1,2,3\n4,5,6\n"),
        ("jan.csv", ROWS.as_bytes()),
    ];
    for (name, bytes, reason) in [
        ("feb.csv", &b"Nota;Data;Valor;Cliente\n3;01/02/2025;1,00;Ana\n"[..], "requires \"Emitida em\""),
        ("mar.csv", b"Nota;Data\n3;01/03/2025\n", "requires \"Emitida em\""),
        ("feb.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "a gzip within an archive"),
        ("feb.json", br#"[{"id": 3, "value": 1.5}]"#, "matches no layout"),
    ] {
        fs::write(at("months.zip"), rows::zipped(&[&texts[..], &[(name, bytes)]].concat())).unwrap();
        let (file, layout, data) = (at("months.zip"), at("shop.toml"), at(&format!("data-{name}")));
        let ingest = ["ingest", &file, "--layout", &layout, "--data", &data];
        let refused = program::run(&ingest, None);
        let error = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{error}");
        assert!(error.contains(name) && error.contains(reason) && error.contains("--skip-unknown"), "{error}");
        let listed = program::run(&["query", "invoices", "--month", "2024-12", "--data", &data], None);
        assert!(!String::from_utf8(listed.stdout).unwrap().contains("Ana"), "nothing was written");

        let report = [&ingest[..], &["--skip-unknown", "--report", "-"]].concat();
        let ingested = program::run(&report, None);
        assert!(ingested.status.success(), "{}", String::from_utf8_lossy(&ingested.stderr));
        let report: Value = serde_json::from_slice(&ingested.stdout).unwrap();
        assert_eq!(report["written"], 2);
        let mut skipped: Vec<&str> =
            report["skipped"].as_array().unwrap().iter().map(|skipped| skipped["name"].as_str().unwrap()).collect();
        skipped.sort_unstable();
        let mut expected = ["LEIAME.txt", "empty.csv", name, "guide.pdf"];
        expected.sort_unstable();
        assert_eq!(skipped, expected);
    }
}
