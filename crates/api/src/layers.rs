//! What applies to every answer: the id of its request, its read units, `If-None-Match`, compression, CORS, and a line in
//! the log.

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
use super::response::header_value;

/// The id of a request, in the request and in its answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The read units of an answer.
const READ_UNITS: HeaderName = HeaderName::from_static("notaflux-read-units");

/// Most characters of a request id.
const REQUEST_ID_LIMIT: usize = 64;
/// How long a browser may keep the answer to a preflight request. Chrome keeps it for 2 hours at most.
const PREFLIGHT_AGE: std::time::Duration = std::time::Duration::from_hours(2);

/// Makes the layer that lets other origins read the answers; `None` if none may.
fn cors_layer(cors: &Cors) -> Option<CorsLayer> {
    let origins = match cors {
        Cors::Off => return None,
        Cors::Any => AllowOrigin::any(),
        Cors::Origins(origins) => AllowOrigin::list(origins.clone()),
    };
    let layer = CorsLayer::new().allow_origin(origins).allow_methods([Method::GET, Method::HEAD]);
    let accepted = [HeaderName::from_static("x-api-key"), IF_NONE_MATCH, REQUEST_ID];
    let shown = [ETAG, LINK, RETRY_AFTER, REQUEST_ID, READ_UNITS];
    Some(layer.allow_headers(accepted).expose_headers(shown).max_age(PREFLIGHT_AGE))
}

/// Wraps the routes in the layers.
pub(super) fn with_layers(routes: Router, cors: &Cors) -> Router {
    let routes = routes.layer(middleware::from_fn(not_modified)).layer(CompressionLayer::new().gzip(true));
    let routes = match cors_layer(cors) {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    routes.layer(middleware::from_fn(identified))
}

/// Gives every request an id, which its answer and its log line show. The log line has the route but no parameters, because
/// a CPF may be in them.
async fn identified(mut request: Request, next: Next) -> Response {
    let (began, meter) = (Instant::now(), ReadUnitMeter::default());
    let id = id_of(&request);
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    request.extensions_mut().insert(meter.clone());
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let headers = std::mem::take(response.headers_mut());
        response = problem_answer(&problem, &id, &method, headers);
    }
    let units = meter.units();
    let headers = response.headers_mut();
    // Answers contain personal data: shared caches must not store them, and a browser must revalidate its copy.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    join(VARY, headers);
    headers.insert(REQUEST_ID, header_value(id.clone()));
    if let Some(units) = units {
        headers.insert(READ_UNITS, header_value(units.to_string()));
    }
    let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    tracing::info!(request_id = id, %method, route, status, read_units = units, elapsed_ms, "answered");
    response
}

/// Joins the values of a header into one, because an HTTP API of API Gateway accepts only one value per header.
fn join(name: HeaderName, headers: &mut HeaderMap) {
    let values: Vec<&str> = headers.get_all(&name).iter().filter_map(|value| value.to_str().ok()).collect();
    if !values.is_empty() {
        let joined = header_value(values.join(", "));
        headers.insert(name, joined);
    }
}

/// Makes the answer for a problem, with the headers that inner layers have added.
fn problem_answer(problem: &Problem, id: &str, method: &Method, mut headers: HeaderMap) -> Response {
    let mut response = problem.answer(id);
    if method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    headers.remove(CONTENT_LENGTH);
    response.headers_mut().extend(headers);
    response
}

/// Returns the id that the client gave if it is plain, else the id of the gateway, else a random one.
fn id_of(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_id = |id: &&str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=REQUEST_ID_LIMIT).contains(&id.len()) && id.bytes().all(is_plain)
    };
    let gateways = request.extensions().get::<GatewayRequestId>().map(|id| id.0.as_str());
    given.filter(is_id).or(gateways.filter(is_id)).map_or_else(random_id, ToOwned::to_owned)
}

/// Makes 128 random bits in hexadecimal. They identify a request; they are not a secret.
fn random_id() -> String {
    let mut text = String::with_capacity(32);
    let written = write!(text, "{:032x}", fastrand::u128(..));
    debug_assert!(written.is_ok(), "writing to a String does not fail");
    text
}

/// Answers 304 without a body if the client already has the answer (RFC 9110, section 13.1.2).
async fn not_modified(request: Request, next: Next) -> Response {
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

/// Whether `If-None-Match` contains a tag, by weak comparison.
fn names(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    // Our tags contain no comma.
    known.split(',').map(str::trim).any(|known| known == "*" || opaque(known) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_by_their_opaque_part() {
        let names =
            |known: &'static str, tag| super::names(&HeaderValue::from_static(known), &HeaderValue::from_static(tag));
        assert!(names("*", "W/\"a\"") && names("W/\"a\"", "W/\"a\"") && names("\"x\", \"a\"", "W/\"a\""));
        assert!(!names("W/\"b\"", "W/\"a\"") && !names("a", "W/\"a\"") && !names("", "W/\"a\""));
    }

    #[test]
    fn a_plain_request_id_is_kept() {
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
