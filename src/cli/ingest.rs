//! `notaflux ingest`

use std::fs;
use std::num::NonZeroU32;
use std::process::ExitCode;

use super::bar::Bar;
use super::place::{Place, PlaceArgs};
use super::{Failure, say, summary};
use crate::ingest::{RejectLimit, Settings};

/// Arguments of `notaflux ingest`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A path, <s3://bucket/key>, or - for standard input
    source: String,
    #[command(flatten)]
    place: PlaceArgs,
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
    /// No progress
    #[arg(long)]
    quiet: bool,
}

fn reject_limit(text: &str) -> Result<RejectLimit, String> {
    RejectLimit::parse(text).ok_or_else(|| "expected a number like 100 or a percentage like 0.5%".to_owned())
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let place = Place::open(&self.place).await?;
        let source = place.source(&self.source).await?;
        let settings = Settings {
            max_write_units: self.max_write_units,
            max_rejects: self.max_rejects,
            force: self.force,
            ..Settings::default()
        };
        let bar = Bar::new(&source.to_string(), self.quiet);
        let engine = place.engine(settings, Some(bar.observer()));
        let outcome = Box::pin(engine.ingest(&source)).await;
        bar.finish();
        let outcome = outcome?;
        if self.source == "-" && outcome.error.is_none() {
            place.remove_spooled(&source).await?;
        }
        if let Some(target) = &self.report {
            let report = serde_json::to_string_pretty(&outcome.report)?;
            match target.as_str() {
                "-" => say(report)?,
                path => fs::write(path, report + "\n").map_err(|error| format!("{path}: {error}"))?,
            }
        }
        if let Some(error) = outcome.error {
            return Err(error.into());
        }
        if self.report.as_deref() != Some("-") {
            say(summary::of(&outcome))?;
        }
        if self.fail_on_reject && outcome.report.rejected > 0 {
            return Err(format!("{} records were rejected (--fail-on-reject)", outcome.report.rejected).into());
        }
        Ok(ExitCode::SUCCESS)
    }
}
