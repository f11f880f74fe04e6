//! `notaflux serve`: runs embedded S3, DynamoDB and the API, and ingests every object of the uploads bucket.

use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::backend::{Backend, Services};
use super::worker::Worker;
use super::{arguments, cursor_key, stop};
use crate::failure::Failure;
use crate::output::{print_aws_variables, print_line};
use notaflux_api::{Api, Cors};
use notaflux_engine::choice::Choice;
use notaflux_engine::local_queue::LocalQueue;
use notaflux_engine::{RejectLimit, Settings};
use notaflux_local::stack::{Stack, StackOptions, UPLOADS_BUCKET};
use notaflux_local::{Endpoints, OnCreated};
use notaflux_write::ceiling;

/// How long requests in flight may continue when the server stops.
const GRACE: Duration = Duration::from_secs(3);

/// Arguments of `notaflux serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder for all data
    #[arg(long, value_name = "DIR", default_value = "notaflux-data")]
    data: PathBuf,
    /// Port of the API; 0 uses any free port
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// Port of S3 and DynamoDB; 0 uses any free port
    #[arg(long, value_name = "N", default_value_t = 8081)]
    aws_port: u16,
    /// Number of objects that are ingested at the same time
    #[arg(long, value_name = "N", default_value = "2")]
    workers: NonZeroU32,
    /// Never use more than this many write units per second, all workers together
    #[arg(long, value_name = "N")]
    max_write_units: Option<NonZeroU32>,
    /// Write nothing of an object if more of its records than this are rejected: a number or a percentage
    #[arg(long, value_name = "N|P%", value_parser = arguments::reject_limit)]
    max_rejects: Option<RejectLimit>,
    /// Skip the entries of an archive that hold data and cannot be read, instead of writing nothing of the archive
    #[arg(long)]
    skip_unknown: bool,
    /// Allow web pages of this origin (scheme, host, port), or of any origin (*), to read the API's answers; may be
    /// repeated
    #[arg(long = "cors-origin", value_name = "ORIGIN", value_parser = origin)]
    cors_origins: Vec<String>,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
}

/// Checks an origin, or `*`.
fn origin(text: &str) -> Result<String, String> {
    Cors::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let stop = stop::on_signal()?;
        let listener = self.listen().await?;
        let base = format!("http://{}", listener.local_addr()?);
        let queue = Arc::new(LocalQueue::default());
        let on_created = Some(enqueue_uploads(&queue));
        let options = StackOptions { data: Some(self.data.clone()), port: self.aws_port, on_created };
        let mut stack = Stack::start(options)?;
        let cursors = cursor_key::in_folder(stack.folder())?;
        let endpoints = stack.endpoints().clone();
        let mut backend = Backend::embedded(Services::at(&endpoints)).await?;
        let settings = Settings { alone_since_ms: backend.take_over().await?, ..self.settings()? };
        stack.announce_api(&base)?;
        // The server works even if standard output is closed.
        self.greet(&base, &endpoints).unwrap_or_default();

        let worker = Worker { endpoints, queue: queue.clone(), settings, quiet: self.quiet, stop: stop.clone() };
        // Every object may need work: one uploaded before a crash, or one put into the folder while no server ran.
        for key in stack.oldest_first(UPLOADS_BUCKET)? {
            queue.add_created(UPLOADS_BUCKET, key);
        }
        let workers = (0..self.workers.get()).map(|_| worker.clone().start()).collect::<Result<Vec<_>, _>>()?;
        let cors = Cors::parse(&self.cors_origins.join(","))?;
        let api = notaflux_api::router(Api { cors, ..backend.api(cursors) });
        let api = axum::serve(listener, api).with_graceful_shutdown(stop.clone().cancelled_owned());
        let served = tokio::select! {
            served = api.into_future() => served,
            () = grace_over(&stop) => Ok(()),
        };
        // The workers must end too, before the folder is released.
        stop.cancel();
        // This waits on another thread, so that a second Ctrl-C still works.
        tokio::task::spawn_blocking(move || end(workers, stack)).await??;
        served?;
        print_line("Stopped. Unfinished ingestions resume at the next start.").unwrap_or_default();
        Ok(ExitCode::SUCCESS)
    }

    /// Opens the port of the API.
    async fn listen(&self) -> Result<TcpListener, Failure> {
        let port = self.port;
        Ok(TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| {
            format!(
                "cannot listen on 127.0.0.1:{port}: {error}; choose another port with --port, or 0 for any free port"
            )
        })?)
    }

    fn greet(&self, base: &str, endpoints: &Endpoints) -> io::Result<()> {
        print_line(format!("API        {base}/v1/invoices"))?;
        print_line(format!("uploads    s3://{UPLOADS_BUCKET} at {}", endpoints.aws))?;
        print_line(format!("data       {}", self.data.display()))?;
        print_aws_variables(endpoints)?;
        print_line(format!("   aws s3 cp notas.csv s3://{UPLOADS_BUCKET}/"))?;
        print_line("Serving until Ctrl-C.")
    }

    /// Returns the settings of one worker, with its share of the ceiling.
    fn settings(&self) -> Result<Settings, Failure> {
        let share = |ceiling| {
            let share = ceiling::share(ceiling, self.workers);
            share.ok_or_else(|| {
                format!(
                    "--max-write-units {ceiling} is less than one write unit per second for each of {} workers",
                    self.workers
                )
            })
        };
        let max_write_units = self.max_write_units.map(share).transpose()?;
        let layouts = Choice { skip_unknown: self.skip_unknown, ..Choice::default() };
        let max_rejects = self.max_rejects;
        Ok(Settings { max_write_units, max_rejects, layouts, retry_ended: false, ..Settings::default() })
    }
}

/// Waits until [`GRACE`] after the stop.
async fn grace_over(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// Waits for the workers, then stops the servers that they use.
fn end(workers: Vec<JoinHandle<Result<(), Failure>>>, stack: Stack) -> Result<(), Failure> {
    for worker in workers {
        worker.join().map_err(|_| "a worker panicked: please report this as a defect")??;
    }
    stack.stop();
    Ok(())
}

/// Returns a listener that queues each new object of the uploads bucket.
fn enqueue_uploads(queue: &Arc<LocalQueue>) -> OnCreated {
    let queue = Arc::clone(queue);
    Arc::new(move |created| {
        if created.bucket == UPLOADS_BUCKET {
            queue.add_created(UPLOADS_BUCKET, created.key);
        }
    })
}
