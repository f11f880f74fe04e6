//! Whole imports. Each is a separate process, to measure its CPU time and memory: this engine, a straightforward
//! design, and a lower limit.
//!
//! | arguments | what runs |
//! | --- | --- |
//! | `serve FOLDER` | S3 with the files of the folder in one bucket, and a table that accepts every put and stores none; prints its address |
//! | `ingest ENDPOINT KEY` | the engine as the ingest function runs it: survey, merge, write pass |
//! | `naive ENDPOINT KEY` | csv-async or `serde_json` rows into structs, the SDK's `batch_write_item`, one pass |
//! | `floor ENDPOINT KEY` | memchr, items written by hand, signed by hand, one socket at a time, one pass |
//!
//! `benches/report` runs them in turn and writes the tables. Each prints one line of JSON with CPU seconds (user and
//! system) and peak memory, according to the kernel.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unchecked_time_subtraction,
    reason = "a bench may panic to fail"
)]

mod engine;
mod floor;
mod naive;
mod rows;
mod server;
mod usage;

/// Puts in one call, the limit of `BatchWriteItem`.
const PUTS: usize = 25;

fn main() {
    // Cargo adds the argument `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", folder] => server::serve(folder.as_ref()),
        ["ingest", endpoint, key] => on_one_thread(engine::ingest(endpoint, key)),
        ["naive", endpoint, key] => on_one_thread(naive::import(endpoint, key)),
        ["floor", endpoint, key] => floor::import(endpoint, key),
        _ => println!("benches/report runs this; see the first lines of benches/pipeline/main.rs"),
    }
}

/// Runs a future on the same runtime as the function and the command line.
fn on_one_thread(run: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run);
}
