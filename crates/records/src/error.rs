//! The reasons why reading stops, and where in the source.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An error of any type, kept as the cause of a [`ReadError`].
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A place in a source, for messages. Fields that are not known are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The object, as `s3://bucket/key` or a path; empty if the bytes have no name.
    pub object: String,
    /// The entry of an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Physical line, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Byte of the decoded entry, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// Byte of the stored object, counted from 0, if it differs from `byte`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_byte: Option<u64>,
}

impl Place {
    /// Creates a place of which only the object is known.
    #[must_use]
    pub fn of(object: impl fmt::Display) -> Self {
        Self { object: object.to_string(), ..Self::default() }
    }

    /// Sets the decoded byte.
    #[must_use]
    pub(crate) fn at_byte(mut self, byte: u64) -> Self {
        self.byte = Some(byte);
        self
    }

    /// Sets the byte of the stored object.
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

/// The reason why reading stops. Each variant states its policy: permanent or not ([`ReadError::is_permanent`]).
///
/// The error passes through [`tokio::io::AsyncRead`] inside an [`io::Error`], and `From` returns it unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file, key or version does not exist. Permanent.
    #[error("{object}: no such {what}: check the name")]
    NotFound {
        /// The object.
        object: String,
        /// `file`, `key` or `version`.
        what: &'static str,
    },
    /// The bucket does not exist. Permanent.
    #[error("bucket {bucket:?} does not exist here: check its name, the region and the endpoint, or create it")]
    NoBucket {
        /// The bucket.
        bucket: String,
    },
    /// The caller may not read the object. Permanent.
    #[error("{object}: access denied ({detail}): {remedy}")]
    Denied {
        /// The object.
        object: String,
        /// The reason that the service or the file system gave.
        detail: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The credentials are missing, wrong or expired. Permanent.
    #[error(
        "{object}: the AWS credentials were not accepted ({detail}): check AWS_PROFILE, or \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Credentials {
        /// The object.
        object: String,
        /// What is wrong with them.
        detail: String,
    },
    /// The object is no longer the planned version. Permanent: another version is another ingestion.
    #[error(
        "{object}: the object changed while it was being read (expected {expected}, found {found}): \
         ingest it again once it is complete"
    )]
    Changed {
        /// The object.
        object: String,
        /// The version that was being read.
        expected: String,
        /// The version that is there now.
        found: String,
    },
    /// The service or the file system refuses to read the object. Permanent.
    #[error("{object}: refused ({detail})")]
    Refused {
        /// The object.
        object: String,
        /// The reason that the service or the file system gave.
        detail: String,
    },
    /// No byte arrived for too long, in spite of retries. Not permanent.
    #[error("{place}: no byte arrived in {} s of retries ({source}): try again later", waited.as_secs())]
    Unavailable {
        /// Where reading stopped.
        place: Box<Place>,
        /// Time since the last byte or the first attempt.
        waited: Duration,
        /// The last failure.
        source: BoxError,
    },
    /// The operating system failed to read. Not permanent.
    #[error("{place}: cannot be read: {source}")]
    Io {
        /// Where reading stopped.
        place: Box<Place>,
        /// The cause.
        source: io::Error,
    },
    /// The bytes end too early. Permanent.
    #[error("{place}: cut short: expected {expected}, found the end: get a complete copy")]
    Truncated {
        /// Where the bytes end.
        place: Box<Place>,
        /// What should follow.
        expected: String,
    },
    /// The bytes are damaged. Permanent.
    #[error("{place}: damaged: expected {expected}, found {found}: get a complete copy")]
    Corrupt {
        /// Where the error is.
        place: Box<Place>,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A byte that JSON does not allow there. Nothing after it can be trusted. Permanent.
    #[error("{place}: invalid JSON: expected {expected}, found {found}: correct the file and ingest it again")]
    InvalidJson {
        /// Where the error is.
        place: Box<Place>,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A format or feature that is not supported. Permanent.
    #[error("{place}: {found} is not supported: {remedy}")]
    Unsupported {
        /// Where it is.
        place: Box<Place>,
        /// What is there.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A record that does not end within the limit. Nothing after it can be trusted. Permanent.
    #[error(
        "{place}: the record that begins here is longer than {limit_bytes} bytes, \
         most likely because a quote is never closed: correct the file and ingest it again"
    )]
    RecordTooLong {
        /// Where the record begins.
        place: Box<Place>,
        /// The limit.
        limit_bytes: usize,
    },
    /// The reader was used after an error, or after a read that was dropped before its end: bytes may be lost.
    /// This is a defect of the program. Permanent.
    #[error("a reader was used after it had failed or had been interrupted: please report this as a defect")]
    UsedAfterError,
}

