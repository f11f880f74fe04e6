//! The two functions as real processes, with the tests' own Runtime API and the embedded servers.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use notaflux_api::parameters::query_string;
use notaflux_aws as aws;
use notaflux_generate::{GenerateOptions, Generator, LayoutVersion, write_archive};
use notaflux_local::stack::{Stack, StackOptions, UPLOADS_BUCKET, WORK_BUCKET};
use notaflux_table::{self as table, Schema, Table};
use serde_json::{Map, Value, json};

use crate::support::api::{self, CURSOR_KEY};
use crate::support::runtime_api::Function;

const TABLE: &str = "invoices";

async fn stack_with_table() -> Stack {
    let stack = Stack::start(StackOptions::default()).unwrap();
    table::create(aws::dynamodb_worker(&stack.sdk_config()), TABLE.to_owned(), Schema::default()).await.unwrap();
    stack
}

fn ingest_function(stack: &Stack) -> Function {
    let environment = [("TABLE", TABLE), ("WORK_BUCKET", WORK_BUCKET)];
    Function::start(env!("CARGO_BIN_EXE_suite-ingest"), stack, &environment)
}

fn query_function(stack: &Stack) -> Function {
    let environment = [("TABLE", TABLE), ("CURSOR_KEY", CURSOR_KEY)];
    Function::start(env!("CARGO_BIN_EXE_suite-query"), stack, &environment)
}

fn s3_event(key: &str) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventTime": "2026-11-02T10:00:00.000Z",
        "eventName": "ObjectCreated:Put", "userIdentity": {"principalId": "A"}, "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {}, "s3": {"s3SchemaVersion": "1.0", "configurationId": "c",
            "bucket": {"name": UPLOADS_BUCKET, "arn": "arn:aws:s3:::uploads"}, "object": {"key": key, "size": 1, "sequencer": "0A"}}}]})
}

fn rest_event(path: &str, query: &Value) -> Value {
    json!({"resource": "/{proxy+}", "path": path, "httpMethod": "GET", "headers": {"Host": "api.example"},
        "multiValueHeaders": {"Host": ["api.example"]}, "queryStringParameters": query, "multiValueQueryStringParameters": null,
        "pathParameters": {"proxy": path}, "stageVariables": null, "body": null, "isBase64Encoded": false,
        "requestContext": {"accountId": "1", "resourceId": "r", "stage": "prod", "requestId": "q", "identity": {},
            "resourcePath": "/{proxy+}", "httpMethod": "GET", "apiId": "a", "path": format!("/prod{path}")}})
}

/// A file, and the issuer of most of its invoices.
fn sample(records: u64) -> (Vec<u8>, String) {
    let layout_version = LayoutVersion::V1;
    let options = GenerateOptions { records, seed: 7, layout_version, duplicates: 0.1, bad: 0.05 };
    let (mut generator, mut bytes) = (Generator::new(options), Vec::new());
    while generator.fill(&mut bytes) {}
    (bytes, generator.busiest_issuer())
}

