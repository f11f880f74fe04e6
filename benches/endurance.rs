//! Objects that need many workers: 10 GB of CSV with 20 s for each worker, 5 GB of JSON (NF-e with two lines each, in
//! one array on one line), 2 GB in gzip with 60 s, and the same gzip with so little time that no worker makes progress.
//!
//! `cargo bench --bench endurance` takes about ten minutes; `-- GB` sets the size of the CSV, and `-- json GB` runs
//! only the JSON. The object is generated while it is read, and the table stores nothing, so neither needs a disk.
//! Queue and ledger are the usual ones, and the workers are the function's real binary with a Runtime API.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench may panic to fail"
)]

#[path = "../tests/suite/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "this bench uses a part of it")]
mod support;

use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use notaflux_engine::Report;
use notaflux_engine::object;
use notaflux_local::stack::UPLOADS_BUCKET;
use notaflux_table::ingestion::IngestionState;
use serde_json::json;
use support::cloud::{self, Object, Queue, Special};
use support::place::Place;
use support::rows;
use support::runtime_api::Function;

/// Distance in rows between repetitions of an earlier key, and between bad rows.
const AGAIN: u64 = 50;
const BAD: u64 = 1_000;

/// Rows of equal length. Each can be generated independently.
struct Rows {
    name: &'static str,
    header: Vec<u8>,
    row: Vec<u8>,
    key_at: usize,
    total_at: usize,
    count: u64,
    /// The last byte of the last row.
    last: u8,
    /// Number of items in a row.
    items: u64,
}

/// Number of digits of the number in a key, and its position.
const DIGITS: usize = 8;
const NUMBER_AT: usize = 26;

impl Rows {
    fn csv(size: u64) -> Self {
        let key = rows::key(0);
        let row = rows::row(&key, "00000000,00");
        Self::of_row("made.csv", rows::header(), row, (&key, "00000000,00"), size, 1)
    }

    /// One array on one line.
    fn json(size: u64) -> Self {
        let line = include_str!("../fixtures/nfe-xmltodict.ndjson").lines().next().unwrap();
        let element = line.replace("\"vNF\": \"160.00\"", "\"vNF\": \"00000000.00\"") + ",";
        let key_at = element.find("\"NFe3").unwrap() + 4;
        let key = element[key_at..key_at + 44].to_owned();
        Self::of_row("made.json", b"[".to_vec(), element.into_bytes(), (&key, "00000000.00"), size, 3)
    }

    fn of_row(
        name: &'static str,
        header: Vec<u8>,
        row: Vec<u8>,
        (key, total): (&str, &str),
        size: u64,
        items: u64,
    ) -> Self {
        let find = |word: &str| row.windows(word.len()).position(|part| part == word.as_bytes()).unwrap();
        let (key_at, total_at) = (find(key) + NUMBER_AT, find(total));
        let count = (size - header.len() as u64) / row.len() as u64;
        let last = if row.ends_with(b",") { b']' } else { b'\n' };
        Self { name, header, row, key_at, total_at, count, last, items }
    }

    /// Returns the key of a row, and whether the row is bad.
    const fn of(row: u64) -> (u64, bool) {
        (if row % AGAIN == AGAIN - 1 { row - AGAIN / 2 } else { row }, row % BAD == BAD / 2)
    }

    fn append(&self, row: u64, out: &mut Vec<u8>) {
        let (key, is_bad) = Self::of(row);
        let start = out.len();
        out.extend_from_slice(&self.row);
        write_digits(&mut out[start + self.key_at..][..DIGITS], key);
        write_digits(&mut out[start + self.total_at..][..DIGITS], row);
        if row + 1 == self.count {
            *out.last_mut().unwrap() = self.last;
        }
        if is_bad {
            out[start + self.total_at..][..11].copy_from_slice(b"0000012,3,4");
        }
    }

    /// Returns the numbers of records, distinct keys, superseded records and rejects.
    fn counts(&self) -> [u64; 4] {
        let (mut written, mut rejected) = (0, 0);
        for row in 0..self.count {
            let (key, is_bad) = Self::of(row);
            rejected += u64::from(is_bad);
            // A repeated key supersedes one record, unless the first of the two is bad.
            written += u64::from(!is_bad && (key == row || Self::of(key).1));
        }
        [self.count, written, self.count - written - rejected, rejected]
    }
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap();
        number /= 10;
    }
}

impl Object for Rows {
    fn key(&self) -> &'static str {
        self.name
    }

    fn size(&self) -> u64 {
        self.header.len() as u64 + self.count * self.row.len() as u64
    }

    fn read(&self, range: Range<u64>) -> Bytes {
        let (header, row) = (self.header.len() as u64, self.row.len() as u64);
        let mut out = Vec::new();
        let mut base = 0;
        if range.start < header {
            out.extend_from_slice(&self.header);
        } else {
            base = header + (range.start - header) / row * row;
        }
        let mut next = (base.max(header) - header) / row;
        while base + (out.len() as u64) < range.end && next < self.count {
            self.append(next, &mut out);
            next += 1;
        }
        let cut = |byte: u64| usize::try_from(byte - base).unwrap();
        Bytes::from(out).slice(cut(range.start)..cut(range.end))
    }
}

