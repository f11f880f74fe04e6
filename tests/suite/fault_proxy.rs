//! Tests of the fault proxy: an SDK client and the servers see each fault.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_write_item::{BatchWriteItemError, BatchWriteItemOutput};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest, ReturnConsumedCapacity,
    ScalarAttributeType, WriteRequest,
};
use aws_sdk_s3::Client as S3;
use aws_sdk_s3::primitives::ByteStream;
use notaflux_aws::embedded_config;
use notaflux_local::stack::UPLOADS_BUCKET;
use notaflux_local::{Stack, StackOptions};
use proptest::prelude::*;

use crate::support::proxy::plan::{Fault, Plan};
use crate::support::proxy::{Arrival, Proxy, busiest_second};

const TABLE: &str = "invoices";

/// An embedded stack with a proxy, and clients on both sides of the proxy that never retry.
struct Bench {
    _stack: Stack,
    proxy: Proxy,
    table: DynamoDb,
    direct: DynamoDb,
}

impl Bench {
    async fn new(plan: &str) -> Self {
        let stack = Stack::start(StackOptions::default()).unwrap();
        let proxy = Proxy::start(&stack.endpoints().aws, plan.parse().unwrap());
        let direct = DynamoDb::new(&stack.dynamodb_config());
        create_table(&direct).await;
        let table = dynamodb(&proxy);
        Self { _stack: stack, proxy, table, direct }
    }

    async fn write(&self, ids: std::ops::Range<usize>) -> Result<BatchWriteItemOutput, SdkError<BatchWriteItemError>> {
        write(&self.table, ids, "new").await
    }

    /// Returns the ids in the table, and the text written under each.
    async fn stored(&self) -> HashMap<String, String> {
        let items = self.direct.scan().table_name(TABLE).send().await.unwrap().items.unwrap_or_default();
        let text = |item: &HashMap<String, AttributeValue>, name| item[name].as_s().unwrap().clone();
        items.iter().map(|item| (text(item, "PK"), text(item, "text"))).collect()
    }
}

fn dynamodb(proxy: &Proxy) -> DynamoDb {
    let config = aws_sdk_dynamodb::config::Builder::from(&embedded_config(&proxy.endpoint()));
    DynamoDb::from_conf(config.retry_config(RetryConfig::disabled()).build())
}

fn s3(proxy: &Proxy) -> S3 {
    let config = aws_sdk_s3::config::Builder::from(&embedded_config(&proxy.endpoint()));
    S3::from_conf(config.retry_config(RetryConfig::disabled()).build())
}

async fn create_table(client: &DynamoDb) {
    let key = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let attribute = AttributeDefinition::builder().attribute_name("PK").attribute_type(ScalarAttributeType::S).build();
    let table = client.create_table().table_name(TABLE).billing_mode(BillingMode::PayPerRequest);
    let table = table.key_schema(key("PK", KeyType::Hash)).attribute_definitions(attribute.unwrap());
    table.send().await.unwrap();
}

async fn write(
    client: &DynamoDb,
    ids: std::ops::Range<usize>,
    text: &str,
) -> Result<BatchWriteItemOutput, SdkError<BatchWriteItemError>> {
    let requests = ids.map(|id| {
        let put = PutRequest::builder().item("PK", AttributeValue::S(id.to_string()));
        let put = put.item("text", AttributeValue::S(text.to_owned())).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    });
    client.batch_write_item().request_items(TABLE, requests.collect()).send().await
}

fn unprocessed(answer: &BatchWriteItemOutput) -> HashSet<String> {
    let requests = answer.unprocessed_items().into_iter().flat_map(HashMap::values).flatten();
    requests.map(|request| request.put_request().unwrap().item()["PK"].as_s().unwrap().clone()).collect()
}

#[tokio::test]
async fn without_faults_the_proxy_changes_nothing() {
    let bench = Bench::new("seed=1").await;
    assert!(unprocessed(&bench.write(0..25).await.unwrap()).is_empty());
    assert_eq!(bench.stored().await.len(), 25);
    let counters = bench.proxy.counters();
    assert_eq!((counters.calls, counters.by_operation["BatchWriteItem"], counters.faults()), (1, 1, 0));
}

