//! A proxy between a client and the embedded servers (or any HTTP/1.1 servers) that injects faults by a plan.
//!
//! The faults are real: a cut closes the connection, and an unprocessed item is not written. The proxy forwards the
//! Host header unchanged, so that a signature for the proxy's address stays valid.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "test support: each test program uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic to fail")]
#![allow(clippy::indexing_slicing, reason = "see above")]

mod dynamodb;
pub mod plan;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use futures::StreamExt as _;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::plan::{Fault, Plan};

/// Requests up to this size in bytes are buffered, so that the proxy can read and repeat them. DynamoDB's limit is 16
/// MiB.
const WHOLE_BYTES: usize = 16 * 1024 * 1024;

/// S3 requests above this size in bytes pass as a stream.
const SMALL_BYTES: u64 = 1024 * 1024;

/// Number of later calls that must have been answered before a late request is delivered, and the longest wait for
/// them.
const LATER_CALLS: u64 = 2;
const LATER_CALLS_WAIT: Duration = Duration::from_secs(3);

/// Time to send the bytes before a cut.
const FLUSH: Duration = Duration::from_millis(3);

/// Counts of calls and faults so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    pub calls: u64,
    /// Calls by DynamoDB operation or, for S3, by HTTP method.
    pub by_operation: BTreeMap<String, u64>,
    pub unprocessed_items: u64,
    pub throttled: u64,
    pub errors: u64,
    pub delayed: u64,
    pub held: u64,
    pub cut_before: u64,
    pub cut_request: u64,
    pub cut_after: u64,
    pub cut_body: u64,
    /// Calls that were cut and are delivered late.
    pub replayed: u64,
    /// Number of these that have been delivered.
    pub delivered_late: u64,
}

impl Counters {
    /// Calls with a fault other than unprocessed items.
    pub fn faults(&self) -> u64 {
        let cuts = self.cut_before + self.cut_request + self.cut_after + self.cut_body;
        self.throttled + self.errors + self.delayed + self.held + cuts + self.replayed
    }
}

/// A BatchWriteItem that reached the server.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When it reached the proxy.
    pub at: Instant,
    /// Items forwarded.
    pub items: usize,
    /// Items left unprocessed.
    pub left: usize,
    /// Write units of the forwarded items: according to the server, or by their sizes without any index if the request
    /// did not ask for them.
    pub write_units: f64,
}

/// A running proxy. Dropping it closes all connections.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    upstream: http::uri::Authority,
    client: Client<HttpConnector, Body>,
    plan: Mutex<Plan>,
    /// Calls and faults since the plan was set.
    drawn: AtomicU64,
    faults: AtomicU64,
    answered: AtomicU64,
    counters: Mutex<Counters>,
    operations: Mutex<Vec<String>>,
    arrivals: Mutex<Vec<Arrival>>,
    late: TaskTracker,
}

impl Proxy {
    /// Starts a proxy for the server at `upstream` (`http://host:port`), on a free port of the loopback address.
    pub fn start(upstream: &str, plan: Plan) -> Self {
        let upstream = upstream.parse::<Uri>().unwrap().authority().unwrap().clone();
        let stop = CancellationToken::new();
        let (tell, told) = mpsc::channel();
        let asked = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                let shared = Arc::new(Shared::new(upstream, plan));
                tell.send((listener.local_addr().unwrap(), Arc::clone(&shared))).unwrap();
                tokio::select! {
                    () = serve(listener, shared) => {}
                    () = asked.cancelled() => {}
                }
            });
        });
        let (address, shared) = told.recv().unwrap();
        Self { address, shared, stop, thread: Some(thread) }
    }

    /// Returns the endpoint for clients.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes to another plan, from its first call.
    pub fn set_plan(&self, plan: Plan) {
        *self.shared.plan.lock().unwrap() = plan;
        self.shared.drawn.store(0, Ordering::SeqCst);
        self.shared.faults.store(0, Ordering::SeqCst);
    }

    /// Returns the operations of all calls so far, in order of arrival.
    pub fn operations(&self) -> Vec<String> {
        self.shared.operations.lock().unwrap().clone()
    }

    pub fn counters(&self) -> Counters {
        self.shared.counters.lock().unwrap().clone()
    }

    /// Returns the `BatchWriteItem` calls that reached the server, in order of their answers.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.shared.arrivals.lock().unwrap().clone()
    }

    /// Waits until every late request has been delivered. Only then is the table final.
    pub async fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.shared.late.is_empty() {
            assert!(Instant::now() < deadline, "late requests are still under way");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_default();
        }
    }
}

