//! Buckets and objects in a folder.
//!
//! ```text
//! <root>/<bucket>/<name>          the bytes of an object
//! <root>/.meta/<bucket>/<name>    its record: ETag, attributes, checksums (JSON)
//! <root>/.tmp/                    bytes on their way in; emptied at each start
//! <root>/.uploads/<id>/           multipart uploads (see `multipart`)
//! ```
//!
//! Bytes arrive in a temporary file. After all checks, the file is renamed into place under the write lock. A reader
//! opens the file and the record under the read lock, so it sees one version of the object and never a mixture of two.
//!
//! A record holds the length and the modification time of the file that it describes. If they differ from those of the
//! file (after a crash between the two renames, or after a change by hand), the record does not count. Then the `ETag`
//! is computed from the bytes and stored in a new record.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::digest::{Checksums, Expected, Hasher, hex};
use super::names;

/// Bytes read at a time when a file is hashed. With this many, the time of the system calls does not matter.
const READ_BYTES: usize = 256 * 1024;

/// The attributes that a client sets with an object. The server returns them unchanged.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Attributes {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) expires: Option<Timestamp>,
    pub(super) website_redirect_location: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// Everything that is stored about an object except its bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub(super) key: String,
    /// Length of the object's file in bytes.
    pub(super) size_bytes: u64,
    /// Modification time of the object's file in nanoseconds since 1970.
    pub(super) modified_ns: u64,
    /// The `ETag` without quotes.
    pub(super) etag: String,
    /// Grows with every write: 16 hexadecimal digits, as in an S3 event.
    pub(super) sequencer: String,
    pub(super) checksums: Checksums,
    /// The multipart upload that created the object. A client repeats the completion if the answer was lost.
    pub(super) upload_id: Option<String>,
    pub(super) attributes: Attributes,
}

impl Record {
    /// Returns the `ETag` as a header value.
    pub(super) fn etag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }

    /// Returns the time of the last modification in whole seconds, like HTTP dates, so that it equals the date that a
    /// client sends back.
    pub(super) fn modified(&self) -> Timestamp {
        Timestamp::from(UNIX_EPOCH + Duration::from_secs(self.modified_ns / 1_000_000_000))
    }

    fn describes(&self, file: &fs::Metadata) -> io::Result<bool> {
        Ok(self.size_bytes == file.len() && self.modified_ns == modified_ns(file)?)
    }
}

/// The conditions of a write.
#[derive(Debug, Default)]
pub(super) struct Condition {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl Condition {
    /// Refuses the write if the current object, or its absence, does not meet the conditions.
    fn check(&self, current: Option<&Record>) -> S3Result<()> {
        let failed = || s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold");
        match (&self.if_match, current) {
            (Some(_), None) => return Err(no_such_key()),
            (Some(ETagCondition::ETag(etag)), Some(record)) if !record.etag().strong_cmp(etag) => return Err(failed()),
            _ => {}
        }
        match (&self.if_none_match, current) {
            (Some(ETagCondition::Any), Some(_)) => Err(failed()),
            (Some(ETagCondition::ETag(etag)), Some(record)) if record.etag().weak_cmp(etag) => Err(failed()),
            _ => Ok(()),
        }
    }
}

/// A file under `.tmp`. Dropping it removes the file, unless it has been moved.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Creates the file, or empties it, and opens it for writing.
    pub(super) fn create(&self) -> io::Result<File> {
        File::create(&self.path)
    }

    /// Moves the file to its final path.
    pub(super) fn persist(self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After `persist` the file is gone. A file that cannot be removed now is removed at the next start.
        fs::remove_file(&self.path).unwrap_or_default();
    }
}

/// The buckets and objects of a folder.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    /// The lock of all objects. It holds the last sequencer.
    commit: RwLock<u64>,
    temporaries: AtomicU64,
}

impl Store {
    /// Opens the folder, or creates it, and removes the unfinished files of an earlier process.
    pub(super) fn open(root: PathBuf) -> io::Result<Self> {
        let temporary = root.join(".tmp");
        if temporary.exists() {
            fs::remove_dir_all(&temporary)?;
        }
        for folder in [".tmp", ".meta", ".uploads"] {
            fs::create_dir_all(root.join(folder))?;
        }
        Ok(Self { root, commit: RwLock::new(0), temporaries: AtomicU64::new(0) })
    }

    /// Returns a new temporary file, not yet created.
    pub(super) fn temporary(&self) -> Temporary {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        Temporary { path: self.root.join(".tmp").join(number.to_string()) }
    }

    /// Returns the folder of multipart uploads.
    pub(super) fn uploads(&self) -> PathBuf {
        self.root.join(".uploads")
    }

