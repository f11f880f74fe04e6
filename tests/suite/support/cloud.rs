//! A cloud for functions: the embedded S3 and DynamoDB, and a queue with the protocol of SQS.
//!
//! Time in the queue runs ten times as fast, so that a test need not wait the minutes that SQS takes.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Factor by which time runs faster.
const HASTE: u32 = 10;

/// Seconds that a received message stays invisible at first.
const VISIBILITY_SECONDS: u64 = 30;

/// Largest number of messages for which duplicates are added.
const CROWD: usize = 6;

/// Size of the largest request that is forwarded, in bytes.
const REQUEST_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// A queue with only the guarantees of a standard queue of SQS.
#[derive(Default)]
pub struct Queue {
    messages: Mutex<Vec<Message>>,
    counter: Mutex<u64>,
}

#[derive(Clone)]
pub struct Message {
    pub id: u64,
    pub body: String,
    /// From the last time that it was received.
    pub receipt: u64,
    visible_at: Instant,
}

impl Queue {
    pub fn send(&self, body: String, delay_seconds: u64) {
        let id = self.next();
        let visible_at = Instant::now() + Duration::from_secs(delay_seconds) / HASTE;
        let mut messages = self.messages.lock().unwrap();
        // If one answer in twenty is lost, retried sends would multiply messages here, which SQS does not do.
        let is_there = messages.iter().any(|message| message.receipt == 0 && message.body == body);
        if messages.len() < CROWD || !is_there {
            messages.push(Message { id, body, receipt: 0, visible_at });
        }
    }

    /// Returns a random visible message.
    pub fn receive(&self, dice: &mut fastrand::Rng) -> Option<Message> {
        let receipt = self.next();
        let mut messages = self.messages.lock().unwrap();
        let now = Instant::now();
        let visible: Vec<_> = messages.iter_mut().filter(|message| message.visible_at <= now).collect();
        let chosen = dice.usize(..visible.len().max(1));
        let message = visible.into_iter().nth(chosen)?;
        message.receipt = receipt;
        message.visible_at = now + Duration::from_secs(VISIBILITY_SECONDS) / HASTE;
        Some(message.clone())
    }

    /// Deletes a message, unless it has been received again since.
    pub fn delete(&self, receipt: u64) {
        self.messages.lock().unwrap().retain(|message| message.receipt != receipt);
    }

    fn keep_invisible(&self, receipt: &str, seconds: u64) {
        let mut messages = self.messages.lock().unwrap();
        if let Some(message) = messages.iter_mut().find(|message| message.receipt.to_string() == receipt) {
            message.visible_at = Instant::now() + Duration::from_secs(seconds) / HASTE;
        }
    }

    /// Duplicates a message, or makes a received one visible again. Does nothing if the queue has too many messages.
    pub fn disturb(&self, dice: &mut fastrand::Rng) {
        let mut messages = self.messages.lock().unwrap();
        if messages.len() >= CROWD {
            return;
        }
        let chosen = dice.usize(..messages.len().max(1));
        let Some(message) = messages.get_mut(chosen) else { return };
        if dice.bool() {
            message.visible_at = Instant::now();
        } else {
            let body = message.body.clone();
            drop(messages);
            self.send(body, dice.u64(0..3));
        }
    }

