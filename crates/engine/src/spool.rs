//! Copies standard input into the work store: an ingestion reads its source twice.

use std::io::ErrorKind;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::object;
use super::store::WorkStore;
use notaflux_records::source::Source;

/// Size of a part in bytes. S3 accepts at most 10,000 parts, each of at least 5 MiB: 84 GB of input with this size
/// ("Amazon S3 multipart upload limits").
const PART_BYTES: u64 = 8 * 1024 * 1024;

/// Prefix of the keys of copies in the work store.
pub const FOLDER: &str = "spool/";

/// Copies `input` up to its end into a new object of the work store.
///
/// # Errors
/// Input that cannot be read; an error of the work store; `stop` before the end. The parts uploaded until then are
/// removed.
pub async fn spool(
    store: &WorkStore,
    input: impl AsyncRead + Unpin,
    stop: &CancellationToken,
) -> Result<Source, Error> {
    let key = format!("{FOLDER}{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let upload = store.client.create_multipart_upload().bucket(&store.bucket).key(&key).send().await;
    let upload = upload.map_err(|error| store.error(&key, error))?;
    let id = upload.upload_id.ok_or_else(|| store.unexpected(&key, "an upload without an id"))?;
    if let Err(error) = copy(store, &key, &id, input, stop).await {
        let abort = store.client.abort_multipart_upload().bucket(&store.bucket).key(&key).upload_id(&id).send().await;
        if let Err(error) = abort {
            tracing::warn!(key, %error, "an unfinished upload could not be removed");
        }
        return Err(error);
    }
    Ok(object::open(store.client.clone(), store.bucket.clone(), key, None).await?)
}

/// Removes the copies and unfinished uploads of earlier processes that were killed: nothing refers to them. Call it
/// only if no other process uses the store.
///
/// # Errors
/// An error of the work store.
pub async fn remove_abandoned(store: &WorkStore) -> Result<(), Error> {
    let (mut key_marker, mut upload_id_marker) = (None, None);
    loop {
        let page = store.client.list_multipart_uploads().bucket(&store.bucket).prefix(FOLDER);
        let page = page.set_key_marker(key_marker).set_upload_id_marker(upload_id_marker).send().await;
        let page = page.map_err(|error| store.error(FOLDER, error))?;
        // The SDK represents an empty listing as an absent list.
        for upload in page.uploads.unwrap_or_default() {
            let abort = store.client.abort_multipart_upload().bucket(&store.bucket).set_key(upload.key);
            abort.set_upload_id(upload.upload_id).send().await.map_err(|error| store.error(FOLDER, error))?;
        }
        if page.is_truncated != Some(true) {
            break;
        }
        (key_marker, upload_id_marker) = (page.next_key_marker, page.next_upload_id_marker);
    }
    for (key, _) in store.list(FOLDER).await? {
        store.remove(&key).await?;
    }
    Ok(())
}

#[expect(clippy::expect_used, reason = "S3 refuses part 10,001 long before the number overflows")]
fn part_number(earlier: usize) -> i32 {
    i32::try_from(earlier + 1).expect("S3 refuses more than 10,000 parts")
}

async fn copy(
    store: &WorkStore,
    key: &str,
    id: &str,
    mut input: impl AsyncRead + Unpin,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let mut parts = Vec::new();
    let mut more = true;
    while more {
        let mut part = Vec::new();
        let mut limited = (&mut input).take(PART_BYTES);
        let read = stop
            .run_until_cancelled(limited.read_to_end(&mut part))
            .await
            .unwrap_or_else(|| Err(ErrorKind::Interrupted.into()));
        let length = read.map_err(|error| Error::Spool { source: error })?;
        more = length as u64 == PART_BYTES;
        // The last part may be empty: an upload needs at least one part.
        let number = part_number(parts.len());
        let body = ByteStream::from(Bytes::from(part));
        let put =
            store.client.upload_part().bucket(&store.bucket).key(key).upload_id(id).part_number(number).body(body);
        let put = put.send().await.map_err(|error| store.error(key, error))?;
        parts.push(CompletedPart::builder().set_e_tag(put.e_tag).part_number(number).build());
    }
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = store.client.complete_multipart_upload().bucket(&store.bucket).key(key).upload_id(id);
    complete.multipart_upload(parts).send().await.map_err(|error| store.error(key, error))?;
    Ok(())
}
