//! Whole ingestions with every layout: lines and events in the collection of their invoice, user layouts, and the
//! report of `notaflux check` before an ingestion.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use notaflux_aws as aws;
use notaflux_engine::choice::{Named, Rule};
use notaflux_engine::object;
use notaflux_engine::{Choice, Error, Outcome, RejectLimit, Settings};
use notaflux_generate::{GenerateOptions, Generator, PortalFile, write_archive};
use notaflux_layout::Layout;
use notaflux_local::stack::{Stack, StackOptions, UPLOADS_BUCKET};
use notaflux_records::source::Source;
use notaflux_table::ingestion::IngestionState;
use serde_json::Value;

use crate::program;
use crate::support::place::{Items, Place};
use crate::support::proxy::Proxy;
use crate::support::proxy::plan::Plan;
use crate::support::rows;

const OPTIONS: GenerateOptions = GenerateOptions { records: 400, seed: 5, duplicates: 0.2, bad: 0.05, ..DEFAULT };
const DEFAULT: GenerateOptions = GenerateOptions::DEFAULT;

fn settings() -> Settings {
    Settings { block_bytes: 20_000, ..Settings::default() }
}

fn file(which: PortalFile) -> Vec<u8> {
    let (mut generator, mut bytes) = (Generator::of(which, OPTIONS), Vec::new());
    while generator.fill(&mut bytes) {}
    bytes
}

fn archive() -> Vec<u8> {
    let mut bytes = Vec::new();
    write_archive(OPTIONS, &mut bytes).unwrap();
    bytes
}

/// Returns the items without the attributes that name the ingestion.
fn sourceless(mut items: Items) -> Items {
    for item in items.values_mut() {
        item.retain(|name, _| name != "src" && name != "rec");
    }
    items
}

fn counts(outcome: &Outcome) -> [u64; 4] {
    let report = &outcome.report;
    assert_eq!(report.state, IngestionState::Completed, "{:?}", outcome.error);
    [report.records_read, report.written, report.superseded, report.rejected]
}

/// An event is joined with an invoice of the same source before any put; an event of a later source updates the invoice
/// in the table. Both give the same items, and the counts of the archive are the sums over its files.
#[tokio::test]
async fn three_files_in_one_zip_give_the_items_of_the_same_files_in_turn() {
    let (together, apart) = (Place::new().await, Place::new().await);
    let all = together.ingest(&archive(), settings()).await;
    let layouts: Vec<&str> = all.report.entries.iter().map(|entry| entry.layout.as_str()).collect();
    assert_eq!(
        layouts,
        ["portal-invoice", "portal-line", "portal-event"],
        "in this order for any order in the archive"
    );
    let mut sum = [0; 4];
    for which in [PortalFile::Invoices, PortalFile::Lines, PortalFile::Events] {
        let each = counts(&apart.ingest(&file(which), settings()).await);
        sum.iter_mut().zip(each).for_each(|(sum, count)| *sum += count);
    }
    assert_eq!(counts(&all), sum);
    let (together, apart) = (sourceless(together.items().await), sourceless(apart.items().await));
    assert_eq!(together.len(), apart.len());
    for (key, item) in &together {
        assert_eq!(apart.get(key), Some(item), "{key:?}");
    }
    // The events alone cancel some invoices.
    let cancelled = |items: &Items| items.values().filter(|item| item.get("st") == Some(&text("cancelled"))).count();
    let own = Place::new().await;
    own.ingest(&file(PortalFile::Invoices), settings()).await;
    let (with, without) = (cancelled(&together), cancelled(&own.items().await));
    assert!(with > without, "{with} cancelled with the events and {without} without");
}

/// A late retry of the put of an invoice would overwrite an update that followed it, so within one source there are no
/// updates.
#[tokio::test]
async fn an_event_and_its_invoice_in_one_source_need_no_update() {
    let place = Place::new().await;
    let proxy = Proxy::start(&place.stack.endpoints().aws, Plan::none());
    let source = place.file(&archive()).await;
    let outcome = place.through(&proxy).engine(settings()).ingest(&source).await.unwrap();
    assert_eq!(outcome.report.state, IngestionState::Completed, "{:?}", outcome.error);
    let operations = proxy.operations();
    assert!(operations.iter().any(|operation| operation == "BatchWriteItem"));
    assert!(!operations.iter().any(|operation| operation == "UpdateItem"), "{operations:?}");
}

