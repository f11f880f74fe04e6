//! `notaflux demo`: runs everything once on this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::backend::{Backend, Services};
use super::bar::Bar;
use super::{cursor_key, http, stop, summary};
use crate::failure::Failure;
use crate::output::{print_aws_variables, print_line};
use crate::progress::Display;
use notaflux_aws as aws;
use notaflux_engine::object;
use notaflux_engine::{Error, Outcome, Settings, StopSignal};
use notaflux_generate::{GenerateOptions, Generator, LayoutVersion};
use notaflux_local::stack::{Stack, StackOptions, UPLOADS_BUCKET};

/// Rows of the sample.
const RECORDS: u64 = 5_000;

/// Key of the sample in the uploads bucket. It has a space, accents and a plus sign, as names of files often do.
const SAMPLE_KEY: &str = "Notas São Paulo +2026.csv";

/// Arguments of `notaflux demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Exit after the queries instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,
    /// Keep the embedded S3 and DynamoDB in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Port of the API; 0 uses any free port
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let stop = stop::on_signal()?;
        print_line("1. Start embedded S3 and DynamoDB on this machine.")?;
        let stack = Stack::start(StackOptions { data: self.data.clone(), ..StackOptions::default() })?;
        let (endpoints, cursors) = (stack.endpoints().clone(), cursor_key::in_folder(stack.folder())?);
        print_line(format!("   Both listen on {}.", endpoints.aws))?;
        let mut backend = Backend::embedded(Services::of(stack)).await?;

        let issuer = upload_sample(&backend).await?;
        let outcome = ingest_sample(&backend, &stop).await?;
        match outcome.error {
            Some(Error::Interrupted { .. }) => return Ok(stop::interrupted()),
            Some(error) => return Err(error.into()),
            None => print_line(summary::of(&outcome))?,
        }

        let (listener, base) = self.listen().await?;
        let api = backend.api(cursors);
        let server = tokio::spawn(async move { axum::serve(listener, notaflux_api::router(api)).await });
        print_line("\n4. Query the API.")?;
        show_queries(&base, &issuer, &outcome.report.ingestion).await?;
        if !self.once {
            if let Some(stack) = &mut backend.services.stack {
                stack.announce_api(&base)?;
            }
            print_line("\nServing until Ctrl-C.")?;
            print_aws_variables(&endpoints)?;
            print_line(format!("   aws dynamodb scan --table-name {} --max-items 1", backend.table.name))?;
            stop.cancelled().await;
        }
        server.abort();
        Ok(ExitCode::SUCCESS)
    }

    /// Opens the port of the API. Returns the listener and the URL.
    async fn listen(&self) -> Result<(TcpListener, String), Failure> {
        let port = self.port;
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| {
            format!(
                "cannot listen on 127.0.0.1:{port}: {error}; choose another port with --port, or 0 for any free port"
            )
        })?;
        let base = format!("http://{}", listener.local_addr()?);
        Ok((listener, base))
    }
}

/// Uploads the sample. Returns the issuer with the most invoices.
async fn upload_sample(backend: &Backend) -> Result<String, Failure> {
    let (sample, issuer) = sample();
    let size = sample.len() / 1024;
    print_line(format!("\n2. Upload {RECORDS} generated rows ({size} KiB); 2 % are duplicates and 0.5 % are bad."))?;
    let put = backend.s3().put_object().bucket(UPLOADS_BUCKET).key(SAMPLE_KEY).body(ByteStream::from(sample));
    put.send().await.map_err(|error| aws::describe_error(&error))?;
    Ok(issuer)
}

async fn ingest_sample(backend: &Backend, stop: &CancellationToken) -> Result<Outcome, Failure> {
    print_line(format!("\n3. Ingest s3://{UPLOADS_BUCKET}/{SAMPLE_KEY}."))?;
    let source = object::open(backend.s3(), UPLOADS_BUCKET.to_owned(), SAMPLE_KEY.to_owned(), None).await?;
    let bar = Bar::new(&source.to_string(), Display::for_stderr(false));
    let engine = backend.engine(Settings::default()).with_observer(bar.observer());
    let engine = engine.with_stop_signal(StopSignal::on(stop.clone()));
    let outcome = Box::pin(engine.ingest(&source)).await?;
    bar.finish();
    Ok(outcome)
}

/// Returns the sample and the issuer with the most invoices.
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

/// Prints a query as a command, and the beginning of its answer.
async fn show(base: &str, path: &str) -> Result<Value, Failure> {
    let answer = http::get(&format!("{base}{path}")).await?;
    let body: Value = serde_json::from_slice(&answer.body)?;
    print_line(format!("\n   curl '{base}{path}'"))?;
    let text = serde_json::to_string_pretty(&body)?;
    let lines = text.lines().count();
    for line in text.lines().take(SHOWN_LINES) {
        print_line(format!("   {line}"))?;
    }
    if lines > SHOWN_LINES {
        print_line(format!("   … {} more lines", lines - SHOWN_LINES))?;
    }
    if answer.status != 200 {
        return Err(format!("{path}: the API answered {}", answer.status).into());
    }
    Ok(body)
}

/// Lines of an answer that are printed.
const SHOWN_LINES: usize = 12;
