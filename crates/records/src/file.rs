//! Reads the bytes of a local file.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, TryFutureExt};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::task;

use super::error::{Place, ReadError};
use super::source::{Identity, Origin, Source};

/// Bytes of one read, which runs on a blocking thread. Measured: with a small buffer the switches between threads cost
/// more than the parser (2,400 ns per record instead of 650).
const CHUNK_BYTES: u64 = 512 * 1024;

/// Opens the current version of the local file at `path`.
///
/// # Errors
/// No such file, access denied, or not a regular file.
pub async fn open(path: impl AsRef<Path>) -> Result<Source, ReadError> {
    let file = FileSource::find(path.as_ref().to_owned()).await?;
    Ok(Source::from_origin(Arc::clone(&file.identity), Arc::new(file)))
}

/// One version of a local file.
#[derive(Debug, Clone)]
struct FileSource {
    identity: Arc<Identity>,
    path: Arc<Path>,
}

impl FileSource {
    async fn find(path: PathBuf) -> Result<Self, ReadError> {
        let shown = path.display().to_string();
        let found = task::spawn_blocking(move || -> io::Result<_> {
            let path = path.canonicalize()?;
            let metadata = path.metadata()?;
            // Open the file once here, so that a missing permission is detected before planning.
            if metadata.is_file() {
                File::open(&path)?;
            }
            Ok((path, metadata))
        });
        let (path, metadata) =
            found.await.map_err(io::Error::other).flatten().map_err(|error| refusal(&shown, error))?;
        if !metadata.is_file() {
            let detail = "not a regular file; use - for standard input".to_owned();
            return Err(ReadError::Refused { object: shown, detail });
        }
        let identity = Identity {
            path: Some(path.to_string_lossy().into_owned()),
            modified: modified(&metadata),
            size_bytes: metadata.len(),
            ..Identity::default()
        };
        Ok(Self { identity: Arc::new(identity), path: path.into() })
    }
}

impl Origin for FileSource {
    fn newest(&self) -> BoxFuture<'_, Result<Identity, ReadError>> {
        Self::find(self.path.to_path_buf()).map_ok(|newest| Identity::clone(&newest.identity)).boxed()
    }

    fn stream(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, ReadError>> {
        let reader = Reader { source: self.clone(), file: None, next: range.start, end: range.end };
        let chunks = stream::try_unfold(reader, |reader| async move {
            if reader.next >= reader.end {
                return Ok(None);
            }
            let place = reader.place();
            let read = task::spawn_blocking(move || reader.chunk()).await;
            read.map_err(|error| ReadError::Io { place: Box::new(place), source: io::Error::other(error) })?.map(Some)
        });
        chunks.boxed()
    }
}

struct Reader {
    source: FileSource,
    file: Option<File>,
    next: u64,
    end: u64,
}

impl Reader {
    fn place(&self) -> Place {
        Place::of(&self.source.identity).at_stored_byte(self.next)
    }

    /// Reads the next chunk, and checks after the read that the file is still the planned version.
    fn chunk(mut self) -> Result<(Bytes, Self), ReadError> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.begin()?,
        };
        let wanted = CHUNK_BYTES.min(self.end - self.next);
        // Only the first allocation: a smaller one costs time and loses nothing.
        // 0 only means that the buffer grows on demand.
        let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
        let read = (&mut file).take(wanted).read_to_end(&mut bytes);
        let read = read.map_err(|source| ReadError::Io { place: Box::new(self.place()), source })? as u64;
        self.check(&file)?;
        if read < wanted {
            return Err(self.changed(format!("{} bytes", self.next + read)));
        }
        self.next += read;
        self.file = Some(file);
        Ok((Bytes::from(bytes), self))
    }

    fn begin(&self) -> Result<File, ReadError> {
        let open = || -> io::Result<File> {
            let mut file = File::open(&self.source.path)?;
            file.seek(SeekFrom::Start(self.next))?;
            Ok(file)
        };
        let file = open().map_err(|error| refusal(&self.source.identity.to_string(), error))?;
        self.check(&file)?;
        Ok(file)
    }

    fn check(&self, file: &File) -> Result<(), ReadError> {
        let metadata = file.metadata().map_err(|source| ReadError::Io { place: Box::new(self.place()), source })?;
        let planned = &self.source.identity;
        if metadata.len() == planned.size_bytes && modified(&metadata) == planned.modified {
            return Ok(());
        }
        Err(self.changed(describe(metadata.len(), modified(&metadata))))
    }

    fn changed(&self, found: String) -> ReadError {
        let planned = &self.source.identity;
        let expected = describe(planned.size_bytes, planned.modified);
        ReadError::Changed { object: planned.to_string(), expected, found }
    }
}

