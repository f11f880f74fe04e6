//! Embedded S3 and DynamoDB: servers on loopback in this process, with their state in a folder.
//!
//! The servers run on their own threads and runtimes. So a call that blocks on `SQLite` or on the disk does not block
//! the engine. The engine uses the same SDK clients and the same HTTP as with AWS.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aws_config::SdkConfig;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{self, Runtime};
use tokio_util::sync::CancellationToken;

use notaflux_aws::{self as aws, EMBEDDED_KEYS};

use crate::dynamodb;
use crate::endpoints::Endpoints;
use crate::error::StackError;
use crate::folder::Folder;
use crate::gateway::Gateway;
use crate::s3::{self, Objects, OnCreated};

/// Bucket for the files to ingest.
pub const UPLOADS_BUCKET: &str = "uploads";

/// Bucket for the files that the engine writes: plans, blocks, rejects. Its objects start no ingestion.
pub const WORK_BUCKET: &str = "work";

/// Connections that may wait to be accepted, as in `std`.
const BACKLOG: u32 = 128;

/// Threads that answer DynamoDB calls. The database runs one call at a time; the second thread reads the next request.
const DYNAMODB_THREADS: usize = 2;

/// Threads for file operations of the S3 server. Without a limit, each download would start a thread.
const S3_DISK_THREADS: usize = 8;

/// How long to wait for the last blocking work of a stopped server.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Options of a stack.
#[derive(Clone, Default)]
pub struct StackOptions {
    /// Folder for all state, created if it does not exist. `None` uses a temporary folder and removes it at the end.
    pub data: Option<PathBuf>,
    /// Port for S3 and DynamoDB together; 0 uses any free port.
    pub port: u16,
    /// Called for each object that is written to any bucket.
    pub on_created: Option<OnCreated>,
}

/// A running stack. Dropping it stops it, as [`Stack::stop`] does.
pub struct Stack {
    endpoints: Endpoints,
    objects: Objects,
    stop: CancellationToken,
    servers: Vec<JoinHandle<()>>,
    /// Stands after `servers`, so that the folder is released only after they have ended.
    folder: Folder,
}

impl Stack {
    /// Starts the servers, with the buckets [`UPLOADS_BUCKET`] and [`WORK_BUCKET`].
    ///
    /// # Errors
    /// See [`StackError`].
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

    /// Returns the addresses of the services.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Returns the folder that holds the state.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Publishes the URL of the read API for other processes.
    ///
    /// # Errors
    /// [`StackError::Folder`] if the folder cannot be written.
    pub fn announce_api(&mut self, url: impl Into<String>) -> Result<(), StackError> {
        self.endpoints.api = Some(url.into());
        self.folder.announce(&self.endpoints)
    }

    /// Returns the keys of all objects in `bucket`, ordered by the time of their last write.
    ///
    /// # Errors
    /// [`StackError::Folder`] if the folder cannot be read.
    pub fn oldest_first(&self, bucket: &str) -> Result<Vec<String>, StackError> {
        let failed = |source| StackError::Folder { path: self.folder.path().to_owned(), source };
        self.objects.oldest_first(bucket).map_err(failed)
    }

    /// Returns the configuration for clients of both services.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        aws::embedded_config(&self.endpoints.aws)
    }

    /// Returns the configuration for a DynamoDB client that does not go through the common port.
    #[must_use]
    pub fn dynamodb_config(&self) -> SdkConfig {
        aws::embedded_config(&self.endpoints.dynamodb)
    }

    /// Stops the servers. They accept no new connection, and requests in flight end within a few seconds. The table is
    /// on disk.
    pub fn stop(self) {
        drop(self);
    }

    /// Runs a server on its own thread and returns its address.
    fn spawn<F>(
        &mut self,
        mut runtime: runtime::Builder,
        port: u16,
        serve: impl FnOnce(TcpListener) -> F + Send + 'static,
    ) -> Result<SocketAddr, StackError>
    where
        F: Future<Output = ()>,
    {
        // The receiver waits below, so no send fails.
        let (sender, started) = mpsc::channel();
        let thread = thread::Builder::new().name("local-stack".to_owned()).spawn(move || {
            let runtime = match runtime.enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return sender.send(Err(StackError::Thread(error))).unwrap_or_default(),
            };
            let bound = listen(&runtime, port).map_err(|source| StackError::Port { port, source });
            let listener = match bound {
                Ok((listener, address)) => {
                    sender.send(Ok(address)).unwrap_or_default();
                    listener
                }
                Err(error) => return sender.send(Err(error)).unwrap_or_default(),
            };
            runtime.block_on(serve(listener));
            runtime.shutdown_timeout(LAST_WORK);
        });
        self.servers.push(thread.map_err(StackError::Thread)?);
        // A thread that ends before it sends has panicked.
        started.recv().map_err(|error| StackError::Thread(std::io::Error::other(error)))?
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop.cancel();
        for server in self.servers.drain(..) {
            // A panic of a server has been printed on standard error.
            server.join().unwrap_or_default();
        }
    }
}

fn listen(runtime: &Runtime, port: u16) -> std::io::Result<(TcpListener, SocketAddr)> {
    let _context = runtime.enter();
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit this option. Without it, the second piece of an answer waits for an acknowledgement.
    socket.set_nodelay(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
