//! Why the embedded services do not start.

use std::io;
use std::path::PathBuf;

use dynoxide::DynoxideError;

use crate::endpoints::Endpoints;

/// Why a stack does not start. Each message is one line that says what to do. No variant is retried.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The folder cannot be created, read or written, or one of its files is damaged.
    #[error("cannot use the data folder {}: {source}; choose a writable folder with --data", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another process uses the folder. Its endpoints can be used instead.
    #[error("the data folder {} is in use by {}", path.display(), user(running.as_deref()))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The endpoints of the other process, once it has published them.
        running: Option<Box<Endpoints>>,
    },
    /// The port cannot be used.
    #[error("cannot listen on 127.0.0.1:{port}: {source}; choose another port with --aws-port, or 0 for any free port")]
    Port {
        /// The requested port.
        port: u16,
        /// The error of the system.
        source: io::Error,
    },
    /// The database file cannot be opened.
    #[error("cannot open the embedded DynamoDB in {}: {source}", path.display())]
    DynamoDb {
        /// The folder.
        path: PathBuf,
        /// The error of the database.
        source: DynoxideError,
    },
    /// The thread of a server cannot start.
    #[error("cannot start the embedded servers: {0}")]
    Thread(#[source] io::Error),
}

/// Describes the process that uses a folder, and says what to do about it.
fn user(running: Option<&Endpoints>) -> String {
    let Some(running) = running else { return "another process; wait until it ends".to_owned() };
    let api = running.api.as_ref().map_or_else(String::new, |api| format!(", API at {api}"));
    let (pid, aws) = (running.pid, &running.aws);
    format!("process {pid} (AWS_ENDPOINT_URL={aws}{api}); stop it, or choose another folder with --data")
}
