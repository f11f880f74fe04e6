//! The cost of a record, stage by stage, with a lower limit for each stage.
//!
//! `cargo bench --bench stages`. Times are CPU time of this process, user and system: all threads of the process count,
//! and other processes do not. In each group `limit` is the lower limit: memchr counts line ends, the decoder runs
//! alone, or prepared bytes are written to a socket. Of `csv`, `ndjson` and `json` `map` contains `split`, and `survey`
//! and `encode` contain `map`; `encode` writes the bodies of calls. The table is a server in another process that
//! accepts everything.
//!
//! `count STAGE` runs one stage once, with fewer records, for `tools/instructions.py`, which counts its instructions.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unchecked_time_subtraction,
    reason = "a bench may panic to fail"
)]

#[cfg(feature = "servers")]
#[path = "pipeline/server.rs"]
mod server;
#[path = "pipeline/usage.rs"]
#[allow(dead_code, reason = "only the imports report their usage")]
mod usage;

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Cursor, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use bytes::Bytes;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkGroup, Criterion, Throughput};
use notaflux_aws as aws;
use notaflux_generate::{GenerateOptions, Generator, JsonForm, PortalFile};
use notaflux_layout::{Detection, InvoiceRow, Mapping, Record, Row, Scratch, by_name, detect};
use notaflux_records::container::{self, open_entry};
use notaflux_records::csv::{RECORD_LIMIT_BYTES, Top};
use notaflux_records::file;
use notaflux_records::reader::RecordReader;
use notaflux_records::record::{Content, Format, Position, Shape};
use notaflux_records::source::Source;
use notaflux_sha256::HASHED_TOGETHER;
use notaflux_table::item::{SourceRef, encode_invoice, measure_invoice};
use notaflux_table::keys::{Key, KeyTexts};
use notaflux_table::{Schema, Table};
use notaflux_write::batch;
use notaflux_write::{
    Batch, BatchBuilder, Ceiling, ConcurrencyLimit, LeaseGuard, Limits, RateController, Wire, Writer,
};
use tokio::io::AsyncReadExt as _;
use tokio::runtime::Runtime;

/// Name of the table, as in `pipeline/server.rs`.
const TABLE: &str = "bench";

/// Rows of each file: too many for the caches near the core.
const RECORDS: u64 = 50_000;

/// Rows for counting instructions.
const COUNTED_RECORDS: u64 = 5_000;

/// Number of batches, and of calls in flight, for the stage that sends.
const BATCHES: usize = 200;
const IN_FLIGHT: usize = 8;

