//! JSON for a terminal. Only white space and the escapes of characters change, never a value.

use std::borrow::Cow;

use serde_json::Value;

/// One step of indentation.
const STEP: &str = "  ";

/// Returns whether a character is DEL or a control character of C1. JSON may contain them unescaped, but a terminal
/// takes them for commands. JSON always escapes all other control characters.
fn is_command(c: char) -> bool {
    c.is_control() && c > ' '
}

/// Escapes the control characters that a terminal takes for commands.
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
        out.extend([format!("\\u{:04x}", u32::from(c))]);
    } else {
        out.push(c);
    }
}

/// Formats JSON with one line per member and element. All lines except the first are indented by at least `depth`
/// steps.
///
/// # Errors
/// The text is not JSON.
pub(super) fn indented(json: &str, depth: usize) -> serde_json::Result<String> {
    let value: Value = serde_json::from_str(json)?;
    // JSON escapes line breaks within texts, so these separate lines.
    let lines = serde_json::to_string_pretty(&value)?.replace('\n', &format!("\n{}", STEP.repeat(depth)));
    Ok(shown(&lines).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_member_has_a_line() {
        let json = r#"{"z":"a\"{,: \\","a":[1,{"b":2.5}],"e":[ ],"o":{}}"#;
        let expected = "{\n    \"z\": \"a\\\"{,: \\\\\",\n    \"a\": [\n      1,\n      {\n        \"b\": 2.5\n      }\n    ],\
                        \n    \"e\": [],\n    \"o\": {}\n  }";
        assert_eq!(indented(json, 1).unwrap(), expected);
    }

    #[test]
    fn control_characters_are_escaped() {
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
        fn values_do_not_change(value in any_json()) {
            let json = value.to_string();
            let (indented, shown) = (indented(&json, 0).unwrap(), shown(&json).into_owned());
            prop_assert!(!indented.replace('\n', "").contains(char::is_control));
            prop_assert!(!shown.contains(char::is_control));
            prop_assert_eq!(serde_json::from_str::<Value>(&indented).unwrap(), value.clone());
            prop_assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
        }
    }
}
