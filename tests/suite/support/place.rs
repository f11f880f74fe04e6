//! A table, a work store and an engine on the embedded servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::primitives::ByteStream;
use notaflux_aws as aws;
use notaflux_engine::ledger::Ledger;
use notaflux_engine::machine::Phase;
use notaflux_engine::{Engine, Outcome, Settings, WorkStore, ingestion_id};
use notaflux_local::stack::{Stack, StackOptions};
use notaflux_records::file;
use notaflux_records::source::Source;
use notaflux_table::{self as table, Schema, Table};
use notaflux_write::Wire;
use serde_json::Value;

use super::proxy::Proxy;

/// Items of invoices as comparable text, by key.
pub type Items = BTreeMap<(String, String), BTreeMap<String, String>>;

/// The embedded stack with a new table.
pub struct Place {
    pub stack: Arc<Stack>,
    pub table: Table,
    pub config: SdkConfig,
    /// A new bucket, so that it has nothing from another run.
    pub work: String,
    files: tempfile::TempDir,
}

static MADE: AtomicU32 = AtomicU32::new(0);

impl Place {
    pub async fn new() -> Self {
        Self::over(Arc::new(Stack::start(StackOptions::default()).unwrap())).await
    }

    /// Creates another new table in the same stack.
    pub async fn another(&self) -> Self {
        Self::over(self.stack.clone()).await
    }

    /// Returns the same place with all connections through `proxy`: ledger, work store, puts and the rest.
    pub fn through(&self, proxy: &Proxy) -> Self {
        let config = aws::embedded_config(&proxy.endpoint());
        let table = self.table.through(aws::dynamodb_worker(&config));
        let (stack, work) = (self.stack.clone(), self.work.clone());
        Self { stack, table, config, work, files: tempfile::tempdir().unwrap() }
    }

    /// Returns the same place with a table of this name, which need not exist.
    pub fn under(&self, name: &str) -> Self {
        let mut table = self.table.clone();
        name.clone_into(&mut table.name);
        let (stack, config, work) = (self.stack.clone(), self.config.clone(), self.work.clone());
        Self { stack, table, config, work, files: tempfile::tempdir().unwrap() }
    }

    async fn over(stack: Arc<Stack>) -> Self {
        let config = stack.sdk_config();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let (name, work) = (format!("invoices-{number}"), format!("work-{number}"));
        aws::s3_client(&config).create_bucket().bucket(&work).send().await.unwrap();
        let table = table::create(aws::dynamodb_worker(&config), name, Schema::default()).await.unwrap();
        Self { stack, table, config, work, files: tempfile::tempdir().unwrap() }
    }

    /// Stores a user layout where the engine finds it.
    pub async fn put_layout(&self, name: &str, text: &str) {
        let (s3, body) = (aws::s3_client(&self.config), ByteStream::from(text.as_bytes().to_vec()));
        s3.put_object().bucket(&self.work).key(format!("layouts/{name}.toml")).body(body).send().await.unwrap();
    }

    /// Creates a file with these bytes.
    pub async fn file(&self, bytes: &[u8]) -> Source {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = self.files.path().join(format!("{number}.csv"));
        std::fs::write(&path, bytes).unwrap();
        file::open(&path).await.unwrap()
    }

    pub fn engine(&self, settings: Settings) -> Engine {
        self.engine_through(settings, &self.config)
    }

    /// Returns an engine whose puts use `config`.
    pub fn engine_through(&self, settings: Settings, config: &SdkConfig) -> Engine {
        let store = WorkStore::new(aws::s3_client(&self.config), self.work.clone());
        Engine::new(self.table.clone(), Wire::new(config), store, settings)
    }

    pub async fn ingest(&self, bytes: &[u8], settings: Settings) -> Outcome {
        self.engine(settings).ingest(&self.file(bytes).await).await.unwrap()
    }

    /// Returns the state of the ingestion of a source in the ledger, if the ledger has it.
    pub async fn known(&self, source: &Source) -> Option<Outcome> {
        let ledger = Ledger::new(self.table.clone());
        let meta = ledger.meta(&ingestion_id(source.identity())).await.unwrap()?;
        Some(Outcome { report: meta.report, error: None, repeated: true })
    }

    /// Returns the number of hops of each unit in the first attempt of an ingestion.
    pub async fn hops(&self, ingestion: &str) -> Vec<u64> {
        let ledger = Ledger::new(self.table.clone());
        let mut hops = Vec::new();
        for phase in Phase::ALL {
            let units = ledger.units(ingestion, 1, phase).await.unwrap();
            hops.extend(units.values().map(|unit| u64::from(unit.hop)));
        }
        hops
    }

    /// Returns all items of invoices, lines and events, without the ledger and the schema.
    pub async fn items(&self) -> Items {
        let mut items = Items::new();
        let mut pages = self.table.client().scan().table_name(&self.table.name).into_paginator().send();
        while let Some(page) = pages.next().await {
            for item in page.unwrap().items.unwrap_or_default() {
                let key = (text(&item["PK"]), text(&item["SK"]));
                if key.0.starts_with("N#") {
                    items.insert(key, item.iter().map(|(name, value)| (name.clone(), stable(value))).collect());
                }
            }
        }
        items
    }

    /// Returns the reject lines at the location in the report, in order.
    pub async fn rejects(&self, outcome: &Outcome) -> Vec<Value> {
        let Some(location) = &outcome.report.rejects_location else { return Vec::new() };
        let prefix = location.strip_prefix(&format!("s3://{}/", self.work)).unwrap();
        let s3 = aws::s3_client(&self.config);
        let listed = s3.list_objects_v2().bucket(&self.work).prefix(prefix).send().await.unwrap();
        let mut keys: Vec<String> = listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect();
        keys.sort();
        let mut lines = Vec::new();
        for key in keys {
            let body = s3.get_object().bucket(&self.work).key(key).send().await.unwrap().body.collect().await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            lines.extend(body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        lines
    }
}

fn text(value: &AttributeValue) -> String {
    value.as_s().unwrap().clone()
}

/// Returns the same text for equal values: the debug form of a map has no fixed order.
fn stable(value: &AttributeValue) -> String {
    match value {
        AttributeValue::M(map) => format!("{:?}", map.iter().map(|(k, v)| (k, stable(v))).collect::<BTreeMap<_, _>>()),
        other => format!("{other:?}"),
    }
}
