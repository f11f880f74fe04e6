#![allow(clippy::unwrap_used, reason = "a test may panic to fail")]

use notaflux_records::source::Identity;
use notaflux_table::Schema;

use super::*;
use crate::progress::{MergeCounts, Progress};

const INGESTION: &str = "9f2c";
const OBJECT: &str = "uploads/a.csv";
const UNIT: UnitId = UnitId { phase: Phase::Merge, number: 3 };

/// A ledger with one ingestion, one unit of work and one claim.
async fn ledger() -> Ledger {
    let client = notaflux_testing::dynamodb().await;
    let table = Table::open_or_create(client, "ledger".to_owned(), Schema::default()).await.unwrap();
    let ledger = Ledger::new(table);
    let report = Report::begun(INGESTION.to_owned(), Identity::default());
    let created_at = "2026-11-02T10:00:00Z".to_owned();
    let meta = Meta { rev: 0, report, attempt: 1, created_at, stage: Stage::begun(1), began_ms: (1, 0) };
    assert_eq!(ledger.swap_meta(&meta).await.unwrap(), Swap::Done);
    let unit =
        Unit::untouched(Progress::Merge(MergeCounts::default())).finished(Progress::Merge(MergeCounts::default()));
    assert_eq!(ledger.swap_unit(INGESTION, 1, UNIT, &unit, WriteRetry::Outage).await.unwrap(), Swap::Done);
    let (modified, previous) = ("2026-11-02T10:00:00Z".parse().ok(), Some("8e1b".to_owned()));
    let claim = Claim { rev: 0, ingestion: INGESTION.to_owned(), modified, previous };
    assert_eq!(ledger.swap_claim(OBJECT, &claim).await.unwrap(), Swap::Done);
    ledger
}

/// Puts the item with one attribute changed, or removed, and returns the error of `read`.
async fn error_after<T>(
    ledger: &Ledger,
    key: (&str, &str),
    attribute: &str,
    value: Option<AttributeValue>,
    read: impl AsyncFn() -> Result<T, Error>,
) -> String {
    let table = &ledger.table;
    let get = table.client().get_item().table_name(&table.name);
    let got = get.key("PK", text(key.0)).key("SK", text(key.1)).send().await.unwrap();
    let whole = got.item.unwrap();
    let mut damaged = whole.clone();
    damaged.remove(attribute);
    damaged.extend(value.map(|value| (attribute.to_owned(), value)));
    let put = async |item| table.client().put_item().table_name(&table.name).set_item(Some(item)).send().await.unwrap();
    put(damaged).await;
    let error = read().await.err().unwrap();
    put(whole).await;
    assert!(read().await.is_ok(), "the undamaged item is read without an error");
    assert!(error.is_permanent(), "{error}");
    error.to_string()
}

fn numeral(digits: &str) -> AttributeValue {
    AttributeValue::N(digits.to_owned())
}

#[tokio::test]
async fn a_damaged_attribute_of_a_claim_is_an_error_that_names_item_and_attribute() {
    let ledger = ledger().await;
    let cases = [
        ("rev", None, "expected a whole number from 1, found nothing"),
        ("rev", Some(text("7")), "expected a whole number from 1, found the text \"7\""),
        ("rev", Some(numeral("0")), "expected a whole number from 1, found the number 0"),
        ("rev", Some(numeral("-1")), "expected a whole number from 1, found the number -1"),
        ("rev", Some(numeral("1.5")), "expected a whole number from 1, found the number 1.5"),
        ("ingestion", None, "expected a text, found nothing"),
        ("ingestion", Some(numeral("9")), "expected a text, found the number 9"),
        ("modified", Some(text("yesterday")), "expected a time in RFC 3339, found \"yesterday\""),
        ("modified", Some(AttributeValue::Bool(true)), "expected a text, found a value of another type"),
        ("previous", Some(numeral("9")), "expected a text, found the number 9"),
    ];
    for (attribute, value, expected) in cases {
        let key = (keys::object_pk(OBJECT), OBJECT_SK);
        let error =
            error_after(&ledger, (&key.0, key.1), attribute, value, async || ledger.claim(OBJECT).await.map(drop))
                .await;
        let item = format!("ledger item PK=\"O#uploads/a.csv\" SK=\"O\": {attribute}: {expected}");
        assert!(error.starts_with(&item), "{error}\nexpected: {item}");
    }
}

#[tokio::test]
async fn a_damaged_attribute_of_an_ingestion_is_an_error_that_names_item_and_attribute() {
    let ledger = ledger().await;
    let cases = [
        ("rev", None, "expected a whole number from 1, found nothing"),
        ("attempt", None, "expected a whole number from 1, found nothing"),
        ("attempt", Some(numeral("4294967296")), "expected a whole number from 1, found the number 4294967296"),
        ("created_at", None, "expected a text, found nothing"),
        ("report", None, "expected a text, found nothing"),
        ("report", Some(text("{}")), "expected JSON as this version writes it, found \"{}\""),
        ("work", Some(text("{")), "expected JSON as this version writes it, found \"{\""),
    ];
    for (attribute, value, expected) in cases {
        let key = (keys::ingestion_pk(INGESTION), keys::INGESTION_SK);
        let error =
            error_after(&ledger, (&key.0, key.1), attribute, value, async || ledger.meta(INGESTION).await.map(drop))
                .await;
        let item = format!("ledger item PK=\"J#9f2c\" SK=\"META\": {attribute}: {expected}");
        assert!(error.starts_with(&item), "{error}\nexpected: {item}");
    }
    let listed = ledger.of_month("202611", 10).await.unwrap();
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn a_damaged_unit_is_an_error_that_names_item_and_attribute() {
    let ledger = ledger().await;
    let of_survey = r#"{"rev":1,"hop":0,"done":true,"stalls":0,"progress":{"pass":"settle","block":0}}"#;
    let cases = [
        ("rev", None, "expected a whole number from 1, found nothing"),
        ("rev", Some(numeral("2")), "expected the revision that the attribute unit has, found 2, not 1"),
        ("unit", None, "expected a text, found nothing"),
        (
            "unit",
            Some(text(of_survey)),
            "expected progress of the phase that SK names, found progress of the phase settle",
        ),
    ];
    for (attribute, value, expected) in cases {
        let key = (keys::ingestion_pk(INGESTION), unit_sk(1, UNIT));
        let read = async || {
            let one = ledger.unit(INGESTION, 1, UNIT).await.map(drop);
            let all = ledger.units(INGESTION, 1, Phase::Merge).await.map(drop);
            assert_eq!(one.is_ok(), all.is_ok());
            one.and(all)
        };
        let error = error_after(&ledger, (&key.0, &key.1), attribute, value, read).await;
        let item = format!("ledger item PK=\"J#9f2c\" SK=\"S#0001#merge#000003\": {attribute}: {expected}");
        assert!(error.starts_with(&item), "{error}\nexpected: {item}");
    }
}

#[tokio::test]
async fn an_item_that_must_exist_and_does_not_is_an_error_that_names_it() {
    let ledger = ledger().await;
    let error = ledger.existing_meta("none").await.unwrap_err().to_string();
    assert!(
        error.starts_with("ledger item PK=\"J#none\" SK=\"META\": all attributes: expected an item, found none"),
        "{error}"
    );
    let id = UnitId { number: 4, ..UNIT };
    let error = ledger.existing_unit(INGESTION, 1, id).await.unwrap_err().to_string();
    assert!(error.contains("SK=\"S#0001#merge#000004\""), "{error}");
}
