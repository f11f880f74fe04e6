//! Records as JSON: their framing, escaped text, and the Portal's rows as flat objects.

use std::io::Write;

use encoding_rs::WINDOWS_1252;
use memchr::memchr;

/// The framing of JSON values in a file. Spaces are those of Python's `json.dumps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonForm {
    /// One value on each line.
    Ndjson,
    /// All values in one array, on one line.
    Array,
}

impl JsonForm {
    pub(crate) fn open(self, out: &mut Vec<u8>) {
        if self == Self::Array {
            out.push(b'[');
        }
    }

    /// Writes what comes before a value. `follows` is whether another value precedes it.
    pub(crate) fn before(self, follows: bool, out: &mut Vec<u8>) {
        if self == Self::Array && follows {
            out.extend_from_slice(b", ");
        }
    }

    pub(crate) fn after(self, out: &mut Vec<u8>) {
        if self == Self::Ndjson {
            out.push(b'\n');
        }
    }

    pub(crate) fn close(self, out: &mut Vec<u8>) {
        if self == Self::Array {
            out.extend_from_slice(b"]\n");
        }
    }
}

/// Converts rows to flat objects.
#[derive(Debug)]
pub(crate) struct Objects {
    form: JsonForm,
    /// For each column, the text between the previous value and its own, including the quotes of both.
    keys: Vec<Vec<u8>>,
}

impl Objects {
    pub(crate) fn new(form: JsonForm, columns: &[&str]) -> Self {
        let key = |(at, column): (usize, &&str)| {
            let before = if at == 0 { "{" } else { "\", " };
            format!("{before}\"{}\": \"", escaped(column)).into_bytes()
        };
        Self { form, keys: columns.iter().enumerate().map(key).collect() }
    }

    pub(crate) const fn form(&self) -> JsonForm {
        self.form
    }

    /// Writes rows of the generator as objects. Every field of a row is quoted.
    pub(crate) fn write(&self, rows: &[u8], mut follows: bool, out: &mut Vec<u8>) {
        let (rows, _) = WINDOWS_1252.decode_without_bom_handling(rows);
        let (mut rest, mut start, mut row) = (&*rows, &*rows, Vec::with_capacity(self.keys.len() + 1));
        while let Some((field, behind)) = split_field(rest) {
            row.push(field);
            if let Some(next) = behind.strip_prefix(';') {
                rest = next;
                continue;
            }
            self.form.before(follows, out);
            let is_plain = is_plain(start.get(..start.len() - behind.len()).unwrap_or_default(), row.len());
            self.write_row(&mut row, is_plain, out);
            self.form.after(out);
            (rest, follows) = (behind.trim_start_matches(['\r', '\n']), true);
            start = rest;
            row.clear();
        }
    }

    /// Writes a row as an object. If it `is_plain`, JSON escapes nothing in its fields.
    fn write_row(&self, row: &mut [&str], is_plain: bool, out: &mut Vec<u8>) {
        let (fields, columns) = (row.len(), self.keys.len());
        if let (JsonForm::Array, Some(access_key)) = (self.form, row.first_mut()) {
            // An object with invalid JSON would make the whole array invalid.
            let from = match fields.cmp(&columns) {
                std::cmp::Ordering::Less => access_key.len(),
                std::cmp::Ordering::Equal => 0,
                std::cmp::Ordering::Greater => 1,
            };
            *access_key = access_key.get(from..).unwrap_or_default();
        }
        let start = out.len();
        for (key, field) in self.keys.iter().zip(row) {
            out.extend_from_slice(key);
            if is_plain {
                out.extend_from_slice(field.as_bytes());
            } else {
                push_unquoted(field, out);
            }
        }
        if fields < columns && self.form == JsonForm::Ndjson {
            return;
        }
        out.extend_from_slice(b"\"}");
        if fields > columns && self.form == JsonForm::Ndjson {
            drop_quote(out, start, fields);
        }
    }
}

/// Returns whether JSON escapes nothing in a row with this number of fields. This is nearly always so. A check of the
/// whole row is faster than one of each field: a count without an early exit uses vector instructions.
fn is_plain(row: &str, fields: usize) -> bool {
    let special = |byte: &u8| u32::from(must_escape(*byte));
    row.as_bytes().iter().map(special).sum::<u32>() as usize == 2 * fields
}

/// Writes a CSV field, whose quotes are doubled, as JSON text.
fn push_unquoted(field: &str, out: &mut Vec<u8>) {
    for (at, part) in field.split("\"\"").enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\\\"");
        }
        push_escaped(part, out);
    }
}

/// Splits `rows` into the content of its first field, whose quotes are doubled, and the rest.
fn split_field(rows: &str) -> Option<(&str, &str)> {
    let inner = rows.strip_prefix('"')?;
    let mut at = 0;
    loop {
        at += memchr(b'"', inner.as_bytes().get(at..)?)?;
        let behind = inner.get(at + 1..)?;
        if !behind.starts_with('"') {
            return Some((inner.get(..at)?, behind));
        }
        at += 2;
    }
}

/// Returns whether JSON must escape this byte in a string.
const fn must_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | ..b' ')
}

/// Appends `text` escaped for a JSON string. Characters beyond ASCII stay as they are.
pub(crate) fn push_escaped(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| must_escape(*byte)) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, behind)) = special.split_first() else { return };
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            _ => push_unit(u16::from(*byte), out),
        }
        rest = behind;
    }
    out.extend_from_slice(rest);
}

/// Returns `text` escaped for a JSON string.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    push_escaped(text, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Returns `text` escaped for a JSON string, with characters beyond ASCII escaped too.
pub(crate) fn escaped_in_ascii(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    for character in escaped(text).chars() {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => out.push(byte),
            _ => character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| push_unit(*unit, &mut out)),
        }
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Appends a UTF-16 unit as `\u00e7`.
fn push_unit(unit: u16, out: &mut Vec<u8>) {
    // Writing into a vector never fails.
    write!(out, "\\u{unit:04x}").unwrap_or_default();
}

/// Truncates the value that begins at `start` of `out` after about `bytes`: not within a character, and not before its
/// second byte.
pub(crate) fn cut_short(out: &mut Vec<u8>, start: usize, bytes: usize) {
    let value = out.get(start + 1..).unwrap_or_default();
    let before = value.get(..bytes).unwrap_or(value);
    let kept = before.iter().rposition(u8::is_ascii).unwrap_or(0);
    out.truncate(start + 1 + kept);
}

/// Removes one quote that opens or closes a string of the object that begins at `start` of `out`: the first one after
/// `bytes`, or the one of the first key if there is none. The result is not valid JSON.
pub(crate) fn drop_quote(out: &mut Vec<u8>, start: usize, bytes: usize) {
    let value = out.get(start..).unwrap_or_default();
    let is_quote = |pair: &[u8]| matches!(pair, [before, b'"'] if *before != b'\\');
    let found = value.get(bytes..).and_then(|tail| tail.windows(2).position(is_quote));
    let at = found.map_or(1, |at| bytes + at + 1);
    if at < value.len() {
        out.remove(start + at);
    }
}
