//! Where a command works: the embedded stack in a folder, or AWS.

use std::path::{Path, PathBuf};

use aws_config::SdkConfig;
use aws_sdk_s3::Client as S3;
use tokio_util::sync::CancellationToken;

use notaflux_records::file;

use super::Failure;
use notaflux_api::{Api, CursorKeys};
use notaflux_aws as aws;
use notaflux_engine::object;
use notaflux_engine::{Engine, Settings, WorkStore, spool};
use notaflux_local::stack::{Stack, StackOptions, WORK_BUCKET};
use notaflux_local::{self as local, Endpoints};
use notaflux_records::source::Source;
use notaflux_table::{Schema, Table};
use notaflux_write::Wire;

/// The table of the embedded stack.
pub(super) const EMBEDDED_TABLE: &str = "notaflux";

/// Which table.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TableArgs {
    /// Folder of the embedded S3 and DynamoDB
    #[arg(long, value_name = "DIR", default_value = "notaflux-data")]
    pub(super) data: PathBuf,
    /// A table in AWS, by the environment's region, credentials and endpoint (`AWS_ENDPOINT_URL`)
    #[arg(long, value_name = "NAME")]
    pub(super) table: Option<String>,
}

/// Which table, and where work lies.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PlaceArgs {
    #[command(flatten)]
    which: TableArgs,
    /// With --table: the bucket for plans, blocks and rejects; without it they lie in the folder of --data
    #[arg(long, value_name = "BUCKET", env = "NOTAFLUX_WORK_BUCKET")]
    work_bucket: Option<String>,
}

/// The services of a place: embedded ones, of this process or of another that uses the folder, or those of AWS.
pub(super) struct Services {
    /// For all that is not S3.
    pub(super) dynamodb: SdkConfig,
    /// For S3.
    pub(super) s3: SdkConfig,
    /// The embedded stack, where it is this process's.
    pub(super) stack: Option<Stack>,
}

impl Services {
    /// The embedded services in `data`: those of the process that uses the folder, or new ones.
    pub(super) fn embedded(data: &Path) -> Result<Self, Failure> {
        // One that serves the API stays; any other may end while its services are needed here.
        if let Some(endpoints) = local::running(data)?.filter(|endpoints| endpoints.api.is_some()) {
            return Ok(Self::at(&endpoints));
        }
        let stack = Stack::start(StackOptions { data: Some(data.to_owned()), ..StackOptions::default() })?;
        Ok(Self::of(stack))
    }

    /// The services of `stack`.
    pub(super) fn of(stack: Stack) -> Self {
        let mut services = Self::at(stack.endpoints());
        services.stack = Some(stack);
        services
    }

    /// The services that listen there.
    pub(super) fn at(endpoints: &Endpoints) -> Self {
        Self {
            dynamodb: aws::embedded_config(&endpoints.dynamodb),
            s3: aws::embedded_config(&endpoints.aws),
            stack: None,
        }
    }

    /// The file or S3 object that the user named.
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
    /// The services that the source which the user named lies in; none for a file. They have to live for as long as it is read.
    pub(super) async fn services_of(&self, name: &str) -> Result<Option<Services>, Failure> {
        Ok(if name.starts_with(aws::OBJECT_SCHEME) { Some(self.open().await?.0) } else { None })
    }

    /// The services and the table's name.
    pub(super) async fn open(&self) -> Result<(Services, String), Failure> {
        match &self.table {
            Some(name) => Ok((Services::aws().await, name.clone())),
            None => Ok((Services::embedded(&self.data)?, EMBEDDED_TABLE.to_owned())),
        }
    }
}

/// A table, a work store, and what ingests into them.
pub(super) struct Place {
    pub(super) services: Services,
    pub(super) table: Table,
    store: WorkStore,
    /// The embedded services that only the work store uses.
    work: Option<Services>,
    /// When the table's server was started, where it is this process's: whoever worked there before is gone.
    alone_since_ms: u64,
}

impl Place {
    /// Opens the place that the arguments name. The embedded table is made if it is not there.
    pub(super) async fn open(args: &PlaceArgs) -> Result<Self, Failure> {
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

    /// The place in embedded services.
    pub(super) async fn embedded(services: Services) -> Result<Self, Failure> {
        let client = aws::dynamodb_worker(&services.dynamodb);
        let table = Table::open_or_create(client, EMBEDDED_TABLE.to_owned(), Schema::default()).await?;
        let store = WorkStore::new(aws::s3_client(&services.s3), WORK_BUCKET.to_owned());
        let is_alone = services.stack.is_some();
        let mut place = Self { services, table, store, work: None, alone_since_ms: 0 };
        if is_alone {
            place.take_over().await?;
        }
        Ok(place)
    }

    /// Takes over from whoever worked here before and is gone. Gives since when, in milliseconds since 1970.
    pub(super) async fn take_over(&mut self) -> Result<u64, Failure> {
        spool::remove_abandoned(&self.store).await?;
        self.alone_since_ms = notaflux_engine::now_ms();
        Ok(self.alone_since_ms)
    }

    /// An engine for this place.
    pub(super) fn engine(&self, mut settings: Settings) -> Engine {
        settings.alone_since_ms = settings.alone_since_ms.max(self.alone_since_ms);
        Engine::new(self.table.clone(), Wire::new(&self.services.dynamodb), self.store.clone(), settings)
    }

    /// The S3 of this place.
    pub(super) fn s3(&self) -> S3 {
        aws::s3_client(&self.services.s3)
    }

    /// The read API on this place.
    pub(super) fn api(&self, cursors: CursorKeys) -> Api {
        let Self { services, table, .. } = self;
        let table = Table { client: aws::dynamodb_reader(&services.dynamodb), ..table.clone() };
        Api::new(table, aws::s3_reader(&services.s3), cursors)
    }

    /// The source that the user named: `-`, `s3://bucket/key` or a path. Until `stop`, standard input is read to its end.
    pub(super) async fn source(&self, name: &str, stop: &CancellationToken) -> Result<Source, Failure> {
        if name == "-" {
            return Ok(spool::spool(&self.store, tokio::io::stdin(), stop).await?);
        }
        self.services.source(name).await
    }

    /// Where the work bucket lies, where it is embedded in this process.
    pub(super) fn work_folder(&self) -> Option<PathBuf> {
        let stack = self.work.as_ref().unwrap_or(&self.services).stack.as_ref()?;
        Some(stack.folder().join("s3").join(WORK_BUCKET))
    }

    /// Removes what standard input was spooled to.
    pub(super) async fn remove_spooled(&self, source: &Source) -> Result<(), Failure> {
        let key = source.identity().key.as_deref().filter(|key| key.starts_with(spool::FOLDER));
        match key {
            Some(key) => Ok(self.store.remove(key).await?),
            None => Ok(()),
        }
    }
}
