//! The header line of a CSV, and the delimiter that it tells.

use std::io::Cursor;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::reader::{CsvOptions, CsvReader};
use crate::error::ReadError;
use crate::record::{BOM, Content, Fields, Position};

/// The delimiters there are, the likeliest first.
const DELIMITERS: [u8; 4] = *b";,\t|";

/// Bytes read at once while the end of the header line has not come.
const STEP_BYTES: u64 = 64 * 1024;

/// The first record of an entry, taken as its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The delimiter that it tells.
    pub delimiter: u8,
    /// Its fields: UTF-8 where they are that, else windows-1252.
    pub fields: Vec<String>,
    /// Its first byte and line.
    pub start: Position,
    /// Where the data begins.
    pub data: Position,
}

/// Reads the first record of an entry from its start; none if there is no record at all.
///
/// Reads no further than a step beyond that record.
///
/// # Errors
/// A first record over the limit; whatever the reader gives.
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

/// The delimiter of a header line: that of `;`, `,`, TAB and `|` which stands most often outside quotes; `;` where none
/// does, since a single column of decimals may be full of commas.
#[must_use]
fn sniff_delimiter(header_line: &[u8]) -> u8 {
    let mut counts = [0_u32; DELIMITERS.len()];
    for (_, byte) in unquoted(header_line) {
        if let Some(count) = DELIMITERS.iter().position(|one| *one == byte).and_then(|at| counts.get_mut(at)) {
            *count += 1;
        }
    }
    // Of equal counts `max_by_key` takes the last.
    let best = DELIMITERS.iter().zip(counts).rev().max_by_key(|(_, count)| *count);
    best.map_or(b';', |(delimiter, _)| *delimiter)
}

struct Line<'a> {
    text: &'a [u8],
    ended: bool,
}

/// The first line that is not blank, line ends within quotes not counted.
fn first_line(text: &[u8]) -> Option<Line<'_>> {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let start = text.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let text = text.get(start..)?;
    let end = unquoted(text).find(|(_, byte)| matches!(byte, b'\r' | b'\n')).map(|(at, _)| at);
    Some(Line { text: text.get(..end.unwrap_or(text.len()))?, ended: end.is_some() })
}

/// The bytes outside quotes, by any of the delimiters: which one it is has still to be found.
fn unquoted(text: &[u8]) -> impl Iterator<Item = (usize, u8)> + '_ {
    let text_start = if text.starts_with(BOM) { BOM.len() } else { 0 };
    let (mut quoted, mut field_start) = (false, true);
    text.iter().copied().enumerate().skip(text_start).filter(move |(_, byte)| {
        let is_quote = *byte == b'"';
        let within = quoted;
        if is_quote && (quoted || field_start) {
            // The second of two quotes within quotes closes and opens again: right after one that closed, a field starts.
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
    async fn nothing_is_no_header() {
        for text in [&b""[..], b"\xef\xbb\xbf", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf\n"] {
            assert_eq!(head(text).await, None, "{text:?}");
        }
        let only = head(b"a;b").await.unwrap();
        assert_eq!(only.data, Position { byte: 3, line: 1 });
    }

    #[tokio::test]
    async fn a_header_without_end_is_told() {
        let endless = b"\"a;b".iter().copied().chain(std::iter::repeat_n(b'x', 300_000)).collect::<Vec<u8>>();
        let error = read_header(&endless[..], 100_000).await.unwrap_err();
        assert!(matches!(error, ReadError::RecordTooLong { limit_bytes: 100_000, .. }));
        let long = "column;".repeat(30_000) + "last\n1\n";
        let found = read_header(long.as_bytes(), 300_000).await.unwrap().unwrap();
        assert_eq!((found.fields.len(), found.data.byte), (30_001, 210_005));
    }
}
