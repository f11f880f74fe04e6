#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails by panicking is a test that fails")]

use std::collections::BTreeMap;

use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{PutRequest, ReturnConsumedCapacity, WriteRequest};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::*;
use crate::batch::BatchBuilder;
use notaflux_table::Schema;
use notaflux_table::item::{SourceRef, encode_event, encode_invoice, encode_line};
use notaflux_testing::{any_event, any_invoice, any_line, attributes};

const TABLE: &str = "invoices";

/// A request as it was received: its first line, its headers with lower-case names, its body.
#[derive(Debug)]
struct Seen {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Takes one request and answers it.
async fn take_one(listener: &TcpListener, status: &str, answer: &str) -> Seen {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.unwrap();
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
    stream.write_all((head + answer).as_bytes()).await.unwrap();
    Seen { line, headers, body }
}

async fn listening() -> (TcpListener, SdkConfig) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = aws::embedded_config(&format!("http://{}", listener.local_addr().unwrap()));
    (listener, config)
}

/// Computes the signature that a request should have, following only the text of the AWS general reference ("Create a signed AWS API
/// request").
fn expected_signature(seen: &Seen, secret: &str) -> String {
    let authorization = &seen.headers["authorization"];
    let part = |name: &str| authorization.split_once(name).unwrap().1.split(',').next().unwrap().to_owned();
    let (names, credential) = (part("SignedHeaders="), part("Credential="));
    let scope = credential.split_once('/').unwrap().1;
    let canonical: String = names.split(';').flat_map(|name| [name, ":", &*seen.headers[name], "\n"]).collect();
    let mut words = seen.line.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let request = format!("{method}\n{path}\n\n{canonical}\n{names}\n{}", hex(&Sha256::digest(&seen.body)));
    let time = &seen.headers["x-amz-date"];
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(request)));
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part.as_bytes()));
    hex(&hmac(&key, text.as_bytes()))
}

