//! Whatever the API shows is as the document says. That this means something, other tests show: what is not described or
//! null is refused.
//!
//! A crate for JSON Schema would be a better judge; the ones there are switch on features of what the program shares with its
//! tests, so that most dependencies are built twice, and `serde_json` reads numbers otherwise than in the program.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod schema;

use std::cell::RefCell;
use std::collections::BTreeSet;

use axum::body::to_bytes;
use futures::executor::block_on;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use super::*;
use crate::problem::{self, ParameterError};
use notaflux_engine::Report;
use notaflux_invoice::Warning;
use notaflux_records::source::Identity;
use notaflux_table::ingestion::IngestionState;
use notaflux_table::item::SourceRef;
use notaflux_table::stored::{StoredEvent, StoredInvoice, StoredLine};
use notaflux_testing::{any_event, any_invoice, any_line};

const SOURCE: SourceRef<'static> = SourceRef { ingestion: std::borrow::Cow::Borrowed("9f2c"), record: 1 };

/// All that is wrong with a value, by the schema of this name.
fn wrong(document: &Value, name: &str, value: &Value) -> Vec<String> {
    schema::Schema { document }.errors(&schemas::reference(name), value, "")
}

fn document() -> Value {
    described(&PathPrefix::default())
}

fn shown_invoice() -> impl Strategy<Value = Value> {
    any_invoice().prop_map(|invoice| serde_json::to_value(StoredInvoice { invoice, source: SOURCE }).unwrap())
}

fn shown_line() -> impl Strategy<Value = Value> {
    any_line().prop_map(|line| serde_json::to_value(StoredLine { line, source: SOURCE }).unwrap())
}

fn shown_event() -> impl Strategy<Value = Value> {
    any_event().prop_map(|event| serde_json::to_value(StoredEvent { event, source: SOURCE }).unwrap())
}

fn any_identity() -> impl Strategy<Value = Identity> {
    let text = || option::of(any::<String>());
    let modified = option::of(
        (0_i64..4_000_000_000, 0_i32..1_000_000_000)
            .prop_map(|(second, nanosecond)| jiff::Timestamp::new(second, nanosecond).unwrap()),
    );
    (text(), text(), text(), text(), text(), modified, any::<u64>(), text()).prop_map(
        |(bucket, key, version_id, etag, path, modified, size_bytes, layout)| Identity {
            bucket,
            key,
            version_id,
            etag,
            path,
            modified,
            size_bytes,
            layout,
        },
    )
}

/// A report in any state, with all that a report may have besides or without.
fn shown_report() -> impl Strategy<Value = Value> {
    let members = (option::of(any::<String>()), any::<usize>(), any::<u64>(), 0.0..1e12, any::<bool>());
    (any_identity(), select(IngestionState::ALL.to_vec()), select(Warning::ALL.to_vec()), members).prop_map(
        |(source, state, warning, (text, unlisted, count, write_units, is_full))| {
            let mut report = Report { state, write_units, ..Report::begun("9f2c".to_owned(), source) };
            (report.cause, report.position, report.rejects_location) = (text.clone(), text.clone(), text.clone());
            (report.unlisted, report.trailers, report.records_read) = (unlisted, count, count);
            if is_full {
                report.warnings.insert(warning.as_str().to_owned(), count.max(1));
                let entry = json!({"name": text.clone(), "compression": "deflate", "format": "csv", "delimiter": text,
                    "list": text, "layout": "portal-invoice", "records_read": count});
                report.entries.push(serde_json::from_value(entry).unwrap());
                report.skipped.push(serde_json::from_value(json!({"name": "a.txt", "reason": "b"})).unwrap());
            }
            serde_json::to_value(report).unwrap()
        },
    )
}

fn is_as_described(name: &str, shown: impl Strategy<Value = Value>) {
    let document = document();
    proptest!(|(value in shown)| {
        prop_assert_eq!(wrong(&document, name, &value), [""; 0], "{}", value);
    });
}

#[test]
fn any_invoice_is_as_described() {
    is_as_described("Invoice", shown_invoice());
    let list = (shown_invoice(), option::of("[A-Za-z0-9_-]{40}"));
    is_as_described(
        "Invoices",
        list.prop_map(|(invoice, cursor)| match cursor {
            None => json!({"items": [invoice]}),
            Some(cursor) => json!({"items": [invoice], "next_cursor": cursor}),
        }),
    );
}