    pub fn len(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    fn next(&self) -> u64 {
        let mut counter = self.counter.lock().unwrap();
        *counter += 1;
        *counter
    }

    fn answer(&self, operation: &str, body: &Value) -> Value {
        let seconds = |name: &str| body[name].as_u64().unwrap_or(0);
        match operation {
            "SendMessage" => {
                self.send(body["MessageBody"].as_str().unwrap().to_owned(), seconds("DelaySeconds"));
                json!({"MessageId": "m", "MD5OfMessageBody": ""})
            }
            "ChangeMessageVisibility" => {
                self.keep_invisible(body["ReceiptHandle"].as_str().unwrap(), seconds("VisibilityTimeout"));
                json!({})
            }
            other => panic!("unknown operation of the queue: {other}"),
        }
    }
}

struct Services {
    queue: Arc<Queue>,
    upstream: String,
    client: Client<HttpConnector, Body>,
    special: Option<Special>,
}

/// Requests that are answered without the embedded servers, because the data would be too large for them.
pub struct Special {
    /// The object that is generated instead of stored.
    pub object: Arc<dyn Object>,
    /// Number of puts that the table has accepted. It keeps none.
    pub puts: Arc<AtomicU64>,
}

/// An object that is generated while it is read.
pub trait Object: Send + Sync {
    fn key(&self) -> &str;
    fn size(&self) -> u64;
    fn read(&self, range: Range<u64>) -> Bytes;
}

/// Serves the queue, and forwards all other requests to `upstream`. Returns its address.
pub async fn start(upstream: String, queue: Arc<Queue>) -> String {
    start_with(upstream, queue, None).await
}

/// Does the same, and answers some requests itself.
pub async fn start_with(upstream: String, queue: Arc<Queue>, special: Option<Special>) -> String {
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let services = Arc::new(Services { queue, upstream, client, special });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer).with_state(services)).await });
    endpoint
}

async fn answer(State(services): State<Arc<Services>>, mut request: Request) -> Response {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    if let Some(operation) = target.strip_prefix("AmazonSQS.").map(str::to_owned) {
        let body: Bytes = to_bytes(request.into_body(), REQUEST_LIMIT_BYTES).await.unwrap_or_default();
        // A truncated request has no effect.
        let Ok(body) = serde_json::from_slice(&body) else {
            return axum::http::StatusCode::BAD_REQUEST.into_response();
        };
        return axum::Json(services.queue.answer(&operation, &body)).into_response();
    }
    if let Some(special) = &services.special {
        if target.ends_with(".BatchWriteItem") {
            return special.put(request).await;
        }
        if request.uri().path().ends_with(special.object.key()) {
            return special.get(&request);
        }
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("{}{path}", services.upstream).parse().unwrap();
    match services.client.request(request).await {
        Ok(response) => response.into_response(),
        Err(_) => axum::http::StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// Bytes that are generated at a time.
const PIECE_BYTES: u64 = 256 * 1024;

impl Special {
    /// Accepts everything, like a table without limits.
    async fn put(&self, request: Request) -> Response {
        let body = to_bytes(request.into_body(), REQUEST_LIMIT_BYTES).await.unwrap_or_default();
        let puts = body.windows(12).filter(|word| word == br#""PutRequest""#).count() as u64;
        self.puts.fetch_add(puts, Ordering::Relaxed);
        let consumed = json!([{"TableName": "t", "CapacityUnits": puts * 4}]);
        axum::Json(json!({"UnprocessedItems": {}, "ConsumedCapacity": consumed})).into_response()
    }

    fn get(&self, request: &Request) -> Response {
        let size = self.object.size();
        let range = request.headers().get("range").and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
        let range = range.and_then(|range| range.split_once('-')).map_or(0..size, |(start, end)| {
            start.parse().unwrap()..end.parse::<u64>().map_or(size, |end| size.min(end + 1))
        });
        let is_head = request.method() == axum::http::Method::HEAD;
        let answer = Response::builder()
            .status(if request.headers().contains_key("range") { 206 } else { 200 })
            .header("etag", "\"made\"")
            .header("last-modified", "Mon, 02 Nov 2026 10:00:00 GMT")
            .header("content-range", format!("bytes {}-{}/{size}", range.start, range.end - 1))
            .header("content-length", range.end - range.start);
        if is_head {
            return answer.body(Body::empty()).unwrap();
        }
        let (object, end) = (self.object.clone(), range.end);
        let pieces = (range.start..end).step_by(usize::try_from(PIECE_BYTES).unwrap());
        let pieces = pieces.map(move |at| Ok::<_, std::io::Error>(object.read(at..end.min(at + PIECE_BYTES))));
        answer.body(Body::from_stream(futures::stream::iter(pieces))).unwrap()
    }
}

/// Returns a message in the form that Lambda gives to a function.
pub fn sqs_event(message: &Message) -> Value {
    let (id, receipt) = (message.id.to_string(), message.receipt.to_string());
    json!({"Records": [{"messageId": id, "receiptHandle": receipt, "body": message.body, "eventSource": "aws:sqs"}]})
}
