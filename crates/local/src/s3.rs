//! The embedded S3: objects in a folder, served with the S3 protocol of [`s3s`].
//!
//! The engine and ordinary clients rely on these properties: conditional reads (412 and 304), ranges, `If-None-Match:
//! *` on writes (one of two writers wins), `ETags` that survive restarts, checksums in headers and trailers, multipart
//! uploads, paged listings, the error codes of S3. Bodies are streamed; no object is held in memory. There are no
//! versions, tags or access lists.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `operations` | the operations of S3 |
//! | `server` | the server's state, bodies to and from the disk |
//! | `pages` | listings of objects |
//! | `read_condition` | conditional reads |
//! | `events` | the events of writes |
//! | `multipart` | multipart uploads on disk |
//! | `store` | buckets and objects on disk |
//! | `names` | object keys as file names |
//! | `listing` | one page of sorted keys |
//! | `digest` | checksums of bodies |

mod digest;
mod events;
mod listing;
mod multipart;
mod names;
mod operations;
mod pages;
mod read_condition;
mod server;
mod store;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use s3s::auth::{S3Auth, SecretKey};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};

pub use self::events::{ObjectCreated, OnCreated};
use self::server::Server;
use self::store::Store;

/// The one pair of credentials that the embedded S3 accepts.
pub(super) struct Credentials {
    pub(super) access_key: &'static str,
    pub(super) secret_key: &'static str,
}

/// Opens the folder, creates `buckets` and returns the service.
pub(super) fn service(
    root: PathBuf,
    buckets: &[&str],
    credentials: Credentials,
    on_created: Option<OnCreated>,
) -> io::Result<(S3Service, Objects)> {
    let store = Store::open(root)?;
    for bucket in buckets {
        store.create_bucket(bucket).map_err(|error| io::Error::other(error.to_string()))?;
    }
    let store = Arc::new(store);
    let mut builder = S3ServiceBuilder::new(Server { store: Arc::clone(&store), on_created });
    builder.set_auth(credentials);
    Ok((builder.build(), Objects(store)))
}

/// Access to the objects from this process.
pub(super) struct Objects(Arc<Store>);

impl Objects {
    /// Returns the keys of a bucket, ordered by the time of their last write. S3 has no such listing.
    pub(super) fn oldest_first(&self, bucket: &str) -> io::Result<Vec<String>> {
        let failed = |error: s3s::S3Error| io::Error::other(error.to_string());
        let mut found = Vec::new();
        for key in self.0.keys(bucket).map_err(failed)? {
            match self.0.head(bucket, &key) {
                Ok(record) => found.push((record.sequencer, key)),
                // Deleted since the keys were read.
                Err(error) if *error.code() == s3s::S3ErrorCode::NoSuchKey => {}
                Err(error) => return Err(failed(error)),
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, key)| key).collect())
    }
}

#[async_trait::async_trait]
impl S3Auth for Credentials {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access_key {
            return Ok(SecretKey::from(self.secret_key));
        }
        Err(s3_error!(
            InvalidAccessKeyId,
            "The AWS Access Key Id you provided does not exist in our records. The embedded S3 accepts only {}",
            self.access_key
        ))
    }
}
