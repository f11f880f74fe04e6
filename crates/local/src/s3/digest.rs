//! Checks the digests and the length that a client announces for a body, while the body is received.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use notaflux_sha256 as sha256;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::Checksum;
use s3s::{S3Result, s3_error};

/// Begins the names of the checksum headers. The name of the algorithm follows.
const CHECKSUM_PREFIX: &str = "x-amz-checksum-";

/// The header with the length of a body that is sent in signed chunks.
const DECODED_LENGTH: &str = "x-amz-decoded-content-length";

/// Checksums by algorithm in lower case (`crc32`, `crc32c`, `crc64nvme`, `sha1`, `sha256`), each in Base64.
pub(super) type Checksums = BTreeMap<String, String>;

/// Collects the checksums of a request, or of another structure with the five fields.
macro_rules! given_checksums {
    ($from:expr) => {{
        let mut given = $crate::s3::digest::Checksums::new();
        for (algorithm, value) in [
            ("crc32", &$from.checksum_crc32),
            ("crc32c", &$from.checksum_crc32c),
            ("crc64nvme", &$from.checksum_crc64nvme),
            ("sha1", &$from.checksum_sha1),
            ("sha256", &$from.checksum_sha256),
        ] {
            if let Some(value) = value {
                given.insert(algorithm.to_owned(), value.clone());
            }
        }
        given
    }};
}

/// Fills the five checksum fields of an answer.
macro_rules! set_checksums {
    ($to:expr, $sums:expr) => {
        $to.checksum_crc32 = $sums.get("crc32").cloned();
        $to.checksum_crc32c = $sums.get("crc32c").cloned();
        $to.checksum_crc64nvme = $sums.get("crc64nvme").cloned();
        $to.checksum_sha1 = $sums.get("sha1").cloned();
        $to.checksum_sha256 = $sums.get("sha256").cloned();
    };
}

pub(super) use {given_checksums, set_checksums};

/// The digests and the length that a body must have.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Checksums from the headers and, after the body, from the trailer.
    pub(super) checksums: Checksums,
    /// Further algorithms to compute: those that the trailer will have, and the one that the request names.
    pub(super) algorithms: Vec<String>,
    /// `Content-MD5`, Base64.
    pub(super) content_md5: Option<String>,
    /// Announced length of the content in bytes.
    pub(super) length_bytes: Option<u64>,
}

impl Expected {
    /// Adds the decoded length, the algorithm that the request names and those of the trailer.
    ///
    /// # Errors
    /// A header that cannot be read.
    pub(super) fn announce(&mut self, algorithm: Option<&str>, headers: &HeaderMap) -> S3Result<()> {
        self.algorithms.extend(algorithm.map(str::to_ascii_lowercase));
        for value in headers.get_all("x-amz-trailer") {
            for name in text("x-amz-trailer", value)?.split(',') {
                self.algorithms.extend(name.trim().strip_prefix(CHECKSUM_PREFIX).map(str::to_ascii_lowercase));
            }
        }
        // With chunked signing, Content-Length includes the chunk headers. This header has the length without them.
        if let Some(value) = headers.get(DECODED_LENGTH) {
            let length = text(DECODED_LENGTH, value)?;
            let invalid =
                |_| s3_error!(InvalidArgument, "{DECODED_LENGTH}: expected a length in bytes, found {length}");
            self.length_bytes = Some(length.parse().map_err(invalid)?);
        }
        Ok(())
    }

    /// Adds the checksums that came after the body.
    ///
    /// # Errors
    /// A checksum that is not text.
    pub(super) fn add_trailer(&mut self, trailer: &HeaderMap) -> S3Result<()> {
        for (name, value) in trailer {
            if let Some(algorithm) = name.as_str().strip_prefix(CHECKSUM_PREFIX) {
                self.checksums.insert(algorithm.to_owned(), text(name.as_str(), value)?.to_owned());
            }
        }
        Ok(())
    }

