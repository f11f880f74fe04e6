//! Why reading stops.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An error of any kind, kept as the cause of ours.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Where in a source something stands. What is not known is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The object, as `s3://bucket/key` or a path; empty where the bytes have no name.
    pub object: String,
    /// The entry of an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Physical line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Byte of the decoded entry, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// Byte of the object as it is stored, from 0, where that differs from `byte`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_byte: Option<u64>,
}

impl Place {
    /// A place of which only the object is known.
    #[must_use]
    pub fn of(object: impl fmt::Display) -> Self {
        Self { object: object.to_string(), ..Self::default() }
    }

    /// The same object and entry, at this decoded byte.
    #[must_use]
    pub fn at_byte(mut self, byte: u64) -> Self {
        self.byte = Some(byte);
        self
    }

    /// The same object and entry, at this byte as it is stored.
    #[must_use]
    pub fn at_stored_byte(mut self, byte: u64) -> Self {
        self.stored_byte = Some(byte);
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.object.is_empty() { "input" } else { &self.object })?;
        if let Some(entry) = &self.entry {
            write!(f, ", entry {entry:?}")?;
        }
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(byte) = self.byte {
            write!(f, ", byte {byte}")?;
        }
        if let Some(byte) = self.stored_byte {
            write!(f, ", stored byte {byte}")?;
        }
        Ok(())
    }
}

/// Why reading stops. One kind, one policy: [`ReadError::is_permanent`].
///
/// Travels through [`tokio::io::AsyncRead`] inside an [`io::Error`] and comes out whole by `From`.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such file, key or version. Permanent.
    #[error("{object}: there is no such {what}: check the name")]
    NotFound {
        /// The object.
        object: String,
        /// `file`, `key` or `version`.
        what: &'static str,
    },
    /// No such bucket. Permanent.
    #[error("bucket {bucket:?} does not exist here: check its name, the region and the endpoint, or create it")]
    NoBucket {
        /// The bucket.
        bucket: String,
    },
    /// It may not be read. Permanent.
    #[error("{object}: access denied ({detail}): {remedy}")]
    Denied {
        /// The object.
        object: String,
        /// What the other side said.
        detail: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The credentials are missing, wrong or expired. Permanent.
    #[error(
        "{object}: the AWS credentials were not accepted ({detail}): check AWS_PROFILE or AWS_ACCESS_KEY_ID and its kin"
    )]
    Credentials {
        /// The object.
        object: String,
        /// What is wrong with them.
        detail: String,
    },
    /// It is no longer the version that was planned. Permanent: another version is another ingestion.
    #[error(
        "{object}: the object changed while it was being read (expected {expected}, found {found}): \
         ingest it again once it is complete"
    )]
    Changed {
        /// The object.
        object: String,
        /// The version that was being read.
        expected: String,
        /// What stands there now.
        found: String,
    },
    /// Refused for good by the service or the file system. Permanent.
    #[error("{object}: refused ({detail})")]
    Refused {
        /// The object.
        object: String,
        /// What the other side said.
        detail: String,
    },
    /// No byte came for too long, although it was tried again and again. Not permanent.
    #[error("{place}: not a byte in {} s of trying ({source}): try again later", waited.as_secs())]
    Unavailable {
        /// Where reading stands.
        place: Box<Place>,
        /// Since when nothing came.
        waited: Duration,
        /// The last failure.
        source: BoxError,
    },
    /// The operating system could not read. Not permanent.
    #[error("{place}: cannot be read: {source}")]
    Io {
        /// Where reading stands.
        place: Box<Place>,
        /// Why.
        source: io::Error,
    },
    /// The bytes end where they must not. Permanent.
    #[error("{place}: cut short: expected {expected}, found the end: get a whole copy")]
    Truncated {
        /// Where it ends.
        place: Box<Place>,
        /// What should have followed.
        expected: String,
    },
    /// The bytes are damaged. Permanent.
    #[error("{place}: damaged: expected {expected}, found {found}: get a whole copy")]
    Corrupt {
        /// Where.
        place: Box<Place>,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A byte that JSON does not have there; nothing behind it is certain. Permanent.
    #[error("{place}: invalid JSON: expected {expected}, found {found}: mend it and ingest again")]
    InvalidJson {
        /// Where.
        place: Box<Place>,
        /// What should stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// Of a kind that is not read. Permanent.
    #[error("{place}: {found} is not read: {remedy}")]
    Unsupported {
        /// What it is about.
        place: Box<Place>,
        /// What stands there.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A record that does not end within the limit; nothing behind it is certain. Permanent.
    #[error(
        "{place}: the record that begins here is longer than {limit_bytes} bytes: \
         most likely a quote that is never closed; mend it and ingest again"
    )]
    RecordTooLong {
        /// Where the record begins.
        place: Box<Place>,
        /// The limit.
        limit_bytes: usize,
    },
    /// The reader was used after an error, or after a read that was dropped half way: what follows is not certain.
    /// A mistake in the program; permanent.
    #[error("a reader was used after it had failed or had been interrupted: please report this as a defect")]
    Spent,
}

