//! Ingestions that are interrupted, run out of time, are superseded by a newer version, or have many workers.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use futures::StreamExt;
use notaflux_aws as aws;
use notaflux_engine::event::Created;
use notaflux_engine::ledger::{Claim, Ledger, Swap, WriteRetry};
use notaflux_engine::local_queue::{LocalQueue, Message};
use notaflux_engine::machine::{Lease, Phase, Unit, UnitId};
use notaflux_engine::object;
use notaflux_engine::progress::Progress;
use notaflux_engine::queue::Delivery;
use notaflux_engine::{Error, Settings, StopSignal, Worked, consume, ingestion_id};
use notaflux_local::stack::UPLOADS_BUCKET;
use notaflux_records::file;
use notaflux_records::source::Source;
use notaflux_table::ingestion::IngestionState;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::program::{self, Program};
use crate::support::place::Place;
use crate::support::proxy::Proxy;
use crate::support::proxy::plan::Plan;
use crate::support::rows;

/// Returns settings with short times, so that the lease of a dead worker ends soon.
fn hasty() -> Settings {
    Settings {
        lease: Duration::from_millis(200),
        checkpoint_pace: Duration::from_millis(10),
        block_bytes: 50_000,
        calls_in_flight: 4,
        ..Settings::default()
    }
}

/// Returns the same settings with a longer lease: a busy machine does not renew a lease of 200 ms in time.
fn steady() -> Settings {
    Settings { lease: Duration::from_secs(30), ..hasty() }
}

fn sample(rows: u32) -> Vec<u8> {
    let total = |n: u32| if n % 17 == 3 { "12,3,4".to_owned() } else { format!("{n},00") };
    rows::file((0..rows).map(|n| (rows::key(n * 7919 % (rows * 4 / 5)), total(n))))
}

fn calls(operations: &[String]) -> usize {
    operations.iter().filter(|operation| *operation == "BatchWriteItem").count()
}

/// Largest number of items in a call.
const ITEMS_A_CALL: u64 = 25;

/// Returns the number of acknowledged items according to the ledger.
async fn recorded_items(place: &Place, source: &Source) -> u64 {
    let ingestion = ingestion_id(source.identity());
    let units = Ledger::new(place.table.clone()).units(&ingestion, 1, Phase::Write).await.unwrap();
    let items = |unit: &Unit| if let Progress::Write { put, .. } = unit.progress { put.items } else { 0 };
    units.values().map(items).sum()
}

/// Half of the interruptions are requests to stop, after which nothing is repeated. The others are sudden: then the
/// calls since the last checkpoint, and those in flight at it, are repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interruption_at_any_moment_repeats_at_most_one_checkpoint_interval() {
    let calm = Place::new().await;
    let source = calm.file(&sample(900)).await;
    let proxy = Proxy::start(&calm.stack.endpoints().aws, HELD.parse().unwrap());
    let undisturbed = calm.through(&proxy).engine(steady()).ingest(&source).await.unwrap();
    let (expected, needed) = (calm.items().await, usize::try_from(undisturbed.report.calls).unwrap());
    let all_calls = proxy.counters().calls;
    let mut dice = fastrand::Rng::with_seed(4);
    let moments: Vec<_> = (0..100).map(|_| (dice.u64(1..all_calls), dice.u64(0..6))).collect();
    let places = futures::stream::iter(moments.into_iter().enumerate()).map(async |(moment, (call, ms))| {
        let place = calm.another().await;
        let is_asked = moment % 2 == 0;
        let found = Box::pin(interrupted(&place, &source, is_asked, call, ms)).await;
        assert_eq!(place.items().await, expected, "moment {moment}");
        let allowed = found.needed_after + 1;
        assert!(found.after <= allowed, "moment {moment}: {} calls, {allowed} allowed", found.after);
        let all = found.before + found.after;
        assert!(!is_asked || all <= needed + 1, "moment {moment}: {all} calls, {needed} needed");
        (is_asked, found)
    });
    let found: Vec<_> = places.buffer_unordered(AT_ONCE).collect().await;
    let killed = || found.iter().filter(|(is_asked, _)| !is_asked).map(|(_, found)| found);
    let repeated: usize = killed().map(|found| (found.before + found.after).saturating_sub(needed)).sum();
    // A bound on the sum, because one slow call delays one checkpoint.
    let in_an_interval: usize = killed().map(|found| found.in_an_interval).sum();
    assert!(repeated <= in_an_interval, "{repeated} calls repeated, {in_an_interval} between two checkpoints");
    let stopped = found.iter().filter(|(_, found)| found.ended_early).count();
    let in_write = found.iter().filter(|(_, found)| found.ended_early && found.before > 0).count();
    assert!(stopped > 50 && in_write > 20, "{stopped} interrupted, {in_write} while they wrote");
}

