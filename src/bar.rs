//! Shows the events of an engine as progress on standard error.

use std::sync::Arc;

use crate::progress::{Display, PhaseProgress, Progress};
use notaflux_engine::{Observer, ProgressEvent};

/// The progress of one ingestion.
pub(super) struct Bar {
    progress: Arc<Progress>,
}

impl Bar {
    pub(super) fn new(title: &str, display: Display) -> Self {
        Self { progress: Arc::new(Progress::new(title, display)) }
    }

    /// Returns an observer that shows the events of an engine.
    pub(super) fn observer(&self) -> Observer {
        let progress = self.progress.clone();
        Arc::new(move |event| match event {
            ProgressEvent::Progress { phase, done_bytes, total_bytes, records } => {
                progress.update(&PhaseProgress { phase, done_bytes, total_bytes, records });
            }
            ProgressEvent::Resumed { phase, entry, record, byte } => {
                let entry = entry.map(|entry| format!(" of {entry}")).unwrap_or_default();
                progress.note(&format!("resumes the {phase}{entry} after record {record}, at byte {byte}"));
            }
            ProgressEvent::Waiting { ms } => {
                let seconds = ms.div_ceil(1000);
                progress.note(&format!(
                    "another worker holds the lease, or died with it; waiting {seconds} s until it ends"
                ));
            }
        })
    }

    pub(super) fn finish(self) {
        self.progress.finish();
    }
}
