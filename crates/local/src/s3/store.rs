//! Buckets and objects in a folder.
//!
//! ```text
//! <root>/<bucket>/<name>          the bytes of an object
//! <root>/.meta/<bucket>/<name>    its record: ETag, attributes, checksums (JSON)
//! <root>/.tmp/                    bytes on their way in; emptied at each start
//! <root>/.uploads/<id>/           multipart uploads (see `multipart`)
//! ```
//!
//! Bytes arrive in a temporary file and are renamed into place under the write lock, after every check; a reader opens
//! file and record under the read lock, so it sees one version or the other, never a mixture. A record names the length
//! and modification time of the file it describes. Where they differ (a crash between the two renames, a file put there
//! by hand) the record does not count: the `ETag` is computed once from the bytes and kept.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::digest::{Checksums, Expected, Hasher, hex};
use super::names;

/// Bytes read at a time when a file is hashed: large enough that the system call does not count.
const READ_BYTES: usize = 256 * 1024;

/// What a client sets along with the bytes, given back as it came.
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

/// Everything known of an object but its bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub(super) key: String,
    /// Length of the file described, in bytes.
    pub(super) size_bytes: u64,
    /// Modification time of the file described, in nanoseconds since 1970.
    pub(super) modified_ns: u64,
    /// Without quotes.
    pub(super) etag: String,
    /// Grows with every write, in hexadecimal digits of one length, as in an S3 event.
    pub(super) sequencer: String,
    pub(super) checksums: Checksums,
    /// The multipart upload that made the object: its completion may be asked for again when the answer got lost.
    pub(super) upload_id: Option<String>,
    pub(super) attributes: Attributes,
}

impl Record {
    /// The `ETag` as a header value.
    pub(super) fn etag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }

    /// Last modification to the second, as HTTP dates are: what a client sends back compares equal.
    pub(super) fn modified(&self) -> Timestamp {
        Timestamp::from(UNIX_EPOCH + Duration::from_secs(self.modified_ns / 1_000_000_000))
    }

    fn describes(&self, file: &fs::Metadata) -> bool {
        self.size_bytes == file.len() && self.modified_ns == modified_ns(file)
    }
}

/// On what a write depends.
#[derive(Debug, Default)]
pub(super) struct Condition {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl Condition {
    /// Refuses the write unless the object that stands there (or none) is as the request wants it.
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

/// A file under `.tmp`, removed unless it is moved away.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Opens it for writing, emptied.
    pub(super) fn create(&self) -> io::Result<File> {
        File::create(&self.path)
    }

    /// Moves it to where it stays.
    pub(super) fn persist(self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After `persist` there is nothing left to remove; what remains is removed at the next start.
        fs::remove_file(&self.path).unwrap_or_default();
    }
}

/// The folder with its lock.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    /// Holds the sequencer last given out.
    commit: RwLock<u64>,
    temporaries: AtomicU64,
}

impl Store {
    /// Opens (or makes) the folder and drops what an earlier process left half-written.
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

    /// A new place for bytes on their way in.
    pub(super) fn temporary(&self) -> Temporary {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        Temporary { path: self.root.join(".tmp").join(number.to_string()) }
    }

    /// The folder of multipart uploads.
    pub(super) fn uploads(&self) -> PathBuf {
        self.root.join(".uploads")
    }

    /// Makes a bucket; `false` when it was there.
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

    /// The buckets by name, with the time each was made.
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

    /// Refuses a bucket that is not there.
    pub(super) fn check_bucket(&self, bucket: &str) -> S3Result<()> {
        if self.root.join(bucket).is_dir() {
            return Ok(());
        }
        Err(s3_error!(NoSuchBucket, "The specified bucket does not exist: {bucket}"))
    }

    /// The object's record and its bytes, of one version.
    pub(super) fn open_object(&self, bucket: &str, key: &str) -> S3Result<(Record, File)> {
        let name = names::file_name(key);
        let (file, metadata, record) = {
            let _guard = self.commit.read().unwrap_or_else(PoisonError::into_inner);
            let file = self.open_file(bucket, &name)?;
            let metadata = file.metadata().map_err(internal)?;
            (file, metadata, self.load_record(bucket, &name))
        };
        match record {
            Some(record) if record.describes(&metadata) => Ok((record, file)),
            _ => Ok((self.adopt(bucket, key, &name, &metadata)?, file)),
        }
    }