/// Each call takes a little time, so that an interruption meets calls in flight.
const HELD: &str = "hold=1 hold_ms=3";
/// Ingestions at one time.
const AT_ONCE: usize = 4;

/// Calls that wrote items, before and after an interruption.
struct Interrupted {
    ended_early: bool,
    before: usize,
    after: usize,
    /// Calls for the items after the last checkpoint.
    needed_after: usize,
    /// Calls that may be repeated after a sudden interruption.
    in_an_interval: usize,
}

/// Interrupts an ingestion `ms` milliseconds after its call number `call`, and runs it again to its end.
async fn interrupted(place: &Place, source: &Source, is_asked: bool, call: u64, ms: u64) -> Interrupted {
    let proxy = Proxy::start(&place.stack.endpoints().aws, HELD.parse().unwrap());
    let through = place.through(&proxy);
    let stop = CancellationToken::new();
    // The lease of a killed process has to end by itself.
    let settings = if is_asked { steady() } else { hasty() };
    let engine = through.engine(settings).with_stop_signal(StopSignal::on(stop.clone()));
    let moment = async {
        while proxy.counters().calls < call {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(ms)).await;
    };
    let ended_early = {
        let mut ingest = std::pin::pin!(engine.ingest(source));
        tokio::select! {
            outcome = &mut ingest => { outcome.unwrap(); false }
            () = moment => {
                stop.cancel();
                // Dropping the future at any point is like killing a process.
                !is_asked || matches!(ingest.await.unwrap().error, Some(Error::Interrupted { .. }))
            }
        }
    };
    // Calls that a killed process has sent still arrive.
    tokio::time::sleep(Duration::from_millis(50)).await;
    proxy.settle().await;
    let before = proxy.operations();
    let recorded = recorded_items(place, source).await;
    let outcome = through.engine(steady()).ingest(source).await.unwrap();
    assert_eq!(outcome.report.state, IngestionState::Completed, "{:?}", outcome.error);
    assert_eq!(outcome.report.items_written, outcome.report.written, "each item is counted once");
    let left = outcome.report.written - recorded;
    // Every put of a single item belongs to the ledger, and the last one may not have completed.
    let checkpoints = before.iter().enumerate().rev().filter(|(_, operation)| *operation == "PutItem");
    let checkpoint = checkpoints.map(|(at, _)| at).nth(1).unwrap_or(0);
    Interrupted {
        ended_early,
        before: calls(&before),
        after: calls(&proxy.operations()) - calls(&before),
        needed_after: usize::try_from(left.div_ceil(ITEMS_A_CALL)).unwrap(),
        in_an_interval: calls(&before[checkpoint..]) + 2 * hasty().calls_in_flight + 1,
    }
}

#[tokio::test]
async fn remaining_work_is_queued_before_the_message_is_deleted() {
    let place = Place::new().await;
    let s3 = aws::s3_client(&place.config);
    let body = ByteStream::from(sample(2_000));
    s3.put_object().bucket(UPLOADS_BUCKET).key("a.csv").body(body).send().await.unwrap();
    let created = Created { bucket: UPLOADS_BUCKET.to_owned(), key: "a.csv".to_owned(), version_id: None };
    let queue = LocalQueue::default();
    queue.add_created(UPLOADS_BUCKET, created.key.clone());
    let settings = || Settings { max_write_units: NonZeroU32::new(2_000), ..hasty() };
    let (mut hops, mut completed) = (0, None);
    while completed.is_none() {
        let received = tokio::time::timeout(Duration::from_mins(1), queue.receive()).await;
        let received = received.expect("the remaining work has a message");
        let engine = place
            .engine(settings())
            .with_stop_signal(StopSignal::default().at(Instant::now() + Duration::from_millis(700)));
        let delivery = Some(Delivery { queue: &queue, receipt: &received.receipt });
        completed = match &received.message {
            Message::Created(object) => consume::created(&engine, &s3, object, delivery).await.unwrap(),
            Message::Task(task) => consume::task(&engine, &s3, task, delivery).await.unwrap(),
        };
        queue.delete(&received.receipt);
        hops += 1;
    }
    let report = completed.unwrap().report;
    assert_eq!((report.state, report.records_read), (IngestionState::Completed, 2_000));
    assert!(hops > 3, "{hops} hops are too few to show anything");
}

