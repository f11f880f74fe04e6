//! The cloud of one machine: S3 and DynamoDB on loopback, in this process, with their state in a folder.
//!
//! The servers run on threads and runtimes of their own: a call that blocks on `SQLite` or on the disk does not hold up
//! the engine, which talks to them through the same SDK clients and the same HTTP as to AWS.

use std::fmt::Write as _;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aws_config::SdkConfig;
use dynoxide::DynoxideError;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{self, Runtime};
use tokio_util::sync::CancellationToken;

use super::dynamodb;
use super::folder::{Endpoints, Folder};
use super::gateway::Gateway;
use super::s3::{self, Objects, OnCreated};
use notaflux_aws::{self as aws, EMBEDDED_KEYS};

/// Bucket for what is to be ingested.
pub const UPLOADS_BUCKET: &str = "uploads";

/// Bucket for what the engine writes: rejects, runs, plans. It starts nothing.
pub const WORK_BUCKET: &str = "work";

/// Connections that may wait to be accepted, as in `std`.
const BACKLOG: u32 = 128;

/// Threads that answer DynamoDB calls: the database takes one at a time, a second reads requests meanwhile.
const DYNAMODB_THREADS: usize = 2;

/// Threads for file operations of the S3 server; without a limit each download would bring its own.
const S3_DISK_THREADS: usize = 8;

/// How long a stopped server's last blocking work is waited for.
const LAST_WORK: Duration = Duration::from_secs(1);

/// What a stack is to be.
#[derive(Clone, Default)]
pub struct StackOptions {
    /// Folder for all state, made if need be. `None`: a temporary folder, gone in the end.
    pub data: Option<PathBuf>,
    /// Port for S3 and DynamoDB together; 0 takes any that is free.
    pub port: u16,
    /// Called for each object written, in whichever bucket.
    pub on_created: Option<OnCreated>,
}

/// Why a stack does not start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The folder cannot be made, read or written. Not retried.
    #[error("cannot use the data folder {}: {source}; name a folder that you may write to with --data", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process uses the folder. Not retried: its endpoints can be used instead.
    #[error("the data folder {} is in use by {}", path.display(), user(running.as_deref()))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// What the other process tells of itself, if it is that far.
        running: Option<Box<Endpoints>>,
    },
    /// The port is taken. Not retried.
    #[error("cannot listen on 127.0.0.1:{port}: {source}; choose another with --aws-port, or 0 for any")]
    Port {
        /// The port asked for.
        port: u16,
        /// What the system says.
        source: std::io::Error,
    },
    /// The database file cannot be opened. Not retried.
    #[error("cannot open the embedded DynamoDB in {}: {source}", path.display())]
    DynamoDb {
        /// The folder.
        path: PathBuf,
        /// What the database says.
        source: DynoxideError,
    },
    /// A server's thread cannot be started. Not retried.
    #[error("cannot start the embedded servers: {0}")]
    Thread(#[source] std::io::Error),
}

fn user(running: Option<&Endpoints>) -> String {
    let Some(running) = running else { return "another process; wait until it ends".to_owned() };
    let mut text = format!("process {} (AWS_ENDPOINT_URL={}", running.pid, running.aws);
    if let Some(api) = &running.api {
        // Writing to a String cannot fail.
        write!(text, ", API at {api}").unwrap_or_default();
    }
    text + "); stop it, or name another folder with --data"
}

/// A running stack. Dropping it stops it, as [`Stack::stop`] does.
pub struct Stack {
    endpoints: Endpoints,
    objects: Objects,
    stop: CancellationToken,
    servers: Vec<JoinHandle<()>>,
    /// After the servers: nobody may take the folder while they use it.
    folder: Folder,
}

