//! A lower limit of the cost: memchr finds the fields, hand-written code writes the items into the body, the key of the
//! signature is made once, and a plain socket replaces the HTTP client. It checks nothing, escapes only what it must,
//! and waits for each answer. It is a limit to compare with, not a usable program.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;
use notaflux_local::stack::UPLOADS_BUCKET;
use notaflux_sha256::{Sha256, digest};

use super::PUTS;
use super::rows::{COLUMNS, Columns, EXTRA, ISSUER, RECIPIENT, TEXTS};
use super::usage::Usage;

const BUFFER_BYTES: usize = 256 * 1024;

/// Block size of SHA-256 in bytes.
const HASH_BLOCK_BYTES: usize = 64;

pub fn import(endpoint: &str, key: &str) {
    let host = endpoint.strip_prefix("http://").unwrap();
    let usage = Usage::begin();
    let body = BufReader::with_capacity(BUFFER_BYTES, get(host, key));
    let (bytes, records) = match key.rsplit_once('.') {
        Some((_, "gz")) => put_all(MultiGzDecoder::new(body), host, key.trim_end_matches(".gz")),
        _ => put_all(body, host, key),
    };
    usage.tell(records, bytes, &[]);
}

/// Reads the whole body of the object with one request.
fn get(host: &str, key: &str) -> impl Read {
    let mut socket = TcpStream::connect(host).unwrap();
    write!(socket, "GET /{UPLOADS_BUCKET}/{key} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = BufReader::new(socket);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line).unwrap();
    }
    answer
}