#[tokio::test]
async fn a_source_with_too_little_time_fails_with_advice() {
    let place = Place::new().await;
    let source = place.file(&sample(120_000)).await;
    // One block takes longer than the time of a worker, which is enough to begin.
    let settings = || Settings { block_bytes: 1 << 40, ..hasty() };
    let mut hops = 0;
    let outcome = loop {
        hops += 1;
        let engine = place
            .engine(settings())
            .with_stop_signal(StopSignal::default().at(Instant::now() + Duration::from_millis(150)));
        match engine.work_on(&source, None).await.unwrap() {
            Worked::Over(outcome) => break outcome,
            Worked::Paused { .. } | Worked::Busy { .. } if hops < 200 => {}
            other => panic!("{other:?}"),
        }
    };
    let cause = outcome.report.cause.unwrap();
    assert_eq!(outcome.report.state, IngestionState::Failed);
    assert!(hops >= 2, "one hop without progress proves nothing");
    assert!(cause.contains("longer time limit") && cause.contains("notaflux ingest"), "{cause}");
}

/// Starts workers that handle the messages of the queue until they are stopped.
fn workers(
    place: &Place,
    queue: &Arc<LocalQueue>,
    count: u32,
    settings: &Settings,
) -> Vec<tokio::task::JoinHandle<()>> {
    let start = |_| {
        let (queue, engine, s3) = (queue.clone(), place.engine(settings.clone()), aws::s3_client(&place.config));
        tokio::task::spawn_local(async move {
            loop {
                let received = queue.receive().await;
                let delivery = Some(Delivery { queue: &*queue, receipt: &received.receipt });
                let done = match &received.message {
                    Message::Created(object) => consume::created(&engine, &s3, object, delivery).await,
                    Message::Task(task) => consume::task(&engine, &s3, task, delivery).await,
                };
                done.unwrap();
                queue.delete(&received.receipt);
            }
        })
    };
    (0..count).map(start).collect()
}

async fn put(place: &Place, queue: &LocalQueue, key: &str, bytes: Vec<u8>) -> Source {
    let s3 = aws::s3_client(&place.config);
    s3.put_object().bucket(UPLOADS_BUCKET).key(key).body(ByteStream::from(bytes)).send().await.unwrap();
    queue.add_created(UPLOADS_BUCKET, key.to_owned());
    object::open(s3, UPLOADS_BUCKET, key, None).await.unwrap()
}

async fn state(place: &Place, source: &Source) -> Option<IngestionState> {
    place.known(source).await.map(|outcome| outcome.report.state)
}