/// HMAC-SHA-256 (RFC 2104) with a key of one block at most.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[tokio::test]
async fn an_independent_check_accepts_the_signature() {
    for token in [None, Some("a token/with+signs=")] {
        let (listener, config) = listening().await;
        let credentials = Credentials::new("AKIDEXAMPLE", "secret/key", token.map(str::to_owned), None, "test");
        let config = config.into_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build();
        let wire = Wire::new(&config);
        let body = Bytes::from_static(br#"{"RequestItems":{}}"#);
        let (seen, answer) = tokio::join!(take_one(&listener, "200 OK", "{}"), wire.send(body.clone().into()));
        assert_eq!(answer.unwrap(), "{}");
        assert_eq!(seen.line, "POST / HTTP/1.1\r\n");
        assert_eq!(seen.body, body);
        assert_eq!(seen.headers["x-amz-target"], TARGET);
        assert_eq!(seen.headers.get("x-amz-security-token").map(String::as_str), token);
        let authorization = seen.headers["authorization"].clone();
        let given = authorization.split_once("Signature=").unwrap().1;
        assert_eq!(given, expected_signature(&seen, "secret/key"), "{authorization}");
        for needed in ["host", "x-amz-date", "x-amz-target"] {
            assert!(authorization.contains(needed), "{needed} is signed: {authorization}");
        }
        // Proof that the check can fail: with another body or another secret the signature differs.
        assert_ne!(given, expected_signature(&seen, "another"));
        assert_ne!(given, expected_signature(&Seen { body: b"{}".to_vec(), ..seen }, "secret/key"));
    }
}

#[tokio::test]
async fn an_error_of_the_service_becomes_an_error_of_the_sdk() {
    for (status, body, fault, message) in [
        (
            "400 Bad Request",
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no such table"}"#,
            aws::Fault::Refused,
            "ResourceNotFoundException: no such table",
        ),
        (
            "400 Bad Request",
            r#"{"__type":"com.amazon.coral.availability#ThrottlingException","Message":"too fast"}"#,
            aws::Fault::Throttled,
            "ThrottlingException: too fast",
        ),
        (
            "400 Bad Request",
            r#"{"__type":"ThrottlingException:http://x/y#z","message":"one","Message":"two"}"#,
            aws::Fault::Throttled,
            "ThrottlingException: one",
        ),
        ("503 Service Unavailable", "<html>", aws::Fault::Unavailable, "HTTP status 503"),
    ] {
        let (listener, config) = listening().await;
        let wire = Wire::new(&config);
        let (_, answer) = tokio::join!(take_one(&listener, status, body), wire.send(Bytes::from_static(b"{}").into()));
        let error = answer.unwrap_err();
        assert_eq!((aws::fault(&error), aws::describe_error(&error).as_str()), (fault, message));
    }
}

#[tokio::test]
async fn a_missing_setting_is_reported_as_for_any_other_call() {
    let send = async |config: SdkConfig| {
        let error = Wire::new(&config).send(Bytes::from_static(b"{}").into()).await.unwrap_err();
        (aws::fault(&error), aws::describe_error(&error))
    };
    let mut config = aws::embedded_config("http://127.0.0.1:1").into_builder();
    config.set_credentials_provider(None);
    let (fault, message) = send(config.build()).await;
    assert_eq!((fault, message.contains("AWS_ACCESS_KEY_ID")), (aws::Fault::Credentials, true), "{message}");
    let mut config = aws::embedded_config("http://127.0.0.1:1").into_builder();
    config.set_region(None);
    config.set_endpoint_url(None);
    let (fault, message) = send(config.build()).await;
    assert_eq!((fault, message.as_str()), (aws::Fault::Refused, "no AWS region is set; set AWS_REGION"));
    let (fault, message) = send(aws::embedded_config("http://127.0.0.1:1")).await;
    assert_eq!((fault, message.starts_with("the connection failed: ")), (aws::Fault::Unavailable, true), "{message}");
}

/// The endpoint is the one that the SDK's rules derive from the configuration.
#[test]
fn the_endpoint_follows_region_and_settings() {
    let config = |fips| {
        let region = aws_sdk_dynamodb::config::Region::from_static("sa-east-1");
        let builder = SdkConfig::builder().region(region).use_fips(fips);
        builder.behavior_version(aws_config::BehaviorVersion::v2026_01_12()).build()
    };
    assert_eq!(endpoint(&config(false)).unwrap().url, "https://dynamodb.sa-east-1.amazonaws.com/");
    assert_eq!(endpoint(&config(true)).unwrap().url, "https://dynamodb-fips.sa-east-1.amazonaws.com/");
}

#[derive(Debug)]
struct OfService(&'static str);

impl aws_types::service_config::LoadServiceConfig for OfService {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        (key.service_id() == "DynamoDB" && key.env() == "AWS_ENDPOINT_URL").then(|| self.0.to_owned())
    }
}

/// Puts go to the endpoint of `AWS_ENDPOINT_URL_DYNAMODB`, as the SDK's own calls do.
#[tokio::test]
async fn an_endpoint_for_this_service_alone_comes_first() {
    let (listener, config) = listening().await;
    let own = format!("http://{}", listener.local_addr().unwrap());
    let config = config.into_builder().service_config(OfService(own.leak())).endpoint_url("http://127.0.0.1:1").build();
    let wire = Wire::new(&config);
    assert!(with_an_answer(&listener, wire.send(Bytes::from_static(b"{}").into())).await.is_ok());
    assert!(with_an_answer(&listener, aws::dynamodb_client(&config).list_tables().send()).await.is_ok());
}

/// Runs a call and answers one request meanwhile. Does not wait for a request that goes elsewhere.
async fn with_an_answer<T>(listener: &TcpListener, call: impl Future<Output = T>) -> T {
    let answer = async {
        take_one(listener, "200 OK", "{}").await;
        std::future::pending().await
    };
    tokio::select! {
        called = call => called,
        called = answer => called,
    }
}

#[derive(Debug, Default)]
struct Provider {
    requests: std::sync::atomic::AtomicU64,
}

impl aws_credential_types::provider::ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        aws_credential_types::provider::future::ProvideCredentials::new(async {
            tokio::task::yield_now().await;
            let nth = self.requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            let lasting = match nth {
                1 => 2 * REFRESH_BEFORE,
                2 | 3 => REFRESH_BEFORE,
                _ => return Err(aws_credential_types::provider::error::CredentialsError::provider_error("no more")),
            };
            Ok(Credentials::new(
                nth.to_string(),
                format!("secret {nth}"),
                None,
                Some(SystemTime::now() + lasting),
                "test",
            ))
        })
    }
}

/// The first credentials are kept; the next ones expire so soon that each call requests others; after the third there are none.
#[tokio::test]
async fn credentials_are_requested_once_and_refreshed_before_they_expire() {
    let config = aws::embedded_config("http://127.0.0.1:1").into_builder();
    let wire = Wire::new(&config.credentials_provider(SharedCredentialsProvider::new(Provider::default())).build());
    let key = async || wire.signing_identity("x").await.map(|(known, ..)| known.access_key_id().to_owned()).ok();
    assert_eq!(tokio::join!(key(), key()), (Some("1".to_owned()), Some("1".to_owned())));
    wire.forget_credentials().await;
    for expected in ["2", "3", "3", "3"] {
        assert_eq!(key().await.as_deref(), Some(expected));
    }
    wire.forget_credentials().await;
    assert_eq!(key().await, None);
}

#[tokio::test]
async fn a_key_is_derived_once() {
    let wire = Wire::new(&aws::embedded_config("http://127.0.0.1:1"));
    let key = async || wire.signing_identity("x").await.unwrap();
    let ((_, one, at), (_, other, other_at)) = (key().await, key().await);
    // Midnight may have passed in between.
    assert!(one.is_same(&other) || !one.is_of(&other_at), "{at:?} {other_at:?}");
}

