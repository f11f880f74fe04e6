//! The throughput of a writer over HTTP: with a table that allows a number of write units per second and throttles the
//! rest, and with a table that leaves random items unprocessed. The writer does not know which table it has.
//!
//! `cargo bench --bench throttle` measures each table for 40 s after 5 s of warm-up; `-- SECONDS` sets another time.
//! The table answers in another thread, after 10 ms. It has a token bucket for one second of its limit, which is full
//! at first.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a bench may panic to fail"
)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Cursor;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use notaflux_aws as aws;
use notaflux_generate::{GenerateOptions, Generator};
use notaflux_layout::{Detection, Mapping, Record, Row, Scratch, detect};
use notaflux_records::csv::{CsvOptions, CsvReader, RECORD_LIMIT_BYTES, Top};
use notaflux_records::record::Content;
use notaflux_table::item::{Encoded, SourceRef, encode_invoice};
use notaflux_table::{Schema, Table};
use notaflux_write::{
    Batch, BatchBuilder, Ceiling, ConcurrencyLimit, LeaseGuard, Limits, RateController, Wire, Writer,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

const NAME: &str = "invoices";
/// Number of invoices, which are put repeatedly.
const RECORDS: u64 = 5_000;
const CALLS_IN_FLIGHT: usize = 32;
const LATENCY: Duration = Duration::from_millis(10);
const STARTING: Duration = Duration::from_secs(5);
/// Write units per second that a table accepts, and the share of items that it leaves unprocessed at any load.
const TABLES: [(Option<f64>, f64); 6] = [
    (Some(1_000.0), 0.0),
    (Some(4_000.0), 0.0),
    (Some(40_000.0), 0.0),
    (None, 0.0),
    (Some(4_000.0), 0.05),
    (None, 0.3),
];

/// Encoded invoices.
struct Items {
    json: Vec<u8>,
    /// The start of each item, and its kind.
    parts: Vec<(usize, Encoded)>,
    /// Write units by partition key.
    units: HashMap<String, u32>,
}

impl Items {
    async fn generate() -> Self {
        let mut generator = Generator::new(GenerateOptions { records: RECORDS, seed: 1, ..GenerateOptions::DEFAULT });
        let mut file = Vec::new();
        while generator.fill(&mut file) {}
        let head = Top::read(Cursor::new(&file), RECORD_LIMIT_BYTES).await.unwrap().first().await.unwrap().unwrap();
        let Detection::Fits(layout) = detect(&head.fields) else { panic!("the Portal's layout") };
        let mapping = Mapping::new(layout, &head.fields).unwrap();
        let options = CsvOptions { delimiter: b';', record_limit_bytes: RECORD_LIMIT_BYTES };
        let from = usize::try_from(head.data.byte).unwrap();
        let mut csv = CsvReader::new(Cursor::new(file.get(from..).unwrap()), options, head.data);
        let (schema, mut scratch) = (Schema::default(), Scratch::default());
        let source = SourceRef { ingestion: "0123456789abcdef01234567".into(), record: 1 };
        let mut all = Self { json: Vec::new(), parts: Vec::new(), units: HashMap::new() };
        while let Some(raw) = csv.next().await.unwrap() {
            let Content::Fields(fields) = raw.content else { continue };
            let row = Row::decode(fields, &mut scratch);
            let Ok(Record::Invoice(invoice)) = mapping.map(&row) else { continue };
            let start = all.json.len();
            let encoded = encode_invoice(&invoice, &source, &schema, &mut all.json).unwrap();
            let key = String::from_utf8(all.json.get(encoded.pk.clone()).unwrap().to_vec()).unwrap();
            all.units.insert(key, encoded.write_units);
            all.parts.push((start, encoded));
        }
        all
    }

    /// Returns an endless stream of batches.
    fn batches(&self) -> impl Iterator<Item = Batch<()>> {
        let mut parts = self.parts.iter().cycle();
        std::iter::repeat_with(move || {
            let mut builder = BatchBuilder::new(NAME, u64::MAX);
            while !builder.is_full() {
                let (start, encoded) = parts.next().unwrap();
                let Ok(()) = builder.push_with(|out| Ok::<_, Infallible>(self.copy(*start, encoded, out)));
            }
            builder.take(())
        })
    }

    fn copy(&self, start: usize, encoded: &Encoded, out: &mut Vec<u8>) -> Encoded {
        let at = out.len();
        let next = self.parts.partition_point(|(other, _)| *other <= start);
        let end = self.parts.get(next).map_or(self.json.len(), |(next, _)| *next);
        out.extend_from_slice(self.json.get(start..end).unwrap());
        let moved = |range: &std::ops::Range<usize>| range.start - start + at..range.end - start + at;
        Encoded { pk: moved(&encoded.pk), sk: moved(&encoded.sk), ..encoded.clone() }
    }
}

/// A table that stores nothing.
struct Fake {
    units: HashMap<String, u32>,
    bucket: Mutex<Bucket>,
    calls: Mutex<Vec<Call>>,
}

struct Bucket {
    limit: Option<f64>,
    level: f64,
    filled_at: Instant,
    left_share: f64,
    random: fastrand::Rng,
}

/// The result of a call.
struct Call {
    at: Instant,
    items: usize,
    taken_units: f64,
    is_throttled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    request_items: HashMap<&'a str, Vec<Put<'a>>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Put<'a> {
    #[serde(borrow)]
    put_request: PutItem<'a>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutItem<'a> {
    #[serde(borrow)]
    item: &'a RawValue,
}

impl Bucket {
    /// Whether an item of `units` is accepted.
    fn take(&mut self, units: f64) -> bool {
        if self.random.f64() < self.left_share {
            return false;
        }
        let Some(limit) = self.limit else { return true };
        let now = Instant::now();
        self.level = limit.min(self.level + limit * (now - self.filled_at).as_secs_f64());
        self.filled_at = now;
        let fits = self.level >= units;
        if fits {
            self.level -= units;
        }
        fits
    }
}

impl Fake {
    /// Serves in a separate thread. Returns its address.
    fn start(items: &Items, (limit, left_share): (Option<f64>, f64)) -> (Arc<Self>, String) {
        let (level, filled_at, random) = (limit.unwrap_or_default(), Instant::now(), fastrand::Rng::with_seed(1));
        let bucket = Bucket { limit, level, filled_at, left_share, random };
        let (units, bucket) = (items.units.clone(), Mutex::new(bucket));
        let fake = Arc::new(Self { units, bucket, calls: Mutex::default() });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&fake));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
            });
        });
        (fake, endpoint)
    }

    fn cost(&self, put: &Put<'_>) -> f64 {
        let (_, rest) = put.put_request.item.get().split_once(r#""PK":{"S":""#).unwrap();
        let (key, _) = rest.split_once('"').unwrap();
        f64::from(self.units.get(key).copied().unwrap())
    }

    /// Accepts the items that fit, in order, and returns the others.
    fn put(&self, body: &[u8]) -> Response {
        let mut request: Request<'_> = serde_json::from_slice(body).unwrap();
        let mut puts = request.request_items.remove(NAME).unwrap();
        let (sent, mut taken_units) = (puts.len(), 0.0);
        let mut bucket = self.bucket.lock().unwrap();
        puts.retain(|put| {
            let units = self.cost(put);
            let fits = bucket.take(units);
            taken_units += if fits { units } else { 0.0 };
            !fits
        });
        drop(bucket);
        let (items, is_throttled) = (sent - puts.len(), !puts.is_empty());
        self.calls.lock().unwrap().push(Call { at: Instant::now(), items, taken_units, is_throttled });
        let answer = if items == 0 {
            let reason = "TableWriteProvisionedThroughputExceeded";
            let resource = format!("arn:aws:dynamodb:us-east-1:000000000000:table/{NAME}");
            let kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
            let reasons = json!([{"reason": reason, "resource": resource}]);
            json!({"__type": kind, "message": "too much", "ThrottlingReasons": reasons}).to_string()
        } else {
            let left = if is_throttled { HashMap::from([(NAME, puts)]) } else { HashMap::new() };
            let left = serde_json::to_string(&left).unwrap();
            let consumed = json!([{"TableName": NAME, "CapacityUnits": taken_units}]);
            format!(r#"{{"UnprocessedItems":{left},"ConsumedCapacity":{consumed}}}"#)
        };
        let status = if items == 0 { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], answer).into_response()
    }

    /// Prints a line of the table: the writes that arrived from `from` to `to`.
    fn print(&self, (limit, left_share): (Option<f64>, f64), from: Instant, to: Instant) {
        let calls = self.calls.lock().unwrap();
        let within: Vec<&Call> = calls.iter().filter(|call| (from..to).contains(&call.at)).collect();
        let seconds = (to - from).as_secs_f64();
        let items: usize = within.iter().map(|call| call.items).sum();
        let units = within.iter().map(|call| call.taken_units).sum::<f64>() / seconds;
        let throttled = within.iter().filter(|call| call.is_throttled).count() as f64 / within.len().max(1) as f64;
        let name = limit.map_or_else(|| "none".to_owned(), |limit| format!("{limit:.0}"));
        let used = limit.map_or_else(String::new, |limit| format!("{:.1} %", 100.0 * units / limit));
        let (items, calls) = (items as f64 / seconds, within.len() as f64 / seconds);
        let throttled = format!("{:.1} %", 100.0 * throttled);
        let left = format!("{:.0} %", 100.0 * left_share);
        println!("| {name} | {left} | {units:.0} | {used} | {items:.0} | {calls:.0} | {throttled} |");
    }
}

