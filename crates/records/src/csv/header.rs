//! Finds the header of a CSV and its delimiter.

use std::io::Cursor;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::reader::{CsvOptions, CsvReader};
use crate::error::ReadError;
use crate::record::{BOM, Content, Fields, Position};

/// The usual delimiters, the most likely first.
const DELIMITERS: [u8; 4] = *b";,\t|";

/// Bytes of one read, until the end of the first line is found. A header below other lines is found within them.
const STEP_BYTES: usize = 64 * 1024;

/// Most lines before the header, such as the name of a company and the period of a report.
pub const PREAMBLE_LINES: usize = 64;

/// A record that may be the header of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The delimiter.
    pub delimiter: u8,
    /// The fields, decoded from UTF-8, or from windows-1252 where they are not valid UTF-8.
    pub fields: Vec<String>,
    /// First byte and line of the header.
    pub start: Position,
    /// Where the data begins.
    pub data: Position,
}

/// The first lines of an entry.
///
/// A spreadsheet may name the delimiter in a line `sep=;` of its own. That line is obeyed and never a header.
#[derive(Debug)]
pub struct Top {
    text: Vec<u8>,
    /// Whether the text is all of the entry.
    is_whole: bool,
    /// The delimiter that the entry names, and where the line after its name begins.
    named: Option<(u8, Position)>,
    record_limit_bytes: usize,
}

impl Top {
    /// Reads the first lines: 64 KiB, or more if the first record is longer.
    ///
    /// # Errors
    /// The errors of the reader.
    pub async fn read<R>(mut reader: R, record_limit_bytes: usize) -> Result<Self, ReadError>
    where
        R: AsyncRead + Send + Unpin,
    {
        let mut text = Vec::new();
        let is_whole = loop {
            let read = (&mut reader).take(STEP_BYTES as u64).read_to_end(&mut text).await?;
            if read == 0 {
                break true;
            }
            if first_line(&text).is_some_and(|line| line.ended) || text.len() > record_limit_bytes {
                break false;
            }
        };
        let named = named_delimiter(&text);
        Ok(Self { text, is_whole, named, record_limit_bytes })
    }

    /// Returns the first record, with the delimiter that the entry names or that occurs most often. `None` if the entry
    /// has no record.
    ///
    /// # Errors
    /// A first record over the limit.
    pub async fn first(&self) -> Result<Option<Head>, ReadError> {
        let start = self.named.map_or(Position::START, |(_, next)| next);
        let rest = self.rest(start);
        let delimiter = match self.named {
            Some((delimiter, _)) => delimiter,
            None => sniff_delimiter(first_line(rest).map_or(&[][..], |line| line.text)),
        };
        self.head(start, delimiter).await
    }

    /// Returns the other records that may be the header: the first line and up to [`PREAMBLE_LINES`] after it, each with
    /// every byte that may be the delimiter. Only a layout can tell which of them is a header.
    pub async fn others(&self) -> Vec<Head> {
        let mut heads = Vec::new();
        let mut start = self.named.map_or(Position::START, |(_, next)| next);
        for _ in 0..=PREAMBLE_LINES {
            let rest = self.rest(start);
            let Some(line) = any_line(rest) else { break };
            for delimiter in self.delimiters(line) {
                // A record over the limit is no header.
                if let Ok(Some(head)) = self.head(start, delimiter).await
                    && (self.is_whole || head.data.byte < self.text.len() as u64)
                {
                    heads.push(head);
                }
            }
            let Some(next) = next_line(rest, start) else { break };
            start = next;
        }
        heads
    }

    /// Returns the first bytes of the entry.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns whether the text looks like a table: two lines one after the other have the same number of a usual delimiter.
    /// A text for people has commas too, but rarely two or more and as many in the next line.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        if self.text.contains(&0) || self.text.starts_with(b"%PDF") {
            return false;
        }
        let lines = || self.text.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty());
        let count = |line: &[u8], delimiter| unquoted(line).filter(|(_, byte)| *byte == delimiter).count();
        lines().zip(lines().skip(1)).take(PREAMBLE_LINES + 1).any(|(line, next)| {
            DELIMITERS.iter().any(|delimiter| {
                let counted = count(line, *delimiter);
                counted >= if *delimiter == b',' { 2 } else { 1 } && count(next, *delimiter) == counted
            })
        })
    }

    /// Returns the bytes that may be the delimiter of a line, the most likely first.
    fn delimiters(&self, line: &[u8]) -> Vec<u8> {
        if let Some((delimiter, _)) = self.named {
            return vec![delimiter];
        }
        let is_text = std::str::from_utf8(line).is_ok();
        let mut found = vec![sniff_delimiter(line)];
        for &byte in line {
            let may_be = if byte.is_ascii() { !byte.is_ascii_alphanumeric() && byte != b'"' } else { !is_text };
            if may_be && !found.contains(&byte) {
                found.push(byte);
            }
        }
        found
    }

    async fn head(&self, start: Position, delimiter: u8) -> Result<Option<Head>, ReadError> {
        let options = CsvOptions { delimiter, record_limit_bytes: self.record_limit_bytes };
        let mut records = CsvReader::new(Cursor::new(self.rest(start)), options, start);
        let Some(record) = records.next().await? else { return Ok(None) };
        let Content::Fields(fields) = record.content else { return Ok(None) };
        let begins = Position { byte: record.byte, line: record.line };
        Ok(Some(Head { delimiter, fields: decode(fields), start: begins, data: record.next() }))
    }

    fn rest(&self, start: Position) -> &[u8] {
        usize::try_from(start.byte).ok().and_then(|byte| self.text.get(byte..)).unwrap_or_default()
    }
}

