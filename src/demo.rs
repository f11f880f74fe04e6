//! `notaflux demo`: the whole thing on this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use tokio::net::TcpListener;

use super::bar::Bar;
use super::place::{Place, Services};
use super::{Failure, cursor_key, http, say, serve, stop, summary};
use crate::progress::Display;
use notaflux_aws as aws;
use notaflux_engine::object;
use notaflux_engine::{Error, Settings, StopSignal};
use notaflux_generate::{GenerateOptions, Generator, LayoutVersion};
use notaflux_local::stack::{Stack, StackOptions, UPLOADS_BUCKET};

/// Rows of the sample.
const RECORDS: u64 = 5_000;

/// Name of the sample in the uploads bucket: with a space, accents and a plus sign, as people name files.
const SAMPLE_KEY: &str = "Notas São Paulo +2026.csv";

/// Arguments of `notaflux demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// End after the queries instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,
    /// Keep the embedded S3 and DynamoDB in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Port of the API; any free one by default
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let stop = stop::on_signal()?;
        say("1. Embedded S3 and DynamoDB start on this machine.")?;
        let stack = Stack::start(StackOptions { data: self.data.clone(), ..StackOptions::default() })?;
        let (endpoints, cursors) = (stack.endpoints().clone(), cursor_key::in_folder(stack.folder())?);
        say(format!("   Both answer at {}.", endpoints.aws))?;
        let mut place = Place::embedded(Services::of(stack)).await?;

        let (sample, issuer) = sample();
        let size = sample.len() / 1024;
        say(format!("\n2. {RECORDS} generated rows, 2 % of them duplicates and 0.5 % bad, are uploaded: {size} KiB."))?;
        let put = place.s3().put_object().bucket(UPLOADS_BUCKET).key(SAMPLE_KEY).body(ByteStream::from(sample));
        put.send().await.map_err(|error| aws::describe_error(&error))?;

        say(format!("\n3. s3://{UPLOADS_BUCKET}/{SAMPLE_KEY} is ingested."))?;
        let source = object::open(place.s3(), UPLOADS_BUCKET.to_owned(), SAMPLE_KEY.to_owned(), None).await?;
        let bar = Bar::new(&source.to_string(), Display::for_stderr(false));
        let engine = place.engine(Settings::default()).observed(bar.observer()).halted(StopSignal::on(stop.clone()));
        let outcome = Box::pin(engine.ingest(&source)).await?;
        bar.finish();
        match outcome.error {
            Some(Error::Interrupted { .. }) => return Ok(stop::interrupted()),
            Some(error) => return Err(error.into()),
            None => say(summary::of(&outcome))?,
        }

        let listener =
            TcpListener::bind(("127.0.0.1", self.port)).await.map_err(|error| format!("the API's port: {error}"))?;
        let base = format!("http://{}", listener.local_addr()?);
        let api = place.api(cursors);
        let server = tokio::spawn(async move { axum::serve(listener, notaflux_api::router(api)).await });
        say("\n4. The API answers. Paste these:")?;
        show_queries(&base, &issuer, &outcome.report.ingestion).await?;
        if !self.once {
            if let Some(stack) = &mut place.services.stack {
                stack.announce_api(&base)?;
            }
            say("\nServing until Ctrl-C.")?;
            serve::tell_aws_cli(&endpoints)?;
            say(format!("   aws dynamodb scan --table-name {} --max-items 1", place.table.name))?;
            stop.cancelled().await;
        }
        server.abort();
        Ok(ExitCode::SUCCESS)
    }
}

/// The sample's bytes and the issuer that most of its invoices are of.
fn sample() -> (Vec<u8>, String) {
    let layout_version = LayoutVersion::V1;
    let options = GenerateOptions { records: RECORDS, seed: 2026, layout_version, duplicates: 0.02, bad: 0.005 };
    let (mut generator, mut bytes) = (Generator::new(options), Vec::new());
    while generator.fill(&mut bytes) {}
    (bytes, generator.busiest_issuer())
}

async fn show_queries(base: &str, issuer: &str, ingestion: &str) -> Result<(), Failure> {
    let first = show(base, &format!("/v1/invoices?issuer={issuer}&limit=2")).await?;
    if let Some(cursor) = first.get("next_cursor").and_then(Value::as_str) {
        show(base, &format!("/v1/invoices?issuer={issuer}&limit=2&cursor={cursor}")).await?;
    }
    if let Some(id) = first.pointer("/items/0/id").and_then(Value::as_str) {
        show(base, &format!("/v1/invoices/{id}")).await?;
    }
    show(base, &format!("/v1/ingestions/{ingestion}")).await?;
    Ok(())
}

/// Shows a query as a command, and the beginning of its answer.
async fn show(base: &str, path: &str) -> Result<Value, Failure> {
    let answer = http::get(&format!("{base}{path}")).await?;
    let body: Value = serde_json::from_slice(&answer.body)?;
    say(format!("\n   curl '{base}{path}'"))?;
    let text = serde_json::to_string_pretty(&body)?;
    let lines = text.lines().count();
    for line in text.lines().take(SHOWN_LINES) {
        say(format!("   {line}"))?;
    }
    if lines > SHOWN_LINES {
        say(format!("   … {} more lines", lines - SHOWN_LINES))?;
    }
    if answer.status != 200 {
        return Err(format!("{path}: the API answered {}", answer.status).into());
    }
    Ok(body)
}

/// Lines of an answer that are shown.
const SHOWN_LINES: usize = 12;
