//! A batch until every item of it is acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::batch::{Batch, BatchBuilder};
use super::call::{self, Answer, WriteError};
use super::ceiling::Ceiling;
use super::concurrency::ConcurrencyLimit;
use super::lease_guard::LeaseGuard;
use super::rate::RateController;
use super::wire::Wire;
use notaflux_aws::backoff::Backoff;
use notaflux_table::Table;

/// Waits between attempts. On-demand tables throttle for seconds, not minutes, while they split.
pub(super) const BACKOFF: Backoff = Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(5) };

/// How long a batch is tried while nothing but broken connections and faults of the service comes back. Throttles do not
/// count: they are an answer.
pub const OUTAGE_LIMIT: Duration = Duration::from_mins(5);

/// How long an outage lasts before it is told of.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// What writing has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Items acknowledged.
    pub items: u64,
    /// Write units consumed, as the service says, or else as computed.
    pub write_units: f64,
    /// `BatchWriteItem` calls.
    pub calls: u64,
    /// Items sent again.
    pub retried: u64,
    /// Calls that the service throttled, and calls of which it left items unprocessed.
    pub throttled: u64,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            items: self.items + other.items,
            write_units: self.write_units + other.write_units,
            calls: self.calls + other.calls,
            retried: self.retried + other.retried,
            throttled: self.throttled + other.throttled,
        }
    }
}

/// Puts batches into one table. The futures of many batches share it.
#[derive(Debug)]
pub struct Writer {
    pub(super) table: Table,
    wire: Arc<Wire>,
    pub(super) limits: Arc<Limits>,
    permit: Arc<LeaseGuard>,
    tally: Mutex<Tally>,
    warned: AtomicBool,
}

/// What all writers of a process share: the table takes no more because there are several.
#[derive(Debug)]
pub struct Limits {
    /// Write units a second.
    pub ceiling: Ceiling,
    /// Calls at once.
    pub flight: ConcurrencyLimit,
    /// How fast they follow one another.
    pub pace: RateController,
}

impl Writer {
    /// A writer to `table` through `wire`, within `limits`, for as long as `permit` holds.
    #[must_use]
    pub fn new(table: &Table, wire: Arc<Wire>, limits: Arc<Limits>, permit: Arc<LeaseGuard>) -> Self {
        let table = Table { client: wire.client().clone(), ..table.clone() };
        Self { table, wire, limits, permit, tally: Mutex::default(), warned: AtomicBool::new(false) }
    }

    /// What this writer has done so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills the batches for it: of no more write units than the ceiling leaves for a call.
    #[must_use]
    pub fn batches(&self) -> BatchBuilder {
        BatchBuilder::new(&self.table.name, self.limits.ceiling.batch_limit_units())
    }

    /// Puts every item of `batch`, sending again only what was left over, and gives its tag back.
    ///
    /// # Errors
    /// A refusal at once, as the end of the permit; an outage after [`OUTAGE_LIMIT`]. Throttling never.
    pub async fn put<T>(&self, batch: Batch<T>) -> Result<T, WriteError> {
        let mut pending: Vec<usize> = (0..batch.len()).collect();
        let mut attempt = 0;
        let mut outage: Option<Instant> = None;
        let writing = self.limits.pace.writing();
        while !pending.is_empty() {
            let pass = self.limits.flight.enter().await;
            let turn = writing.turn().await;
            let sent: Vec<usize> = pending.drain(..batch.fitting(&pending, turn.call_limit_units())).collect();
            let estimate = batch.write_units(&sent);
            let paced = turn.send(estimate);
            self.limits.ceiling.take(estimate).await;
            self.check_permit()?;
            self.count(|tally| tally.calls += 1);
            let left = match call::put(&self.wire, &self.table.name, &batch, &sent).await? {
                Answer::Done { unprocessed, consumed_units } => {
                    outage = None;
                    let done = sent.len() - unprocessed.len();
                    attempt = if done > 0 { 0 } else { attempt + 1 };
                    let left_units = batch.write_units(&unprocessed);
                    paced.answered(left_units);
                    // Leftovers come without a reason. A hot key range leaves some, a full table most.
                    if unprocessed.len() > done {
                        pass.throttled();
                    } else {
                        pass.taken();
                    }
                    self.acknowledge(done, consumed_units, estimate - left_units).await;
                    if unprocessed.is_empty() {
                        continue;
                    }
                    self.count(|tally| tally.throttled += 1);
                    unprocessed
                }
                Answer::Throttled { message, key_range } => {
                    tracing::debug!(message, key_range, "throttled");
                    // A hot key range is spread: this batch waits, those that lie elsewhere go on.
                    if key_range {
                        drop((pass, paced));
                    } else {
                        pass.throttled();
                        paced.answered(estimate);
                    }
                    outage = None;
                    attempt += 1;
                    self.count(|tally| tally.throttled += 1);
                    sent
                }
                Answer::Failed { message } => {
                    drop((pass, paced));
                    tracing::debug!(message, "write failed, will be tried again");
                    attempt += 1;
                    self.check_outage(*outage.get_or_insert_with(Instant::now), message)?;
                    sent
                }
            };
            self.count(|tally| tally.retried += left.len() as u64);
            pending.extend(left);
            sleep(BACKOFF.delay(attempt, fastrand::f64())).await;
        }
        Ok(batch.tag)
    }

