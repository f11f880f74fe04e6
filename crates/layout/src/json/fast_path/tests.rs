#![allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::bind::{Binding, bind_paths};
use crate::json::parser::parse;
use crate::json::tests::LAYOUT;
use crate::json::text::decoded;
use crate::json::values::{LINES_LIMIT, RowShape};
use crate::json::workspace::Workspace;
use crate::{Layout, Scratch, Unreadable, json};

/// The values read from an element.
#[derive(Debug, PartialEq)]
struct Taken {
    record: Vec<Span>,
    lines: Vec<Span>,
    extra: String,
}

/// The ways to read an element, each with its own memory of the elements before.
struct Ways {
    binding: Binding,
    tree: PathTree,
    fast: Workspace,
    parser: Workspace,
    both: Scratch,
}

impl Ways {
    fn new() -> Self {
        let layout = Layout::parse(LAYOUT).unwrap();
        let binding = bind_paths(&layout, layout.conventions()).unwrap();
        let tree = PathTree::of_columns(&layout, binding.bound.iter().map(|bound| bound.column.as_str()));
        Self { binding, tree, fast: Workspace::default(), parser: Workspace::default(), both: Scratch::default() }
    }

    /// Reads `element` in every way and checks that the results agree. Returns whether the fast path read it.
    fn agree(&mut self, element: &[u8]) -> Result<bool, TestCaseError> {
        let shape =
            RowShape { bound: &self.binding.bound, record_columns: self.binding.record_columns, keeps_others: false };
        let shown = String::from_utf8_lossy(element);
        let (fast, _) =
            taken(&mut self.fast, &self.tree, shape, element, |values, steps, _| read(values, steps).ok_or(()));
        let (parsed, text) = taken(&mut self.parser, &self.tree, shape, element, parse);
        if let Ok(fast) = &fast {
            prop_assert_eq!(Ok(fast), parsed.as_ref(), "{}", shown);
        }
        let read = json::read(&self.tree, shape, element, &mut self.both);
        let read = read.map(|row| {
            let extra = row.text.get(text.len()..).unwrap().to_owned();
            Taken { record: row.spans.to_vec(), lines: row.lines.to_vec(), extra }
        });
        // For text that is not UTF-8 the place is converted to the source.
        let place = |unreadable: Unreadable| Unreadable {
            at: if text.len() == element.len() { unreadable.at } else { 0 },
            ..unreadable
        };
        prop_assert_eq!(read.map_err(place), parsed.map_err(place), "{}", shown);
        Ok(fast.is_ok())
    }

    fn takes(&mut self, element: &str) -> bool {
        self.agree(element.as_bytes()).unwrap()
    }
}

/// Returns the values that one way reads from an element, and the text of the element.
fn taken<E>(
    work: &mut Workspace,
    tree: &PathTree,
    shape: RowShape<'_>,
    element: &[u8],
    way: impl FnOnce(&mut Values<'_>, &mut [Keys], &mut Vec<u8>) -> Result<(), E>,
) -> (Result<Taken, E>, String) {
    work.begin(tree, shape);
    let Workspace { latin, extra, tape, string_tape, values: record, lines, steps, .. } = work;
    let base = decoded(element, latin);
    let mut values = Values { tree, shape, base, extra, tape: string_tape, record, lines };
    let read = way(&mut values, steps, tape);
    let taken = read.map(|()| Taken { record: record.clone(), lines: lines.clone(), extra: extra.clone() });
    (taken, base.to_owned())
}

/// An element with everything that the fast path can read.
const FULL: &str = r#" {"id": "é 1", "Issued":"2026-11-02" , "sums": {"frete": [1, {"a": [], "b": {}}], "total": -10.50e+1, "x": [ ]},
    "text": {"a": null, "b": "S\u00e3o \"\\", "c": "\/\ud83d\ude00"}, "n\u00e3o": true, "outer": {"ID": "é 1", "vazio": " ", "não": false},
    "items": [{"what": "uma descrição de mais de trinta e dois bytes, e mais", "sum": 0}, {"what": ["q"], "n": NaN}, {}],
    "parts": {"@what": {"_text": "r"}, "sum": 1E9}, "issued": ["2026-11-02"]} "#;