#[tokio::test]
async fn secret_headers_are_marked_as_sensitive() {
    let credentials = Credentials::new("id", "secret", Some("token".to_owned()), None, "test");
    let config = aws::embedded_config("http://127.0.0.1:1").into_builder();
    let config = config.credentials_provider(SharedCredentialsProvider::new(credentials)).build();
    let request = Wire::new(&config).request(Bytes::from_static(b"{}").into()).await.unwrap();
    let request = request.try_into_http1x().unwrap();
    for name in ["authorization", "x-amz-security-token"] {
        assert!(request.headers()[name].is_sensitive(), "{name}");
    }
}

#[tokio::test]
async fn the_key_follows_the_credentials() {
    let (listener, config) = listening().await;
    let provider = SharedCredentialsProvider::new(Provider::default());
    let wire = Wire::new(&config.into_builder().credentials_provider(provider).build());
    for (nth, forgets) in [("1", false), ("1", true), ("2", false), ("3", false)] {
        let body = Bytes::from_static(b"{}");
        let (seen, sent) = tokio::join!(take_one(&listener, "200 OK", "{}"), wire.send(body.into()));
        assert!(sent.is_ok());
        let authorization = &seen.headers["authorization"];
        assert!(authorization.contains(&format!("Credential={nth}/")), "{authorization}");
        assert!(authorization.ends_with(&expected_signature(&seen, &format!("secret {nth}"))), "{authorization}");
        if forgets {
            wire.forget_credentials().await;
        }
    }
}

/// Whether the clock of this machine or of the service is corrected later, the next answer shows it.
#[tokio::test]
async fn the_next_answer_corrects_a_clock_that_is_far_off() {
    let (listener, config) = listening().await;
    let wire = Wire::new(&config);
    let now = DateTime::from(SystemTime::now());
    let today = now.fmt(Format::HttpDate).unwrap();
    let (new_year, this_year) = ("Thu, 01 Jan 2026 00:00:00 GMT", &today);
    let mut signed = Vec::new();
    for date in [new_year, this_year, this_year] {
        // The text after the status is a header.
        let status = format!("400 Bad Request\r\ndate: {date}");
        let (seen, refused) =
            tokio::join!(take_one(&listener, &status, "{}"), wire.send(Bytes::from_static(b"{}").into()));
        assert!(refused.is_err());
        // Signed with the key of that day.
        let authorization = &seen.headers["authorization"];
        assert!(authorization.ends_with(&expected_signature(&seen, aws::EMBEDDED_KEYS.1)), "{authorization}");
        signed.push(seen.headers["x-amz-date"].get(..8).unwrap().to_owned());
    }
    let day = now.fmt(Format::DateTime).unwrap().get(..10).unwrap().replace('-', "");
    assert_eq!(signed, [&day, "20260101", &day]);
}

/// Returns the body that the SDK sends for these items.
async fn body_of_the_sdk(items: &[Vec<u8>]) -> Value {
    let (listener, config) = listening().await;
    let client = aws::dynamodb_client(&config);
    let put = |item: &Vec<u8>| PutRequest::builder().set_item(Some(attributes(item))).build().unwrap();
    let puts = items.iter().map(|item| WriteRequest::builder().put_request(put(item)).build()).collect::<Vec<_>>();
    let call = client.batch_write_item().request_items(TABLE, puts);
    let call = call.return_consumed_capacity(ReturnConsumedCapacity::Total).send();
    let (seen, sent) = tokio::join!(take_one(&listener, "200 OK", "{}"), call);
    sent.unwrap();
    assert_eq!(seen.headers["x-amz-target"], TARGET);
    assert_eq!(seen.headers["content-type"], CONTENT_TYPE);
    serde_json::from_slice(&seen.body).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_body_equals_that_of_the_sdk(
        invoices in prop::collection::vec(any_invoice(), 0..3),
        lines in prop::collection::vec(any_line(), 0..3),
        events in prop::collection::vec(any_event(), 0..3),
    ) {
        let (schema, source) = (Schema::default(), SourceRef { ingestion: "0123456789abcdef01234567".into(), record: 7 });
        let mut builder = BatchBuilder::new(TABLE, u64::MAX);
        let mut items = Vec::new();
        for invoice in &invoices {
            builder.push_with(|out| encode_invoice(invoice, &source, &schema, out)).unwrap();
            items.push(alone(|out| encode_invoice(invoice, &source, &schema, out)));
        }
        for line in &lines {
            builder.push_with(|out| encode_line(line, &source, out)).unwrap();
            items.push(alone(|out| encode_line(line, &source, out)));
        }
        for event in &events {
            builder.push_with(|out| encode_event(event, &source, out)).unwrap();
            items.push(alone(|out| encode_event(event, &source, out)));
        }
        prop_assume!(!items.is_empty());
        let batch = builder.take(());
        let all: Vec<usize> = (0..batch.len()).collect();
        let ours: Value = serde_json::from_slice(&batch.body(&all).json).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        prop_assert_eq!(ours, runtime.block_on(body_of_the_sdk(&items)));
    }
}

fn alone<T>(encode: impl FnOnce(&mut Vec<u8>) -> T) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}
