//! `/v1/invoices`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

use super::answer::{self, Array};
use super::index::{List, Listing};
use super::merge::Order;
use super::page;
use super::parameters::{self, LIMIT_DEFAULT, Parameters};
use super::problem::Problem;
use super::{Api, cursor};
use crate::table::Index;
use crate::table::stored::decode_invoice;

/// What a list is asked for.
struct Request {
    list: List,
    limit: usize,
    cursor: Option<String>,
    /// Parameters for the next page, without the cursor.
    given: Vec<(&'static str, String)>,
}

impl Request {
    fn parse(uri: &Uri) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(uri);
        let issuer = parameters.required("issuer", parameters::tax_id);
        let from = parameters.optional("from", parameters::from);
        let to = parameters.optional("to", parameters::to);
        let limit = parameters.optional("limit", parameters::limit).unwrap_or(LIMIT_DEFAULT);
        let cursor = parameters.optional("cursor", |text| Ok(text.to_owned()));
        if let (Some(from), Some(to)) = (&from, &to)
            && from > to
        {
            parameters.refuse("to", "expected a time that is not before from");
        }
        let mut given = parameters.finish()?;
        given.retain(|(name, _)| *name != "cursor");
        let (lower, upper) = parameters::span(from, to);
        let of = issuer.unwrap_or_default();
        let list = List { index: Index::Issuer, of, lower, upper, order: Order::Ascending };
        Ok(Self { list, limit, cursor, given })
    }

    /// What a cursor of this list is bound to: everything but the limit.
    fn binding(&self, table: &str) -> Vec<u8> {
        let List { index, of, lower, upper, order } = &self.list;
        cursor::binding(&[table, "/v1/invoices", index.name(), of, lower, upper, order.as_str()])
    }
}

/// `GET /v1/invoices`.
pub(super) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let request = Request::parse(&uri)?;
    if !api.table.schema.indexes.contains(request.list.index) {
        let mut parameters = Parameters::of(&Uri::default());
        parameters.refuse(request.list.index.name(), "not available: this table was made without that index");
        parameters.finish()?;
    }
    let binding = request.binding(&api.table.name);
    let behind = request.cursor.as_deref().map(|cursor| api.cursors.open(cursor, &binding)).transpose()?;
    let listing = Listing { table: &api.table, list: &request.list, behind: behind.as_deref() };
    let page = page::read(&listing, request.limit).await?;
    tracing::debug!(items = page.entries.len(), read = page.read, rounds = page.rounds, "page");
    let mut items = Array::page(request.limit);
    for entry in &page.entries {
        if !items.push(&entry.sort, &decode_invoice(&entry.item)?)? {
            break;
        }
    }
    let last = items.last().filter(|_| page.has_more || items.is_full());
    let cursor = last.map(|last| api.cursors.seal(last, &binding)).transpose()?;
    answer::page(items, cursor.as_deref(), &request.given)
}