#[tokio::test]
async fn unprocessed_items_are_reported_and_not_written() {
    let bench = Bench::new("seed=2 unprocessed=0.4").await;
    let mut left = HashSet::new();
    for batch in 0..4 {
        left.extend(unprocessed(&bench.write(batch * 25..batch * 25 + 25).await.unwrap()));
    }
    let stored = bench.stored().await;
    assert!((20..60).contains(&left.len()), "{} left", left.len());
    assert_eq!(stored.len() + left.len(), 100);
    assert!(left.iter().all(|id| !stored.contains_key(id)));
    assert_eq!(bench.proxy.counters().unprocessed_items, left.len() as u64);
    assert_eq!(bench.proxy.arrivals().iter().map(|arrival| arrival.items).sum::<usize>(), stored.len());
}

#[tokio::test]
async fn a_batch_with_only_unprocessed_items_is_throttled() {
    let bench = Bench::new("seed=3 unprocessed=1").await;
    bench.write(0..25).await.unwrap_err();
    assert!(bench.stored().await.is_empty());
    assert_eq!(bench.proxy.counters().throttled, 1);
}

#[tokio::test]
async fn throttling_errors_have_both_forms_and_reasons() {
    let bench = Bench::new("seed=4 throttle=1").await;
    let mut codes = HashSet::new();
    for _ in 0..20 {
        let error = bench.write(0..1).await.unwrap_err().into_service_error();
        let reasons = match &error {
            BatchWriteItemError::ProvisionedThroughputExceededException(error) => error.throttling_reasons(),
            BatchWriteItemError::ThrottlingException(error) => error.throttling_reasons(),
            other => panic!("{other:?}"),
        };
        assert!(
            reasons[0].reason().unwrap().starts_with("TableWrite") && reasons[0].resource().unwrap().ends_with(TABLE)
        );
        codes.insert(error.code().unwrap().to_owned());
    }
    assert_eq!(codes.len(), 2);
    assert!(bench.stored().await.is_empty());
}

#[tokio::test]
async fn failures_are_server_errors() {
    let bench = Bench::new("seed=5 error=1").await;
    let mut statuses = HashSet::new();
    for _ in 0..20 {
        let error = bench.write(0..1).await.unwrap_err();
        statuses.insert(error.raw_response().unwrap().status().as_u16());
    }
    assert_eq!(statuses, HashSet::from([500, 503]));
    assert!(bench.stored().await.is_empty());
}

#[tokio::test]
async fn each_cut_happens_at_its_point_of_the_call() {
    for (plan, is_written) in
        [("cut_before=1", false), ("cut_request=1", false), ("cut_after=1", true), ("cut_body=1", true)]
    {
        let bench = Bench::new(plan).await;
        let error = bench.write(0..25).await.unwrap_err();
        assert!(error.as_service_error().is_none(), "{plan}: {error:?}");
        assert_eq!(!bench.stored().await.is_empty(), is_written, "{plan}");
        assert_eq!(bench.proxy.counters().faults(), 1, "{plan}");
    }
}

#[tokio::test]
async fn a_replayed_call_arrives_after_later_calls() {
    let bench = Bench::new("seed=6 replay=1 replay_ms=1 limit=1").await;
    write(&bench.table, 0..5, "old").await.unwrap_err();
    write(&bench.table, 0..5, "old").await.unwrap();
    write(&bench.table, 0..5, "new").await.unwrap();
    bench.proxy.settle().await;
    assert!(bench.stored().await.values().all(|text| text == "old"), "the late call overwrites the newer text");
    assert_eq!(bench.proxy.counters().delivered_late, 1);
}

