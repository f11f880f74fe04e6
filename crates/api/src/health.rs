//! `/health`.

use axum::response::Response;

use super::format::Format;
use super::response;

/// `GET /health`: shows that this process answers. Does not read the table, so that a throttled table does not make a
/// load balancer stop the process. Ignores query parameters, because some health checks add their own.
pub(super) async fn health() -> Response {
    response::with_type(Format::Json.content_type(), r#"{"status":"ok"}"#)
}
