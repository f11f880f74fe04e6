//! How many items and read units a page of a list takes. The items have a size at which read units show their number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;

use super::*;
use notaflux_table::item::measure_invoice;

/// Bytes of an item that consumes exactly half a read unit at eventual consistency.
const ITEM_BYTES: usize = 4096;

/// The number of items that each query of a client read.
#[derive(Debug, Clone, Default)]
struct Queries(Arc<Mutex<Vec<usize>>>);

#[dyn_dispatch_hint]
impl Intercept for Queries {
    fn name(&self) -> &'static str {
        "Queries"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.output_or_error().unwrap().downcast_ref::<QueryOutput>().unwrap();
        self.0.lock().unwrap().push(usize::try_from(answer.scanned_count()).unwrap());
        Ok(())
    }
}

/// Returns the number of invoices in each shard.
fn skewed(shards: u16, kind: &str) -> Vec<usize> {
    let count = |shard: u16| match kind {
        "even" => 160 / usize::from(shards),
        "one alone" => usize::from(shard == shards / 2) * 160,
        "two alone" => usize::from(shard < 2) * 80,
        // Each has half as many as the one before it.
        _ => (80 >> shard.min(8)).max(1),
    };
    (0..shards).map(count).collect()
}

/// An invoice whose item has exactly [`ITEM_BYTES`].
fn of_4_kb(id: &str, minute: i64, schema: &Schema) -> Invoice<'static> {
    let of = |padding: usize| Invoice {
        extra: vec![("padding".into(), "x".repeat(padding).into())],
        ..invoice(id.to_owned(), minute, ISSUER)
    };
    let missing = ITEM_BYTES - measure_invoice(&of(0), &SOURCE, schema).unwrap().size_bytes;
    let invoice = of(missing);
    assert_eq!(measure_invoice(&invoice, &SOURCE, schema).unwrap().size_bytes, ITEM_BYTES);
    invoice
}

/// A table of such invoices. Times do not depend on shards; but if `is_layered`, each shard comes after the one before it.
async fn filled(counts: &[usize], is_layered: bool) -> Table {
    // The number of a shard has one digit, so every item has the measured size.
    let shards = u16::try_from(counts.len()).unwrap();
    let table = table(Schema { shards, indexes: IndexSet::parse("issuer").unwrap(), ..Schema::default() }).await;
    let mut random = fastrand::Rng::with_seed(4096);
    let mut left: BTreeMap<u16, usize> = (0..shards).zip(counts.iter().copied()).collect();
    for id in (0_u32..).map(|n| format!("{n:08x}")) {
        if left.values().all(|count| *count == 0) {
            break;
        }
        let shard = keys::shard(&id, shards);
        let count = left.get_mut(&shard).unwrap();
        if *count > 0 {
            *count -= 1;
            let minute = random.i64(0..1_000) + if is_layered { 1_000 * i64::from(shard) } else { 0 };
            put(&table, &of_4_kb(&id, minute, &table.schema)).await;
        }
    }
    table
}

/// Checks the bounds of pages, and keeps how near to the bounds they came.
#[derive(Debug, Default)]
struct Nearest {
    items: f64,
    queries: f64,
}

impl Nearest {
    /// Checks the queries of a page, and the read units that its answer states.
    fn add(&mut self, queries: &[usize], units: f64, limit: usize, shards: usize) {
        let number = |count: usize| f64::from(u32::try_from(count).unwrap());
        let share = |taken: usize, most: usize| {
            assert!(taken <= most, "{queries:?} for a page of {limit} over {shards} shards");
            number(taken) / number(most)
        };
        self.items = self.items.max(share(queries.iter().sum(), 2 * limit + shards));
        self.queries = self.queries.max(share(queries.len(), 2 * shards));
        // A query that finds nothing costs as much as one that finds one item.
        let paid: usize = queries.iter().map(|items| items.max(&1)).sum();
        assert!((2.0 * units - number(paid)).abs() < 1e-9, "{units} read units for {queries:?}");
    }
}

/// Follows the pages of a list and checks the bounds of each. Returns the number of items.
async fn walk(table: &Table, order: &str, limit: usize, nearest: &mut Nearest) -> usize {
    let queries = Queries::default();
    let config = table.client().config().to_builder().interceptor(queries.clone()).build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    let api = api(&table.through(client));
    let (mut found, mut cursor) = (0, String::new());
    loop {
        let page = get(&api, &format!("/v1/invoices?issuer={ISSUER}&order={order}&limit={limit}{cursor}")).await;
        let units = page.headers.get("notaflux-read-units").unwrap().to_str().unwrap().parse().unwrap();
        let queries = std::mem::take(&mut *queries.0.lock().unwrap());
        nearest.add(&queries, units, limit, table.schema.shards.into());
        found += page.body.get("items").unwrap().as_array().unwrap().len();
        match page.body.get("next_cursor") {
            Some(next) => cursor = format!("&cursor={}", next.as_str().unwrap()),
            None => return found,
        }
    }
}

#[tokio::test]
async fn a_page_reads_at_most_twice_its_limit_and_one_item_per_shard() {
    let mut nearest = Nearest::default();
    for (shards, kind, is_layered) in [
        (1, "even", false),
        (3, "even", false),
        (8, "even", false),
        (8, "even", true),
        (8, "one alone", false),
        (8, "two alone", true),
        (10, "halves", false),
        (10, "halves", true),
    ] {
        let counts = skewed(shards, kind);
        let table = filled(&counts, is_layered).await;
        for order in ["asc", "desc"] {
            for limit in [1, 7, 40, 150, 1000] {
                let found = walk(&table, order, limit, &mut nearest).await;
                assert_eq!(found, counts.iter().sum::<usize>(), "{kind} over {shards}, {order} by {limit}");
            }
        }
    }
    // In one shard, a page takes one query, even after a cursor, whose item is read again and skipped.
    let mut alone = Nearest::default();
    walk(&filled(&[160], false).await, "asc", 40, &mut alone).await;
    assert!(alone.queries <= 0.5, "{alone:?}");
    assert!(nearest.items > 0.9 && nearest.queries > 0.8, "the bounds are tight: {nearest:?}");
}
