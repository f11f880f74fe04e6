//! `/v1/ingestions` and `/v1/ingestions/{id}`.

use aws_sdk_dynamodb::types::AttributeValue;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::Uri;
use axum::response::Response;
use serde_json::value::RawValue;

use super::elements::Elements;
use super::call::{Call, Found, Item};
use super::cursor;
use super::format::{Column, Format};
use super::page::BOUND;
use super::parameters::{self, Parameters};
use super::problem::Problem;
use super::response;
use notaflux_table::ingestion::IngestionState;
use notaflux_table::{Index, TableError, keys};

/// Months that are looked through unless one is asked for, the current one included.
const MONTHS: usize = 24;

/// Fewest ingestions that a query looks at where only those of one state are wanted: with as few as are still missing, a
/// rare state would take a query for every few ingestions.
const SCAN_LEAST: usize = 100;

/// Ingestions as CSV.
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

/// No such ingestion.
pub(super) const NO_INGESTION: Problem = Problem::NotFound("No ingestion has this id.");

/// `GET /v1/ingestions/{id}`: the report, as the ledger holds it.
pub(super) async fn one(call: Call, id: Result<Path<String>, PathRejection>, uri: Uri) -> Result<Response, Problem> {
    Parameters::of(&uri).finish()?;
    let item = call
        .get(keys::ingestion_pk(&parameters::id(id, NO_INGESTION)?), keys::INGESTION_SK)
        .await?
        .ok_or(NO_INGESTION)?;
    Ok(response::single(Format::Json.content_type(), report(&item)?.get().as_bytes().to_vec()))
}

/// The report in what the ledger holds of an ingestion.
pub(super) fn report(item: &Item) -> Result<&RawValue, Problem> {
    let report = item.get("report").and_then(|report| report.as_s().ok());
    report.and_then(|report| serde_json::from_str(report).ok()).ok_or_else(|| {
        let id = item.get(keys::PK).and_then(|id| id.as_s().ok());
        tracing::error!(ingestion = id, "the ledger has no report of an ingestion");
        Problem::Internal
    })
}

/// What the parameters ask for.
struct Request {
    month: Option<String>,
    state: Option<&'static str>,
    limit: usize,
    cursor: Option<String>,
    given: Vec<(&'static str, String)>,
}

impl Request {
    fn parse(call: &Call, uri: &Uri) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(uri);
        let month = parameters.optional("month", parameters::month);
        let state = parameters.optional("state", |text| {
            parameters::word(text, &IngestionState::ALL.map(|state| (state.as_str(), state.as_str())))
        });
        let limit = parameters.limit();
        let cursor = parameters.cursor();
        if !call.table().schema.indexes.contains(Index::Month) {
            parameters.refuse("month", "not available: this table was made without that index");
        }
        Ok(Self { month, state, limit, cursor, given: parameters.finish()? })
    }

    fn binding(&self, table: &str) -> Vec<u8> {
        let month = self.month.as_deref().unwrap_or_default();
        cursor::binding(&[table, "/v1/ingestions", month, self.state.unwrap_or_default()])
    }

    /// The months to look through, the newest first, from the one in which `behind` lies.
    fn months(&self, behind: Option<&str>) -> Vec<String> {
        let Some(month) = &self.month else {
            let newest = jiff::Timestamp::now().strftime("%Y%m").to_string();
            let first = behind.map_or_else(|| newest.clone(), month_of);
            let months = keys::months_back_from(&newest).take(MONTHS);
            return months.filter(|month| *month <= first).collect();
        };
        vec![month.clone()]
    }

    /// Reads on in a month, newest first.
    async fn read(&self, call: &Call, month: &str, behind: Option<&str>, limit: usize) -> Result<Found, TableError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let query = call.table().client().query().index_name(Index::Month.name()).scan_index_forward(false);
        let mut query = query
            .expression_attribute_names("#partition", Index::Month.partition_attribute())
            .expression_attribute_values(":partition", text(&keys::ingestions_of(month)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let mut condition = "#partition = :partition".to_owned();
        if let Some(behind) = behind {
            condition.push_str(" AND #sort < :behind");
            query = query.expression_attribute_names("#sort", Index::Month.sort_attribute());
            query = query.expression_attribute_values(":behind", text(behind));
        }
        if let Some(state) = self.state {
            query = query.filter_expression("#state = :state").expression_attribute_names("#state", "state");
            query = query.expression_attribute_values(":state", text(state));
        }
        call.query(query.key_condition_expression(condition)).await
    }
}

/// Month of a sort key of ingestions, which begin with a time: `2026-11-…` is of `202611`.
fn month_of(sort_key: &str) -> String {
    sort_key.chars().filter(char::is_ascii_digit).take(6).collect()
}

/// `GET /v1/ingestions`: the newest first.
pub(super) async fn list(call: Call, format: Format, uri: Uri) -> Result<Response, Problem> {
    let request = Request::parse(&call, &uri)?;
    let (cursors, binding) = (&call.api.cursors, request.binding(&call.table().name));
    let behind = request.cursor.as_deref().map(|cursor| cursors.open(cursor, &binding)).transpose()?;
    let mut items = Elements::page(request.limit, format, COLUMNS)?;
    let behind = fill(&call, &request, behind, &mut items).await?;
    let cursor = behind.map(|behind| cursors.seal(&behind, &binding)).transpose()?;
    items.answer(cursor.as_deref(), &request.given)
}

/// Fills a page with what follows `behind`. Gives behind what there may be more.
async fn fill(
    call: &Call,
    request: &Request,
    mut behind: Option<String>,
    items: &mut Elements,
) -> Result<Option<String>, Problem> {
    let began = std::time::Instant::now();
    let mut units = 0.0;
    for month in request.months(behind.as_deref()) {
        loop {
            // One more than the page tells whether there is another page.
            let missing = request.limit + 1 - items.len();
            let limit = if request.state.is_some() { missing.max(SCAN_LEAST) } else { missing };
            let found = request.read(call, &month, behind.as_deref(), limit).await?;
            units += found.units;
            for item in &found.items {
                if !items.push(sort_key(item).unwrap_or_default(), report(item)?)? {
                    return Ok(items.last().map(ToOwned::to_owned));
                }
            }
            behind = found.end.as_ref().and_then(sort_key).map(ToOwned::to_owned);
            if behind.is_some() && (units >= BOUND.units || began.elapsed() >= BOUND.time) {
                return Ok(behind);
            }
            if behind.is_none() {
                break;
            }
        }
    }
    Ok(None)
}

fn sort_key(item: &Item) -> Option<&str> {
    item.get(Index::Month.sort_attribute())?.as_s().ok().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_month_comes_out_of_a_sort_key() {
        assert_eq!(month_of("2026-11-02T10:00:00.123Z#9f2c"), "202611");
    }
}
