#![allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]

use proptest::prelude::*;

use super::*;
use crate::testing::{Split, run};

const ALL: &[usize] = &[usize::MAX];

fn head(text: &[u8]) -> Option<JsonHead> {
    run(read_json_head(Split::new(text, ALL))).unwrap()
}

/// Shows the candidates in short: shape or path, byte and line of the data, and the elements or `empty`.
fn shown(head: &JsonHead) -> Vec<String> {
    let show = |candidate: &Candidate| {
        let kind = match candidate.shape {
            Shape::Array { levels, alone } => {
                assert!(levels as usize == candidate.path.len() && !alone);
                format!("[{}]", candidate.path.join("."))
            }
            shape => format!("{shape:?}"),
        };
        let text = |range: &Range<usize>| String::from_utf8(head.text[range.clone()].to_vec()).unwrap();
        let elements = candidate.elements.iter().map(text).collect::<Vec<_>>().join(" ");
        let what = if candidate.is_empty { "empty" } else { &elements };
        format!("{kind} {}/{}: {what}", candidate.data.byte, candidate.data.line)
    };
    head.candidates.iter().map(show).collect()
}

#[test]
fn the_shape_is_detected() {
    let cases: [(&str, &[&str]); 27] = [
        ("[{\"a\":1},{\"a\":2}]", &["[] 1/1: {\"a\":1} {\"a\":2}"]),
        ("\u{feff} \n[ 1,\"x\" ]\n[true]", &["[] 6/2: 1 \"x\" true"]),
        ("[]", &["[] 1/1: empty"]),
        ("[\n] [1]", &["[] 1/1: 1"]),
        ("[{\"a\":1},{\"a\"", &["[] 1/1: {\"a\":1}"]),
        ("[{}, x", &["[] 1/1: {}"]),
        ("{\"a\":1}\n{\"a\":2}\n", &["Lines 0/1: {\"a\":1} {\"a\":2}"]),
        ("\u{feff}\n\n{\"a\":1}\n\n\n{\"a\":2}", &["Lines 3/1: {\"a\":1} {\"a\":2}"]),
        ("{\"a\":1}\n{\"a\":", &["Lines 0/1: {\"a\":1} {\"a\":"]),
        ("{\"a\":x}\n{\"a\":2}\n", &["Lines 0/1: {\"a\":x} {\"a\":2}"]),
        ("{\"a\":[{\"b\":1}]}\n{}", &["Lines 0/1: {\"a\":[{\"b\":1}]} {}"]),
        ("{\"a\":1}\n", &["Values 0/1: {\"a\":1}"]),
        ("{\"a\":1}{\"a\":2} {}", &["Values 0/1: {\"a\":1} {\"a\":2} {}"]),
        ("{}", &["Values 0/1: {}"]),
        ("{\n\"a\": 1,\n\"b\": {\"c\": 2}\n}", &["Values 0/1: {\n\"a\": 1,\n\"b\": {\"c\": 2}\n}"]),
        ("{\"n\":3,\n\"notas\":\n[{},{\"a\":1},{", &["Values 0/1: ", "[notas] 18/3: {} {\"a\":1}"]),
        ("{\"a\":[1],\"b\":[[{}]],\"c\":[ ],\"d\":[{}", &["Values 0/1: ", "[c] 25/1: empty", "[d] 33/1: {}"]),
        ("{\"d\":{\"\\u0072es\":[{}]},\"e\":[{}],\"f\":\"", &["Values 0/1: ", "[d.res] 18/1: {}", "[e] 28/1: {}"]),
        ("{\"a\":{\"b\":{\"c\":{\"d\":[{}],\"e\":{\"f\":[{}]}},\"g\":tru", &["Values 0/1: ", "[a.b.c.d] 21/1: {}"]),
        ("{\"a\":[{\"b\":[{", &["Values 0/1: ", "[a] 6/1: "]),
        ("{\"a\" [{}]}", &["Values 0/1: {\"a\" [{}]}"]),
        ("{\"a\":nul", &["Values 0/1: "]),
        ("[Invoice No];[Date]\n", &[]),
        ("[trueish\n", &["[] 1/1: trueish"]),
        ("{nome};valor\n", &[]),
        ("\"[{\";b\n", &[]),
        ("[", &[]),
    ];
    for (text, expected) in cases {
        let found = head(text.as_bytes());
        assert_eq!(found.is_some(), !expected.is_empty(), "{text}");
        assert_eq!(found.map(|head| shown(&head)).unwrap_or_default(), expected, "{text}");
    }
    for text in ["", "\u{feff}", " \n", "a;b\n1;2\n", "{", "[\n", "CHAVE;VALOR\n[1;2\n"] {
        assert_eq!(head(text.as_bytes()), None, "{text}");
    }
    let latin = head(b"{\"emiss\xe3o\":[{}").unwrap();
    assert_eq!(latin.candidates[1].path, ["emissão"]);
}

#[test]
fn reading_continues_until_an_element_is_complete_or_the_limit_is_reached() {
    let long = |bytes: usize| format!("{{\"n\":1,\"notas\":[{{\"x\":\"{}\"}},{{}}]}}", "x".repeat(bytes)).into_bytes();
    for (bytes, read, elements) in [
        (1000, 1029, 2),
        (STEP_BYTES, STEP_BYTES + 29, 2),
        (3 * STEP_BYTES, 3 * STEP_BYTES + 29, 2),
        (2 * ELEMENT_LIMIT_BYTES, ELEMENT_LIMIT_BYTES + STEP_BYTES, 0),
    ] {
        let found = head(&long(bytes)).unwrap();
        assert_eq!((found.text.len(), found.candidates[1].elements.len()), (read, elements));
    }
    let many = format!("[{}{{}}]", "{\"a\":\"bcdefghijklm\"},".repeat(50_000));
    let found = head(many.as_bytes()).unwrap();
    assert_eq!((found.text.len(), found.candidates[0].elements.len()), (STEP_BYTES, ELEMENTS_LIMIT));
    let line = "{\"a\":1}\n".to_owned() + &"\n".repeat(STEP_BYTES);
    assert_eq!(head(line.as_bytes()).unwrap().candidates[0].shape, Shape::Lines, "more lines may come");
}

const TOKENS: [&str; 16] =
    ["{", "}", "[", "]", "\"a\":", "\"a\"", "\"", "\\", ",", ":", "1", "null", " ", "\n", "{\"a\":[{}]}", "é"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn ranges_are_values_of_the_text_for_any_input(
        tokens in prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..30),
        root in prop::sample::select(&["{\"a\":", "[", ""][..]),
    ) {
        let text = root.to_owned() + &tokens.concat();
        let Some(found) = head(text.as_bytes()) else { return Ok(()) };
        prop_assert_eq!(&found.text[..], text.as_bytes());
        prop_assert!(!found.candidates.is_empty());
        for candidate in found.candidates {
            let mut end = usize::try_from(candidate.data.byte).unwrap();
            prop_assert!(!candidate.is_empty || candidate.elements.is_empty());
            prop_assert!(candidate.path.len() <= LEVELS_LIMIT);
            for range in candidate.elements {
                prop_assert!(end <= range.start && range.start < range.end);
                prop_assert!(!is_space(text.as_bytes()[range.start]) && !is_space(text.as_bytes()[range.end - 1]));
                end = range.end;
            }
        }
    }
}
