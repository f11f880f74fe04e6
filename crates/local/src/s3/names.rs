//! Object keys as file names.
//!
//! A bucket is one flat folder: a key is a name, not a path, so `a` and `a/b` live side by side and no key can leave
//! the folder. The mapping is injective; ordinary names stay readable.

use std::fmt::Write as _;

use notaflux_sha256 as sha256;

/// Longest file name made from an encoded key alone, in bytes. Linux and macOS stop at 255; the rest is for suffixes.
const PLAIN_NAME_LIMIT_BYTES: usize = 200;

/// How much of a long key stays readable in its file name, in bytes.
const READABLE_HEAD_BYTES: usize = 120;

/// Stands between the readable head of a long key and its hash; `%~` is no escape, so no plain name contains it.
const LONG_MARK: &str = "%~";

/// The file name that stands for `key`.
pub(super) fn file_name(key: &str) -> String {
    let name = escape(key);
    if name.len() <= PLAIN_NAME_LIMIT_BYTES {
        return name;
    }
    let mut head = READABLE_HEAD_BYTES;
    while !name.is_char_boundary(head) {
        head -= 1;
    }
    let mut long = name.get(..head).unwrap_or_default().to_owned();
    long.push_str(LONG_MARK);
    for byte in sha256::digest(key) {
        push_hex(&mut long, byte);
    }
    long
}

/// The key that `name` stands for, when the name alone tells: `None` for a long key and for a file that is not ours.
pub(super) fn plain_key(name: &str) -> Option<String> {
    let key = unescape(name)?;
    (escape(&key) == name).then_some(key)
}

/// Whether `name` belongs to a key too long to be a file name; its record tells the key.
pub(super) fn is_long(name: &str) -> bool {
    name.contains(LONG_MARK)
}

/// Percent-encodes as a listing with `encoding-type=url` does: a slash stays, a space is `%20` (read alike by clients
/// that take `+` for a space and by those that do not).
pub(super) fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) || byte == b'/' || byte == b'~' {
            out.push(char::from(byte));
        } else {
            out.push('%');
            push_hex(&mut out, byte);
        }
    }
    out
}

fn escape(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 8);
    for (at, byte) in key.bytes().enumerate() {
        // A leading dot would make a hidden file, or the folder itself.
        if is_plain(byte) && !(at == 0 && byte == b'.') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            push_hex(&mut out, byte);
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

fn push_hex(out: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    write!(out, "{byte:02X}").unwrap_or_default();
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
    fn long_keys_differ_by_their_hash() {
        let (a, b) = ("k".repeat(1023) + "a", "k".repeat(1023) + "b");
        assert!(is_long(&file_name(&a)));
        assert!(file_name(&a).len() < 200);
        assert_ne!(file_name(&a), file_name(&b));
        assert_eq!(plain_key(&file_name(&a)), None);
    }

    #[test]
    fn foreign_files_are_no_objects() {
        assert_eq!(plain_key("my file.csv"), None);
        assert_eq!(plain_key("half%2"), None);
        assert_eq!(plain_key("low%2fcase"), None);
    }

    proptest! {
        #[test]
        fn every_short_key_comes_back(key in "\\PC{1,60}") {
            let name = file_name(&key);
            prop_assert!(name.len() <= 255 && !name.contains('/') && !name.starts_with('.'));
            if !is_long(&name) {
                prop_assert_eq!(plain_key(&name).unwrap(), key);
            }
        }
    }
}