/// Returns the CPU time of the process.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        usage::cpu()
    }

    fn end(&self, began: Duration) -> Duration {
        usage::cpu() - began
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    #[allow(clippy::cast_precision_loss, reason = "nanoseconds of a bench are far below 2^52")]
    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

type Group<'c> = BenchmarkGroup<'c, CpuTime>;

/// A file in memory, with its format and layout.
struct File {
    name: &'static str,
    bytes: Vec<u8>,
    mapping: Mapping,
    format: Format,
    data: Position,
}

fn options(records: u64) -> GenerateOptions {
    GenerateOptions { records, seed: 1, ..GenerateOptions::default() }
}

fn generated(mut generator: Generator) -> Vec<u8> {
    let mut bytes = Vec::new();
    while generator.fill(&mut bytes) {}
    bytes
}

fn csv(runtime: &Runtime, records: u64) -> File {
    let bytes = generated(Generator::new(options(records)));
    let head = runtime.block_on(async {
        let top = Top::read(Cursor::new(&bytes), RECORD_LIMIT_BYTES).await.unwrap();
        top.first().await.unwrap().unwrap()
    });
    let Detection::Fits(layout) = detect(&head.fields) else { panic!("the header fits the Portal's layout") };
    let mapping = Mapping::new(layout, &head.fields).unwrap();
    File { name: "csv", mapping, format: Format::Csv { delimiter: b';' }, data: head.data, bytes }
}

fn json(name: &'static str, form: JsonForm, shape: Shape, records: u64) -> File {
    let bytes = generated(Generator::json_of(PortalFile::Invoices, form, options(records)));
    let mapping = Mapping::of_json(by_name("portal-invoice").unwrap(), None).unwrap();
    // The elements of an array begin after its bracket.
    let data = Position { byte: u64::from(shape != Shape::Lines), line: 1 };
    File { name, mapping, format: Format::Json(shape), data, bytes }
}

/// Reads the file without parsing its records, and adds up their lengths.
async fn split(file: &File) -> u64 {
    let from = usize::try_from(file.data.byte).unwrap();
    let mut reader = RecordReader::new(Cursor::new(&file.bytes[from..]), file.format, file.data, true);
    let mut sum = 0;
    while let Some(raw) = reader.next().await.unwrap() {
        sum += raw.end - raw.byte;
    }
    sum
}

/// Reads the file and calls `with` for each invoice.
async fn each(file: &File, mut with: impl FnMut(&Record<'_, InvoiceRow<'_>>)) {
    let from = usize::try_from(file.data.byte).unwrap();
    let mut reader = RecordReader::new(Cursor::new(&file.bytes[from..]), file.format, file.data, true);
    let mut scratch = Scratch::default();
    while let Some(raw) = reader.next().await.unwrap() {
        let row = match raw.content {
            Content::Fields(fields) => Row::decode(fields, &mut scratch),
            Content::Json(element) => file.mapping.read_json(element, &mut scratch).unwrap(),
            Content::TooLong => panic!("no record is so long"),
        };
        with(&file.mapping.read(&row).unwrap());
    }
}

/// Returns the generated invoices in each format.
fn files(runtime: &Runtime, records: u64) -> [File; 3] {
    let array = Shape::Array { levels: 0, alone: false };
    [
        csv(runtime, records),
        json("ndjson", JsonForm::Ndjson, Shape::Lines, records),
        json("json", JsonForm::Array, array, records),
    ]
}

fn invoice_of<'r, 'm>(record: &'r Record<'m, InvoiceRow<'m>>) -> &'r InvoiceRow<'m> {
    let Record::Invoice(invoice) = record else { panic!("every row is an invoice") };
    invoice
}

fn source() -> SourceRef<'static> {
    SourceRef { ingestion: "0123456789abcdef01234567".into(), record: 1 }
}

/// A stage over a whole file.
type Stage = fn(&Runtime, &File);

/// The stages of a record: `map` includes `split`, and each other stage includes `map`.
const STAGES: [(&str, Stage); 4] = [
    ("split", |runtime, file| {
        black_box(runtime.block_on(split(file)));
    }),
    ("map", |runtime, file| {
        runtime.block_on(each(file, |record| {
            black_box(record.id().len());
        }));
    }),
    ("survey", |runtime, file| {
        let (schema, source, mut keys) = (Schema::default(), source(), KeyTexts::default());
        runtime.block_on(each(file, |record| {
            black_box(measure_invoice(invoice_of(record), &source, &schema).is_ok());
            keys.push(Key::Invoice(record.id()));
            if keys.len() == HASHED_TOGETHER {
                black_box(keys.take_hashes().count());
            }
        }));
    }),
    ("encode", encode),
];

fn encode(runtime: &Runtime, file: &File) {
    let (schema, source) = (Schema::default(), source());
    let mut builder = BatchBuilder::new(TABLE, u64::MAX);
    runtime.block_on(each(file, |record| {
        builder.push_with(|out| encode_invoice(invoice_of(record), &source, &schema, out)).unwrap();
        if builder.is_full() {
            black_box(builder.take(()).body_bytes());
        }
    }));
}