#[test]
fn any_line_and_event_is_as_described() {
    is_as_described("Line", shown_line());
    is_as_described("Event", shown_event());
    let whole = (shown_invoice(), shown_line(), shown_event(), any::<bool>());
    is_as_described(
        "InvoiceWithLines",
        whole.prop_map(|(mut invoice, line, event, goes_on)| {
            (invoice["lines"], invoice["events"]) = (json!([line]), json!([event]));
            if goes_on {
                (invoice["next_lines_cursor"], invoice["next_events_cursor"]) = (json!("AQ"), json!("AR"));
            }
            invoice
        }),
    );
}

#[test]
fn any_report_is_as_described() {
    is_as_described("Ingestion", shown_report());
}

#[test]
fn every_problem_is_as_described() {
    let document = document();
    let error = ParameterError { parameter: "limit".to_owned(), message: "expected once".into() };
    let kinds = [
        Problem::InvalidParameter(vec![error]),
        Problem::InvalidCursor,
        Problem::NotFound("No invoice has this id."),
        Problem::MethodNotAllowed,
        Problem::NotAcceptable,
        Problem::Throttled,
        Problem::Unavailable,
        Problem::Internal,
    ];
    assert_eq!(kinds.len(), problem::explained().len());
    for kind in kinds {
        let body = block_on(to_bytes(kind.answer("a-1").into_body(), usize::MAX)).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(wrong(&document, "Problem", &body), [""; 0], "{body}");
    }
}

/// Every object in a schema, its own and those within it.
fn objects<'s>(schema: &'s Value, found: &mut Vec<&'s Map<String, Value>>) {
    match schema {
        Value::Object(members) => {
            if schema["type"] == "object" {
                found.push(members);
            }
            members.values().for_each(|member| objects(member, found));
        }
        Value::Array(elements) => elements.iter().for_each(|element| objects(element, found)),
        _ => {}
    }
}

#[test]
fn every_object_is_closed_or_a_map() {
    let document = document();
    let mut found = Vec::new();
    objects(&document["components"]["schemas"], &mut found);
    assert!(found.len() > 15, "{}", found.len());
    for object in found {
        let is_closed = object["additionalProperties"] == false && object["properties"].is_object();
        let is_map = object["additionalProperties"]["type"].is_string() && !object.contains_key("properties");
        assert!(is_closed || is_map, "{object:?}");
    }
}

#[test]
fn what_is_null_is_refused_wherever_it_stands() {
    let document = document();
    proptest!(|(mut value in shown_invoice(), at in any::<Index>())| {
        let mut places = Vec::new();
        members(&value, "", &mut places);
        *value.pointer_mut(at.get(&places).as_str()).unwrap() = Value::Null;
        prop_assert!(!wrong(&document, "Invoice", &value).is_empty(), "{}", value);
    });
}

#[test]
fn what_is_not_described_is_refused_wherever_it_stands() {
    let document = document();
    proptest!(|(mut value in shown_report())| {
        for place in ["", "/source", "/entries/0", "/skipped/0"] {
            let Some(Value::Object(object)) = value.pointer_mut(place) else { continue };
            object.insert("colour".to_owned(), json!("red"));
            prop_assert!(!wrong(&document, "Ingestion", &value).is_empty(), "{}", value);
            value.pointer_mut(place).unwrap().as_object_mut().unwrap().remove("colour");
        }
        prop_assert_eq!(wrong(&document, "Ingestion", &value), [""; 0]);
    });
}

/// Pointers to all members within a value.
fn members(value: &Value, before: &str, found: &mut Vec<String>) {
    for (name, member) in value.as_object().into_iter().flatten() {
        let pointer = format!("{before}/{}", name.replace('~', "~0").replace('/', "~1"));
        members(member, &pointer, found);
        found.push(pointer);
    }
}

#[test]
fn what_is_required_is_all_that_an_invoice_always_has() {
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let schema = &document()["components"]["schemas"]["Invoice"];
    let required: BTreeSet<String> =
        schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    let (always, ever) = (RefCell::new(names(&schema["properties"])), RefCell::new(BTreeSet::new()));
    proptest!(|(value in shown_invoice())| {
        always.borrow_mut().retain(|name| value.get(name).is_some());
        ever.borrow_mut().extend(names(&value));
    });
    assert_eq!((required, names(&schema["properties"])), (always.into_inner(), ever.into_inner()));
}

#[test]
fn every_example_is_as_described() {
    let (document, mut checked) = (document(), 0);
    for (path, operations) in document["paths"].as_object().unwrap() {
        let content = &operations["get"]["responses"]["200"]["content"]["application/json"];
        let example = &content["example"];
        if !example.is_null() {
            let errors = schema::Schema { document: &document }.errors(&content["schema"], example, "");
            assert_eq!(errors, [""; 0], "{path}");
            checked += 1;
        }
    }
    assert_eq!(checked, 8);
}
