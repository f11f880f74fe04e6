//! The progress of an ingestion on standard error.

use std::sync::Arc;

use crate::progress::{Display, Progress, Step};
use notaflux_engine::{Observer, ProgressEvent};

/// Shows what an engine tells.
pub(super) struct Bar {
    progress: Arc<Progress>,
}

impl Bar {
    pub(super) fn new(title: &str, display: Display) -> Self {
        Self { progress: Arc::new(Progress::new(title, display)) }
    }

    /// What the engine tells.
    pub(super) fn observer(&self) -> Observer {
        let progress = self.progress.clone();
        Arc::new(move |told| match told {
            ProgressEvent::Progress { phase, done_bytes, total_bytes, records } => {
                progress.update(&Step { phase, done_bytes, total_bytes, records, ..Step::default() });
            }
            ProgressEvent::Resumed { phase, entry, record, byte } => {
                let entry = entry.map(|entry| format!(" of {entry}")).unwrap_or_default();
                progress.note(&format!("goes on with the {phase}{entry} behind record {record}, at byte {byte}"));
            }
            ProgressEvent::Waiting { ms } => {
                let seconds = ms.div_ceil(1000);
                progress.note(&format!("another worker is at it, or died at it: waiting for its lease, {seconds} s"));
            }
        })
    }

    pub(super) fn finish(self) {
        self.progress.finish();
    }
}