impl ReadError {
    /// Returns whether reading the same version again would fail in the same way. The caller retries the other errors.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Io { .. } => false,
            Self::NotFound { .. }
            | Self::NoBucket { .. }
            | Self::Denied { .. }
            | Self::Credentials { .. }
            | Self::Changed { .. }
            | Self::Refused { .. }
            | Self::Truncated { .. }
            | Self::Corrupt { .. }
            | Self::InvalidJson { .. }
            | Self::Unsupported { .. }
            | Self::RecordTooLong { .. }
            | Self::UsedAfterError => true,
        }
    }

    /// Returns the place in the source, if the error has one.
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
            Self::NotFound { .. }
            | Self::NoBucket { .. }
            | Self::Denied { .. }
            | Self::Credentials { .. }
            | Self::Changed { .. }
            | Self::Refused { .. }
            | Self::UsedAfterError => None,
        }
    }

    fn place_mut(&mut self) -> Option<&mut Place> {
        match self {
            Self::Unavailable { place, .. }
            | Self::Io { place, .. }
            | Self::Truncated { place, .. }
            | Self::Corrupt { place, .. }
            | Self::InvalidJson { place, .. }
            | Self::Unsupported { place, .. }
            | Self::RecordTooLong { place, .. } => Some(place),
            Self::NotFound { .. }
            | Self::NoBucket { .. }
            | Self::Denied { .. }
            | Self::Credentials { .. }
            | Self::Changed { .. }
            | Self::Refused { .. }
            | Self::UsedAfterError => None,
        }
    }

    /// Adds object and entry to an error from a reader that does not know them.
    #[must_use]
    pub fn called(mut self, name: &Place) -> Self {
        if let Some(place) = self.place_mut()
            && place.object.is_empty()
        {
            place.object.clone_from(&name.object);
            place.entry.clone_from(&name.entry);
        }
        self
    }

    /// Creates the error for damaged bytes at `place`.
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
            ReadError::Changed { .. } | ReadError::Refused { .. } | ReadError::UsedAfterError => io::ErrorKind::Other,
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
    fn an_error_passes_through_io_unchanged() {
        let sent = ReadError::truncated(Place::of("x.gz").at_byte(7), "a trailer");
        let text = sent.to_string();
        let back = ReadError::from(io::Error::from(sent));
        assert!(matches!(&back, ReadError::Truncated { .. }));
        assert_eq!(back.to_string(), text);
        assert_eq!(text, "x.gz, byte 7: cut short: expected a trailer, found the end: get a complete copy");
        let foreign = ReadError::from(io::Error::other("disk on fire")).called(&Place::of("a.csv"));
        assert!(!foreign.is_permanent());
        assert_eq!(foreign.to_string(), "a.csv: cannot be read: disk on fire");
    }

    #[test]
    fn a_place_is_shown_with_all_that_is_known() {
        let place = Place { entry: Some("a.csv".to_owned()), line: Some(3), ..Place::of("s3://b/k.zip") };
        assert_eq!(
            place.at_byte(9).at_stored_byte(4).to_string(),
            "s3://b/k.zip, entry \"a.csv\", line 3, byte 9, stored byte 4"
        );
        assert_eq!(Place::default().to_string(), "input");
    }
}
