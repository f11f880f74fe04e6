//! One stretch of data in a source, and how its bytes are stored.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the bytes of an entry are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all: the object itself.
    None,
    /// One or several gzip members: the object itself.
    Gzip,
    /// One or several zstd frames: the object itself, or in a zip.
    Zstd,
    /// Raw deflate, in a zip.
    Deflate,
    /// Not at all, in a zip.
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

/// One stretch of data in a source: the object itself, or a file in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the archive; none for the object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How its bytes are stored.
    pub compression: Compression,
    /// First byte in the object; in a zip, of the entry's local header.
    pub offset: u64,
    /// Stored bytes.
    pub compressed_size: u64,
    /// Decoded bytes, where the archive tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// CRC-32 of the decoded bytes, where the archive tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32: Option<u32>,
    /// Why it cannot be read; none if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
}
