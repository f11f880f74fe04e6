//! Trimming and digits. Every field of every record needs them.

/// Returns `text` without surrounding whitespace, including that beyond ASCII. Fast for text without any, which is the
/// most frequent case.
#[inline]
#[must_use]
pub fn trimmed(text: &str) -> &str {
    if is_plain(text) { text } else { text.trim() }
}

/// Returns whether `text` begins and ends with a graphic ASCII character, so that there is nothing to trim.
#[inline]
#[must_use]
pub fn is_plain(text: &str) -> bool {
    let is_graphic = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    is_graphic(text.as_bytes().first()) && is_graphic(text.as_bytes().last())
}

/// Returns whether `text` has only ASCII digits. It has no early exit, so that it can use vector instructions: most
/// text has only digits.
#[inline]
#[must_use]
pub fn all_digits(text: &[u8]) -> bool {
    text.iter().fold(true, |all, byte| all & byte.is_ascii_digit())
}

/// Returns `digits` without leading zeros; `0` if there are only zeros.
pub(crate) fn without_leading_zeros(digits: &str) -> &str {
    match digits.trim_start_matches('0') {
        "" => "0",
        rest => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimmed_agrees_with_trim() {
        for text in ["", " ", "a", " a", "a ", "\u{a0}a b\t", "é", "\u{3000}é ", "a\u{85}"] {
            assert_eq!(trimmed(text), text.trim(), "{text:?}");
        }
    }
}