/// Returns the most write units that arrived within one second that begins at an arrival, at least `from` after the
/// first arrival.
pub fn busiest_second(arrivals: &[Arrival], from: Duration) -> f64 {
    let mut arrivals = arrivals.to_vec();
    arrivals.sort_by_key(|arrival| arrival.at);
    let Some(first) = arrivals.first().map(|arrival| arrival.at + from) else { return 0.0 };
    let late: Vec<_> = arrivals.into_iter().filter(|arrival| arrival.at >= first).collect();
    let window = |start: Instant| {
        let end = start + Duration::from_secs(1);
        late.iter().filter(|arrival| arrival.at >= start && arrival.at < end).map(|arrival| arrival.write_units).sum()
    };
    late.iter().map(|arrival| window(arrival.at)).fold(0.0, f64::max)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).unwrap_or_default();
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let shared = Arc::clone(&shared);
            // A separate task: when a client gives up, its request still reaches the server.
            let answered = tokio::spawn(shared.answer(request.map(Body::new)));
            async move { answered.await.map_err(io::Error::other)? }
        });
        // A cut connection ends with an error on purpose.
        tokio::spawn(
            async move { http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.is_ok() },
        );
    }
}

/// Ends the connection without an answer, or within one.
fn cut<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut by plan"))
}

impl Shared {
    fn new(upstream: http::uri::Authority, plan: Plan) -> Self {
        let late = TaskTracker::new();
        late.close();
        Self {
            upstream,
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
            plan: Mutex::new(plan),
            drawn: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            counters: Mutex::new(Counters::default()),
            operations: Mutex::default(),
            arrivals: Mutex::new(Vec::new()),
            late,
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Body>) -> io::Result<Response<Body>> {
        let at = Instant::now();
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        let dynamodb = target.and_then(|target| target.rsplit('.').next()).map(str::to_owned);
        let operation = dynamodb.clone().unwrap_or_else(|| request.method().to_string());
        self.count(|counters| {
            counters.calls += 1;
            *counters.by_operation.entry(operation.clone()).or_default() += 1;
        });
        self.operations.lock().unwrap().push(operation.clone());
        let (fault, mut dice, unprocessed) = self.draw(&operation);
        let is_whole =
            dynamodb.is_some() || request.body().size_hint().upper().is_some_and(|bytes| bytes <= SMALL_BYTES);
        if !is_whole {
            let answered = self.answer_stream(request, fault, &mut dice).await;
            self.answered.fetch_add(1, Ordering::SeqCst);
            return answered;
        }
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, WHOLE_BYTES).await.map_err(io::Error::other)?;
        let call = Call { parts, body, is_dynamodb: dynamodb.is_some(), is_batch: operation == "BatchWriteItem", at };
        let answered = self.answer_whole(call, fault, &mut dice, unprocessed).await;
        self.answered.fetch_add(1, Ordering::SeqCst);
        answered
    }

    /// Returns the fault of the next call, its random numbers, and the share of its items to leave unprocessed.
    fn draw(&self, operation: &str) -> (Fault, fastrand::Rng, f64) {
        let plan = self.plan.lock().unwrap();
        let nothing = (Fault::None, fastrand::Rng::with_seed(0), 0.0);
        if !plan.concerns(operation) {
            return nothing;
        }
        let mut dice = plan.dice(self.drawn.fetch_add(1, Ordering::SeqCst));
        let fault = plan.decide(&mut dice);
        let unprocessed = if operation == "BatchWriteItem" { plan.unprocessed } else { 0.0 };
        let is_fault = fault != Fault::None || unprocessed > 0.0;
        if is_fault && plan.limit.is_some_and(|limit| self.faults.fetch_add(1, Ordering::SeqCst) >= limit) {
            return nothing;
        }
        (fault, dice, unprocessed)
    }

