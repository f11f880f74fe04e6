//! The API's description of itself: every example is a real answer, and the API accepts exactly the described paths and
//! parameters.
//!
//! `NOTAFLUX_BLESS=1 cargo test --release --test suite described` rewrites the examples.

use std::collections::BTreeSet;
use std::path::Path;

use aws_sdk_s3::primitives::ByteStream;
use axum::Router;
use notaflux_aws as aws;
use notaflux_engine::Settings;
use notaflux_engine::object;
use notaflux_local::stack::UPLOADS_BUCKET;
use serde_json::{Value, json};

use crate::support::api;
use crate::support::place::Place;
use crate::support::rows::zipped;

/// The invoice in the examples: it has lines and events.
const INVOICE: &str = "35240111222333000181550010000000011100000010";

/// For each path with an example: the file of the example, and the request.
const REQUESTS: [(&str, &str, &str); 8] = [
    ("/v1/invoices", "invoices", "/v1/invoices?issuer=11222333000181&status=authorized&limit=2"),
    ("/v1/invoices/{id}", "invoice", "/v1/invoices/35240111222333000181550010000000011100000010"),
    ("/v1/invoices/{id}/lines", "lines", "/v1/invoices/35240111222333000181550010000000011100000010/lines?limit=2"),
    ("/v1/invoices/{id}/events", "events", "/v1/invoices/35240111222333000181550010000000011100000010/events?limit=2"),
    ("/v1/ingestions", "ingestions", "/v1/ingestions?state=completed"),
    ("/v1/ingestions/{id}", "ingestion", "/v1/ingestions/INGESTION"),
    ("/v1/ingestions/{id}/rejects", "rejects", "/v1/ingestions/INGESTION/rejects?limit=2"),
    ("/health", "health", "/health"),
];

/// Replaces values that differ between runs by the placeholders of the examples.
fn masked(value: &mut Value, ingestion: &str, work: &str) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match name.as_str() {
                    "next_cursor" | "next_lines_cursor" | "next_events_cursor" => *member = json!("AVd7bV5…"),
                    "etag" => *member = json!("\"6dcd4ce23d88e2ee9568ba546c007c63\""),
                    "modified" => *member = json!("2026-11-26T12:00:00Z"),
                    "survey_ms" | "write_ms" | "elapsed_ms" => *member = json!(40),
                    _ => masked(member, ingestion, work),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| masked(element, ingestion, work)),
        Value::String(text) => {
            *text = text.replace(ingestion, "INGESTION").replace(&format!("s3://{work}/"), "s3://notaflux-work/");
        }
        _ => {}
    }
}

/// The API on a table with three files of the Portal, and the id of their ingestion.
async fn filled(place: &Place) -> (Router, String) {
    let archive = zipped(&[
        ("202401_NFe_NotaFiscal.csv", include_bytes!("../../fixtures/portal-v1.csv")),
        ("202401_NFe_NotaFiscalItem.csv", include_bytes!("../../fixtures/portal-lines-v1.csv")),
        ("202401_NFe_NotaFiscalEvento.csv", include_bytes!("../../fixtures/portal-events.csv")),
    ]);
    let (s3, key) = (aws::s3_client(&place.config), "202401_NFe.zip");
    s3.put_object().bucket(UPLOADS_BUCKET).key(key).body(ByteStream::from(archive)).send().await.unwrap();
    let source = object::open(s3.clone(), UPLOADS_BUCKET.to_owned(), key.to_owned(), None).await.unwrap();
    let outcome = place.engine(Settings::default()).ingest(&source).await.unwrap();
    let report = outcome.report;
    assert!(report.rejected > 1, "the examples show rejects");
    (api::over(&place.config, &place.table), report.ingestion)
}

