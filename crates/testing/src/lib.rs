//! Test data that the unit tests of several crates share, DynamoDB items as the SDK has them, and an embedded DynamoDB.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "only tests use this crate, and a failed test may panic"
)]

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use notaflux_invoice::line::LINE_NUMBER_LIMIT;
use notaflux_invoice::{
    AccessKey, Decimal, Event, EventKind, Invoice, Line, LineKey, Party, Status, TaxId, TaxIdColumn, TaxIdKind,
    Timestamp, Warning,
};

pub const EXAMPLE_KEY: &str = "31191108676370000155550010000070831000062423";

/// Returns the example invoice.
pub fn example() -> Invoice<'static> {
    let text = |text: &'static str| Some(Cow::Borrowed(text));
    let tax_id = |text: &str| Some(TaxId::parse(text, TaxIdColumn::Cnpj).unwrap());
    Invoice {
        id: EXAMPLE_KEY.into(),
        access_key: Some(AccessKey::parse(EXAMPLE_KEY).unwrap()),
        model: text("55"),
        series: text("1"),
        number: text("7083"),
        operation: text("VENDA DE MERCADORIA ADQUIRIDA"),
        issued_at: Timestamp::from_plain("2019-11-12T00:00:00").unwrap(),
        issuer: Party {
            tax_id: tax_id("08676370000155"),
            name: text("DIST. DE MEDICAMENTOS PRO SAUDE LTD"),
            state_registration: text("10428180043"),
            uf: text("MG"),
            city: text("UBERLANDIA"),
        },
        recipient: Some(Party {
            tax_id: tax_id("09579964000291"),
            name: text("HOSP GERAL DE CURITIBA"),
            uf: text("PR"),
            ..Party::default()
        }),
        status: Status::Authorized,
        status_text: text("Autorização de Uso"),
        status_at: Timestamp::from_plain("2019-11-12T13:01:52"),
        total: Decimal::from_plain("2040.00"),
        currency: "BRL".into(),
        line_count: None,
        extra: vec![("final_consumer".into(), "1 - CONSUMIDOR FINAL".into())],
        warnings: Vec::new(),
    }
}

/// Returns the only line of [`example`].
pub fn example_line() -> Line<'static> {
    let text = |text: &'static str| Some(Cow::Borrowed(text));
    Line {
        invoice: EXAMPLE_KEY.into(),
        key: LineKey::Number(1),
        code: text("7891"),
        description: text("SORO FISIOLÓGICO"),
        ncm: text("30049099"),
        cfop: text("6102"),
        quantity: Decimal::from_plain("100.0000"),
        unit: text("FR"),
        unit_price: Decimal::from_plain("20.4000"),
        total: Decimal::from_plain("2040.00"),
        extra: vec![("ncm_text".into(), "Outros".into())],
        warnings: Vec::new(),
    }
}

/// Returns the cancellation of [`example`], a day later.
pub fn example_event() -> Event<'static> {
    let text = |text: &'static str| Some(Cow::Borrowed(text));
    Event {
        invoice: EXAMPLE_KEY.into(),
        at: Timestamp::from_plain("2019-11-13T08:09:10-03:00").unwrap(),
        kind: EventKind::Cancellation,
        code: "110111".try_into().unwrap(),
        text: text("Cancelamento da NF-e"),
        description: text("Cancelamento"),
        reason: text("ERRO DE PREÇO"),
    }
}

fn any_text() -> impl Strategy<Value = Option<Cow<'static, str>>> {
    option::of(prop_oneof!["[A-Z0-9 ]{0,12}", any::<String>()].prop_map(Cow::Owned))
}

fn any_timestamp() -> impl Strategy<Value = Timestamp> {
    let date = (1_i16..=9999, 1_i8..=12, 1_i8..=28);
    let time = (0_i8..24, 0_i8..60, 0_i8..60);
    (date, time, option::of(-1439_i32..=1439)).prop_map(|((year, month, day), (hour, minute, second), minutes)| {
        let offset = minutes.map(|minutes| Offset::from_seconds(minutes * 60).unwrap());
        Timestamp { local: DateTime::new(year, month, day, hour, minute, second, 0).unwrap(), offset }
    })
}

fn any_tax_id() -> impl Strategy<Value = TaxId> {
    let text =
        prop_oneof!["[0-9]{14}", "[0-9]{11}", "[0-9A-Z]{12}[0-9]{2}", r"\*{3}\.[0-9]{3}\.[0-9]{3}-\*\*", "[ -~]{1,20}"];
    let kind = select(vec![TaxIdKind::Cnpj, TaxIdKind::Cpf, TaxIdKind::Masked, TaxIdKind::Other]);
    // Mostly the kind that follows from the text, and sometimes another.
    (text, kind, any::<u8>()).prop_map(|(text, kind, chance)| {
        let kind = if chance < 200 { TaxId::kind_of(&text) } else { kind };
        TaxId { text: text.as_str().try_into().unwrap(), kind }
    })
}

fn any_party() -> impl Strategy<Value = Party<'static>> {
    let texts = (any_text(), any_text(), any_text(), any_text());
    (option::of(any_tax_id()), texts).prop_map(|(tax_id, (name, state_registration, uf, city))| Party {
        tax_id,
        name,
        state_registration,
        uf,
        city,
    })
}

fn any_decimal() -> impl Strategy<Value = Option<Decimal>> {
    option::of("-?[0-9]{1,20}(\\.[0-9]{1,8})?".prop_map(|text| Decimal::from_plain(&text).unwrap()))
}

