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

/// Makes the answer for a single resource, with an `ETag`. The tag is weak, because it stays the same when the body is
/// compressed.
pub(super) fn single(content_type: &'static str, body: Vec<u8>) -> Response {
    let digest = sha256::digest(&body);
    let digest = URL_SAFE_NO_PAD.encode(&digest[..ETAG_BYTES]);
    let mut response = with_type(content_type, body);
    response.headers_mut().insert(ETAG, header_value(format!("W/\"{digest}\"")));
    response
}

/// Makes an answer with a body of this media type.
pub(super) fn with_type(content_type: &'static str, body: impl Into<Body>) -> Response {
    let headers: [(HeaderName, HeaderValue); 1] = [(CONTENT_TYPE, HeaderValue::from_static(content_type))];
    (headers, body.into()).into_response()
}

/// Makes a header value of a text that the API has made itself.
///
/// # Panics
/// If a character is not printable ASCII.
#[expect(clippy::expect_used, reason = "the API makes such texts of printable ASCII")]
pub(super) fn header_value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("a header value is printable ASCII")
}