/// Returns the first line, which may be blank, without its end. `None` if there is nothing.
fn any_line(text: &[u8]) -> Option<&[u8]> {
    (!text.is_empty()).then(|| text.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default())
}

/// Returns where the line after the first one begins. `None` if there is none.
fn next_line(text: &[u8], start: Position) -> Option<Position> {
    let end = text.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let end_bytes = if text.get(end..)?.starts_with(b"\r\n") { 2 } else { 1 };
    Some(Position { byte: start.byte + (end + end_bytes) as u64, line: start.line + 1 })
}

/// Returns the delimiter that the first line names (`sep=;`, also in quotes), and where the next line begins.
fn named_delimiter(text: &[u8]) -> Option<(u8, Position)> {
    let mark_bytes = if text.starts_with(BOM) { BOM.len() } else { 0 };
    let rest = text.get(mark_bytes..)?;
    let line = any_line(rest)?.trim_ascii_end();
    let bare = line.strip_prefix(b"\"").map_or(line, |line| line.strip_suffix(b"\"").unwrap_or(line));
    let (name, value) = bare.split_at_checked(4)?;
    let delimiter = match value {
        [delimiter, after @ ..] if after.iter().all(|byte| byte == delimiter || *byte == b'"') => *delimiter,
        // The trimmed end of the line was the delimiter.
        [] => b'\t',
        _ => return None,
    };
    let start = Position { byte: mark_bytes as u64, line: 1 };
    let next = next_line(rest, start).unwrap_or(Position { byte: text.len() as u64, line: 1 });
    name.eq_ignore_ascii_case(b"sep=").then_some((delimiter, next))
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
        Top::read(text, 1000).await.unwrap().first().await.unwrap()
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
        let error = Top::read(&endless[..], 100_000).await.unwrap().first().await.unwrap_err();
        assert!(matches!(error, ReadError::RecordTooLong { limit_bytes: 100_000, .. }));
        let long = "column;".repeat(30_000) + "last\n1\n";
        let found = Top::read(long.as_bytes(), 300_000).await.unwrap().first().await.unwrap().unwrap();
        assert_eq!((found.fields.len(), found.data.byte), (30_001, 210_005));
    }

    #[tokio::test]
    async fn a_named_delimiter_is_obeyed_and_its_line_is_no_header() {
        for (text, delimiter, byte) in [
            (&b"sep=;\r\na;b,c\n1;2\n"[..], b';', 7),
            (b"\xef\xbb\xbfSEP=,\na;b,c\n", b',', 9),
            (b"\"sep=~\"\na~b\n", b'~', 8),
            (b"sep=;;;\na;b\n", b';', 8),
            (b"sep=\t\na\tb\n", b'\t', 6),
        ] {
            let found = head(text).await.unwrap();
            let start = Position { byte, line: 2 };
            assert_eq!((found.delimiter, found.start, found.fields.len()), (delimiter, start, 2), "{text:?}");
        }
        for text in [&b"separator;b\n"[..], b"sep=ab;c\n"] {
            assert_eq!(head(text).await.unwrap().start, Position::START, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_header_below_other_lines_is_among_the_others() {
        let text = b"Company\n\"Report\n\nNota~Valor\n1~2\n";
        let top = Top::read(&text[..], 1000).await.unwrap();
        let found = top.others().await;
        let wanted = found.iter().find(|head| head.fields == ["Nota", "Valor"]).unwrap();
        assert_eq!(wanted.delimiter, b'~');
        assert_eq!((wanted.start, wanted.data), (Position { byte: 17, line: 4 }, Position { byte: 28, line: 5 }));
        // A header that is cut is none.
        let long = [&b"x\n"[..], &b"column;".repeat(20_000)].concat();
        let top = Top::read(&long[..], 1000).await.unwrap();
        assert!(top.others().await.iter().all(|head| head.start.line == 1));
    }
}
