//! `/v1/ingestions/{id}`.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;

use super::parameters::Parameters;
use super::problem::Problem;
use super::{Api, get_item, json};
use crate::table::keys;

/// No such ingestion.
const NO_INGESTION: Problem = Problem::NotFound("No ingestion has this id.");

/// `GET /v1/ingestions/{id}`: the report, as the ledger holds it.
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    Parameters::of(&uri).finish()?;
    let Ok(Path(id)) = id else { return Err(NO_INGESTION) };
    if id.len() > keys::ID_LIMIT_BYTES {
        return Err(NO_INGESTION);
    }
    let item = get_item(&api, keys::ingestion_pk(&id), keys::INGESTION_SK).await?.ok_or(NO_INGESTION)?;
    let report = item.get("report").and_then(|report| report.as_s().ok());
    let report = report.ok_or_else(|| {
        tracing::error!(ingestion = id, "the ledger has no report of an ingestion");
        Problem::Internal
    })?;
    Ok(json(report.as_bytes().to_vec()))
}