/// Puts every row. Returns the numbers of decoded bytes and of records.
fn put_all(mut source: impl Read, host: &str, name: &str) -> (u64, u64) {
    let is_csv = name.rsplit_once('.').is_some_and(|(_, kind)| kind == "csv");
    let mut table = TableSocket::connect(host, is_csv);
    let (mut buffer, mut filled) = (vec![0; 4 * BUFFER_BYTES], 0);
    let (mut bytes, mut records, mut is_header) = (0, 0, is_csv);
    loop {
        let read = source.read(&mut buffer[filled..]).unwrap();
        bytes += read as u64;
        filled += read;
        let mut start = 0;
        // A line break within quotes does not end a row: rows of the Portal end with `"\r\n`, those of JSON with `}\n`.
        while let Some(end) = row_end(&buffer[start..filled], is_csv) {
            if !std::mem::take(&mut is_header) {
                let row = &buffer[start..start + end];
                let mut columns = [&b""[..]; COLUMNS];
                if is_csv {
                    split_csv(row, &mut columns);
                } else {
                    split_json(row, &mut columns);
                }
                table.add(&columns);
                records += 1;
            }
            start += end;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        if read == 0 {
            table.send();
            return (bytes, records);
        }
    }
}

fn row_end(bytes: &[u8], is_csv: bool) -> Option<usize> {
    let before: u8 = if is_csv { b'\r' } else { b'}' };
    memchr::memchr_iter(b'\n', bytes)
        .find(|&at| at > 1 && bytes[at - 1] == before && (!is_csv || bytes[at - 2] == b'"'))
        .map(|at| at + 1)
}

fn split_csv<'r>(row: &'r [u8], columns: &mut [&'r [u8]; COLUMNS]) {
    let mut rest = &row[1..];
    for column in columns {
        let end = memchr::memmem::find(rest, b"\";\"").unwrap_or(rest.len().saturating_sub(3));
        *column = &rest[..end];
        rest = rest.get(end + 3..).unwrap_or_default();
    }
}

fn split_json<'r>(row: &'r [u8], columns: &mut [&'r [u8]; COLUMNS]) {
    let mut quotes = memchr::memchr_iter(b'"', row).filter(|&at| row[at - 1] != b'\\');
    for column in columns {
        let (_key, _key_end) = (quotes.next(), quotes.next());
        let (Some(start), Some(end)) = (quotes.next(), quotes.next()) else { return };
        *column = &row[start + 1..end];
    }
}

/// A connection to the table, and the call that is being built.
struct TableSocket {
    socket: BufReader<TcpStream>,
    host: String,
    body: Vec<u8>,
    head: Vec<u8>,
    text: String,
    puts: usize,
    /// Puts the Portal's rows.
    is_latin: bool,
    signing_key: [u8; 32],
    day: String,
}

impl TableSocket {
    fn connect(host: &str, is_latin: bool) -> Self {
        let socket = TcpStream::connect(host).unwrap();
        socket.set_nodelay(true).unwrap();
        let day = now().0;
        let mut signing_key = hmac(b"AWS4test", day.as_bytes());
        for part in ["us-east-1", "dynamodb", "aws4_request"] {
            signing_key = hmac(&signing_key, part.as_bytes());
        }
        let (body, head, text) = (Vec::new(), Vec::new(), String::new());
        Self {
            socket: BufReader::new(socket),
            host: host.to_owned(),
            body,
            head,
            text,
            puts: 0,
            is_latin,
            signing_key,
            day,
        }
    }

    fn add(&mut self, columns: &[&[u8]; COLUMNS]) {
        self.body.extend_from_slice(match self.puts {
            0 => br#"{"RequestItems":{"bench":["#,
            _ => b",",
        });
        self.body.extend_from_slice(br#"{"PutRequest":{"Item":{"#);
        let decoded = if self.is_latin {
            columns.map(encoding_rs::mem::decode_latin1)
        } else {
            columns.map(String::from_utf8_lossy)
        };
        let columns = Columns(std::array::from_fn(|at| &*decoded[at]));
        let (id, issued, out) = (columns.0[0], columns.0[5], &mut self.body);
        let [year, month, day] = [6..10, 3..5, 0..2].map(|range| issued.get(range).unwrap_or_default());
        let [hour, minute, second] = [11..13, 14..16, 17..19].map(|range| issued.get(range).unwrap_or_default());
        let shard = ["0", "1", "2", "3", "4", "5", "6", "7"][usize::from(columns.shard())];
        parts(out, "PK", &["N#", id]);
        parts(out, "SK", &["H"]);
        texts(out, &columns, &TEXTS);
        parts(out, "at", &[year, "-", month, "-", day, "T", hour, ":", minute, ":", second]);
        parts(out, "st", &["authorized"]);
        let (status_at, total) = (columns.0[7], columns.total());
        let [year_of, month_of, day_of] = [6..10, 3..5, 0..2].map(|range| status_at.get(range).unwrap_or_default());
        parts(out, "st_at", &[year_of, "-", month_of, "-", day_of, "T", status_at.get(11..).unwrap_or_default()]);
        parts(out, "model", &[columns.model()]);
        parts(out, "total", &[total.0, ".", total.1]);
        for (name, of) in [("iss", &ISSUER[..]), ("rcp", &RECIPIENT), ("x", &EXTRA)] {
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(br#"":{"M":{"#);
            texts(out, &columns, of);
            out.pop();
            out.extend_from_slice(b"}},");
        }
        parts(out, "src", &["0123456789abcdef01234567"]);
        out.extend_from_slice(br#""rec":{"N":"1"},"#);
        parts(out, "IK", &["I#", columns.0[8], "#", shard]);
        parts(out, "IS", &[year, month, day, "T", hour, minute, second, "#", id]);
        parts(out, "RK", &["R#", columns.0[13], "#", shard]);
        parts(out, "RS", &[year, month, day, "T", hour, minute, second, "#", id]);
        parts(out, "MK", &["M#", year, month, "#", shard]);
        parts(out, "MS", &[day, "T", hour, minute, second, "#", id]);
        out.pop();
        out.extend_from_slice(b"}}}");
        self.puts += 1;
        if self.puts == PUTS {
            self.send();
        }
    }

    fn send(&mut self) {
        if std::mem::take(&mut self.puts) == 0 {
            return;
        }
        self.body.extend_from_slice(b"]}}");
        self.sign();
        let socket = self.socket.get_mut();
        socket.write_all(&self.head).unwrap();
        socket.write_all(&self.body).unwrap();
        self.body.clear();
        let mut length = 0;
        loop {
            self.text.clear();
            self.socket.read_line(&mut self.text).unwrap();
            if let Some(value) = self.text.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if self.text == "\r\n" {
                break;
            }
        }
        self.head.resize(length, 0);
        self.socket.read_exact(&mut self.head).unwrap();
        assert!(self.head.starts_with(br#"{"UnprocessedItems":{}"#));
    }

    /// Returns the head of the request, with its signature.
    fn sign(&mut self) {
        let (host, day, time) = (&self.host, &self.day, now().1);
        let (target, names) = ("DynamoDB_20120810.BatchWriteItem", "host;x-amz-date;x-amz-target");
        let canonical = format!(
            "POST\n/\n\nhost:{host}\nx-amz-date:{time}\nx-amz-target:{target}\n\n{names}\n{}",
            hex(&digest(&self.body))
        );
        let scope = format!("{day}/us-east-1/dynamodb/aws4_request");
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&digest(canonical)));
        let signature = hex(&hmac(&self.signing_key, to_sign.as_bytes()));
        self.head.clear();
        write!(
            self.head,
            "POST / HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-amz-json-1.0\r\nx-amz-date: {time}\r\nx-amz-target: \
             {target}\r\ncontent-length: {}\r\nauthorization: AWS4-HMAC-SHA256 Credential=test/{scope}, \
             SignedHeaders={names}, Signature={signature}\r\n\r\n",
            self.body.len()
        )
        .unwrap();
    }
}

fn texts(out: &mut Vec<u8>, columns: &Columns<'_>, names: &[(usize, &str)]) {
    for (at, name) in names {
        parts(out, name, &[columns.0[*at]]);
    }
}

fn parts(out: &mut Vec<u8>, name: &str, parts: &[&str]) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(br#"":{"S":""#);
    for part in parts {
        // Characters that need an escape are left out: doubled quotes and line breaks, which are rare in the file.
        let end = memchr::memchr3(b'"', b'\n', b'\r', part.as_bytes()).unwrap_or(part.len());
        out.extend_from_slice(&part.as_bytes()[..end]);
    }
    out.extend_from_slice(br#""},"#);
}

/// Computes HMAC-SHA-256 with a key of at most one block (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; HASH_BLOCK_BYTES];
    block[..key.len()].copy_from_slice(key);
    let hash = |pad: u8, message: &[u8]| {
        let mut hasher = Sha256::new();
        hasher.update(block.map(|byte| byte ^ pad));
        hasher.update(message);
        hasher.finish()
    };
    hash(0x5c, &hash(0x36, message))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect()
}

/// Returns day and time in the format of the signature.
fn now() -> (String, String) {
    let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap();
    (now.strftime("%Y%m%d").to_string(), now.strftime("%Y%m%dT%H%M%SZ").to_string())
}
