//! What a command works on: the embedded services in a folder, or AWS.

use std::path::{Path, PathBuf};

use aws_config::SdkConfig;
use aws_sdk_s3::Client as S3;
use tokio_util::sync::CancellationToken;

use notaflux_records::file;

use crate::failure::Failure;
use notaflux_api::{Api, CursorKeys};
use notaflux_aws as aws;
use notaflux_engine::object;
use notaflux_engine::{Engine, Settings, WorkStore, spool};
use notaflux_local::stack::{Stack, StackOptions, WORK_BUCKET};
use notaflux_local::{self as local, Endpoints};
use notaflux_records::source::Source;
use notaflux_table::{Schema, Table};
use notaflux_write::Wire;

/// Name of the table in the embedded DynamoDB.
pub(super) const EMBEDDED_TABLE: &str = "notaflux";

/// Arguments that choose the table.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TableArgs {
    /// Folder of the embedded S3 and DynamoDB
    #[arg(long, value_name = "DIR", default_value = "notaflux-data")]
    pub(super) data: PathBuf,
    /// A table in AWS; region, credentials and endpoint (`AWS_ENDPOINT_URL`) come from the environment
    #[arg(long, value_name = "NAME")]
    pub(super) table: Option<String>,
}

/// Arguments that choose the table and the work store.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct BackendArgs {
    #[command(flatten)]
    which: TableArgs,
    /// With --table: bucket for the intermediate files and the rejects [default: the folder of --data]
    #[arg(long, value_name = "BUCKET", env = "NOTAFLUX_WORK_BUCKET")]
    work_bucket: Option<String>,
}

/// S3 and DynamoDB: those of AWS, or embedded ones that this process or another one runs.
pub(super) struct Services {
    /// Configuration for clients of DynamoDB.
    pub(super) dynamodb: SdkConfig,
    /// Configuration for clients of S3.
    pub(super) s3: SdkConfig,
    /// The embedded stack, if this process runs it.
    pub(super) stack: Option<Stack>,
}

impl Services {
    /// Returns the embedded services in the folder `data`: those of a running `notaflux serve`, or new ones.
    pub(super) fn embedded(data: &Path) -> Result<Self, Failure> {
        // A process that serves the API keeps running. Any other process may end while its services are needed here.
        if let Some(endpoints) = local::running(data)?.filter(|endpoints| endpoints.api.is_some()) {
            return Ok(Self::at(&endpoints));
        }
        let stack = Stack::start(StackOptions { data: Some(data.to_owned()), ..StackOptions::default() })?;
        Ok(Self::of(stack))
    }

    /// Returns the services of `stack`.
    pub(super) fn of(stack: Stack) -> Self {
        let mut services = Self::at(stack.endpoints());
        services.stack = Some(stack);
        services
    }

    /// Returns the services at `endpoints`.
    pub(super) fn at(endpoints: &Endpoints) -> Self {
        Self {
            dynamodb: aws::embedded_config(&endpoints.dynamodb),
            s3: aws::embedded_config(&endpoints.aws),
            stack: None,
        }
    }

    /// Opens the file or S3 object that the user named.
    pub(super) async fn source(&self, name: &str) -> Result<Source, Failure> {
        let Some((bucket, key)) = aws::object_of(name) else { return Ok(file::open(name).await?) };
        Ok(object::open(aws::s3_client(&self.s3), bucket.to_owned(), key.to_owned(), None).await?)
    }

    async fn aws() -> Self {
        let config = aws::config().await;
        Self { dynamodb: config.clone(), s3: config, stack: None }
    }
}

impl TableArgs {
    /// Returns the services that hold the source, `None` for a file. Keep them while the source is read.
    pub(super) async fn services_of(&self, name: &str) -> Result<Option<Services>, Failure> {
        Ok(if name.starts_with(aws::OBJECT_SCHEME) { Some(self.open().await?.0) } else { None })
    }

    /// Returns the services and the name of the table.
    pub(super) async fn open(&self) -> Result<(Services, String), Failure> {
        match &self.table {
            Some(name) => Ok((Services::aws().await, name.clone())),
            None => Ok((Services::embedded(&self.data)?, EMBEDDED_TABLE.to_owned())),
        }
    }
}

