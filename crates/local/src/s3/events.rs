//! The events of writes, for a listener in this process.

use std::sync::Arc;

use super::store::Record;

/// An object was written: the content of S3's `ObjectCreated` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectCreated {
    /// The operation: `Put`, `Copy` or `CompleteMultipartUpload`.
    pub kind: &'static str,
    /// Bucket name.
    pub bucket: String,
    /// Object key, not encoded.
    pub key: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// `ETag` without quotes.
    pub etag: String,
    /// Grows with each write of one key: 16 hexadecimal digits, compared as text.
    pub sequencer: String,
}

impl ObjectCreated {
    /// Returns the event of the write that `record` describes.
    pub(super) fn new(kind: &'static str, bucket: String, record: &Record) -> Self {
        Self {
            kind,
            bucket,
            key: record.key.clone(),
            size_bytes: record.size_bytes,
            etag: record.etag.clone(),
            sequencer: record.sequencer.clone(),
        }
    }
}

/// Called after each write and before the client has its answer. It runs on a thread that may block.
pub type OnCreated = Arc<dyn Fn(ObjectCreated) + Send + Sync>;