/// For each fixture: records, written, superseded, rejected, and rows that are not records.
#[tokio::test]
async fn fixtures_of_every_layout_are_ingested() {
    for (name, layout, expected) in [
        ("portal-v1-pandas", "portal-invoice", [3, 3, 0, 0, 0]),
        ("portal-lines-v1", "portal-line", [8, 3, 0, 5, 0]),
        ("portal-events", "portal-event", [8, 5, 0, 3, 0]),
        ("mg-notes", "mg-invoice", [3, 3, 0, 0, 0]),
        ("mg-lines", "mg-line", [3, 3, 0, 0, 0]),
        ("sp-nfse", "sp-nfse", [2, 2, 0, 0, 1]),
        ("sped-c100", "sped", [5, 4, 0, 1, 0]),
    ] {
        let place = Place::new().await;
        let bytes = std::fs::read(format!("../fixtures/{name}.csv")).unwrap();
        let outcome = place.ingest(&bytes, settings()).await;
        let [records, written, superseded, rejected] = counts(&outcome);
        assert_eq!(outcome.report.entries[0].layout, layout, "{name}");
        assert_eq!([records, written, superseded, rejected, outcome.report.trailers], expected, "{name}");
    }
}

/// A file that fits no layout: the ingestion fails long before all its rows are stored as rejects.
#[tokio::test]
async fn a_source_with_only_rejects_fails_early() {
    let place = Place::new().await;
    let bytes = [rows::header(), b";\n".repeat(300_000)].concat();
    let cause = place.ingest(&bytes, settings()).await.report.cause.unwrap();
    assert!(cause.contains("100000 of 100000 records") && cause.contains("--max-rejects"), "{cause}");
    let max_rejects = RejectLimit::parse("100%");
    let outcome = place.ingest(&bytes[..200_000 + rows::header().len()], Settings { max_rejects, ..settings() }).await;
    assert_eq!(counts(&outcome), [100_000, 0, 0, 100_000], "a limit of 100% gives all rejects");
}

fn text(value: &str) -> String {
    format!("S({value:?})")
}

/// Rows of lines that repeat their invoice: each line is stored once, and the invoice has the values of its last row.
#[tokio::test]
async fn rows_of_lines_store_their_invoice_once() {
    let place = Place::new().await;
    place.put_layout("retail", rows::RETAIL_LAYOUT).await;
    let mut dice = fastrand::Rng::with_seed(2);
    let given: Vec<(u32, u32, String)> = (0..3_000)
        .map(|n| (dice.u32(..200), dice.u32(1..20), if n % 19 == 4 { "x".to_owned() } else { format!("{n}.50") }))
        .collect();
    let outcome = place.ingest(&rows::retail(given.clone()), settings()).await;
    let (mut lines, mut invoices, mut rejected) = (BTreeMap::new(), BTreeMap::new(), 0);
    for (at, (invoice, line, amount)) in given.into_iter().enumerate() {
        if amount == "x" {
            rejected += 1;
        } else {
            lines.insert((invoice, line), amount);
            invoices.insert(invoice, at);
        }
    }
    let written = lines.len() as u64;
    assert_eq!(counts(&outcome), [3_000, written, 3_000 - written - rejected, rejected]);
    assert_eq!(outcome.report.items_written, written + invoices.len() as u64);
    let items = place.items().await;
    assert_eq!(items.len(), lines.len() + invoices.len());
    for (invoice, at) in invoices {
        let found = items.values().filter(|item| item.get("number") == Some(&text(&invoice.to_string())));
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), 1, "invoice {invoice}");
        assert_eq!(found[0]["op"], text(&format!("row {at}")), "the invoice has the values of its last valid row");
        let id = found[0]["PK"].clone();
        let of_it = items.iter().filter(|((pk, sk), _)| text(pk) == id && sk.starts_with("L#"));
        let of_it: Vec<(String, String)> = of_it.map(|((_, sk), item)| (sk.clone(), item["total"].clone())).collect();
        let expected = lines.range((invoice, 0)..(invoice + 1, 0));
        let expected: Vec<_> = expected.map(|((_, line), amount)| (format!("L#{line:05}"), text(amount))).collect();
        assert_eq!(of_it, expected);
    }
}

async fn object(place: &Place, key: &str, bytes: &[u8], layout: Option<&str>) -> Source {
    let (s3, body) = (aws::s3_client(&place.config), ByteStream::from(bytes.to_vec()));
    let put = s3.put_object().bucket(UPLOADS_BUCKET).key(key).body(body);
    put.set_metadata(layout.map(|name| [("layout".to_owned(), name.to_owned())].into())).send().await.unwrap();
    object::open(s3, UPLOADS_BUCKET, key, None).await.unwrap()
}