/// The services, the table and the work store of a command.
pub(super) struct Backend {
    pub(super) services: Services,
    pub(super) table: Table,
    store: WorkStore,
    /// Embedded services that only the work store uses.
    work: Option<Services>,
    /// When this process started the table's server, in milliseconds since 1970. Workers from before that time are
    /// gone. 0 if another process runs the server.
    alone_since_ms: u64,
}

impl Backend {
    /// Opens what the arguments name. Creates the embedded table if it does not exist.
    pub(super) async fn open(args: &BackendArgs) -> Result<Self, Failure> {
        let (services, name) = args.which.open().await?;
        if args.which.table.is_none() {
            return Self::embedded(services).await;
        }
        let table = Table::open(aws::dynamodb_worker(&services.dynamodb), name).await?;
        let (store, work) = if let Some(bucket) = &args.work_bucket {
            (WorkStore::new(aws::s3_client(&services.s3), bucket.clone()), None)
        } else {
            let work = Services::embedded(&args.which.data)?;
            (WorkStore::new(aws::s3_client(&work.s3), WORK_BUCKET.to_owned()), Some(work))
        };
        Ok(Self { services, table, store, work, alone_since_ms: 0 })
    }

    /// Opens the table and the work store in embedded services.
    pub(super) async fn embedded(services: Services) -> Result<Self, Failure> {
        let client = aws::dynamodb_worker(&services.dynamodb);
        let table = Table::open_or_create(client, EMBEDDED_TABLE.to_owned(), Schema::default()).await?;
        let store = WorkStore::new(aws::s3_client(&services.s3), WORK_BUCKET.to_owned());
        let is_alone = services.stack.is_some();
        let mut backend = Self { services, table, store, work: None, alone_since_ms: 0 };
        if is_alone {
            backend.take_over().await?;
        }
        Ok(backend)
    }

    /// Takes over from workers of an earlier process. Returns the current time in milliseconds since 1970.
    pub(super) async fn take_over(&mut self) -> Result<u64, Failure> {
        spool::remove_abandoned(&self.store).await?;
        self.alone_since_ms = notaflux_engine::now_ms();
        Ok(self.alone_since_ms)
    }

    /// Returns an engine that writes to the table.
    pub(super) fn engine(&self, mut settings: Settings) -> Engine {
        settings.alone_since_ms = settings.alone_since_ms.max(self.alone_since_ms);
        Engine::new(self.table.clone(), Wire::new(&self.services.dynamodb), self.store.clone(), settings)
    }

    /// Returns a client for S3.
    pub(super) fn s3(&self) -> S3 {
        aws::s3_client(&self.services.s3)
    }

    /// Returns the read API on the table.
    pub(super) fn api(&self, cursors: CursorKeys) -> Api {
        let Self { services, table, .. } = self;
        let table = table.through(aws::dynamodb_reader(&services.dynamodb));
        Api::new(table, aws::s3_reader(&services.s3), cursors)
    }

    /// Opens the source that the user named: `-`, `s3://bucket/key` or a path. Reads standard input to its end, or
    /// until `stop`.
    pub(super) async fn source(&self, name: &str, stop: &CancellationToken) -> Result<Source, Failure> {
        if name == "-" {
            return Ok(spool::spool(&self.store, tokio::io::stdin(), stop).await?);
        }
        self.services.source(name).await
    }

    /// Returns the folder of the work bucket, if this process runs its server.
    pub(super) fn work_folder(&self) -> Option<PathBuf> {
        let stack = self.work.as_ref().unwrap_or(&self.services).stack.as_ref()?;
        Some(stack.folder().join("s3").join(WORK_BUCKET))
    }

    /// Removes the object to which standard input was spooled.
    pub(super) async fn remove_spooled(&self, source: &Source) -> Result<(), Failure> {
        let key = source.identity().key.as_deref().filter(|key| key.starts_with(spool::FOLDER));
        match key {
            Some(key) => Ok(self.store.remove(key).await?),
            None => Ok(()),
        }
    }
}