#[tokio::test]
async fn held_calls_are_slow_and_reach_the_server() {
    let bench = Bench::new("hold=1 hold_ms=300").await;
    let start = Instant::now();
    bench.write(0..5).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    // A client that gives up does not take back its request.
    tokio::time::timeout(Duration::from_millis(50), bench.write(5..10)).await.unwrap_err();
    while bench.stored().await.len() < 10 {
        assert!(start.elapsed() < Duration::from_mins(1), "the request never reaches the server");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.proxy.set_plan("delay=1 delay_ms=5".parse().unwrap());
    bench.write(10..11).await.unwrap();
    assert_eq!((bench.proxy.counters().held, bench.proxy.counters().delayed), (2, 1));
}

#[tokio::test]
async fn a_plan_can_be_limited_to_an_operation_and_a_number_of_calls() {
    let bench = Bench::new("throttle=1 only=BatchWriteItem,PutItem limit=2").await;
    bench.table.describe_table().table_name(TABLE).send().await.unwrap();
    bench.write(0..1).await.unwrap_err();
    bench.write(0..1).await.unwrap_err();
    bench.write(0..1).await.unwrap();
}

#[tokio::test]
async fn signed_objects_pass_and_are_cut_in_the_middle() {
    let bench = Bench::new("seed=7").await;
    let s3 = s3(&bench.proxy);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let put = || s3.put_object().bucket(UPLOADS_BUCKET).key("a b+ç.csv").body(ByteStream::from(bytes.clone())).send();
    let get = || s3.get_object().bucket(UPLOADS_BUCKET).key("a b+ç.csv").send();
    put().await.unwrap();
    assert_eq!(get().await.unwrap().body.collect().await.unwrap().to_vec(), bytes);

    bench.proxy.set_plan("seed=7 cut_body=1 only=GET".parse().unwrap());
    for _ in 0..5 {
        let mut body = get().await.unwrap().body;
        let mut got = Vec::new();
        let ended = loop {
            match body.next().await {
                Some(Ok(part)) => got.extend_from_slice(&part),
                other => break other,
            }
        };
        assert!(ended.is_some(), "a body that ends early must be an error");
        assert!(got.len() < bytes.len() && bytes.starts_with(&got));
    }

    bench.proxy.set_plan("throttle=1".parse().unwrap());
    assert_eq!(get().await.unwrap_err().into_service_error().code(), Some("SlowDown"));
    bench.proxy.set_plan("cut_request=1".parse().unwrap());
    s3.put_object().bucket(UPLOADS_BUCKET).key("new").body(ByteStream::from(bytes.clone())).send().await.unwrap_err();
    bench.proxy.set_plan(Plan::none());
    let head = s3.head_object().bucket(UPLOADS_BUCKET).key("new").send().await;
    assert!(head.unwrap_err().into_service_error().is_not_found(), "a broken upload must store nothing");
}

#[tokio::test]
async fn arrivals_report_write_units_as_the_server_counts_them() {
    let bench = Bench::new("seed=8").await;
    write(&bench.table, 0..3, &"x".repeat(1500)).await.unwrap();
    let put = PutRequest::builder().item("PK", AttributeValue::S("a".into())).build().unwrap();
    let asked = bench.table.batch_write_item().return_consumed_capacity(ReturnConsumedCapacity::Total);
    let requests = vec![WriteRequest::builder().put_request(put).build()];
    asked.request_items(TABLE, requests).send().await.unwrap();
    let units: Vec<_> = bench.proxy.arrivals().iter().map(|arrival| arrival.write_units).collect();
    assert_eq!(units, [6.0, 1.0]);
}

#[test]
fn the_busiest_second_may_begin_at_any_arrival() {
    let start = Instant::now();
    let arrival = |ms, write_units| Arrival { at: start + Duration::from_millis(ms), items: 1, left: 0, write_units };
    let arrivals = [arrival(0, 9.0), arrival(1900, 1.0), arrival(2100, 3.0), arrival(2800, 3.0), arrival(3150, 3.0)];
    assert!((busiest_second(&arrivals, Duration::ZERO) - 9.0).abs() < 1e-9);
    assert!((busiest_second(&arrivals, Duration::from_secs(1)) - 7.0).abs() < 1e-9);
    assert!(busiest_second(&[], Duration::ZERO).abs() < 1e-9);
}

#[test]
fn a_seed_always_gives_the_same_faults() {
    let faults = |seed| -> Vec<Fault> {
        let plan = Plan { throttle: 0.3, cut_body: 0.3, replay: 0.2, replay_ms: 50, ..Plan::rough(seed) };
        (0..200).map(|call| plan.decide(&mut plan.dice(call))).collect()
    };
    assert_eq!(faults(1), faults(1));
    assert_ne!(faults(1), faults(2));
    let throttled = faults(3).iter().filter(|fault| **fault == Fault::Throttle).count();
    assert!((35..85).contains(&throttled), "{throttled} of 200 at a rate of 0.3");
}

#[test]
fn an_invalid_plan_is_refused() {
    assert!("seed".parse::<Plan>().is_err());
    assert!("seed=x".parse::<Plan>().is_err());
    assert!("flood=1".parse::<Plan>().unwrap_err().contains("flood"));
}

proptest! {
    #[test]
    fn a_printed_plan_is_read_back(
        seed: u64,
        unprocessed in 0.0..1.0,
        throttle in 0.0..1.0,
        hold_ms: u64,
        only in proptest::collection::vec("[A-Za-z]{1,8}", 0..3),
        limit: Option<u64>,
    ) {
        let plan = Plan { seed, unprocessed, throttle, hold_ms, only, limit, ..Plan::rough(seed) };
        let line = plan.to_string();
        prop_assert_eq!(line.lines().count(), 1);
        prop_assert_eq!(line.parse::<Plan>().unwrap(), plan);
    }
}