async fn answer(State(fake): State<Arc<Fake>>, body: Bytes) -> Response {
    tokio::time::sleep(LATENCY / 2).await;
    let response = fake.put(&body);
    tokio::time::sleep(LATENCY / 2).await;
    response
}

async fn measure(items: &Items, table: (Option<f64>, f64), lasting: Duration) {
    let (fake, endpoint) = Fake::start(items, table);
    let wire = Arc::new(Wire::new(&aws::embedded_config(&endpoint)));
    let dynamodb = Table::new(wire.client().clone(), NAME.to_owned(), Schema::default());
    let limits = Arc::new(Limits {
        ceiling: Ceiling::none(),
        concurrency: ConcurrencyLimit::new(CALLS_IN_FLIGHT),
        rate: RateController::new(),
    });
    let writer = Writer::new(&dynamodb, wire, limits, Arc::new(LeaseGuard::unlimited()));
    let from = Instant::now() + STARTING;
    let to = from + lasting;
    let batches = items.batches().take_while(|_| Instant::now() < to);
    let puts = stream::iter(batches.map(|batch| writer.put(batch))).buffer_unordered(CALLS_IN_FLIGHT);
    puts.try_for_each(async |()| Ok(())).await.unwrap();
    fake.print(table, from, to);
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(40);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let items = Items::generate().await;
        println!("| units/s allowed | left at random | units/s taken | used | items/s | calls/s | calls throttled |");
        println!("|{}", " ---: |".repeat(7));
        for table in TABLES {
            measure(&items, table, Duration::from_secs(seconds)).await;
        }
    });
}
