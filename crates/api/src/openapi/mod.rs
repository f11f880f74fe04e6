//! `/openapi.json`: what the API is, for tools (`OpenAPI` 3.1). Written by code, from the words and limits that the API itself
//! goes by; tests hold it against what the API takes and answers.
//!
//! | file | what it describes |
//! | --- | --- |
//! | [`paths`] | routes, their parameters and answers |
//! | [`schemas`] | what answers are made of |
//! | [`examples`] | answers as they are |

pub(super) mod examples;
pub(super) mod paths;
mod schemas;

use axum::Extension;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};

use super::extensions::PathPrefix;
use super::parameters::Parameters;
use super::problem::Problem;
use super::response;

/// What the API is in general, in Markdown: paragraphs, headings and code.
const ABOUT: &str = "Invoices, with their lines and events, from the files that were ingested; and what became of each file.

Amounts are texts with exact decimals. Times are as the sources have them, with an offset only where a source has one. What is \
    absent is not there; nothing is ever null.

## Pages

Lists come page by page. A page has up to `limit` items; where the list goes on it has a `next_cursor`, which is the `cursor` \
    of the request for the next page, all other parameters as they were (`limit` may change). The `Link` header leads there too.

A page of a filtered list may have fewer items, even none, and a `next_cursor` all the same: follow it until there is none. \
    Cursors are encrypted and good for their own query alone.

## Forms

Everything is JSON unless the header `Accept` asks for something else. Lists are answered as `application/x-ndjson` too, one \
    item a line, and as `text/csv`, one item a row below a header row. In these forms the cursor is in the `Link` header alone.

A single resource has an `ETag`. Who sends it back in `If-None-Match` is answered with 304 and no body as long as nothing has \
    changed.";

/// `GET /openapi.json`.
pub(super) async fn document(prefix: Option<Extension<PathPrefix>>, uri: Uri) -> Result<Response, Problem> {
    Parameters::of(&uri).finish()?;
    let prefix = prefix.map(|Extension(prefix)| prefix).unwrap_or_default();
    Ok(response::single("application/json", serde_json::to_vec(&described(&prefix))?))
}

/// The document, for clients that find the API behind `prefix`.
pub(super) fn described(prefix: &PathPrefix) -> Value {
    let url = if prefix.0.is_empty() { "/" } else { prefix.0.as_str() };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "notaflux",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": url}],
        // A deployed API asks for a key, one on this machine does not.
        "security": [{}, {"apiKey": []}],
        "tags": [
            {"name": "Invoices", "description": "One invoice, or lists of them by issuer, recipient, month or status."},
            {"name": "Ingestions", "description": "What became of each file: counts, state, rejected records."},
            {"name": "Service", "description": "The service itself."},
        ],
        "paths": paths::paths(),
        "components": {
            "securitySchemes": {"apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
            "headers": paths::headers(),
            "schemas": schemas::schemas(),
        },
    })
}

#[cfg(test)]
mod tests;