impl ReadError {
    /// Whether reading the same version again would end the same way.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Unavailable { .. } | Self::Io { .. })
    }

    /// Where in the source, where that is known.
    #[must_use]
    pub fn position(&self) -> Option<&Place> {
        match self {
            Self::Unavailable { place, .. }
            | Self::Io { place, .. }
            | Self::Truncated { place, .. }
            | Self::Corrupt { place, .. }
            | Self::InvalidJson { place, .. }
            | Self::Unsupported { place, .. }
            | Self::RecordTooLong { place, .. } => Some(place),
            _ => None,
        }
    }

    /// Names object and entry in an error of a reader that did not know them.
    #[must_use]
    pub fn called(mut self, name: &Place) -> Self {
        if let Self::Unavailable { place, .. }
        | Self::Io { place, .. }
        | Self::Truncated { place, .. }
        | Self::Corrupt { place, .. }
        | Self::InvalidJson { place, .. }
        | Self::Unsupported { place, .. }
        | Self::RecordTooLong { place, .. } = &mut self
            && place.object.is_empty()
        {
            place.object.clone_from(&name.object);
            place.entry.clone_from(&name.entry);
        }
        self
    }

    /// The bytes at `place` are damaged.
    pub fn corrupt(place: Place, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Corrupt { place: Box::new(place), expected: expected.into(), found: found.into() }
    }

    pub(super) fn truncated(place: Place, expected: impl Into<String>) -> Self {
        Self::Truncated { place: Box::new(place), expected: expected.into() }
    }

    pub(super) fn unsupported(place: Place, found: impl Into<String>, remedy: &'static str) -> Self {
        Self::Unsupported { place: Box::new(place), found: found.into(), remedy }
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match &error {
            ReadError::NotFound { .. } | ReadError::NoBucket { .. } => io::ErrorKind::NotFound,
            ReadError::Denied { .. } | ReadError::Credentials { .. } => io::ErrorKind::PermissionDenied,
            ReadError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            ReadError::Unavailable { .. } => io::ErrorKind::TimedOut,
            ReadError::Io { source, .. } => source.kind(),
            ReadError::Unsupported { .. } => io::ErrorKind::Unsupported,
            ReadError::Corrupt { .. } | ReadError::InvalidJson { .. } | ReadError::RecordTooLong { .. } => {
                io::ErrorKind::InvalidData
            }
            ReadError::Changed { .. } | ReadError::Refused { .. } | ReadError::Spent => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(|source| Self::Io { place: Box::default(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_travels_through_io() {
        let sent = ReadError::truncated(Place::of("x.gz").at_byte(7), "a trailer");
        let text = sent.to_string();
        let back = ReadError::from(io::Error::from(sent));
        assert!(matches!(&back, ReadError::Truncated { .. }));
        assert_eq!(back.to_string(), text);
        assert_eq!(text, "x.gz, byte 7: cut short: expected a trailer, found the end: get a whole copy");
        let foreign = ReadError::from(io::Error::other("disk on fire")).called(&Place::of("a.csv"));
        assert!(!foreign.is_permanent());
        assert_eq!(foreign.to_string(), "a.csv: cannot be read: disk on fire");
    }

    #[test]
    fn a_place_reads_as_a_sentence_part() {
        let place = Place { entry: Some("a.csv".to_owned()), line: Some(3), ..Place::of("s3://b/k.zip") };
        assert_eq!(
            place.at_byte(9).at_stored_byte(4).to_string(),
            "s3://b/k.zip, entry \"a.csv\", line 3, byte 9, stored byte 4"
        );
        assert_eq!(Place::default().to_string(), "input");
    }
}
