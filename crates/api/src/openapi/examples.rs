//! Answers as they are: taken from the API itself by a test, which fails when they are others.

use serde_json::Value;

/// Each example: its name, and the text of its file.
const EXAMPLES: [(&str, &str); 8] = [
    ("invoices", include_str!("../examples/invoices.json")),
    ("invoice", include_str!("../examples/invoice.json")),
    ("lines", include_str!("../examples/lines.json")),
    ("events", include_str!("../examples/events.json")),
    ("ingestions", include_str!("../examples/ingestions.json")),
    ("ingestion", include_str!("../examples/ingestion.json")),
    ("rejects", include_str!("../examples/rejects.json")),
    ("health", include_str!("../examples/health.json")),
];

/// For each route that has an example, what was asked for.
const REQUESTS: &str = include_str!("../examples/requests.json");

/// The example of this name.
pub(super) fn of(name: &str) -> Value {
    let text = EXAMPLES.iter().find(|(each, _)| *each == name).map_or("null", |(_, text)| text);
    serde_json::from_str(text).unwrap_or_default()
}

/// What was asked for to get the example of the route with this path.
pub(crate) fn request_of(path: &str) -> String {
    let requests: Value = serde_json::from_str(REQUESTS).unwrap_or_default();
    requests.get(path).and_then(Value::as_str).unwrap_or(path).to_owned()
}
