//! `/openapi.json`: the description of the API for tools (`OpenAPI` 3.1). Made by code, from the words and limits that the
//! API itself uses. Tests compare it with the parameters and answers of the API.
//!
//! | file | what it describes |
//! | --- | --- |
//! | `paths` | routes with their parameters and answers |
//! | `schemas` | the schemas of answers |
//! | `examples` | real answers |

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

/// The general description, in the part of Markdown that the docs page knows: paragraphs, headings and code.
const ABOUT: &str = "Invoices with their lines and events, and a report on each file that was ingested.

Amounts are texts with exact decimals. Times are written as in the source, with an offset only if the source has one. An \
    absent field is left out; no field is null.

## Pages and cursors

A list comes in pages of up to `limit` items. If more items may follow, the page has a `next_cursor`. To get the next page, \
    send the same parameters with `cursor` set to that `next_cursor`; only `limit` may change. Or follow the `Link` header.

A filtered page may be short or empty and still have a `next_cursor`. Continue until there is no `next_cursor`. A cursor is \
    encrypted, and only works with the query that it was made for.

## Formats

Answers are JSON. For a list, `Accept: application/x-ndjson` returns one item per line, and `Accept: text/csv` returns a header \
    row and one row per item. In these two formats the cursor is only in the `Link` header.

A single resource has an `ETag`. Send it back in `If-None-Match`: if nothing has changed, the answer is 304 without a body.";

/// `GET /openapi.json`.
pub(super) async fn document(prefix: Option<Extension<PathPrefix>>, uri: Uri) -> Result<Response, Problem> {
    Parameters::of(&uri).finish()?;
    let prefix = prefix.map(|Extension(prefix)| prefix).unwrap_or_default();
    Ok(response::single("application/json", serde_json::to_vec(&description(&prefix))?))
}

/// Makes the document. `prefix` is the part of the client's path before the routes.
pub(super) fn description(prefix: &PathPrefix) -> Value {
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
        // A deployed API requires a key; a local one does not.
        "security": [{}, {"apiKey": []}],
        "tags": [
            {"name": "Invoices", "description": "Single invoices, and lists by issuer, recipient, month or status."},
            {"name": "Ingestions", "description": "The report of each file: state, counts, rejected records."},
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