    /// Handles a call whose request is in memory.
    async fn answer_whole(
        self: &Arc<Self>,
        call: Call,
        fault: Fault,
        dice: &mut fastrand::Rng,
        unprocessed: f64,
    ) -> io::Result<Response<Body>> {
        match fault {
            Fault::Throttle => return Ok(self.throttled(&call, dice)),
            Fault::Error { status } => return Ok(self.failed(&call, status)),
            Fault::CutBefore => {
                self.count(|counters| counters.cut_before += 1);
                return cut();
            }
            Fault::CutRequest => {
                self.count(|counters| counters.cut_request += 1);
                let part = call.body.slice(..dice.usize(..call.body.len().max(1)));
                // The server waits for the rest until the connection closes.
                drop(self.send(call.request(cut_stream(Body::from(part), u64::MAX))).await);
                return cut();
            }
            Fault::Late { ms, is_hold } => self.wait(ms, is_hold).await,
            Fault::Replay { ms, twice } => {
                self.count(|counters| counters.replayed += 1);
                if twice {
                    self.forward_whole(&call, Vec::new()).await?;
                }
                // This call counts as answered too.
                let later = self.answered.load(Ordering::SeqCst) + 1 + LATER_CALLS;
                self.late.spawn(Arc::clone(self).deliver_late(call, ms, later));
                return cut();
            }
            Fault::None | Fault::CutAfter | Fault::CutBody => {}
        }
        let left = (0..25).map(|_| dice.f64() < unprocessed).collect();
        let Some(response) = self.forward_whole(&call, left).await? else { return Ok(self.throttled(&call, dice)) };
        self.maybe_cut(response, fault, dice).await
    }

    /// Handles a call whose request passes as a stream.
    async fn answer_stream(
        &self,
        request: Request<Body>,
        fault: Fault,
        dice: &mut fastrand::Rng,
    ) -> io::Result<Response<Body>> {
        let length = request.body().size_hint().upper().unwrap_or(SMALL_BYTES);
        let (parts, body) = request.into_parts();
        let call = Call { parts, body: Bytes::new(), is_dynamodb: false, is_batch: false, at: Instant::now() };
        match fault {
            Fault::Throttle => return Ok(self.throttled(&call, dice)),
            Fault::Error { status } => return Ok(self.failed(&call, status)),
            // A request that is not buffered cannot be delivered late.
            Fault::CutBefore | Fault::Replay { .. } => {
                self.count(|counters| counters.cut_before += 1);
                return cut();
            }
            Fault::CutRequest => {
                self.count(|counters| counters.cut_request += 1);
                drop(self.send(call.request(cut_stream(body, dice.u64(..length.max(1))))).await);
                return cut();
            }
            Fault::Late { ms, is_hold } => self.wait(ms, is_hold).await,
            Fault::None | Fault::CutAfter | Fault::CutBody => {}
        }
        let response = self.send(call.request(body)).await?;
        self.maybe_cut(response, fault, dice).await
    }