/// A header that fits two layouts is an error; metadata, a rule, a name or a file chooses the layout.
#[tokio::test]
async fn a_layout_is_chosen_by_metadata_by_rule_by_name_or_by_file() {
    let place = Place::new().await;
    let other = rows::RETAIL_LAYOUT.replace("\"retail\"", "\"wholesale\"").replace("Memo", "Description");
    place.put_layout("retail", rows::RETAIL_LAYOUT).await;
    place.put_layout("wholesale", &other).await;
    let bytes = rows::retail([(1, 1, "5.00".to_owned())]);
    let told = place.engine(settings()).ingest(&object(&place, "a.csv", &bytes, None).await).await.unwrap();
    let cause = told.report.cause.unwrap();
    assert!(cause.contains("retail, wholesale") && cause.contains("--layout"), "{cause}");

    let with = |layouts: Choice| Settings { layouts, ..settings() };
    let name = |name: &str| Some(Named::Name(name.to_owned()));
    let rules = vec![Rule { prefix: "whole/".to_owned(), layout: "wholesale".to_owned() }];
    for (key, metadata, choice, expected) in [
        ("b.csv", Some("wholesale"), Choice::default(), "wholesale"),
        ("whole/c.csv", None, Choice { rules: rules.clone(), ..Choice::default() }, "wholesale"),
        ("whole/d.csv", Some("retail"), Choice { rules, ..Choice::default() }, "retail"),
        ("e.csv", Some("retail"), Choice { named: name("wholesale"), ..Choice::default() }, "wholesale"),
        (
            "f.csv",
            None,
            Choice { named: Some(Named::File(Arc::new(Layout::parse(&other).unwrap()))), ..Choice::default() },
            "wholesale",
        ),
    ] {
        let source = object(&place, key, &bytes, metadata).await;
        let outcome = place.engine(with(choice)).ingest(&source).await.unwrap();
        assert_eq!(counts(&outcome), [1, 1, 0, 0], "{key}");
        assert_eq!(outcome.report.entries[0].layout, expected, "{key}");
    }
    let source = object(&place, "g.csv", &bytes, Some("nothing")).await;
    let outcome = place.engine(settings()).ingest(&source).await.unwrap();
    let Some(Error::Layout { name, message }) = outcome.error else { panic!("{:?}", outcome.error) };
    assert!(name == "nothing" && message.contains("wholesale"), "{name}: {message}");
}

/// A layout that changes during an ingestion does not change the ingestion: the plan has the text of the layout.
#[tokio::test]
async fn an_ingestion_completes_after_its_user_layout_is_deleted() {
    let place = Place::new().await;
    place.put_layout("retail", rows::RETAIL_LAYOUT).await;
    let rows = (0..4_000).map(|n| (n / 10, n % 10 + 1, format!("{n}.00")));
    let source = object(&place, "a.csv", &rows::retail(rows), None).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let halted = place.engine(settings()).with_stop_signal(notaflux_engine::StopSignal::on(stop.clone()));
    let (outcome, ()) = tokio::join!(halted.ingest(&source), async {
        while place.known(&source).await.is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        stop.cancel();
    });
    assert!(matches!(outcome.unwrap().error, Some(Error::Interrupted { .. })));
    place.put_layout("retail", "name = \"broken").await;
    let outcome = place.engine(settings()).ingest(&source).await.unwrap();
    assert_eq!(counts(&outcome), [4_000, 4_000, 0, 0]);
}

#[tokio::test]
async fn strict_rejects_records_with_warnings() {
    let (lenient, strict) = (Place::new().await, Place::new().await);
    let bytes = rows::file((0..20).map(|n| (rows::key(n), "1,00".to_owned())));
    let warned = lenient.ingest(&bytes, settings()).await.report;
    let layouts = Choice { strict: true, ..Choice::default() };
    let outcome = strict.ingest(&bytes, Settings { layouts, ..settings() }).await;
    let (odd, report) = (warned.warnings.values().max().copied().unwrap(), &outcome.report);
    assert!(odd > 10 && report.rejected >= odd, "{odd} odd, {} rejected", report.rejected);
    assert!(report.warnings.is_empty());
    let reasons: Vec<Value> = strict.rejects(&outcome).await.into_iter().map(|line| line["reason"].clone()).collect();
    assert!(reasons.iter().all(|reason| warned.warnings.contains_key(reason.as_str().unwrap())), "{reasons:?}");
}

