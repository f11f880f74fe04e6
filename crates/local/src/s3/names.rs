//! Object keys as file names.
//!
//! A bucket is one flat folder. A key is a name, not a path: `a` and `a/b` can exist side by side, and no key leads out
//! of the folder. Two keys never have the same file name. Ordinary names stay readable.

use notaflux_sha256 as sha256;

/// Longest file name that is just the encoded key, in bytes. Linux and macOS allow 255; the rest is for suffixes.
const PLAIN_NAME_LIMIT_BYTES: usize = 200;

/// Bytes of a long encoded key that stay readable at the beginning of its file name.
const READABLE_HEAD_BYTES: usize = 120;

/// Separates the readable head of a long key from its hash. `%~` is not an escape, so no plain name contains it.
const LONG_MARK: &str = "%~";

/// Returns the file name of `key`.
pub(super) fn file_name(key: &str) -> String {
    let mut name = escape(key);
    if name.len() <= PLAIN_NAME_LIMIT_BYTES {
        return name;
    }
    // An escaped key is ASCII, so it can be cut anywhere.
    name.truncate(READABLE_HEAD_BYTES);
    name.push_str(LONG_MARK);
    name.extend(sha256::digest(key).into_iter().flat_map(hex));
    name
}

/// Returns the key of the file `name`. `None` for a long key, and for a file that is not an object.
pub(super) fn plain_key(name: &str) -> Option<String> {
    let key = unescape(name)?;
    (escape(&key) == name).then_some(key)
}

/// Returns whether `name` is the file name of a long key. Its record holds the key.
pub(super) fn is_long(name: &str) -> bool {
    name.contains(LONG_MARK)
}

/// Percent-encodes as a listing with `encoding-type=url` does. A slash stays. A space becomes `%20`, which every client
/// decodes to a space.
pub(super) fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) || byte == b'/' || byte == b'~' {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(hex(byte));
        }
    }
    out
}

fn escape(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 8);
    for (at, byte) in key.bytes().enumerate() {
        // A leading dot would make a hidden file, or name the folder itself.
        if is_plain(byte) && !(at == 0 && byte == b'.') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(hex(byte));
        }
    }
    out
}

fn unescape(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Returns a byte as two upper-case hexadecimal digits.
fn hex(byte: u8) -> [char; 2] {
    [byte >> 4, byte & 0xf].map(|digit| char::from(if digit < 10 { b'0' + digit } else { b'A' + digit - 10 }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed as it should")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_names_stay_readable() {
        assert_eq!(file_name("202401_NFe.zip"), "202401_NFe.zip");
        assert_eq!(file_name("2024/a b.csv"), "2024%2Fa%20b.csv");
        assert_eq!(file_name("."), "%2E");
        assert_eq!(file_name("../x"), "%2E.%2Fx");
    }

    #[test]
    fn escapes_have_two_upper_case_digits() {
        assert_eq!(url_encode("a/~ +\u{ff}\n"), "a/~%20%2B%C3%BF%0A");
    }

    #[test]
    fn long_keys_differ_by_their_hash() {
        let (a, b) = ("k".repeat(1023) + "a", "k".repeat(1023) + "b");
        assert!(is_long(&file_name(&a)));
        assert!(file_name(&a).len() < 200);
        assert_ne!(file_name(&a), file_name(&b));
        assert_eq!(plain_key(&file_name(&a)), None);
    }

    #[test]
    fn foreign_files_are_not_objects() {
        assert_eq!(plain_key("my file.csv"), None);
        assert_eq!(plain_key("half%2"), None);
        assert_eq!(plain_key("low%2fcase"), None);
    }

    proptest! {
        #[test]
        fn the_key_of_every_short_name_is_found(key in "\\PC{1,60}") {
            let name = file_name(&key);
            prop_assert!(name.len() <= 255 && !name.contains('/') && !name.starts_with('.'));
            if !is_long(&name) {
                prop_assert_eq!(plain_key(&name).unwrap(), key);
            }
        }
    }
}
