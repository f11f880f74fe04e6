//! `notaflux serve`: embedded S3, DynamoDB and the API; what is put into the uploads bucket is ingested.

use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;

use super::place::{Place, Services};
use super::worker::Worker;
use super::{Failure, cursor_key, say, stop};
use notaflux_api::{Api, Cors};
use notaflux_aws::{EMBEDDED_KEYS, EMBEDDED_REGION};
use notaflux_engine::local_queue::LocalQueue;
use notaflux_engine::{RejectLimit, Settings};
use notaflux_local::stack::{Stack, StackOptions, UPLOADS_BUCKET};
use notaflux_local::{Endpoints, OnCreated};
use notaflux_write::ceiling;

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
    /// Objects that are ingested at once
    #[arg(long, value_name = "N", default_value = "2")]
    workers: NonZeroU32,
    /// Never exceed this many write units a second, all workers together
    #[arg(long, value_name = "N")]
    max_write_units: Option<NonZeroU32>,
    /// Write nothing of an object of which more records than this are rejected: a number or a percentage
    #[arg(long, value_name = "N|P%", value_parser = super::ingest::reject_limit)]
    max_rejects: Option<RejectLimit>,
    /// Let web pages of this origin (scheme, host, port), or of any (*), read the API's answers; may be given several
    /// times
    #[arg(long = "cors-origin", value_name = "ORIGIN", value_parser = origin)]
    cors_origins: Vec<String>,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

/// An origin, or `*`.
fn origin(text: &str) -> Result<String, String> {
    Cors::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let stop = stop::on_signal()?;
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.map_err(|error| {
            format!("cannot listen on 127.0.0.1:{}: {error}; choose another with --port, or 0 for any", self.port)
        })?;
        let base = format!("http://{}", listener.local_addr()?);
        let queue = Arc::new(LocalQueue::default());
        let on_created = Some(enqueue_uploads(&queue));
        let options = StackOptions { data: Some(self.data.clone()), port: self.aws_port, on_created };
        let mut stack = Stack::start(options)?;
        let cursors = cursor_key::in_folder(stack.folder())?;
        let endpoints = stack.endpoints().clone();
        let mut place = Place::embedded(Services::at(&endpoints)).await?;
        let settings = Settings { alone_since_ms: place.take_over().await?, ..self.settings()? };
        stack.announce_api(&base)?;
        // Nobody has to listen: it serves all the same.
        self.greet(&base, &endpoints).unwrap_or_default();

        let worker = Worker { endpoints, queue: queue.clone(), settings, quiet: self.quiet, stop: stop.clone() };
        // Whatever lies there and is not completed: uploads of before a crash, or put there while nobody served.
        for key in stack.oldest_first(UPLOADS_BUCKET)? {
            queue.add_created(UPLOADS_BUCKET, key);
        }
        let workers = (0..self.workers.get()).map(|_| worker.clone().start()).collect::<Result<Vec<_>, _>>()?;
        let cors = Cors::parse(&self.cors_origins.join(","))?;
        let api = notaflux_api::router(Api { cors, ..place.api(cursors) });
        let api = axum::serve(listener, api).with_graceful_shutdown(stop.clone().cancelled_owned());
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let served = tokio::select! {
            served = api.into_future() => served,
            () = overdue => Ok(()),
        };
        // Whatever ended the API ends the workers, and nobody may take the folder before they have.
        stop.cancel();
        // On a thread of their own, so that a second Ctrl-C is heard.
        tokio::task::spawn_blocking(move || end(workers, stack)).await??;
        served?;
        say("Stopped. What was not yet ingested goes on at the next start.").unwrap_or_default();
        Ok(ExitCode::SUCCESS)
    }

    fn greet(&self, base: &str, endpoints: &Endpoints) -> io::Result<()> {
        say(format!("API        {base}/v1/invoices"))?;
        say(format!("uploads    s3://{UPLOADS_BUCKET} at {}", endpoints.aws))?;
        say(format!("state      {}", self.data.display()))?;
        tell_aws_cli(endpoints)?;
        say(format!("   aws s3 cp notas.csv s3://{UPLOADS_BUCKET}/"))?;
        say("Serving until Ctrl-C.")
    }

    /// What one worker may do: its share of the ceiling, among others.
    fn settings(&self) -> Result<Settings, Failure> {
        let share = |ceiling| {
            let share = ceiling::share(ceiling, self.workers);
            share.ok_or_else(|| {
                format!("--max-write-units {ceiling} is less than one for each of {} workers", self.workers)
            })
        };
        let max_write_units = self.max_write_units.map(share).transpose()?;
        Ok(Settings { max_write_units, max_rejects: self.max_rejects, retry_ended: false, ..Settings::default() })
    }
}

/// Waits for the workers, then for the servers that they work with.
fn end(workers: Vec<JoinHandle<Result<(), Failure>>>, stack: Stack) -> Result<(), Failure> {
    for worker in workers {
        worker.join().map_err(|_| "a worker stopped for a defect of its own; please report it")??;
    }
    stack.stop();
    Ok(())
}

/// Says how to use the embedded services from the AWS CLI and the SDKs.
pub(super) fn tell_aws_cli(endpoints: &Endpoints) -> io::Result<()> {
    let (access_key, secret_key) = EMBEDDED_KEYS;
    say("For the AWS CLI and the SDKs:")?;
    say(format!("   export AWS_ENDPOINT_URL={} AWS_REGION={EMBEDDED_REGION}", endpoints.aws))?;
    say(format!("   export AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret_key}"))
}

/// Puts each new object of the uploads bucket into the queue.
fn enqueue_uploads(queue: &Arc<LocalQueue>) -> OnCreated {
    let queue = Arc::clone(queue);
    Arc::new(move |created| {
        if created.bucket == UPLOADS_BUCKET {
            queue.add_created(UPLOADS_BUCKET, created.key);
        }
    })
}
