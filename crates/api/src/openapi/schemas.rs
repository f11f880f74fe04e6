//! The schemas of answers, as JSON Schema. Every object is closed: it has no members that are not described.

use serde_json::{Map, Value, json};

use crate::problem;
use notaflux_invoice::amount::DECIMAL_LIMIT;
use notaflux_invoice::line::LINE_NUMBER_LIMIT;
use notaflux_invoice::{EventKind, Status, TaxIdKind, Warning};
use notaflux_table::ingestion::IngestionState;

/// A date, `T`, a time of day with seconds, and an offset if there is one.
const TIME_PATTERN: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([+-][0-9]{2}:[0-9]{2})?$";
/// Digits, perhaps with a decimal point and a minus sign.
pub(super) const DECIMAL_PATTERN: &str = r"^-?[0-9]+(\.[0-9]+)?$";

/// A member of an object: its name, whether it is always present, and its schema.
type Member = (&'static str, bool, Value);

const ALWAYS: bool = true;
const MAYBE: bool = false;

/// Returns all schemas by name.
pub(super) fn schemas() -> Value {
    json!({
        "Invoice": object("An invoice.", invoice()),
        "InvoiceWithLines": object("An invoice with the first of its lines and events.", invoice_with_lines()),
        "Party": object("Issuer or recipient of an invoice.", party()),
        "Line": object("One product or service of an invoice.", line()),
        "Event": object("An event in the life of an invoice.", event()),
        "Ingestion": object("The report on one file. Once it is completed, `records_read` = `written` + `superseded` + `rejected`.", ingestion()),
        "Reject": object("A record that was not stored.", reject()),
        "Invoices": page("Invoice"),
        "Lines": page("Line"),
        "Events": page("Event"),
        "Ingestions": page("Ingestion"),
        "Rejects": page("Reject"),
        "Health": object("", vec![("status", ALWAYS, json!({"const": "ok"}))]),
        "Problem": object("An error (RFC 9457).", problem()),
        "Decimal": {
            "type": "string", "pattern": DECIMAL_PATTERN, "maxLength": DECIMAL_LIMIT, "examples": ["2040.00"],
            "description": "An exact decimal, with the decimal places of the source.",
        },
        "Time": {
            "type": "string", "pattern": TIME_PATTERN, "examples": ["2019-11-12T13:01:52"],
            "description": "A date and time, with an offset only if the source has one.",
        },
        "Status": words("The status of an invoice.", Status::ALL.map(Status::as_str)),
        "Warning": words("Something unusual in a record that was stored nevertheless.", Warning::ALL.map(Warning::as_str)),
    })
}

fn object(description: &str, members: Vec<Member>) -> Value {
    let required: Vec<&str> = members.iter().filter(|(_, always, _)| *always).map(|(name, ..)| *name).collect();
    let properties: Map<String, Value> =
        members.into_iter().map(|(name, _, schema)| (name.to_owned(), schema)).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let Some(schema) = schema.as_object_mut() {
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        if !description.is_empty() {
            schema.insert("description".to_owned(), json!(description));
        }
    }
    schema
}

fn page(of: &str) -> Value {
    let items = json!({"type": "array", "items": reference(of)});
    object("A page of a list.", vec![("items", ALWAYS, items), ("next_cursor", MAYBE, cursor())])
}

fn cursor() -> Value {
    json!({"type": "string", "description": "The `cursor` of the next page. Absent on the last page."})
}

/// Makes a reference to a named schema.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn words<const N: usize>(description: &str, words: [&str; N]) -> Value {
    json!({"type": "string", "enum": words.to_vec(), "description": description})
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn count(description: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": description})
}

/// Makes a reference to a named schema, with a description.
fn described(name: &str, description: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}"), "description": description})
}

fn extra() -> Value {
    json!({
        "type": "object", "additionalProperties": {"type": "string"},
        "description": "Further columns that the layout keeps, by name.",
    })
}

fn warnings() -> Value {
    json!({"type": "array", "items": reference("Warning")})
}

