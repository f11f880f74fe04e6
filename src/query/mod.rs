//! The read API: one router, in Lambda and on any machine.
//!
//! | file | what it does |
//! | --- | --- |
//! | `invoices` | `/v1/invoices` |
//! | `invoice` | `/v1/invoices/{id}`, and its lines and events by page |
//! | `ingestions` | `/v1/ingestions/{id}` |
//! | [`parameters`] | query parameters, and all that is wrong with them in one answer |
//! | [`problem`] | what goes wrong, as problem+json |
//! | [`cursor`] | where a page ended, encrypted and bound to its query |
//! | [`secret`] | the keys of cursors in Secrets Manager |
//! | `answer` | as many elements as an answer carries, and where the next ones are |
//! | `collection` | what belongs to an invoice, as the table holds it |
//! | [`page`] | reads a page of the shards, in at most two rounds of parallel queries |
//! | [`plan`] | how much to ask of each shard |
//! | [`merge`] | merges the shards into one order |
//! | [`index`] | the shards as an index of the table holds them |
//! | [`gateway`] | what API Gateway does to a request, undone |
//!
//! Nothing here logs what a client asks for: a CPF may be in it.

mod answer;
mod collection;
pub mod cursor;
pub mod gateway;
pub mod index;
mod ingestions;
mod invoice;
mod invoices;
pub mod merge;
pub mod page;
pub mod parameters;
pub mod plan;
pub mod problem;
pub mod secret;

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub use cursor::CursorKeys;
use index::Item;
use problem::Problem;

use crate::table::{Table, TableError, keys};

/// What the API answers from.
#[derive(Debug, Clone)]
pub struct Api {
    /// The table, by a client that retries.
    pub table: Table,
    /// The keys of its cursors.
    pub cursors: CursorKeys,
}

impl Api {
    /// An API on `table`.
    #[must_use]
    pub fn new(table: Table, cursors: CursorKeys) -> Self {
        Self { table, cursors }
    }
}

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/invoices", get(invoices::list))
        .route("/v1/invoices/{id}", get(invoice::one))
        .route("/v1/invoices/{id}/lines", get(invoice::lines))
        .route("/v1/invoices/{id}/events", get(invoice::events))
        .route("/v1/ingestions/{id}", get(ingestions::one))
        .route("/health", get(health))
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .fallback(async || Problem::NotFound("No such path; see /v1/invoices."))
        .with_state(Arc::new(api))
}

/// `GET /health`: this process answers. Does not ask the table, so that a throttled table takes no process down.
async fn health() -> Response {
    json(br#"{"status":"ok"}"#.to_vec())
}

/// One item, as it was a moment ago.
async fn get_item(api: &Api, pk: String, sk: &str) -> Result<Option<Item>, Problem> {
    let (name, sk) = (&api.table.name, AttributeValue::S(sk.to_owned()));
    let get = api.table.client.get_item().table_name(name).key(keys::PK, AttributeValue::S(pk)).key(keys::SK, sk);
    let answer = get.send().await.map_err(|error| TableError::service(name, error))?;
    Ok(answer.item)
}

fn json(body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(all(test, feature = "local"))]
mod tests;
