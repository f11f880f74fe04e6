//! The router on an embedded DynamoDB, asked as a client asks.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use jiff::civil::DateTime;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::invoice::{Event, EventKind, Invoice, Line, LineKey, Party, Status, TaxId, TaxIdColumn, Timestamp};
use crate::table::item::{SourceRef, encode_event, encode_invoice, encode_line};
use crate::table::testing::{EXAMPLE_KEY, attributes, dynamodb, example, example_event, example_line};
use crate::table::{IndexSet, Schema, keys};

const ISSUER: &str = "08676370000155";

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Value,
}

async fn ask(router: &Router, method: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(router: &Router, path: &str) -> Answer {
    ask(router, "GET", path).await
}

async fn table(schema: Schema) -> Table {
    crate::table::create(dynamodb().await, "invoices".into(), schema).await.unwrap()
}

fn api(table: &Table) -> Router {
    api_with(table, "http://127.0.0.1:9")
}

/// An API whose rejects lie at an S3 endpoint.
fn api_with(table: &Table, s3: &str) -> Router {
    let s3 = crate::aws::s3_reader(&crate::aws::embedded_config(s3));
    router(Api::new(table.clone(), s3, CursorKeys::new(&[7; 32])))
}

const SOURCE: SourceRef<'static> = SourceRef { ingestion: std::borrow::Cow::Borrowed("9f2c"), record: 1 };

async fn put(table: &Table, invoice: &Invoice<'_>) {
    let mut json = Vec::new();
    encode_invoice(invoice, &SOURCE, &table.schema, &mut json);
    put_json(table, &json).await;
}

async fn put_line(table: &Table, line: &Line<'_>) {
    let mut json = Vec::new();
    encode_line(line, &SOURCE, &mut json);
    put_json(table, &json).await;
}

async fn put_event(table: &Table, event: &Event<'_>) {
    let mut json = Vec::new();
    encode_event(event, &SOURCE, &mut json);
    put_json(table, &json).await;
}

async fn put_json(table: &Table, json: &[u8]) {
    let put = table.client.put_item().table_name(&table.name).set_item(Some(attributes(json)));
    put.send().await.unwrap();
}

fn numbered(number: u32) -> Line<'static> {
    Line { key: LineKey::Number(number), ..example_line() }
}

fn event(at: &str, kind: EventKind) -> Event<'static> {
    Event { at: Timestamp::from_plain(at).unwrap(), kind, ..example_event() }
}

/// What each element of an array has as `name`.
fn each(array: &Value, name: &str) -> Vec<String> {
    let elements = array.as_array().unwrap().iter();
    elements.map(|element| element[name].as_str().unwrap_or("-").to_owned()).collect()
}

/// Follows the pages from `path` on behind `cursor`. Gives what their items have as `name`, and how many pages there
/// were.
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

/// Puts invoices of one issuer, all of the first `even` spread over the shards and the rest in one shard alone, and some
/// of another issuer. Gives their sort keys in order.
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

