//! `/v1/invoices` and `/v1/invoices/{id}`.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::LINK;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::index::{Item, List, Listing};
use super::merge::Order;
use super::page::{self, Page};
use super::parameters::{self, LIMIT_DEFAULT, Parameters};
use super::problem::Problem;
use super::{Api, cursor, json};
use crate::table::keys::{self, ID_LIMIT_BYTES};
use crate::table::stored::decode_invoice;
use crate::table::{Index, TableError};

/// Most bytes of items in a page, unless one item alone has more. Lambda answers with 6 MB at most, as a JSON string in
/// which every quote takes another byte; API Gateway with 10 MB.
const BODY_LIMIT_BYTES: usize = 4_000_000;

/// No such invoice.
const NO_INVOICE: Problem = Problem::NotFound("No invoice has this id.");

/// `GET /v1/invoices/{id}`.
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    Parameters::of(&uri).finish()?;
    // An id that is no text or that fits into no key is the id of nothing.
    let Ok(Path(id)) = id else { return Err(NO_INVOICE) };
    if id.len() > ID_LIMIT_BYTES {
        return Err(NO_INVOICE);
    }
    let item = get(&api, keys::invoice_pk(&id), keys::INVOICE_SK).await?.ok_or(NO_INVOICE)?;
    Ok(json(serde_json::to_vec(&decode_invoice(&item)?)?))
}

/// One item, as it was a moment ago.
pub(super) async fn get(api: &Api, pk: String, sk: &str) -> Result<Option<Item>, Problem> {
    let (name, sk) = (&api.table.name, AttributeValue::S(sk.to_owned()));
    let get = api.table.client.get_item().table_name(name).key(keys::PK, AttributeValue::S(pk)).key(keys::SK, sk);
    let answer = get.send().await.map_err(|error| TableError::service(name, error))?;
    Ok(answer.item)
}

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

    /// Relative to the address that was asked, so that it is right under any stage, domain or prefix.
    fn link(&self, cursor: &str) -> Option<HeaderValue> {
        let given = self.given.iter().map(|(name, value)| (*name, value.as_str()));
        let query = parameters::query_string(given.chain([("cursor", cursor)]));
        HeaderValue::try_from(format!("<{query}>; rel=\"next\"")).ok()
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
    let Written { mut body, last, has_more } = write(&page)?;
    let cursor = last.filter(|_| has_more).map(|last| api.cursors.seal(last, &binding)).transpose()?;
    if let Some(cursor) = &cursor {
        body.extend_from_slice(br#","next_cursor":"#);
        serde_json::to_writer(&mut body, cursor)?;
    }
    body.push(b'}');
    let mut response = json(body);
    if let Some(link) = cursor.and_then(|cursor| request.link(&cursor)) {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response.into_response())
}

/// Items as JSON, still open at its end.
struct Written<'p> {
    body: Vec<u8>,
    /// Sort key of the last item that was written.
    last: Option<&'p str>,
    has_more: bool,
}

/// Writes the items of a page, up to the limit of an answer.
fn write(page: &Page<Item>) -> Result<Written<'_>, Problem> {
    let mut written = Written { body: br#"{"items":["#.to_vec(), last: None, has_more: page.has_more };
    for entry in &page.entries {
        let before = written.body.len();
        if written.last.is_some() {
            written.body.push(b',');
        }
        write_invoice(&entry.item, &mut written.body)?;
        if written.last.is_some() && written.body.len() > BODY_LIMIT_BYTES {
            written.body.truncate(before);
            written.has_more = true;
            break;
        }
        written.last = Some(&entry.sort);
    }
    written.body.push(b']');
    Ok(written)
}

fn write_invoice(item: &Item, body: &mut Vec<u8>) -> Result<(), Problem> {
    let invoice = decode_invoice(item)?;
    let mut serializer = serde_json::Serializer::new(body);
    Ok(invoice.serialize(&mut serializer)?)
}
