//! Multipart uploads on disk: `<root>/.uploads/<id>/upload.json`, and for each part `<n>` with its bytes and
//! `<n>.json`.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use s3s::dto::ETag;
use s3s::{S3ErrorCode, S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::digest::{Checksums, Digests, Expected, Hasher, hex, multipart_etag};
use super::store::{Attributes, Condition, Record, Store, Temporary, damaged, internal};

/// Minimum size in bytes of every part except the last one: 5 MiB ("Amazon S3 multipart upload limits").
const PART_MIN_BYTES: u64 = 5 * 1024 * 1024;

/// Highest part number, from the same page.
const PART_NUMBER_LIMIT: i32 = 10_000;

/// Bytes copied at a time when the copy is hashed.
const COPY_BYTES: usize = 256 * 1024;

/// An upload that has begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) attributes: Attributes,
}

/// A part that has arrived.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) md5: [u8; 16],
    pub(super) size_bytes: u64,
    pub(super) checksums: Checksums,
}

impl Part {
    /// Returns the part's `ETag`.
    pub(super) fn etag(&self) -> ETag {
        ETag::Strong(hex(&self.md5))
    }
}

/// A request to complete an upload.
#[derive(Debug, Default)]
pub(super) struct Completion {
    /// Part numbers in the order of the request, with the `ETag` that the client expects.
    pub(super) parts: Vec<(i32, Option<ETag>)>,
    pub(super) condition: Condition,
    /// Checksums of the whole object. Checksums of the parts' checksums are not checked.
    pub(super) expected: Expected,
}

impl Store {
    /// Begins an upload and returns its id.
    pub(super) fn begin_upload(&self, upload: &Upload) -> S3Result<String> {
        self.check_bucket(&upload.bucket)?;
        let id = format!("{:032x}", fastrand::u128(..));
        let folder = self.uploads().join(&id);
        fs::create_dir_all(&folder).map_err(internal)?;
        write_json(&folder.join("upload.json"), upload).map_err(internal)?;
        Ok(id)
    }

    /// Returns the upload `id`.
    ///
    /// # Errors
    /// There is no such upload of this key, or its record is damaged.
    pub(super) fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<Upload> {
        self.check_bucket(bucket)?;
        // An id is part of a path, so only ids of the form that `begin_upload` creates may pass.
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let upload: Option<Upload> =
            if is_id { read_json(&self.uploads().join(id).join("upload.json"))? } else { None };
        upload.filter(|upload| upload.bucket == bucket && upload.key == key).ok_or_else(|| {
            s3_error!(
                NoSuchUpload,
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have been \
                 aborted or completed."
            )
        })
    }

    /// Stores a part. It replaces a part with the same number.
    pub(super) fn put_part(
        &self,
        id: &str,
        number: i32,
        from: Temporary,
        size: u64,
        digests: Digests,
    ) -> S3Result<Part> {
        check_part_number(number)?;
        let part = Part { md5: digests.md5, size_bytes: size, checksums: digests.checksums };
        let path = self.part(id, number);
        // The bytes come first: a record without bytes would describe a part that does not exist.
        from.persist(&path).and_then(|()| write_json(&path.with_extension("json"), &part)).map_err(internal)?;
        Ok(part)
    }

    /// Returns the stored parts ordered by number, each one with its time.
    pub(super) fn parts(&self, id: &str) -> S3Result<Vec<(i32, Part, SystemTime)>> {
        let mut parts = Vec::new();
        for entry in fs::read_dir(self.uploads().join(id)).map_err(internal)? {
            let entry = entry.map_err(internal)?;
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            // A part without a record is still being stored.
            let Some(part) = read_json(&entry.path().with_extension("json"))? else { continue };
            let at = entry.metadata().and_then(|file| file.modified()).map_err(internal)?;
            parts.push((number, part, at));
        }
        parts.sort_by_key(|(number, ..)| *number);
        Ok(parts)
    }

    /// Returns the uploads of a bucket that are neither completed nor aborted, ordered by key: `(key, id, begun)`.
    pub(super) fn open_uploads(&self, bucket: &str) -> S3Result<Vec<(String, String, SystemTime)>> {
        self.check_bucket(bucket)?;
        let mut uploads = Vec::new();
        for entry in fs::read_dir(self.uploads()).map_err(internal)? {
            let entry = entry.map_err(internal)?;
            let path = entry.path().join("upload.json");
            let Some(upload) = read_json::<Upload>(&path)?.filter(|upload| upload.bucket == bucket) else { continue };
            let begun = fs::metadata(&path).and_then(|file| file.modified()).map_err(internal)?;
            uploads.push((upload.key, entry.file_name().to_string_lossy().into_owned(), begun));
        }
        uploads.sort();
        Ok(uploads)
    }