#[test]
fn usual_elements_take_the_fast_path() {
    let mut ways = Ways::new();
    let flat = |of: &[(&str, &str)], colon: &str, comma: &str| {
        let members = of.iter().map(|(key, value)| format!("\"{key}\"{colon}\"{value}\""));
        format!("{{{}}}", members.collect::<Vec<_>>().join(comma))
    };
    let members =
        [("id", "1"), ("SÉRIE", "2"), ("issued", "02/11/2026"), ("RAZ\\u00c3O", "AÇA\\u00cd \\\"X\\\""), ("x", "")];
    let turned = [members[2], members[0], members[4], members[3]];
    for element in [
        // Written by json.dumps, by JSON.stringify, and with one member a line.
        flat(&members, ": ", ", "),
        flat(&members, ":", ","),
        flat(&members, ": ", ",\n  "),
        // Keys in another order, and fewer.
        flat(&turned, ": ", ", "),
        flat(&members[1..], ": ", ", "),
        format!("{}\r\n", flat(&members, " : ", " , ")),
        FULL.to_owned(),
        format!("{}1{}", "{\"to\": [".repeat(NESTING_LIMIT / 2), "]}".repeat(NESTING_LIMIT / 2)),
        format!("{{\"id\": 1{}}}", "0".repeat(NUMBER_LIMIT_BYTES - 1)),
        "{}".to_owned(),
    ] {
        for _ in 0..2 {
            assert!(ways.takes(&element), "{element}");
        }
    }
}