fn sort_keys(body: &Value) -> Vec<String> {
    let items = body["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    items.map(|item| format!("{}#{}", text(&item["issued_at"]).replace(['-', ':'], ""), text(&item["id"]))).collect()
}

#[tokio::test]
async fn pages_of_any_length_give_every_invoice_once_and_in_order() {
    for (shards, even, in_one_shard) in [(8, 150, 120), (1, 60, 0), (3, 0, 90)] {
        let table = table(Schema { shards, ..Schema::default() }).await;
        let expected: Vec<String> = fill(&table, even, in_one_shard).await.into_iter().collect();
        let api = api(&table);
        let mut random = fastrand::Rng::with_seed(u64::from(shards));
        for _ in 0..4 {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            let base = format!("/v1/invoices?issuer={ISSUER}");
            loop {
                let limit = random.usize(1..=70);
                let page = get(&api, &format!("{base}&limit={limit}{cursor}")).await;
                assert_eq!(page.status, StatusCode::OK, "{}", page.body);
                let keys = sort_keys(&page.body);
                assert!(keys.len() <= limit);
                assert!(!keys.is_empty(), "no page of this list is empty");
                found.extend(keys);
                match page.body.get("next_cursor") {
                    Some(next) => cursor = format!("&cursor={}", next.as_str().unwrap()),
                    None => break,
                }
            }
            assert_eq!(found, expected);
        }
    }
}

#[tokio::test]
async fn descending_goes_the_same_way_back() {
    let table = table(Schema { shards: 4, ..Schema::default() }).await;
    let expected: Vec<String> = fill(&table, 60, 20).await.into_iter().rev().collect();
    let expected: Vec<&str> = expected.iter().map(|key| keys::id_of_sort_key(key).unwrap()).collect();
    let path = format!("/v1/invoices?issuer={ISSUER}&order=desc&limit=9");
    let (found, pages) = follow(&api(&table), &path, None, "id").await;
    assert_eq!((found, pages), (expected.iter().map(ToString::to_string).collect(), 9));
}

#[tokio::test]
async fn from_and_to_include_their_ends() {
    let table = table(Schema::default()).await;
    let all = fill(&table, 120, 0).await;
    let api = api(&table);
    let day = |from: &str, to: &str| {
        let within = all.iter().filter(|key| key.as_str() >= from && key.as_str() < to);
        within.cloned().collect::<Vec<_>>()
    };
    let exact = all.iter().nth(40).unwrap();
    let at = format!(
        "{}-{}-{}T{}:{}:{}",
        &exact[..4],
        &exact[4..6],
        &exact[6..8],
        &exact[9..11],
        &exact[11..13],
        &exact[13..15]
    );
    for (query, expected) in [
        ("from=2024-01-03&to=2024-01-05".to_owned(), day("20240103", "20240106")),
        ("from=2024-01-10".to_owned(), day("20240110", "9")),
        ("to=2024-01-02".to_owned(), day("0", "20240103")),
        (format!("from={at}&to={at}"), day(&exact[..15], &format!("{}$", &exact[..15]))),
        ("from=2030-01-01".to_owned(), Vec::new()),
    ] {
        let page = get(&api, &format!("/v1/invoices?issuer={ISSUER}&limit=1000&{query}")).await;
        assert_eq!((sort_keys(&page.body), page.body.get("next_cursor")), (expected, None), "{query}");
    }
}

#[tokio::test]
async fn the_link_leads_to_the_next_page() {
    let table = table(Schema::default()).await;
    let expected: Vec<String> = fill(&table, 40, 0).await.into_iter().collect();
    let api = api(&table);
    // Punctuation in the tax id is the client's affair.
    let first = get(&api, "/v1/invoices?limit=15&issuer=08.676.370/0001-55").await;
    let link = first.headers["link"].to_str().unwrap();
    let query = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    assert!(query.starts_with("?issuer=08.676.370%2F0001-55&limit=15&cursor="), "{query}");
    let second = get(&api, &format!("/v1/invoices{query}")).await;
    assert_eq!([sort_keys(&first.body), sort_keys(&second.body)].concat(), expected[..30]);
    let last = get(&api, &format!("/v1/invoices?issuer={ISSUER}&limit=40")).await;
    assert_eq!((sort_keys(&last.body).len(), last.headers.get("link")), (40, None));
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_query_alone() {
    let table = table(Schema::default()).await;
    fill(&table, 40, 0).await;
    let api = api(&table);
    let base = format!("/v1/invoices?issuer={ISSUER}&from=2024-01-01");
    let page = get(&api, &format!("{base}&limit=10")).await;
    let cursor = page.body["next_cursor"].as_str().unwrap();
    // Another limit, and the same query in other words, are the same query.
    for same in [format!("{base}&limit=3"), "/v1/invoices?from=2024-01-01T00:00&issuer=08.676.370/0001-55".to_string()]
    {
        assert_eq!(get(&api, &format!("{same}&cursor={cursor}")).await.status, StatusCode::OK);
    }
    let mut refused = vec![
        format!("/v1/invoices?issuer=09579964000291&from=2024-01-01&cursor={cursor}"),
        format!("/v1/invoices?issuer={ISSUER}&cursor={cursor}"),
        format!("{base}&to=2024-12-31&cursor={cursor}"),
        format!("{base}&cursor="),
        format!("{base}&cursor=%00%FF"),
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..500 {
        let mut bytes = cursor.as_bytes().to_vec();
        let at = random.usize(..bytes.len());
        match random.u8(..3) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.alphanumeric() as u8),
            _ => bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' },
        }
        refused.push(format!("{base}&cursor={}", String::from_utf8(bytes).unwrap()));
    }
    for path in refused {
        let answer = get(&api, &path).await;
        assert_eq!(
            (answer.status, &answer.body["type"]),
            (StatusCode::BAD_REQUEST, &"/problems/invalid-cursor".into()),
            "{path}"
        );
        assert_eq!(
            answer.body.as_object().unwrap().len(),
            5,
            "type, title, status, detail, request_id, and nothing else"
        );
    }
}

#[tokio::test]
async fn an_invoice_answers_by_its_id() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    put(&table, &invoice("a b/ç".into(), 0, ISSUER)).await;
    let api = api(&table);
    let answer = get(&api, &format!("/v1/invoices/{EXAMPLE_KEY}")).await;
    assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (StatusCode::OK, "application/json"));
    assert_eq!(answer.body["issuer"]["name"], "DIST. DE MEDICAMENTOS PRO SAUDE LTD");
    assert_eq!(answer.body["source"], serde_json::json!({"ingestion": "9f2c", "record": 1}));
    assert_eq!(get(&api, "/v1/invoices/a%20b%2F%C3%A7").await.body["id"], "a b/ç");
    let head = ask(&api, "HEAD", &format!("/v1/invoices/{EXAMPLE_KEY}")).await;
    assert_eq!((head.status, head.body), (StatusCode::OK, Value::Null));
    for id in ["gone", &"x".repeat(3000), "%FF", "%00"] {
        let answer = get(&api, &format!("/v1/invoices/{id}")).await;
        assert_eq!(
            (answer.status, &answer.body["type"]),
            (StatusCode::NOT_FOUND, &"/problems/not-found".into()),
            "{id}"
        );
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn an_invoice_answers_with_its_lines_and_events_in_order() {
    let table = table(Schema::default()).await;
    put(&table, &Invoice { line_count: Some(12), ..example() }).await;
    for number in [10, 2, 1] {
        put_line(&table, &numbered(number)).await;
    }
    put_line(&table, &Line { key: LineKey::Natural("7891".into()), ..example_line() }).await;
    put_event(&table, &event("2019-11-12T13:01:52", EventKind::Authorization)).await;
    put_event(&table, &event("2019-11-13T00:00:00-03:00", EventKind::Cancellation)).await;
    put_event(&table, &event("2019-11-12T20:00:00", EventKind::Correction)).await;
    // Neighbours with ids that begin alike.
    for id in [format!("{EXAMPLE_KEY}#"), format!("{EXAMPLE_KEY}0"), EXAMPLE_KEY[..43].to_owned()] {
        put_line(&table, &Line { invoice: id.into(), ..numbered(3) }).await;
    }
    let api = api(&table);
    let body = get(&api, &format!("/v1/invoices/{EXAMPLE_KEY}")).await.body;
    assert_eq!(body["line_count"], 12);
    assert_eq!(each(&body["lines"], "number"), ["-", "1", "2", "10"]);
    assert_eq!(each(&body["events"], "kind"), ["authorization", "correction", "cancellation"]);
    assert_eq!(body["lines"][1]["unit_price"], "20.4000");
    assert_eq!((body.get("next_lines_cursor"), body.get("next_events_cursor")), (None, None));
    let status = [&body["status"], &body["status_text"], &body["status_at"]];
    assert_eq!(status, ["cancelled", "Cancelamento da NF-e", "2019-11-13T00:00:00-03:00"]);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let lines = get(&api, &format!("{base}/lines")).await.body;
    assert_eq!(lines, serde_json::json!({"items": body["lines"]}));
    let events = get(&api, &format!("{base}/events")).await.body;
    assert_eq!(events, serde_json::json!({"items": body["events"]}));
    // The list has the status of the item, which whoever brings the event updates.
    let listed = get(&api, &format!("/v1/invoices?issuer={ISSUER}")).await.body;
    assert_eq!(listed["items"][0]["status"], "authorized");
}

#[tokio::test]
async fn an_invoice_without_lines_and_events_says_so() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    let api = api(&table);
    let body = get(&api, &format!("/v1/invoices/{EXAMPLE_KEY}")).await.body;
    let empty = Value::Array(Vec::new());
    assert_eq!((&body["lines"], &body["events"], body.get("line_count")), (&empty, &empty, None));
    for part in ["lines", "events"] {
        let page = get(&api, &format!("/v1/invoices/{EXAMPLE_KEY}/{part}")).await.body;
        assert_eq!(page, serde_json::json!({"items": []}));
    }
}

