//! A source: one version of an object, whose bytes are read by ranges.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::error::{Place, ReadError};

/// What names one version of an object for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Bucket of an S3 object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Key of an S3 object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Version id of an S3 object in a bucket with versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// `ETag` of an S3 object, with its quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Absolute path of a local file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// When it was modified: to the second for an S3 object, to the nanosecond for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<jiff::Timestamp>,
    /// Length in bytes, as it is stored.
    pub size_bytes: u64,
    /// Layout that the metadata of an S3 object names (`x-amz-meta-layout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
}

impl Identity {
    /// `bucket/key`, or the path: what all versions of it have in common.
    #[must_use]
    pub fn name(&self) -> String {
        match (&self.bucket, &self.key, &self.path) {
            (Some(bucket), Some(key), _) => format!("{bucket}/{key}"),
            (_, _, path) => path.clone().unwrap_or_default(),
        }
    }

    /// What identifies the version, as one string that is the same for ever: bucket, key and version id (without one,
    /// `ETag` and modification time); of a file path, size and modification time.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let modified = self.modified.map(|modified| modified.as_nanosecond().to_string());
        let parts = match (&self.path, &self.version_id) {
            (Some(path), _) => serde_json::json!(["file", path, self.size_bytes, modified]),
            // Objects written while versioning is off or suspended all bear the version id "null".
            (None, Some(version)) if version != "null" => serde_json::json!(["s3", self.bucket, self.key, version]),
            (None, _) => serde_json::json!(["s3", self.bucket, self.key, self.etag, modified]),
        };
        parts.to_string()
    }
}

/// A name as it can be shown: what would move a terminal's cursor or begin a new line of a log is escaped.
#[must_use]
pub fn printable(name: &str) -> Cow<'_, str> {
    if !name.contains(char::is_control) {
        return Cow::Borrowed(name);
    }
    let shown = name.chars().flat_map(|c| {
        let escaped = c.is_control().then(|| c.escape_default());
        let plain = escaped.is_none().then_some(c);
        escaped.into_iter().flatten().chain(plain)
    });
    Cow::Owned(shown.collect())
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.bucket, &self.key, &self.path) {
            (Some(bucket), Some(key), _) => write!(f, "s3://{bucket}/{}", printable(key)),
            (_, _, Some(path)) => f.write_str(&printable(path)),
            _ => f.write_str("input"),
        }
    }
}

/// One version of an object. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Source {
    identity: Arc<Identity>,
    origin: Arc<dyn Origin>,
}

/// Where the bytes of a [`Source`] come from: a file, an object of a store.
pub trait Origin: fmt::Debug + Send + Sync {
    /// Identifies the version that is the newest now.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] if the object no longer exists; otherwise as for opening the source.
    fn newest(&self) -> BoxFuture<'_, Result<Identity, ReadError>>;

    /// Returns the bytes of `range`, which lies within the source, in order. The stream reads nothing before it is polled, ends
    /// early only with an error, and gives nothing after an error.
    fn stream(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, ReadError>>;
}

impl Source {
    /// Makes a source of the version `identity`, whose bytes `origin` gives.
    #[must_use]
    pub fn from_origin(identity: Arc<Identity>, origin: Arc<dyn Origin>) -> Self {
        Self { identity, origin }
    }

    /// What stands where this version was found, as it stands now; none if nothing does.
    ///
    /// # Errors
    /// As for opening the source, except that a missing object is not an error.
    pub async fn newest(&self) -> Result<Option<Identity>, ReadError> {
        match self.origin.newest().await {
            Ok(identity) => Ok(Some(identity)),
            Err(ReadError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What names this version.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Length in bytes, as it is stored.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.identity.size_bytes
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// This source as the object of a [`Place`].
    #[must_use]
    pub fn place(&self) -> Place {
        Place::of(self)
    }

    /// Its bytes from `range.start` up to but without `range.end`, or to the end if that comes first.
    ///
    /// Nothing is read before the stream is polled. The stream ends early only with an error, after which it gives nothing
    /// more. How the bytes are fetched is this function's own affair: those of an object come by several requests at once as
    /// soon as they are taken faster than one brings them, and up to 6 MiB of them wait in memory. Dropping the stream closes
    /// all of them.
    #[must_use]
    pub fn open(&self, range: Range<u64>) -> SourceStream {
        let range = range.start.min(self.len())..range.end.min(self.len());
        SourceStream(self.origin.stream(range))
    }

    /// The bytes of a short range, whole. The caller bounds its length.
    ///
    /// # Errors
    /// As the stream of [`Source::open`]; a range that goes beyond the end.
    pub async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, ReadError> {
        if range.end > self.len() {
            let expected = format!("{} more bytes", range.end - self.len());
            return Err(ReadError::truncated(self.place().at_stored_byte(self.len()), expected));
        }
        let mut bytes = Vec::new();
        let mut stream = self.open(range);
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(f)
    }
}

/// The bytes of a range of a [`Source`], in order, in chunks as they come.
pub struct SourceStream(BoxStream<'static, Result<Bytes, ReadError>>);

#[cfg(test)]
impl SourceStream {
    pub(super) fn of(stream: impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl Stream for SourceStream {
    type Item = Result<Bytes, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for SourceStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceStream")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_in_names_are_escaped_where_they_are_shown() {
        assert_eq!(printable("São Paulo +1.csv"), "São Paulo +1.csv");
        assert_eq!(printable("a\n\u{1b}[2J.csv"), "a\\n\\u{1b}[2J.csv");
    }

    #[test]
    fn the_fingerprint_names_the_version() {
        let object = Identity {
            bucket: Some("b".to_owned()),
            key: Some("k".to_owned()),
            version_id: Some("v1".to_owned()),
            etag: Some("\"e\"".to_owned()),
            modified: jiff::Timestamp::from_second(5).ok(),
            size_bytes: 3,
            path: None,
            layout: None,
        };
        assert_eq!(object.fingerprint(), r#"["s3","b","k","v1"]"#);
        let unversioned = r#"["s3","b","k","\"e\"","5000000000"]"#;
        assert_eq!(Identity { version_id: None, ..object.clone() }.fingerprint(), unversioned);
        assert_eq!(Identity { version_id: Some("null".to_owned()), ..object.clone() }.fingerprint(), unversioned);
        assert_eq!(object.to_string(), "s3://b/k");
        let file = Identity { path: Some("/x".to_owned()), bucket: None, key: None, ..object };
        assert_eq!(file.fingerprint(), r#"["file","/x",3,"5000000000"]"#);
    }
}
