//! Detects the container of a source from its content, never from its name.

use serde::{Deserialize, Serialize};

pub use super::entry::{Compression, Encoding, Entry};
use super::error::ReadError;
use super::source::Source;
pub use super::text::{EntryReader, open_entry};
use super::zip;

/// How a source holds its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// The bytes are the data.
    Plain,
    /// One or more gzip members.
    Gzip,
    /// One or more zstd frames.
    Zstd,
    /// A zip archive.
    Zip,
}

/// The container of a source and its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// How it holds its data.
    pub container: Container,
    /// The files of an archive in the order of its directory, or else one entry for the object itself.
    pub entries: Vec<Entry>,
}

/// Bytes read to detect the container: more than any signature below.
const HEAD_BYTES: u64 = 16;

const GZIP: &[u8] = b"\x1f\x8b\x08";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// The signature of a skippable zstd frame, after a first byte of 0x50 to 0x5f.
const ZSTD_SKIPPED: &[u8] = b"\x2a\x4d\x18";
const ZIP: &[u8] = b"PK\x03\x04";
/// A zip without entries begins with the end of its directory.
const ZIP_EMPTY: &[u8] = b"PK\x05\x06";
/// A zip that was made to be split begins with this mark.
const ZIP_SPANNED: &[u8] = b"PK\x07\x08";

/// Formats that are not supported: offset and bytes of the signature, name and remedy. They are named, because the
/// message would otherwise be about an unknown header. No signature can begin a header line.
const UNSUPPORTED: [(usize, &[u8], &str, &str); 6] = [
    (0, b"\xfd7zXZ\0", "xz", "compress it with gzip"),
    (4, b"1AY&SY", "bzip2", "compress it with gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip", "compress it as zip or gzip"),
    (0, b"Rar!\x1a\x07", "RAR", "compress it as zip or gzip"),
    (0, b"PAR1\x15", "Parquet", "export it as CSV"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook", "save it as CSV UTF-8"),
];

impl Contents {
    /// Reads the first bytes of `source`, and the directory of an archive.
    ///
    /// # Errors
    /// A source that cannot be read; a zip that is cut short, damaged or over the limits of its directory; an
    /// unsupported format.
    pub async fn inspect(source: &Source) -> Result<Self, ReadError> {
        let head = source.read(0..source.len().min(HEAD_BYTES)).await?;
        if [ZIP, ZIP_EMPTY, ZIP_SPANNED].iter().any(|signature| head.starts_with(signature)) {
            return Ok(Self { container: Container::Zip, entries: zip::directory(source).await? });
        }
        if let Some((.., name, remedy)) = unsupported(&head) {
            return Err(ReadError::unsupported(source.place(), *name, remedy));
        }
        let (container, compression) = if head.starts_with(GZIP) {
            (Container::Gzip, Compression::Gzip)
        } else if is_zstd(&head) {
            (Container::Zstd, Compression::Zstd)
        } else {
            (Container::Plain, Compression::None)
        };
        let entry = Entry {
            name: None,
            compression,
            offset: 0,
            compressed_size: source.len(),
            size: (container == Container::Plain).then_some(source.len()),
            crc32: None,
            encoding: Encoding::default(),
            unsupported: None,
        };
        Ok(Self { container, entries: vec![entry] })
    }
}

/// Returns the name of the format of a file in an archive, if it is a format of its own that may hold data.
#[must_use]
pub fn format_within(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(ZIP) {
        return Some("a zip or a workbook");
    }
    if head.starts_with(GZIP) {
        return Some("a gzip");
    }
    if is_zstd(head) {
        return Some("a zstd");
    }
    unsupported(head).map(|(.., name, _)| *name)
}

/// Returns the format of a file that is not supported.
fn unsupported(head: &[u8]) -> Option<&'static (usize, &'static [u8], &'static str, &'static str)> {
    UNSUPPORTED.iter().find(|(at, mark, ..)| head.get(*at..).is_some_and(|bytes| bytes.starts_with(mark)))
}

fn is_zstd(head: &[u8]) -> bool {
    let is_skipped = |rest: &[u8]| rest.starts_with(ZSTD_SKIPPED);
    head.starts_with(ZSTD) || matches!(head, [0x50..=0x5f, rest @ ..] if is_skipped(rest))
}

#[cfg(test)]
mod tests;