    /// The object's record.
    pub(super) fn head(&self, bucket: &str, key: &str) -> S3Result<Record> {
        self.open_object(bucket, key).map(|(record, _)| record)
    }

    /// Puts the bytes of `from` in the place of `key` if `condition` holds, and tells what stands there now.
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
        record.modified_ns = modified_ns(&metadata);

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

    /// Removes an object; one that is not there is as good as removed.
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

    /// All keys of a bucket, sorted as S3 sorts: by their bytes.
    pub(super) fn keys(&self, bucket: &str) -> S3Result<Vec<String>> {
        self.check_bucket(bucket)?;
        let mut keys = Vec::new();
        for entry in fs::read_dir(self.root.join(bucket)).map_err(internal)? {
            let entry = entry.map_err(internal)?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file())) else {
                continue;
            };
            if names::is_long(name) {
                keys.extend(self.load_record(bucket, name).map(|record| record.key));
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

    /// What stands under a key, for a check under the write lock.
    fn current(&self, bucket: &str, key: &str, name: &str) -> S3Result<Option<Record>> {
        let Ok(metadata) = fs::metadata(self.root.join(bucket).join(name)) else { return Ok(None) };
        match self.load_record(bucket, name) {
            Some(record) if record.describes(&metadata) => Ok(Some(record)),
            _ => self.describe(bucket, key, name, &metadata).map(Some),
        }
    }

    /// A record for bytes that came without one, kept if the file has not changed meanwhile.
    fn adopt(&self, bucket: &str, key: &str, name: &str, metadata: &fs::Metadata) -> S3Result<Record> {
        let record = self.describe(bucket, key, name, metadata)?;
        let _guard = self.commit.write().unwrap_or_else(PoisonError::into_inner);
        if fs::metadata(self.root.join(bucket).join(name)).is_ok_and(|now| record.describes(&now)) {
            fs::create_dir_all(self.records(bucket))
                .and_then(|()| self.save_record(bucket, name, &record))
                .map_err(internal)?;
        }
        Ok(record)
    }

    fn describe(&self, bucket: &str, key: &str, name: &str, metadata: &fs::Metadata) -> S3Result<Record> {
        let mut file = self.open_file(bucket, name)?;
        let mut hasher = Hasher::new(&Expected::default())?;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer).map_err(internal)? {
                0 => break,
                read => hasher.update(buffer.get(..read).unwrap_or_default()),
            }
        }
        Ok(Record {
            key: key.to_owned(),
            size_bytes: metadata.len(),
            modified_ns: modified_ns(metadata),
            etag: hex(&hasher.finish().md5),
            sequencer: format!("{:016X}", modified_ns(metadata)),
            ..Record::default()
        })
    }

    /// A record that cannot be read counts as none: it is made again from the bytes.
    fn load_record(&self, bucket: &str, name: &str) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.records(bucket).join(name)).ok()?).ok()
    }

    fn save_record(&self, bucket: &str, name: &str, record: &Record) -> io::Result<()> {
        let temporary = self.temporary();
        fs::write(&temporary.path, serde_json::to_vec(record)?)?;
        temporary.persist(&self.records(bucket).join(name))
    }
}

/// The answer for a key that is not there.
pub(super) fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

/// A failure of the disk: the client may try again, and sees why.
#[allow(clippy::needless_pass_by_value, reason = "passed to map_err by name")]
pub(super) fn internal(error: io::Error) -> S3Error {
    S3Error::with_message(S3ErrorCode::InternalError, format!("the embedded S3 cannot use its folder: {error}"))
}

fn modified_ns(metadata: &fs::Metadata) -> u64 {
    metadata.modified().map_or(0, since_epoch_ns)
}

fn now_ns() -> u64 {
    since_epoch_ns(SystemTime::now())
}

fn since_epoch_ns(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
