#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails by panicking is a test that fails")]

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use crate::json::shown::SHOWN_PATH_LIMIT;
use crate::json::values::LINES_LIMIT;
use crate::tests::map;
use crate::{Layout, LayoutError, Mapping, Reason, Record, Reject, Scratch, Unreadable};

/// A layout with all kinds of fields, and lines.
pub(super) const LAYOUT: &str = r#"
name = "test"
title = "test"
format = "json"
through = ["outer"]
requires = ["id"]

[conventions]
decimal = "point"
date = "iso"

[id.natural_key]
name = "test"
from = ["id"]

[invoice]
issued_at = "issued"
total = "sums.total"
operation = ["text.a", "text.b"]
[invoice.recipient]
cnpj = "to.cnpj"
cpf = "to.cpf"

[line]
each = ["items", "parts"]
description = "what"
total = "sum"
"#;

fn mapping() -> Mapping {
    mapping_of(LAYOUT)
}

fn mapping_of(text: &str) -> Mapping {
    Mapping::of_json(Arc::new(Layout::parse(text).unwrap()), None).unwrap()
}

/// Returns the record as in the API, with its lines, or reason, byte and message of the reject.
fn read(element: impl AsRef<[u8]>) -> Result<Value, (Reason, usize, String)> {
    read_by(&mapping(), element.as_ref())
}

fn read_by(mapping: &Mapping, element: &[u8]) -> Result<Value, (Reason, usize, String)> {
    let mut scratch = Scratch::default();
    let outcome = |at, reject: Reject| (reject.reason, at, reject.message);
    let row =
        mapping.read_json(element, &mut scratch).map_err(|unreadable| outcome(unreadable.at, unreadable.reject))?;
    let record = map(mapping, &row).map_err(|reject| outcome(0, reject))?;
    match record {
        Record::InvoiceWithLines(all) => Ok(serde_json::json!({ "invoice": all.0, "lines": all.1 })),
        Record::Invoice(invoice) => Ok(serde_json::json!({ "invoice": invoice })),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_dialect_gives_the_same_record() {
    let plain = read(
        r#"{"id": "1", "issued": "2026-11-02", "sums": {"total": "10.50"}, "text": {"b": "x"}, "to": {"cnpj": "09579964000291"},
            "items": [{"what": "p", "sum": "3.00"}, {"what": "q"}]}"#,
    )
    .unwrap();
    for other in [
        // Every element is a list, as written by xml2js.
        r#"{"id": ["1"], "issued": ["2026-11-02"], "sums": [{"total": ["10.50"]}], "text": [{"a": [""], "b": ["x"]}],
            "to": [{"cnpj": ["09579964000291"]}], "items": [{"what": ["p"], "sum": ["3.00"]}, {"what": ["q"]}]}"#,
        // Attributes and text marked.
        r##"{"@id": "1", "issued": {"_text": "2026-11-02"}, "sums": {"$": {"total": "10.50"}}, "text": {"b": {"#text": "x", "@lang": "pt"}},
            "to": {"cnpj": {"_": "09579964000291"}}, "items": [{"@what": "p", "sum": {"$t": "3.00"}}, {"_attributes": {"what": "q"}}]}"##,
        // JSON numbers, which lose zeros on the left but not on the right.
        r#"{"id": 1, "issued": "2026-11-02", "sums": {"total": 10.50}, "text": {"a": null, "b": "x"}, "to": {"cnpj": 9579964000291},
            "items": [{"what": "p", "sum": 3.00}, {"what": "q", "sum": NaN}]}"#,
        // Keys in another order, in capitals, with a namespace, and around the record; the lines in two lists.
        r#"{"outer": {"parts": {"ns2:WHAT": "q"}, "ID": "1", "To": {"CNPJ": "09.579.964/0002-91", "cpf": ""},
            "Issued": "2026-11-02", "TEXT": {"B": "\u0078"}, "sums": {"total": "10.50"}}, "other": [{"id": 7}],
            "outer2": 1, "items": null}"#,
    ] {
        let read = read(other).unwrap();
        assert_eq!(read["invoice"]["recipient"], plain["invoice"]["recipient"], "{other}");
        if other.contains("outer") {
            assert_eq!(read["lines"].as_array().unwrap().len(), 1);
            assert_eq!(read["invoice"]["line_count"], 1);
        } else {
            assert_eq!(read, plain, "{other}");
        }
    }
}

