//! Invalid cursors: for any alteration of a cursor, the answer says only that the cursor is invalid.

use std::collections::BTreeMap;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fastrand::Rng;
use notaflux_api::parameters::query_string;
use notaflux_engine::Settings;
use notaflux_generate::{GenerateOptions, write_archive};
use serde_json::Value;

use crate::support::place::Place;
use crate::support::{api, rows};

const MUTATIONS: usize = 10_000;
const SEED: u64 = 10_000;

/// A query with two cursors from its answers.
struct Given {
    /// Path and parameters, without the cursor.
    query: String,
    cursor: String,
    other: String,
}

/// Invoices with lines, events and rejects, and three ingestions.
async fn filled() -> Place {
    let place = Place::new().await;
    let mut archive = Vec::new();
    let options =
        GenerateOptions { records: 1_500, seed: SEED, duplicates: 0.05, bad: 0.1, ..GenerateOptions::DEFAULT };
    write_archive(options, &mut archive).unwrap();
    for bytes in
        [archive, rows::file([(rows::key(1), "1,00".to_owned())]), rows::file([(rows::key(2), "2,00".to_owned())])]
    {
        let outcome = place.ingest(&bytes, Settings::default()).await;
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
    }
    place
}

/// Returns the first two invoices with at least three entries in a list (`part`).
async fn with_many(router: &Router, place: &Place, part: &str) -> [String; 2] {
    let mut counts = BTreeMap::<String, usize>::new();
    let prefix = if part == "lines" { "L#" } else { "E#" };
    for (pk, sk) in place.items().await.into_keys() {
        *counts.entry(pk).or_default() += usize::from(sk.starts_with(prefix));
    }
    let mut many = counts.into_iter().filter(|(_, count)| *count >= 3).map(|(pk, _)| pk[2..].to_owned());
    let ids = [many.next().unwrap(), many.next().unwrap()];
    for id in &ids {
        assert_eq!(api::get(router, &format!("/v1/invoices/{id}/{part}")).await.status, 200);
    }
    ids
}

/// Returns queries of every kind, with two cursors of each.
async fn given(router: &Router, place: &Place) -> Vec<Given> {
    let ingestions = api::get(router, "/v1/ingestions").await.json();
    let rejecting =
        ingestions["items"].as_array().unwrap().iter().find(|item| item["rejected"].as_u64() > Some(3)).unwrap();
    let rejecting = rejecting["ingestion"].as_str().unwrap();
    let invoices = api::get(router, "/v1/invoices?month=2024-05&limit=1000").await.json();
    let issuer = invoices["items"][0]["issuer"]["tax_id"].as_str().unwrap();
    let issuer = query_string([("issuer", issuer)]);
    let [lines, other_lines] = with_many(router, place, "lines").await;
    let [events, _] = with_many(router, place, "events").await;
    let queries = [
        "/v1/invoices?month=2024-05&limit=3".to_owned(),
        "/v1/invoices?month=2024-05&order=desc&limit=3".to_owned(),
        "/v1/invoices?month=2024-05&from=2024-05-02&status=authorized&min_total=0.01&limit=2".to_owned(),
        "/v1/invoices?status=cancelled&limit=1".to_owned(),
        format!("/v1/invoices{issuer}&limit=1"),
        format!("/v1/invoices/{lines}/lines?limit=1"),
        format!("/v1/invoices/{other_lines}/lines?limit=1"),
        format!("/v1/invoices/{events}/events?limit=1"),
        "/v1/ingestions?limit=1".to_owned(),
        "/v1/ingestions?state=completed&limit=1".to_owned(),
        format!("/v1/ingestions/{rejecting}/rejects?limit=2"),
    ];
    let mut given = Vec::new();
    for query in queries {
        let first = next_cursor(router, &query).await;
        let second = next_cursor(router, &format!("{query}&cursor={first}")).await;
        given.push(Given { query, cursor: first, other: second });
    }
    given
}

async fn next_cursor(router: &Router, path: &str) -> String {
    let page = api::get(router, path).await;
    assert_eq!(page.status, 200, "{path}: {}", page.text());
    page.json()["next_cursor"].as_str().unwrap_or_else(|| panic!("{path} has no other page")).to_owned()
}

fn decoded(cursor: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(cursor).unwrap()
}

/// Encodes a text as the value of a parameter.
fn encoded(text: &str) -> String {
    query_string([("cursor", text)])[1..].to_owned()
}

/// Returns a text with the same bytes in which unused bits are set.
fn with_unused_bits(cursor: &str) -> Option<String> {
    let unused_bits = match cursor.len() % 4 {
        2 => 4,
        3 => 2,
        _ => return None,
    };
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (head, last) = cursor.split_at(cursor.len() - 1);
    let value = digits.iter().position(|digit| *digit == last.as_bytes()[0]).unwrap();
    assert_eq!(value % (1 << unused_bits), 0, "the unused bits of a valid cursor are not set");
    Some(format!("{head}{}", char::from(digits[value + 1])))
}

/// Alters the bytes in a cursor.
fn altered_bytes(given: &Given, dice: &mut Rng) -> String {
    let (mut bytes, other) = (decoded(&given.cursor), decoded(&given.other));
    let at = dice.usize(..bytes.len());
    match dice.u8(..7) {
        0 => bytes[at] ^= 1 << dice.u8(..8),
        1 => bytes[0] = dice.u8(2..),
        2 => bytes[0] = 0,
        3 => bytes.insert(at, dice.u8(..)),
        4 => drop(bytes.remove(at)),
        // The nonce of one cursor with the rest of another one of the same query.
        5 => bytes[1..25].copy_from_slice(&other[1..25]),
        _ => bytes.splice(at.., other[at.min(other.len())..].to_vec()).for_each(drop),
    }
    encoded(&URL_SAFE_NO_PAD.encode(bytes))
}

