//! The encoding of the Portal's files.

use encoding_rs::WINDOWS_1252;

/// Encodes the content of a quoted field in windows-1252, with its quotes doubled.
pub(crate) fn field(text: &str) -> Vec<u8> {
    encoded(&text.replace('"', "\"\""))
}

/// Encodes text in windows-1252. Its quotes stay as they are.
pub(crate) fn encoded(text: &str) -> Vec<u8> {
    WINDOWS_1252.encode(text).0.into_owned()
}