#[test]
fn other_elements_are_left_to_the_parser() {
    let mut ways = Ways::new();
    let lines = format!("{{\"items\": [{}{{}}]}}", "{},".repeat(LINES_LIMIT));
    for element in [
        "[1]",
        "{\"id\": Infinity}",
        "{\"id\": 1, \"id\": 2}",
        "{\"items\": [5]}",
        "{\"id\": 1} {}",
        "{\"id\": \"\\ud800\"}",
        "{\"x\": \"\\q\"}",
        "{\"x\": {\"\\q\": 1}}",
        "{\"\\q\": 1}",
        "\u{feff}{}",
        "",
        &lines,
        &format!("{{\"id\": 1{}}}", "0".repeat(NUMBER_LIMIT_BYTES)),
        &format!("{{\"to\": {}1{}}}", "[".repeat(NESTING_LIMIT), "]".repeat(NESTING_LIMIT)),
        &format!("{{\"x\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000)),
    ] {
        for _ in 0..2 {
            assert!(!ways.takes(element), "{}", element.get(..60).unwrap_or(element));
        }
        // An element that it gave up has no effect on the next.
        assert!(ways.takes(FULL));
    }
}

#[test]
fn any_byte_may_be_changed_or_be_the_last() {
    let mut ways = Ways::new();
    let full = FULL.as_bytes();
    for at in 0..full.len() {
        ways.agree(&full[..at]).unwrap();
        let mut changed = full.to_vec();
        for &byte in b"\"\\{}[]:, \n\x00\x1f\x7f\xe3\xc30-.eEtnNIud" {
            changed[at] = byte;
            ways.agree(&changed).unwrap();
        }
    }
    assert!(ways.takes(FULL));
}

#[test]
fn the_bytes_before_a_value_are_expected_again() {
    let mut ways = Ways::new();
    let expected = |ways: &Ways, rest: &str, mut next: usize| {
        let expected = ways.fast.steps.first().unwrap().expected(rest.as_bytes(), &mut next);
        expected.map(|(length, _)| (length, next))
    };
    assert!(ways.takes(r#"{"id": "1", "não": 2}"#));
    assert_eq!(expected(&ways, r#""id": "7", "#, 0), Some((6, 1)));
    assert_eq!(expected(&ways, r#" "não": 2"#, 1), Some((9, 2)));
    assert_eq!(
        [expected(&ways, r#""id":"7", "#, 0), expected(&ways, r#" "não": 2"#, 0), expected(&ways, "", 2)],
        [None; 3]
    );
    // If the form or the order changes, the new one is expected from then on.
    assert!(ways.takes(r#"{"não":2,"id":"1"}"#));
    assert_eq!(expected(&ways, r#""id":"7""#, 0), Some((5, 1)));
    assert_eq!(expected(&ways, r#""não":2"#, 1), Some((7, 2)));
    // A key that is not remembered is not taken for the one before it.
    let long = "x".repeat(150);
    assert!(ways.takes(&format!(r#"{{"não":2,"id":"1","{long}":2}}"#)));
    assert!(ways.takes(&format!(r#"{{"{long}":2,"id":"1"}}"#)));
    assert_eq!(expected(&ways, r#""id":"7""#, 0), Some((5, 1)));
    // Long keys and gaps, which would fill the memory, are not remembered.
    assert!(ways.takes(&format!("{{{}\"id\":1, \"{}\": 2}}", " ".repeat(1_000_000), "x".repeat(1_000_000))));
    assert_eq!(expected(&ways, r#""id":"7""#, 0), Some((5, 1)));
    assert_eq!(ways.fast.steps.first().unwrap().seen.len(), 2);
}

#[test]
fn numbers_follow_the_grammar_of_json() {
    let whole = |text: &str| number(text.as_bytes()) == Some(text.len());
    for text in ["0", "-0", "10", "0.5", "-12.50", "1e5", "1E+05", "0e-0", "1.0E9"] {
        assert!(whole(text), "{text}");
    }
    for text in [
        "", "-", "+1", "01", "-01", "00", ".5", "1.", "1.e5", "1e", "1e+", "1e-x", "0x1", "1_0", "--1", "1.2.3",
        "Infinity",
    ] {
        assert!(!whole(text), "{text}");
    }
}

#[test]
fn the_end_of_strings_of_every_length_is_found() {
    let mut ways = Ways::new();
    for length in 0..3 * BLOCK_BYTES {
        for (end, is_taken) in
            [("", true), ("\\\"", true), ("\\\\", true), ("\\u00e9", true), ("\u{1}", false), ("\\", false)]
        {
            for behind in [String::new(), format!(", \"x\": \"{}\"", "y".repeat(2 * BLOCK_BYTES))] {
                let element = format!("{{\"id\": \"{}{end}\"{behind}}}", "x".repeat(length));
                assert_eq!(ways.takes(&element), is_taken, "{element}");
            }
        }
    }
}

/// JSON text, sometimes invalid.
fn value() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        20 => "[ -!#-\\[\\]-~]{0,40}",
        5 => "[éã€😀\u{85}\u{a0}]{1,3}",
        5 => select(&["\\n", "\\\"", "\\\\", "\\/", "\\u00e9", "\\ud83d\\ude00"][..]).prop_map(str::to_owned),
        1 => select(&["\\ud800", "\\q", "\\u00", "\n", "\u{1}", "\u{7f}"][..]).prop_map(str::to_owned),
    ];
    let string = prop::collection::vec(part, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()));
    let leaf = prop_oneof![
        8 => string,
        8 => "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        4 => select(&["true", "false", "null", "NaN", "\"\"", "\" \"", "1", "\"1\""][..]).prop_map(str::to_owned),
        1 => "[-+.0-9eEInfinityulNat]{1,50}",
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        let list = (prop::collection::vec(inner.clone(), 0..4), gap())
            .prop_map(|(values, gap)| listed('[', &values, &gap, ']'));
        prop_oneof![list, object(inner)]
    })
}

fn object(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    const KEYS: &[&str] = &[
        "id",
        "ID",
        "\\u0069d",
        "issued",
        "sums",
        "total",
        "text",
        "a",
        "b",
        "items",
        "parts",
        "what",
        "@sum",
        "outer",
        "$",
        "_text",
        "x",
        "",
        "não",
        "n\\u00e3o",
    ];
    let member = (select(KEYS), gap(), gap(), inner).prop_map(|(key, a, b, value)| format!("\"{key}\"{a}:{b}{value}"));
    (prop::collection::vec(member, 0..6), gap()).prop_map(|(members, gap)| listed('{', &members, &gap, '}'))
}

fn listed(open: char, all: &[String], gap: &str, close: char) -> String {
    format!("{open}{}{close}", all.join(&format!(",{gap}")))
}

fn gap() -> impl Strategy<Value = String> {
    select(&["", "", "", " ", " ", " ", "\n  ", "\r\n\t"][..]).prop_map(str::to_owned)
}

/// Objects: unchanged, cut, or with one byte changed.
fn element() -> impl Strategy<Value = Vec<u8>> {
    let change = prop_oneof![
        4 => Just(None),
        1 => Just(Some(None)),
        2 => prop_oneof![select(&b"\"\\{}[]:, \n01-.eN"[..]), any::<u8>()].prop_map(|byte| Some(Some(byte))),
    ];
    (object(value()), gap(), change, any::<prop::sample::Index>()).prop_map(|(object, gap, change, at)| {
        let mut text = (object + &gap).into_bytes();
        let at = at.index(text.len());
        match change {
            None => {}
            Some(None) => text.truncate(at),
            Some(Some(byte)) => text[at] = byte,
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_parser_reads_the_same(elements in prop::collection::vec(element(), 1..8)) {
        let mut ways = Ways::new();
        for element in &elements {
            ways.agree(element)?;
        }
    }
}