fn invoice() -> Vec<Member> {
    let source = vec![
        ("ingestion", ALWAYS, text("Id of the ingestion that stored it.")),
        ("record", ALWAYS, count("The number of the record in its file, from 1.")),
    ];
    vec![
        (
            "id",
            ALWAYS,
            text("The permanent id of the invoice: its access key, or a hash of other fields that identify it."),
        ),
        ("access_key", MAYBE, text("The access key: 44 characters for an NF-e, 50 digits for a national NFS-e.")),
        ("model", MAYBE, text("Fiscal model, such as 55.")),
        ("series", MAYBE, text("Series.")),
        ("number", MAYBE, text("Number.")),
        ("operation", MAYBE, text("The operation in the words of the issuer (natureza da operação).")),
        ("issued_at", ALWAYS, described("Time", "Time of issue.")),
        ("issuer", ALWAYS, described("Party", "The issuer.")),
        ("recipient", MAYBE, described("Party", "The recipient.")),
        ("status", ALWAYS, reference("Status")),
        ("status_text", MAYBE, text("The status in the words of the source.")),
        ("status_at", MAYBE, described("Time", "The time since when the invoice has this status.")),
        ("total", MAYBE, described("Decimal", "Total amount.")),
        ("currency", ALWAYS, text("ISO 4217 code.")),
        ("line_count", MAYBE, count("Number of lines, if the source states it.")),
        ("extra", MAYBE, extra()),
        ("warnings", ALWAYS, warnings()),
        ("source", ALWAYS, object("The record that the invoice comes from.", source)),
    ]
}

fn invoice_with_lines() -> Vec<Member> {
    let mut members = invoice();
    members.extend([
        ("lines", ALWAYS, json!({"type": "array", "items": reference("Line")})),
        ("next_lines_cursor", MAYBE, text("Cursor of further lines, for `/v1/invoices/{id}/lines`.")),
        ("events", ALWAYS, json!({"type": "array", "items": reference("Event")})),
        ("next_events_cursor", MAYBE, text("Cursor of further events, for `/v1/invoices/{id}/events`.")),
    ]);
    members
}

fn party() -> Vec<Member> {
    vec![
        (
            "tax_id",
            MAYBE,
            text("CNPJ or CPF without punctuation, a masked CPF, or another text that the source has in its place."),
        ),
        ("tax_id_kind", MAYBE, words("The kind of tax id.", TaxIdKind::ALL.map(TaxIdKind::as_str))),
        ("name", MAYBE, text("Name.")),
        ("state_registration", MAYBE, text("State registration (inscrição estadual).")),
        ("uf", MAYBE, text("State, usually two letters.")),
        ("city", MAYBE, text("City.")),
    ]
}

fn line() -> Vec<Member> {
    let number = json!({
        "type": "string", "pattern": "^[0-9]+$",
        "description": format!("The number of the line, 1 to {LINE_NUMBER_LIMIT}, if the source numbers its lines."),
    });
    vec![
        ("number", MAYBE, number),
        ("code", MAYBE, text("The seller's code for the product or service.")),
        ("description", MAYBE, text("The product or service.")),
        ("ncm", MAYBE, text("NCM, the customs code of the product.")),
        ("cfop", MAYBE, text("CFOP, the fiscal code of the operation.")),
        ("quantity", MAYBE, described("Decimal", "Quantity.")),
        ("unit", MAYBE, text("Unit of the quantity.")),
        ("unit_price", MAYBE, described("Decimal", "Price per unit.")),
        ("total", MAYBE, described("Decimal", "Total amount of the line.")),
        ("extra", MAYBE, extra()),
        ("warnings", MAYBE, warnings()),
    ]
}

fn event() -> Vec<Member> {
    vec![
        ("at", ALWAYS, described("Time", "Time of the event.")),
        ("kind", ALWAYS, words("The kind of event.", EventKind::ALL.map(EventKind::as_str))),
        ("text", MAYBE, text("The event in the words of the source.")),
        ("description", MAYBE, text("Further text of the source, such as the text of a correction.")),
        ("reason", MAYBE, text("Reason for the event.")),
    ]
}

