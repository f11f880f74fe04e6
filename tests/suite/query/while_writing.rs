//! Lists that are read while an ingestion writes into them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use fastrand::Rng;
use notaflux_engine::Settings;
use notaflux_table::ingestion::IngestionState;

use super::file::Row;
use super::oracle::Invoice;
use crate::support::api;
use crate::support::place::Place;
use crate::support::proxy::Proxy;
use crate::support::rows;

/// Number of invoices from before, and of those that another ingestion adds.
const BEFORE: u32 = 300;
const NEW: u32 = 1_500;
/// Total of the invoices from before, and of those that the other ingestion writes.
const OLD_TOTAL: &str = "1.00";
const NEW_TOTAL: &str = "2.00";

const ISSUER: &str = "33000167000101";
const RECIPIENT: &str = "00394429021965";

/// Returns an invoice of one issuer, one recipient and one month, `minutes` after the start of the month.
fn row(number: u32, minutes: u32, total: &str) -> Row {
    let (day, hour, minute) = (1 + minutes / 1440, minutes / 60 % 24, minutes % 60);
    Row {
        key: rows::key(number),
        model: "55 - NF-E".to_owned(),
        series: (1 + number % 2).to_string(),
        number: number.to_string(),
        issued_at: format!("{day:02}/07/2026 {hour:02}:{minute:02}:00"),
        event: "Cancelamento da NF-e".to_owned(),
        issuer: ISSUER.to_owned(),
        issuer_uf: "SP".to_owned(),
        recipient: RECIPIENT.to_owned(),
        recipient_uf: "SP".to_owned(),
        total: total.replace('.', ","),
    }
}

fn file(rows: &[Row]) -> Vec<u8> {
    rows.iter().fold(rows::header(), |mut file, row| {
        row.append(&mut file);
        file
    })
}

/// Returns the minute in the month of an invoice from before: in the middle of the month, several at the same time.
fn minute_of(number: u32) -> u32 {
    10_000 + number * 7919 % (BEFORE / 2) * 100
}

/// Returns all invoices from before with another total, and new ones: a third before, a third between and a third after
/// them.
fn updates_and_new_ones(dice: &mut Rng) -> Vec<Row> {
    let mut rows: Vec<Row> = (0..BEFORE).map(|number| row(number, minute_of(number), NEW_TOTAL)).collect();
    for number in BEFORE..BEFORE + NEW {
        let minutes = match number % 3 {
            0 => dice.u32(..10_000),
            1 => dice.u32(10_000..25_000),
            _ => dice.u32(25_000..44_640),
        };
        rows.push(row(number, minutes, NEW_TOTAL));
    }
    dice.shuffle(&mut rows);
    rows
}

/// A list that is being read.
struct Walk {
    query: String,
    cursor: Option<String>,
    is_at_end: bool,
    found: Vec<Invoice>,
    /// Number of pages before which a write had happened since the previous page.
    overlapping: usize,
}

impl Walk {
    fn new(query: String) -> Self {
        Self { query, cursor: None, is_at_end: false, found: Vec::new(), overlapping: 0 }
    }

    async fn step(&mut self, router: &Router) {
        let cursor = self.cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = api::get(router, &format!("/v1/invoices?{}{cursor}", self.query)).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        self.found.extend(page["items"].as_array().unwrap().iter().map(Invoice::of_json));
        self.cursor = page.get("next_cursor").map(|cursor| cursor.as_str().unwrap().to_owned());
        self.is_at_end = self.cursor.is_none();
    }

    fn check(&self, before: &BTreeSet<String>) {
        let query = &self.query;
        let in_order = |pair: &[Invoice]| {
            let (a, b) = (pair[0].position(), pair[1].position());
            if query.contains("order=desc") { b < a } else { a < b }
        };
        assert!(self.found.windows(2).all(in_order), "{query}: in order, and nothing twice");
        let found: BTreeSet<&String> = self.found.iter().map(|invoice| &invoice.id).collect();
        let missed: Vec<&String> = before.iter().filter(|id| !found.contains(id)).collect();
        assert!(missed.is_empty(), "{query}: {missed:?}");
        assert!(self.overlapping >= 8, "{query}: only before {} pages had anything been written", self.overlapping);
    }
}

