//! `notaflux query` as a real process: its output, its exit codes, and its cursors, which the API also accepts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use notaflux_local::stack::{Stack, StackOptions};
use serde_json::Value;

use crate::program::{self, Program, notaflux};
use crate::support::{http, rows};

/// The issuer of all invoices here, as users write it.
const ISSUER: &str = "33.000.167/0001-01";

/// Number of invoices.
const INVOICES: u32 = 25;

/// A data folder with invoices in its table.
struct Data {
    folder: tempfile::TempDir,
}

impl Data {
    fn new() -> Self {
        let data = Self { folder: tempfile::tempdir().unwrap() };
        let file = data.notas();
        stderr_of(&program::run(&["ingest", file.to_str().unwrap(), "--data", data.path()], None), 0);
        data
    }

    fn notas(&self) -> PathBuf {
        notas_in(self.folder.path())
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn query(&self, arguments: &[&str]) -> Output {
        program::run(&[&["query"], arguments, &["--data", self.path()]].concat(), None)
    }

    /// Returns the output of a query that succeeds.
    fn printed(&self, arguments: &[&str]) -> String {
        let output = self.query(arguments);
        stderr_of(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.printed(&[arguments, &["--format", "json"]].concat())).unwrap()
    }
}

fn notas_in(folder: &Path) -> PathBuf {
    let file = folder.join("notas.csv");
    fs::write(&file, rows::file((0..INVOICES).map(|n| (rows::key(n), format!("{n},50"))))).unwrap();
    file
}

/// Returns the standard error of a process, which must have ended with this code.
fn stderr_of(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn cursors_are_valid_for_the_next_command_and_the_api() {
    let data = Data::new();
    let first = data.json(&["invoices", "--issuer", ISSUER, "--limit", "10"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = data.json(&["invoices", "--issuer", ISSUER, "--limit", "20", "--cursor", cursor]);
    assert_eq!((ids(&first).len(), ids(&second).len(), second.get("next_cursor")), (10, 15, None));
    let all = data.json(&["invoices", "--issuer", ISSUER, "--limit", "7", "--all"]);
    assert_eq!(ids(&all), [ids(&first), ids(&second)].concat());
    assert_eq!(all.get("next_cursor"), None);

    let options = ["serve", "--data", data.path(), "--port", "0", "--aws-port", "0"];
    let _server = Program::start(notaflux(&options, None), data.folder.path(), "serve");
    let api = program::endpoints(data.folder.path()).api.unwrap();
    let list = format!("{api}/v1/invoices?issuer=33000167000101&limit=20");
    let answered = http::get_json(&format!("{list}&cursor={cursor}")).await;
    assert_eq!(answered, second, "the API takes the cursor of the command line");
    let answered = http::get_json(&list).await;
    let cursor = answered["next_cursor"].as_str().unwrap();
    let rest = data.json(&["invoices", "--issuer", ISSUER, "--cursor", cursor]);
    assert_eq!(ids(&all)[20..], ids(&rest), "a query uses the table of the running server, with its cursors");
}

#[test]
fn a_list_is_a_table_with_the_command_for_the_next_page() {
    let data = Data::new();
    let list = ["invoices", "--issuer", ISSUER, "--format", "table"];
    let output = data.query(&[&list[..], &["--limit", "10"]].concat());
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 11, "{printed}");
    let names: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(names, ["issued_at", "number", "issuer", "recipient", "status", "total", "id"]);
    let row = format!("2026-07-12T00:00:00  7083    PETRÓLEO  COMANDO    authorized   0.50  {}", rows::key(0));
    assert_eq!(lines[1], row);
    let said = stderr_of(&output, 0);
    let cursor = said.split_once("add --cursor ").unwrap().1.split_once(',').unwrap().0;
    let output = data.query(&[&list[..], &["--cursor", cursor]].concat());
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 16);
    assert_eq!(stderr_of(&output, 0), "", "there is no next page");

    let all = data.printed(&[&list[..], &["--all", "--limit", "4"]].concat());
    assert_eq!(all.lines().filter(|line| line.starts_with("issued_at")).count(), 1);
    assert_eq!(all.lines().count(), 1 + usize::try_from(INVOICES).unwrap());
    let output = data.query(&["invoices", "--issuer", "00394429021965", "--format", "table"]);
    assert_eq!((stderr_of(&output, 0).as_str(), output.stdout.len()), ("notaflux: nothing found\n", 0));
}

#[test]
fn a_single_resource_is_json_in_a_pipe_and_lines_as_a_table() {
    let data = Data::new();
    let key = rows::key(7);
    let printed = data.printed(&["invoice", &key]);
    let invoice: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((invoice["total"].as_str(), invoice["issuer"]["city"].as_str()), (Some("7.50"), Some("SÃO PAULO")));
    assert!(printed.starts_with(&format!("{{\n  \"id\": \"{key}\",\n")) && printed.ends_with("\n}\n"), "{printed}");
    let line = data.printed(&["invoice", &key, "--format", "ndjson"]);
    assert_eq!((line.lines().count(), serde_json::from_str::<Value>(&line).unwrap()), (1, invoice));
    let read = data.printed(&["invoice", &key, "--format", "table"]);
    assert!(read.starts_with(&format!("id           {key}\n")), "{read}");
    assert!(read.contains("\nissuer\n  tax_id              33000167000101\n"), "{read}");
    assert!(read.contains("\nlines        none\n"), "{read}");
    assert_eq!(data.json(&["lines", &key])["items"], serde_json::json!([]));
    assert_eq!(data.json(&["events", &key])["items"], serde_json::json!([]));
}

#[test]
fn wrong_flags_end_with_2_and_anything_else_with_1() {
    let data = Data::new();
    let list = ["invoices", "--issuer", ISSUER];
    for (more, expected) in [
        (
            &["--from", "soon", "--limit", "1001"][..],
            &["notaflux: ", "--from: expected a date", "--limit: expected a whole"][..],
        ),
        (&["--from", "2024-02-02", "--to", "2024-02-01"], &["notaflux: --to: expected"]),
        (&["--cursor", "AAAA"], &["notaflux: --cursor: the cursor does not belong to this query"]),
        (&["--limit", "1", "--limit", "2"], &["--limit <N>", "cannot be used multiple times"]),
        (&["--format", "xml"], &["[possible values: table, json, ndjson, csv]"]),
    ] {
        let output = data.query(&[&list[..], more].concat());
        let said = stderr_of(&output, 2);
        assert!(expected.iter().all(|words| said.contains(words)), "{said}");
        assert!(output.stdout.is_empty());
    }
    let said = stderr_of(&data.query(&["invoices", "--limit", "5"]), 2);
    assert!(said.starts_with("notaflux: --issuer: "), "{said}");
    stderr_of(&data.query(&["invoice", "a", "--format", "csv"]), 2);
    for what in ["invoice", "lines"] {
        let said = stderr_of(&data.query(&[what, "../none"]), 1);
        assert_eq!(said, "notaflux: no invoice has this id; notaflux query invoices lists the ids\n");
    }
    let empty = tempfile::tempdir().unwrap();
    let said =
        stderr_of(&program::run(&["query", "ingestion", "a", "--data", empty.path().to_str().unwrap()], None), 1);
    assert!(said.starts_with("notaflux: there is no table"), "{said}");
    assert!(!empty.path().join("cursor.key").exists());
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_error() {
    let data = Data::new();
    let arguments =
        ["query", "invoices", "--issuer", ISSUER, "--format", "json", "--all", "--limit", "1", "--data", data.path()];
    let mut child = notaflux(&arguments, None).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(stderr_of(&child.wait_with_output().unwrap(), 0), "");
}

#[test]
fn a_cursor_of_a_table_in_aws_is_valid_in_any_folder() {
    let stack = Stack::start(StackOptions::default()).unwrap();
    let endpoint = stack.endpoints().aws.clone();
    let run = |arguments: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let all = [arguments, &["--table", "invoices"]].concat();
        let output = notaflux(&all, Some(&endpoint)).current_dir(&folder).output().unwrap();
        stderr_of(&output, 0);
        (String::from_utf8(output.stdout).unwrap(), fs::read_dir(&folder).unwrap().count())
    };
    let folder = tempfile::tempdir().unwrap();
    run(&["table", "create"]);
    run(&["ingest", notas_in(folder.path()).to_str().unwrap()]);
    let list = ["query", "invoices", "--issuer", ISSUER, "--limit", "20", "--format", "json"];
    let (first, files) = run(&list);
    let first: Value = serde_json::from_str(&first).unwrap();
    let (second, _) = run(&[&list[..], &["--cursor", first["next_cursor"].as_str().unwrap()]].concat());
    assert_eq!(ids(&serde_json::from_str(&second).unwrap()).len(), 5);
    assert_eq!(files, 0, "a query creates no files");
}

#[test]
fn a_pipe_gets_ndjson_and_csv_has_one_header() {
    let data = Data::new();
    let list = ["invoices", "--issuer", ISSUER, "--all", "--limit", "4"];
    let printed = data.printed(&list);
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let all = data.json(&list);
    assert_eq!(lines, *all["items"].as_array().unwrap());
    let csv = data.printed(&[&list[..], &["--format", "csv"]].concat());
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let column = reader.headers().unwrap().iter().position(|name| name == "id").unwrap();
    let found: Vec<String> = reader.records().map(|record| record.unwrap()[column].to_owned()).collect();
    assert_eq!(found, ids(&all));
}

#[test]
fn every_list_and_filter_has_an_option() {
    let data = Data::new();
    let ingestions = data.json(&["ingestions", "--state", "completed"]);
    let id = ingestions["items"][0]["ingestion"].as_str().unwrap();
    assert_eq!(data.json(&["ingestion", id]), ingestions["items"][0]);
    assert!(data.printed(&["ingestions", "--format", "table"]).lines().nth(1).unwrap().ends_with("notas.csv"));
    assert!(data.printed(&["ingestion", id, "--format", "table"]).contains("\nentries (1)\n"));
    assert_eq!(data.json(&["rejects", id])["items"], serde_json::json!([]));
    let told_of = stderr_of(&data.query(&["rejects", "none"]), 1);
    assert!(told_of.ends_with("; notaflux query ingestions lists the ids\n"), "{told_of}");
    let filters = [
        &["--recipient", "00.394.429/0219-65", "--month", "2026-07", "--status", "authorized", "--order", "desc"][..],
        &["--model", "55", "--series", "1", "--number", "7083", "--issuer-uf", "sp", "--recipient-uf", "SP"],
        &["--min-total", "-1", "--max-total", "4.50"],
    ];
    let found = data.json(&[&["invoices"][..], &filters.concat()].concat());
    let expected: Vec<String> = (0..5).rev().map(rows::key).collect();
    assert_eq!(ids(&found), expected);
}
