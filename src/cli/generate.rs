//! `notaflux generate`

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::Failure;
use crate::local::generate::{GenerateOptions, Generator, LayoutVersion, PortalFile, write_archive};

/// Arguments of `notaflux generate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rows of the invoice file, duplicates and bad ones included
    #[arg(long, value_name = "N")]
    records: u64,
    /// The same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// File of the Portal; those of the same records, seed and shares belong together
    #[arg(long, value_name = "NAME", default_value = "portal-v1")]
    layout: Layout,
    /// Share of rows that repeat one of before, as it was or changed, from 0 to 1
    #[arg(long, value_name = "F", default_value_t = 0.0, value_parser = share)]
    duplicates: f64,
    /// Share of rows that must be rejected, from 0 to 1
    #[arg(long, value_name = "F", default_value_t = 0.0, value_parser = share)]
    bad: f64,
    /// Compress with gzip
    #[arg(long)]
    gzip: bool,
    /// Write a zip of all three files: invoices, events and lines
    #[arg(long, conflicts_with = "gzip")]
    zip: bool,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What `--layout` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    /// Invoices, 21 columns
    PortalV1,
    /// Invoices, 25 columns
    PortalV2,
    /// Lines of invoices, 27 columns
    PortalLinesV1,
    /// Lines of invoices, 31 columns
    PortalLinesV2,
    /// Events of invoices, 10 columns
    PortalEvents,
}

impl Layout {
    const fn file(self) -> PortalFile {
        match self {
            Self::PortalV1 | Self::PortalV2 => PortalFile::Invoices,
            Self::PortalLinesV1 | Self::PortalLinesV2 => PortalFile::Lines,
            Self::PortalEvents => PortalFile::Events,
        }
    }

    const fn version(self) -> LayoutVersion {
        match self {
            Self::PortalV1 | Self::PortalLinesV1 | Self::PortalEvents => LayoutVersion::V1,
            Self::PortalV2 | Self::PortalLinesV2 => LayoutVersion::V2,
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share from 0 to 1, like 0.02".to_owned())
}

impl Args {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        if self.zip && self.layout.file() != PortalFile::Invoices {
            return Err("--zip holds all three files: choose their version with --layout portal-v1 or portal-v2".into());
        }
        let (name, mut target): (String, Box<dyn Write>) = match &self.output {
            Some(path) => {
                let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
                (path.display().to_string(), Box::new(file))
            }
            None => ("standard output".to_owned(), Box::new(io::stdout().lock())),
        };
        let written = if self.zip {
            write_archive(self.options(), &mut target)
        } else if self.gzip {
            let mut encoder = flate2::write::GzEncoder::new(target, flate2::Compression::fast());
            self.write(&mut encoder).and_then(|()| encoder.finish()?.flush())
        } else {
            self.write(&mut target).and_then(|()| target.flush())
        };
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("{name}: {error}").into()),
            other => Ok(other.map(|()| ExitCode::SUCCESS)?),
        }
    }

    const fn options(&self) -> GenerateOptions {
        GenerateOptions {
            records: self.records,
            seed: self.seed,
            layout_version: self.layout.version(),
            duplicates: self.duplicates,
            bad: self.bad,
        }
    }

    fn write(&self, target: &mut dyn Write) -> io::Result<()> {
        let mut generator = Generator::of(self.layout.file(), self.options());
        let mut chunk = Vec::with_capacity(256 * 1024);
        while generator.fill(&mut chunk) {
            target.write_all(&chunk)?;
            chunk.clear();
        }
        Ok(())
    }
}
