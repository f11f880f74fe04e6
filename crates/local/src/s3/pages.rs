//! Lists objects page by page, for both versions of the list operation.

use s3s::dto::{CommonPrefix, EncodingType, Object, ObjectStorageClass};
use s3s::{S3ErrorCode, S3Result, s3_error};

use super::listing::{Entry, Listing};
use super::names::url_encode;
use super::server::Server;
use super::store::Record;

/// Most entries in a page of a listing (S3's own limit).
const PAGE_LIMIT: i32 = 1000;

/// The parameters that both versions of the list operation share.
pub(super) struct ListQuery {
    pub(super) bucket: String,
    pub(super) prefix: Option<String>,
    pub(super) delimiter: Option<String>,
    /// The key or common prefix after which the page begins.
    pub(super) after: Option<String>,
    pub(super) limit: Option<i32>,
    pub(super) encoding: Option<EncodingType>,
}

/// A page of objects and common prefixes.
pub(super) struct ListPage {
    pub(super) objects: Vec<Object>,
    pub(super) prefixes: Vec<CommonPrefix>,
    /// The last entry of this page, if more entries follow.
    pub(super) next: Option<String>,
    pub(super) limit: i32,
    is_encoded: bool,
}

impl ListPage {
    /// Percent-encodes a text if the client asked for it.
    pub(super) fn encode(&self, text: &str) -> String {
        if self.is_encoded { url_encode(text) } else { text.to_owned() }
    }

    fn add(&mut self, key: &str, record: &Record) {
        self.objects.push(Object {
            key: Some(self.encode(key)),
            size: signed(record.size_bytes),
            e_tag: Some(record.etag()),
            last_modified: Some(record.modified()),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            ..Default::default()
        });
    }
}

impl Server {
    /// Reads a page from the store.
    pub(super) async fn list(&self, query: ListQuery) -> S3Result<ListPage> {
        self.on_disk(move |store| {
            let keys = store.keys(&query.bucket)?;
            let limit = page_limit("max-keys", query.limit)?;
            let listing = Listing {
                prefix: query.prefix.as_deref().unwrap_or_default(),
                delimiter: query.delimiter.as_deref(),
                after: query.after.as_deref().unwrap_or_default(),
                limit,
            };
            let found = listing.page(&keys);
            let mut page = ListPage {
                objects: Vec::new(),
                prefixes: Vec::new(),
                next: found.next,
                limit: PAGE_LIMIT.min(query.limit.unwrap_or(PAGE_LIMIT)),
                is_encoded: query.encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL),
            };
            for entry in found.entries {
                match entry {
                    Entry::Key(key) => {
                        let record = match store.head(&query.bucket, &key) {
                            Ok(record) => record,
                            // Deleted since the keys were read.
                            Err(error) if *error.code() == S3ErrorCode::NoSuchKey => continue,
                            Err(error) => return Err(error),
                        };
                        page.add(&key, &record);
                    }
                    Entry::CommonPrefix(prefix) => {
                        page.prefixes.push(CommonPrefix { prefix: Some(page.encode(&prefix)) });
                    }
                }
            }
            Ok(page)
        })
        .await
    }
}

/// Returns how many entries a page may have.
///
/// # Errors
/// A negative limit.
pub(super) fn page_limit(parameter: &str, limit: Option<i32>) -> S3Result<usize> {
    usize::try_from(limit.unwrap_or(PAGE_LIMIT).min(PAGE_LIMIT))
        .map_err(|_| s3_error!(InvalidArgument, "Argument {parameter} must be an integer between 0 and 2147483647"))
}

/// Returns a size as S3's signed number. No file is so large that it does not fit.
pub(super) fn signed(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok()
}
