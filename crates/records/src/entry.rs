//! One entry of a source, and how its bytes are stored.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the bytes of an entry are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Uncompressed: the object itself.
    None,
    /// One or more gzip members: the object itself.
    Gzip,
    /// One or more zstd frames: the object itself, or an entry of a zip.
    Zstd,
    /// Raw deflate in a zip.
    Deflate,
    /// Uncompressed in a zip.
    Stored,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
            Self::Stored => "stored",
        })
    }
}

/// How the text of an entry is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// The decoded bytes are the text: UTF-8, or windows-1252 where they are not valid UTF-8.
    #[default]
    Bytes,
    /// UTF-16, the low byte of each unit first.
    Utf16Le,
    /// UTF-16, the high byte of each unit first.
    Utf16Be,
}

impl Encoding {
    /// Returns the encoding of a text that begins with these bytes: UTF-16 only with a byte order mark.
    #[must_use]
    pub(crate) const fn of_mark(head: &[u8]) -> Self {
        match head {
            [0xff, 0xfe, ..] => Self::Utf16Le,
            [0xfe, 0xff, ..] => Self::Utf16Be,
            _ => Self::Bytes,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    const fn is_bytes(&self) -> bool {
        matches!(self, Self::Bytes)
    }
}

/// An entry of a source: the object itself, or a file in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Name in the archive; `None` for the object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How its bytes are stored.
    pub compression: Compression,
    /// First byte in the object; in a zip, the first byte of the local header.
    pub offset: u64,
    /// Number of stored bytes.
    pub compressed_size: u64,
    /// Number of decoded bytes, if the archive states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// CRC-32 of the decoded bytes, if the archive states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32: Option<u32>,
    /// How its text is encoded. Known once the entry has been opened at its start.
    #[serde(default, skip_serializing_if = "Encoding::is_bytes")]
    pub encoding: Encoding,
    /// The reason why the entry cannot be read; `None` if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
}