#[test]
fn errors_have_their_place() {
    use Reason::{InvalidJson, RepeatedValue, TooManyLines, UnexpectedValue};

    let deep = format!("{{\"to\": {}1{}}}", "[".repeat(150), "]".repeat(150));
    let deeper = format!("{{\"x\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let many = format!("{{\"items\": [{}{{}}]}}", "{},".repeat(LINES_LIMIT));
    let long = format!("{{\"x\": 1{}}}", "0".repeat(10_000));
    for (element, reason, at, part) in [
        ("[1]", UnexpectedValue, 0, "expected an object, found a list"),
        ("\"a\"", UnexpectedValue, 0, "expected an object, found a text"),
        ("12x", InvalidJson, 2, "found \"x\""),
        ("{\"id\": 1, \"id\": 2}", RepeatedValue, 17, "id: expected one value, found \"1\" and \"2\""),
        ("{\"id\": [1, 2]}", RepeatedValue, 12, "expected one value"),
        ("{\"items\": [{}, 5]}", UnexpectedValue, 16, "expected an object for each line, found \"5\""),
        ("{\"id\": 1 \"issued\": 2}", InvalidJson, 9, "expected \",\" or \"}\", found \"\\\"\""),
        ("{\"id\": \"a\nb\"}", InvalidJson, 9, "expected no unescaped line break or control character in a string"),
        ("{\"id\": \"a", InvalidJson, 9, "expected the end of the string, found the end"),
        ("{\"id\": 1,}", InvalidJson, 9, "expected another member or element after the comma, found \"}\""),
        ("{\"id\": 01}", InvalidJson, 8, "expected a valid JSON number"),
        ("{\"id\": \"\\ud800\"}", InvalidJson, 14, "expected both halves of a surrogate pair"),
        ("{\"x\": \"\\ud800 \"}", InvalidJson, 13, "expected both halves of a surrogate pair"),
        ("{\"id\": \"\\q\"}", InvalidJson, 9, "expected a valid JSON escape"),
        ("{id: 1}", InvalidJson, 1, "expected a key in quotes, found \"i\""),
        ("{\"id\": None}", InvalidJson, 8, "expected true, false or null, found \"o\""),
        ("{\"id\": 1} {}", InvalidJson, 10, "expected the end of the value"),
        (&deep, InvalidJson, 106, "expected at most 100 levels"),
        (&deeper, InvalidJson, 206, "expected at most 200 levels"),
        (&many, TooManyLines, 30_011, "expected at most 10000 lines"),
        (&long, InvalidJson, 4_307, "expected a number of at most 4300 digits"),
    ] {
        let shown = element.get(..60).unwrap_or(element);
        let (found, byte, message) = read(element).unwrap_err();
        assert!(found == reason && message.contains(part), "{shown}: {found} {message}");
        assert!(byte.abs_diff(at) <= 1, "{shown}: byte {byte}, not {at}: {message}");
    }
}

#[test]
fn only_errors_that_may_hide_records_are_broken() {
    let mapping = mapping();
    for (element, is_broken) in [
        ("{\"id\": \"\\ud800\"}", false),
        ("{\"id\": \"\\q\"}", false),
        ("{\"id\": 01}", false),
        ("{\"id\": 1, \"id\": 2}", false),
        ("{\"id\": \"a\nb\"}", true),
        ("{\"id\": 1 \"issued\": 2}", true),
        ("{\"id\": 1,}", true),
        ("{\"id\": [1}", true),
    ] {
        let mut scratch = Scratch::default();
        let unreadable = mapping.read_json(element.as_bytes(), &mut scratch).unwrap_err();
        assert_eq!(unreadable.broken.is_some(), is_broken, "{element}: {unreadable}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_windows_1252_and_errors_have_their_byte_in_the_source() {
    let element = b"{\"id\": \"S\xe3o\", \"issued\": \"2026-11-02\", \"text\": {\"a\": \"R\\u00e9gis \x80\"}}";
    assert_eq!(read(element).unwrap()["invoice"]["operation"], "Régis €");
    let (.., byte, _) = read(b"{\"id\": \"\xe3\xe3\xe3\", x}").unwrap_err();
    assert_eq!(byte, 14);
}

#[test]
fn lines_are_distinguished() {
    let head = r#"{"id": 1, "issued": "2026-11-02", "items": "#;
    let numbered = LAYOUT.replace("description = \"what\"", "description = \"what\"\nnumber = \"n\"");
    let numbered = mapping_of(&numbered);
    let twice = format!("{head}[{{\"n\": 2}}, {{\"n\": 1}}, {{\"n\": \"2\"}}]}}");
    let (reason, _, message) = read_by(&numbered, twice.as_bytes()).unwrap_err();
    let expected = "invoice line 3: expected a different number for each line, found 2 twice";
    assert_eq!((reason, message.as_str()), (Reason::InvalidLineNumber, expected));
    let bad = format!("{head}[{{}}, {{\"sum\": \"1,2,3\"}}]}}");
    let (reason, _, message) = read(bad).unwrap_err();
    assert_eq!(reason, Reason::InvalidAmount);
    assert!(message.starts_with("invoice line 2: items.sum: expected a decimal"), "{message}");
    let lines = read(format!("{head}[{{\"sum\": 1}}, {{}}]}}")).unwrap()["lines"].clone();
    assert_eq!(lines, serde_json::json!([{"number": "1", "total": "1"}, {"number": "2"}]));
    assert_eq!(read(format!("{head}[]}}")).unwrap()["invoice"]["line_count"], 0);
}

#[test]
fn other_values_are_kept_if_the_layout_says_so() {
    let text = LAYOUT.replace("requires =", "keep_other_columns = true\nrequires =");
    let element = r#"{"id": 1, "issued": "2026-11-02", "E-mail": "a@b", "contato": {"fone": 7, "e mail": "c"}, "e_mail": "\u00e9",
                      "vazio": "", "lista": [], "sums": {"frete": "2"}, "items": [{"cor": "azul"}]}"#;
    let extra = read_by(&mapping_of(&text), element.as_bytes()).unwrap()["invoice"]["extra"].clone();
    let expected = serde_json::json!({"e_mail": "a@b", "contato_fone": "7", "contato_e_mail": "c", "e_mail_2": "é", "sums_frete": "2"});
    assert_eq!(extra, expected);
}

#[test]
fn paths_need_a_layout_of_paths() {
    let error = |text: String| match Layout::parse(&text) {
        Err(LayoutError::Invalid { line, message }) => (line, message),
        other => panic!("{other:?}"),
    };
    let table = |text: &str| text.replace("format = \"json\"\n", "");
    let (line, what) = error(table(LAYOUT));
    assert!(line.is_some() && what.contains("line.each: only a layout of JSON paths has it"), "{what}");
    let without_lines = LAYOUT.split("[line]").next().unwrap();
    let (line, what) = error(table(without_lines));
    assert_eq!((line, what.starts_with("through: only a layout of JSON paths has it")), (Some(4), true), "{what}");
    let (_, what) = error(LAYOUT.replace("\"items\"", "\"items..x\""));
    assert!(what.contains("\"items..x\""), "{what}");
    let (_, what) = error(LAYOUT.replace("description =", "number = \"n\"\nkey = [\"what\"]\ndescription ="));
    assert!(what.contains("expected number or key, found both"), "{what}");
    let header = ["id"];
    assert!(Mapping::new(Arc::new(Layout::parse(LAYOUT).unwrap()), &header).is_err());
}

/// Collects the values of a document with their paths, as `serde_json` reads them.
fn values_of(value: &Value, path: &str, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                values_of(value, &path, into);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| values_of(value, path, into)),
        Value::String(text) => into.push((path.to_owned(), text.clone())),
        Value::Null => {}
        other => into.push((path.to_owned(), other.to_string())),
    }
}

/// Documents of any shape, with keys of the layout and others.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,6}".prop_map(Value::from),
    ];
    let key = prop_oneof!["id|issued|items|parts|to|what|sum|outer|text|a|b".prop_map(String::from), "\\PC{1,4}"];
    let nested = leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("id|issued|items|to|x|outer", nested, 0..5)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// Returns the document as text, compact or on many lines, with or without escapes for all but ASCII.
