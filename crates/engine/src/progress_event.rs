//! Events that an engine reports while it works.

use std::sync::Arc;

/// An event that an engine reports while it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgressEvent {
    /// The progress of the current phase, reported about once per MiB.
    Progress {
        /// `survey` or `write`.
        phase: &'static str,
        /// Decoded bytes done in this phase.
        done_bytes: u64,
        /// Decoded bytes of this phase, where known.
        total_bytes: Option<u64>,
        /// Records done in this phase.
        records: u64,
    },
    /// The engine resumes the work of an earlier worker.
    Resumed {
        /// `survey` or `write`.
        phase: &'static str,
        /// The entry, in an archive.
        entry: Option<String>,
        /// Records before the point where the work resumes.
        record: u64,
        /// Byte of that point in the decoded entry.
        byte: u64,
    },
    /// The engine waits for the lease of another worker, which may be alive or dead.
    Waiting {
        /// Time until the lease ends if it is not renewed, in milliseconds.
        ms: u64,
    },
}

/// A callback for progress events.
pub type Observer = Arc<dyn Fn(ProgressEvent) + Send + Sync>;