async fn json_of(router: &Router, path: &str) -> Value {
    let answer = api::get(router, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn text_of(router: &Router, path: &str) -> String {
    api::get(router, path).await.text().to_owned()
}

fn write(name: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../crates/api/src/examples/{name}.json"));
    std::fs::write(path, format!("{}\n", serde_json::to_string_pretty(value).unwrap())).unwrap();
}

#[tokio::test]
async fn every_example_is_a_real_answer() {
    let place = Place::new().await;
    let (router, ingestion) = filled(&place).await;
    let is_to_be_written = std::env::var_os("NOTAFLUX_BLESS").is_some();
    let document = json_of(&router, "/openapi.json").await;
    let mut requests = serde_json::Map::new();
    for (path, name, request) in REQUESTS {
        assert!(!request.contains("/v1/invoices/3") || request.contains(INVOICE));
        let mut answer = json_of(&router, &request.replace("INGESTION", &ingestion)).await;
        masked(&mut answer, &ingestion, &place.work);
        requests.insert(path.to_owned(), json!(request));
        if is_to_be_written {
            write(name, &answer);
            continue;
        }
        let operation = &document["paths"][path]["get"];
        let example = &operation["responses"]["200"]["content"]["application/json"]["example"];
        assert_eq!(*example, answer, "{path}: run with NOTAFLUX_BLESS=1 to write it again");
    }
    if is_to_be_written {
        write("requests", &Value::Object(requests));
        return;
    }
    let page = text_of(&router, "/docs").await;
    for (.., request) in REQUESTS {
        assert!(page.contains(&request.replace('&', "&amp;")), "{request}");
    }
    let with_examples =
        document["paths"].as_object().unwrap().iter().filter(|(_, path)| path.to_string().contains("\"example\""));
    let named: BTreeSet<&str> = REQUESTS.iter().map(|(path, ..)| *path).collect();
    let shown = |path: &Value| path["get"]["responses"]["200"]["content"]["application/json"]["example"].is_object();
    assert_eq!(
        with_examples.filter(|(_, path)| shown(path)).map(|(path, _)| path.as_str()).collect::<BTreeSet<_>>(),
        named
    );
}

#[tokio::test]
async fn the_api_accepts_exactly_the_described_paths_and_parameters() {
    let place = Place::new().await;
    let (router, ingestion) = filled(&place).await;
    let document = json_of(&router, "/openapi.json").await;
    let every: BTreeSet<String> = document["paths"].as_object().unwrap().values().flat_map(names).collect();
    assert!(every.len() > 15, "{every:?}");
    for (path, described) in document["paths"].as_object().unwrap() {
        let id = if path.contains("ingestions") { &ingestion } else { INVOICE };
        let route = path.replace("{id}", id);
        assert!(!text_of(&router, &route).await.contains("No such path"), "{path}");
        if path == "/health" {
            continue;
        }
        for name in &every {
            let body = text_of(&router, &format!("{route}?{name}=x%00")).await;
            let is_unknown = body.contains(&format!("\"parameter\":\"{name}\",\"message\":\"unknown parameter\""));
            assert_eq!(is_unknown, !names(described).contains(name), "{path}?{name}: {body}");
        }
        for parameter in described["get"]["parameters"].as_array().unwrap() {
            let (name, example) = (parameter["name"].as_str().unwrap(), &parameter["example"]);
            let example = example.as_str().map_or_else(|| example.to_string(), ToOwned::to_owned);
            if parameter["in"] == "query" && example != "null" {
                let body = text_of(&router, &format!("{route}?{name}={example}")).await;
                assert!(
                    !body.contains(&format!("\"parameter\":\"{name}\"")) || name == "status",
                    "{path}?{name}: {body}"
                );
            }
        }
    }
}

/// Returns the names of the query parameters of a path.
fn names(path: &Value) -> BTreeSet<String> {
    let parameters = path["get"]["parameters"].as_array().unwrap().iter();
    let in_query = parameters.filter(|parameter| parameter["in"] == "query");
    in_query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn references_resolve_and_names_are_unique() {
    let place = Place::new().await;
    let (router, _) = filled(&place).await;
    let document = json_of(&router, "/openapi.json").await;
    let text = document.to_string();
    let references: Vec<&str> =
        text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(references.len() > 50);
    assert!(references.iter().all(|reference| document.pointer(reference).is_some()), "{references:?}");
    let ids: Vec<&str> = text.split("\"operationId\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let operations: Vec<&Value> =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values()).collect();
    let own: BTreeSet<&str> = operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(own.len(), operations.len(), "each operation has a unique name");
    assert!(ids.iter().all(|id| own.contains(id)), "links name operations");
    assert_eq!((document["openapi"].as_str(), &document["servers"]), (Some("3.1.0"), &json!([{"url": "/"}])));
}
