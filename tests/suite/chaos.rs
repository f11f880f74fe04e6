//! Chaos: real worker processes whose connections fail. The test kills them, freezes them past their leases, and gives
//! them too little time; their messages come twice, late and in any order. At the end the items, the rejects and the
//! counts must equal those of an undisturbed run.
//!
//! A few seeds run by default. With `NOTAFLUX_CHAOS_SECONDS`, more seeds run for that time, from `NOTAFLUX_CHAOS_FIRST`
//! on.

use std::env;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use futures::StreamExt as _;
use notaflux_aws as aws;
use notaflux_engine::object;
use notaflux_engine::{Outcome, Settings};
use notaflux_generate::{GenerateOptions, Generator, JsonForm, write_archive};
use notaflux_local::stack::UPLOADS_BUCKET;
use notaflux_records::source::Source;
use notaflux_table::ingestion::IngestionState;
use serde_json::{Value, json};

use crate::support::cloud::{self, Queue};
use crate::support::place::{Items, Place};
use crate::support::proxy::Proxy;
use crate::support::proxy::plan::Plan;
use crate::support::rows;
use crate::support::runtime_api::Function;

/// Number of seeds in the default run.
const SEEDS: std::ops::Range<u64> = 0..KINDS;

/// Number of kinds of objects.
const KINDS: u64 = 8;

/// Seeds that failed once, with the kinds of their objects.
const REGRESSIONS: [(u64, u64); 1] = [(13, 3)];

/// Seeds that run at once, and workers of each seed. They mostly wait.
const SEEDS_AT_ONCE: usize = 3;
const WORKERS: u64 = 3;

/// Longest time for one seed. An undisturbed run takes one second.
const PATIENCE: Duration = Duration::from_mins(5);

/// Duration of a lease: a worker that is frozen for longer has lost its lease when it continues.
const LEASE: Duration = Duration::from_millis(600);

/// Counts of the events in all seeds.
#[derive(Debug, Default)]
struct Met {
    killed: AtomicU64,
    /// Workers frozen for longer than a lease.
    frozen: AtomicU64,
    /// Answers of workers that had work left.
    handed_over: AtomicU64,
    /// Units that one worker began and another one continued.
    took_over: AtomicU64,
}

/// The result that must not depend on the faults.
type End = (Items, Vec<Value>, [u64; 4]);

/// Returns the object of a kind: plain CSV, gzip, a zip of two files of invoices, a zip of the Portal's three files,
/// rows of lines that repeat their invoice, or NF-e with their lines as NDJSON, as a zstd-compressed array, or both in
/// a zip.
fn object(kind: u64, seed: u64) -> (&'static str, Vec<u8>) {
    let options = |records| GenerateOptions { records, seed, duplicates: 0.2, bad: 0.05, ..GenerateOptions::default() };
    let file = |records| filled(Generator::new(options(records)));
    let nfe = |form, records| filled(Generator::nfe(form, options(records)));
    match kind {
        0 => ("notas.csv", file(2_000)),
        1 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&file(2_000)).unwrap();
            ("notas.csv.gz", encoder.finish().unwrap())
        }
        2 => {
            // The second entry repeats invoices of the first one: the last record in the archive stays.
            let entries = [("a.csv", file(1_000)), ("b.csv", file(1_500))];
            ("notas.zip", rows::zipped(&entries.each_ref().map(|(name, bytes)| (*name, &bytes[..]))))
        }
        3 => {
            let mut bytes = Vec::new();
            write_archive(options(400), &mut bytes).unwrap();
            ("portal.zip", bytes)
        }
        5 => ("nfe.ndjson", nfe(JsonForm::Ndjson, 300)),
        6 => ("nfe.json.zst", zstd::encode_all(&nfe(JsonForm::Array, 300)[..], 3).unwrap()),
        7 => {
            // The second entry repeats invoices of the first one, with the same lines or others.
            let entries = [("a.json", nfe(JsonForm::Array, 150)), ("b.ndjson", nfe(JsonForm::Ndjson, 200))];
            ("nfe.zip", rows::zipped(&entries.each_ref().map(|(name, bytes)| (*name, &bytes[..]))))
        }
        _ => {
            let amount = |n: u32| if n % 23 == 5 { "12,3,4".to_owned() } else { format!("{n}.50") };
            let mut dice = fastrand::Rng::with_seed(seed);
            ("retail.csv", rows::retail((0..1_200).map(|n| (dice.u32(..150), dice.u32(1..12), amount(n)))))
        }
    }
}

