//! Signatures of puts: AWS signature version 4 of requests that differ only in body, time and credentials.
//!
//! `aws-sigv4` computes the key and the signature. This file builds the text that is signed: the general signer of `aws-sigv4`
//! derives the key again for each call, which is half of all that it hashes, and walks through headers that are always the same.

use std::fmt::Display;
use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4;
use http::Uri;
use jiff::Timestamp;
use jiff::tz::Offset;

use notaflux_sha256::{HASH_BYTES, digest, hex};
use notaflux_table::keys::sort_time;

/// Operation and version of the API.
pub(super) const TARGET: &str = "DynamoDB_20120810.BatchWriteItem";
/// Media type of the API.
pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// Name of the service in a signature.
const SERVICE: &str = "dynamodb";

/// Name of the algorithm in a signature.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Length of the day at the start of a time, in characters.
const DAY_LENGTH: usize = 8;

/// The endpoint that calls go to.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) url: Uri,
    /// Host as the `host` header has it: without the default port of the scheme.
    host: String,
    /// Path as it is signed.
    path: String,
}

impl Endpoint {
    /// Reads an endpoint.
    ///
    /// # Errors
    /// A text that is no URL, a URL without a host, and a URL with a query.
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let wrong = |why: &dyn Display| format!("the endpoint {url}: {why}");
        let url: Uri = url.parse().map_err(|error| wrong(&error))?;
        let host = url.host().ok_or_else(|| wrong(&"expected a host"))?;
        let host = match (url.scheme_str(), url.port_u16()) {
            (_, None) | (Some("http"), Some(80)) | (Some("https"), Some(443)) => host.to_owned(),
            (_, Some(port)) => format!("{host}:{port}"),
        };
        if url.query().is_some() {
            return Err(wrong(&"expected no query"));
        }
        let path = signed_path(url.path());
        Ok(Self { url, host, path })
    }
}

/// Returns `path`, which ends in a slash, as it is signed: without empty, `.` and `..` segments, and with each byte that is not an
/// unreserved character as `%XX` (also where it is encoded already).
fn signed_path(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let mut signed = "/".to_owned();
    for segment in kept {
        for byte in segment.bytes() {
            match byte {
                b'-' | b'.' | b'_' | b'~' => signed.push(byte.into()),
                _ if byte.is_ascii_alphanumeric() => signed.push(byte.into()),
                _ => signed.extend(['%'].into_iter().chain(hex(&[byte]).map(|digit| digit.to_ascii_uppercase()))),
            }
        }
        signed.push('/');
    }
    signed
}

/// The time at which a request is signed.
#[derive(Debug, Clone)]
pub(super) struct SignedAt {
    time: SystemTime,
    /// `yyyymmddThhmmssZ`, in UTC.
    text: String,
}

impl SignedAt {
    /// Returns none for a time after the last days of the year 9999, which `jiff` cannot represent.
    pub(super) fn of(time: SystemTime) -> Option<Self> {
        let timestamp = Timestamp::try_from(time).ok()?;
        Some(Self { time, text: format!("{}Z", sort_time(Offset::UTC.to_datetime(timestamp))) })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    fn day(&self) -> &str {
        self.text.split_at(DAY_LENGTH).0
    }
}

/// The key that signs the requests of one day. It is as secret as the credentials that it is derived from.
#[derive(Clone)]
pub(super) struct DayKey {
    day: Arc<str>,
    key: Arc<[u8]>,
}

impl DayKey {
    /// Derives the key for the day of `at`.
    pub(super) fn new(credentials: &Credentials, at: &SignedAt, region: &str) -> Self {
        let key = v4::generate_signing_key(credentials.secret_access_key(), at.time, region, SERVICE);
        Self { day: at.day().into(), key: key.as_ref().into() }
    }

    pub(super) fn is_of(&self, at: &SignedAt) -> bool {
        &*self.day == at.day()
    }

    /// Returns whether both are the same derived key.
    #[cfg(test)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.key, &other.key)
    }
}

impl std::fmt::Debug for DayKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DayKey").field("day", &self.day).finish_non_exhaustive()
    }
}