#[tokio::test]
async fn the_status_is_that_of_the_latest_event_that_cancels() {
    let table = table(Schema::default()).await;
    let api = api(&table);
    let cases = [
        (Some("2019-11-12T13:01:52"), "2019-11-12T13:01:52", "cancelled", Some("2019-11-12T13:01:52")),
        (Some("2019-11-12T13:01:53"), "2019-11-12T13:01:52", "authorized", Some("2019-11-12T13:01:53")),
        (None, "2000-01-01T00:00:00", "cancelled", Some("2000-01-01T00:00:00")),
    ];
    for (case, (status_at, cancelled_at, status, at)) in cases.into_iter().enumerate() {
        let id = format!("case-{case}");
        let status_at = status_at.and_then(Timestamp::from_plain);
        put(&table, &Invoice { status_at, ..invoice(id.clone(), 0, ISSUER) }).await;
        for (at, kind) in [
            ("1999-01-01T00:00:00", EventKind::Cancellation),
            (cancelled_at, EventKind::Cancellation),
            ("2024-01-01T00:00:00", EventKind::Correction),
        ] {
            put_event(&table, &Event { invoice: id.clone().into(), text: None, ..event(at, kind) }).await;
        }
        let body = get(&api, &format!("/v1/invoices/{id}")).await.body;
        assert_eq!((body["status"].as_str(), body["status_at"].as_str()), (Some(status), at), "{id}");
        assert_eq!(body.get("status_text").is_some(), status == "authorized", "words of another status");
    }
}

#[tokio::test]
async fn lines_and_events_without_their_invoice_are_not_found() {
    let table = table(Schema::default()).await;
    put_line(&table, &numbered(1)).await;
    put_event(&table, &example_event()).await;
    let api = api(&table);
    for id in [EXAMPLE_KEY, &"x".repeat(3000), "%FF"] {
        for part in ["", "/lines", "/events"] {
            let answer = get(&api, &format!("/v1/invoices/{id}{part}")).await;
            let found = (answer.status, &answer.body["type"]);
            assert_eq!(found, (StatusCode::NOT_FOUND, &"/problems/not-found".into()), "{part}");
        }
    }
}

#[tokio::test]
async fn lines_come_by_page() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let api = api(&table);
    let mut expected = Vec::new();
    for count in 1..=230_u32 {
        put_line(&table, &numbered(count)).await;
        expected.push(count.to_string());
        if ![99, 100, 101, 130, 230].contains(&count) {
            continue;
        }
        let body = get(&api, &base).await.body;
        let mut found = each(&body["lines"], "number");
        assert_eq!(found.len(), expected.len().min(100));
        assert_eq!(body.get("next_lines_cursor").is_some(), count > 100, "{count} lines");
        if let Some(cursor) = body.get("next_lines_cursor") {
            let cursor = Some(cursor.as_str().unwrap().to_owned());
            found.extend(follow(&api, &format!("{base}/lines?limit=17"), cursor, "number").await.0);
        }
        assert_eq!(found, expected, "{count} lines");
        for limit in [1, 23, 115, 1000] {
            let (found, pages) = follow(&api, &format!("{base}/lines?limit={limit}"), None, "number").await;
            assert_eq!((found, pages), (expected.clone(), expected.len().div_ceil(limit)));
        }
    }
}

#[tokio::test]
async fn lines_beyond_the_count_are_of_an_earlier_version() {
    let table = table(Schema::default()).await;
    for number in 1..=120 {
        put_line(&table, &numbered(number)).await;
    }
    put_line(&table, &Line { key: LineKey::Natural("7891".into()), ..example_line() }).await;
    let api = api(&table);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    for (count, shown, more) in
        [(0, 1, false), (1, 2, false), (99, 100, false), (100, 100, true), (u32::MAX, 100, true)]
    {
        put(&table, &Invoice { line_count: Some(count), ..example() }).await;
        let body = get(&api, &base).await.body;
        let found = (body["lines"].as_array().unwrap().len(), body.get("next_lines_cursor").is_some());
        assert_eq!(found, (shown, more), "{count} lines");
        let all = usize::try_from(count).unwrap().min(120) + 1;
        for limit in [1, 50, 1000] {
            let (found, pages) = follow(&api, &format!("{base}/lines?limit={limit}"), None, "number").await;
            assert_eq!((found.len(), pages), (all, all.div_ceil(limit)), "{count} lines");
        }
    }
}