impl Stack {
    /// Starts the servers, with the buckets [`UPLOADS_BUCKET`] and [`WORK_BUCKET`].
    ///
    /// # Errors
    /// See [`StackError`]; each is one line that says what to do.
    pub fn start(options: StackOptions) -> Result<Self, StackError> {
        let folder = Folder::take(options.data.as_deref())?;
        let unusable = |source| StackError::Folder { path: folder.path().to_owned(), source };
        let buckets = [UPLOADS_BUCKET, WORK_BUCKET];
        let (access_key, secret_key) = EMBEDDED_KEYS;
        let credentials = s3::Credentials { access_key, secret_key };
        let s3 = s3::service(folder.path().join("s3"), &buckets, credentials, options.on_created);
        let (s3, objects) = s3.map_err(unusable)?;
        let database = dynamodb::open(&folder.dynamodb())
            .map_err(|source| StackError::DynamoDb { path: folder.path().to_owned(), source })?;

        let mut stack = Self {
            endpoints: Endpoints { pid: std::process::id(), aws: String::new(), dynamodb: String::new(), api: None },
            objects,
            stop: CancellationToken::new(),
            servers: Vec::new(),
            folder,
        };
        let mut runtime = runtime::Builder::new_multi_thread();
        runtime.worker_threads(DYNAMODB_THREADS).thread_name("dynamodb");
        let stop = stack.stop.clone();
        let dynamodb = stack.spawn(runtime, 0, move |listener| dynamodb::serve(listener, database, stop))?;

        // The address of a socket is an authority; were it not, no port could be had.
        let gateway = Gateway::new(s3, dynamodb).map_err(|error| StackError::Thread(std::io::Error::other(error)))?;
        let mut runtime = runtime::Builder::new_current_thread();
        runtime.max_blocking_threads(S3_DISK_THREADS).thread_name("s3");
        let stop = stack.stop.clone();
        let aws = stack.spawn(runtime, options.port, move |listener| gateway.serve(listener, stop))?;

        stack.endpoints.aws = format!("http://{aws}");
        stack.endpoints.dynamodb = format!("http://{dynamodb}");
        stack.folder.announce(&stack.endpoints)?;
        Ok(stack)
    }

    /// Where the services are.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The folder that holds the state.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Tells other processes, too, where the read API is served.
    ///
    /// # Errors
    /// [`StackError::Folder`] if the folder cannot be written.
    pub fn announce_api(&mut self, url: impl Into<String>) -> Result<(), StackError> {
        self.endpoints.api = Some(url.into());
        self.folder.announce(&self.endpoints)
    }

    /// The keys of all objects in `bucket`, in the order in which they were written.
    ///
    /// # Errors
    /// [`StackError::Folder`] if the folder cannot be read.
    pub fn oldest_first(&self, bucket: &str) -> Result<Vec<String>, StackError> {
        let failed = |source| StackError::Folder { path: self.folder.path().to_owned(), source };
        self.objects.oldest_first(bucket).map_err(failed)
    }

    /// Configuration for clients of both services.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        aws::embedded_config(&self.endpoints.aws)
    }

    /// Configuration for a DynamoDB client that spares the detour over the common port.
    #[must_use]
    pub fn dynamodb_config(&self) -> SdkConfig {
        aws::embedded_config(&self.endpoints.dynamodb)
    }

    /// Stops the servers: no new connections, what is under way ends within a few seconds, the table is on disk.
    pub fn stop(self) {
        drop(self);
    }

    /// Runs a server on a thread of its own and gives its address.
    fn spawn<F>(
        &mut self,
        mut runtime: runtime::Builder,
        port: u16,
        serve: impl FnOnce(TcpListener) -> F + Send + 'static,
    ) -> Result<SocketAddr, StackError>
    where
        F: Future<Output = ()>,
    {
        let (tell, told) = mpsc::channel();
        let thread = thread::Builder::new().name("local-stack".to_owned()).spawn(move || {
            let runtime = match runtime.enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return tell.send(Err(StackError::Thread(error))).unwrap_or_default(),
            };
            let bound = listen(&runtime, port).map_err(|source| StackError::Port { port, source });
            let listener = match bound {
                Ok((listener, address)) => {
                    tell.send(Ok(address)).unwrap_or_default();
                    listener
                }
                Err(error) => return tell.send(Err(error)).unwrap_or_default(),
            };
            runtime.block_on(serve(listener));
            runtime.shutdown_timeout(LAST_WORK);
        });
        self.servers.push(thread.map_err(StackError::Thread)?);
        // A thread that ends without a word has panicked.
        told.recv().map_err(|error| StackError::Thread(std::io::Error::other(error)))?
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop.cancel();
        for server in self.servers.drain(..) {
            // A server that panicked has said so on stderr.
            server.join().unwrap_or_default();
        }
    }
}

fn listen(runtime: &Runtime, port: u16) -> std::io::Result<(TcpListener, SocketAddr)> {
    let _context = runtime.enter();
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit it: an answer in two pieces must not wait for an acknowledgement.
    socket.set_nodelay(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
