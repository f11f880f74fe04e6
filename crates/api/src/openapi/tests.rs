//! Any value that the API can return matches the document. Other tests show that the check is strict: it refuses members that
//! are not described, and null.
//!
//! The check is our own, because the crates for JSON Schema enable features of shared dependencies. Then most dependencies
//! would be built twice, and `serde_json` would read numbers differently from the program.

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

/// Returns all errors of a value under the schema of this name.
fn errors(document: &Value, name: &str, value: &Value) -> Vec<String> {
    schema::Schema { document }.errors(&schemas::reference(name), value, "")
}

fn document() -> Value {
    description(&PathPrefix::default())
}

fn any_shown_invoice() -> impl Strategy<Value = Value> {
    any_invoice().prop_map(|invoice| serde_json::to_value(StoredInvoice { invoice, source: SOURCE }).unwrap())
}

fn any_shown_line() -> impl Strategy<Value = Value> {
    any_line().prop_map(|line| serde_json::to_value(StoredLine { line, source: SOURCE }).unwrap())
}

fn any_shown_event() -> impl Strategy<Value = Value> {
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

/// A report in any state, with or without its optional members.
fn any_shown_report() -> impl Strategy<Value = Value> {
    let members = (option::of(any::<String>()), any::<usize>(), any::<u64>(), 0.0..1e12, any::<bool>());
    (any_identity(), select(IngestionState::ALL.to_vec()), select(Warning::ALL.to_vec()), members).prop_map(
        |(source, state, warning, (text, unlisted, count, write_units, is_full))| {
            let mut report = Report { state, write_units, ..Report::begun("9f2c".to_owned(), source) };
            (report.cause, report.position, report.rejects_location) = (text.clone(), text.clone(), text.clone());
            (report.unlisted, report.trailers, report.records_read) = (unlisted, count, count);
            report.repeated_headers = count;
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

fn matches_its_schema(name: &str, shown: impl Strategy<Value = Value>) {
    let document = document();
    proptest!(|(value in shown)| {
        prop_assert_eq!(errors(&document, name, &value), [""; 0], "{}", value);
    });
}

#[test]
fn any_invoice_matches_its_schema() {
    matches_its_schema("Invoice", any_shown_invoice());
    let list = (any_shown_invoice(), option::of("[A-Za-z0-9_-]{40}"));
    matches_its_schema(
        "Invoices",
        list.prop_map(|(invoice, cursor)| match cursor {
            None => json!({"items": [invoice]}),
            Some(cursor) => json!({"items": [invoice], "next_cursor": cursor}),
        }),
    );
}

#[test]
fn any_line_and_event_matches_its_schema() {
    matches_its_schema("Line", any_shown_line());
    matches_its_schema("Event", any_shown_event());
    let whole = (any_shown_invoice(), any_shown_line(), any_shown_event(), any::<bool>());
    matches_its_schema(
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
fn any_report_matches_its_schema() {
    matches_its_schema("Ingestion", any_shown_report());
}

#[test]
fn every_problem_matches_its_schema() {
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
        assert_eq!(errors(&document, "Problem", &body), [""; 0], "{body}");
    }
}

/// Collects every object in a schema, including nested ones.
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
fn null_is_refused_everywhere() {
    let document = document();
    proptest!(|(mut value in any_shown_invoice(), at in any::<Index>())| {
        let mut places = Vec::new();
        members(&value, "", &mut places);
        *value.pointer_mut(at.get(&places).as_str()).unwrap() = Value::Null;
        prop_assert!(!errors(&document, "Invoice", &value).is_empty(), "{}", value);
    });
}

#[test]
fn members_that_are_not_described_are_refused_everywhere() {
    let document = document();
    proptest!(|(mut value in any_shown_report())| {
        for place in ["", "/source", "/entries/0", "/skipped/0"] {
            let Some(Value::Object(object)) = value.pointer_mut(place) else { continue };
            object.insert("colour".to_owned(), json!("red"));
            prop_assert!(!errors(&document, "Ingestion", &value).is_empty(), "{}", value);
            value.pointer_mut(place).unwrap().as_object_mut().unwrap().remove("colour");
        }
        prop_assert_eq!(errors(&document, "Ingestion", &value), [""; 0]);
    });
}

/// Collects JSON pointers to all members of a value.
fn members(value: &Value, before: &str, found: &mut Vec<String>) {
    for (name, member) in value.as_object().into_iter().flatten() {
        let pointer = format!("{before}/{}", name.replace('~', "~0").replace('/', "~1"));
        members(member, &pointer, found);
        found.push(pointer);
    }
}

#[test]
fn the_required_members_are_those_that_every_invoice_has() {
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let schema = &document()["components"]["schemas"]["Invoice"];
    let required: BTreeSet<String> =
        schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    let (always, ever) = (RefCell::new(names(&schema["properties"])), RefCell::new(BTreeSet::new()));
    proptest!(|(value in any_shown_invoice())| {
        always.borrow_mut().retain(|name| value.get(name).is_some());
        ever.borrow_mut().extend(names(&value));
    });
    assert_eq!((required, names(&schema["properties"])), (always.into_inner(), ever.into_inner()));
}

#[test]
fn every_example_matches_its_schema() {
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
