//! What a record costs on its way, stage by stage, beside the least that reading it can cost.
//!
//! `cargo bench --bench path`. Every stage works on the same generated file in memory, so that the figures can be divided by
//! one another: `lines` counts line ends and is the limit, each later stage contains the one before it.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that fails by panicking is a bench that fails")]

use std::hint::black_box;
use std::io::Cursor;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use notaflux::layout::{Detection, Mapping, Record, Row, Scratch, detect};
use notaflux::local::generate::{GenerateOptions, Generator};
use notaflux::read::csv::{CsvOptions, CsvReader, Position, RECORD_LIMIT_BYTES, read_header};
use notaflux::read::record::Content;
use notaflux::table::Schema;
use notaflux::table::item::{SourceRef, encode_invoice, measure_invoice};
use notaflux::table::keys::key_hash;

/// Rows of the file: large enough that it does not lie in a cache near the core.
const RECORDS: u64 = 50_000;

const OPTIONS: CsvOptions = CsvOptions { delimiter: b';', record_limit_bytes: RECORD_LIMIT_BYTES };

struct File {
    bytes: Vec<u8>,
    mapping: Mapping,
    data: Position,
}

fn file(runtime: &tokio::runtime::Runtime) -> File {
    let mut generator = Generator::new(GenerateOptions { records: RECORDS, seed: 1, ..GenerateOptions::default() });
    let mut bytes = Vec::new();
    while generator.fill(&mut bytes) {}
    let head = runtime.block_on(read_header(Cursor::new(&bytes), RECORD_LIMIT_BYTES)).unwrap().unwrap();
    let Detection::Fits(layout) = detect(&head.fields) else { return unreachable() };
    File { mapping: Mapping::new(layout, &head.fields).unwrap(), data: head.data, bytes }
}

#[allow(clippy::panic, reason = "see above")]
fn unreachable() -> File {
    panic!("the generated header fits the Portal's layout")
}

/// Reads the file and does `with` to each invoice.
async fn each(file: &File, mut with: impl FnMut(&Record<'_>)) {
    let from = usize::try_from(file.data.byte).unwrap();
    let mut csv = CsvReader::new(Cursor::new(file.bytes.get(from..).unwrap()), OPTIONS, file.data);
    let mut scratch = Scratch::default();
    while let Some(raw) = csv.next().await.unwrap() {
        let Content::Fields(fields) = raw.content else { continue };
        let row = Row::decode(fields, &mut scratch);
        with(&file.mapping.map(&row).unwrap());
    }
}

async fn parse(file: &File) -> u64 {
    let mut csv = CsvReader::new(Cursor::new(&file.bytes), OPTIONS, Position::START);
    let mut count = 0;
    while let Some(raw) = csv.next().await.unwrap() {
        if let Content::Fields(fields) = raw.content {
            count += fields.len() as u64;
        }
    }
    count
}

fn stages(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let file = file(&runtime);
    let schema = Schema::default();
    let source = SourceRef { ingestion: "0123456789abcdef01234567".into(), record: 1 };
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(RECORDS)).sample_size(20);
    group.bench_function("lines", |bench| bench.iter(|| memchr::memchr_iter(b'\n', &file.bytes).count()));
    group.bench_function("parse", |bench| bench.iter(|| runtime.block_on(parse(&file))));
    group.bench_function("map", |bench| {
        bench.iter(|| {
            runtime.block_on(each(&file, |record| {
                black_box(record.id().len());
            }));
        });
    });
    group.bench_function("survey", |bench| {
        bench.iter(|| {
            runtime.block_on(each(&file, |record| {
                let Record::Invoice(invoice) = record else { return };
                black_box((key_hash(record.id(), ""), measure_invoice(invoice, &source, &schema).is_ok()));
            }));
        });
    });
    let mut out = Vec::with_capacity(4096);
    group.bench_function("encode", |bench| {
        bench.iter(|| {
            runtime.block_on(each(&file, |record| {
                let Record::Invoice(invoice) = record else { return };
                out.clear();
                black_box(encode_invoice(invoice, &source, &schema, &mut out));
            }));
        });
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