    /// Creates a bucket. Returns `false` if it exists already.
    pub(super) fn create_bucket(&self, bucket: &str) -> S3Result<bool> {
        let _guard = self.commit.write().unwrap_or_else(PoisonError::into_inner);
        let folder = self.root.join(bucket);
        let is_new = !folder.exists();
        fs::create_dir_all(&folder).and_then(|()| fs::create_dir_all(self.records(bucket))).map_err(internal)?;
        Ok(is_new)
    }

    /// Removes an empty bucket.
    pub(super) fn delete_bucket(&self, bucket: &str) -> S3Result<()> {
        let _guard = self.commit.write().unwrap_or_else(PoisonError::into_inner);
        self.check_bucket(bucket)?;
        if fs::read_dir(self.root.join(bucket)).map_err(internal)?.next().is_some() {
            return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
        }
        fs::remove_dir_all(self.records(bucket)).map_err(internal)?;
        fs::remove_dir(self.root.join(bucket)).map_err(internal)
    }

    /// Returns the buckets ordered by name, each one with the time of its creation.
    pub(super) fn buckets(&self) -> S3Result<Vec<(String, SystemTime)>> {
        let mut buckets = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(internal)? {
            let entry = entry.map_err(internal)?;
            let file = entry.metadata().map_err(internal)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if file.is_dir() && !name.starts_with('.') {
                buckets.push((name, file.created().or_else(|_| file.modified()).map_err(internal)?));
            }
        }
        buckets.sort();
        Ok(buckets)
    }

    /// Refuses a bucket that does not exist.
    pub(super) fn check_bucket(&self, bucket: &str) -> S3Result<()> {
        if self.root.join(bucket).is_dir() {
            return Ok(());
        }
        Err(s3_error!(NoSuchBucket, "The specified bucket does not exist: {bucket}"))
    }

    /// Returns the record and the open file of an object, both of the same version.
    pub(super) fn open_object(&self, bucket: &str, key: &str) -> S3Result<(Record, File)> {
        let name = names::file_name(key);
        let (file, metadata, record) = {
            let _guard = self.commit.read().unwrap_or_else(PoisonError::into_inner);
            let file = self.open_file(bucket, &name)?;
            let metadata = file.metadata().map_err(internal)?;
            (file, metadata, self.load_record(bucket, &name)?)
        };
        match record {
            Some(record) if record.describes(&metadata).map_err(internal)? => Ok((record, file)),
            _ => Ok((self.adopt(bucket, key, &name, &metadata)?, file)),
        }
    }

    /// Returns the record of an object.
    pub(super) fn head(&self, bucket: &str, key: &str) -> S3Result<Record> {
        self.open_object(bucket, key).map(|(record, _)| record)
    }

    /// Stores the bytes of `from` as the object of `record` if `condition` holds. Returns the completed record.
    pub(super) fn commit(
        &self,
        bucket: &str,
        from: Temporary,
        mut record: Record,
        condition: &Condition,
    ) -> S3Result<Record> {
        let name = names::file_name(&record.key);
        let metadata = fs::metadata(&from.path).map_err(internal)?;
        record.size_bytes = metadata.len();
        record.modified_ns = modified_ns(&metadata).map_err(internal)?;

        let mut last = self.commit.write().unwrap_or_else(PoisonError::into_inner);
        self.check_bucket(bucket)?;
        if condition.if_match.is_some() || condition.if_none_match.is_some() {
            condition.check(self.current(bucket, &record.key, &name)?.as_ref())?;
        }
        *last = now_ns().max(*last + 1);
        record.sequencer = format!("{:016X}", *last);
        from.persist(&self.root.join(bucket).join(&name)).map_err(internal)?;
        self.save_record(bucket, &name, &record).map_err(internal)?;
        Ok(record)
    }

