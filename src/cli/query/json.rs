//! JSON for eyes. It means what it meant: only what stands between values changes, and how characters are written.

use std::borrow::Cow;
use std::fmt::Write as _;

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
pub(super) fn indented(json: &str, mut depth: usize) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut in_text, mut is_escaped) = (false, false);
    let mut rest = json.chars().peekable();
    let new_line = |out: &mut String, depth| {
        out.push('\n');
        out.extend(std::iter::repeat_n(STEP, depth));
    };
    while let Some(c) = rest.next() {
        if in_text {
            push(&mut out, c);
            in_text = c != '"' || is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = rest.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ if c.is_ascii_whitespace() => {}
            _ => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn members_have_a_line_each() {
        let json = r#"{"z":"a\"{,: \\","a":[1,{"b":2.50}],"e":[ ],"o":{}}"#;
        let expected = "{\n    \"z\": \"a\\\"{,: \\\\\",\n    \"a\": [\n      1,\n      {\n        \"b\": 2.50\n      }\n    ],\
                        \n    \"e\": [],\n    \"o\": {}\n  }";
        assert_eq!(indented(json, 1), expected);
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let json = serde_json::to_string("é\u{1b}[2J\u{9b}2J\u{7f}").unwrap();
        for shown in [shown(&json).into_owned(), indented(&json, 0)] {
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
            let (indented, shown) = (indented(&json, 0), shown(&json).into_owned());
            prop_assert!(!indented.replace('\n', "").contains(char::is_control));
            prop_assert!(!shown.contains(char::is_control));
            prop_assert_eq!(serde_json::from_str::<Value>(&indented).unwrap(), value.clone());
            prop_assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
        }
    }
}