    /// Creates the object from its parts, and returns its record. A client may repeat the request because the answer
    /// was lost: then the answer is the same, and the second value is `false`.
    pub(super) fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        completion: Completion,
    ) -> S3Result<(Record, bool)> {
        let upload = match self.upload(bucket, key, id) {
            Err(error) if *error.code() == S3ErrorCode::NoSuchUpload => {
                return match self.head(bucket, key) {
                    Ok(record) if record.upload_id.as_deref() == Some(id) => Ok((record, false)),
                    Err(other) if *other.code() != S3ErrorCode::NoSuchKey => Err(other),
                    _ => Err(error),
                };
            }
            upload => upload?,
        };
        let parts = self.chosen_parts(id, &completion.parts)?;
        let whole = self.temporary();
        let digests = join_parts(&parts, &whole, &completion.expected)?;
        let size_bytes = parts.iter().map(|(_, part)| part.size_bytes).sum();
        completion.expected.check(&digests, size_bytes)?;
        let md5s: Vec<_> = parts.iter().map(|(_, part)| part.md5).collect();
        let record = Record {
            key: upload.key,
            etag: multipart_etag(&md5s),
            checksums: completion.expected.checksums,
            upload_id: Some(id.to_owned()),
            attributes: upload.attributes,
            ..Record::default()
        };
        let record = self.commit(bucket, whole, record, &completion.condition)?;
        fs::remove_dir_all(self.uploads().join(id)).map_err(internal)?;
        Ok((record, true))
    }

    /// Removes an upload and its parts.
    pub(super) fn abort_upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<()> {
        self.upload(bucket, key, id)?;
        fs::remove_dir_all(self.uploads().join(id)).map_err(internal)
    }

    fn part(&self, id: &str, number: i32) -> PathBuf {
        self.uploads().join(id).join(number.to_string())
    }

    /// Returns the parts that a completion names.
    fn chosen_parts(&self, id: &str, chosen: &[(i32, Option<ETag>)]) -> S3Result<Vec<(PathBuf, Part)>> {
        if chosen.is_empty() {
            return Err(s3_error!(MalformedXML, "You must specify at least one part"));
        }
        if !chosen.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."));
        }
        let mut parts = Vec::with_capacity(chosen.len());
        for (number, etag) in chosen {
            let path = self.part(id, *number);
            let part = read_json::<Part>(&path.with_extension("json"))?
                .filter(|part| etag.as_ref().is_none_or(|etag| part.etag().strong_cmp(etag)))
                .ok_or_else(|| {
                    s3_error!(
                        InvalidPart,
                        "Part {number} does not exist, or its ETag differs from the one in the request."
                    )
                })?;
            parts.push((path, part));
        }
        if parts.iter().rev().skip(1).any(|(_, part)| part.size_bytes < PART_MIN_BYTES) {
            return Err(s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size"));
        }
        Ok(parts)
    }
}

/// Refuses part numbers outside of the range of S3.
pub(super) fn check_part_number(number: i32) -> S3Result<()> {
    if (1..=PART_NUMBER_LIMIT).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and {PART_NUMBER_LIMIT}, inclusive"))
}

/// Appends the parts to `whole`. The bytes are read into this process only if a checksum is expected.
fn join_parts(parts: &[(PathBuf, Part)], whole: &Temporary, expected: &Expected) -> S3Result<Digests> {
    let mut to = whole.create().map_err(internal)?;
    let mut hasher = Hasher::new(expected)?;
    for (path, _) in parts {
        let mut from = File::open(path).map_err(internal)?;
        if expected.checksums.is_empty() {
            io::copy(&mut from, &mut to).map_err(internal)?;
        } else {
            copy_hashed(&mut from, &mut to, &mut hasher).map_err(internal)?;
        }
    }
    Ok(hasher.finish())
}

/// Copies `from` to its end, hashes the bytes and returns their number.
pub(super) fn copy_hashed(from: &mut impl io::Read, to: &mut File, hasher: &mut Hasher) -> io::Result<u64> {
    let mut from = BufReader::with_capacity(COPY_BYTES, from);
    let mut copied_bytes = 0;
    loop {
        let bytes = from.fill_buf()?;
        if bytes.is_empty() {
            return Ok(copied_bytes);
        }
        hasher.update(bytes);
        to.write_all(bytes)?;
        let read = bytes.len();
        copied_bytes += read as u64;
        from.consume(read);
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    fs::write(path, serde_json::to_vec(value)?)
}

/// Reads a record. `None` if the file does not exist.
fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> S3Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| damaged(path, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(internal(error)),
    }
}