#[tokio::test]
async fn every_event_counts_where_not_all_are_shown() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    put_line(&table, &numbered(1)).await;
    let mut expected = Vec::new();
    for minute in 0..150 {
        let at = format!("2020-01-01T{:02}:{:02}:00", minute / 60, minute % 60);
        let kind = if minute == 140 { EventKind::Cancellation } else { EventKind::Correction };
        put_event(&table, &event(&at, kind)).await;
        expected.push(at);
    }
    let api = api(&table);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let body = get(&api, &base).await.body;
    assert_eq!([&body["status"], &body["status_at"]], ["cancelled", "2020-01-01T02:20:00"]);
    assert_eq!(each(&body["lines"], "number"), ["1"]);
    let mut found = each(&body["events"], "at");
    assert_eq!(found.len(), 100);
    let cursor = Some(body["next_events_cursor"].as_str().unwrap().to_owned());
    found.extend(follow(&api, &format!("{base}/events?limit=20"), cursor, "at").await.0);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_cursor_of_lines_is_good_for_them_alone() {
    let table = table(Schema::default()).await;
    for id in [EXAMPLE_KEY, "other"] {
        put(&table, &Invoice { id: id.into(), access_key: None, ..example() }).await;
        for number in 1..=3 {
            put_line(&table, &Line { invoice: id.into(), ..numbered(number) }).await;
        }
    }
    let api = api(&table);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let page = get(&api, &format!("{base}/lines?limit=1")).await;
    let cursor = page.body["next_cursor"].as_str().unwrap();
    assert_eq!(page.headers["link"].to_str().unwrap(), format!("<?limit=1&cursor={cursor}>; rel=\"next\""));
    let next = get(&api, &format!("{base}/lines?limit=2&cursor={cursor}")).await;
    assert_eq!(each(&next.body["items"], "number"), ["2", "3"]);
    for path in [
        format!("{base}/events?cursor={cursor}"),
        format!("/v1/invoices/other/lines?cursor={cursor}"),
        format!("/v1/invoices?issuer={ISSUER}&cursor={cursor}"),
        format!("{base}/lines?cursor={}", &cursor[1..]),
        format!("{base}/lines?cursor="),
    ] {
        let answer = get(&api, &path).await;
        let found = (answer.status, &answer.body["type"]);
        assert_eq!(found, (StatusCode::BAD_REQUEST, &"/problems/invalid-cursor".into()), "{path}");
    }
    let wrong = get(&api, &format!("{base}/lines?limit=0&colour=red")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(each(&wrong.body["errors"], "parameter"), ["limit", "colour"]);
}

/// Lines and events that are as large as an item can be: the answer by id has some of them, and the pages all.
#[tokio::test]
async fn large_lines_and_events_stay_within_what_lambda_carries() {
    let table = table(Schema::default()).await;
    let large = || Some("\"".repeat(390_000).into());
    put(&table, &Invoice { operation: large(), ..example() }).await;
    for number in 1..=9 {
        put_line(&table, &Line { description: large(), ..numbered(number) }).await;
        let at = format!("2020-01-01T00:00:0{number}");
        let kind = if number == 8 { EventKind::Cancellation } else { EventKind::Correction };
        put_event(&table, &Event { description: large(), ..event(&at, kind) }).await;
    }
    let api = api(&table);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let request = Request::builder().uri(&base).body(Body::empty()).unwrap();
    let body = to_bytes(api.clone().oneshot(request).await.unwrap().into_body(), 4_001_000).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!([&body["status"], &body["status_at"]], ["cancelled", "2020-01-01T00:00:08"]);
    for (part, name, first) in [("lines", "number", 3), ("events", "at", 1)] {
        let mut found = each(&body[part], name);
        assert_eq!(found.len(), first, "{part}");
        let cursor = Some(body[format!("next_{part}_cursor")].as_str().unwrap().to_owned());
        found.extend(follow(&api, &format!("{base}/{part}"), cursor, name).await.0);
        let (all, pages) = follow(&api, &format!("{base}/{part}"), None, name).await;
        assert_eq!((all.len(), pages), (9, 2));
        assert_eq!(found, all);
    }
}

/// An event that has no room at all is on the first further page.
#[tokio::test]
async fn an_event_without_room_begins_a_page() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    let escaped = Event { description: Some("\u{1}".repeat(390_000).into()), ..example_event() };
    put_event(&table, &escaped).await;
    let api = api(&table);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let body = get(&api, &base).await.body;
    assert_eq!((&body["events"], &body["status"]), (&Value::Array(Vec::new()), &"cancelled".into()));
    let cursor = Some(body["next_events_cursor"].as_str().unwrap().to_owned());
    assert_eq!(follow(&api, &format!("{base}/events"), cursor, "kind").await, (vec!["cancellation".to_owned()], 1));
}

