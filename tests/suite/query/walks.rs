//! A thousand random queries, read page by page to the end.

use std::collections::BTreeMap;

use axum::Router;
use fastrand::Rng;
use futures::StreamExt as _;
use notaflux_api::parameters::query_string;
use notaflux_engine::Settings;
use notaflux_generate::{GenerateOptions, Generator};

use super::file;
use super::oracle::{self, Invoice, Invoices};
use super::question::{Form, Question, SHAPES};
use crate::support::api::{self, Answer};
use crate::support::place::Place;
use crate::support::rows;

const SEED: u64 = 20_261_126;
const QUERIES: usize = 1_000;
/// Number of rows from the generator, and of our own rows.
const GENERATED: u64 = 1_400;
const OWN: u32 = 2_400;
/// Largest number of pages for a list, as far as the limit decides it.
const PAGES: usize = 12;

/// Returns two files: the second repeats many keys of the first, some with another issuer, time or status.
fn files() -> [Vec<u8>; 2] {
    let mut generated = Vec::new();
    let options =
        GenerateOptions { records: GENERATED, seed: SEED, duplicates: 0.1, bad: 0.05, ..GenerateOptions::DEFAULT };
    let mut generator = Generator::new(options);
    while generator.fill(&mut generated) {}
    let own = file::rows(OWN, &mut Rng::with_seed(SEED));
    let (first, second) = own.split_at(own.len() / 2);
    let append = |mut file: Vec<u8>, rows: &[file::Row]| {
        for row in rows {
            row.append(&mut file);
        }
        file
    };
    [append(generated, first), append(rows::header(), second)]
}

async fn filled() -> (Place, Vec<Invoice>) {
    let (place, mut expected) = (Place::new().await, Invoices::new());
    for file in files() {
        let outcome = place.ingest(&file, Settings { block_bytes: 100_000, ..Settings::default() }).await;
        assert!(outcome.error.is_none() && outcome.report.rejected > 30, "{:?}", outcome.report);
        oracle::read(&file, &mut expected);
    }
    (place, expected.into_values().collect())
}

/// The result of a walk.
struct Walked {
    ids: Vec<String>,
    pages: usize,
}

/// Returns the link to the next page. Checks that the link has the cursor of the body and the same parameters.
fn next_of(answer: &Answer, asked: &[(String, String)]) -> Option<String> {
    let next = answer.next().map(api::parameters);
    let cursor = next.as_ref().map(|next| next.iter().find(|(name, _)| name == "cursor").unwrap().1.clone());
    if answer.header("content-type") == Some("application/json") {
        let in_body = answer.json().get("next_cursor").map(|cursor| cursor.as_str().unwrap().to_owned());
        assert_eq!(cursor, in_body, "the link's cursor is the body's");
    }
    let without_cursor = |parameters: &[(String, String)]| {
        let mut rest = parameters.to_vec();
        rest.retain(|(name, _)| name != "cursor");
        rest.sort();
        rest
    };
    if let Some(next) = next {
        assert_eq!(without_cursor(&next), without_cursor(asked), "the link has the same parameters");
    }
    cursor
}

/// Returns a random limit, mostly small: from the one that gives about [`PAGES`] pages up to the largest.
fn any_limit(expected: usize, dice: &mut Rng) -> usize {
    let least = (expected / PAGES).max(1);
    let limits = std::iter::successors(Some(least), |limit| Some(limit * 2)).take_while(|limit| *limit <= 500);
    let limits: Vec<usize> = limits.collect();
    let limit = limits[(0..3).map(|_| dice.usize(..limits.len())).min().unwrap()];
    dice.usize(limit..=(limit * 2).min(1_000))
}

