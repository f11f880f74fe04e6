//! The read API over HTTP on the loopback address, with an embedded table of a million invoices. One issuer has a fifth
//! of them.
//!
//! `cargo bench --bench query` fills the table, which takes minutes, and keeps it in a folder under `target`, so that a
//! second run begins with the requests; `-- 100000` sets the number of invoices. Each request is sent after the answer
//! to the previous one, on a connection that stays open.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench may panic to fail"
)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use notaflux_api::parameters::query_string;
use notaflux_api::{Api, CursorKeys};
use notaflux_aws as aws;
use notaflux_engine::{Engine, Settings, WorkStore};
use notaflux_generate::{GenerateOptions, Generator};
use notaflux_local::stack::{Stack, StackOptions, WORK_BUCKET};
use notaflux_records::file;
use notaflux_table::ingestion::IngestionState;
use notaflux_table::{Schema, Table};
use notaflux_write::Wire;
use serde_json::Value;

const INVOICES: u64 = 1_000_000;
const TABLE: &str = "invoices";
const SEED: u64 = 1;
/// Number of timed requests of each kind, and of requests before them to warm up.
const REQUESTS: usize = 400;
const WARMING: usize = 20;
/// Number of the page that counts as a late page.
const LATE_PAGE: usize = 100;
/// Total that one invoice in a hundred exceeds: one in seven has a total up to a million reais, evenly distributed.
const HIGH_TOTAL: &str = "930000";
/// File in the folder that marks a filled table.
const FILLED: &str = "filled";

fn options(records: u64) -> GenerateOptions {
    GenerateOptions { records, seed: SEED, ..GenerateOptions::DEFAULT }
}

/// Returns a folder next to `release`, in Cargo's target folder.
fn folder(records: u64) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().join("bench-query").join(records.to_string())
}

/// Opens the table in the folder. Fills it with the engine first if needed.
async fn filled(stack: &Stack, records: u64) -> Table {
    let config = stack.dynamodb_config();
    if !stack.folder().join(FILLED).exists() {
        fill(stack, records).await;
        fs::write(stack.folder().join(FILLED), b"").unwrap();
    }
    Table::open_to_read(aws::dynamodb_reader(&config), TABLE.to_owned()).await.unwrap()
}

async fn fill(stack: &Stack, records: u64) {
    let file = stack.folder().join("invoices.csv");
    write_file(&file, records);
    let began = Instant::now();
    let (config, client) = (stack.sdk_config(), aws::dynamodb_worker(&stack.dynamodb_config()));
    let table = Table::open_or_create(client, TABLE.to_owned(), Schema::default()).await.unwrap();
    let store = WorkStore::new(aws::s3_client(&config), WORK_BUCKET.to_owned());
    let wire = Wire::new(&stack.dynamodb_config());
    let settings = Settings { force: true, ..Settings::default() };
    let engine = Engine::new(table, wire, store, settings);
    let report = engine.ingest(&file::open(&file).await.unwrap()).await.unwrap().report;
    assert_eq!((report.state, report.written), (IngestionState::Completed, records), "{:?}", report.cause);
    let seconds = began.elapsed().as_secs_f64();
    println!("{records} invoices put in {seconds:.0} s, {:.0} write units.", report.write_units);
    fs::remove_file(file).unwrap();
}

fn write_file(path: &Path, records: u64) {
    let mut file = fs::File::create(path).unwrap();
    let (mut generator, mut chunk) = (Generator::new(options(records)), Vec::new());
    while generator.fill(&mut chunk) {
        file.write_all(&chunk).unwrap();
        chunk.clear();
    }
}

/// Serves the API on separate threads. Returns its address.
fn serve(table: Table, stack: &Stack) -> String {
    let s3 = aws::s3_reader(&stack.sdk_config());
    let router = notaflux_api::router(Api::new(table, s3, CursorKeys::new(&[7; 32])));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
    });
    address
}

/// The cost of an answer.
struct Taken {
    time: Duration,
    read_units: f64,
    bytes: usize,
    body: Value,
}

struct Browser {
    client: Client<HttpConnector, Empty<Bytes>>,
    base: String,
}

