//! What a client says about the bytes that it sends, checked while they pass.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::Checksum;
use s3s::{S3Result, s3_error};

/// Checksums by algorithm in lower case (`crc32`, `crc32c`, `crc64nvme`, `sha1`, `sha256`), each in Base64.
pub(super) type Checksums = BTreeMap<String, String>;

/// The checksums that stand in a request, or in another structure with the five fields.
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

/// What the bytes must turn out to be.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Checksums named in headers; a trailer may add to them.
    pub(super) checksums: Checksums,
    /// Algorithms to compute beyond those of `checksums`: announced for a trailer, or asked for.
    pub(super) algorithms: Vec<String>,
    /// `Content-MD5`, Base64.
    pub(super) content_md5: Option<String>,
    /// Length of the content in bytes, as announced.
    pub(super) length_bytes: Option<u64>,
}

impl Expected {
    /// Adds the algorithms that the request announces: the one it names, and those whose values come in the trailer.
    pub(super) fn announce(&mut self, algorithm: Option<&str>, headers: &HeaderMap) {
        self.algorithms.extend(algorithm.map(str::to_ascii_lowercase));
        for value in headers.get_all("x-amz-trailer") {
            for name in value.to_str().unwrap_or_default().split(',') {
                self.algorithms.extend(name.trim().strip_prefix("x-amz-checksum-").map(str::to_ascii_lowercase));
            }
        }
    }

    /// Takes over the checksums that came after the body.
    pub(super) fn add_trailer(&mut self, trailer: &HeaderMap) {
        for (name, value) in trailer {
            if let (Some(algorithm), Ok(value)) = (name.as_str().strip_prefix("x-amz-checksum-"), value.to_str()) {
                self.checksums.insert(algorithm.to_owned(), value.to_owned());
            }
        }
    }

    /// Compares what was announced with what came.
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

/// Digests being computed.
pub(super) struct Hasher {
    md5: Md5,
    checksums: ChecksumHasher,
}

impl Hasher {
    /// A hasher for MD5 and what `expected` needs.
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

    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.checksums.update(bytes);
    }

    /// The digests of all bytes taken.
    pub(super) fn finish(self) -> Digests {
        let sums: Checksum = self.checksums.finalize();
        Digests { md5: self.md5.finalize(), checksums: given_checksums!(sums) }
    }
}

/// The digests of some bytes.
#[derive(Debug)]
pub(super) struct Digests {
    /// MD5, raw.
    pub(super) md5: [u8; 16],
    /// The checksums that were asked for.
    pub(super) checksums: Checksums,
}

/// Lower-case hexadecimal, as in an `ETag`.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a String cannot fail.
        write!(out, "{byte:02x}").unwrap_or_default();
        out
    })
}

/// The `ETag` of an object made of parts: the MD5 of the parts' MD5s, and how many there are.
pub(super) fn multipart_etag(parts: &[[u8; 16]]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    format!("{}-{}", hex(&md5.finalize()), parts.len())
}
