//! `notaflux serve`: embedded S3, DynamoDB and the API; what is put into the uploads bucket is ingested.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use super::bar::Bar;
use super::place::{Place, Services};
use super::{Failure, cursor_key, say, stop, summary};
use crate::aws::{EMBEDDED_KEYS, EMBEDDED_REGION};
use crate::ingest::{RejectLimit, Settings};
use crate::local::Endpoints;
use crate::local::inbox::{self, Arrivals};
use crate::local::stack::{Stack, StackOptions, UPLOADS_BUCKET};
use crate::query::{self, Api};
use crate::read::ReadError;
use crate::read::source::Source;

/// How long answers under way may take when the server stops.
const GRACE: Duration = Duration::from_secs(3);

/// Arguments of `notaflux serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder that keeps everything
    #[arg(long, value_name = "DIR", default_value = "notaflux-data")]
    data: PathBuf,
    /// Port of the API; 0 takes any that is free
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// Port of S3 and DynamoDB; 0 takes any that is free
    #[arg(long, value_name = "N", default_value_t = 8081)]
    aws_port: u16,
    /// Never exceed this many write units a second
    #[arg(long, value_name = "N")]
    max_write_units: Option<NonZeroU32>,
    /// Write nothing of an object of which more records than this are rejected: a number or a percentage
    #[arg(long, value_name = "N|P%", value_parser = super::ingest::reject_limit)]
    max_rejects: Option<RejectLimit>,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let stop = stop::on_signal()?;
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.map_err(|error| {
            format!("cannot listen on 127.0.0.1:{}: {error}; choose another with --port, or 0 for any", self.port)
        })?;
        let base = format!("http://{}", listener.local_addr()?);
        let (on_created, arrivals) = inbox::of(UPLOADS_BUCKET);
        let options = StackOptions { data: Some(self.data.clone()), port: self.aws_port, on_created: Some(on_created) };
        let mut stack = Stack::start(options)?;
        let cursors = cursor_key::in_folder(stack.folder())?;
        let endpoints = stack.endpoints().clone();
        let place = Place::embedded(Services::at(&endpoints)).await?;
        stack.announce_api(&base)?;
        say(format!("API        {base}/v1/invoices"))?;
        say(format!("uploads    s3://{UPLOADS_BUCKET} at {}", endpoints.aws))?;
        say(format!("state      {}", stack.folder().display()))?;
        tell_aws_cli(&endpoints)?;
        say(format!("   aws s3 cp notas.csv s3://{UPLOADS_BUCKET}/"))?;
        say("Serving until Ctrl-C.")?;

        let worker = Worker { endpoints, settings: self.settings(), quiet: self.quiet, stop: stop.clone() };
        let worker = thread::Builder::new().name("ingest".to_owned()).spawn(move || worker.run(arrivals))?;
        let api = query::router(Api::new(place.table.clone(), cursors));
        let api = axum::serve(listener, api).with_graceful_shutdown(stop.clone().cancelled_owned());
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let served = tokio::select! {
            served = api.into_future() => served,
            () = overdue => Ok(()),
        };
        // Whatever ended the API ends the worker, and nobody may take the folder before it has.
        stop.cancel();
        worker.join().map_err(|_| "the ingestion stopped for a defect of its own; please report it")??;
        served?;
        drop(stack);
        say("Stopped. What was not yet ingested goes on at the next start.")?;
        Ok(ExitCode::SUCCESS)
    }

    fn settings(&self) -> Settings {
        Settings { max_write_units: self.max_write_units, max_rejects: self.max_rejects, ..Settings::default() }
    }
}

/// Says how to use the embedded services from the AWS CLI and the SDKs.
pub(super) fn tell_aws_cli(endpoints: &Endpoints) -> Result<(), Failure> {
    let (access_key, secret_key) = EMBEDDED_KEYS;
    say("For the AWS CLI and the SDKs:")?;
    say(format!("   export AWS_ENDPOINT_URL={} AWS_REGION={EMBEDDED_REGION}", endpoints.aws))?;
    say(format!("   export AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret_key}"))?;
    Ok(())
}

/// Ingests what arrives, one object after the other, on a thread and a runtime of its own: parsing does not hold up
/// the API.
struct Worker {
    endpoints: Endpoints,
    settings: Settings,
    quiet: bool,
    stop: CancellationToken,
}

impl Worker {
    fn run(self, arrivals: Arrivals) -> Result<(), Failure> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = self.stop.clone();
        let worked = runtime.block_on(stop.run_until_cancelled(self.work(arrivals)));
        // An error ends the whole: a server that has stopped to ingest must not look as if it did.
        stop.cancel();
        worked.map_or(Ok(()), |failed| failed.map(|never| match never {}))
    }

    /// Works until it is dropped: whatever is cut short there is done again at the next start.
    async fn work(&self, mut arrivals: Arrivals) -> Result<Infallible, Failure> {
        let place = Place::embedded(Services::at(&self.endpoints)).await?;
        // Whatever lies there and is not completed: uploads of before a crash, or put there while nobody served.
        arrivals.add_all(inbox::keys(&place.s3(), UPLOADS_BUCKET).await?);
        loop {
            let key = arrivals.next().await;
            if !self.ingest(&place, &key).await? {
                arrivals.again_later(key);
            }
        }
    }

    /// Ingests an object and says what became of it. Gives whether that is the last word.
    async fn ingest(&self, place: &Place, key: &str) -> Result<bool, Failure> {
        let name = format!("s3://{UPLOADS_BUCKET}/{key}");
        let source = match Source::object(place.s3(), UPLOADS_BUCKET, key, None).await {
            Ok(source) => source,
            Err(ReadError::NotFound { .. }) => {
                tracing::info!(object = name, "the object has gone before it was ingested");
                return Ok(true);
            }
            Err(error) => return Ok(failed(&name, &error, error.is_permanent())),
        };
        let bar = Bar::new(&name, self.quiet);
        let engine = place.engine(self.settings.clone(), Some(bar.observer()));
        let outcome = Box::pin(engine.ingest(&source)).await;
        bar.finish();
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return Ok(failed(&name, &error, error.is_permanent())),
        };
        let ingestion = outcome.report.ingestion.as_str();
        match &outcome.error {
            None if outcome.repeated => tracing::debug!(ingestion, object = name, "it has been ingested before"),
            None => {
                let counts = serde_json::to_string(&outcome.report)?;
                tracing::info!(ingestion, object = name, report = counts, "ingested");
                // Nobody has to listen: what is put here is ingested all the same.
                say(summary::line(&name, &outcome.report)).unwrap_or_default();
            }
            Some(error) => return Ok(failed(&name, error, error.is_permanent())),
        }
        Ok(true)
    }
}

/// Says why an object is not ingested. Gives whether that is the last word.
fn failed(name: &str, error: &dyn std::error::Error, is_permanent: bool) -> bool {
    let then = if is_permanent { "not ingested" } else { "not ingested yet, will be tried again" };
    tracing::error!("{name}: {then}: {error}");
    is_permanent
}
