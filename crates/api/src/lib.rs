//! The read API: one router, for the query function and for `notaflux serve`.
//!
//! | file | what it does |
//! | --- | --- |
//! | `api` | [`Api`]: clients, keys and settings |
//! | `router` | [`router`]: the routes |
//! | `invoices` | `/v1/invoices` |
//! | `invoice` | `/v1/invoices/{id}`, and the pages of its lines and events |
//! | `ingestions` | `/v1/ingestions`, `/v1/ingestions/{id}` |
//! | `rejects` | `/v1/ingestions/{id}/rejects` |
//! | `health` | `/health` |
//! | `openapi` | `/openapi.json`: the description of the API for tools |
//! | `docs` | `/docs`: the description of the API for people |
//! | `layers` | what applies to every answer: request id, read units, `If-None-Match`, compression, CORS, a log line |
//! | `cors` | [`Cors`]: which web pages may read the answers |
//! | `extensions` | what a gateway in front of the router passes on with a request |
//! | `call` | a request in progress: its calls to the table, and their read units |
//! | `meter` | the read units of a request |
//! | `collection` | reads the item collection of an invoice |
//! | `index` | reads the shards of a list from an index of the table |
//! | `filter` | which items of a list belong to the answer |
//! | `page` | reads a page from the shards; an unfiltered page takes at most two rounds of parallel queries |
//! | `plan` | how many items to request from each shard |
//! | `merge` | merges the shards into one order |
//! | `elements` | as many elements as an answer may have, in the requested format |
//! | `format` | which format of a list the client accepts; rows of CSV |
//! | `response` | bodies with their headers |
//! | [`parameters`] | parses query parameters, and collects all errors in one answer |
//! | `problem` | errors as `application/problem+json` |
//! | [`cursor`] | encrypts the position of a page and binds it to its query |
//!
//! Nothing here logs what a client asks for, because a CPF may be in it.

mod api;
mod call;
mod collection;
mod cors;
pub mod cursor;
mod docs;
mod elements;
mod extensions;
mod filter;
mod format;
mod health;
mod index;
mod ingestions;
mod invoice;
mod invoices;
mod layers;
mod merge;
mod meter;
mod openapi;
mod page;
pub mod parameters;
mod plan;
mod problem;
mod rejects;
mod response;
mod router;

pub use api::Api;
pub use cors::Cors;
pub use cursor::CursorKeys;
pub use extensions::{GatewayRequestId, PathPrefix};
pub use router::router;

#[cfg(test)]
mod tests;