fn filled(mut generator: Generator) -> Vec<u8> {
    let mut bytes = Vec::new();
    while generator.fill(&mut bytes) {}
    bytes
}

async fn end(place: &Place, outcome: &Outcome) -> End {
    let report = &outcome.report;
    let counts = [report.records_read, report.written, report.superseded, report.rejected];
    (place.items().await, place.rejects(outcome).await, counts)
}

async fn undisturbed(place: &Place, source: &Source) -> End {
    let settings = Settings { block_bytes: 50_000, ..Settings::default() };
    let outcome = place.engine(settings).ingest(source).await.unwrap();
    assert_eq!(outcome.report.state, IngestionState::Completed, "{:?}", outcome.error);
    end(place, &outcome).await
}

fn plan(seed: u64) -> Plan {
    Plan { throttle: 0.01, replay: 0.03, hold: 0.01, hold_ms: 300, ..Plan::rough(seed) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_workers_do_not_change_the_result() {
    let base = Place::new().await;
    let asked = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let until = Instant::now() + Duration::from_secs(asked("NOTAFLUX_CHAOS_SECONDS").unwrap_or(0));
    let (run, met) = (AtomicU64::new(0), Arc::new(Met::default()));
    let more = (asked("NOTAFLUX_CHAOS_FIRST").unwrap_or(SEEDS.end)..).take_while(|_| Instant::now() < until);
    let seeds = SEEDS.chain(more).map(|seed| (seed, seed % KINDS));
    let seeds = REGRESSIONS.into_iter().chain(seeds);
    let seeds = futures::stream::iter(seeds).for_each_concurrent(SEEDS_AT_ONCE, async |(seed, kind)| {
        Box::pin(chaos(&base, kind, seed, &met)).await;
        run.fetch_add(1, Ordering::Relaxed);
    });
    Box::pin(seeds).await;
    println!("{} seeds: {met:?}", run.into_inner());
    // A run without faults would prove nothing.
    for happened in [&met.killed, &met.frozen, &met.handed_over, &met.took_over] {
        assert!(happened.load(Ordering::Relaxed) > 0, "{met:?}");
    }
}

/// Runs one seed.
async fn chaos(base: &Place, kind: u64, seed: u64, met: &Arc<Met>) {
    let (name, bytes) = object(kind, seed);
    let key = format!("{seed}/{name}");
    let s3 = aws::s3_client(&base.config);
    s3.put_object().bucket(UPLOADS_BUCKET).key(&key).body(ByteStream::from(bytes)).send().await.unwrap();
    let source = object::open(s3, UPLOADS_BUCKET, key.as_str(), None).await.unwrap();
    let (calm, place) = (base.another().await, base.another().await);
    for place in [&calm, &place] {
        place.put_layout("retail", rows::RETAIL_LAYOUT).await;
    }
    let expected = undisturbed(&calm, &source).await;
    let queue = Arc::new(Queue::default());
    let endpoint = cloud::start(place.stack.endpoints().aws.clone(), queue.clone()).await;
    let proxy = Proxy::start(&endpoint, plan(seed));
    let event = json!({"Records": [{"eventName": "ObjectCreated:Put", "eventTime": "2026-11-02T10:00:00.000Z",
        "userIdentity": {}, "requestParameters": {}, "s3": {"bucket": {"name": UPLOADS_BUCKET}, "object": {"key": key}}}]});
    queue.send(event.to_string(), 0);

    let began = Instant::now();
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            let (queue, table, bucket) = (queue.clone(), place.table.name.clone(), place.work.clone());
            let (endpoint, met) = (proxy.endpoint(), met.clone());
            tokio::spawn(async move { work(&queue, &table, &bucket, &endpoint, seed * 100 + number, &met).await })
        })
        .collect();
    // Calls that were still under way at the end must change nothing either.
    let outcome = loop {
        let outcome = place.known(&source).await;
        if let Some(outcome) = outcome.filter(|outcome| outcome.report.state.is_end()) {
            break outcome;
        }
        assert!(began.elapsed() < PATIENCE, "seed {seed} (plan {}): no end, {} messages", plan(seed), queue.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    tokio::time::sleep(LEASE).await;
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    proxy.settle().await;
    assert_eq!(outcome.report.state, IngestionState::Completed, "seed {seed}: {:?}", outcome.report.cause);
    let found = end(&place, &outcome).await;
    assert_eq!(found.2, expected.2, "seed {seed} (plan {}): the counts", plan(seed));
    assert!(found.0 == expected.0, "seed {seed} (plan {}): {}", plan(seed), difference(&found.0, &expected.0));
    assert_eq!(found.1, expected.1, "seed {seed} (plan {}): the rejects", plan(seed));
    let hops = place.hops(&outcome.report.ingestion).await;
    met.took_over.fetch_add(hops.iter().map(|hops| hops.saturating_sub(1)).sum(), Ordering::Relaxed);
    // The last answer of a seed hands no work over.
    met.handed_over.fetch_sub(1.min(met.handed_over.load(Ordering::Relaxed)), Ordering::Relaxed);
    println!("seed {seed}: {name}, {:.1} s, {hops:?} hops", began.elapsed().as_secs_f64());
}

fn difference(found: &Items, expected: &Items) -> String {
    let differing = expected.iter().find(|(key, item)| found.get(*key) != Some(*item));
    format!("{} items instead of {}, the first that differs: {differing:?}", found.len(), expected.len())
}

/// Runs a worker that is killed, frozen and restarted until its task is aborted.
async fn work(queue: &Queue, table: &str, bucket: &str, endpoint: &str, seed: u64, met: &Met) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let lease = LEASE.as_millis().to_string();
    let environment = [
        ("TABLE", table),
        ("WORK_BUCKET", bucket),
        ("QUEUE_URL", "http://queue/1/q"),
        ("LEASE_MS", &lease),
        ("CHECKPOINT_MS", "60"),
        ("BLOCK_BYTES", "50000"),
    ];
    let start = || Function::start_at(env!("CARGO_BIN_EXE_suite-ingest"), endpoint, &environment);
    let mut function = start();
    loop {
        let Some(message) = queue.receive(&mut dice) else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if dice.f64() < 0.3 {
            queue.disturb(&mut dice);
        }
        // Enough time for some progress even if every tenth call fails: the ingestion rightly fails after two hops
        // without any.
        let time = Duration::from_millis(dice.u64(2_500..6_000));
        let event = cloud::sqs_event(&message);
        let answer = {
            let invoked = function.invoke_within(&event, time);
            let mut invoked = std::pin::pin!(invoked);
            let monkey = disturb(&function, &mut dice, met);
            tokio::select! {
                answer = &mut invoked => answer,
                () = monkey => invoked.await,
            }
        };
        match answer {
            Some(Ok(response)) if response["batchItemFailures"] == json!([]) => {
                queue.delete(message.receipt);
                met.handed_over.fetch_add(1, Ordering::Relaxed);
            }
            Some(_) => {}
            None => function = start(),
        }
    }
}

/// Kills or freezes a worker some time after its start, or does nothing.
async fn disturb(function: &Function, dice: &mut fastrand::Rng, met: &Met) {
    let later = Duration::from_millis(dice.u64(5..500));
    match dice.u8(..10) {
        0..=2 => {
            tokio::time::sleep(later).await;
            function.signal("KILL");
            met.killed.fetch_add(1, Ordering::Relaxed);
        }
        3..=4 => {
            tokio::time::sleep(later).await;
            let long = LEASE.mul_f64(0.5 + 1.5 * dice.f64());
            function.signal("STOP");
            tokio::time::sleep(long).await;
            function.signal("CONT");
            met.frozen.fetch_add(u64::from(long > LEASE), Ordering::Relaxed);
        }
        _ => {}
    }
}