#[tokio::test]
async fn an_ingestion_answers_with_its_report() {
    let table = table(Schema::default()).await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    for (id, report) in [("1", Some(r#"{"state": "completed"}"#)), ("2", None)] {
        let put = table.client.put_item().table_name(&table.name);
        let mut put = put.item("PK", text(&format!("J#{id}"))).item("SK", text("META"));
        if let Some(report) = report {
            put = put.item("report", text(report));
        }
        put.send().await.unwrap();
    }
    let api = api(&table);
    assert_eq!(get(&api, "/v1/ingestions/1").await.body["state"], "completed");
    let damaged = get(&api, "/v1/ingestions/2").await;
    assert_eq!(
        (damaged.status, &damaged.body["type"]),
        (StatusCode::INTERNAL_SERVER_ERROR, &"/problems/internal".into())
    );
    assert_eq!(get(&api, "/v1/ingestions/3").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn wrong_parameters_come_in_one_answer() {
    let table = table(Schema { indexes: IndexSet::parse("month").unwrap(), ..Schema::default() }).await;
    let api = api(&table);
    let answer = get(&api, "/v1/invoices?limit=0&from=2024-02-30&to=1&colour=red&cursor=x").await;
    assert_eq!((answer.status, &answer.body["type"]), (StatusCode::BAD_REQUEST, &"/problems/invalid-parameter".into()));
    let wrong = answer.body["errors"].as_array().unwrap().iter();
    let wrong: Vec<&str> = wrong.map(|error| error["parameter"].as_str().unwrap()).collect();
    assert_eq!(wrong, ["from", "to", "limit", "issuer", "colour"]);
    for (path, parameter) in [
        ("/v1/invoices/1?x=1", "x"),
        ("/v1/ingestions/1?x=1", "x"),
        ("/v1/invoices?issuer=1&from=2024-02-02&to=2024-02-01", "to"),
        ("/v1/invoices?issuer=1", "issuer"),
        ("/v1/invoices", "issuer"),
        ("/v1/invoices?status=authorized", "status"),
        ("/v1/invoices?status=denied", "status"),
        ("/v1/invoices?issuer=%20&order=up", "issuer"),
        ("/v1/invoices?month=2024-01&min_total=2&max_total=1.99", "max_total"),
        ("/v1/invoices?month=2024-01&number=", "number"),
        ("/v1/ingestions?state=done", "state"),
    ] {
        let answer = get(&api, path).await;
        assert_eq!(
            (answer.status, &answer.body["errors"][0]["parameter"]),
            (StatusCode::BAD_REQUEST, &parameter.into())
        );
    }
}

/// Which of these invoices belong to a list, by their ids.
async fn listed(router: &Router, query: &str) -> String {
    follow(router, &format!("/v1/invoices?{query}"), None, "id").await.0.concat()
}

#[tokio::test]
async fn every_filter_goes_with_every_list() {
    let table = table(Schema { shards: 2, ..Schema::default() }).await;
    let party = |tax_id: &str, uf: &'static str| {
        let tax_id = Some(TaxId::parse(tax_id, TaxIdColumn::Either).unwrap());
        Party { tax_id, uf: Some(uf.into()), ..Party::default() }
    };
    let other = "09579964000291";
    let base = |id: &'static str, at: &str| Invoice {
        id: id.into(),
        access_key: None,
        issued_at: Timestamp::from_plain(at).unwrap(),
        issuer: party(ISSUER, "MG"),
        recipient: Some(party(other, "PR")),
        ..example()
    };
    let total = |text: &str| crate::invoice::Decimal::from_plain(text);
    for invoice in [
        base("a", "2024-01-31T23:59:59"),
        Invoice { total: total("9.90"), ..base("b", "2024-02-01T00:00:00") },
        Invoice { status: Status::Cancelled, number: None, ..base("c", "2024-02-10T00:00:00") },
        Invoice { issuer: party(other, "SP"), recipient: None, ..base("d", "2024-02-29T23:59:59") },
        Invoice { status: Status::Denied, total: None, series: Some("9".into()), ..base("e", "2024-03-01T00:00:00") },
        Invoice { model: Some("65".into()), recipient: Some(party(ISSUER, "MG")), ..base("f", "2025-02-01T00:00:00") },
    ] {
        put(&table, &invoice).await;
    }
    let api = api(&table);
    for (query, expected) in [
        (format!("issuer={ISSUER}"), "abcef"),
        (format!("recipient={other}&order=desc"), "ecba"),
        (format!("issuer={ISSUER}&recipient={ISSUER}"), "f"),
        ("month=2024-02".to_owned(), "bcd"),
        ("month=2024-02&order=desc&limit=1".to_owned(), "dcb"),
        ("month=2024-02&from=2024-02-10&to=2024-02-28".to_owned(), "c"),
        ("month=2024-02&to=2024-02-10T00:00:00".to_owned(), "bc"),
        ("month=2024-02&from=2024-03-01".to_owned(), ""),
        (format!("month=2024-02&issuer={other}"), "d"),
        (format!("month=2024-02&issuer={ISSUER}&order=desc"), "cb"),
        ("status=cancelled".to_owned(), "c"),
        ("status=cancelled&month=2024-03".to_owned(), ""),
        ("status=denied&month=2024-03&series=9".to_owned(), "e"),
        (format!("issuer={ISSUER}&status=authorized&limit=2"), "abf"),
        ("month=2024-02&status=authorized".to_owned(), "bd"),
        (format!("issuer={ISSUER}&model=65"), "f"),
        (format!("issuer={ISSUER}&model=5"), ""),
        (format!("issuer={ISSUER}&number=7083&series=1"), "abf"),
        (format!("issuer={ISSUER}&max_total=2039.99"), "b"),
        (format!("issuer={ISSUER}&min_total=9.9&max_total=2040"), "abcf"),
        (format!("issuer={ISSUER}&min_total=2040.000001"), ""),
        ("month=2024-02&issuer_uf=mg".to_owned(), "bc"),
        ("month=2024-02&recipient_uf=PR&status=authorized".to_owned(), "b"),
        (format!("recipient={other}&issuer_uf=MG&recipient_uf=PR&status=cancelled&month=2024-02&max_total=2040"), "c"),
    ] {
        assert_eq!(listed(&api, &query).await, expected, "{query}");
    }
    // A list that a table has no index for is read from another one that is asked for, too.
    let sparse =
        Table { schema: Schema { indexes: IndexSet::parse("month").unwrap(), ..table.schema.clone() }, ..table };
    let api = self::api(&sparse);
    assert_eq!(listed(&api, &format!("issuer={ISSUER}&month=2024-02&status=cancelled")).await, "c");
    let wrong = get(&api, &format!("/v1/invoices?issuer={ISSUER}&status=cancelled")).await.body;
    assert_eq!(each(&wrong["errors"], "parameter"), ["issuer", "status"]);
}

#[tokio::test]
async fn a_filtered_page_reads_on_and_says_what_it_took() {
    let table = table(Schema { shards: 3, ..Schema::default() }).await;
    fill(&table, 400, 0).await;
    put(&table, &Invoice { model: Some("65".into()), ..invoice("needle".into(), 30_000, ISSUER) }).await;
    let api = api(&table);
    let page = get(&api, &format!("/v1/invoices?issuer={ISSUER}&model=65&limit=2")).await;
    assert_eq!((each(&page.body["items"], "id"), page.body.get("next_cursor")), (vec!["needle".to_owned()], None));
    let units: f64 = page.headers["notaflux-read-units"].to_str().unwrap().parse().unwrap();
    assert!((20.0..80.0).contains(&units), "{units} for 401 items of 0.7 KB");
    let plain = get(&api, &format!("/v1/invoices?issuer={ISSUER}&limit=2")).await;
    assert!(plain.headers["notaflux-read-units"].to_str().unwrap().parse::<f64>().unwrap() <= 4.5);
    assert!(!get(&api, "/health").await.headers.contains_key("notaflux-read-units"));
}

/// A page of a filter that nothing passes ends at its bound, and the walk still ends.
#[tokio::test]
async fn a_cursor_of_a_filtered_list_is_bound_to_its_filter() {
    let table = table(Schema::default()).await;
    fill(&table, 60, 0).await;
    let api = api(&table);
    let base = format!("/v1/invoices?issuer={ISSUER}&limit=5");
    let filters =
        ["", "&model=55", "&model=55&min_total=1", "&min_total=1", "&max_total=9999999", "&status=authorized"];
    for given in filters {
        let page = get(&api, &format!("{base}{given}")).await;
        let cursor = page.body["next_cursor"].as_str().unwrap();
        for asked in filters {
            let status = get(&api, &format!("{base}{asked}&cursor={cursor}")).await.status;
            assert_eq!(status == StatusCode::OK, given == asked, "{given} for {asked}");
        }
    }
    let nothing = format!("/v1/invoices?issuer={ISSUER}&month=2024-01&from=2025-01-01");
    assert_eq!(get(&api, &nothing).await.body, serde_json::json!({"items": []}));
    assert_eq!(get(&api, &format!("{nothing}&cursor=x")).await.body["type"], "/problems/invalid-cursor");
}

/// The answer as text, asked for with a header.
async fn text(router: &Router, path: &str, header: (&str, &str)) -> (StatusCode, axum::http::HeaderMap, String) {
    let request = Request::builder().uri(path).header(header.0, header.1).body(Body::empty()).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap_or_default())
}

#[tokio::test]
async fn a_list_comes_as_lines_or_rows_too() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    put(&table, &invoice("other".into(), 0, ISSUER)).await;
    put_line(&table, &numbered(1)).await;
    put_event(&table, &example_event()).await;
    let api = api(&table);
    let list = format!("/v1/invoices?issuer={ISSUER}&limit=1");
    let json = get(&api, &list).await;
    assert_eq!(json.headers["vary"], "accept");
    let (_, headers, lines) = text(&api, &list, ("accept", "application/x-ndjson")).await;
    assert_eq!(headers["content-type"], "application/x-ndjson");
    assert!(headers.contains_key("link") && lines.ends_with("}\n"));
    assert_eq!(serde_json::from_str::<Value>(&lines).unwrap(), json.body["items"][0]);
    let (_, headers, rows) = text(&api, &list, ("accept", "text/csv")).await;
    assert_eq!(headers["content-type"], "text/csv; charset=utf-8; header=present");
    assert!(headers.contains_key("link"));
    let expected = concat!(
        "id,access_key,model,series,number,operation,issued_at,issuer_tax_id,issuer_tax_id_kind,issuer_name,",
        "issuer_state_registration,issuer_uf,issuer_city,recipient_tax_id,recipient_tax_id_kind,recipient_name,",
        "recipient_state_registration,recipient_uf,recipient_city,status,status_text,status_at,total,currency,line_count,",
        "warnings,ingestion,record,extra\n31191108676370000155550010000070831000062423,",
        "31191108676370000155550010000070831000062423,55,1,7083,VENDA DE MERCADORIA ADQUIRIDA,2019-11-12T00:00:00,",
        "08676370000155,cnpj,DIST. DE MEDICAMENTOS PRO SAUDE LTD,10428180043,MG,UBERLANDIA,09579964000291,cnpj,",
        "HOSP GERAL DE CURITIBA,,PR,,authorized,Autorização de Uso,2019-11-12T13:01:52,2040.00,BRL,,,9f2c,1,",
        "\"{\"\"final_consumer\"\":\"\"1 - CONSUMIDOR FINAL\"\"}\"\n",
    );
    assert_eq!(rows, expected);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let (_, _, rows) = text(&api, &format!("{base}/lines"), ("accept", "text/csv")).await;
    assert!(rows.contains("\n1,7891,SORO FISIOLÓGICO,30049099,6102,100.0000,FR,20.4000,2040.00,,"), "{rows}");
    let (_, _, rows) = text(&api, &format!("{base}/events"), ("accept", "text/csv")).await;
    assert!(
        rows.contains("\n2019-11-13T08:09:10-03:00,cancellation,Cancelamento da NF-e,Cancelamento,ERRO DE"),
        "{rows}"
    );
    let (status, headers, body) = text(&api, &list, ("accept", "text/html")).await;
    assert_eq!(
        (status, headers["content-type"].to_str().unwrap()),
        (StatusCode::NOT_ACCEPTABLE, "application/problem+json")
    );
    assert!(body.contains("/problems/not-acceptable") && body.contains("text/csv"));
}

