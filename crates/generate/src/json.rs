//! Records as JSON: how they are framed, how text is escaped, and the Portal's rows as flat objects.

use std::io::Write;

use encoding_rs::WINDOWS_1252;
use memchr::memchr;

/// How a file holds its JSON values. Spaces are where Python's `json.dumps` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonForm {
    /// One value a line.
    Ndjson,
    /// All in one array, on one line.
    Array,
}

impl JsonForm {
    pub(super) fn open(self, out: &mut Vec<u8>) {
        if self == Self::Array {
            out.push(b'[');
        }
    }

    /// What stands before a value, `follows` another or not.
    pub(super) fn before(self, follows: bool, out: &mut Vec<u8>) {
        if self == Self::Array && follows {
            out.extend_from_slice(b", ");
        }
    }

    pub(super) fn after(self, out: &mut Vec<u8>) {
        if self == Self::Ndjson {
            out.push(b'\n');
        }
    }

    pub(super) fn close(self, out: &mut Vec<u8>) {
        if self == Self::Array {
            out.extend_from_slice(b"]\n");
        }
    }
}

/// Makes flat objects of rows.
#[derive(Debug)]
pub(super) struct Objects {
    form: JsonForm,
    /// For each column what stands between the value before it and its own, quotes of both included.
    keys: Vec<Vec<u8>>,
}

impl Objects {
    pub(super) fn new(form: JsonForm, columns: &[&str]) -> Self {
        let key = |(at, column): (usize, &&str)| {
            let before = if at == 0 { "{" } else { "\", " };
            format!("{before}\"{}\": \"", escaped(column)).into_bytes()
        };
        Self { form, keys: columns.iter().enumerate().map(key).collect() }
    }

    pub(super) const fn form(&self) -> JsonForm {
        self.form
    }

    /// Writes rows of the generator, of which every field is quoted.
    pub(super) fn write(&self, rows: &[u8], mut follows: bool, out: &mut Vec<u8>) {
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

    /// Of an `is_plain` row no field has anything that JSON escapes.
    fn write_row(&self, row: &mut [&str], is_plain: bool, out: &mut Vec<u8>) {
        let (fields, columns) = (row.len(), self.keys.len());
        if let (JsonForm::Array, Some(access_key)) = (self.form, row.first_mut()) {
            // An object that is no JSON would spoil the whole array.
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

/// Whether JSON escapes nothing in a row of so many fields. That is nearly always so, and told of a row faster than of its fields:
/// what is counted without an early exit is counted several bytes at once.
fn is_plain(row: &str, fields: usize) -> bool {
    let special = |byte: &u8| u32::from(must_escape(*byte));
    row.as_bytes().iter().map(special).sum::<u32>() as usize == 2 * fields
}

/// Writes a field of CSV, quotes in it doubled.
fn push_unquoted(field: &str, out: &mut Vec<u8>) {
    for (at, part) in field.split("\"\"").enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\\\"");
        }
        push_escaped(part, out);
    }
}

/// What stands between the quotes at the start of `rows`, quotes in it doubled, and what follows it.
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

/// Whether a byte of a JSON string must be escaped.
const fn must_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | ..b' ')
}

/// Appends what stands for `text` between the quotes of a JSON string; what is not ASCII stays as it is.
pub(super) fn push_escaped(text: &str, out: &mut Vec<u8>) {
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

/// What stands for `text` between the quotes of a JSON string.
pub(super) fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    push_escaped(text, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// The same in ASCII.
pub(super) fn escaped_in_ascii(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    for character in escaped(text).chars() {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => out.push(byte),
            _ => character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| push_unit(*unit, &mut out)),
        }
    }
    String::from_utf8(out).unwrap_or_default()
}

/// `\u00e7`.
fn push_unit(unit: u16, out: &mut Vec<u8>) {
    // A vector takes all that is written into it.
    write!(out, "\\u{unit:04x}").unwrap_or_default();
}

/// Ends the value that begins at `start` of `out` after `bytes` of it, or a little earlier: not within a character, and behind
/// its first byte at the earliest.
pub(super) fn cut_short(out: &mut Vec<u8>, start: usize, bytes: usize) {
    let value = out.get(start + 1..).unwrap_or_default();
    let before = value.get(..bytes).unwrap_or(value);
    let kept = before.iter().rposition(u8::is_ascii).unwrap_or(0);
    out.truncate(start + 1 + kept);
}

/// Takes away one of the quotes that open and close the strings of the object that begins at `start` of `out`: the first that
/// stands behind `bytes` of it, if any does, else the one of its first key. No longer any JSON is what is left.
pub(super) fn drop_quote(out: &mut Vec<u8>, start: usize, bytes: usize) {
    let value = out.get(start..).unwrap_or_default();
    let is_quote = |pair: &[u8]| matches!(pair, [before, b'"'] if *before != b'\\');
    let found = value.get(bytes..).and_then(|tail| tail.windows(2).position(is_quote));
    let at = found.map_or(1, |at| bytes + at + 1);
    if at < value.len() {
        out.remove(start + at);
    }
}