    async fn wait(&self, ms: u64, is_hold: bool) {
        self.count(|counters| *(if is_hold { &mut counters.held } else { &mut counters.delayed }) += 1);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Forwards a call without the items marked in `left`. Returns none if no items remain.
    async fn forward_whole(&self, call: &Call, left: Vec<bool>) -> io::Result<Option<Response<Body>>> {
        if !call.is_batch {
            return self.send(call.request(Body::from(call.body.clone()))).await.map(Some);
        }
        let mut marks = left.into_iter();
        let body: Value = serde_json::from_slice(&call.body).map_err(io::Error::other)?;
        let split = dynamodb::split_batch(body, || marks.next().unwrap_or(false));
        if split.forwarded_items == 0 {
            return Ok(None);
        }
        let units = dynamodb::write_units(&split.forwarded);
        let request = if split.left_items == 0 { call.body.clone() } else { split.forwarded.to_string().into() };
        let response = self.send(call.request(Body::from(request))).await?;
        if response.status() != StatusCode::OK {
            return Ok(Some(response));
        }
        let (mut parts, body) = response.into_parts();
        let mut bytes = to_bytes(body, WHOLE_BYTES).await.map_err(io::Error::other)?;
        let mut answer: Value = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
        let write_units = dynamodb::consumed_units(&answer).unwrap_or(units);
        let arrival = Arrival { at: call.at, items: split.forwarded_items, left: split.left_items, write_units };
        self.arrivals.lock().unwrap().push(arrival);
        if split.left_items > 0 {
            self.count(|counters| counters.unprocessed_items += split.left_items as u64);
            dynamodb::add_unprocessed(&mut answer, split.left);
            bytes = answer.to_string().into();
            let crc = HeaderValue::from(crc32fast::hash(&bytes));
            parts.headers.insert("x-amz-crc32", crc);
        }
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        Ok(Some(Response::from_parts(parts, Body::from(bytes))))
    }

    async fn maybe_cut(
        &self,
        response: Response<Body>,
        fault: Fault,
        dice: &mut fastrand::Rng,
    ) -> io::Result<Response<Body>> {
        match fault {
            Fault::CutAfter => {
                // The server has finished when its whole answer has arrived.
                let mut body = response.into_body().into_data_stream();
                while body.next().await.is_some() {}
                self.count(|counters| counters.cut_after += 1);
                cut()
            }
            Fault::CutBody => {
                self.count(|counters| counters.cut_body += 1);
                let length = response.body().size_hint().exact().or_else(|| content_length(&response));
                let after = dice.u64(..length.unwrap_or(SMALL_BYTES).max(1));
                Ok(response.map(|body| cut_stream(body, after)))
            }
            _ => Ok(response),
        }
    }

    /// Delivers a call after `ms` milliseconds, and not before `later` calls have been answered.
    async fn deliver_late(self: Arc<Self>, call: Call, ms: u64, later: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let deadline = Instant::now() + LATER_CALLS_WAIT;
        while self.answered.load(Ordering::SeqCst) < later && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if let Ok(Some(response)) = self.forward_whole(&call, Vec::new()).await {
            to_bytes(response.into_body(), WHOLE_BYTES).await.unwrap_or_default();
            self.count(|counters| counters.delivered_late += 1);
        }
    }

    async fn send(&self, mut request: Request<Body>) -> io::Result<Response<Body>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = Uri::builder().scheme("http").authority(self.upstream.clone()).path_and_query(path).build();
        *request.uri_mut() = uri.map_err(io::Error::other)?;
        Ok(self.client.request(request).await.map_err(io::Error::other)?.map(Body::new))
    }

    fn throttled(&self, call: &Call, dice: &mut fastrand::Rng) -> Response<Body> {
        self.count(|counters| counters.throttled += 1);
        if !call.is_dynamodb {
            return s3_error(503, "SlowDown", "Please reduce your request rate.");
        }
        let body = serde_json::from_slice(&call.body).unwrap_or_default();
        dynamodb_error(400, &dynamodb::throttled(&dynamodb::table_of(&body), dice))
    }

    fn failed(&self, call: &Call, status: u16) -> Response<Body> {
        self.count(|counters| counters.errors += 1);
        if call.is_dynamodb {
            return dynamodb_error(status, &dynamodb::failed(status));
        }
        s3_error(status, if status == 503 { "ServiceUnavailable" } else { "InternalError" }, "injected failure")
    }

    fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters.lock().unwrap());
    }
}

/// A request that can be repeated.
struct Call {
    parts: http::request::Parts,
    body: Bytes,
    is_dynamodb: bool,
    is_batch: bool,
    at: Instant,
}

impl Call {
    fn request(&self, body: Body) -> Request<Body> {
        let mut parts = self.parts.clone();
        parts.headers.remove(header::CONNECTION);
        // A buffered body has its own length, and a streamed one the length that the client announced.
        if let Some(length) =
            body.size_hint().exact().filter(|_| !self.parts.headers.contains_key(header::TRANSFER_ENCODING))
        {
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        Request::from_parts(parts, body)
    }
}

/// Returns a body with at most the first `after` bytes, after which the connection closes.
fn cut_stream(body: Body, after: u64) -> Body {
    let mut left = after;
    let bytes = body.into_data_stream().map(move |bytes| {
        let mut bytes = bytes.map_err(io::Error::other)?;
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= bytes.len() as u64;
        Ok(bytes)
    });
    let bytes = bytes.take_while(|bytes| futures::future::ready(bytes.as_ref().is_ok_and(|bytes| !bytes.is_empty())));
    Body::from_stream(bytes.chain(futures::stream::once(async {
        tokio::time::sleep(FLUSH).await;
        cut()
    })))
}

fn content_length(response: &Response<Body>) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn dynamodb_error(status: u16, body: &Value) -> Response<Body> {
    answer(status, "application/x-amz-json-1.0", body.to_string())
}

fn s3_error(status: u16, code: &str, message: &str) -> Response<Body> {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    answer(status, "application/xml", body)
}

fn answer(status: u16, kind: &'static str, body: String) -> Response<Body> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
    response.body(Body::from(body)).unwrap()
}