#[tokio::test]
async fn a_client_that_has_a_resource_is_told_so() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    let api = api(&table);
    let path = format!("/v1/invoices/{EXAMPLE_KEY}");
    let tag = get(&api, &path).await.headers["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with("W/\""));
    let (status, headers, body) = text(&api, &path, ("if-none-match", &format!("\"x\", {tag}"))).await;
    assert_eq!(
        (status, headers["etag"].to_str().unwrap(), body.as_str()),
        (StatusCode::NOT_MODIFIED, tag.as_str(), "")
    );
    assert!(headers.contains_key("x-request-id") && headers.contains_key("notaflux-read-units"));
    put_event(&table, &example_event()).await;
    let (status, headers, _) = text(&api, &path, ("if-none-match", &tag)).await;
    assert!(status == StatusCode::OK && headers["etag"].to_str().unwrap() != tag, "an event has changed it");
    assert!(!get(&api, &format!("{path}/lines")).await.headers.contains_key("etag"));
    assert_eq!(text(&api, "/v1/invoices/gone", ("if-none-match", "*")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let table = table(Schema::default()).await;
    let api = api(&table);
    for path in ["/health", "/v1/invoices/gone", "/v1/invoices", "/nowhere"] {
        let (_, headers, body) = text(&api, path, ("x-request-id", "abc-1")).await;
        assert_eq!(headers["x-request-id"], "abc-1", "{path}");
        assert!(path == "/health" || body.contains(r#""request_id":"abc-1""#), "{body}");
    }
    let head = ask(&api, "HEAD", "/v1/invoices/gone").await;
    assert_eq!((head.status, head.body, head.headers["x-request-id"].len()), (StatusCode::NOT_FOUND, Value::Null, 32));
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_can_read_them() {
    let table = table(Schema::default()).await;
    fill(&table, 30, 0).await;
    let api = api(&table);
    let path = format!("/v1/invoices?issuer={ISSUER}");
    let request =
        Request::builder().uri(&path).header("accept-encoding", "br, gzip;q=0.5").body(Body::empty()).unwrap();
    let (parts, body) = api.clone().oneshot(request).await.unwrap().into_parts();
    assert_eq!(parts.headers["content-encoding"], "gzip");
    let vary: Vec<&str> = parts.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(vary.join(","), "accept,accept-encoding");
    let mut plain = String::new();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut plain).unwrap();
    let items = serde_json::from_str::<Value>(&plain).unwrap()["items"].clone();
    assert_eq!(items, get(&api, &path).await.body["items"]);
    assert!(!get(&api, &path).await.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn pages_of_other_origins_read_answers_where_they_are_let() {
    let table = table(Schema::default()).await;
    let s3 = crate::aws::s3_client(&crate::aws::embedded_config("http://127.0.0.1:9"));
    let with = |text: &str| {
        let api = Api::new(table.clone(), s3.clone(), CursorKeys::new(&[7; 32]));
        router(Api { cors: Cors::parse(text).unwrap(), ..api })
    };
    let asked = async |router: Router, method: &str, origin: &str| {
        let request = Request::builder().method(method).uri("/v1/invoices/gone").header("origin", origin);
        let request = request.header("access-control-request-method", "GET").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let allowed = response.headers().get("access-control-allow-origin").map(|it| it.to_str().unwrap().to_owned());
        (response.status().as_u16(), allowed)
    };
    let app = "https://app.example";
    assert_eq!(asked(with(""), "OPTIONS", app).await, (405, None));
    assert_eq!(asked(with(app), "OPTIONS", app).await, (200, Some(app.to_owned())));
    assert_eq!(asked(with(app), "GET", app).await, (404, Some(app.to_owned())));
    assert_eq!(asked(with(app), "GET", "https://evil.example").await, (404, None));
    assert_eq!(asked(with("*"), "GET", "https://evil.example").await, (404, Some("*".to_owned())));
}

/// Puts what the ledger holds of an ingestion.
async fn put_ingestion(table: &Table, id: &str, created_at: &str, state: &str, rejects: Option<&str>) {
    let text = |text: String| AttributeValue::S(text);
    let month: String = created_at.chars().filter(char::is_ascii_digit).take(6).collect();
    let report = serde_json::json!({"ingestion": id, "state": state, "rejects_location": rejects});
    let put = table.client.put_item().table_name(&table.name);
    let put = put.item("PK", text(format!("J#{id}"))).item("SK", text("META".into()));
    let put = put.item("MK", text(format!("J#{month}"))).item("MS", text(format!("{created_at}#{id}")));
    let put = put.item("state", text(state.into())).item("report", text(report.to_string()));
    put.send().await.unwrap();
}

#[tokio::test]
async fn ingestions_are_listed_newest_first_over_the_months() {
    let table = table(Schema::default()).await;
    let months: Vec<String> =
        keys::months_back_from(&jiff::Timestamp::now().strftime("%Y%m").to_string()).take(30).collect();
    let mut expected = Vec::new();
    for (month, day) in [(0, 2), (0, 1), (1, 28), (3, 5), (3, 4), (23, 1), (24, 1)] {
        let (year, number) = months[month].split_at(4);
        let id = format!("{month}-{day}");
        let state = if day == 1 { "failed" } else { "completed" };
        put_ingestion(&table, &id, &format!("{year}-{number}-{day:02}T10:00:00Z"), state, None).await;
        expected.push(id);
    }
    let api = api(&table);
    let all = |path: &'static str| follow(&api, path, None, "ingestion");
    for (limit, pages) in [("1", 6), ("2", 3), ("4", 2), ("6", 1), ("7", 1)] {
        let path: &'static str = format!("/v1/ingestions?limit={limit}").leak();
        assert_eq!(all(path).await, (expected[..6].to_vec(), pages), "limit {limit}");
    }
    assert_eq!(all("/v1/ingestions?state=failed&limit=1").await.0, ["0-1", "23-1"]);
    let old: &'static str = format!("/v1/ingestions?month={}-{}", &months[24][..4], &months[24][4..]).leak();
    assert_eq!(all(old).await, (vec!["24-1".to_owned()], 1));
    assert_eq!(all("/v1/ingestions?month=1999-01").await, (Vec::new(), 1));
    let cursor = get(&api, "/v1/ingestions?limit=1").await.body["next_cursor"].as_str().unwrap().to_owned();
    for other in ["state=failed", "month=2026-11"] {
        let answer = get(&api, &format!("/v1/ingestions?{other}&cursor={cursor}")).await;
        assert_eq!(answer.body["type"], "/problems/invalid-cursor");
    }
    let (_, _, rows) = text(&api, "/v1/ingestions?limit=2", ("accept", "text/csv")).await;
    assert!(rows.starts_with("ingestion,state,") && rows.contains("\n0-2,completed,"), "{rows}");
    let sparse =
        Table { schema: Schema { indexes: IndexSet::parse("issuer").unwrap(), ..table.schema.clone() }, ..table };
    assert_eq!(get(&self::api(&sparse), "/v1/ingestions").await.body["errors"][0]["parameter"], "month");
}

#[tokio::test]
async fn rejects_are_read_by_page_from_where_they_lie() {
    let stack = crate::local::stack::Stack::start(crate::local::stack::StackOptions::default()).unwrap();
    let s3 = crate::aws::s3_client(&stack.sdk_config());
    let table = table(Schema::default()).await;
    let bucket = crate::local::stack::WORK_BUCKET;
    let location = format!("s3://{bucket}/rejects/9f2c/");
    put_ingestion(&table, "9f2c", "2026-11-02T10:00:00Z", "completed", Some(&location)).await;
    put_ingestion(&table, "clean", "2026-11-02T10:00:00Z", "completed", None).await;
    let mut expected = Vec::new();
    for object in [0, 1, 7] {
        let mut body = String::new();
        for line in 0..500 {
            let reason = format!("{object}.{line}");
            // The second object is longer than what is read at a time.
            let raw = "x".repeat(if object == 1 { 4096 } else { 10 });
            body.push_str(&serde_json::json!({"line": line, "reason": reason, "raw": raw}).to_string());
            body.push('\n');
            expected.push(reason);
        }
        let put = s3.put_object().bucket(bucket).key(format!("rejects/9f2c/{object:08}.ndjson"));
        put.body(body.into_bytes().into()).send().await.unwrap();
    }
    let put = s3.put_object().bucket(bucket).key("rejects/9f2c.2/00000000.ndjson");
    put.body(b"{\"reason\":\"of another attempt\"}\n".to_vec().into()).send().await.unwrap();
    let api = api_with(&table, &stack.endpoints().aws);
    let base = "/v1/ingestions/9f2c/rejects";
    for (limit, pages) in [(1000, 2), (500, 3), (499, 4), (37, 41)] {
        let (found, walked) = follow(&api, &format!("{base}?limit={limit}"), None, "reason").await;
        assert_eq!((found, walked), (expected.clone(), pages), "limit {limit}");
    }
    let (_, _, rows) = text(&api, &format!("{base}?limit=1"), ("accept", "text/csv")).await;
    assert_eq!(rows, "source,entry,line,record,byte,length,reason,message,raw\n,,0,,,,0.0,,xxxxxxxxxx\n");
    assert_eq!(get(&api, "/v1/ingestions/clean/rejects").await.body, serde_json::json!({"items": []}));
    assert_eq!(get(&api, "/v1/ingestions/gone/rejects").await.status, StatusCode::NOT_FOUND);
    let cursor = get(&api, &format!("{base}?limit=1")).await.body["next_cursor"].as_str().unwrap().to_owned();
    let answer = get(&api, &format!("/v1/ingestions/clean/rejects?cursor={cursor}")).await;
    assert_eq!(answer.body["type"], "/problems/invalid-cursor");
    let unreachable = get(&self::api(&table), base).await;
    assert_eq!((unreachable.status.as_u16(), &unreachable.body["type"]), (503, &"/problems/unavailable".into()));
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let table = table(Schema::default()).await;
    let api = api(&table);
    assert_eq!(get(&api, "/health").await.body, serde_json::json!({"status": "ok"}));
    for path in ["/", "/v1", "/v1/invoices/", "/v1/invoices/1/2", "/v2/invoices"] {
        let answer = get(&api, path).await;
        assert_eq!(
            (answer.status, &answer.body["type"]),
            (StatusCode::NOT_FOUND, &"/problems/not-found".into()),
            "{path}"
        );
    }
    for path in ["/v1/invoices", "/v1/invoices/1", "/v1/invoices/1/lines", "/v1/ingestions/1", "/health"] {
        let answer = ask(&api, "DELETE", path).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(
            (&answer.body["type"], &answer.headers["allow"]),
            (&"/problems/method-not-allowed".into(), &"GET,HEAD".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn an_answer_stays_within_what_lambda_carries() {
    let table = table(Schema { shards: 2, ..Schema::default() }).await;
    for n in 0..14_u32 {
        let large = Invoice {
            extra: vec![("x".into(), "\"".repeat(390_000).into())],
            ..invoice(format!("{n:04}"), n.into(), ISSUER)
        };
        put(&table, &large).await;
    }
    let api = api(&table);
    let (mut found, mut cursor, mut pages) = (0, String::new(), 0);
    loop {
        let path = format!("/v1/invoices?issuer={ISSUER}{cursor}");
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let body = to_bytes(api.clone().oneshot(request).await.unwrap().into_body(), 4_100_000).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        found += body["items"].as_array().unwrap().len();
        pages += 1;
        let Some(next) = body.get("next_cursor") else { break };
        cursor = format!("&cursor={}", next.as_str().unwrap());
    }
    assert_eq!(found, 14);
    assert!((3..=8).contains(&pages), "{pages} pages");
}

/// What the table's server answers, and what the client of the API gets.
#[tokio::test]
async fn faults_of_the_table_are_problems_that_tell_nothing_of_it() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for (status, code, expected) in [
        ("400 Bad Request", "ProvisionedThroughputExceededException", (503, "/problems/throttled", true)),
        ("503 Service Unavailable", "ServiceUnavailable", (503, "/problems/unavailable", true)),
        ("400 Bad Request", "AccessDeniedException", (500, "/problems/internal", false)),
        ("400 Bad Request", "ResourceNotFoundException", (500, "/problems/internal", false)),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"the secret inside"}}"#);
        let head = "content-type: application/x-amz-json-1.0\r\nconnection: close";
        let answer = format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = vec![0; 64 * 1024];
                    let _read = stream.read(&mut request).await.unwrap();
                    stream.write_all(answer.as_bytes()).await.unwrap();
                });
            }
        });
        let client = crate::aws::dynamodb_client(&crate::aws::embedded_config(&endpoint));
        let api = api(&Table { client, name: "invoices".into(), schema: Schema::default() });
        for path in ["/v1/invoices/1", "/v1/invoices/1/lines", "/v1/invoices?issuer=1"] {
            let answer = get(&api, path).await;
            let found = (
                answer.status.as_u16(),
                answer.body["type"].as_str().unwrap(),
                answer.headers.contains_key("retry-after"),
            );
            assert_eq!(found, expected, "{code}");
            assert!(!answer.body.to_string().contains("secret") && !answer.body.to_string().contains("invoices"));
        }
    }
}
