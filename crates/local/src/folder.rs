//! The data folder: one process at a time, and how others find that process.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::stack::StackError;

/// Locked as long as a process uses the folder.
const LOCK_FILE: &str = "lock";

/// Where that process tells its endpoints.
const ENDPOINTS_FILE: &str = "endpoints.json";

/// Where the services of a running stack listen. All URLs are `http://127.0.0.1:<port>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Process that serves.
    pub pid: u32,
    /// S3 and DynamoDB on one port: what `AWS_ENDPOINT_URL` is set to.
    pub aws: String,
    /// DynamoDB alone, without the detour: for a busy writer.
    pub dynamodb: String,
    /// The read API, where one is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
}

/// A data folder in use by this process. Dropping it gives the folder back, and removes it if it was a temporary one.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    is_temporary: bool,
    /// Keeps the lock; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl Folder {
    /// Takes `path`, which is made if need be; without one, a new folder for temporary files.
    pub(super) fn take(path: Option<&Path>) -> Result<Self, StackError> {
        let is_temporary = path.is_none();
        let path = path.map_or_else(temporary_path, Path::to_owned);
        let failed = |source| StackError::Folder { path: path.clone(), source };
        fs::create_dir_all(&path).map_err(failed)?;
        let lock = open_lock(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, is_temporary, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                let running = read_endpoints(&path);
                Err(StackError::InUse { path, running: running.map(Box::new) })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The folder's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the DynamoDB file lies.
    pub(super) fn dynamodb(&self) -> PathBuf {
        self.path.join("dynamodb.sqlite")
    }

    /// Tells other processes where the services are.
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
        // What cannot be removed does no harm: without the lock nobody believes it.
        if self.is_temporary {
            fs::remove_dir_all(&self.path).unwrap_or_default();
        } else {
            fs::remove_file(self.path.join(ENDPOINTS_FILE)).unwrap_or_default();
        }
    }
}

/// The endpoints of the process that uses the folder, if one does: a file left behind by a killed process is told from
/// a living one by the lock.
///
/// # Errors
/// [`StackError::Folder`] if the folder is there but cannot be read.
pub fn running(path: &Path) -> Result<Option<Endpoints>, StackError> {
    let failed = |source| StackError::Folder { path: path.to_owned(), source };
    if !path.join(LOCK_FILE).exists() {
        return Ok(None);
    }
    match File::open(path.join(LOCK_FILE)).map_err(failed)?.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(read_endpoints(path)),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    File::options().create(true).write(true).truncate(false).open(path.join(LOCK_FILE))
}

fn read_endpoints(path: &Path) -> Option<Endpoints> {
    serde_json::from_slice(&fs::read(path.join(ENDPOINTS_FILE)).ok()?).ok()
}

fn temporary_path() -> PathBuf {
    std::env::temp_dir().join(format!("notaflux-{}-{:016x}", std::process::id(), fastrand::u64(..)))
}