fn output(arguments: &[&str]) -> (i32, String, String) {
    let out = program::run(arguments, None);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

/// The counts of `check` are those of `ingest`.
#[test]
fn check_predicts_the_counts_of_ingest() {
    let folder = tempfile::tempdir().unwrap();
    let (path, data) = (folder.path().join("portal.zip"), folder.path().join("data"));
    std::fs::write(&path, archive()).unwrap();
    let (path, data) = (path.to_str().unwrap(), data.to_str().unwrap());
    let (code, checked, _) =
        output(&["check", path, "--json", "--quiet", "--price", "1.25", "--max-write-units", "100"]);
    assert_eq!(code, 0);
    let checked: Value = serde_json::from_str(&checked).unwrap();
    let (code, report, _) = output(&["ingest", path, "--data", data, "--report", "-", "--quiet"]);
    assert_eq!(code, 0);
    let report: Value = serde_json::from_str(&report).unwrap();
    for name in ["records_read", "written", "superseded", "rejected", "bytes_decoded"] {
        assert_eq!(checked[name], report[name], "{name}");
    }
    assert_eq!(checked["items"], report["items_written"]);
    let warned = checked["warnings"].as_array().unwrap().iter();
    let warned: BTreeMap<&str, &Value> =
        warned.map(|kind| (kind["kind"].as_str().unwrap(), &kind["records"])).collect();
    assert_eq!(serde_json::to_value(warned).unwrap(), report["warnings"]);
    let rejects = checked["rejects"].as_array().unwrap();
    assert_eq!(
        rejects.iter().map(|kind| kind["records"].as_u64().unwrap()).sum::<u64>(),
        report["rejected"].as_u64().unwrap()
    );
    assert!(rejects.iter().all(|kind| !kind["examples"].as_array().unwrap().is_empty()));
    // The estimate assumes average superseded records, and a cancelled invoice is in one more index.
    let (expected, found) = (checked["write_units"].as_f64().unwrap(), report["write_units"].as_f64().unwrap());
    assert!((found / expected - 1.0).abs() < 0.1, "{expected} write units expected, {found} taken");
    assert!((checked["price_usd"].as_f64().unwrap() - expected * 1.25 / 1e6).abs() < 1e-9);
    assert_eq!(
        checked["times"][0]["seconds"].as_u64().unwrap(),
        checked["write_units"].as_u64().unwrap().div_ceil(100)
    );
    let (code, text, _) = output(&["check", path, "--quiet"]);
    assert_eq!(code, 0);
    for said in ["202401_NFe_NotaFiscal.csv", "portal-line", "issuer.tax_id", "a new table", "USD"] {
        assert!(text.contains(said) || said.starts_with("2024"), "{said:?} is not in {text}");
    }
}

/// An object in a folder without a running server.
#[tokio::test]
async fn an_object_of_the_embedded_s3_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(StackOptions { data: Some(folder.path().to_owned()), ..StackOptions::default() }).unwrap();
    let (s3, body) = (aws::s3_client(&stack.sdk_config()), ByteStream::from(archive()));
    s3.put_object().bucket(UPLOADS_BUCKET).key("a.zip").body(body).send().await.unwrap();
    drop(stack);
    let object = format!("s3://{UPLOADS_BUCKET}/a.zip");
    let data = folder.path().to_str().unwrap().to_owned();
    let check = move || output(&["check", &object, "--data", &data, "--quiet"]);
    let (code, said, error) = tokio::task::spawn_blocking(check).await.unwrap();
    assert!(code == 0 && said.contains("layout portal-event"), "{said}{error}");
}

#[test]
fn check_reports_missing_columns_and_reads_a_named_layout() {
    let folder = tempfile::tempdir().unwrap();
    let (path, layout) = (folder.path().join("a.csv"), folder.path().join("retail.toml"));
    std::fs::write(&path, rows::retail([(1, 1, "5.00".to_owned())])).unwrap();
    std::fs::write(&layout, rows::RETAIL_LAYOUT).unwrap();
    let (path, layout) = (path.to_str().unwrap(), layout.to_str().unwrap());
    let (code, _, said) = output(&["check", path, "--quiet"]);
    assert!(code == 1 && said.contains("matches no layout"), "{said}");
    let (code, said, _) = output(&["check", path, "--quiet", "--layout", layout]);
    assert!(code == 0 && said.contains("1 records = 1 to write") && said.contains("line.total"), "{said}");
    std::fs::write(layout, rows::RETAIL_LAYOUT.replace("[invoice]", "[invoices]")).unwrap();
    let (code, _, said) = output(&["check", path, "--quiet", "--layout", layout]);
    assert!(code == 1 && said.contains("line ") && said.contains("invoices"), "{said}");
    let (code, said, _) = output(&["layouts"]);
    assert!(code == 0 && said.contains("portal-invoice") && said.contains("sp-nfse"), "{said}");
    let (code, said, _) = output(&["layouts", "show", "portal-event"]);
    assert!(code == 0 && Layout::parse(&said).is_ok());
    let (code, _, said) = output(&["layouts", "show", "nothing"]);
    assert!(code == 1 && said.contains("mg-invoice"), "{said}");
}
