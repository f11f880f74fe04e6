//! Errors as `application/problem+json` (RFC 9457). Each kind has one status. No error shows internals.

use std::borrow::Cow;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::cursor::{InvalidCursor, NoCursor};
use super::response;
use notaflux_table::TableError;
use notaflux_table::stored::DecodeError;

/// Seconds after which a client may retry.
const RETRY_AFTER_SECONDS: &str = "1";

/// The media type of a problem.
const MEDIA_TYPE: &str = "application/problem+json";

/// A wrong parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParameterError {
    /// The name of the parameter.
    pub parameter: String,
    /// The expected value.
    pub message: Cow<'static, str>,
}

/// An error that a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// 400: these parameters are wrong.
    InvalidParameter(Vec<ParameterError>),
    /// 400: the cursor does not belong to this query.
    InvalidCursor,
    /// 404: unknown id or path; the text says which.
    NotFound(&'static str),
    /// 405: the API can only be read.
    MethodNotAllowed,
    /// 406: a list does not come in the requested format.
    NotAcceptable,
    /// 503: too many requests for the table.
    Throttled,
    /// 503: the table does not answer.
    Unavailable,
    /// 500: a defect, damaged data, or a wrong table or configuration. The log says what is wrong.
    Internal,
}

#[derive(Serialize)]
struct Body<'p> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    request_id: &'p str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'p [ParameterError],
}

/// One problem of each kind.
const KINDS: [Problem; 8] = [
    Problem::InvalidParameter(Vec::new()),
    Problem::InvalidCursor,
    Problem::NotFound(""),
    Problem::MethodNotAllowed,
    Problem::NotAcceptable,
    Problem::Throttled,
    Problem::Unavailable,
    Problem::Internal,
];

/// Returns the name, status and title of each kind.
pub(super) fn explained() -> [(&'static str, u16, &'static str); 8] {
    KINDS.map(|problem| {
        let (name, status, title, _) = problem.parts();
        (name, status.as_u16(), title)
    })
}

impl Problem {
    /// Returns name, status, title, and what the client can do.
    const fn parts(&self) -> (&'static str, StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidParameter(_) => (
                "invalid-parameter",
                StatusCode::BAD_REQUEST,
                "A parameter is wrong",
                "See errors: it names each wrong parameter and what is expected.",
            ),
            Self::InvalidCursor => (
                "invalid-cursor",
                StatusCode::BAD_REQUEST,
                "The cursor does not belong to this query",
                "Send next_cursor unchanged, with the parameters of the page that returned it; or start without a cursor.",
            ),
            Self::NotFound(what) => ("not-found", StatusCode::NOT_FOUND, "Unknown id or path", what),
            Self::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "The API can only be read", "Use GET or HEAD.")
            }
            Self::NotAcceptable => (
                "not-acceptable",
                StatusCode::NOT_ACCEPTABLE,
                "A list does not come in the requested format",
                "Accept application/json, application/x-ndjson or text/csv.",
            ),
            Self::Throttled => (
                "throttled",
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many requests",
                "Retry after the seconds in Retry-After.",
            ),
            Self::Unavailable => (
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The table does not answer",
                "Retry after the seconds in Retry-After.",
            ),
            Self::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "Error in the service",
                "A retry will probably fail too. The log of the service says what is wrong.",
            ),
        }
    }

    /// Reports damaged data in the log and returns the problem for the client. `message` must not contain values: a CPF may
    /// be in them.
    pub(super) fn damaged(message: &str) -> Self {
        tracing::error!("damaged data: {message}");
        Self::Internal
    }

    /// Makes the answer to the request with this id.
    #[expect(clippy::expect_used, reason = "a struct of texts and numbers is always JSON")]
    pub(super) fn answer(&self, request_id: &str) -> Response {
        let (name, status, title, detail) = self.parts();
        let errors: &[ParameterError] = if let Self::InvalidParameter(errors) = self { errors } else { &[] };
        let r#type = format!("/problems/{name}");
        let body = Body { r#type, title, status: status.as_u16(), detail, request_id, errors };
        let body = serde_json::to_vec(&body).expect("a problem is JSON");
        let mut response = (status, response::with_type(MEDIA_TYPE, body)).into_response();
        if matches!(self, Self::Throttled | Self::Unavailable) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Returns an empty response that carries the problem. `layers` knows the id of the request, and writes the body.
    fn into_response(self) -> Response {
        let mut response = self.parts().1.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<TableError> for Problem {
    fn from(error: TableError) -> Self {
        match &error {
            TableError::Throttled { .. } => {
                tracing::warn!(%error, "throttled");
                Self::Throttled
            }
            error if !error.is_permanent() => {
                tracing::warn!(%error, "unavailable");
                Self::Unavailable
            }
            _ => {
                tracing::error!(%error, "the table cannot be read");
                Self::Internal
            }
        }
    }
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        tracing::error!(%error, "an item cannot be read");
        Self::Internal
    }
}

impl From<InvalidCursor> for Problem {
    fn from(_: InvalidCursor) -> Self {
        Self::InvalidCursor
    }
}

impl From<NoCursor> for Problem {
    fn from(error: NoCursor) -> Self {
        tracing::error!(%error, "a cursor cannot be made");
        Self::Internal
    }
}

impl From<csv::Error> for Problem {
    fn from(error: csv::Error) -> Self {
        tracing::error!(%error, "an answer cannot be written");
        Self::Internal
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        tracing::error!(%error, "an answer cannot be written");
        Self::Internal
    }
}
