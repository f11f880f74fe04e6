//! One version of an object, whose bytes are read by ranges.

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

/// Identifies one version of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Bucket of an S3 object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Key of an S3 object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Version id of an S3 object in a bucket with versioning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// `ETag` of an S3 object, with its quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Absolute path of a local file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Time of the last change: to the second for an S3 object, to the nanosecond for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<jiff::Timestamp>,
    /// Stored length in bytes.
    pub size_bytes: u64,
    /// Layout named in the metadata of an S3 object (`x-amz-meta-layout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
}

impl Identity {
    /// Returns `bucket/key` or the path, which all versions of the object share; empty if there is neither.
    #[must_use]
    pub fn name(&self) -> String {
        match (&self.bucket, &self.key, &self.path) {
            (Some(bucket), Some(key), _) => format!("{bucket}/{key}"),
            (_, _, path) => path.clone().unwrap_or_default(),
        }
    }

    /// Returns one string that identifies the version and never changes. For an S3 object: bucket, key and version id
    /// (without a version id, `ETag` and modification time). For a file: path, size and modification time.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let modified = self.modified.map(|modified| modified.as_nanosecond().to_string());
        let parts = match (&self.path, &self.version_id) {
            (Some(path), _) => serde_json::json!(["file", path, self.size_bytes, modified]),
            // All objects written while versioning is off or suspended have the version id "null".
            (None, Some(version)) if version != "null" => serde_json::json!(["s3", self.bucket, self.key, version]),
            (None, _) => serde_json::json!(["s3", self.bucket, self.key, self.etag, modified]),
        };
        parts.to_string()
    }
}

/// Escapes control characters in a name, so that it cannot move the cursor of a terminal or start a new line in a log.
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

/// Where the bytes of a [`Source`] come from: a local file, or an object in a store.
///
/// A value stands for one version of one object. To add a store, implement this trait and pass the value to
/// [`Source::from_origin`] with the [`Identity`] of that version.
pub trait Origin: fmt::Debug + Send + Sync {
    /// Looks up the version that is now the newest under the same name. It may differ from the version of this value.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] if the object no longer exists; otherwise the errors of opening the source.
    fn newest(&self) -> BoxFuture<'_, Result<Identity, ReadError>>;

    /// Returns the stored bytes of `range` in order, in chunks of any length. [`Source::open`] keeps `range` within the
    /// source.
    ///
    /// The implementation guarantees that
    /// - the stream reads nothing before its first poll, and dropping it stops all reads;
    /// - all bytes belong to this version: if the object has changed, the stream fails with [`ReadError::Changed`];
    /// - the stream gives exactly the bytes of `range`, or ends with an error and gives nothing after it;
    /// - the stream retries what can be retried. An error that is not permanent means that it gave up;
    /// - memory is bounded, whatever the length of `range`.
    fn stream(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, ReadError>>;
}

impl Source {
    /// Creates a source of the version `identity`, whose bytes come from `origin`.
    #[must_use]
    pub fn from_origin(identity: Arc<Identity>, origin: Arc<dyn Origin>) -> Self {
        Self { identity, origin }
    }

    /// Looks up the newest version of the object. Returns `None` if the object no longer exists.
    ///
    /// # Errors
    /// The errors of opening the source, except that a missing object is not an error.
    pub async fn newest(&self) -> Result<Option<Identity>, ReadError> {
        match self.origin.newest().await {
            Ok(identity) => Ok(Some(identity)),
            Err(ReadError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the identity of this version.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Stored length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.identity.size_bytes
    }

    /// Returns whether the source has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a [`Place`] that names this source.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::of(self)
    }

    /// Opens a stream of the bytes from `range.start` up to `range.end` (exclusive), or to the end of the source.
    ///
    /// The stream keeps the guarantees of [`Origin::stream`]. An S3 object is read by several requests at once when the
    /// caller takes bytes faster than one request delivers them; up to 6 MiB then wait in memory.
    #[must_use]
    pub fn open(&self, range: Range<u64>) -> SourceStream {
        let range = range.start.min(self.len())..range.end.min(self.len());
        SourceStream(self.origin.stream(range))
    }

    /// Reads all bytes of a short range. The caller bounds its length.
    ///
    /// # Errors
    /// The errors of [`Source::open`]; a range beyond the end of the source; a stream that ends too early.
    pub async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, ReadError> {
        if range.end > self.len() {
            let expected = format!("{} more bytes", range.end - self.len());
            return Err(ReadError::truncated(self.place().at_stored_byte(self.len()), expected));
        }
        let (end, expected_bytes) = (range.end, range.end.saturating_sub(range.start));
        let mut bytes = Vec::new();
        let mut stream = self.open(range);
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        if bytes.len() as u64 != expected_bytes {
            let expected = format!("{expected_bytes} bytes in the range that ends here");
            return Err(ReadError::truncated(self.place().at_stored_byte(end), expected));
        }
        Ok(bytes)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(f)
    }
}

/// The bytes of a range of a [`Source`], in order, in the chunks that arrive.
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
    fn printable_escapes_control_characters() {
        assert_eq!(printable("São Paulo +1.csv"), "São Paulo +1.csv");
        assert_eq!(printable("a\n\u{1b}[2J.csv"), "a\\n\\u{1b}[2J.csv");
    }

    #[test]
    fn the_fingerprint_identifies_the_version() {
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
