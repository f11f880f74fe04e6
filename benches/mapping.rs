//! The cost of mapping a row, by layout: records per second, and allocations per record.
//!
//! `cargo bench --bench mapping`. The rows come from the fixtures and are decoded from memory repeatedly, without the
//! rows that are rejects. An invoice needs one allocation, for the extra columns in `extra`. An id that is a hash,
//! added zeros, and a line's key of several columns cost one more each. (The engine reads invoices from their rows
//! without building an `Invoice`: `benches/stages.rs`.)

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench may panic to fail")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use notaflux_layout::{ConventionVotes, Detection, Layout, Mapping, Row, Scratch, built_in};
use notaflux_records::record::FieldsBuf;

/// Rows of each file: few enough for a cache, so that the bench measures only the mapping.
const RECORDS: usize = 1_000;

const UCI: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
                   536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,12/1/2010 8:26,2.55,17850.0,United Kingdom\n\
                   C536379,D,Discount,-1,12/1/2010 9:41,27.5,14527.0,United Kingdom\n";

struct File {
    mapping: Mapping,
    rows: Vec<FieldsBuf>,
}

fn file(bytes: &[u8], delimiter: u8, own: &[&str]) -> File {
    let own: Vec<Arc<Layout>> = own.iter().map(|text| Arc::new(Layout::parse(text).unwrap())).collect();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).has_headers(false).from_reader(bytes);
    let mut records = reader.byte_records().map(|record| record.unwrap().iter().collect::<FieldsBuf>());
    let mut scratch = Scratch::default();
    let header: Vec<String> =
        Row::decode(records.next().unwrap().as_fields(), &mut scratch).iter().map(str::to_owned).collect();
    let records: Vec<FieldsBuf> = records.collect();
    let Detection::Fits(layout) = Detection::of(&header, &own, built_in()) else { return unfit() };
    let mapping = Mapping::new(Arc::clone(&layout), &header).unwrap();
    let mut votes = ConventionVotes::new(&mapping);
    for record in &records {
        votes.see(&Row::decode(record.as_fields(), &mut scratch));
    }
    let conventions = votes.decide();
    let mapping = Mapping::with_conventions(layout, &header, conventions).unwrap();
    let mut good = |record: &&FieldsBuf| {
        let row = Row::decode(record.as_fields(), &mut scratch);
        !mapping.is_trailer(&row) && mapping.map(&row).is_ok()
    };
    let good: Vec<&FieldsBuf> = records.iter().filter(|record| good(record)).collect();
    let rows = good.iter().copied().cycle().take(RECORDS).cloned().collect();
    File { mapping, rows }
}

#[allow(clippy::panic, reason = "see above")]
fn unfit() -> File {
    panic!("a layout fits each of these files")
}

fn map_all(file: &File, scratch: &mut Scratch) {
    for record in &file.rows {
        let row = Row::decode(record.as_fields(), scratch);
        if !file.mapping.is_trailer(&row) {
            black_box(file.mapping.map(&row).unwrap());
        }
    }
}

fn mapping(criterion: &mut Criterion) {
    let files = [
        file(include_bytes!("../fixtures/portal-v1.csv"), b';', &[]),
        file(include_bytes!("../fixtures/portal-lines-v1.csv"), b';', &[]),
        file(include_bytes!("../fixtures/portal-events.csv"), b';', &[]),
        file(include_bytes!("../fixtures/mg-notes.csv"), b';', &[]),
        file(include_bytes!("../fixtures/mg-lines.csv"), b';', &[]),
        file(include_bytes!("../fixtures/sp-nfse.csv"), b';', &[]),
        file(include_bytes!("../fixtures/sped-c100.csv"), b';', &[]),
        file(UCI.as_bytes(), b',', &[include_str!("../docs/layouts/uci.toml")]),
    ];
    let mut group = criterion.benchmark_group("mapping");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let mut scratch = Scratch::default();
    for file in &files {
        map_all(file, &mut scratch);
        let counted = allocation_counter::measure(|| map_all(file, &mut scratch));
        let name = file.mapping.layout().name();
        let hundredths = counted.count_total * 100 / RECORDS as u64;
        println!("{name}: {}.{:02} allocations a record", hundredths / 100, hundredths % 100);
        group.bench_function(name, |bench| bench.iter(|| map_all(file, &mut scratch)));
    }
    group.finish();
}

criterion_group!(benches, mapping);
criterion_main!(benches);