fn stages(criterion: &mut Criterion<CpuTime>, runtime: &Runtime, file: &File) {
    let mut group = criterion.benchmark_group(file.name);
    let bytes = file.bytes.len() as u64;
    group.throughput(Throughput::ElementsAndBytes { elements: RECORDS, bytes }).sample_size(10);
    group.bench_function("limit", |bench| bench.iter(|| memchr::memchr_iter(b'\n', &file.bytes).count()));
    for (name, stage) in STAGES {
        group.bench_function(name, |bench| bench.iter(|| stage(runtime, file)));
    }
    group.finish();
    let counted = allocation_counter::measure(|| encode(runtime, file));
    let hundredths = counted.count_total * 100 / RECORDS;
    println!(
        "{}: {}.{:02} allocations a record, from bytes to bodies of calls",
        file.name,
        hundredths / 100,
        hundredths % 100
    );
}

/// Returns the output of `notaflux generate`, in memory.
fn generate(criterion: &mut Criterion<CpuTime>, [csv, ndjson]: [&File; 2]) {
    let mut group = criterion.benchmark_group("generate");
    let invoices: fn() -> Generator = || Generator::new(options(RECORDS));
    let objects: fn() -> Generator = || Generator::json_of(PortalFile::Invoices, JsonForm::Ndjson, options(RECORDS));
    for (file, generator) in [(csv, invoices), (ndjson, objects)] {
        let bytes = file.bytes.len() as u64;
        group.throughput(Throughput::ElementsAndBytes { elements: RECORDS, bytes }).sample_size(10);
        group.bench_function(file.name, |bench| {
            bench.iter(|| {
                let (mut generator, mut piece) = (generator(), Vec::new());
                while generator.fill(&mut piece) {
                    piece.clear();
                }
            });
        });
    }
    group.finish();
}

/// A compressed file and its content.
struct Compressed {
    _folder: tempfile::TempDir,
    source: Source,
    entry: container::Entry,
}

impl Compressed {
    fn new(runtime: &Runtime, bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        let source = runtime.block_on(file::open(&path)).unwrap();
        let contents = runtime.block_on(container::Contents::inspect(&source)).unwrap();
        Self { _folder: folder, source, entry: contents.entries.into_iter().next().unwrap() }
    }

    fn decode(&self, runtime: &Runtime) {
        let mut buffer = vec![0; 128 * 1024];
        runtime.block_on(async {
            let mut reader = open_entry(&self.source, &self.entry, 0, true).await.unwrap();
            while reader.read(&mut buffer).await.unwrap() > 0 {}
        });
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, zstd::DEFAULT_COMPRESSION_LEVEL).unwrap()
}

/// Decoders that read a file. The limits are the decoders alone, from memory.
fn decompress(criterion: &mut Criterion<CpuTime>, runtime: &Runtime, csv: &File) {
    let mut group = criterion.benchmark_group("decompress");
    group.throughput(Throughput::ElementsAndBytes { elements: RECORDS, bytes: csv.bytes.len() as u64 }).sample_size(10);
    let (gzip, zstd) = (gzip(&csv.bytes), zstd(&csv.bytes));
    let mut buffer = vec![0; 128 * 1024];
    group.bench_function("limit-gzip", |bench| {
        bench.iter(|| drain(&mut flate2::read::MultiGzDecoder::new(gzip.as_slice()), &mut buffer));
    });
    group.bench_function("limit-zstd", |bench| {
        bench.iter(|| drain(&mut zstd::Decoder::new(zstd.as_slice()).unwrap(), &mut buffer));
    });
    for (name, bytes) in [("none", &csv.bytes), ("gzip", &gzip), ("zstd", &zstd)] {
        let compressed = Compressed::new(runtime, bytes);
        group.bench_function(name, |bench| bench.iter(|| compressed.decode(runtime)));
    }
    group.finish();
}

fn drain(reader: &mut impl std::io::Read, buffer: &mut [u8]) {
    while reader.read(buffer).unwrap() > 0 {}
}

/// The table in a separate process, which ends when this value is dropped.
struct TableServer {
    process: Child,
    endpoint: String,
}