/// Returns the header `authorization` of a request whose body has this hash. It signs content type, host, time, target and, where the
/// credentials have one, the session token.
pub(super) fn authorization(
    (Endpoint { host, path, .. }, region): (&Endpoint, &str),
    (credentials, key): (&Credentials, &DayKey),
    at: &SignedAt,
    body_sha256: &[u8; HASH_BYTES],
) -> String {
    let (time, day) = (at.as_str(), at.day());
    let (token, token_name) = match credentials.session_token() {
        Some(token) => (format!("x-amz-security-token:{token}\n"), "x-amz-security-token;"),
        None => (String::new(), ""),
    };
    let names = format!("content-type;host;x-amz-date;{token_name}x-amz-target");
    let body: String = hex(body_sha256).collect();
    let request = format!(
        "POST\n{path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}\nx-amz-date:{time}\n{token}x-amz-target:{TARGET}\n\n{names}\n{body}"
    );
    let scope = format!("{day}/{region}/{SERVICE}/aws4_request");
    let hash: String = hex(&digest(request)).collect();
    let signature = v4::calculate_signature(&key.key, format!("{ALGORITHM}\n{time}\n{scope}\n{hash}").as_bytes());
    let id = credentials.access_key_id();
    format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use std::time::Duration;

    use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
    use http::Request;
    use proptest::prelude::*;

    use super::*;
    use notaflux_sha256::digest;

    /// Signs the same request with `aws-sigv4`.
    fn signed_by_the_library(
        url: &str,
        region: &str,
        credentials: &Credentials,
        time: SystemTime,
        body: &[u8],
    ) -> Request<()> {
        let identity = credentials.clone().into();
        let parameters = v4::SigningParams::builder().identity(&identity).region(region).name(SERVICE).time(time);
        let parameters = parameters.settings(SigningSettings::default()).build().unwrap().into();
        let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)];
        let signable = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(body)).unwrap();
        let (signature, _) = http_request::sign(signable, &parameters).unwrap().into_parts();
        let mut request = Request::post(url).body(()).unwrap();
        signature.apply_to_request_http1x(&mut request);
        request
    }

    proptest! {
        #[test]
        fn the_signature_is_that_of_the_library(
            scheme in "https?",
            host in "[a-z][a-z0-9.-]{0,20}[a-z]",
            port in prop_oneof![Just(None), Just(Some(80_u16)), Just(Some(443)), any::<u16>().prop_map(Some)],
            path in "(/|/\\.|/\\.\\.|/[a-zA-Z0-9._~!$&'()*+,;=:@-]{1,6}|/%[0-9A-F]{2}){0,5}",
            id in "[A-Z0-9]{16,20}",
            secret in "[ -~]{1,80}",
            token in prop::option::of("[!-~]{1,300}"),
            region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
            // The last second that `jiff` can represent.
            seconds in 0_u64..=253_402_207_200,
            body in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let url = format!("{scheme}://{host}{port}{path}/");
            let credentials = Credentials::new(id, secret, token, None, "test");
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let theirs = signed_by_the_library(&url, &region, &credentials, time, &body);
            let at = SignedAt::of(time).unwrap();
            let key = DayKey::new(&credentials, &at, &region);
            let endpoint = Endpoint::new(&url).unwrap();
            let ours = authorization((&endpoint, &region), (&credentials, &key), &at, &digest(&body));
            prop_assert_eq!(&ours, theirs.headers()["authorization"].to_str().unwrap());
            prop_assert_eq!(at.as_str(), theirs.headers()["x-amz-date"].to_str().unwrap());
        }
    }

    #[test]
    fn a_key_is_for_one_day() {
        let of = |seconds| SignedAt::of(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        let (last, first) = (of(86_399), of(86_400));
        assert_eq!((last.as_str(), first.as_str()), ("19700101T235959Z", "19700102T000000Z"));
        let credentials = Credentials::new("id", "hidden", None, None, "test");
        let [old, new] = [&last, &first].map(|at| DayKey::new(&credentials, at, "x"));
        assert!(old.is_of(&last) && !old.is_of(&first) && new.is_of(&first));
        assert_ne!(old.key, new.key);
        assert_eq!(format!("{old:?}"), r#"DayKey { day: "19700101", .. }"#);
    }

    #[test]
    fn an_invalid_endpoint_is_an_error() {
        for (url, message) in [
            ("http://[", "the endpoint http://[: "),
            ("/path/", "the endpoint /path/: expected a host"),
            ("http://host/?query=/", "the endpoint http://host/?query=/: expected no query"),
        ] {
            let error = Endpoint::new(url).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
        assert!(SignedAt::of(SystemTime::UNIX_EPOCH + Duration::from_hours(80_000_000)).is_none());
    }
}
