//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::api::Api;
use super::problem::Problem;
use super::{docs, health, ingestions, invoice, invoices, layers, openapi, rejects};

/// Makes the router: the routes, inside the layers that apply to every answer.
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
        .route("/health", get(health::health))
        .route("/openapi.json", get(openapi::document))
        .route("/docs", get(docs::page))
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .fallback(async || Problem::NotFound("No such path; see /docs."))
        .with_state(Arc::new(api));
    layers::with_layers(routes, &cors)
}
