//! `notaflux ingest`: ingests a file, an S3 object or standard input.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backend::{Backend, BackendArgs};
use super::bar::Bar;
use super::{arguments, layouts, stop, summary};
use crate::failure::Failure;
use crate::output::print_line;
use crate::progress::Display;
use notaflux_engine::{Error, Outcome, RejectLimit, Settings, StopSignal};

/// Arguments of `notaflux ingest`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A path, `s3://bucket/key`, or - for standard input
    #[arg(value_parser = arguments::source_name)]
    source: String,
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    layouts: layouts::ChoiceArgs,
    /// Write the report as JSON to this file, or to standard output with -
    #[arg(long, value_name = "FILE")]
    report: Option<String>,
    /// Never use more than this many write units per second
    #[arg(long, value_name = "N")]
    max_write_units: Option<NonZeroU32>,
    /// Write nothing if more records than this are rejected: a number or a percentage
    #[arg(long, value_name = "N|P%", value_parser = arguments::reject_limit)]
    max_rejects: Option<RejectLimit>,
    /// Exit with code 1 if any record was rejected
    #[arg(long)]
    fail_on_reject: bool,
    /// Ingest again a source that has been ingested
    #[arg(long)]
    force: bool,
    /// Stop after this many seconds; the same command resumes
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<u32>,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
}

/// The name of the report and where it is written.
type ReportTarget = (String, Box<dyn Write>);

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        // Opened first, so that an unwritable file is an error now and not after hours of work.
        let report = self.open_report()?;
        let layouts = self.layouts.choice()?;
        let stop = stop::on_signal()?;
        let backend = Backend::open(&self.backend).await?;
        let source = match backend.source(&self.source, &stop).await {
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
        let stop_signal = self.stop_signal(&stop);
        let engine = backend.engine(settings).with_observer(bar.observer()).with_stop_signal(stop_signal);
        let outcome = Box::pin(engine.ingest(&source)).await;
        bar.finish();
        let outcome = outcome?;
        if let Some(Error::Interrupted { .. }) = outcome.error {
            if self.source == "-" {
                // Standard input has no name, so no command can resume it.
                engine.cancel(&outcome.report.ingestion).await?;
                backend.remove_spooled(&source).await?;
            }
            return self.interrupted();
        }
        // A retry of a permanent failure would fail again, so the spooled input is not needed any more.
        if self.source == "-" && outcome.error.as_ref().is_none_or(Error::is_permanent) {
            backend.remove_spooled(&source).await?;
        }
        let printed = self.print_report(&outcome, report, backend.work_folder().as_deref());
        if let Some(error) = outcome.error {
            return Err(error.into());
        }
        if outcome.report.written == 0 && outcome.report.rejected > 0 {
            return Err(format!("nothing was written: all {} records were rejected", outcome.report.rejected).into());
        }
        if self.fail_on_reject && outcome.report.rejected > 0 {
            return Err(format!("{} records were rejected (--fail-on-reject)", outcome.report.rejected).into());
        }
        printed.map(|()| ExitCode::SUCCESS)
    }

    /// Opens the file for the report, if the user asked for one. Returns it with its name.
    fn open_report(&self) -> Result<Option<ReportTarget>, Failure> {
        Ok(match self.report.as_deref() {
            None => None,
            Some("-") => Some(("standard output".to_owned(), Box::new(io::stdout()))),
            Some(path) => {
                let file = File::create(path).map_err(|error| format!("{path}: {error}"))?;
                Some((path.to_owned(), Box::new(file)))
            }
        })
    }

    /// Returns the signal that stops the work on Ctrl-C and at the deadline.
    fn stop_signal(&self, stop: &CancellationToken) -> StopSignal {
        let on_ctrl_c = StopSignal::on(stop.clone());
        match self.deadline {
            Some(seconds) => on_ctrl_c.at(Instant::now() + Duration::from_secs(seconds.into())),
            None => on_ctrl_c,
        }
    }

    fn interrupted(&self) -> Result<ExitCode, Failure> {
        let again = match self.source.as_str() {
            "-" => "feed in the same input again from its beginning",
            _ => "run the same command again to resume",
        };
        writeln!(io::stderr(), "notaflux: interrupted; {again}")?;
        Ok(stop::interrupted())
    }

    /// Writes the JSON report if the user asked for one, and prints the summary.
    fn print_report(
        &self,
        outcome: &Outcome,
        report: Option<ReportTarget>,
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
            print_line(summary::of(outcome))?;
            if let Some(folder) = work.filter(|_| outcome.report.rejected > 0) {
                print_line(format!("  {:<16}{}", "rejects folder", folder.display()))?;
            }
        }
        Ok(())
    }
}
