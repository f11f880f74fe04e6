//! What goes wrong, as `application/problem+json` (RFC 9457). One kind, one status, nothing of the inside.

use std::borrow::Cow;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::cursor::{InvalidCursor, NoCursor};
use super::response;
use notaflux_table::TableError;
use notaflux_table::stored::DecodeError;

/// Seconds after which a client may try again what failed for want of capacity or of a connection.
const RETRY_AFTER_SECONDS: &str = "1";

/// What a problem's answer says it is.
const MEDIA_TYPE: &str = "application/problem+json";

/// What is wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParameterError {
    /// Its name.
    pub parameter: String,
    /// What is expected of it.
    pub message: Cow<'static, str>,
}

/// Why a request has no other answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// 400: these parameters.
    InvalidParameter(Vec<ParameterError>),
    /// 400: a cursor that this query has not given.
    InvalidCursor,
    /// 404: nothing is there.
    NotFound(&'static str),
    /// 405: something is there, and it can only be read.
    MethodNotAllowed,
    /// 406: a list in none of the forms that there are.
    NotAcceptable,
    /// 503: the table is read too fast.
    Throttled,
    /// 503: the table does not answer.
    Unavailable,
    /// 500: a defect, or a table or configuration that is not as it should be. The log says more.
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

/// One of each kind.
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

/// What goes wrong: the name, status and title of each kind.
pub(super) fn explained() -> [(&'static str, u16, &'static str); 8] {
    KINDS.map(|problem| {
        let (name, status, title, _) = problem.parts();
        (name, status.as_u16(), title)
    })
}

impl Problem {
    /// Name, status, title, and what to do.
    const fn parts(&self) -> (&'static str, StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidParameter(_) => (
                "invalid-parameter",
                StatusCode::BAD_REQUEST,
                "A parameter is wrong",
                "See errors for each parameter and what is expected of it.",
            ),
            Self::InvalidCursor => (
                "invalid-cursor",
                StatusCode::BAD_REQUEST,
                "The cursor is not one of this query",
                "Use next_cursor as it was given, with the parameters that it was given for; or begin without a cursor.",
            ),
            Self::NotFound(what) => ("not-found", StatusCode::NOT_FOUND, "There is no such thing", what),
            Self::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "This can only be read", "Use GET or HEAD.")
            }
            Self::NotAcceptable => (
                "not-acceptable",
                StatusCode::NOT_ACCEPTABLE,
                "A list has no such form",
                "Accept application/json, application/x-ndjson or text/csv.",
            ),
            Self::Throttled => (
                "throttled",
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many requests at once",
                "Try again after the seconds in Retry-After.",
            ),
            Self::Unavailable => (
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The table does not answer",
                "Try again after the seconds in Retry-After.",
            ),
            Self::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something is wrong on our side",
                "Trying again will hardly help; the log of the service says what is wrong.",
            ),
        }
    }

    /// The answer to the request with this id.
    pub(super) fn answer(&self, request_id: &str) -> Response {
        let (name, status, title, detail) = self.parts();
        let errors: &[ParameterError] = if let Self::InvalidParameter(errors) = self { errors } else { &[] };
        let r#type = format!("/problems/{name}");
        let body = Body { r#type, title, status: status.as_u16(), detail, request_id, errors };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, response::with_type(MEDIA_TYPE, body)).into_response();
        if matches!(self, Self::Throttled | Self::Unavailable) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Goes with an empty response to where the id of the request is known, and is written there: see `served`.
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
        tracing::error!(%error, "a page cannot be ended");
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
