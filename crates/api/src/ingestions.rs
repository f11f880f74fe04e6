//! `/v1/ingestions` and `/v1/ingestions/{id}`: lists of ingestions, and their reports.

use aws_sdk_dynamodb::types::AttributeValue;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::Uri;
use axum::response::Response;
use serde_json::value::RawValue;

use super::call::{Call, Item, QueryAnswer, key_text, query_limit};
use super::cursor;
use super::elements::Elements;
use super::format::{Column, Format};
use super::page::BOUND;
use super::parameters::{self, Parameters};
use super::problem::Problem;
use super::response;
use notaflux_table::ingestion::IngestionState;
use notaflux_table::{Index, keys};

/// Months to search if the client gives none, including the current one.
const MONTHS: usize = 24;

/// Fewest ingestions that a query by state reads. If a query read only as many as the page lacks, a rare state would take a
/// query for every few ingestions.
const SCAN_LEAST: usize = 100;

/// The attribute with the sort key of ingestions.
const SORT_KEY: &str = Index::Month.sort_attribute();

/// The columns of ingestions in CSV.
const COLUMNS: &[Column] = &[
    ("ingestion", "/ingestion"),
    ("state", "/state"),
    ("cause", "/cause"),
    ("position", "/position"),
    ("bucket", "/source/bucket"),
    ("key", "/source/key"),
    ("version_id", "/source/version_id"),
    ("etag", "/source/etag"),
    ("path", "/source/path"),
    ("modified", "/source/modified"),
    ("size_bytes", "/source/size_bytes"),
    ("records_read", "/records_read"),
    ("written", "/written"),
    ("superseded", "/superseded"),
    ("rejected", "/rejected"),
    ("trailers", "/trailers"),
    ("repeated_headers", "/repeated_headers"),
    ("items_written", "/items_written"),
    ("write_units", "/write_units"),
    ("calls", "/calls"),
    ("retried", "/retried"),
    ("throttled", "/throttled"),
    ("bytes_read", "/bytes_read"),
    ("bytes_decoded", "/bytes_decoded"),
    ("survey_ms", "/survey_ms"),
    ("write_ms", "/write_ms"),
    ("elapsed_ms", "/elapsed_ms"),
    ("rejects_location", "/rejects_location"),
    ("warnings", "/warnings"),
];

/// The problem for an unknown ingestion.
pub(super) const NO_INGESTION: Problem = Problem::NotFound("No ingestion has this id.");

/// `GET /v1/ingestions/{id}`: the report in the ledger.
pub(super) async fn one(call: Call, id: Result<Path<String>, PathRejection>, uri: Uri) -> Result<Response, Problem> {
    Parameters::of(&uri).finish()?;
    let item = call
        .get(keys::ingestion_pk(&parameters::id(id, NO_INGESTION)?), keys::INGESTION_SK)
        .await?
        .ok_or(NO_INGESTION)?;
    Ok(response::single(Format::Json.content_type(), report(&item)?.get().as_bytes().to_vec()))
}

/// Returns the report in the ledger item of an ingestion.
pub(super) fn report(item: &Item) -> Result<&RawValue, Problem> {
    let report = item.get("report").and_then(|report| report.as_s().ok());
    report.and_then(|report| serde_json::from_str(report).ok()).ok_or_else(|| {
        let id = item.get(keys::PK).and_then(|id| id.as_s().ok());
        tracing::error!(ingestion = id, "damaged data: the ledger item of an ingestion has no report");
        Problem::Internal
    })
}

/// A request for a page of ingestions.
struct ListRequest {
    month: Option<String>,
    state: Option<&'static str>,
    limit: usize,
    cursor: Option<String>,
    given: Vec<(&'static str, String)>,
}

impl ListRequest {
    fn parse(call: &Call, uri: &Uri) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(uri);
        let month = parameters.optional("month", parameters::month);
        let state = parameters.optional("state", |text| {
            parameters::word(text, &IngestionState::ALL.map(|state| (state.as_str(), state.as_str())))
        });
        let limit = parameters.limit();
        let cursor = parameters.cursor();
        if !call.table().schema.indexes.contains(Index::Month) {
            parameters.refuse("month", "not available: the table has no index for it");
        }
        Ok(Self { month, state, limit, cursor, given: parameters.finish()? })
    }

