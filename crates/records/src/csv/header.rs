//! Reads the header line of a CSV, and detects the delimiter from it.

use std::io::Cursor;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::reader::{CsvOptions, CsvReader};
use crate::error::ReadError;
use crate::record::{BOM, Content, Fields, Position};

/// The supported delimiters, the most likely first.
const DELIMITERS: [u8; 4] = *b";,\t|";

/// Bytes of one read, until the end of the header line is found.
const STEP_BYTES: u64 = 64 * 1024;

/// The first record of an entry, which is its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The detected delimiter.
    pub delimiter: u8,
    /// The fields, decoded from UTF-8, or from windows-1252 where they are not valid UTF-8.
    pub fields: Vec<String>,
    /// First byte and line of the header.
    pub start: Position,
    /// Where the data begins.
    pub data: Position,
}

/// Reads the first record of an entry from its start. Returns `None` if the entry has no record.
///
/// Reads at most 64 KiB beyond that record.
///
/// # Errors
/// A first record over the limit; the errors of the reader.
pub async fn read_header<R>(mut reader: R, record_limit_bytes: usize) -> Result<Option<Head>, ReadError>
where
    R: AsyncRead + Send + Unpin,
{
    let mut head = Vec::new();
    loop {
        let read = (&mut reader).take(STEP_BYTES).read_to_end(&mut head).await?;
        if read == 0 || first_line(&head).is_some_and(|line| line.ended) || head.len() > record_limit_bytes {
            break;
        }
    }
    let delimiter = sniff_delimiter(first_line(&head).map_or(&[][..], |line| line.text));
    let options = CsvOptions { delimiter, record_limit_bytes };
    let mut records = CsvReader::new(Cursor::new(head).chain(reader), options, Position::START);
    let Some(record) = records.next().await? else { return Ok(None) };
    let Content::Fields(fields) = record.content else { return Ok(None) };
    let start = Position { byte: record.byte, line: record.line };
    Ok(Some(Head { delimiter, fields: decode(fields), start, data: record.next() }))
}

/// Detects the delimiter of a header line: the one of `;`, `,`, TAB and `|` that occurs most often outside quotes.
/// Without any of them it is `;`, since a single column of decimals can be full of commas.
#[must_use]
fn sniff_delimiter(header_line: &[u8]) -> u8 {
    let mut counts = [0_u32; DELIMITERS.len()];
    for (_, byte) in unquoted(header_line) {
        if let Some(count) = DELIMITERS.iter().position(|one| *one == byte).and_then(|at| counts.get_mut(at)) {
            *count += 1;
        }
    }
    // If counts are equal, `max_by_key` returns the last one.
    let best = DELIMITERS.iter().zip(counts).rev().max_by_key(|(_, count)| *count);
    best.map_or(b';', |(delimiter, _)| *delimiter)
}

struct Line<'a> {
    text: &'a [u8],
    ended: bool,
}

/// Returns the first line that is not blank. Line ends within quotes do not end it.
fn first_line(text: &[u8]) -> Option<Line<'_>> {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let start = text.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let text = text.get(start..)?;
    let end = unquoted(text).find(|(_, byte)| matches!(byte, b'\r' | b'\n')).map(|(at, _)| at);
    Some(Line { text: text.get(..end.unwrap_or(text.len()))?, ended: end.is_some() })
}

/// Returns the bytes outside quotes. Any delimiter starts a field, since the real one is not yet known.
fn unquoted(text: &[u8]) -> impl Iterator<Item = (usize, u8)> + '_ {
    let text_start = if text.starts_with(BOM) { BOM.len() } else { 0 };
    let (mut quoted, mut field_start) = (false, true);
    text.iter().copied().enumerate().skip(text_start).filter(move |(_, byte)| {
        let is_quote = *byte == b'"';
        let within = quoted;
        if is_quote && (quoted || field_start) {
            // A doubled quote closes and opens again: a field may start right after a closing quote.
            quoted = !quoted;
            field_start = true;
            return false;
        }
        field_start = !within && DELIMITERS.contains(byte);
        !within
    })
}

fn decode(fields: Fields<'_>) -> Vec<String> {
    let decode = |field: &[u8]| match std::str::from_utf8(field) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(field).0.into_owned(),
    };
    fields.iter().map(decode).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_outside_quotes() {
        let cases: [(&str, u8); 11] = [
            ("a;b;c", b';'),
            ("a,b,c", b','),
            ("a\tb\tc", b'\t'),
            ("a|b|c", b'|'),
            ("\"a,b,c,d\";\"e,f\"", b';'),
            ("\"say \"\"a;b;c;d\"\"\",x,y", b','),
            ("a;b,c", b';'),
            ("VALOR", b';'),
            ("", b';'),
            ("5\" pipe,b,c;d", b','),
            ("\u{feff}\"a;b;c\",\"d\"", b','),
        ];
        for (line, delimiter) in cases {
            assert_eq!(char::from(sniff_delimiter(line.as_bytes())), char::from(delimiter), "{line}");
        }
    }

    async fn head(text: &[u8]) -> Option<Head> {
        read_header(text, 1000).await.unwrap()
    }

    #[tokio::test]
    async fn the_header_is_the_first_record() {
        let found = head(b"CHAVE;N\xdaMERO;VALOR\r\n1;2;3\r\n").await.unwrap();
        assert_eq!((found.delimiter, found.fields), (b';', vec!["CHAVE".to_owned(), "NÚMERO".into(), "VALOR".into()]));
        assert_eq!((found.start, found.data), (Position { byte: 0, line: 1 }, Position { byte: 20, line: 2 }));

        let found = head("\u{feff}\n\r\n\"s\u{e9}rie\",\"a\n;;;;\"\nx,y".as_bytes()).await.unwrap();
        assert_eq!((found.delimiter, found.fields), (b',', vec!["série".to_owned(), "a\n;;;;".into()]));
        assert_eq!((found.start, found.data), (Position { byte: 6, line: 3 }, Position { byte: 24, line: 5 }));
    }

    #[tokio::test]
    async fn an_entry_without_records_has_no_header() {
        for text in [&b""[..], b"\xef\xbb\xbf", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf\n"] {
            assert_eq!(head(text).await, None, "{text:?}");
        }
        let only = head(b"a;b").await.unwrap();
        assert_eq!(only.data, Position { byte: 3, line: 1 });
    }

    #[tokio::test]
    async fn a_header_without_end_is_an_error() {
        let endless = b"\"a;b".iter().copied().chain(std::iter::repeat_n(b'x', 300_000)).collect::<Vec<u8>>();
        let error = read_header(&endless[..], 100_000).await.unwrap_err();
        assert!(matches!(error, ReadError::RecordTooLong { limit_bytes: 100_000, .. }));
        let long = "column;".repeat(30_000) + "last\n1\n";
        let found = read_header(long.as_bytes(), 300_000).await.unwrap().unwrap();
        assert_eq!((found.fields.len(), found.data.byte), (30_001, 210_005));
    }
}
