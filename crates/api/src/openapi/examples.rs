//! Real answers, as examples. A test of the suite compares them with the answers of the API.

use serde_json::Value;

/// The name of each example, and the text of its file.
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

/// The request of each route that has an example.
const REQUESTS: &str = include_str!("../examples/requests.json");

/// Returns the example with this name.
#[expect(clippy::expect_used, reason = "tests read every example")]
pub(super) fn of(name: &str) -> Value {
    let (_, text) = EXAMPLES.iter().find(|(each, _)| *each == name).expect("an example with this name");
    serde_json::from_str(text).expect("an example is JSON")
}

/// Returns the request that has the example of this route as its answer.
#[expect(clippy::expect_used, reason = "tests read the request of every example")]
pub(crate) fn request_of(path: &str) -> String {
    let requests: Value = serde_json::from_str(REQUESTS).expect("the requests are JSON");
    requests.get(path).and_then(Value::as_str).expect("a request for each example").to_owned()
}
