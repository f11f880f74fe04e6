//! `notaflux generate`: writes realistic invoices for tests.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::failure::{Failure, WrongUse};
use notaflux_generate::{GenerateOptions, Generator, JsonForm, LayoutVersion, PortalFile, write_archive};

/// Compression level of zstd: its default.
const ZSTD_LEVEL: i32 = 3;

/// Arguments of `notaflux generate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Number of invoices, including duplicates and bad ones, whatever the layout
    #[arg(long, value_name = "N")]
    records: u64,
    /// Seed of the random numbers; the same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Which file to write; files with the same records, seed and shares belong together
    #[arg(long, value_name = "NAME", default_value = "portal-v1")]
    layout: Layout,
    /// Format of the records [default: csv; ndjson with --layout nfe]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Share of rows that repeat an earlier invoice, unchanged or changed, from 0 to 1
    #[arg(long, value_name = "F", default_value_t = 0.0, value_parser = share)]
    duplicates: f64,
    /// Share of rows that notaflux must reject, from 0 to 1
    #[arg(long, value_name = "F", default_value_t = 0.0, value_parser = share)]
    bad: f64,
    /// Compress with gzip
    #[arg(long, conflicts_with = "zstd")]
    gzip: bool,
    /// Compress with zstd
    #[arg(long)]
    zstd: bool,
    /// Write a zip of three CSV files: invoices, events and lines
    #[arg(long, conflicts_with_all = ["gzip", "zstd", "format"])]
    zip: bool,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The values of `--layout`.
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
    /// NF-e with their lines as JSON, as xmltodict converts them from XML
    Nfe,
}

/// The values of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Rows of columns
    Csv,
    /// One JSON object per line
    Ndjson,
    /// One JSON array, on one line
    Json,
}

impl Layout {
    /// Returns the file of the Portal that has this layout. `None` for NF-e, which the Portal does not publish.
    const fn file(self) -> Option<PortalFile> {
        match self {
            Self::PortalV1 | Self::PortalV2 => Some(PortalFile::Invoices),
            Self::PortalLinesV1 | Self::PortalLinesV2 => Some(PortalFile::Lines),
            Self::PortalEvents => Some(PortalFile::Events),
            Self::Nfe => None,
        }
    }

    const fn version(self) -> LayoutVersion {
        match self {
            Self::PortalV1 | Self::PortalLinesV1 | Self::PortalEvents | Self::Nfe => LayoutVersion::V1,
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
        if self.zip && self.layout.file() != Some(PortalFile::Invoices) {
            return Err(WrongUse(
                "--zip writes all three files: choose their version with --layout portal-v1 or portal-v2".to_owned(),
            )
            .into());
        }
        let Some(generator) = self.generator() else {
            return Err(WrongUse("--layout nfe has no CSV format: use --format ndjson or json".to_owned()).into());
        };
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
            write(generator, &mut encoder).and_then(|()| encoder.finish()?.flush())
        } else if self.zstd {
            let mut encoder = zstd::Encoder::new(target, ZSTD_LEVEL)?;
            write(generator, &mut encoder).and_then(|()| encoder.finish()?.flush())
        } else {
            write(generator, &mut target).and_then(|()| target.flush())
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

    /// Returns `None` if the layout does not exist in the format.
    fn generator(&self) -> Option<Generator> {
        let form = match self.format {
            Some(Format::Csv) => None,
            Some(Format::Ndjson) => Some(JsonForm::Ndjson),
            Some(Format::Json) => Some(JsonForm::Array),
            None => (self.layout == Layout::Nfe).then_some(JsonForm::Ndjson),
        };
        match (self.layout.file(), form) {
            (Some(file), None) => Some(Generator::of(file, self.options())),
            (Some(file), Some(form)) => Some(Generator::json_of(file, form, self.options())),
            (None, Some(form)) => Some(Generator::nfe(form, self.options())),
            (None, None) => None,
        }
    }
}

fn write(mut generator: Generator, target: &mut dyn Write) -> io::Result<()> {
    let mut chunk = Vec::with_capacity(256 * 1024);
    while generator.fill(&mut chunk) {
        target.write_all(&chunk)?;
        chunk.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]

    use std::io::Read;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &str) -> Result<Args, clap::Error> {
        let words = ["generate", "--records", "300"].into_iter().chain(words.split_whitespace());
        Command::try_parse_from(words).map(|command| command.args)
    }

    fn output(words: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        args(words).map(|args| Args { output: Some(path.clone()), ..args }).unwrap().run().unwrap();
        std::fs::read(&path).unwrap()
    }

    #[test]
    fn compressed_output_decompresses_to_the_plain_output() {
        for words in ["", "--layout nfe --format json", "--layout portal-lines-v2 --format ndjson"] {
            let (plain, mut gzip) = (output(words), Vec::new());
            let packed = output(&format!("{words} --gzip"));
            flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut gzip).unwrap();
            assert!(gzip == plain && packed.len() < plain.len());
            let packed = output(&format!("{words} --zstd"));
            let mut frame = zstd::Decoder::new(packed.as_slice()).unwrap().single_frame();
            let mut zstd = Vec::new();
            frame.read_to_end(&mut zstd).unwrap();
            assert!(zstd == plain && packed.len() < plain.len());
            assert_eq!(frame.finish().buffer(), b"", "there is one frame");
        }
    }

    #[test]
    fn the_layout_determines_the_default_format() {
        for (words, start) in [
            ("", &b"\"CHAVE"[..]),
            ("--format ndjson", b"{\"CHAVE"),
            ("--format json", b"[{\"CHAVE"),
            ("--layout nfe", b"{\"nfeProc"),
            ("--layout nfe --format json", b"[{\"nfeProc"),
        ] {
            assert!(output(words).starts_with(start), "{words}");
        }
    }

    #[test]
    fn conflicting_options_are_wrong_use_and_write_nothing() {
        for words in ["--gzip --zstd", "--zip --zstd", "--zip --gzip", "--zip --format json", "--format xml"] {
            assert!(args(words).is_err(), "{words}");
        }
        for words in ["--layout nfe --format csv", "--layout nfe --zip", "--layout portal-events --zip"] {
            let path = tempfile::tempdir().unwrap().path().join("output");
            let failed = args(words).map(|args| Args { output: Some(path.clone()), ..args }).unwrap().run();
            assert!(failed.unwrap_err().is::<WrongUse>() && !path.exists(), "{words}");
        }
    }
}