#[tokio::test]
async fn an_s3_event_goes_in_and_the_api_answers_with_the_invoices() {
    let stack = stack_with_table().await;
    let s3 = aws::s3_client(&stack.sdk_config());
    let (bytes, issuer) = sample(2_000);
    let key = "caixa de entrada/Notas São Paulo +1.csv";
    s3.put_object().bucket(UPLOADS_BUCKET).key(key).body(ByteStream::from(bytes)).send().await.unwrap();

    let ingest = ingest_function(&stack);
    let answer = ingest.invoke(&s3_event("caixa+de+entrada/Notas+S%C3%A3o+Paulo+%2B1.csv")).await.unwrap();
    assert_eq!(answer["batchItemFailures"], json!([]));

    let query = query_function(&stack);
    let page = query.invoke(&rest_event("/v1/invoices", &json!({"issuer": issuer, "limit": "5"}))).await.unwrap();
    assert_eq!(page["statusCode"], 200, "{page}");
    let body: Value = serde_json::from_str(page["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["items"].as_array().unwrap().len(), 5);
    assert!(body["next_cursor"].is_string());

    let id = body["items"][0]["id"].as_str().unwrap();
    let one = query.invoke(&rest_event(&format!("/v1/invoices/{id}"), &Value::Null)).await.unwrap();
    let mut invoice: Value = serde_json::from_str(one["body"].as_str().unwrap()).unwrap();
    // After the fields of a list item come its lines and events; here it has none.
    let besides = ["lines", "events"].map(|name| invoice.as_object_mut().unwrap().remove(name));
    assert_eq!(besides, [Some(json!([])), Some(json!([]))]);
    assert_eq!(invoice, body["items"][0]);

    let ingestion = invoice["source"]["ingestion"].as_str().unwrap();
    let report = query.invoke(&rest_event(&format!("/v1/ingestions/{ingestion}"), &Value::Null)).await.unwrap();
    let report: Value = serde_json::from_str(report["body"].as_str().unwrap()).unwrap();
    assert_eq!(report["state"], "completed");
    assert_eq!(report["records_read"], 2_000);
    assert_eq!(report["source"]["key"], key);
}

#[tokio::test]
async fn the_same_event_again_and_s3s_test_event_change_nothing() {
    let stack = stack_with_table().await;
    let s3 = aws::s3_client(&stack.sdk_config());
    s3.put_object().bucket(UPLOADS_BUCKET).key("a.csv").body(ByteStream::from(sample(100).0)).send().await.unwrap();
    let ingest = ingest_function(&stack);
    let test_event = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": UPLOADS_BUCKET});
    for event in [test_event, s3_event("a.csv"), s3_event("a.csv")] {
        ingest.invoke(&event).await.unwrap();
    }
    let ingested = || ingest.log().matches("\"ingested\"").count();
    // The log comes through a separate pipe.
    let patience = Instant::now() + Duration::from_secs(10);
    while ingested() < 2 && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ingested(), 2, "{}", ingest.log());
}

#[tokio::test]
async fn only_the_failed_message_of_a_batch_is_returned_to_the_queue() {
    let stack = stack_with_table().await;
    let s3 = aws::s3_client(&stack.sdk_config());
    s3.put_object().bucket(UPLOADS_BUCKET).key("a.csv").body(ByteStream::from(sample(100).0)).send().await.unwrap();
    let message = |id: &str, body: String| json!({"messageId": id, "body": body, "eventSource": "aws:sqs"});
    let event = json!({"Records": [
        message("good", s3_event("a.csv").to_string()),
        message("poison", "not an event".to_owned()),
    ]});
    let answer = ingest_function(&stack).invoke(&event).await.unwrap();
    assert_eq!(answer["batchItemFailures"], json!([{"itemIdentifier": "poison"}]));
}

/// A request, independent of the gateway.
struct Asked {
    method: &'static str,
    path: String,
    parameters: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
}

/// The kinds of gateways between the client and the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gateway {
    /// A REST API, which always has a stage.
    Rest,
    /// An HTTP API with this stage.
    Http(&'static str),
}

impl Asked {
    fn get(path: impl Into<String>, parameters: &[(&'static str, &str)]) -> Self {
        let parameters = parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let headers = vec![("host", "api.example".to_owned()), ("x-request-id", "r-1".to_owned())];
        Self { method: "GET", path: path.into(), parameters, headers }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn by(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    fn query(&self) -> String {
        query_string(self.parameters.iter().map(|(name, value)| (*name, value.as_str())))
    }

    /// Returns the event of a REST API: it has the decoded parameters and headers twice.
    fn rest(&self) -> Value {
        let each = |pairs: &[(&'static str, String)]| -> (Map<String, Value>, Map<String, Value>) {
            let mut all = Map::new();
            for (name, value) in pairs {
                let values = all.entry(*name).or_insert_with(|| json!([]));
                values.as_array_mut().unwrap().push(value.as_str().into());
            }
            (pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect(), all)
        };
        let (headers, all_headers) = each(&self.headers);
        let (parameters, all_parameters) = each(&self.parameters);
        let mut event = rest_event(&self.path, &Value::Null);
        event["httpMethod"] = self.method.into();
        event["requestContext"]["httpMethod"] = self.method.into();
        event["headers"] = headers.into();
        event["multiValueHeaders"] = all_headers.into();
        event["pathParameters"] = json!({"proxy": self.path.trim_start_matches('/')});
        if !self.parameters.is_empty() {
            event["queryStringParameters"] = parameters.into();
            event["multiValueQueryStringParameters"] = all_parameters.into();
        }
        event
    }

    /// Returns the event of an HTTP API in version 2.0: the query as received, and a named stage before the path.
    fn http(&self, stage: &str) -> Value {
        let path = if stage == "$default" { self.path.clone() } else { format!("/{stage}{}", self.path) };
        let headers: Map<String, Value> =
            self.headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
        json!({"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": self.query().trim_start_matches('?'),
            "headers": headers, "isBase64Encoded": false,
            "requestContext": {"accountId": "1", "apiId": "a", "domainName": "api.example", "domainPrefix": "api", "requestId": "q",
                "routeKey": "$default", "stage": stage, "time": "02/Nov/2026:10:00:00 +0000", "timeEpoch": 1_793_613_600_000_u64,
                "http": {"method": self.method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "t"}}})
    }

    async fn through(&self, gateway: Gateway, function: &Function) -> Given {
        let event = match gateway {
            Gateway::Rest => self.rest(),
            Gateway::Http(stage) => self.http(stage),
        };
        Given::of(&function.invoke(&event).await.unwrap())
    }

    async fn locally(&self, router: &Router) -> Given {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = api::ask(router, self.method, &format!("{}{}", self.path, self.query()), &headers).await;
        let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Given { status: answer.status.into(), headers: headers.collect(), body: answer.body.to_vec(), is_text: true }
    }
}

/// The response that a client receives.
struct Given {
    status: u64,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    is_text: bool,
}

impl Given {
    /// Converts the function's answer as a gateway does.
    fn of(answer: &Value) -> Self {
        let mut headers = Vec::new();
        for (name, value) in answer["headers"].as_object().into_iter().flatten() {
            headers.push((name.clone(), value.as_str().unwrap().to_owned()));
        }
        for (name, values) in answer["multiValueHeaders"].as_object().into_iter().flatten() {
            headers.extend(
                values.as_array().unwrap().iter().map(|value| (name.clone(), value.as_str().unwrap().to_owned())),
            );
        }
        let is_text = answer["isBase64Encoded"] != true;
        let body = answer["body"].as_str().unwrap_or_default();
        let body = if is_text { body.as_bytes().to_vec() } else { STANDARD.decode(body).unwrap() };
        Self { status: answer["statusCode"].as_u64().unwrap(), headers, body, is_text }
    }

    /// Returns each value of each header once, also values in a list and repeated ones.
    fn header(&self, name: &str) -> BTreeSet<&str> {
        let values = self.headers.iter().filter(|(each, _)| each.eq_ignore_ascii_case(name));
        values.flat_map(|(_, value)| value.split(", ")).collect()
    }

    /// Returns status, headers and body in a form that is equal for two answers to the same request: a cursor contains
    /// a random number, so the page that it leads to replaces it.
    async fn comparable(&self, asked: &Asked, router: &Router) -> Value {
        let mut link = Value::Null;
        if let Some(next) = self.header("link").first() {
            let next = next.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
            let mut parameters = api::parameters(next);
            let page = page_at(router, &format!("{}{next}", asked.path)).await;
            parameters.retain(|(name, _)| name != "cursor");
            parameters.sort();
            link = json!([parameters, page]);
        }
        let mut body = match serde_json::from_slice(&self.body) {
            Ok(Value::Object(body)) => Value::Object(body),
            _ => Value::String(String::from_utf8(self.body.clone()).unwrap()),
        };
        for (name, part) in [("next_cursor", ""), ("next_lines_cursor", "/lines"), ("next_events_cursor", "/events")] {
            let Some(cursor) = body.get(name).map(|cursor| cursor.as_str().unwrap().to_owned()) else { continue };
            let mut parameters = asked.parameters.clone();
            parameters.retain(|(name, _)| *name != "cursor");
            let parameters =
                parameters.iter().map(|(name, value)| (*name, value.as_str())).chain([("cursor", cursor.as_str())]);
            body[name] = page_at(router, &format!("{}{part}{}", asked.path, query_string(parameters))).await;
        }
        let headers = ["content-type", "etag", "vary", "content-encoding", "allow", "x-request-id", "cache-control"];
        let headers: Vec<_> = headers.iter().map(|name| (name, self.header(name))).collect();
        json!({"status": self.status, "headers": headers, "link": link, "body": body})
    }
}

/// Returns the items of a page.
async fn page_at(router: &Router, address: &str) -> Value {
    let page = api::get(router, address).await;
    assert_eq!(page.status, 200, "{address}: {}", page.text());
    page.json()["items"].take()
}

/// A table with invoices, lines, events and rejects.
async fn stack_with_archive() -> Stack {
    let stack = stack_with_table().await;
    let s3 = aws::s3_client(&stack.sdk_config());
    let mut archive = Vec::new();
    let options = GenerateOptions { records: 600, seed: 5, duplicates: 0.1, bad: 0.1, ..GenerateOptions::DEFAULT };
    write_archive(options, &mut archive).unwrap();
    for (key, bytes) in [("202412_NFe.zip", archive), ("b.csv", sample(50).0)] {
        s3.put_object().bucket(UPLOADS_BUCKET).key(key).body(ByteStream::from(bytes)).send().await.unwrap();
        let answer = ingest_function(&stack).invoke(&s3_event(key)).await.unwrap();
        assert_eq!(answer["batchItemFailures"], json!([]));
    }
    stack
}

fn local_router(stack: &Stack) -> Router {
    let client = aws::dynamodb_reader(&stack.sdk_config());
    api::over(&stack.sdk_config(), &Table::new(client, TABLE.to_owned(), Schema::default()))
}

/// Returns one request of each kind, for data that exists.
async fn requests(router: &Router) -> Vec<Asked> {
    let list = api::get(router, "/v1/invoices?month=2024-05&limit=1000").await.json();
    let issuer = list["items"][0]["issuer"]["tax_id"].as_str().unwrap();
    let recipient = list["items"][0]["recipient"]["tax_id"].as_str().unwrap();
    let id = list["items"][0]["id"].as_str().unwrap();
    let ingestions = api::get(router, "/v1/ingestions").await.json();
    let ingestion = ingestions["items"][1]["ingestion"].as_str().unwrap();
    let invoice = format!("/v1/invoices/{id}");
    let tag = api::get(router, &invoice).await.header("etag").unwrap().to_owned();
    let first = api::get(router, "/v1/invoices?month=2024-05&limit=3").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let month = [("month", "2024-05"), ("limit", "3")];
    let rejects = format!("/v1/ingestions/{ingestion}/rejects");
    vec![
        Asked::get("/v1/invoices", &month),
        Asked::get("/v1/invoices", &[("month", "2024-05"), ("limit", "3"), ("cursor", cursor)]),
        Asked::get("/v1/invoices", &[("month", "2024-05"), ("limit", "4"), ("order", "desc"), ("issuer_uf", "sp")]),
        Asked::get("/v1/invoices", &[("issuer", issuer), ("from", "2024-01-01T00:00:00"), ("min_total", "0.01")]),
        Asked::get("/v1/invoices", &[("recipient", recipient), ("to", "2024-12-31"), ("limit", "1")]),
        Asked::get("/v1/invoices", &[("status", "cancelled"), ("limit", "2")]),
        Asked::get("/v1/invoices", &month).with("accept", "text/csv"),
        Asked::get("/v1/invoices", &month).with("accept", "application/x-ndjson"),
        Asked::get("/v1/invoices", &month).with("accept", "image/png"),
        Asked::get("/v1/invoices", &[("month", "2024-05"), ("cursor", "é&=+ %")]),
        Asked::get("/v1/invoices", &[("month", "May"), ("limit", "0"), ("colour", "réd & blue")]),
        Asked::get("/v1/invoices", &[("month", "2024-05"), ("month", "2024-06")]),
        Asked::get(&invoice, &[]),
        Asked::get(&invoice, &[]).by("HEAD"),
        Asked::get(&invoice, &[]).with("if-none-match", &tag),
        Asked::get(&invoice, &[]).with("if-none-match", "W/\"another\""),
        Asked::get(format!("{invoice}/lines"), &[("limit", "1")]),
        Asked::get(format!("{invoice}/events"), &[]),
        Asked::get("/v1/invoices/nobody", &[]),
        Asked::get("/v1/invoices/nobody/lines", &[]).by("HEAD"),
        Asked::get(&invoice, &[]).by("DELETE"),
        Asked::get("/v1/nothing", &[]),
        Asked::get("/v1/ingestions", &[("limit", "1")]),
        Asked::get(format!("/v1/ingestions/{ingestion}"), &[]),
        Asked::get(&rejects, &[("limit", "2")]),
        Asked::get(&rejects, &[("limit", "2")]).with("accept", "text/csv"),
        Asked::get("/health", &[]),
    ]
}

#[tokio::test]
async fn the_function_answers_like_the_local_router_through_every_gateway() {
    let stack = stack_with_archive().await;
    let (router, function) = (local_router(&stack), query_function(&stack));
    let mut statuses = BTreeSet::new();
    for asked in requests(&router).await {
        let expected = asked.locally(&router).await;
        statuses.insert(expected.status);
        let expected = expected.comparable(&asked, &router).await;
        for gateway in [Gateway::Rest, Gateway::Http("$default"), Gateway::Http("prod"), Gateway::Http("v1")] {
            let given = asked.through(gateway, &function).await;
            assert!(given.is_text, "{gateway:?}: what is not compressed is text");
            let found = given.comparable(&asked, &router).await;
            assert_eq!(found, expected, "{gateway:?}: {} {}{}", asked.method, asked.path, asked.query());
        }
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 304, 400, 404, 405, 406]);
}

#[tokio::test]
async fn gzip_passes_an_http_api_and_not_a_rest_api() {
    let stack = stack_with_archive().await;
    let (router, function) = (local_router(&stack), query_function(&stack));
    for (accept, path) in
        [("application/json", "/v1/invoices"), ("text/csv", "/v1/invoices"), ("*/*", "/v1/ingestions")]
    {
        let parameters: &[(&str, &str)] = if path == "/v1/invoices" { &[("month", "2024-05")] } else { &[] };
        let plain = Asked::get(path, parameters).with("accept", accept);
        let asked = Asked::get(path, parameters).with("accept", accept).with("accept-encoding", "gzip, br");
        let expected = plain.locally(&router).await;
        for gateway in [Gateway::Http("$default"), Gateway::Http("prod")] {
            let mut given = asked.through(gateway, &function).await;
            assert!(!given.is_text && given.header("content-encoding").contains("gzip"), "{gateway:?}: {accept}");
            let mut body = Vec::new();
            flate2::read::GzDecoder::new(given.body.as_slice()).read_to_end(&mut body).unwrap();
            assert!(given.body.len() < body.len(), "{gateway:?}: {accept}");
            given.body = body;
            given.headers.retain(|(name, _)| name != "content-encoding");
            assert_eq!(
                given.comparable(&asked, &router).await,
                expected.comparable(&plain, &router).await,
                "{gateway:?}"
            );
        }
        let given = asked.through(Gateway::Rest, &function).await;
        assert!(given.is_text && given.header("content-encoding").is_empty());
        assert_eq!(given.comparable(&asked, &router).await, expected.comparable(&plain, &router).await);
    }
}
