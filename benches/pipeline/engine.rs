//! The engine, composed like in the ingest function.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use notaflux_aws as aws;
use notaflux_engine::object;
use notaflux_engine::{Engine, ProgressEvent, Settings, WorkStore};
use notaflux_local::stack::{UPLOADS_BUCKET, WORK_BUCKET};
use notaflux_table::Table;
use notaflux_table::ingestion::IngestionState;
use notaflux_write::Wire;

use super::server::TABLE;
use super::usage::{self, Usage};

/// CPU time at the last progress event of the survey, and at the first one of the write pass.
#[derive(Default)]
struct Seen {
    survey: Option<Duration>,
    write: Option<Duration>,
}

pub async fn ingest(endpoint: &str, key: &str) {
    let config = aws::embedded_config(endpoint);
    let table = Table::open(aws::dynamodb_worker(&config), TABLE.to_owned()).await.unwrap();
    let store = WorkStore::new(aws::s3_client(&config), WORK_BUCKET.to_owned());
    let settings = Settings { force: true, ..Settings::default() };
    let seen = Arc::new(Mutex::new(Seen::default()));
    let watched = Arc::clone(&seen);
    let engine = Engine::new(table, Wire::new(&config), store, settings).with_observer(Arc::new(move |told| {
        let mut seen = watched.lock().unwrap();
        match told {
            ProgressEvent::Progress { phase: "survey", .. } => seen.survey = Some(usage::cpu()),
            ProgressEvent::Progress { .. } if seen.write.is_none() => seen.write = Some(usage::cpu()),
            _ => {}
        }
    }));
    let usage = Usage::begin();
    let begun = usage::cpu();
    let source = object::open(aws::s3_client(&config), UPLOADS_BUCKET, key, None).await.unwrap();
    let outcome = engine.ingest(&source).await.unwrap();
    let report = outcome.report;
    assert_eq!(report.state, IngestionState::Completed, "{:?}", report.cause);
    let (end, seen) = (usage::cpu(), seen.lock().unwrap());
    // The survey reports each MiB. Its time after the last report counts for the merge, a few percent of it.
    let (survey, write) = (seen.survey.unwrap_or(begun), seen.write.unwrap_or(end));
    let parts = [("survey_cpu_s", survey - begun), ("merge_cpu_s", write - survey), ("write_cpu_s", end - write)];
    usage.tell(report.records_read, report.bytes_decoded, &parts);
}