fn describe(size_bytes: u64, modified: Option<jiff::Timestamp>) -> String {
    match modified {
        Some(modified) => format!("{size_bytes} bytes of {modified}"),
        None => format!("{size_bytes} bytes"),
    }
}

/// Returns the time of the last change. `None` if the file system keeps none: then only the size can show a change.
fn modified(metadata: &Metadata) -> Option<jiff::Timestamp> {
    metadata.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok())
}

fn refusal(path: &str, error: io::Error) -> ReadError {
    let object = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::NotFound { object, what: "file" },
        io::ErrorKind::PermissionDenied => {
            let remedy = "give this user permission to read the file";
            ReadError::Denied { object, detail: error.to_string(), remedy }
        }
        _ => ReadError::Io { place: Box::new(Place::of(object)), source: error },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use std::fs;

    use futures::TryStreamExt;

    use super::*;

    async fn all(source: &Source, range: Range<u64>) -> Result<Vec<u8>, ReadError> {
        let chunks: Vec<Bytes> = source.open(range).try_collect().await?;
        Ok(chunks.concat())
    }

    #[tokio::test]
    async fn any_range_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let bytes: Vec<u8> = (0..=250).cycle().take(1_300_000).collect();
        fs::write(&path, &bytes).unwrap();
        let source = open(&path).await.unwrap();
        assert_eq!(source.len(), 1_300_000);
        assert_eq!(all(&source, 0..u64::MAX).await.unwrap(), bytes);
        assert_eq!(all(&source, 600_000..1_200_001).await.unwrap(), bytes[600_000..1_200_001]);
        assert_eq!(all(&source, 1_300_000..1_300_001).await.unwrap(), b"");
        assert_eq!(source.read(1_299_999..1_300_000).await.unwrap(), bytes[1_299_999..]);
        assert!(matches!(source.read(1_299_999..1_300_001).await, Err(ReadError::Truncated { .. })));
        let chunks: Vec<Bytes> = source.open(0..u64::MAX).try_collect().await.unwrap();
        assert!(chunks.iter().all(|chunk| chunk.len() as u64 <= CHUNK_BYTES) && chunks.len() == 3);
    }

    #[tokio::test]
    async fn a_file_that_changes_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        fs::write(&path, vec![b'a'; 2_000_000]).unwrap();
        let source = open(&path).await.unwrap();
        let mut stream = source.open(0..u64::MAX);
        stream.try_next().await.unwrap().unwrap();
        File::options().write(true).open(&path).unwrap().set_len(1_000_000).unwrap();
        let shrunk = stream.try_next().await.unwrap_err();
        assert!(matches!(&shrunk, ReadError::Changed { .. }) && shrunk.is_permanent(), "{shrunk}");
        assert!(stream.try_next().await.unwrap().is_none());
        assert!(matches!(all(&source, 0..10).await, Err(ReadError::Changed { .. })));

        // The same size, another time.
        fs::write(&path, vec![b'b'; 2_000_000]).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert!(matches!(all(&source, 0..10).await, Err(ReadError::Changed { .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(all(&source, 0..10).await, Err(ReadError::NotFound { .. })));
    }

    #[tokio::test]
    async fn an_error_on_opening_gives_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let missing = open(folder.path().join("nothing.csv")).await.unwrap_err();
        assert!(matches!(&missing, ReadError::NotFound { .. }) && missing.to_string().contains("nothing.csv"));
        let directory = open(folder.path()).await.unwrap_err();
        assert!(directory.to_string().contains("not a regular file"), "{directory}");
        assert!(directory.is_permanent());
    }
}