/// Alters the text of a cursor.
fn altered_text(cursor: &str, dice: &mut Rng) -> String {
    let at = dice.usize(..cursor.len());
    let (head, tail) = cursor.split_at(at);
    let text = match dice.u8(..8) {
        0 => head.to_owned(),
        1 => tail[1..].to_owned(),
        2 => format!("{head}{}{tail}", dice.alphanumeric()),
        3 => format!("{head}{}{}", dice.alphanumeric(), &tail[1..]),
        4 => format!("{head}{tail}{cursor}"),
        5 => format!("{head}{}", tail.to_lowercase()),
        6 => format!("{tail}{head}"),
        _ => with_unused_bits(cursor).unwrap_or_default(),
    };
    encoded(&text)
}

/// Returns a text with characters that accompany base64 elsewhere, or that base64 does not have.
fn other_text(cursor: &str, dice: &mut Rng) -> String {
    let strange =
        ["=", "==", "é", "\u{202e}", "\0", "\n", " ", "\u{1f4a3}", "%", "+", "/", "&", "#", "'", "<b>", "../"];
    let piece = strange[dice.usize(..strange.len())];
    let at = dice.usize(..=cursor.len());
    let text = match dice.u8(..6) {
        0 => String::new(),
        1 => format!("{cursor}{piece}"),
        2 => format!("{piece}{cursor}"),
        3 => format!("{}{piece}{}", &cursor[..at], &cursor[at..]),
        4 => STANDARD.encode(decoded(cursor)),
        _ => STANDARD.encode((0..dice.usize(1..60)).map(|_| dice.u8(..)).collect::<Vec<_>>()),
    };
    encoded(&text)
}

/// Returns a wrong percent encoding, or one that is not UTF-8.
fn wrong_encoding(cursor: &str, dice: &mut Rng) -> String {
    let at = dice.usize(..=cursor.len());
    let pieces = ["%", "%G1", "%ff%fe", "%C3", "%00", "%2", "%u0041", "%F0%9F%92", "+"];
    let piece = pieces[dice.usize(..pieces.len())];
    format!("cursor={}{piece}{}", &cursor[..at], &cursor[at..])
}

/// The longest cursor that an address can contain.
fn huge(cursor: &str, dice: &mut Rng) -> String {
    let length = dice.usize(2_000..60_000);
    let text = cursor.chars().cycle().take(length).collect::<String>();
    encoded(&text)
}

/// Returns path, parameters and an invalid cursor.
fn mutation(given: &[Given], dice: &mut Rng) -> String {
    let of = &given[dice.usize(..given.len())];
    loop {
        let swapped = &given[dice.usize(..given.len())];
        let cursor = match dice.u8(..100) {
            0..35 => altered_bytes(of, dice),
            35..65 => altered_text(&of.cursor, dice),
            65..80 => other_text(&of.cursor, dice),
            80..90 => wrong_encoding(&of.cursor, dice),
            90..92 => huge(&of.cursor, dice),
            92..94 => format!("{}&{}", encoded(&of.cursor), encoded(&of.other)),
            _ if swapped.query != of.query => encoded(&swapped.other),
            _ => continue,
        };
        let path = format!("{}&{cursor}", of.query);
        let asked = api::parameters(&path);
        let mut cursors = asked.iter().filter(|(name, _)| name == "cursor").map(|(_, value)| value);
        // Some alterations change nothing, and two joined cursors may have equal parts.
        let is_given = cursors.next().is_some_and(|cursor| [&of.cursor, &of.other].contains(&cursor));
        if !is_given || cursors.next().is_some() {
            return path;
        }
    }
}

/// Checks a refusal, and returns its content without the id of the request.
fn told(path: &str, answer: &api::Answer) -> Value {
    assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    assert_eq!(answer.header("link"), None, "{path}");
    let mut body = answer.json();
    let id = body.as_object_mut().unwrap().remove("request_id").unwrap();
    assert_eq!(id.as_str(), answer.header("x-request-id"), "{path}");
    body
}

#[tokio::test]
async fn ten_thousand_invalid_cursors_get_the_same_refusal() {
    let place = filled().await;
    let router = api::over(&place.config, &place.table);
    let given = given(&router, &place).await;
    let mut dice = Rng::with_seed(SEED);
    let mut refusals = BTreeMap::<String, usize>::new();
    for _ in 0..MUTATIONS {
        let path = mutation(&given, &mut dice);
        let answer = api::get(&router, &path).await;
        *refusals.entry(told(&path, &answer).to_string()).or_default() += 1;
    }
    // There are only two refusals: the cursor is invalid, and the cursor is given twice.
    let kinds: BTreeMap<String, (Value, usize)> = refusals
        .into_iter()
        .map(|(body, count)| (serde_json::from_str::<Value>(&body).unwrap(), count))
        .map(|(body, count)| (body["type"].as_str().unwrap().to_owned(), (body, count)))
        .collect();
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["/problems/invalid-cursor", "/problems/invalid-parameter"]);
    let (none, most) = &kinds["/problems/invalid-cursor"];
    assert_eq!(none.as_object().unwrap().keys().collect::<Vec<_>>(), ["type", "title", "status", "detail"]);
    let (twice, some) = &kinds["/problems/invalid-parameter"];
    assert_eq!(twice["errors"], serde_json::json!([{"parameter": "cursor", "message": "expected once"}]));
    assert_eq!((most + some, *some > 100), (MUTATIONS, true), "each kind has always the same words");
    for Given { query, cursor, other } in &given {
        for cursor in [cursor, other] {
            assert_eq!(api::get(&router, &format!("{query}&cursor={cursor}")).await.status, 200, "{query}");
        }
    }
}