fn ingestion() -> Vec<Member> {
    let skipped =
        vec![("name", ALWAYS, text("Name in the archive.")), ("reason", ALWAYS, text("Why it was not ingested."))];
    let milliseconds = |of: &str| json!({"type": "integer", "minimum": 0, "description": format!("Duration of {of}, in milliseconds.")});
    vec![
        ("ingestion", ALWAYS, text("Id of the ingestion.")),
        ("state", ALWAYS, words("State of the ingestion.", IngestionState::ALL.map(IngestionState::as_str))),
        ("cause", MAYBE, text("Why the ingestion failed.")),
        ("position", MAYBE, text("Position in the source at which the ingestion failed.")),
        ("source", ALWAYS, object("The ingested file: a version of an S3 object, or a local file.", source())),
        (
            "entries",
            ALWAYS,
            json!({"type": "array", "items": object("A file: the source itself, or a file in an archive.", entry())}),
        ),
        (
            "skipped",
            MAYBE,
            json!({"type": "array", "items": object("A file in the archive that was not ingested.", skipped)}),
        ),
        ("unlisted", MAYBE, count("Number of further entries and skipped files that are not listed.")),
        ("records_read", ALWAYS, count("Records of the source: CSV rows or JSON elements.")),
        ("written", ALWAYS, count("Distinct keys, each acknowledged by DynamoDB.")),
        ("superseded", ALWAYS, count("Records whose key occurs again later in the source.")),
        ("rejected", ALWAYS, count("Rejected records.")),
        ("trailers", MAYBE, count("Rows that are not records, such as a row of totals at the end.")),
        ("repeated_headers", MAYBE, count("Rows that are the header again. They are not records.")),
        (
            "warnings",
            ALWAYS,
            json!({
                "type": "object", "additionalProperties": {"type": "integer", "minimum": 1},
                "description": "Number of records with each kind of warning, including superseded ones.",
            }),
        ),
        ("items_written", ALWAYS, count("Items that DynamoDB acknowledged.")),
        ("write_units", ALWAYS, json!({"type": "number", "minimum": 0, "description": "Write units consumed."})),
        ("calls", ALWAYS, count("BatchWriteItem calls.")),
        ("retried", ALWAYS, count("Items that were retried.")),
        ("throttled", ALWAYS, count("Calls that were throttled, or left unprocessed items.")),
        ("bytes_read", ALWAYS, count("Bytes of the source.")),
        ("bytes_decoded", ALWAYS, count("Bytes after decompression.")),
        ("survey_ms", ALWAYS, milliseconds("the survey and the merge")),
        ("write_ms", ALWAYS, milliseconds("the write pass")),
        ("elapsed_ms", ALWAYS, milliseconds("the whole ingestion")),
        ("rejects_location", MAYBE, text("Location of the rejects in S3.")),
    ]
}

fn source() -> Vec<Member> {
    vec![
        ("bucket", MAYBE, text("Bucket of an S3 object.")),
        ("key", MAYBE, text("Key of an S3 object.")),
        ("version_id", MAYBE, text("Version of an S3 object, in a bucket with versioning.")),
        ("etag", MAYBE, text("ETag of an S3 object, including its quotes.")),
        ("path", MAYBE, text("Path of a local file.")),
        (
            "modified",
            MAYBE,
            json!({"type": "string", "format": "date-time", "description": "Time of the last modification."}),
        ),
        ("size_bytes", ALWAYS, count("Size in bytes, as stored.")),
        ("layout", MAYBE, text("Layout that the metadata of the object names.")),
    ]
}

fn entry() -> Vec<Member> {
    vec![
        ("name", MAYBE, text("Name in the archive; absent for the source itself.")),
        ("compression", ALWAYS, text("Compression of the file.")),
        ("format", ALWAYS, text("Format: csv, json or ndjson.")),
        ("delimiter", MAYBE, text("Field delimiter of CSV.")),
        ("list", MAYBE, text("Keys that lead to the list of records, for JSON whose list is inside an object.")),
        ("layout", ALWAYS, text("Layout of the records.")),
        ("records_read", ALWAYS, count("Records in the file.")),
    ]
}

fn reject() -> Vec<Member> {
    vec![
        ("source", ALWAYS, text("Bucket and key, or path.")),
        ("entry", MAYBE, text("Name of the file in the archive.")),
        ("line", ALWAYS, count("Line at which the record begins, from 1.")),
        ("record", ALWAYS, count("Number of the record, from 1.")),
        ("byte", ALWAYS, count("Offset of the record in the decompressed file, in bytes.")),
        ("length", ALWAYS, count("Length of the record in bytes.")),
        ("reason", ALWAYS, text("Kind of error, such as `invalid_amount`.")),
        ("message", ALWAYS, text("The column or path, what was expected, and what was found.")),
        ("raw", ALWAYS, text("The first 4 KiB of the record, unchanged.")),
    ]
}

fn problem() -> Vec<Member> {
    let types = problem::explained().map(|(name, ..)| format!("/problems/{name}"));
    let error =
        vec![("parameter", ALWAYS, text("Name of the parameter.")), ("message", ALWAYS, text("What is expected."))];
    vec![
        ("type", ALWAYS, json!({"type": "string", "enum": types})),
        ("title", ALWAYS, text("The error in a few words.")),
        ("status", ALWAYS, json!({"type": "integer", "minimum": 400, "maximum": 599})),
        ("detail", ALWAYS, text("What you can do.")),
        ("request_id", ALWAYS, text("Id of the request, which is also in the log of the service.")),
        ("errors", MAYBE, json!({"type": "array", "minItems": 1, "items": object("A wrong parameter.", error)})),
    ]
}
