//! A zip of the three files, as the Portal offers a month.

use std::cell::OnceCell;
use std::io::{self, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::generator::Generator;
use crate::options::{GenerateOptions, PortalFile};

/// Level of deflate: the fastest one that compresses.
const LEVEL: i64 = 1;

/// Writes the three files of `options` into `target`, one after the other, as a zip. `target` need not seek: the sizes,
/// in 64 bits, follow the data and are in the directory at the end.
///
/// # Errors
/// An error of `target`.
pub fn write_archive(options: GenerateOptions, target: impl Write) -> io::Result<()> {
    let failure = OnceCell::new();
    let written = write_files(options, Target { target, failure: &failure });
    failure.into_inner().map_or(written, Err)
}

fn write_files(options: GenerateOptions, target: Target<'_, impl Write>) -> io::Result<()> {
    let failure = target.failure;
    let entry = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .last_modified_time(DateTime::DEFAULT)
        .large_file(true);
    let mut archive = ZipWriter::new_stream(target);
    let mut chunk = Vec::new();
    for file in PortalFile::ALL {
        archive.start_file(file.name(), entry)?;
        let mut generator = Generator::of(file, options);
        while failure.get().is_none() && generator.fill(&mut chunk) {
            archive.write_all(&chunk)?;
            chunk.clear();
        }
    }
    archive.finish()?.flush()
}

/// The target of an archive. Keeps the first error and discards everything after it: a [`ZipWriter`] that saw an error
/// prints it to standard error when it is dropped.
struct Target<'f, W> {
    target: W,
    failure: &'f OnceCell<io::Error>,
}

impl<W: Write> Target<'_, W> {
    fn unless_failed<T>(&mut self, otherwise: T, act: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        if self.failure.get().is_some() {
            return Ok(otherwise);
        }
        match act(&mut self.target) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.failure.get_or_init(|| error);
                Ok(otherwise)
            }
            other => other,
        }
    }
}

impl<W: Write> Write for Target<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_failed(bytes.len(), |target| target.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_failed((), Write::flush)
    }
}
