//! The work store: plans, blocks, lists of superseded records, and rejects, as objects in a bucket without events.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

/// The work store in one bucket.
#[derive(Debug, Clone)]
pub struct WorkStore {
    pub(super) client: Client,
    pub(super) bucket: String,
}

/// A call to the work store failed.
#[derive(Debug, thiserror::Error)]
#[error("work store s3://{bucket}/{key}: {message}")]
pub struct StoreError {
    bucket: String,
    key: String,
    message: String,
    refused: bool,
    missing: bool,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// Whether a retry would fail again: no such bucket, access denied, wrong credentials.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.refused
    }
}

impl WorkStore {
    /// Creates the work store in `bucket`.
    #[must_use]
    pub fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }

    /// Returns the URL of the objects under `prefix`, for users.
    #[must_use]
    pub fn location(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", self.bucket)
    }

    /// Lists the keys that begin with `prefix`, and the sizes of their objects in bytes.
    ///
    /// # Errors
    /// An error of S3 after the SDK's retries; a listing without a key or size.
    pub async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let mut pages = list.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            // The SDK represents an empty page as an absent list.
            for object in page.map_err(|error| self.error(prefix, error))?.contents.unwrap_or_default() {
                let size = object.size.and_then(|size| u64::try_from(size).ok());
                let named = object.key.zip(size);
                found.push(named.ok_or_else(|| self.unexpected(prefix, "an object without a key or a size"))?);
            }
        }
        Ok(found)
    }

    /// Removes an object, if it exists.
    ///
    /// # Errors
    /// An error of S3 after the SDK's retries.
    pub async fn remove(&self, key: &str) -> Result<(), StoreError> {
        let sent = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        sent.map(drop).map_err(|error| self.error(key, error))
    }

    /// Writes an object, and overwrites an existing one.
    ///
    /// # Errors
    /// An error of S3 after the SDK's retries.
    pub async fn put(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        let body = ByteStream::from(body);
        let sent = self.client.put_object().bucket(&self.bucket).key(key).body(body).send().await;
        sent.map(drop).map_err(|error| self.error(key, error))
    }

    /// Writes an object unless it exists. Returns the content of the object that then exists.
    ///
    /// # Errors
    /// An error of S3 after the SDK's retries.
    pub(crate) async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<Bytes, StoreError> {
        let stream = ByteStream::from(body.clone());
        let put = self.client.put_object().bucket(&self.bucket).key(key).body(stream).if_none_match("*");
        match put.send().await {
            Ok(_) => Ok(body),
            // 412: the object existed. 409: another conditional write is under way, so the object will exist.
            Err(error) if matches!(error.raw_response().map(|raw| raw.status().as_u16()), Some(409 | 412)) => {
                self.get(key).await
            }
            Err(error) => Err(self.error(key, error)),
        }
    }

    /// Reads a whole object, if it exists. For objects of known, small size.
    ///
    /// # Errors
    /// An error of S3 after the SDK's retries; a body that breaks off.
    pub(crate) async fn get_if_there(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        match self.get(key).await {
            Err(error) if error.missing => Ok(None),
            other => other.map(Some),
        }
    }

    /// Reads a whole object. For objects of known, small size.
    ///
    /// # Errors
    /// An error of S3 after the SDK's retries; a body that breaks off.
    pub async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.read(key, None).await
    }

    /// Reads `length` bytes from `start` on, or fewer if the object ends before.
    ///
    /// # Errors
    /// An error of S3 after the SDK's retries; a body that breaks off.
    pub(crate) async fn get_range(&self, key: &str, start: u64, length: u64) -> Result<Bytes, StoreError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        self.read(key, Some(format!("bytes={start}-{}", start + length - 1))).await
    }

    async fn read(&self, key: &str, range: Option<String>) -> Result<Bytes, StoreError> {
        let mut retries = 0;
        loop {
            let get = self.client.get_object().bucket(&self.bucket).key(key).set_range(range.clone());
            let output = get.send().await.map_err(|error| self.error(key, error))?;
            match output.body.collect().await {
                Ok(body) => return Ok(body.into_bytes()),
                // The SDK does not retry after the response headers have arrived.
                Err(error) if retries < BODY_RETRIES => {
                    retries += 1;
                    tracing::debug!(key, %error, "the body broke off; reading the object again");
                }
                Err(error) => return Err(self.broken(key, error)),
            }
        }
    }

    /// The error for an answer of S3 that lacks what it must have.
    pub(crate) fn unexpected(&self, key: &str, found: &str) -> StoreError {
        let (bucket, key, message) = (self.bucket.clone(), key.to_owned(), format!("S3 answered with {found}"));
        StoreError { bucket, key, message, refused: false, missing: false, source: None }
    }

    fn broken(&self, key: &str, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
        let message = format!("the body broke off {} times: {error}", BODY_RETRIES + 1);
        let (bucket, key) = (self.bucket.clone(), key.to_owned());
        StoreError { bucket, key, message, refused: false, missing: false, source: Some(Box::new(error)) }
    }

    pub(super) fn error<E>(&self, key: &str, error: SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let refused = notaflux_aws::fault(&error).is_permanent();
        let mut message = notaflux_aws::describe_error(&error);
        if error.code() == Some("NoSuchBucket") {
            message.push_str("; create the bucket, or name another with --work-bucket");
        }
        let missing = error.code() == Some("NoSuchKey");
        let (bucket, key) = (self.bucket.clone(), key.to_owned());
        StoreError { bucket, key, message, refused, missing, source: Some(Box::new(error)) }
    }
}

/// How often a body that breaks off is read again.
const BODY_RETRIES: u32 = 5;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic to fail")]
mod tests {
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A work store whose server answers every request with this listing.
    async fn store(objects: &'static str) -> WorkStore {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 16 * 1024];
                let _length = stream.read(&mut request).await.unwrap();
                let body = format!("<ListBucketResult>{objects}</ListBucketResult>");
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
        });
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(url)
            .force_path_style(true)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        WorkStore::new(Client::from_conf(config), "work".to_owned())
    }

    #[tokio::test]
    async fn a_listing_without_a_key_or_a_size_is_an_error() {
        let whole = store("<Contents><Key>a</Key><Size>5</Size></Contents>").await;
        assert_eq!(whole.list("").await.unwrap(), [("a".to_owned(), 5)]);
        for damaged in ["<Key>a</Key>", "<Size>5</Size>", "<Key>a</Key><Size>-5</Size>"] {
            let contents: &'static str = format!("<Contents>{damaged}</Contents>").leak();
            let error = store(contents).await.list("x/").await.unwrap_err();
            assert!(!error.is_permanent());
            let expected = "work store s3://work/x/: S3 answered with an object without a key or a size";
            assert_eq!(error.to_string(), expected, "{damaged}");
        }
    }
}
