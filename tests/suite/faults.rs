//! Ingestions over failing connections: the table, the rejects and the counts must equal those of an undisturbed run.

use std::num::NonZeroU32;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use futures::StreamExt;
use notaflux_aws as aws;
use notaflux_engine::object;
use notaflux_engine::{Error, Outcome, Settings};
use notaflux_generate::{GenerateOptions, Generator, LayoutVersion};
use notaflux_local::stack::UPLOADS_BUCKET;
use notaflux_table::ingestion::IngestionState;
use notaflux_write::WriteError;

use crate::program::{Program, notaflux, wait_until};
use crate::support::place::{Items, Place};
use crate::support::proxy::plan::Plan;
use crate::support::proxy::{Proxy, busiest_second};
use crate::support::rows;

/// Number of seeds in the default run. `NOTAFLUX_SEEDS` sets another number.
const SEEDS: u64 = 100;
/// Seeds at one time: an ingestion waits most of the time.
const AT_ONCE: usize = 4;

fn seeds() -> u64 {
    std::env::var("NOTAFLUX_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS)
}

/// Rows with duplicates and some bad rows.
fn sample(rows: u32) -> Vec<u8> {
    let total = |n: u32| if n % 17 == 3 { "12,3,4".to_owned() } else { format!("{n},00") };
    rows::file((0..rows).map(|n| (rows::key(n * 7919 % (rows * 4 / 5)), total(n))))
}

/// The result that must not depend on the faults: items, rejects and the four counts.
async fn end(place: &Place, outcome: &Outcome) -> (Items, Vec<serde_json::Value>, [u64; 4]) {
    let report = &outcome.report;
    assert_eq!(report.state, IngestionState::Completed, "{:?}", outcome.error);
    let counts = [report.records_read, report.written, report.superseded, report.rejected];
    (place.items().await, place.rejects(outcome).await, counts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_puts_and_of_reads_do_not_change_the_result() {
    let calm = Place::new().await;
    let s3 = aws::s3_client(&calm.config);
    s3.put_object().bucket(UPLOADS_BUCKET).key("a.csv").body(ByteStream::from(sample(600))).send().await.unwrap();
    let source = |client| object::open(client, UPLOADS_BUCKET.to_owned(), "a.csv".to_owned(), None);
    let settings = || Settings { block_bytes: 20_000, ..Settings::default() };
    let outcome = calm.engine(settings()).ingest(&source(s3.clone()).await.unwrap()).await.unwrap();
    let undisturbed = end(&calm, &outcome).await;

    let runs = futures::stream::iter(0..seeds()).map(async |seed| {
        let plan = Plan::rough(seed);
        let place = calm.another().await;
        let proxy = Proxy::start(&place.stack.endpoints().aws, plan.clone());
        let config = aws::embedded_config(&proxy.endpoint());
        let source = source(aws::s3_client(&config)).await.unwrap();
        let outcome = Box::pin(place.engine_through(settings(), &config).ingest(&source)).await.unwrap();
        proxy.settle().await;
        assert_eq!(end(&place, &outcome).await, undisturbed, "plan {plan}");
        proxy.counters().faults()
    });
    let faults: u64 = runs.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().sum();
    assert!(faults >= seeds(), "only {faults} faults: the proxy was not in the way");
}

#[tokio::test]
async fn only_unprocessed_items_are_retried() {
    let place = Place::new().await;
    let proxy = Proxy::start(&place.stack.endpoints().aws, "seed=1 unprocessed=0.5 limit=40".parse().unwrap());
    let engine = place.engine_through(Settings::default(), &aws::embedded_config(&proxy.endpoint()));
    let outcome = engine.ingest(&place.file(&sample(500)).await).await.unwrap();
    let report = outcome.report;
    assert_eq!(report.items_written, report.written, "each item is acknowledged once");
    let arrived: usize = proxy.arrivals().iter().map(|arrival| arrival.items).sum();
    assert_eq!(arrived as u64, report.written, "and arrives once: only unprocessed items are retried");
    assert!(report.retried > report.written / 2, "{} sent again", report.retried);
}

#[tokio::test]
async fn a_refusal_fails_the_ingestion_at_once_with_its_cause() {
    let place = Place::new().await;
    let source = place.file(&sample(200)).await;
    let missing = place.under("no-such-table");
    let error = missing.engine(Settings::default()).ingest(&source).await.unwrap_err();
    assert!(error.to_string().contains("no-such-table"), "{error}");
    assert!(error.to_string().contains("notaflux table create"), "{error}");

    // The table of the ledger exists, but not the one of the puts.
    let elsewhere = Place::new().await;
    let engine = place.engine_through(Settings::default(), &elsewhere.config);
    let outcome = engine.ingest(&source).await.unwrap();
    assert!(matches!(outcome.error, Some(Error::Write(WriteError::Refused { .. }))), "{:?}", outcome.error);
    assert_eq!(outcome.report.state, IngestionState::Failed);
    assert!(outcome.report.cause.unwrap().contains("ResourceNotFoundException"));
    assert_eq!(outcome.report.retried, 0, "a refusal is not retried");
}

#[tokio::test]
async fn no_second_at_the_table_exceeds_the_ceiling() {
    let place = Place::new().await;
    let proxy = Proxy::start(&place.stack.endpoints().aws, Plan::none());
    let settings = Settings { max_write_units: NonZeroU32::new(1_000), ..Settings::default() };
    let engine = place.engine_through(settings, &aws::embedded_config(&proxy.endpoint()));
    let outcome = engine.ingest(&place.file(&sample(900)).await).await.unwrap();
    assert_eq!(outcome.report.state, IngestionState::Completed);
    let arrivals = proxy.arrivals();
    let spent: f64 = arrivals.iter().map(|arrival| arrival.write_units).sum();
    assert!(spent > 2_000.0, "{spent} write units are too few to show anything");
    assert!(
        (spent - outcome.report.write_units).abs() < 1.0,
        "{spent} at the table, {} reported",
        outcome.report.write_units
    );
    let busiest = busiest_second(&arrivals, Duration::ZERO);
    assert!(busiest <= 1_000.0, "{busiest} write units within a second");
}

/// A table that takes two seconds for each call slows down the reading: the data that waits in memory is bounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_slow_table_does_not_fill_the_memory() {
    let place = Place::new().await;
    let plan = "hold=1 hold_ms=2000 only=BatchWriteItem".parse().unwrap();
    let proxy = Proxy::start(&place.stack.endpoints().aws, plan);
    let options =
        GenerateOptions { records: 200_000, seed: 3, layout_version: LayoutVersion::V1, duplicates: 0.02, bad: 0.001 };
    let (mut generator, mut bytes) = (Generator::new(options), Vec::new());
    while generator.fill(&mut bytes) {}
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notas.csv");
    std::fs::write(&file, bytes).unwrap();
    let arguments = ["ingest", file.to_str().unwrap(), "--table", &place.table.name, "--work-bucket", &place.work];
    let mut ingest = Program::start(notaflux(&arguments, Some(&proxy.endpoint())), folder.path(), "ingest");
    // After three rounds of all calls in flight, memory would have grown if anything grew it.
    let rounds = 3 * Settings::default().calls_in_flight as u64;
    wait_until("the table holds calls back", || proxy.counters().held >= rounds);
    let peak = ingest.peak_memory_kib();
    println!("peak memory {} MiB", peak / 1024);
    assert!(peak < 64 * 1024, "{peak} KiB at most");

    ingest.signal("INT");
    assert_eq!(ingest.ended().code(), Some(130), "the exit code of an interruption");
    let told = std::fs::read_to_string(folder.path().join("ingest.err")).unwrap();
    assert!(told.contains("run the same command again to resume"), "{told}");
}