    pub(super) fn check_permit(&self) -> Result<(), WriteError> {
        if self.permit.holds() { Ok(()) } else { Err(WriteError::LeaseOver { table: self.table.name.clone() }) }
    }

    pub(super) fn check_outage(&self, since: Instant, message: String) -> Result<(), WriteError> {
        let lasted = since.elapsed();
        if lasted > SILENCE_LIMIT && !self.warned.swap(true, Ordering::Relaxed) {
            let seconds = OUTAGE_LIMIT.as_secs();
            tracing::warn!(message, "DynamoDB takes no writes; trying again for up to {seconds} s");
        }
        if lasted < OUTAGE_LIMIT {
            return Ok(());
        }
        Err(WriteError::Unavailable { table: self.table.name.clone(), seconds: lasted.as_secs(), message })
    }

    pub(super) async fn acknowledge(&self, items: usize, consumed_units: Option<f64>, estimate: u64) {
        #[allow(clippy::cast_precision_loss, reason = "a call consumes some thousand units, far below 2^52")]
        let estimate = estimate as f64;
        let consumed = consumed_units.unwrap_or(estimate);
        self.count(|tally| {
            tally.items += items as u64;
            tally.write_units += consumed;
        });
        // A put over an item with other index keys consumes more than its size tells; what it took is paid before the next.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and small as above")]
        self.limits.ceiling.take((consumed - estimate).max(0.0).ceil() as u64).await;
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use axum::Router;
    use serde_json::{Value, json};

    use super::super::batch::tests::batch_of;
    use super::*;
    use notaflux_aws as aws;
    use notaflux_table::Schema;

    /// Takes the first item of each call, and leaves the others.
    async fn leaves_nearly_all(body: String) -> String {
        let mut asked: Value = serde_json::from_str(&body).unwrap();
        let puts = asked.pointer_mut("/RequestItems/t").and_then(Value::as_array_mut).unwrap();
        puts.remove(0);
        let left = if puts.is_empty() { json!({}) } else { json!({ "t": puts }) };
        json!({ "UnprocessedItems": left }).to_string()
    }

    #[tokio::test]
    async fn a_pace_is_learned_from_what_is_left() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let table = Router::new().fallback(leaves_nearly_all).into_make_service();
        tokio::spawn(async move { axum::serve(listener, table).await });
        let wire = Arc::new(Wire::new(&aws::embedded_config(&endpoint)));
        let limits = Arc::new(Limits {
            ceiling: Ceiling::none(),
            flight: ConcurrencyLimit::new(8),
            pace: RateController::new(),
        });
        let table = Table { client: wire.client().clone(), name: "t".to_owned(), schema: Schema::default() };
        let writer = Writer::new(&table, wire, Arc::clone(&limits), Arc::new(LeaseGuard::unlimited()));
        let batch = || batch_of(&["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|id| (id, "H")));
        for _ in 0..50 {
            writer.put(batch()).await.unwrap();
            if limits.pace.units().is_some() {
                return;
            }
        }
        panic!("what is left at every call is load");
    }
}
