//! The text of an element and of its strings.

use jiter::Jiter;

use crate::latin::decode_windows_1252;

/// Returns the element as text, decoded into `latin` if it is not UTF-8.
pub(crate) fn decoded<'t>(element: &'t [u8], latin: &'t mut String) -> &'t str {
    if let Ok(text) = simdutf8::basic::from_utf8(element) {
        return text;
    }
    latin.clear();
    decode_windows_1252(element, latin);
    latin
}

/// Appends the text of a JSON string, given with its quotes, to `out`. Returns none if it is not a valid string.
pub(crate) fn unescape(string: &str, tape: &mut Vec<u8>, out: &mut String) -> Option<()> {
    let mut json = Jiter::with_tape(string.as_bytes(), std::mem::take(tape));
    let text = json.next_str().ok().map(|text| out.push_str(text));
    *tape = json.into_tape();
    text
}
