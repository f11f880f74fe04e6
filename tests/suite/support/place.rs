//! A table, a work store and an engine over the embedded servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::primitives::ByteStream;
use notaflux_aws as aws;
use notaflux_engine::ledger::Ledger;
use notaflux_engine::machine::Phase;
use notaflux_engine::{Engine, Outcome, Settings, WorkStore, plan};
use notaflux_local::stack::{Stack, StackOptions};
use notaflux_records::file;
use notaflux_records::source::Source;
use notaflux_table::{self as table, Schema, Table};
use notaflux_write::Wire;
use serde_json::Value;

use super::proxy::Proxy;

/// An item of an invoice as comparable text, by its key.
pub type Items = BTreeMap<(String, String), BTreeMap<String, String>>;

/// The embedded stack with a table of its own.
pub struct Place {
    pub stack: Arc<Stack>,
    pub table: Table,
    pub config: SdkConfig,
    /// Of its own, so that nothing lies there that another run has left.
    pub work: String,
    files: tempfile::TempDir,
}

static MADE: AtomicU32 = AtomicU32::new(0);

impl Place {
    pub async fn new() -> Self {
        Self::over(Arc::new(Stack::start(StackOptions::default()).unwrap())).await
    }

    /// Another table of its own in the same stack.
    pub async fn another(&self) -> Self {
        Self::over(self.stack.clone()).await
    }

    /// The same, but for a wire that goes through `proxy`: ledger, work store, puts and all.
    pub fn through(&self, proxy: &Proxy) -> Self {
        let config = aws::embedded_config(&proxy.endpoint());
        let table = Table { client: aws::dynamodb_worker(&config), ..self.table.clone() };
        let (stack, work) = (self.stack.clone(), self.work.clone());
        Self { stack, table, config, work, files: tempfile::tempdir().unwrap() }
    }

    /// The same, but for a table of this name, whether or not there is one.
    pub fn under(&self, name: &str) -> Self {
        let table = Table { name: name.to_owned(), ..self.table.clone() };
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

    /// Puts a layout where the engine finds the user's own.
    pub async fn put_layout(&self, name: &str, text: &str) {
        let (s3, body) = (aws::s3_client(&self.config), ByteStream::from(text.as_bytes().to_vec()));
        s3.put_object().bucket(&self.work).key(format!("layouts/{name}.toml")).body(body).send().await.unwrap();
    }

    /// A file with these bytes.
    pub async fn file(&self, bytes: &[u8]) -> Source {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = self.files.path().join(format!("{number}.csv"));
        std::fs::write(&path, bytes).unwrap();
        file::open(&path).await.unwrap()
    }

    pub fn engine(&self, settings: Settings) -> Engine {
        self.engine_through(settings, &self.config)
    }

    /// An engine whose puts go through `config`.
    pub fn engine_through(&self, settings: Settings, config: &SdkConfig) -> Engine {
        let store = WorkStore::new(aws::s3_client(&self.config), self.work.clone());
        Engine::new(self.table.clone(), Wire::new(config), store, settings)
    }

    pub async fn ingest(&self, bytes: &[u8], settings: Settings) -> Outcome {
        self.engine(settings).ingest(&self.file(bytes).await).await.unwrap()
    }

    /// How the ingestion of a source stands in the ledger, if it is known there.
    pub async fn known(&self, source: &Source) -> Option<Outcome> {
        let ledger = Ledger::new(self.table.clone());
        let meta = ledger.meta(&plan::ingestion_id(source.identity())).await.unwrap()?;
        Some(Outcome { report: meta.report, error: None, repeated: true })
    }

    /// How many hops each unit of an ingestion's first attempt took.
    pub async fn hops(&self, ingestion: &str) -> Vec<u64> {
        let ledger = Ledger::new(self.table.clone());
        let mut hops = Vec::new();
        for phase in Phase::ALL {
            let units = ledger.units(ingestion, 1, phase).await.unwrap();
            hops.extend(units.values().map(|unit| u64::from(unit.hop)));
        }
        hops
    }

    /// Every item of invoices, lines and events: the ledger and the schema left out.
    pub async fn items(&self) -> Items {
        let mut items = Items::new();
        let mut pages = self.table.client.scan().table_name(&self.table.name).into_paginator().send();
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

    /// The reject lines that the report points to, in order.
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

/// The same text for the same value: the debug form of a map has no order.
fn stable(value: &AttributeValue) -> String {
    match value {
        AttributeValue::M(map) => format!("{:?}", map.iter().map(|(k, v)| (k, stable(v))).collect::<BTreeMap<_, _>>()),
        other => format!("{other:?}"),
    }
}
