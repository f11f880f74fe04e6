//! Trimming, as every field of every record needs it.

/// `text` without spaces around it. Most has none, which is told at once; spaces beyond ASCII count too.
#[inline]
#[must_use]
pub fn trimmed(text: &str) -> &str {
    if is_plain(text) { text } else { text.trim() }
}

/// Whether it begins and ends in what is certainly no space.
#[inline]
#[must_use]
pub fn is_plain(text: &str) -> bool {
    let is_graphic = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    is_graphic(text.as_bytes().first()) && is_graphic(text.as_bytes().last())
}

/// Whether there is nothing but digits. Looks at all of `text`: that can be done at once, and most of it is digits.
#[inline]
#[must_use]
pub fn all_digits(text: &[u8]) -> bool {
    text.iter().fold(true, |all, byte| all & byte.is_ascii_digit())
}

/// Digits without the zeros before them; `0` where there is nothing else.
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
    fn as_trim_does() {
        for text in ["", " ", "a", " a", "a ", "\u{a0}a b\t", "é", "\u{3000}é ", "a\u{85}"] {
            assert_eq!(trimmed(text), text.trim(), "{text:?}");
        }
    }
}
