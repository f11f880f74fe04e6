//! Shared code of the fuzz targets.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use notaflux_records::ReadError;
use notaflux_records::reader::RecordReader;
use notaflux_records::record::{Content, Format, Position};
use tokio::io::{AsyncRead, ReadBuf};

/// Runs a future to its end on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future)
}

/// Splits the data into pieces: the first byte gives their sizes.
#[must_use]
pub fn split(data: &[u8]) -> (usize, &[u8]) {
    match data.split_first() {
        Some((first, rest)) => (usize::from(*first).max(1), rest),
        None => (1, data),
    }
}

/// Bytes that arrive in pieces.
struct Pieces<'a> {
    bytes: &'a [u8],
    piece: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let now = self.piece.min(self.bytes.len()).min(buf.remaining());
        let (piece, rest) = self.bytes.split_at(now);
        buf.put_slice(piece);
        self.bytes = rest;
        Poll::Ready(Ok(()))
    }
}

/// A record: its position and its content.
#[derive(Debug, PartialEq)]
struct Found {
    byte: u64,
    end: u64,
    line: u64,
    content: Vec<u8>,
}

fn read(
    data: &[u8],
    format: Format,
    start: Position,
    is_beginning: bool,
    piece: usize,
) -> (Vec<Found>, Option<ReadError>) {
    let bytes = &data[usize::try_from(start.byte).unwrap()..];
    block_on(async {
        let mut reader = RecordReader::new(Pieces { bytes, piece }, format, start, is_beginning);
        let mut found = Vec::new();
        loop {
            match reader.next().await {
                Ok(Some(raw)) => {
                    let content = match raw.content {
                        Content::Json(element) => element.to_vec(),
                        Content::Fields(fields) => format!("{fields:?}").into_bytes(),
                        Content::TooLong => Vec::new(),
                    };
                    assert!(raw.byte >= start.byte && raw.end >= raw.byte && raw.end <= data.len() as u64);
                    if let Content::Json(element) = raw.content {
                        let range = usize::try_from(raw.byte).unwrap()..usize::try_from(raw.end).unwrap();
                        assert_eq!(element, &data[range]);
                    }
                    found.push(Found { byte: raw.byte, end: raw.end, line: raw.line, content });
                }
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error)),
            }
        }
    })
}

/// Reads the records at once, in pieces, and from one record on. All must be the same. Returns their contents, unless
/// there was an error.
///
/// # Panics
/// If the records differ.
pub fn records(data: &[u8], format: Format, start: Position, piece: usize) -> Option<Vec<Vec<u8>>> {
    let (found, error) = read(data, format, start, true, data.len().max(1));
    let message = error.as_ref().map(ToString::to_string);
    let (in_pieces, other) = read(data, format, start, true, piece);
    assert_eq!(found, in_pieces, "in pieces of {piece}");
    assert_eq!(message, other.map(|error| error.to_string()), "in pieces of {piece}");
    if let Some(from) = found.get(piece % found.len().max(1)) {
        let place = Position { byte: from.byte, line: from.line };
        let (rest, other) = read(data, format, place, false, data.len().max(1));
        let expected: Vec<&Found> = found.iter().filter(|record| record.byte >= from.byte).collect();
        assert_eq!(rest.iter().collect::<Vec<_>>(), expected, "from byte {} on", from.byte);
        assert_eq!(message, other.map(|error| error.to_string()), "from byte {} on", from.byte);
    }
    error.is_none().then(|| found.into_iter().map(|record| record.content).collect())
}
