//! The server's state, and how bodies pass between the network and the disk.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use futures::StreamExt as _;
use s3s::dto::StreamingBlob;
use s3s::{S3Result, TrailingHeaders, s3_error};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};
use tokio_util::io::ReaderStream;

use super::digest::{Digests, Expected, Hasher};
use super::events::{ObjectCreated, OnCreated};
use super::store::{Record, Store, Temporary, internal};

/// Bytes read or written at a time. Each file operation moves to another thread, which takes some ten microseconds.
/// With small pieces this would take longer than the copying.
const BUFFER_BYTES: usize = 256 * 1024;

/// Serves the objects of a store.
pub(super) struct Server {
    pub(super) store: Arc<Store>,
    pub(super) on_created: Option<OnCreated>,
}

impl Server {
    /// Runs disk work on a thread that may block.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(|error| internal(error.into()))?
    }

    /// Runs a write on a thread that may block, then calls the listener with the new object.
    pub(super) async fn write(
        &self,
        kind: &'static str,
        bucket: String,
        work: impl FnOnce(&Store, &str) -> S3Result<Record> + Send + 'static,
    ) -> S3Result<Record> {
        let on_created = self.on_created.clone();
        self.on_disk(move |store| {
            let record = work(store, &bucket)?;
            if let Some(on_created) = on_created {
                on_created(ObjectCreated::new(kind, bucket, &record));
            }
            Ok(record)
        })
        .await
    }

    /// Writes a body to a temporary file and checks it. Returns the file, its size in bytes and its digests.
    ///
    /// # Errors
    /// The body ends early or does not match `expected`, or the disk fails.
    pub(super) async fn spool(
        &self,
        body: Option<StreamingBlob>,
        mut expected: Expected,
        trailers: Option<TrailingHeaders>,
    ) -> S3Result<(Temporary, u64, Digests)> {
        let temporary = self.store.temporary();
        let file = temporary.create().map_err(internal)?;
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, tokio::fs::File::from_std(file));
        let mut hasher = Hasher::new(&expected)?;
        let mut size_bytes = 0;
        let mut body = body;
        while let Some(body) = &mut body
            && let Some(bytes) = body.next().await
        {
            let bytes = bytes.map_err(|error| s3_error!(IncompleteBody, "The request body ended early: {error}"))?;
            hasher.update(&bytes);
            size_bytes += bytes.len() as u64;
            file.write_all(&bytes).await.map_err(internal)?;
        }
        // The first flush empties our buffer. The second one waits for the writes that the file does in the background.
        file.flush().await.map_err(internal)?;
        file.get_mut().flush().await.map_err(internal)?;
        if let Some(trailer) = trailers.and_then(|trailers| trailers.take()) {
            expected.add_trailer(&trailer)?;
        }
        let digests = hasher.finish();
        expected.check(&digests, size_bytes)?;
        Ok((temporary, size_bytes, digests))
    }
}

/// Returns the bytes `range` of an open file as a body.
pub(super) async fn stream(file: File, range: Range<u64>) -> S3Result<StreamingBlob> {
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(BUFFER_BYTES);
    file.seek(io::SeekFrom::Start(range.start)).await.map_err(internal)?;
    Ok(StreamingBlob::wrap(ReaderStream::with_capacity(file.take(range.end - range.start), BUFFER_BYTES)))
}
