//! The two functions as real processes, against a Runtime API of our own and the embedded servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails by panicking is a test that fails"
)]

mod support;

use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use notaflux::aws;
use notaflux::local::generate::{GenerateOptions, Generator, LayoutVersion};
use notaflux::local::stack::{Stack, StackOptions, UPLOADS_BUCKET, WORK_BUCKET};
use notaflux::table::{self, Schema};
use serde_json::{Value, json};
use support::runtime_api::Function;

const TABLE: &str = "invoices";

async fn stack_with_table() -> Stack {
    let stack = Stack::start(StackOptions::default()).unwrap();
    table::create(aws::dynamodb_worker(&stack.sdk_config()), TABLE.to_owned(), Schema::default()).await.unwrap();
    stack
}

fn ingest_function(stack: &Stack) -> Function {
    let environment = [("TABLE", TABLE), ("WORK_BUCKET", WORK_BUCKET)];
    Function::start(env!("CARGO_BIN_EXE_notaflux-ingest"), stack, &environment)
}

fn query_function(stack: &Stack) -> Function {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let environment = [("TABLE", TABLE), ("CURSOR_KEY", key)];
    Function::start(env!("CARGO_BIN_EXE_notaflux-query"), stack, &environment)
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

/// A file and the issuer that most of its invoices are of.
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
    // Behind the fields of a list come its lines and events, of which there are none here.
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
    // What it logs comes through a pipe of its own.
    let patience = Instant::now() + Duration::from_secs(10);
    while ingested() < 2 && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ingested(), 2, "{}", ingest.log());
}

#[tokio::test]
async fn in_a_queue_only_the_message_that_fails_comes_back() {
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
