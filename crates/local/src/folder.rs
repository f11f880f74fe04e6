//! The data folder. One process at a time uses it; other processes find its endpoints there.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::endpoints::Endpoints;
use crate::error::StackError;

/// Locked while a process uses the folder.
const LOCK_FILE: &str = "lock";

/// Holds the endpoints of that process.
const ENDPOINTS_FILE: &str = "endpoints.json";

/// A data folder in use by this process. Dropping it releases the folder, and removes a temporary one.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    is_temporary: bool,
    /// Holds the lock. The system releases it when the process ends, even after a crash.
    _lock: File,
}

impl Folder {
    /// Locks the folder `path` and creates it if it does not exist. `None` creates a temporary folder.
    pub(super) fn take(path: Option<&Path>) -> Result<Self, StackError> {
        let is_temporary = path.is_none();
        let path = path.map_or_else(temporary_path, Path::to_owned);
        let failed = |source| StackError::Folder { path: path.clone(), source };
        fs::create_dir_all(&path).map_err(failed)?;
        let lock = open_lock(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, is_temporary, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                let running = read_endpoints(&path).map_err(failed)?;
                Err(StackError::InUse { path, running: running.map(Box::new) })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Returns the folder's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the DynamoDB file.
    pub(super) fn dynamodb(&self) -> PathBuf {
        self.path.join("dynamodb.sqlite")
    }

    /// Publishes the endpoints for other processes.
    pub(super) fn announce(&self, endpoints: &Endpoints) -> Result<(), StackError> {
        let file = self.path.join(ENDPOINTS_FILE);
        let draft = self.path.join(format!("{ENDPOINTS_FILE}.new"));
        let text = serde_json::to_vec_pretty(endpoints).map_err(io::Error::from);
        text.and_then(|text| fs::write(&draft, text))
            .and_then(|()| fs::rename(&draft, &file))
            .map_err(|source| StackError::Folder { path: self.path.clone(), source })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A file that cannot be removed does no harm: without the lock, nobody reads it.
        if self.is_temporary {
            fs::remove_dir_all(&self.path).unwrap_or_default();
        } else {
            fs::remove_file(self.path.join(ENDPOINTS_FILE)).unwrap_or_default();
        }
    }
}

/// Returns the endpoints of the process that uses the folder, `None` if no process does or if it is still starting. The
/// lock shows whether the process lives: a killed process leaves its endpoints file behind, but no lock.
///
/// # Errors
/// [`StackError::Folder`] if the folder exists but cannot be read, or if the endpoints file is damaged.
pub fn running(path: &Path) -> Result<Option<Endpoints>, StackError> {
    let failed = |source| StackError::Folder { path: path.to_owned(), source };
    let lock = match File::open(path.join(LOCK_FILE)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => read_endpoints(path).map_err(failed),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    File::options().create(true).write(true).truncate(false).open(path.join(LOCK_FILE))
}

/// Reads the endpoints file. `None` if it does not exist.
fn read_endpoints(path: &Path) -> io::Result<Option<Endpoints>> {
    match fs::read(path.join(ENDPOINTS_FILE)) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{ENDPOINTS_FILE} is damaged: {error}"))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn temporary_path() -> PathBuf {
    std::env::temp_dir().join(format!("notaflux-{}-{:016x}", std::process::id(), fastrand::u64(..)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed as it should")]

    use super::*;

    #[test]
    fn a_damaged_endpoints_file_of_a_living_process_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let taken = Folder::take(Some(folder.path())).unwrap();
        assert_eq!(running(folder.path()).unwrap(), None, "the process has published nothing yet");
        fs::write(folder.path().join(ENDPOINTS_FILE), "{").unwrap();
        let error = running(folder.path()).unwrap_err().to_string();
        assert!(error.contains("endpoints.json is damaged"), "{error}");
        drop(taken);
    }
}
