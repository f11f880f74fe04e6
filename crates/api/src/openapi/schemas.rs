//! What answers are made of, as JSON Schema. Every object is closed: what is not described is not there.

use serde_json::{Map, Value, json};

use crate::problem;
use notaflux_invoice::amount::DECIMAL_LIMIT;
use notaflux_invoice::line::LINE_NUMBER_LIMIT;
use notaflux_invoice::{EventKind, Status, TaxIdKind, Warning};
use notaflux_table::ingestion::IngestionState;

/// Date, `T`, time of day to the second, and an offset where there is one.
const TIME_PATTERN: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([+-][0-9]{2}:[0-9]{2})?$";
/// Digits, with a point between them and a minus before them where there is one.
pub(super) const DECIMAL_PATTERN: &str = r"^-?[0-9]+(\.[0-9]+)?$";

/// A member of an object: its name, whether it is always there, and what it is.
type Member = (&'static str, bool, Value);

const ALWAYS: bool = true;
const MAYBE: bool = false;

/// All of them, by name.
pub(super) fn schemas() -> Value {
    json!({
        "Invoice": object("An invoice.", invoice()),
        "InvoiceWithLines": object("An invoice with the first of its lines and events.", invoice_with_lines()),
        "Party": object("Issuer or recipient of an invoice.", party()),
        "Line": object("One product or service of an invoice.", line()),
        "Event": object("An event in the life of an invoice.", event()),
        "Ingestion": object("What became of one file: `records_read` = `written` + `superseded` + `rejected`, once it is completed.", ingestion()),
        "Reject": object("A record that was not stored.", reject()),
        "Invoices": page("Invoice"),
        "Lines": page("Line"),
        "Events": page("Event"),
        "Ingestions": page("Ingestion"),
        "Rejects": page("Reject"),
        "Health": object("", vec![("status", ALWAYS, json!({"const": "ok"}))]),
        "Problem": object("What went wrong (RFC 9457).", problem()),
        "Decimal": {
            "type": "string", "pattern": DECIMAL_PATTERN, "maxLength": DECIMAL_LIMIT, "examples": ["2040.00"],
            "description": "An exact decimal, with the places of the source.",
        },
        "Time": {
            "type": "string", "pattern": TIME_PATTERN, "examples": ["2019-11-12T13:01:52"],
            "description": "A date and time, with an offset only where the source has one.",
        },
        "Status": words("Whether an invoice stands.", Status::ALL.map(Status::as_str)),
        "Warning": words("What is odd about a record that is stored all the same.", Warning::ALL.map(Warning::as_str)),
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
    json!({"type": "string", "description": "Leads to the next page. Not there on the last one."})
}

/// A schema that stands elsewhere.
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

/// A schema that stands elsewhere, and what it is here.
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
        ("record", ALWAYS, count("Which record of its entry it was, the first being 1.")),
    ];
    vec![
        ("id", ALWAYS, text("What names the invoice for ever: its access key, or a hash of what else names it.")),
        ("access_key", MAYBE, text("The 44 characters that name an NF-e, or the 50 digits of a national NFS-e.")),
        ("model", MAYBE, text("Fiscal model, such as 55.")),
        ("series", MAYBE, text("Series.")),
        ("number", MAYBE, text("Number.")),
        ("operation", MAYBE, text("What the issuer calls the operation (natureza da operação).")),
        ("issued_at", ALWAYS, described("Time", "When it was issued.")),
        ("issuer", ALWAYS, described("Party", "Who issued it.")),
        ("recipient", MAYBE, described("Party", "Whom it was issued to.")),
        ("status", ALWAYS, reference("Status")),
        ("status_text", MAYBE, text("The status in the words of the source.")),
        ("status_at", MAYBE, described("Time", "Since when it has that status.")),
        ("total", MAYBE, described("Decimal", "Total amount.")),
        ("currency", ALWAYS, text("ISO 4217 code.")),
        ("line_count", MAYBE, count("How many lines it has, where the source says so.")),
        ("extra", MAYBE, extra()),
        ("warnings", ALWAYS, warnings()),
        ("source", ALWAYS, object("Where it came from.", source)),
    ]
}

fn invoice_with_lines() -> Vec<Member> {
    let mut members = invoice();
    members.extend([
        ("lines", ALWAYS, json!({"type": "array", "items": reference("Line")})),
        ("next_lines_cursor", MAYBE, text("Cursor of the lines that follow, for `/v1/invoices/{id}/lines`.")),
        ("events", ALWAYS, json!({"type": "array", "items": reference("Event")})),
        ("next_events_cursor", MAYBE, text("Cursor of the events that follow, for `/v1/invoices/{id}/events`.")),
    ]);
    members
}

fn party() -> Vec<Member> {
    vec![
        ("tax_id", MAYBE, text("CNPJ or CPF without punctuation, a masked CPF, or what stands in their place.")),
        ("tax_id_kind", MAYBE, words("What the tax id is.", TaxIdKind::ALL.map(TaxIdKind::as_str))),
        ("name", MAYBE, text("Name.")),
        ("state_registration", MAYBE, text("IngestionState registration (inscrição estadual).")),
        ("uf", MAYBE, text("IngestionState, mostly two letters.")),
        ("city", MAYBE, text("City.")),
    ]
}

fn line() -> Vec<Member> {
    let number = json!({
        "type": "string", "pattern": "^[0-9]+$",
        "description": format!("Its number, 1 to {LINE_NUMBER_LIMIT}, where the source numbers lines."),
    });
    vec![
        ("number", MAYBE, number),
        ("code", MAYBE, text("The seller's code of the product or service.")),
        ("description", MAYBE, text("What it is.")),
        ("ncm", MAYBE, text("NCM, the customs code of the product.")),
        ("cfop", MAYBE, text("CFOP, the fiscal code of the operation.")),
        ("quantity", MAYBE, described("Decimal", "How many or how much.")),
        ("unit", MAYBE, text("Of what unit.")),
        ("unit_price", MAYBE, described("Decimal", "Price of a unit.")),
        ("total", MAYBE, described("Decimal", "Total amount of the line.")),
        ("extra", MAYBE, extra()),
        ("warnings", MAYBE, warnings()),
    ]
}

fn event() -> Vec<Member> {
    vec![
        ("at", ALWAYS, described("Time", "When it was.")),
        ("kind", ALWAYS, words("What it was.", EventKind::ALL.map(EventKind::as_str))),
        ("text", MAYBE, text("The event in the words of the source.")),
        ("description", MAYBE, text("What the source says besides, such as the text of a correction.")),
        ("reason", MAYBE, text("Why.")),
    ]
}

fn ingestion() -> Vec<Member> {
    let skipped = vec![("name", ALWAYS, text("Its name in the archive.")), ("reason", ALWAYS, text("Why."))];
    let milliseconds =
        |of: &str| json!({"type": "integer", "minimum": 0, "description": format!("Milliseconds of {of}.")});
    vec![
        ("ingestion", ALWAYS, text("Its id.")),
        ("state", ALWAYS, words("Where it stands.", IngestionState::ALL.map(IngestionState::as_str))),
        ("cause", MAYBE, text("Why it failed.")),
        ("position", MAYBE, text("Where in the source it failed.")),
        ("source", ALWAYS, object("The version of the object.", source())),
        ("entries", ALWAYS, json!({"type": "array", "items": object("A file, alone or in an archive.", entry())})),
        ("skipped", MAYBE, json!({"type": "array", "items": object("What was not ingested.", skipped)})),
        ("unlisted", MAYBE, count("How many further entries and skipped ones there are.")),
        ("records_read", ALWAYS, count("Records of the source: rows or elements.")),
        ("written", ALWAYS, count("Distinct keys, each acknowledged by DynamoDB.")),
        ("superseded", ALWAYS, count("Records whose key comes again later in the source.")),
        ("rejected", ALWAYS, count("Records that lie in the rejects.")),
        ("trailers", MAYBE, count("Rows that are no records, such as one of totals at the end.")),
        (
            "warnings",
            ALWAYS,
            json!({
                "type": "object", "additionalProperties": {"type": "integer", "minimum": 1},
                "description": "Records with a warning, by kind, superseded ones included.",
            }),
        ),
        ("items_written", ALWAYS, count("Items acknowledged.")),
        ("write_units", ALWAYS, json!({"type": "number", "minimum": 0, "description": "Write units consumed."})),
        ("calls", ALWAYS, count("BatchWriteItem calls.")),
        ("retried", ALWAYS, count("Items sent again.")),
        ("throttled", ALWAYS, count("Calls throttled or answered in part.")),
        ("bytes_read", ALWAYS, count("Bytes of the source.")),
        ("bytes_decoded", ALWAYS, count("Bytes behind the decompressor.")),
        ("survey_ms", ALWAYS, milliseconds("the survey and the merge")),
        ("write_ms", ALWAYS, milliseconds("the write pass")),
        ("elapsed_ms", ALWAYS, milliseconds("all of it")),
        ("rejects_location", MAYBE, text("Where the rejects lie in S3.")),
    ]
}

fn source() -> Vec<Member> {
    vec![
        ("bucket", MAYBE, text("Bucket of an S3 object.")),
        ("key", MAYBE, text("Key of an S3 object.")),
        ("version_id", MAYBE, text("Version of an S3 object in a bucket with versions.")),
        ("etag", MAYBE, text("ETag of an S3 object, with its quotes.")),
        ("path", MAYBE, text("Path of a local file.")),
        ("modified", MAYBE, json!({"type": "string", "format": "date-time", "description": "When it was modified."})),
        ("size_bytes", ALWAYS, count("Length in bytes, as it is stored.")),
        ("layout", MAYBE, text("Layout that the object's metadata names.")),
    ]
}

fn entry() -> Vec<Member> {
    vec![
        ("name", MAYBE, text("Its name in the archive; none for the object itself.")),
        ("compression", ALWAYS, text("How its bytes are compressed.")),
        ("format", ALWAYS, text("What its bytes are: csv, json or ndjson.")),
        ("delimiter", MAYBE, text("Field delimiter, of CSV.")),
        ("list", MAYBE, text("Keys that lead to the list of records, of JSON that has one within objects.")),
        ("layout", ALWAYS, text("Which layout it was read by.")),
        ("records_read", ALWAYS, count("Records in it.")),
    ]
}

fn reject() -> Vec<Member> {
    vec![
        ("source", ALWAYS, text("Bucket and key, or path.")),
        ("entry", MAYBE, text("Its name in the archive.")),
        ("line", ALWAYS, count("Line on which the record begins, the first being 1.")),
        ("record", ALWAYS, count("Which record it is, the first being 1.")),
        ("byte", ALWAYS, count("First byte of the record in the decoded entry.")),
        ("length", ALWAYS, count("Its length in bytes.")),
        ("reason", ALWAYS, text("Kind of what is wrong, such as `invalid_amount`.")),
        ("message", ALWAYS, text("Where it is, what was expected and what was found.")),
        ("raw", ALWAYS, text("The record as it stood, its first 4 KiB.")),
    ]
}

fn problem() -> Vec<Member> {
    let types = problem::explained().map(|(name, ..)| format!("/problems/{name}"));
    let error = vec![("parameter", ALWAYS, text("Its name.")), ("message", ALWAYS, text("What is expected of it."))];
    vec![
        ("type", ALWAYS, json!({"type": "string", "enum": types})),
        ("title", ALWAYS, text("What it is.")),
        ("status", ALWAYS, json!({"type": "integer", "minimum": 400, "maximum": 599})),
        ("detail", ALWAYS, text("What to do.")),
        ("request_id", ALWAYS, text("Id of the request, for whoever reads the log.")),
        (
            "errors",
            MAYBE,
            json!({"type": "array", "minItems": 1, "items": object("A parameter that is wrong.", error)}),
        ),
    ]
}