impl TableServer {
    fn start() -> Self {
        let program = std::env::current_exe().unwrap();
        let mut process = Command::new(program).arg("serve").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self { process, endpoint: told["endpoint"].as_str().unwrap().to_owned() }
    }
}

impl Drop for TableServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Returns the items of the first invoices, in batches.
fn batches(runtime: &Runtime, csv: &File) -> Vec<Batch<()>> {
    let (schema, source) = (Schema::default(), source());
    let mut builder = BatchBuilder::new(TABLE, u64::MAX);
    let mut batches = Vec::with_capacity(BATCHES + 1);
    runtime.block_on(each(csv, |record| {
        if batches.len() < BATCHES {
            builder.push_with(|out| encode_invoice(invoice_of(record), &source, &schema, out)).unwrap();
            if builder.is_full() {
                batches.push(builder.take(()));
            }
        }
    }));
    batches
}

/// A call with prepared items, as our body or as the SDK's maps: it is signed and sent, and its answer is read. The SDK
/// also writes the body. `limit` sends the same bytes over a socket without a signature.
fn sink(criterion: &mut Criterion<CpuTime>, runtime: &Runtime, csv: &File) {
    let server = TableServer::start();
    let config = aws::embedded_config(&server.endpoint);
    let client = aws::dynamodb_client(&config);
    let bodies: Vec<Bytes> = batches(runtime, csv).iter().map(|batch| batch.body(&all(batch)).json).collect();
    let bytes = bodies.iter().map(|body| body.len() as u64).sum();
    let elements = (BATCHES * 25) as u64;
    let mut group: Group<'_> = criterion.benchmark_group("sink");
    group.throughput(Throughput::ElementsAndBytes { elements, bytes }).sample_size(10);
    let mut socket = TcpStream::connect(server.endpoint.strip_prefix("http://").unwrap()).unwrap();
    socket.set_nodelay(true).unwrap();
    group.bench_function("limit", |bench| bench.iter(|| bodies.iter().for_each(|body| send(&mut socket, body))));
    let wire = Arc::new(Wire::new(&config));
    let table = Table::new(client.clone(), TABLE.to_owned(), Schema::default());
    group.bench_function("ours", |bench| {
        bench.iter_batched(
            || batches(runtime, csv),
            |mut batches| {
                batches.chunks_mut(HASHED_TOGETHER).for_each(batch::hash);
                let limits = Arc::new(Limits {
                    ceiling: Ceiling::none(),
                    concurrency: ConcurrencyLimit::new(IN_FLIGHT),
                    rate: RateController::new(),
                });
                let writer = Writer::new(&table, Arc::clone(&wire), limits, Arc::new(LeaseGuard::unlimited()));
                let put = |batch| async { writer.put(batch).await.unwrap() };
                runtime.block_on(in_flight(batches.into_iter().map(put)));
            },
            criterion::BatchSize::PerIteration,
        );
    });
    let items = items(&bodies);
    group.bench_function("naive", |bench| {
        bench.iter_batched(
            || items.iter().map(|items| puts(items)).collect::<Vec<_>>(),
            |calls| runtime.block_on(in_flight(calls.into_iter().map(|puts| put_plainly(&client, puts)))),
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

async fn in_flight<F: Future<Output = ()>>(calls: impl Iterator<Item = F>) {
    use futures::StreamExt as _;
    futures::stream::iter(calls).buffer_unordered(IN_FLIGHT).collect::<()>().await;
}

fn all<T>(batch: &Batch<T>) -> Vec<usize> {
    (0..batch.len()).collect()
}

/// Sends one request and reads its whole answer.
fn send(socket: &mut TcpStream, body: &[u8]) {
    let head = format!(
        "POST / HTTP/1.1\r\nhost: table\r\nx-amz-target: DynamoDB_20120810.BatchWriteItem\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(body).unwrap();
    let mut answer = [0; 1024];
    let mut read = 0;
    while !answer[..read].ends_with(b"}]}") {
        read += socket.read(&mut answer[read..]).unwrap();
    }
}

/// Returns the items of each call as JSON.
fn items(bodies: &[Bytes]) -> Vec<Vec<serde_json::Value>> {
    let items = |body: &Bytes| {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        let puts = body["RequestItems"][TABLE].as_array().unwrap();
        puts.iter().map(|put| put["PutRequest"]["Item"].clone()).collect()
    };
    bodies.iter().map(items).collect()
}

fn puts(items: &[serde_json::Value]) -> Vec<WriteRequest> {
    let put = |item: &serde_json::Value| {
        let AttributeValue::M(item) = attribute(&serde_json::json!({ "M": item })) else { panic!("an item is a map") };
        let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    };
    items.iter().map(put).collect()
}

async fn put_plainly(client: &aws_sdk_dynamodb::Client, puts: Vec<WriteRequest>) {
    client.batch_write_item().request_items(TABLE, puts).send().await.unwrap();
}

fn attribute(value: &serde_json::Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match (kind.as_str(), value) {
        ("S", text) => AttributeValue::S(text.as_str().unwrap().to_owned()),
        ("N", number) => AttributeValue::N(number.as_str().unwrap().to_owned()),
        ("BOOL", value) => AttributeValue::Bool(value.as_bool().unwrap()),
        ("M", map) => {
            let map = map.as_object().unwrap().iter();
            AttributeValue::M(map.map(|(name, value)| (name.clone(), attribute(value))).collect())
        }
        ("L", list) => AttributeValue::L(list.as_array().unwrap().iter().map(attribute).collect()),
        (kind, _) => panic!("items have no {kind}"),
    }
}

/// Runs one stage. Only the instructions within [`counted`] are counted.
fn count(runtime: &Runtime, stage: &str) {
    let (group, name) = stage.split_once('/').unwrap();
    let files = files(runtime, COUNTED_RECORDS);
    match (group, name) {
        ("decompress", "gzip") => {
            let compressed = Compressed::new(runtime, &gzip(&files[0].bytes));
            counted(|| compressed.decode(runtime));
        }
        ("decompress", "zstd") => {
            let compressed = Compressed::new(runtime, &zstd(&files[0].bytes));
            counted(|| compressed.decode(runtime));
        }
        ("sink", "sign") => {
            let mut batches = batches(runtime, &files[0]);
            let wire = Wire::new(&aws::embedded_config("http://127.0.0.1:1"));
            counted(|| {
                batches.chunks_mut(HASHED_TOGETHER).for_each(batch::hash);
                for batch in &batches {
                    black_box(runtime.block_on(wire.request(batch.body(&all(batch)))).unwrap());
                }
            });
        }
        _ => {
            let file = files.iter().find(|file| file.name == group).unwrap();
            let (_, stage) = STAGES.iter().find(|(known, _)| *known == name).unwrap();
            counted(|| stage(runtime, file));
        }
    }
}

#[inline(never)]
fn counted(work: impl FnOnce()) {
    work();
    black_box(());
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        #[cfg(feature = "servers")]
        ["serve"] => return server::serve(tempfile::tempdir().unwrap().path()),
        #[cfg(not(feature = "servers"))]
        ["serve"] => panic!("this bench was built without the feature `servers`"),
        ["count", stage] => return count(&runtime, stage),
        _ => {}
    }
    let mut criterion = Criterion::default().with_measurement(CpuTime).configure_from_args();
    let [csv, ndjson, json] = files(&runtime, RECORDS);
    for file in [&csv, &ndjson, &json] {
        stages(&mut criterion, &runtime, file);
    }
    generate(&mut criterion, [&csv, &ndjson]);
    decompress(&mut criterion, &runtime, &csv);
    sink(&mut criterion, &runtime, &csv);
    criterion.final_summary();
}
