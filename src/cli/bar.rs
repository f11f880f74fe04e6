//! The progress of an ingestion on standard error.

use std::sync::Arc;

use crate::ingest::Observer;
use crate::local::progress::{Display, Progress, Step};

/// Shows what an engine tells.
pub(super) struct Bar {
    progress: Arc<Progress>,
}

impl Bar {
    pub(super) fn new(title: &str, quiet: bool) -> Self {
        Self { progress: Arc::new(Progress::new(title, Display::for_stderr(quiet))) }
    }

    /// What the engine tells.
    pub(super) fn observer(&self) -> Observer {
        let progress = self.progress.clone();
        Arc::new(move |told| {
            let (done_bytes, total_bytes) = (told.done_bytes, told.total_bytes);
            let records = told.records;
            progress.update(&Step { phase: told.phase, done_bytes, total_bytes, records, ..Step::default() });
        })
    }

    pub(super) fn finish(self) {
        self.progress.finish();
    }
}