/// Returns the same rows in gzip, in memory.
struct Zipped {
    bytes: Bytes,
}

impl Zipped {
    fn new(rows: &Rows) -> Self {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut at = 0;
        while at < rows.size() {
            let end = rows.size().min(at + 4 * 1024 * 1024);
            encoder.write_all(&rows.read(at..end)).unwrap();
            at = end;
        }
        Self { bytes: encoder.finish().unwrap().into() }
    }
}

impl Object for Zipped {
    fn key(&self) -> &'static str {
        "made.csv.gz"
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, range: Range<u64>) -> Bytes {
        self.bytes.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap())
    }
}

/// Runs workers with a time limit each until the ingestion is over. Returns its report, the number of puts, the hops,
/// and the peak memory of a worker in KiB.
async fn run(object: Arc<dyn Object>, time: Duration) -> (Report, u64, u32, u64) {
    let place = Place::new().await;
    let (queue, puts) = (Arc::new(Queue::default()), Arc::new(AtomicU64::new(0)));
    let special = Special { object: object.clone(), puts: puts.clone() };
    let endpoint = cloud::start_with(place.stack.endpoints().aws.clone(), queue.clone(), Some(special)).await;
    let s3 = notaflux_aws::s3_client(&notaflux_aws::embedded_config(&endpoint));
    let source = object::open(s3, UPLOADS_BUCKET, object.key(), None).await.unwrap();
    let event = json!({"Records": [{"eventName": "ObjectCreated:Put", "eventTime": "2026-11-02T10:00:00.000Z",
        "userIdentity": {}, "requestParameters": {}, "s3": {"bucket": {"name": UPLOADS_BUCKET}, "object": {"key": object.key()}}}]});
    queue.send(event.to_string(), 0);
    let table =
        [("TABLE", place.table.name.as_str()), ("WORK_BUCKET", place.work.as_str()), ("QUEUE_URL", "http://queue/1/q")];
    let function = Function::start_at(env!("CARGO_BIN_EXE_benches-ingest"), &endpoint, &table);
    let (mut hops, mut dice) = (0, fastrand::Rng::with_seed(1));
    loop {
        let Some(message) = queue.receive(&mut dice) else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let answer = function.invoke_within(&cloud::sqs_event(&message), time).await.expect("the worker lives");
        assert_eq!(answer.unwrap()["batchItemFailures"], json!([]));
        queue.delete(message.receipt);
        hops += 1;
        let report = place.known(&source).await.unwrap().report;
        if report.state.is_end() {
            return (report, puts.load(Ordering::Relaxed), hops, function.peak_memory_kib());
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
async fn show(name: &str, object: Arc<dyn Object>, counts: [u64; 4], items: u64, time: Duration) {
    let began = Instant::now();
    let (report, puts, hops, peak) = run(object, time).await;
    let found = [report.records_read, report.written, report.superseded, report.rejected];
    assert_eq!((report.state, found), (IngestionState::Completed, counts), "{:?}", report.cause);
    let again = puts - report.written * items;
    let megabytes_a_second = report.bytes_decoded as f64 / 1e6 / began.elapsed().as_secs_f64();
    let (seconds, time) = (began.elapsed().as_secs_f64(), time.as_secs());
    println!(
        "{name}, {time} s a worker: {} records in {seconds:.0} s ({megabytes_a_second:.0} MB/s, read twice), {hops} workers, {again} puts \
         repeated, at most {} MiB",
        report.records_read,
        peak / 1024
    );
}

#[tokio::main]
async fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse::<f64>().ok());
    let gigabytes = asked.unwrap_or(10.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size from the command line")]
    let bytes = (gigabytes * 1e9) as u64;
    let is_json_alone = std::env::args().any(|argument| argument == "json");
    let json = Rows::json(if is_json_alone { bytes } else { bytes / 2 });
    let name = format!("{} MB of JSON on one line", json.size() / 1_000_000);
    let (counts, items) = (json.counts(), json.items);
    show(&name, Arc::new(json), counts, items, Duration::from_secs(20)).await;
    if is_json_alone {
        return;
    }
    let large = Rows::csv(bytes);
    let counts = large.counts();
    show(&format!("{gigabytes} GB of CSV"), Arc::new(large), counts, 1, Duration::from_secs(20)).await;
    let small = Rows::csv(2_000_000_000);
    let (counts, zipped) = (small.counts(), Arc::new(Zipped::new(&small)));
    show("2 GB behind gzip", zipped.clone(), counts, 1, Duration::from_mins(1)).await;
    show("2 GB behind gzip", zipped.clone(), counts, 1, Duration::from_secs(10)).await;
    let (report, _, hops, _) = run(zipped, Duration::from_millis(500)).await;
    assert_eq!(report.state, IngestionState::Failed);
    println!("2 GB behind gzip, 0.5 s a worker: failed after {hops} workers: {}", report.cause.unwrap());
}