    /// Returns what a cursor is bound to: everything except the limit. An absent parameter is the empty text, which is not a
    /// valid month or state.
    fn binding(&self, table: &str) -> Vec<u8> {
        let (month, state) = (self.month.as_deref().unwrap_or(""), self.state.unwrap_or(""));
        cursor::binding(&[table, "/v1/ingestions", month, state])
    }

    /// Returns the months to search, the newest first, beginning with the month of the sort key `after`.
    fn months(&self, after: Option<&str>) -> Vec<String> {
        let Some(month) = &self.month else {
            let newest = jiff::Timestamp::now().strftime("%Y%m").to_string();
            let first = after.map_or_else(|| newest.clone(), month_of);
            let months = keys::months_back_from(&newest).take(MONTHS);
            return months.filter(|month| *month <= first).collect();
        };
        vec![month.clone()]
    }

    /// Reads ingestions of a month after the sort key `after`, the newest first.
    async fn read(&self, call: &Call, month: &str, after: Option<&str>, limit: usize) -> Result<QueryAnswer, Problem> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let query = call.table().client().query().index_name(Index::Month.name()).scan_index_forward(false);
        let mut query = query
            .expression_attribute_names("#partition", Index::Month.partition_attribute())
            .expression_attribute_values(":partition", text(&keys::ingestions_of(month)))
            .limit(query_limit(limit));
        let mut condition = "#partition = :partition".to_owned();
        if let Some(after) = after {
            condition.push_str(" AND #sort < :after");
            query = query.expression_attribute_names("#sort", Index::Month.sort_attribute());
            query = query.expression_attribute_values(":after", text(after));
        }
        if let Some(state) = self.state {
            query = query.filter_expression("#state = :state").expression_attribute_names("#state", "state");
            query = query.expression_attribute_values(":state", text(state));
        }
        call.query(query.key_condition_expression(condition)).await
    }
}

/// Returns the month of an ingestion's sort key, which begins with a time: `202611` for `2026-11-…`.
fn month_of(sort_key: &str) -> String {
    sort_key.chars().filter(char::is_ascii_digit).take(6).collect()
}

/// `GET /v1/ingestions`: a page of ingestions, the newest first.
pub(super) async fn list(call: Call, format: Format, uri: Uri) -> Result<Response, Problem> {
    let request = ListRequest::parse(&call, &uri)?;
    let (cursors, binding) = (&call.api.cursors, request.binding(&call.table().name));
    let after = request.cursor.as_deref().map(|cursor| cursors.open(cursor, &binding)).transpose()?;
    let mut items = Elements::page(request.limit, format, COLUMNS)?;
    let next_after = fill(&call, &request, after, &mut items).await?;
    let cursor = next_after.map(|after| cursors.seal(&after, &binding)).transpose()?;
    items.answer(cursor.as_deref(), &request.given)
}

/// Fills a page with the ingestions after the sort key `after`. Returns the sort key after which the list may continue.
async fn fill(
    call: &Call,
    request: &ListRequest,
    mut after: Option<String>,
    items: &mut Elements,
) -> Result<Option<String>, Problem> {
    let began = std::time::Instant::now();
    let mut units = 0.0;
    for month in request.months(after.as_deref()) {
        loop {
            // One more ingestion than the page shows whether there is another page.
            let missing = request.limit + 1 - items.len();
            let limit = if request.state.is_some() { missing.max(SCAN_LEAST) } else { missing };
            let answer = request.read(call, &month, after.as_deref(), limit).await?;
            units += answer.units;
            for item in &answer.items {
                if !items.push(key_text(item, SORT_KEY)?, report(item)?)? {
                    return Ok(items.last().map(ToOwned::to_owned));
                }
            }
            after = answer.end.as_ref().map(|key| key_text(key, SORT_KEY).map(ToOwned::to_owned)).transpose()?;
            if after.is_some() && (units >= BOUND.units || began.elapsed() >= BOUND.time) {
                return Ok(after);
            }
            if after.is_none() {
                break;
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_month_is_read_from_a_sort_key() {
        assert_eq!(month_of("2026-11-02T10:00:00.123Z#9f2c"), "202611");
    }
}