/// Generates further columns with different names, in their order.
fn any_extra() -> impl Strategy<Value = Vec<(Cow<'static, str>, Cow<'static, str>)>> {
    let columns = btree_map(".{1,20}", any::<String>(), 0..4);
    columns.prop_map(|columns| columns.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
}

fn any_id() -> impl Strategy<Value = String> {
    prop_oneof![Just(EXAMPLE_KEY.to_owned()), "[0-9a-f]{32}", "[ -~é\\PC]{1,40}"]
}

/// Generates any line that the table can store.
pub fn any_line() -> impl Strategy<Value = Line<'static>> {
    let key = prop_oneof![
        (1..=LINE_NUMBER_LIMIT).prop_map(LineKey::Number),
        ".{0,40}".prop_map(|text| LineKey::Natural(text.into())),
    ];
    let texts = (any_text(), any_text(), any_text(), any_text(), any_text());
    let amounts = (any_decimal(), any_decimal(), any_decimal());
    (any_id(), key, texts, amounts, any_extra(), vec(select(Warning::ALL.to_vec()), 0..3)).prop_map(
        |(invoice, key, texts, (quantity, unit_price, total), extra, warnings)| {
            let (code, description, ncm, cfop, unit) = texts;
            let invoice = invoice.into();
            Line { invoice, key, code, description, ncm, cfop, quantity, unit, unit_price, total, extra, warnings }
        },
    )
}

/// Generates any event.
pub fn any_event() -> impl Strategy<Value = Event<'static>> {
    let code = "[0-9]{6}|x[0-9a-f]{15}";
    let texts = (any_text(), any_text(), any_text());
    (any_id(), any_timestamp(), select(EventKind::ALL.to_vec()), code, texts).prop_map(
        |(invoice, at, kind, code, (text, description, reason))| {
            let code = code.as_str().try_into().unwrap();
            Event { invoice: invoice.into(), at, kind, code, text, description, reason }
        },
    )
}

/// Generates any invoice that the table can store. Its further columns have different names.
pub fn any_invoice() -> impl Strategy<Value = Invoice<'static>> {
    let key = || Just(AccessKey::parse(EXAMPLE_KEY).unwrap());
    let statuses = vec![Status::Authorized, Status::Cancelled, Status::Denied, Status::Unknown];
    let names = (any_id(), option::of(key()), any_text(), any_text(), any_text(), any_text());
    let parties = (any_timestamp(), any_party(), option::of(any_party()));
    let status = (select(statuses), any_text(), option::of(any_timestamp()));
    let rest = (any_decimal(), select(vec!["BRL", "USD"]), option::of(any::<u32>()), any_extra());
    (names, parties, status, rest, vec(select(Warning::ALL.to_vec()), 0..3)).prop_map(
        |(names, (issued_at, issuer, recipient), (status, status_text, status_at), rest, warnings)| {
            let (id, access_key, model, series, number, operation) = names;
            let (total, currency, line_count, extra) = rest;
            Invoice {
                id: id.into(),
                access_key,
                model,
                series,
                number,
                operation,
                issued_at,
                issuer,
                recipient: recipient.filter(|party| !party.is_empty()),
                status,
                status_text,
                status_at,
                total,
                currency: currency.into(),
                line_count,
                extra,
                warnings,
            }
        },
    )
}

/// Converts an item from `DynamoDB` JSON to the SDK's attributes.
pub fn attributes(json: &[u8]) -> HashMap<String, AttributeValue> {
    let item: BTreeMap<String, Value> = serde_json::from_slice(json).unwrap();
    item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = typed(value);
    match (kind, value) {
        ("S", Value::String(text)) => AttributeValue::S(text.clone()),
        ("N", Value::String(text)) => AttributeValue::N(text.clone()),
        ("BOOL", Value::Bool(value)) => AttributeValue::Bool(*value),
        ("L", Value::Array(list)) => AttributeValue::L(list.iter().map(attribute).collect()),
        ("M", Value::Object(map)) => {
            AttributeValue::M(map.iter().map(|(name, value)| (name.clone(), attribute(value))).collect())
        }
        other => panic!("not an attribute value: {other:?}"),
    }
}

fn typed(value: &Value) -> (&str, &Value) {
    let map = value.as_object().unwrap();
    assert_eq!(map.len(), 1);
    map.iter().next().map(|(kind, value)| (kind.as_str(), value)).unwrap()
}

/// Computes the size of an item in bytes from its `DynamoDB` JSON, by the rules of the developer guide.
pub fn json_size(item: &Value) -> usize {
    item.as_object().unwrap().iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &Value) -> usize {
    match typed(value) {
        ("S", Value::String(text)) => text.len(),
        ("N", Value::String(digits)) => digits.len().div_ceil(2) + 1,
        ("BOOL", _) => 1,
        ("L", Value::Array(list)) => 3 + list.iter().map(|value| 1 + value_size(value)).sum::<usize>(),
        ("M", Value::Object(map)) => {
            3 + map.iter().map(|(name, value)| 1 + name.len() + value_size(value)).sum::<usize>()
        }
        other => panic!("not an attribute value: {other:?}"),
    }
}

/// Starts an embedded DynamoDB in memory, for one test, over loopback HTTP. It ends with the runtime of the test.
pub async fn dynamodb() -> aws_sdk_dynamodb::Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(dynoxide::server::serve_on(listener, dynoxide::Database::memory().unwrap()));
    notaflux_aws::dynamodb_reader(&notaflux_aws::embedded_config(&endpoint))
}
