//! Bodies of answers with their headers.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use notaflux_sha256 as sha256;

/// Bytes of a body's SHA-256 that its `ETag` has.
const ETAG_BYTES: usize = 16;

/// A resource of its own: a client that has it already is told so by its tag.
///
/// The tag is weak: it stays the same when a body is compressed on its way.
pub(super) fn single(content_type: &'static str, body: Vec<u8>) -> Response {
    let digest = sha256::digest(&body);
    let digest = URL_SAFE_NO_PAD.encode(digest.get(..ETAG_BYTES).unwrap_or_default());
    let mut response = with_type(content_type, body);
    if let Ok(tag) = HeaderValue::try_from(format!("W/\"{digest}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// A body of this type.
pub(super) fn with_type(content_type: &'static str, body: impl Into<Body>) -> Response {
    let headers: [(HeaderName, HeaderValue); 1] = [(CONTENT_TYPE, HeaderValue::from_static(content_type))];
    (headers, body.into()).into_response()
}