/// Reads a list as JSON with cursors, and another limit for each page.
async fn walk(router: &Router, question: &Question, expected: &[&Invoice], dice: &mut Rng) -> Walked {
    let mut walked = Walked { ids: Vec::new(), pages: 0 };
    let mut cursor: Option<String> = None;
    loop {
        let limit = any_limit(expected.len(), dice).to_string();
        let mut parameters = question.parameters();
        parameters.push(("limit", &limit));
        parameters.extend(cursor.iter().map(|cursor| ("cursor", cursor.as_str())));
        dice.shuffle(&mut parameters);
        let path = format!("/v1/invoices{}", query_string(parameters));
        let answer = api::get(router, &path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let items = answer.json()["items"].as_array().unwrap().clone();
        assert!(items.len() <= limit.parse().unwrap(), "{} on a page of {limit}", items.len());
        for item in &items {
            let found = Invoice::of_json(item);
            let known = expected.iter().find(|invoice| invoice.id == found.id);
            assert_eq!(known, Some(&&found), "{path}");
            walked.ids.push(found.id);
        }
        walked.pages += 1;
        cursor = next_of(&answer, &api::parameters(&path));
        if cursor.is_none() {
            return walked;
        }
    }
}

/// Reads a list in another format, with links only.
async fn walk_links(router: &Router, question: &Question, expected: usize, dice: &mut Rng) -> Walked {
    let mut walked = Walked { ids: Vec::new(), pages: 0 };
    let accept = if question.form == Form::Csv { "text/csv" } else { "application/x-ndjson" };
    let limit = any_limit(expected, dice).to_string();
    let mut query = query_string(question.parameters().into_iter().chain([("limit", limit.as_str())]));
    loop {
        let answer = api::ask(router, "GET", &format!("/v1/invoices{query}"), &[("accept", accept)]).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert!(answer.header("content-type").unwrap().starts_with(accept));
        let ids = ids_of(&answer, question.form);
        assert!(ids.len() <= limit.parse().unwrap(), "{} on a page of {limit}", ids.len());
        walked.ids.extend(ids);
        walked.pages += 1;
        next_of(&answer, &api::parameters(&query));
        let Some(next) = answer.next() else { return walked };
        next.clone_into(&mut query);
    }
}

fn ids_of(answer: &Answer, form: Form) -> Vec<String> {
    if form == Form::Ndjson {
        let elements = answer.text().lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        return elements.map(|element| Invoice::of_json(&element).id).collect();
    }
    let mut reader = csv::Reader::from_reader(answer.body.as_ref());
    let id = reader.headers().unwrap().iter().position(|name| name == "id").unwrap();
    reader.records().map(|record| record.unwrap()[id].to_owned()).collect()
}

/// Counts of the queries, to check that they cover enough cases.
#[derive(Default)]
struct Seen {
    found: usize,
    empty: usize,
    in_pages: usize,
    in_other_forms: usize,
    parameters: BTreeMap<&'static str, usize>,
}

impl Seen {
    fn add(&mut self, question: &Question, walked: &Walked) {
        self.found += walked.ids.len();
        self.empty += usize::from(walked.ids.is_empty());
        self.in_pages += usize::from(walked.pages > 2);
        self.in_other_forms += usize::from(question.form != Form::Json);
        for (name, _) in question.parameters() {
            *self.parameters.entry(name).or_default() += 1;
        }
    }

    fn check(&self) {
        let Self { found, empty, in_pages, in_other_forms, parameters } = self;
        println!(
            "{found} invoices, {empty} empty, {in_pages} in three pages or more, {in_other_forms} as text: {parameters:?}"
        );
        assert!(*found > 20_000 && (20..500).contains(empty) && *in_pages > 200 && *in_other_forms > 60);
        assert!(parameters.len() == 14 && parameters.values().all(|times| *times > 50), "{parameters:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_random_queries_give_the_invoices_of_the_file() {
    let (place, invoices) = filled().await;
    assert!((2_800..3_300).contains(&invoices.len()), "{} invoices", invoices.len());
    let router = api::over(&place.stack.dynamodb_config(), &place.table);
    let ask = async |number: usize| {
        let mut dice = Rng::with_seed(SEED + u64::try_from(number).unwrap());
        let question = Question::any(number % SHAPES, &invoices, &mut dice);
        let expected = question.answer(&invoices);
        let walked = match question.form {
            Form::Json => walk(&router, &question, &expected, &mut dice).await,
            _ => walk_links(&router, &question, expected.len(), &mut dice).await,
        };
        let expected: Vec<&str> = expected.iter().map(|invoice| invoice.id.as_str()).collect();
        assert_eq!(walked.ids, expected, "seed {SEED}, query {number}: {question:?}");
        (question, walked)
    };
    let mut seen = Seen::default();
    let mut answers = futures::stream::iter(0..QUERIES).map(ask).buffer_unordered(4);
    while let Some((question, walked)) = answers.next().await {
        seen.add(&question, &walked);
    }
    seen.check();
}