/// Returns the lists that contain all invoices from before, or every other one.
fn walks() -> Vec<Walk> {
    let lists = [
        format!("issuer={ISSUER}&limit=13"),
        format!("issuer={ISSUER}&order=desc&limit=17"),
        format!("recipient={RECIPIENT}&limit=29"),
        "month=2026-07&limit=11".to_owned(),
        "month=2026-07&order=desc&limit=31".to_owned(),
        "status=cancelled&from=2026-07-01&limit=19".to_owned(),
        format!("issuer={ISSUER}&series=2&limit=7"),
        format!("month=2026-07&order=desc&series=2&max_total=2&issuer={ISSUER}&limit=9"),
    ];
    lists.into_iter().map(Walk::new).collect()
}

/// Reads one more page of each list after each write, up to the end of all lists and of the ingestion.
async fn walk_all(router: &Router, proxy: &Proxy, is_written: &AtomicBool) -> Vec<Walk> {
    let mut walks = walks();
    let mut calls = 0;
    while walks.iter().any(|walk| !walk.is_at_end) {
        while proxy.arrivals().len() == calls && !is_written.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for walk in walks.iter_mut().filter(|walk| !walk.is_at_end) {
            let arrived = proxy.arrivals().len();
            walk.overlapping += usize::from(arrived > calls && !is_written.load(Ordering::SeqCst));
            walk.step(router).await;
        }
        calls = proxy.arrivals().len();
    }
    walks
}

#[tokio::test]
async fn a_walk_misses_and_repeats_nothing_while_an_ingestion_writes() {
    let place = Place::new().await;
    let before: Vec<Row> = (0..BEFORE).map(|number| row(number, minute_of(number), OLD_TOTAL)).collect();
    place.ingest(&file(&before), Settings::default()).await;
    let ids = |series: Option<&str>| -> BTreeSet<String> {
        let of_series = before.iter().filter(|row| series.is_none_or(|series| row.series == series));
        of_series.map(|row| row.key.clone()).collect()
    };

    // The proxy delays each call of the writer, and there is one call at a time, so many pages are read during the
    // writes.
    let plan = "hold=1 hold_ms=25 only=BatchWriteItem".parse().unwrap();
    let proxy = Proxy::start(&place.stack.endpoints().aws, plan);
    let slow = place.through(&proxy);
    let source = slow.file(&file(&updates_and_new_ones(&mut Rng::with_seed(7)))).await;
    let router = api::over(&place.stack.dynamodb_config(), &place.table);
    let is_written = AtomicBool::new(false);
    let ingestion = async {
        let settings = Settings { calls_in_flight: 1, ..Settings::default() };
        let outcome = slow.engine(settings).ingest(&source).await.unwrap();
        is_written.store(true, Ordering::SeqCst);
        outcome
    };
    let (outcome, walks) = tokio::join!(ingestion, walk_all(&router, &proxy, &is_written));
    assert_eq!((outcome.report.state, outcome.report.written), (IngestionState::Completed, u64::from(BEFORE + NEW)));

    let mut seen = BTreeMap::<(bool, String), usize>::new();
    for walk in &walks {
        let series = walk.query.contains("series=2").then_some("2");
        walk.check(&ids(series));
        for invoice in &walk.found {
            let is_new = !ids(None).contains(&invoice.id);
            *seen.entry((is_new, invoice.total.clone().unwrap())).or_default() += 1;
        }
    }
    // The walks saw the invoices from before with the old and the new total, and saw some of the new ones.
    let seen: Vec<(bool, &str)> = seen.keys().map(|(is_new, total)| (*is_new, total.as_str())).collect();
    assert_eq!(seen, [(false, OLD_TOTAL), (false, NEW_TOTAL), (true, NEW_TOTAL)]);
}