fn written(document: &Value, is_pretty: bool, is_ascii: bool) -> String {
    let text = if is_pretty { serde_json::to_string_pretty(document) } else { serde_json::to_string(document) };
    let text = text.unwrap();
    if !is_ascii {
        return text;
    }
    let mut escaped = String::new();
    for char in text.chars() {
        if char.is_ascii() {
            escaped.push(char);
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            write!(escaped, "\\u{unit:04x}").unwrap();
        }
    }
    escaped
}

/// Returns an object with these keys. The characters of some are all escaped.
fn object_of(keys: &[(&str, bool)]) -> String {
    let escaped = |text: &str| {
        text.encode_utf16().fold(String::new(), |mut escaped, unit| {
            write!(escaped, "\\u{unit:04x}").unwrap();
            escaped
        })
    };
    let member = |(at, (key, is_escaped)): (usize, &(&str, bool))| {
        let key = if *is_escaped { escaped(key) } else { (*key).to_owned() };
        format!(r#""{key}": "{at}{}""#, if *is_escaped { r#"\u00e9\""# } else { "é" })
    };
    format!("{{{}}}", keys.iter().enumerate().map(member).collect::<Vec<_>>().join(", "))
}

#[test]
fn a_long_key_is_not_remembered() {
    let (mapping, mut scratch) = (mapping(), Scratch::default());
    let long = format!(r#"{{"id": "1", "{}": "2"}}"#, "é".repeat(1_000_000));
    assert_eq!(mapping.read_json(long.as_bytes(), &mut scratch).unwrap().get(0), Some("1"));
    let seen = scratch.json.steps.iter().flat_map(|keys| &keys.seen);
    assert_eq!(seen.map(|(key, _)| key.len()).sum::<usize>(), "id".len());
}

proptest! {
    #[test]
    fn the_elements_read_before_have_no_effect(
        objects in prop::collection::vec(
            prop::collection::vec((prop::sample::select(&["id", "ID", "issued", "x", "série", "outer", "to"][..]), any::<bool>()), 0..6),
            1..8,
        ),
    ) {
        let (mapping, mut used) = (mapping(), Scratch::default());
        for keys in &objects {
            let text = object_of(keys);
            let read = |scratch: &mut Scratch| {
                let row = mapping.read_json(text.as_bytes(), scratch);
                row.map(|row| row.iter().map(str::to_owned).collect::<Vec<_>>())
            };
            let plain = object_of(&keys.iter().map(|(key, _)| (*key, false)).collect::<Vec<_>>());
            let fields = read(&mut used);
            prop_assert_eq!(&fields, &read(&mut Scratch::default()), "{}", text);
            let row = mapping.read_json(plain.as_bytes(), &mut used).map(|row| row.iter().map(str::len).collect::<Vec<_>>());
            // An escaped value ends with one more quote.
            let found = fields.map(|fields| fields.iter().map(|text| text.trim_end_matches('"').len()).collect::<Vec<_>>());
            prop_assert_eq!(found.ok(), row.ok(), "keys are the same with escapes and without: {}", text);
        }
    }

    #[test]
    fn values_are_those_of_serde_json(document in document(), is_pretty: bool, is_ascii: bool) {
        let text = written(&document, is_pretty, is_ascii);
        let mapping = mapping();
        let mut found = Vec::new();
        mapping.show_json(text.as_bytes(), &mut |shown| {
            if !shown.text.is_empty() {
                found.push((shown.path.to_owned(), shown.text.to_owned()));
            }
        });
        let mut expected = Vec::new();
        values_of(&document, "", &mut expected);
        expected.retain(|(_, value)| !value.is_empty());
        // The keys of an object are in the order of the text in one, and sorted in the other.
        found.sort();
        expected.sort();
        let long = |(path, _): &(String, String)| path.len() > SHOWN_PATH_LIMIT;
        if !expected.iter().any(long) {
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn serde_json_agrees_about_what_is_json(
        document in document(),
        is_pretty: bool,
        at in any::<prop::sample::Index>(),
        byte: u8,
        is_cut: bool,
    ) {
        let mut text = written(&document, is_pretty, false).into_bytes();
        let at = at.index(text.len());
        if is_cut { text.truncate(at) } else { text[at] = byte }
        let mapping = mapping();
        let mut scratch = Scratch::default();
        let read = mapping.read_json(&text, &mut scratch);
        // Bytes that are not UTF-8 are windows-1252 here, and an error in serde_json.
        let is_invalid = |unreadable: &Unreadable| unreadable.reject.reason == Reason::InvalidJson;
        if let Ok(text) = str::from_utf8(&text)
            && !["NaN", "Infinity"].iter().any(|word| text.contains(word))
        {
            match serde_json::from_str::<Value>(text) {
                Ok(_) => prop_assert!(!read.as_ref().is_err_and(is_invalid), "{:?}", read),
                Err(error) if error.to_string().contains("out of range") => {}
                Err(_) => prop_assert!(read.is_err()),
            }
        }
        if let Err(unreadable) = read {
            prop_assert!(unreadable.at <= text.len());
        }
    }
}
