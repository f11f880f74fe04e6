//! S3 with a few files, and a table that stores nothing. The embedded stack serves the rest (the ledger, the work
//! store).

use std::collections::HashMap;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use notaflux_aws as aws;
use notaflux_local::stack::{Stack, StackOptions, UPLOADS_BUCKET};
use notaflux_table::{self as table, Schema};
use serde_json::json;
use tokio::net::TcpListener;

/// Name of the table.
pub const TABLE: &str = "bench";

/// Size of the largest request in bytes.
const REQUEST_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of a body that are sent at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// The answer to a put of 25 items that asks for the consumed write units.
const CONSUMED: &str = r#"{"UnprocessedItems":{},"ConsumedCapacity":[{"TableName":"bench","CapacityUnits":100.0}]}"#;
/// The answer to a put that does not ask for them.
const TAKEN: &str = r#"{"UnprocessedItems":{}}"#;

struct Services {
    files: HashMap<String, Bytes>,
    upstream: String,
    client: Client<HttpConnector, Body>,
}

pub fn serve(folder: &Path) {
    tokio::runtime::Runtime::new().unwrap().block_on(run(folder));
}

async fn run(folder: &Path) {
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file());
    let files = files.map(|entry| {
        let bytes = std::fs::read(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap(), Bytes::from(bytes))
    });
    let stack = Stack::start(StackOptions::default()).unwrap();
    let client = aws::dynamodb_worker(&stack.sdk_config());
    table::create(client, TABLE.to_owned(), Schema::default()).await.unwrap();
    let services = Arc::new(Services {
        files: files.collect(),
        upstream: stack.endpoints().aws.clone(),
        client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    println!("{}", json!({"endpoint": endpoint, "bucket": UPLOADS_BUCKET, "table": TABLE}));
    std::io::stdout().flush().unwrap();
    axum::serve(listener, Router::new().fallback(answer).with_state(services)).await.unwrap();
}

async fn answer(State(services): State<Arc<Services>>, mut request: Request) -> Response {
    if request.headers().get("x-amz-target").is_some_and(|target| target.as_bytes().ends_with(b".BatchWriteItem")) {
        return take(request).await;
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let object = request.uri().path().strip_prefix(&format!("/{UPLOADS_BUCKET}/"));
    if let Some(bytes) = object.and_then(|key| services.files.get(key)) {
        return give(bytes.clone(), &request);
    }
    *request.uri_mut() = format!("{}{path}", services.upstream).parse().unwrap();
    match services.client.request(request).await {
        Ok(response) => response.into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

async fn take(request: Request) -> Response {
    let body = to_bytes(request.into_body(), REQUEST_LIMIT_BYTES).await.unwrap_or_default();
    let asks = body.starts_with(br#"{"ReturnConsumedCapacity""#);
    let answer = if asks { CONSUMED } else { TAKEN };
    ([("content-type", "application/x-amz-json-1.0")], answer).into_response()
}

fn give(bytes: Bytes, request: &Request) -> Response {
    let size = bytes.len();
    let asked = request.headers().get("range").and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
    let range = asked.and_then(|range| range.split_once('-')).map_or(0..size, |(start, end)| {
        start.parse().unwrap()..end.parse::<usize>().map_or(size, |end| size.min(end + 1))
    });
    let answer = Response::builder()
        .status(if asked.is_some() { 206 } else { 200 })
        .header("etag", "\"made\"")
        .header("last-modified", "Mon, 02 Nov 2026 10:00:00 GMT")
        .header("content-type", "binary/octet-stream")
        .header("content-range", format!("bytes {}-{}/{size}", range.start, range.end.max(1) - 1))
        .header("content-length", range.len());
    if request.method() == Method::HEAD {
        return answer.body(Body::empty()).unwrap();
    }
    let end = range.end;
    let pieces =
        range.step_by(PIECE_BYTES).map(move |at| Ok::<_, std::io::Error>(bytes.slice(at..end.min(at + PIECE_BYTES))));
    answer.body(Body::from_stream(futures::stream::iter(pieces))).unwrap()
}
