//! `notaflux generate`

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::Failure;
use crate::local::generate::{GenerateOptions, Generator, LayoutVersion};

/// Arguments of `notaflux generate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rows, duplicates and bad ones included
    #[arg(long, value_name = "N")]
    records: u64,
    /// The same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Header of the Portal: portal-v1 or portal-v2
    #[arg(long, value_name = "NAME", default_value = "portal-v1", value_parser = ["portal-v1", "portal-v2"])]
    layout: String,
    /// Share of rows whose key was there before, from 0 to 1
    #[arg(long, value_name = "F", default_value_t = 0.0, value_parser = share)]
    duplicates: f64,
    /// Share of rows that must be rejected, from 0 to 1
    #[arg(long, value_name = "F", default_value_t = 0.0, value_parser = share)]
    bad: f64,
    /// Compress with gzip
    #[arg(long)]
    gzip: bool,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share from 0 to 1, like 0.02".to_owned())
}

impl Args {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let (name, target): (String, Box<dyn Write>) = match &self.output {
            Some(path) => {
                let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
                (path.display().to_string(), Box::new(file))
            }
            None => ("standard output".to_owned(), Box::new(io::stdout().lock())),
        };
        let written = if self.gzip {
            let mut encoder = flate2::write::GzEncoder::new(target, flate2::Compression::fast());
            self.write(&mut encoder).and_then(|()| encoder.finish()?.flush())
        } else {
            let mut target = target;
            self.write(&mut target).and_then(|()| target.flush())
        };
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("{name}: {error}").into()),
            other => Ok(other.map(|()| ExitCode::SUCCESS)?),
        }
    }

    fn write(&self, target: &mut dyn Write) -> io::Result<()> {
        let layout_version = if self.layout == "portal-v2" { LayoutVersion::V2 } else { LayoutVersion::V1 };
        let (records, seed, duplicates, bad) = (self.records, self.seed, self.duplicates, self.bad);
        let mut generator = Generator::new(GenerateOptions { records, seed, layout_version, duplicates, bad });
        let mut chunk = Vec::with_capacity(256 * 1024);
        while generator.fill(&mut chunk) {
            target.write_all(&chunk)?;
            chunk.clear();
        }
        Ok(())
    }
}