    /// Compares a received body with what was announced.
    ///
    /// # Errors
    /// Another length, or another digest.
    pub(super) fn check(&self, found: &Digests, length_bytes: u64) -> S3Result<()> {
        if self.length_bytes.is_some_and(|expected| expected != length_bytes) {
            return Err(s3_error!(
                IncompleteBody,
                "You did not provide the number of bytes specified by the Content-Length HTTP header"
            ));
        }
        if let Some(expected) = &self.content_md5 {
            let Ok(expected) = STANDARD.decode(expected) else {
                return Err(s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."));
            };
            if expected != found.md5 {
                return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
            }
        }
        for (algorithm, expected) in &self.checksums {
            if found.checksums.get(algorithm).is_some_and(|found| found != expected) {
                return Err(s3_error!(
                    BadDigest,
                    "The {} you specified did not match the calculated checksum.",
                    algorithm.to_ascii_uppercase()
                ));
            }
        }
        Ok(())
    }
}

/// Computes the digests of a body piece by piece.
pub(super) struct Hasher {
    md5: Md5,
    checksums: ChecksumHasher,
}

impl Hasher {
    /// Creates a hasher for MD5 and the checksums that `expected` needs.
    pub(super) fn new(expected: &Expected) -> S3Result<Self> {
        let mut checksums = ChecksumHasher::default();
        for algorithm in expected.checksums.keys().chain(&expected.algorithms) {
            match algorithm.as_str() {
                "crc32" => checksums.crc32 = Some(s3s::crypto::Crc32::new()),
                "crc32c" => checksums.crc32c = Some(s3s::crypto::Crc32c::new()),
                "crc64nvme" => checksums.crc64nvme = Some(s3s::crypto::Crc64Nvme::new()),
                "sha1" => checksums.sha1 = Some(s3s::crypto::Sha1::new()),
                "sha256" => checksums.sha256 = Some(s3s::crypto::Sha256::new()),
                other => return Err(s3_error!(InvalidRequest, "Unknown checksum algorithm {other}")),
            }
        }
        Ok(Self { md5: Md5::new(), checksums })
    }

    /// Adds the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.checksums.update(bytes);
    }

    /// Returns the digests of all bytes added.
    pub(super) fn finish(self) -> Digests {
        let sums: Checksum = self.checksums.finalize();
        Digests { md5: self.md5.finalize(), checksums: given_checksums!(sums) }
    }
}

/// The digests of a body.
#[derive(Debug)]
pub(super) struct Digests {
    /// MD5, raw.
    pub(super) md5: [u8; 16],
    /// The requested checksums.
    pub(super) checksums: Checksums,
}

/// Formats bytes as lower-case hexadecimal, as in an `ETag`.
pub(super) fn hex(bytes: &[u8]) -> String {
    sha256::hex(bytes).collect()
}

/// Returns the `ETag` of a multipart object: the MD5 of the MD5s of its parts, and the number of parts.
pub(super) fn multipart_etag(parts: &[[u8; 16]]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    format!("{}-{}", hex(&md5.finalize()), parts.len())
}

fn text<'v>(name: &str, value: &'v HeaderValue) -> S3Result<&'v str> {
    value.to_str().map_err(|_| s3_error!(InvalidArgument, "{name}: the value is not ASCII text"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed as it should")]

    use super::*;

    #[test]
    fn unreadable_headers_and_trailers_are_errors() {
        let broken = HeaderValue::from_bytes(b"\xff").unwrap();
        for (name, value) in [
            ("x-amz-trailer", broken.clone()),
            (DECODED_LENGTH, broken.clone()),
            (DECODED_LENGTH, HeaderValue::from_static("-1")),
        ] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value)]);
            assert!(Expected::default().announce(None, &headers).is_err(), "{name}");
        }
        let trailer = HeaderMap::from_iter([("x-amz-checksum-crc32".parse().unwrap(), broken)]);
        assert!(Expected::default().add_trailer(&trailer).is_err());
    }
}
