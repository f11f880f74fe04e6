//! The read API: one router, in Lambda and on any machine.
//!
//! | file | what it does |
//! | --- | --- |
//! | `invoices` | `/v1/invoices` |
//! | `invoice` | `/v1/invoices/{id}`, and its lines and events by page |
//! | `openapi`, `docs` | what the API is, for tools and for people |
//! | `ingestions` | `/v1/ingestions`, `/v1/ingestions/{id}` |
//! | `rejects` | `/v1/ingestions/{id}/rejects` |
//! | `call` | a request while it is answered, and the read units that this takes |
//! | [`parameters`] | query parameters, and all that is wrong with them in one answer |
//! | [`problem`] | what goes wrong, as problem+json |
//! | [`cursor`] | where a page ended, encrypted and bound to its query |
//! | [`secret`] | the keys of cursors in Secrets Manager |
//! | `answer` | as many elements as an answer carries, and where the next ones are |
//! | `format` | in which form the client wants a list |
//! | `collection` | what belongs to an invoice, as the table holds it |
//! | [`page`] | reads a page of the shards, in at most two rounds of parallel queries where every item belongs to it |
//! | [`plan`] | how much to ask of each shard |
//! | [`merge`] | merges the shards into one order |
//! | `index` | the shards as an index of the table holds them |
//! | `filter` | which of their items belong to the answer |
//! | [`served`] | what every answer has besides: id, tag, compression, CORS, a line in the log |
//! | [`gateway`] | what API Gateway does to a request, undone |
//!
//! Nothing here logs what a client asks for: a CPF may be in it.

mod answer;
mod call;
mod collection;
pub mod cursor;
mod docs;
mod filter;
mod format;
pub mod gateway;
mod index;
mod ingestions;
mod invoice;
mod invoices;
pub mod merge;
mod openapi;
pub mod page;
pub mod parameters;
pub mod plan;
pub mod problem;
mod rejects;
pub mod served;

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;

pub use cursor::CursorKeys;
use format::Format;
use problem::Problem;
pub use served::Cors;

use notaflux_table::Table;

/// What the API answers from.
#[derive(Debug, Clone)]
pub struct Api {
    /// The table, by a client that retries.
    pub table: Table,
    /// Where rejects are read from.
    pub s3: aws_sdk_s3::Client,
    /// The keys of its cursors.
    pub cursors: CursorKeys,
    /// Which pages of other origins may read its answers.
    pub cors: Cors,
}

impl Api {
    /// An API on `table`, whose answers no page of another origin may read.
    #[must_use]
    pub fn new(table: Table, s3: aws_sdk_s3::Client, cursors: CursorKeys) -> Self {
        Self { table, s3, cursors, cors: Cors::default() }
    }
}

/// The routes, and what every answer has besides.
pub fn router(api: Api) -> Router {
    let cors = api.cors.clone();
    let routes = Router::new()
        .route("/v1/invoices", get(invoices::list))
        .route("/v1/invoices/{id}", get(invoice::one))
        .route("/v1/invoices/{id}/lines", get(invoice::lines))
        .route("/v1/invoices/{id}/events", get(invoice::events))
        .route("/v1/ingestions", get(ingestions::list))
        .route("/v1/ingestions/{id}", get(ingestions::one))
        .route("/v1/ingestions/{id}/rejects", get(rejects::list))
        .route("/health", get(health))
        .route("/openapi.json", get(openapi::document))
        .route("/docs", get(docs::page))
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .fallback(async || Problem::NotFound("No such path; see /docs."))
        .with_state(Arc::new(api));
    served::with_layers(routes, &cors)
}

/// `GET /health`: this process answers. Does not ask the table, so that a throttled table takes no process down, and takes
/// whatever parameters a health check may have.
async fn health() -> Response {
    answer::with_type(Format::Json.content_type(), r#"{"status":"ok"}"#)
}

#[cfg(test)]
mod tests;
