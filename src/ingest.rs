//! `notaflux ingest`

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::Instant;

use super::bar::Bar;
use super::place::{Place, PlaceArgs};
use super::{Failure, layouts, say, stop, summary};
use crate::progress::Display;
use notaflux_aws as aws;
use notaflux_engine::{Error, Outcome, RejectLimit, Settings, StopSignal};

/// Arguments of `notaflux ingest`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A path, `s3://bucket/key`, or - for standard input
    #[arg(value_parser = source_name)]
    source: String,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    layouts: layouts::ChoiceArgs,
    /// Write the report as JSON to this file, or to standard output (-)
    #[arg(long, value_name = "FILE")]
    report: Option<String>,
    /// Never exceed this many write units a second
    #[arg(long, value_name = "N")]
    max_write_units: Option<NonZeroU32>,
    /// Write nothing if more records than this are rejected: a number or a percentage
    #[arg(long, value_name = "N|P%", value_parser = reject_limit)]
    max_rejects: Option<RejectLimit>,
    /// Exit with 1 if any record was rejected
    #[arg(long)]
    fail_on_reject: bool,
    /// Ingest again what has been ingested
    #[arg(long)]
    force: bool,
    /// Stop after so many seconds, as a function does; the same command goes on from there
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<u32>,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

pub(super) fn source_name(text: &str) -> Result<String, String> {
    match aws::object_of(text) {
        Some((bucket, key)) if bucket.is_empty() || key.is_empty() => Err("expected s3://bucket/key".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

pub(super) fn reject_limit(text: &str) -> Result<RejectLimit, String> {
    RejectLimit::parse(text).ok_or_else(|| "expected a number like 100 or a percentage like 0.5%".to_owned())
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        // Opened first: to find out after hours that it cannot be written would be late.
        let report: Option<(String, Box<dyn Write>)> = match self.report.as_deref() {
            None => None,
            Some("-") => Some(("standard output".to_owned(), Box::new(io::stdout()))),
            Some(path) => {
                let file = File::create(path).map_err(|error| format!("{path}: {error}"))?;
                Some((path.to_owned(), Box::new(file)))
            }
        };
        let layouts = self.layouts.choice()?;
        let stop = stop::on_signal()?;
        let place = Place::open(&self.place).await?;
        let source = match place.source(&self.source, &stop).await {
            Err(_) if stop.is_cancelled() => return self.interrupted(),
            source => source?,
        };
        let settings = Settings {
            max_write_units: self.max_write_units,
            max_rejects: self.max_rejects,
            layouts,
            force: self.force,
            ..Settings::default()
        };
        let bar = Bar::new(&source.to_string(), Display::for_stderr(self.quiet));
        let halt = match self.deadline {
            Some(seconds) => StopSignal::on(stop.clone()).at(Instant::now() + Duration::from_secs(seconds.into())),
            None => StopSignal::on(stop.clone()),
        };
        let engine = place.engine(settings).observed(bar.observer()).halted(halt);
        let outcome = Box::pin(engine.ingest(&source)).await;
        bar.finish();
        let outcome = outcome?;
        if let Some(Error::Interrupted { .. }) = outcome.error {
            if self.source == "-" {
                // Nobody can name it again.
                engine.cancel(&outcome.report.ingestion).await?;
                place.remove_spooled(&source).await?;
            }
            return self.interrupted();
        }
        // What would fail again needs the spooled input no more.
        if self.source == "-" && outcome.error.as_ref().is_none_or(Error::is_permanent) {
            place.remove_spooled(&source).await?;
        }
        let told = self.tell(&outcome, report, place.work_folder().as_deref());
        if let Some(error) = outcome.error {
            return Err(error.into());
        }
        if self.fail_on_reject && outcome.report.rejected > 0 {
            return Err(format!("{} records were rejected (--fail-on-reject)", outcome.report.rejected).into());
        }
        told.map(|()| ExitCode::SUCCESS)
    }

    fn interrupted(&self) -> Result<ExitCode, Failure> {
        let again = match self.source.as_str() {
            "-" => "feed the same input in again, and the table ends up the same",
            _ => "the same command goes on where it stopped",
        };
        writeln!(io::stderr(), "notaflux: interrupted; {again}")?;
        Ok(stop::interrupted())
    }

    fn tell(
        &self,
        outcome: &Outcome,
        report: Option<(String, Box<dyn Write>)>,
        work: Option<&Path>,
    ) -> Result<(), Failure> {
        let asked_for_json = self.report.as_deref() == Some("-");
        if let Some((name, mut target)) = report {
            let text = serde_json::to_string_pretty(&outcome.report)?;
            match writeln!(target, "{text}").and_then(|()| target.flush()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    return Err(format!("{name}: {error}").into());
                }
                other => other?,
            }
        }
        if outcome.error.is_none() && !asked_for_json {
            say(summary::of(outcome))?;
            if let Some(folder) = work.filter(|_| outcome.report.rejected > 0) {
                say(format!("  {:<16}{}", "in the folder", folder.display()))?;
            }
        }
        Ok(())
    }
}