async fn until(place: &Place, source: &Source, wanted: IngestionState) {
    let began = Instant::now();
    while state(place, source).await != Some(wanted) {
        assert!(began.elapsed() < Duration::from_mins(1), "{:?} instead of {wanted:?}", state(place, source).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn four_workers_complete_twenty_objects() {
    Box::pin(tokio::task::LocalSet::new().run_until(twenty_objects())).await;
}

async fn twenty_objects() {
    let place = Place::new().await;
    let queue = Arc::new(LocalQueue::default());
    let mut sources = Vec::new();
    for n in 0..20_u32 {
        let rows = (0..50).map(|row| (rows::key(n * 50 + row), "1,00".to_owned()));
        sources.push(put(&place, &queue, &format!("{n}.csv"), rows::file(rows)).await);
    }
    let workers = workers(&place, &queue, 4, &Settings::default());
    for source in &sources {
        until(&place, source, IngestionState::Completed).await;
    }
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(place.items().await.len(), 20 * 50);
}

#[tokio::test]
async fn the_last_version_of_an_object_overwritten_during_reading_is_ingested() {
    Box::pin(tokio::task::LocalSet::new().run_until(three_versions())).await;
}

async fn three_versions() {
    let place = Place::new().await;
    let queue = Arc::new(LocalQueue::default());
    let version = |total: &str| rows::file((0..900).map(|n| (rows::key(n), format!("{total},00"))));
    let settings = Settings { max_write_units: NonZeroU32::new(1_500), ..hasty() };
    let workers = workers(&place, &queue, 2, &settings);
    let first = put(&place, &queue, "a.csv", version("1")).await;
    until(&place, &first, IngestionState::Writing).await;
    let second = put(&place, &queue, "a.csv", version("22")).await;
    let third = put(&place, &queue, "a.csv", version("333")).await;
    until(&place, &third, IngestionState::Completed).await;
    until(&place, &first, IngestionState::Superseded).await;
    // The version in between is not completed, whether or not a worker saw it in time.
    assert!(matches!(state(&place, &second).await, None | Some(IngestionState::Superseded)));
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    let items = place.items().await;
    assert_eq!(items.len(), 900);
    assert!(items.values().all(|item| item["total"] == "S(\"333.00\")"), "{:?}", items.values().next());
}

#[tokio::test]
async fn a_cancelled_ingestion_stops_and_the_next_one_starts_from_the_beginning() {
    let place = Place::new().await;
    let source = place.file(&sample(2_000)).await;
    let settings = Settings { max_write_units: NonZeroU32::new(500), ..hasty() };
    let engine = place.engine(settings);
    let (outcome, cancelled) = tokio::join!(engine.ingest(&source), async {
        until(&place, &source, IngestionState::Writing).await;
        let ingestion = place.known(&source).await.unwrap().report.ingestion;
        engine.cancel(&ingestion).await.unwrap().unwrap().state
    });
    assert_eq!(cancelled, IngestionState::Cancelled);
    let error = outcome.unwrap().error.unwrap();
    assert!(matches!(error, Error::NotCompleted { state: IngestionState::Cancelled, .. }), "{error}");
    let again = place.engine(hasty()).ingest(&source).await.unwrap();
    assert_eq!((again.report.state, again.report.records_read), (IngestionState::Completed, 2_000));
}

#[tokio::test]
async fn a_ledger_write_over_another_revision_is_lost() {
    let place = Place::new().await;
    let ledger = Ledger::new(place.table.clone());
    let claim = |rev, ingestion: &str| Claim { rev, ingestion: ingestion.to_owned(), modified: None, previous: None };
    assert_eq!(ledger.swap_claim("a", &claim(0, "one")).await.unwrap(), Swap::Done);
    assert_eq!(ledger.swap_claim("a", &claim(0, "two")).await.unwrap(), Swap::Lost);
    assert_eq!(ledger.swap_claim("a", &claim(1, "three")).await.unwrap(), Swap::Done);
    assert_eq!(ledger.swap_claim("a", &claim(1, "late")).await.unwrap(), Swap::Lost, "a late retry changes nothing");
    assert_eq!(ledger.claim("a").await.unwrap(), Some(claim(2, "three")));

    // Two workers try to lease a unit that both have read. One of them gets it, and the checkpoint of the other changes
    // nothing.
    let id = UnitId { phase: Phase::Finalize, number: 0 };
    let lease = |holder: &str| Lease { holder: holder.to_owned(), until_ms: u64::MAX };
    let untouched = Unit::untouched(Progress::Finalize { block: 0 });
    let [first, second] = ["first", "second"].map(|holder| untouched.leased(lease(holder), 0).unwrap());
    let swap = async |unit: &Unit| ledger.swap_unit("i", 1, id, unit, WriteRetry::Never).await.unwrap();
    assert_eq!(swap(&first).await, Swap::Done);
    assert_eq!(swap(&second).await, Swap::Lost);
    assert_eq!(swap(&first.renewed(Progress::Finalize { block: 5 }, u64::MAX)).await, Swap::Done);
    assert_eq!(swap(&second.renewed(Progress::Finalize { block: 9 }, u64::MAX)).await, Swap::Lost);
    let there = ledger.unit("i", 1, id).await.unwrap().unwrap();
    assert_eq!((there.progress, there.is_hop_of(&first)), (Progress::Finalize { block: 5 }, true));
}

/// A worker that was frozen past its lease sends nothing more: other workers may have written since.
#[tokio::test]
async fn nothing_is_put_after_the_lease_has_ended() {
    let place = Place::new().await;
    let source = place.file(&sample(1_500)).await;
    let proxy = Proxy::start(&place.stack.endpoints().aws, Plan::none());
    // The lease is never renewed, and the table is so slow that the work takes longer.
    let settings = Settings {
        checkpoint_pace: Duration::from_hours(1),
        lease: Duration::from_millis(300),
        max_write_units: NonZeroU32::new(1_000),
        ..hasty()
    };
    let engine = place
        .through(&proxy)
        .engine(settings)
        .with_stop_signal(StopSignal::default().at(Instant::now() + Duration::from_secs(4)));
    let outcome = engine.ingest(&source).await.unwrap();
    assert!(!matches!(outcome.error, Some(Error::Write(_))), "{:?}", outcome.error);
    let operations = proxy.operations();
    // Each lease is followed by the lease of the next hop, and has no more calls than fit in its time.
    let longest = operations.split(|operation| operation == "PutItem").map(calls).max().unwrap();
    assert!(calls(&operations) > longest && longest < 25, "{longest} calls within one lease");
}

/// A newer version claims the object while the older one is being planned: the older one notices this before it begins.
#[tokio::test]
async fn a_version_that_loses_its_claim_while_it_is_planned_does_not_begin() {
    let place = Place::new().await;
    let source = place.file(&sample(100)).await;
    let ledger = Ledger::new(place.table.clone());
    let proxy = Proxy::start(&place.stack.endpoints().aws, "hold=1 hold_ms=400 only=PUT".parse().unwrap());
    let engine = place.through(&proxy).engine(Settings::default());
    let name = source.identity().name();
    let (outcome, ()) = tokio::join!(engine.ingest(&source), async {
        let began = Instant::now();
        let held = loop {
            assert!(began.elapsed() < Duration::from_mins(1), "no worker claims the object in time");
            // At this point the plan is being stored.
            if proxy.counters().held > 0 {
                break ledger.claim(&name).await.unwrap().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let newer = Claim { ingestion: "newer".to_owned(), ..held };
        assert_eq!(ledger.swap_claim(&name, &newer).await.unwrap(), Swap::Done);
    });
    let outcome = outcome.unwrap();
    assert_eq!(outcome.report.state, IngestionState::Superseded, "{:?}", outcome.error);
    assert!(place.items().await.is_empty());
}

/// An older version of a file that comes back with its old time is ingested again, because another version was there
/// meanwhile.
#[tokio::test]
async fn a_version_that_comes_back_is_ingested_again() {
    let place = Place::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notas.csv");
    let put = |total: &str, second: u64| {
        let file = std::fs::File::create(&path).unwrap();
        std::fs::write(&path, rows::file([(rows::key(1), format!("{total},00"))])).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
    };
    for (total, second) in [("1", 1_000), ("2", 2_000), ("1", 1_000)] {
        put(total, second);
        let outcome = place.engine(hasty()).ingest(&file::open(&path).await.unwrap()).await.unwrap();
        assert_eq!((outcome.report.state, outcome.repeated), (IngestionState::Completed, false));
        let items = place.items().await;
        assert_eq!(items.values().next().unwrap()["total"], format!("S(\"{total}.00\")"));
    }
    let again = place.engine(hasty()).ingest(&file::open(&path).await.unwrap()).await.unwrap();
    assert!(again.repeated);
}

/// The command itself, interrupted by a signal and started again, and the output of the commands about ingestions.
#[test]
fn the_same_command_resumes_the_ingestion() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("notas.csv"), folder.path().join("data"));
    std::fs::write(&file, sample(4_000)).unwrap();
    let (file, data) = (file.to_str().unwrap(), data.to_str().unwrap());
    let output = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    for (name, signal, code) in [("first", "INT", Some(130)), ("second", "KILL", None), ("third", "TERM", Some(130))] {
        let slow = ["ingest", file, "--data", data, "--max-write-units", "700"];
        let mut ingest = Program::start(program::notaflux(&slow, None), folder.path(), name);
        program::wait_until("it writes", || output(&format!("{name}.err")).contains(": write "));
        std::thread::park_timeout(Duration::from_millis(1_500));
        ingest.signal(signal);
        assert_eq!(ingest.ended().code(), code);
    }
    assert!(output("third.err").contains("resumes the write after record "), "{}", output("third.err"));

    let listed = program::run(&["ingestions", "--data", data], None);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(" writing ") && listed.contains("notas.csv"), "{listed}");
    let id = listed.split_whitespace().next().unwrap();
    let shown = program::run(&["ingestions", "show", id, "--data", data], None);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("survey 0") && shown.contains("write 0"), "{shown}");

    let last = program::run(&["ingest", file, "--data", data], None);
    assert!(String::from_utf8(last.stdout).unwrap().contains("completed"));
    let over = program::run(&["ingestions", "cancel", id, "--data", data], None);
    assert_eq!(over.status.code(), Some(1));
    assert!(String::from_utf8(over.stderr).unwrap().contains("already completed"));
}