impl Browser {
    fn new(base: String) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), base }
    }

    async fn get(&self, path: &str) -> Taken {
        let uri: Uri = format!("{}{path}", self.base).parse().unwrap();
        let request = Request::get(uri).body(Empty::new()).unwrap();
        let began = Instant::now();
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let time = began.elapsed();
        assert_eq!(parts.status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        let read_units = parts.headers["notaflux-read-units"].to_str().unwrap().parse().unwrap();
        Taken { time, read_units, bytes: body.len(), body: serde_json::from_slice(&body).unwrap() }
    }

    /// Returns the address of the page after this number of pages.
    async fn page(&self, path: &str, before: usize) -> String {
        let mut address = path.to_owned();
        for page in 0..before {
            let body = self.get(&address).await.body;
            let cursor = body["next_cursor"].as_str().unwrap_or_else(|| panic!("{path} ends on page {}", page + 1));
            address = format!("{path}&cursor={cursor}");
        }
        address
    }

    /// Requests these addresses in turn, and prints a row with the cost of the answers.
    async fn measure(&self, name: &str, paths: &[String]) {
        let mut paths = paths.iter().cycle();
        for path in paths.by_ref().take(WARMING) {
            self.get(path).await;
        }
        let mut taken = Vec::new();
        for path in paths.take(REQUESTS) {
            taken.push(self.get(path).await);
        }
        row(name, &taken);
    }
}

/// Prints a row of the Markdown table.
fn row(name: &str, taken: &[Taken]) {
    let mut times: Vec<f64> = taken.iter().map(|taken| taken.time.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
    let mean =
        |of: fn(&Taken) -> f64| taken.iter().map(of).sum::<f64>() / f64::from(u32::try_from(taken.len()).unwrap());
    let items = |taken: &Taken| f64::from(u32::try_from(taken.body["items"].as_array().map_or(1, Vec::len)).unwrap());
    let bytes = |taken: &Taken| f64::from(u32::try_from(taken.bytes).unwrap());
    let seconds = mean(|taken| taken.time.as_secs_f64());
    println!(
        "| {name} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} | {:.1} |",
        at(50),
        at(99),
        mean(|taken| taken.read_units),
        mean(items),
        mean(bytes),
        mean(items) / seconds,
        mean(bytes) / seconds / 1e6
    );
}

/// Returns ids from all over the issuer's list.
async fn ids(browser: &Browser, list: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for month in (1..=12).flat_map(|month| [format!("2023-{month:02}"), format!("2024-{month:02}")]) {
        let page = browser.get(&format!("{list}&month={month}&limit=20")).await.body;
        let items = page["items"].as_array().unwrap().iter();
        ids.extend(items.map(|item| format!("/v1/invoices/{}", item["id"].as_str().unwrap())));
    }
    ids
}

#[tokio::main]
async fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let records: u64 = asked.unwrap_or(INVOICES);
    let stack = Stack::start(StackOptions { data: Some(folder(records)), ..StackOptions::default() }).unwrap();
    let table = filled(&stack, records).await;
    let browser = Browser::new(serve(table, &stack));
    let issuer = Generator::new(options(records)).busiest_issuer();
    let list = format!("/v1/invoices{}", query_string([("issuer", issuer.as_str())]));
    let late = LATE_PAGE.min(usize::try_from(records / 5 / 50 / 2).unwrap()).max(2);

    println!("\n{records} invoices, {REQUESTS} requests each, one after another.\n");
    println!(
        "| request | median, ms | p99, ms | read units | items | bytes | items/s | MB/s |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    browser.measure("first page of 50", std::slice::from_ref(&list)).await;
    browser.measure(&format!("page {late} of 50"), &[browser.page(&list, late - 1).await]).await;
    browser.measure("first page of 50, descending", &[format!("{list}&order=desc")]).await;
    browser.measure("first page of 1,000", &[format!("{list}&limit=1000")]).await;
    browser.measure("page of 50 of 1 % by total", &[format!("{list}&min_total={HIGH_TOTAL}")]).await;
    browser.measure("page of 50 of 2 % by status", &[format!("{list}&status=cancelled")]).await;
    browser.measure("first page of 50 of a month", &["/v1/invoices?month=2024-05".to_owned()]).await;
    browser.measure("by id", &ids(&browser, &list).await).await;
}
