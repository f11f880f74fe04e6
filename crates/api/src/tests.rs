//! Sends requests to the router, over an embedded DynamoDB.

mod answers;
mod capacity;
mod cursors;
mod ingestions;
mod invoices;
mod lists;

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use jiff::civil::DateTime;
use serde_json::Value;
use tower::ServiceExt;

use super::router;
use super::{Api, Cors, CursorKeys};
use notaflux_invoice::{Event, EventKind, Invoice, Line, LineKey, Party, Status, TaxId, TaxIdColumn, Timestamp};
use notaflux_table::item::{SourceRef, encode_event, encode_invoice, encode_line};
use notaflux_table::{IndexSet, Schema, Table, keys};
use notaflux_testing::{EXAMPLE_KEY, attributes, dynamodb, example, example_event, example_line};

const ISSUER: &str = "08676370000155";

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Value,
}

async fn send(router: &Router, method: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(router: &Router, path: &str) -> Answer {
    send(router, "GET", path).await
}

async fn table(schema: Schema) -> Table {
    notaflux_table::create(dynamodb().await, "invoices".into(), schema).await.unwrap()
}

fn api(table: &Table) -> Router {
    api_with(table, "http://127.0.0.1:9")
}

/// An API that reads rejects from an S3 endpoint.
fn api_with(table: &Table, s3: &str) -> Router {
    let s3 = notaflux_aws::s3_reader(&notaflux_aws::embedded_config(s3));
    router(Api::new(table.clone(), s3, CursorKeys::new(&[7; 32])))
}

const SOURCE: SourceRef<'static> = SourceRef { ingestion: std::borrow::Cow::Borrowed("9f2c"), record: 1 };

async fn put(table: &Table, invoice: &Invoice<'_>) {
    let mut json = Vec::new();
    encode_invoice(invoice, &SOURCE, &table.schema, &mut json).unwrap();
    put_json(table, &json).await;
}

async fn put_line(table: &Table, line: &Line<'_>) {
    let mut json = Vec::new();
    encode_line(line, &SOURCE, &mut json).unwrap();
    put_json(table, &json).await;
}

async fn put_event(table: &Table, event: &Event<'_>) {
    let mut json = Vec::new();
    encode_event(event, &SOURCE, &mut json).unwrap();
    put_json(table, &json).await;
}

async fn put_json(table: &Table, json: &[u8]) {
    let put = table.client().put_item().table_name(&table.name).set_item(Some(attributes(json)));
    put.send().await.unwrap();
}

fn numbered(number: u32) -> Line<'static> {
    Line { key: LineKey::Number(number), ..example_line() }
}

fn event(at: &str, kind: EventKind) -> Event<'static> {
    Event { at: Timestamp::from_plain(at).unwrap(), kind, ..example_event() }
}

/// Returns the member `name` of each element of an array.
fn each(array: &Value, name: &str) -> Vec<String> {
    let elements = array.as_array().unwrap().iter();
    elements.map(|element| element[name].as_str().unwrap_or("-").to_owned()).collect()
}

/// Follows the pages of `path`, beginning at `cursor`. Returns the member `name` of all items, and the number of pages.
async fn follow(router: &Router, path: &str, mut cursor: Option<String>, name: &str) -> (Vec<String>, usize) {
    let (mut found, mut pages) = (Vec::new(), 0);
    let separator = if path.contains('?') { '&' } else { '?' };
    loop {
        let cursor_given = cursor.map(|cursor| format!("{separator}cursor={cursor}")).unwrap_or_default();
        let page = get(router, &format!("{path}{cursor_given}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        found.extend(each(page.body.get("items").unwrap(), name));
        pages += 1;
        cursor = page.body.get("next_cursor").map(|cursor| cursor.as_str().unwrap().to_owned());
        assert_eq!(cursor.is_some(), page.headers.contains_key("link"));
        if cursor.is_none() {
            return (found, pages);
        }
    }
}

fn invoice(id: String, minute: i64, tax_id: &str) -> Invoice<'static> {
    let local = DateTime::new(2024, 1, 1, 0, 0, 0, 0).unwrap() + jiff::SignedDuration::from_mins(minute);
    let tax_id = Some(TaxId::parse(tax_id, TaxIdColumn::Either).unwrap());
    Invoice {
        id: id.into(),
        access_key: None,
        issued_at: Timestamp { local, offset: None },
        issuer: Party { tax_id, ..Party::default() },
        ..example()
    }
}

/// Sends a request with a header, and returns the answer as text.
async fn text(router: &Router, path: &str, header: (&str, &str)) -> (StatusCode, axum::http::HeaderMap, String) {
    let request = Request::builder().uri(path).header(header.0, header.1).body(Body::empty()).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap_or_default())
}

/// Puts invoices of one issuer: `even` invoices spread over the shards, and `in_one_shard` more in one shard. Also puts some
/// invoices of another issuer. Returns the sort keys of the first issuer in order.
async fn fill(table: &Table, even: usize, in_one_shard: usize) -> BTreeSet<String> {
    let mut random = fastrand::Rng::with_seed(2026);
    let mut expected = BTreeSet::new();
    let ids = (0_u32..).map(|n| format!("{n:08x}"));
    let alone = ids.clone().skip(even).filter(|id| keys::shard(id, table.schema.shards) == 0);
    for id in ids.take(even).chain(alone.take(in_one_shard)) {
        let invoice = invoice(id, random.i64(0..20_000), ISSUER);
        expected.insert(format!("{}#{}", keys::sort_time(invoice.issued_at.local), invoice.id));
        put(table, &invoice).await;
    }
    for n in 0..20 {
        put(table, &invoice(format!("other-{n}"), n, "09579964000291")).await;
    }
    expected
}
