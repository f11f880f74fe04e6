//! The settings of an engine.

use std::num::NonZeroU32;
use std::time::Duration;

use super::block::BLOCK_BYTES;
use super::choice::Choice;
use super::reject_limit::RejectLimit;

/// Settings of every ingestion of an engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most write units per second that this worker consumes: its share of the table's capacity. None: no limit.
    pub max_write_units: Option<NonZeroU32>,
    /// Rejects above which nothing is written.
    pub max_rejects: Option<RejectLimit>,
    /// Which layouts to read sources by.
    pub layouts: Choice,
    /// Whether to ingest a completed ingestion again.
    pub force: bool,
    /// Whether to restart an ingestion that failed or was cancelled.
    pub retry_ended: bool,
    /// Most `BatchWriteItem` calls in flight. Needed = rate × latency / 25: 16 carry 40,000 items/s at 10 ms.
    pub calls_in_flight: usize,
    /// Decoded bytes in a block.
    pub block_bytes: u64,
    /// How long a unit of work stays reserved for a worker that does not renew its lease.
    pub lease: Duration,
    /// Time between two checkpoints. Each checkpoint renews the lease.
    pub checkpoint_pace: Duration,
    /// Since when no other worker can have worked on this table, in milliseconds since 1970. Leases from before this time
    /// are void. 0: unknown.
    pub alone_since_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_write_units: None,
            max_rejects: None,
            layouts: Choice::default(),
            force: false,
            retry_ended: true,
            calls_in_flight: 32,
            block_bytes: BLOCK_BYTES,
            lease: Duration::from_secs(30),
            checkpoint_pace: Duration::from_secs(3),
            alone_since_ms: 0,
        }
    }
}
