//! What every answer has besides: the id of its request, the read units it took, a tag that a client may have already,
//! compression, CORS, and a line in the log.

use std::fmt::Write as _;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, ETAG, IF_NONE_MATCH, LINK, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::cors::Cors;
use super::extensions::GatewayRequestId;
use super::meter::ReadUnitMeter;
use super::problem::Problem;

/// Header with the id of a request, in the request and in its answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Header with the read units that an answer took.
pub const READ_UNITS: HeaderName = HeaderName::from_static("notaflux-read-units");

/// Most characters of an id that a client gives.
const REQUEST_ID_LIMIT: usize = 64;
/// How long a browser may remember what CORS allows: what most of them take at most.
const PREFLIGHT_AGE: std::time::Duration = std::time::Duration::from_hours(2);

/// The layer that lets web pages of other origins read the answers; `None` if none may.
fn cors_layer(cors: &Cors) -> Option<CorsLayer> {
    let origins = match cors {
        Cors::Off => return None,
        Cors::Any => AllowOrigin::any(),
        Cors::Origins(origins) => AllowOrigin::list(origins.clone()),
    };
    let layer = CorsLayer::new().allow_origin(origins).allow_methods([Method::GET, Method::HEAD]);
    let asked = [HeaderName::from_static("x-api-key"), IF_NONE_MATCH, REQUEST_ID];
    let shown = [ETAG, LINK, RETRY_AFTER, REQUEST_ID, READ_UNITS];
    Some(layer.allow_headers(asked).expose_headers(shown).max_age(PREFLIGHT_AGE))
}

/// Lays around the routes what every answer has besides.
pub(super) fn with_layers(routes: Router, cors: &Cors) -> Router {
    let routes = routes.layer(middleware::from_fn(unless_known)).layer(CompressionLayer::new().gzip(true));
    let routes = match cors_layer(cors) {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    routes.layer(middleware::from_fn(told))
}

/// Gives every request an id, and tells it in the answer and in the log, which shows nothing of what was asked for.
async fn told(mut request: Request, next: Next) -> Response {
    let (began, meter) = (Instant::now(), ReadUnitMeter::default());
    let id = id_of(&request);
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    request.extensions_mut().insert(meter.clone());
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let headers = std::mem::take(response.headers_mut());
        response = with_id(&problem, &id, &method, headers);
    }
    let units = meter.units();
    let headers = response.headers_mut();
    // Personal data is in it: nobody between may keep it, and who keeps it asks whether it still stands.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    join(VARY, headers);
    headers.extend(HeaderValue::try_from(&id).ok().map(|id| (REQUEST_ID, id)));
    headers
        .extend(units.and_then(|units| HeaderValue::try_from(units.to_string()).ok()).map(|units| (READ_UNITS, units)));
    let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    tracing::info!(request_id = id, %method, route, status, read_units = units, elapsed_ms, "answered");
    response
}

/// Makes the values of a header one: an HTTP API takes no more.
fn join(name: HeaderName, headers: &mut HeaderMap) {
    let values: Vec<&str> = headers.get_all(&name).iter().filter_map(|value| value.to_str().ok()).collect();
    if let Ok(value) = HeaderValue::try_from(values.join(", "))
        && !values.is_empty()
    {
        headers.insert(name, value);
    }
}

/// The answer that tells a problem, with what the layers inside have added to its headers.
fn with_id(problem: &Problem, id: &str, method: &Method, mut headers: HeaderMap) -> Response {
    let mut response = problem.answer(id);
    if method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    headers.remove(CONTENT_LENGTH);
    response.headers_mut().extend(headers);
    response
}

/// The client's id of a request, else the gateway's, else a random one.
fn id_of(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_id = |id: &&str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=REQUEST_ID_LIMIT).contains(&id.len()) && id.bytes().all(is_plain)
    };
    let gateways = request.extensions().get::<GatewayRequestId>().map(|id| id.0.as_str());
    given.filter(is_id).or(gateways.filter(is_id)).map_or_else(random_id, ToOwned::to_owned)
}

/// 128 random bits in hexadecimal. They name a request and guard nothing.
fn random_id() -> String {
    let mut text = String::with_capacity(32);
    let written = write!(text, "{:032x}", fastrand::u128(..));
    debug_assert!(written.is_ok(), "a String takes everything");
    text
}

/// Answers with 304 and no body where the client has what would be answered (RFC 9110, 13.1.2).
async fn unless_known(request: Request, next: Next) -> Response {
    let known: Vec<HeaderValue> = request.headers().get_all(IF_NONE_MATCH).iter().cloned().collect();
    let response = next.run(request).await;
    let tag = response.headers().get(ETAG).filter(|_| response.status() == StatusCode::OK);
    let is_known = tag.is_some_and(|tag| known.iter().any(|known| names(known, tag)));
    if !is_known {
        return response;
    }
    let mut short = StatusCode::NOT_MODIFIED.into_response();
    for name in [ETAG, VARY] {
        short.headers_mut().extend(response.headers().get(&name).cloned().map(|value| (name, value)));
    }
    short
}

/// Whether `If-None-Match` names a tag: weakly, as it compares.
fn names(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    // Tags of ours have no comma.
    known.split(',').map(str::trim).any(|known| known == "*" || opaque(known) == opaque(tag))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use super::*;

    #[test]
    fn a_tag_is_known_by_its_opaque_part() {
        let names =
            |known: &'static str, tag| super::names(&HeaderValue::from_static(known), &HeaderValue::from_static(tag));
        assert!(names("*", "W/\"a\"") && names("W/\"a\"", "W/\"a\"") && names("\"x\", \"a\"", "W/\"a\""));
        assert!(!names("W/\"b\"", "W/\"a\"") && !names("a", "W/\"a\"") && !names("", "W/\"a\""));
    }

    #[test]
    fn an_id_is_taken_if_it_is_plain() {
        let id = |given: &str, gateways: Option<&str>| {
            let mut request = Request::builder().header(REQUEST_ID, given).body(Body::empty()).unwrap();
            if let Some(id) = gateways {
                request.extensions_mut().insert(GatewayRequestId(id.to_owned()));
            }
            id_of(&request)
        };
        assert_eq!(id("a-1_2.B", Some("g")), "a-1_2.B");
        for wrong in ["", "a b", "<script>", &"x".repeat(65)] {
            assert_eq!(id(wrong, Some("g")), "g", "{wrong}");
            assert_eq!(id(wrong, None).len(), 32);
        }
        assert_ne!(id("", None), id("", None));
    }
}