    /// Removes an object if it exists.
    pub(super) fn delete(&self, bucket: &str, key: &str, condition: &Condition) -> S3Result<()> {
        let name = names::file_name(key);
        let _guard = self.commit.write().unwrap_or_else(PoisonError::into_inner);
        self.check_bucket(bucket)?;
        if condition.if_match.is_some() {
            condition.check(self.current(bucket, key, &name)?.as_ref())?;
        }
        for path in [self.root.join(bucket).join(&name), self.records(bucket).join(&name)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(internal(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns all keys of a bucket, ordered by their bytes as in S3. Files that are not objects are skipped.
    pub(super) fn keys(&self, bucket: &str) -> S3Result<Vec<String>> {
        self.check_bucket(bucket)?;
        let mut keys = Vec::new();
        for entry in fs::read_dir(self.root.join(bucket)).map_err(internal)? {
            let entry = entry.map_err(internal)?;
            let name = entry.file_name();
            let is_file = entry.file_type().map_err(internal)?.is_file();
            let Some(name) = name.to_str().filter(|_| is_file) else { continue };
            if names::is_long(name) {
                // Without a record its write was interrupted, and no client has an answer to it.
                keys.extend(self.load_record(bucket, name)?.map(|record| record.key));
            } else {
                keys.extend(names::plain_key(name));
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    fn records(&self, bucket: &str) -> PathBuf {
        self.root.join(".meta").join(bucket)
    }

    fn open_file(&self, bucket: &str, name: &str) -> S3Result<File> {
        File::open(self.root.join(bucket).join(name)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.check_bucket(bucket).err().unwrap_or_else(no_such_key),
            _ => internal(error),
        })
    }

    /// Returns the record of the current object of a key, for a check under the write lock.
    fn current(&self, bucket: &str, key: &str, name: &str) -> S3Result<Option<Record>> {
        let metadata = match fs::metadata(self.root.join(bucket).join(name)) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(internal(error)),
        };
        match self.load_record(bucket, name)? {
            Some(record) if record.describes(&metadata).map_err(internal)? => Ok(Some(record)),
            _ => self.describe(bucket, key, name, &metadata).map(Some),
        }
    }

    /// Creates a record for a file without one, and stores it unless the file has changed or gone meanwhile.
    fn adopt(&self, bucket: &str, key: &str, name: &str, metadata: &fs::Metadata) -> S3Result<Record> {
        let record = self.describe(bucket, key, name, metadata)?;
        let _guard = self.commit.write().unwrap_or_else(PoisonError::into_inner);
        let now = fs::metadata(self.root.join(bucket).join(name)).and_then(|now| record.describes(&now));
        if now.unwrap_or(false) {
            fs::create_dir_all(self.records(bucket))
                .and_then(|()| self.save_record(bucket, name, &record))
                .map_err(internal)?;
        }
        Ok(record)
    }

    /// Computes a record from the bytes of a file.
    fn describe(&self, bucket: &str, key: &str, name: &str, metadata: &fs::Metadata) -> S3Result<Record> {
        let mut file = BufReader::with_capacity(READ_BYTES, self.open_file(bucket, name)?);
        let mut hasher = Hasher::new(&Expected::default())?;
        loop {
            let bytes = file.fill_buf().map_err(internal)?;
            if bytes.is_empty() {
                break;
            }
            hasher.update(bytes);
            let read = bytes.len();
            file.consume(read);
        }
        let modified_ns = modified_ns(metadata).map_err(internal)?;
        Ok(Record {
            key: key.to_owned(),
            size_bytes: metadata.len(),
            modified_ns,
            etag: hex(&hasher.finish().md5),
            sequencer: format!("{modified_ns:016X}"),
            ..Record::default()
        })
    }

    /// Reads the record of a file. `None` if there is no record.
    fn load_record(&self, bucket: &str, name: &str) -> S3Result<Option<Record>> {
        let path = self.records(bucket).join(name);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| damaged(&path, &error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(internal(error)),
        }
    }

    fn save_record(&self, bucket: &str, name: &str, record: &Record) -> io::Result<()> {
        let temporary = self.temporary();
        fs::write(&temporary.path, serde_json::to_vec(record)?)?;
        temporary.persist(&self.records(bucket).join(name))
    }
}

/// Returns the error for a key that does not exist.
fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

/// Converts an error of the disk. Clients retry it, and the message has the cause.
#[allow(clippy::needless_pass_by_value, reason = "passed to map_err by name")]
pub(super) fn internal(error: io::Error) -> S3Error {
    S3Error::with_message(S3ErrorCode::InternalError, format!("the embedded S3 cannot use its folder: {error}"))
}

/// Returns the error for a record that cannot be parsed.
pub(super) fn damaged(path: &Path, error: &serde_json::Error) -> S3Error {
    let message = format!(
        "the embedded S3 cannot read its record {}: {error}; remove this file and upload the object again",
        path.display()
    );
    S3Error::with_message(S3ErrorCode::InternalError, message)
}

fn modified_ns(metadata: &fs::Metadata) -> io::Result<u64> {
    metadata.modified().map(since_epoch_ns)
}

fn now_ns() -> u64 {
    since_epoch_ns(SystemTime::now())
}

/// Returns the nanoseconds since 1970. An earlier time counts as 1970, a time after the year 2554 as the largest
/// number.
fn since_epoch_ns(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
