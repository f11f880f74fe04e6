//! JSON for eyes. It means what it meant: only what stands between values changes, and how characters are written.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

/// What the steps of an indentation are.
const STEP: &str = "  ";

/// Whether JSON may hold this character as it is although a terminal takes it for a command: DEL and the controls of C1.
/// All others are escaped in any JSON.
fn is_command(c: char) -> bool {
    c.is_control() && c > ' '
}

/// JSON with the controls escaped that a terminal would obey.
pub(super) fn shown(json: &str) -> Cow<'_, str> {
    if !json.contains(is_command) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    json.chars().for_each(|c| push(&mut out, c));
    Cow::Owned(out)
}

fn push(out: &mut String, c: char) {
    if is_command(c) {
        // Writing to a String cannot fail.
        write!(out, "\\u{:04x}", u32::from(c)).unwrap_or_default();
    } else {
        out.push(c);
    }
}

/// JSON with a line for each member and element, all but the first indented by `depth` steps and more.
///
/// # Errors
/// What is no JSON.
pub(super) fn indented(json: &str, depth: usize) -> serde_json::Result<String> {
    let value: Value = serde_json::from_str(json)?;
    // Within texts line breaks are escaped: these are between lines.
    let lines = serde_json::to_string_pretty(&value)?.replace('\n', &format!("\n{}", STEP.repeat(depth)));
    Ok(shown(&lines).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_have_a_line_each() {
        let json = r#"{"z":"a\"{,: \\","a":[1,{"b":2.5}],"e":[ ],"o":{}}"#;
        let expected = "{\n    \"z\": \"a\\\"{,: \\\\\",\n    \"a\": [\n      1,\n      {\n        \"b\": 2.5\n      }\n    ],\
                        \n    \"e\": [],\n    \"o\": {}\n  }";
        assert_eq!(indented(json, 1).unwrap(), expected);
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let json = serde_json::to_string("é\u{1b}[2J\u{9b}2J\u{7f}").unwrap();
        for shown in [shown(&json).into_owned(), indented(&json, 0).unwrap()] {
            assert_eq!(shown, r#""é\u001b[2J\u009b2J\u007f""#);
            assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), serde_json::from_str::<String>(&json).unwrap());
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<String>().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_means_what_it_meant(value in any_json()) {
            let json = value.to_string();
            let (indented, shown) = (indented(&json, 0).unwrap(), shown(&json).into_owned());
            prop_assert!(!indented.replace('\n', "").contains(char::is_control));
            prop_assert!(!shown.contains(char::is_control));
            prop_assert_eq!(serde_json::from_str::<Value>(&indented).unwrap(), value.clone());
            prop_assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
        }
    }
}
