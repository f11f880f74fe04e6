//! Where a command works: the embedded stack in a folder, or AWS.

use std::path::PathBuf;

use aws_types::SdkConfig;

use super::Failure;
use crate::aws;
use crate::ingest::{Engine, Observer, Settings, WorkStore, spool};
use crate::local::stack::{Stack, StackOptions, WORK_BUCKET};
use crate::read::source::Source;
use crate::table::{Schema, Table};

/// The table of the embedded stack.
pub(super) const EMBEDDED_TABLE: &str = "notaflux";

/// Which table, and where work lies.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PlaceArgs {
    /// Folder of the embedded S3 and DynamoDB
    #[arg(long, value_name = "DIR", default_value = "notaflux-data")]
    pub(super) data: PathBuf,
    /// A table in AWS, by the environment's region, credentials and endpoint (`AWS_ENDPOINT_URL`)
    #[arg(long, value_name = "NAME")]
    pub(super) table: Option<String>,
    /// With --table: the bucket for plans, blocks and rejects; without it they lie in the folder of --data
    #[arg(long, value_name = "BUCKET", requires = "table", env = "NOTAFLUX_WORK_BUCKET")]
    pub(super) work_bucket: Option<String>,
}

/// An open place.
pub(super) struct Place {
    pub(super) stack: Option<Stack>,
    pub(super) table: Table,
    config: SdkConfig,
    store: WorkStore,
}

impl Place {
    /// Opens the place that the arguments name. The embedded table is made if it is not there.
    pub(super) async fn open(args: &PlaceArgs) -> Result<Self, Failure> {
        let Some(name) = &args.table else {
            let stack = Stack::start(StackOptions { data: Some(args.data.clone()), ..StackOptions::default() }).await?;
            return Self::embedded(stack).await;
        };
        let config = aws::config().await;
        let table = Table::open(aws::dynamodb_reader(&config), name.clone()).await?;
        let (stack, store) = match &args.work_bucket {
            Some(bucket) => (None, WorkStore::new(aws::s3_client(&config), bucket.clone())),
            None => {
                let options = StackOptions { data: Some(args.data.clone()), ..StackOptions::default() };
                let stack = Stack::start(options).await?;
                let store = WorkStore::new(aws::s3_client(&stack.sdk_config()), WORK_BUCKET.to_owned());
                (Some(stack), store)
            }
        };
        Ok(Self { stack, table, config, store })
    }

    /// The place in a stack that runs.
    pub(super) async fn embedded(stack: Stack) -> Result<Self, Failure> {
        let config = stack.sdk_config();
        let client = aws::dynamodb_reader(&config);
        let table = Table::open_or_create(client, EMBEDDED_TABLE.to_owned(), Schema::default()).await?;
        let store = WorkStore::new(aws::s3_client(&config), WORK_BUCKET.to_owned());
        Ok(Self { stack: Some(stack), table, config, store })
    }

    /// An engine for this place.
    pub(super) fn engine(&self, settings: Settings, observer: Option<Observer>) -> Engine {
        let write_client = aws::dynamodb_client(&self.config);
        Engine { table: self.table.clone(), write_client, store: self.store.clone(), settings, observer }
    }

    /// The S3 of this place.
    pub(super) fn s3(&self) -> aws_sdk_s3::Client {
        aws::s3_client(&self.config)
    }

    /// The source that the user named: `-`, `s3://bucket/key` or a path.
    pub(super) async fn source(&self, name: &str) -> Result<Source, Failure> {
        if name == "-" {
            return Ok(spool::spool(&self.store, tokio::io::stdin()).await?);
        }
        let Some(object) = name.strip_prefix("s3://") else { return Ok(Source::file(name).await?) };
        let (bucket, key) = object.split_once('/').filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()).ok_or_else(
            || format!("{name}: expected s3://bucket/key"),
        )?;
        Ok(Source::object(self.s3(), bucket.to_owned(), key.to_owned(), None).await?)
    }

    /// Removes what standard input was spooled to.
    pub(super) async fn remove_spooled(&self, source: &Source) -> Result<(), Failure> {
        let key = source.identity().key.as_deref().filter(|key| key.starts_with("spool/"));
        match key {
            Some(key) => Ok(self.store.remove(key).await?),
            None => Ok(()),
        }
    }

    /// Ends the embedded stack, if there is one.
    pub(super) async fn close(self) {
        if let Some(stack) = self.stack {
            stack.stop().await;
        }
    }
}
