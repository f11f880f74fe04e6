//! Puts batches until the service has acknowledged every item.

use std::sync::Arc;

use tokio::time::Instant;

use crate::admission::{Admission, Limits, Outcome};
use crate::batch::{Batch, BatchBuilder};
use crate::call::{self, Answer};
use crate::error::WriteError;
use crate::lease_guard::LeaseGuard;
use crate::tally::Tally;
use crate::wire::Wire;
use notaflux_table::Table;

/// Puts batches into one table. Many batches may be put at once.
#[derive(Debug)]
pub struct Writer {
    /// The table, through the client of `wire`, which never retries: the retries are those of [`Admission`].
    pub(crate) table: Table,
    wire: Arc<Wire>,
    pub(crate) admission: Admission,
}

impl Writer {
    /// Creates a writer to the table that `table` names. It sends through `wire`, within `limits`, while `lease` is valid.
    #[must_use]
    pub fn new(table: &Table, wire: Arc<Wire>, limits: Arc<Limits>, lease: Arc<LeaseGuard>) -> Self {
        let admission = Admission::new(table.name.clone(), limits, lease);
        Self { table: table.through(wire.client().clone()), wire, admission }
    }

    /// Returns what this writer has done so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.admission.tally()
    }

    /// Returns a builder of batches for this writer. A batch has no more write units than the ceiling allows for one call.
    #[must_use]
    pub fn batches(&self) -> BatchBuilder {
        BatchBuilder::new(&self.table.name, self.admission.batch_limit_units())
    }

    /// Puts every item of `batch`, retries only unprocessed items, and returns the tag of the batch.
    ///
    /// # Errors
    /// A refusal and an expired lease at once; an outage after [`OUTAGE_LIMIT`](crate::OUTAGE_LIMIT). Throttling is no error.
    pub async fn put<T>(&self, batch: Batch<T>) -> Result<T, WriteError> {
        let mut pending: Vec<usize> = (0..batch.len()).collect();
        let mut attempts = self.admission.begin();
        while !pending.is_empty() {
            let opening = attempts.open().await;
            let sent: Vec<usize> = pending.drain(..batch.fitting(&pending, opening.call_limit_units())).collect();
            let admitted = opening.admit(batch.write_units(&sent)).await?;
            self.admission.count(|tally| tally.calls += 1);
            let unprocessed = match call::put(&self.wire, &self.table.name, &batch, &sent).await? {
                Answer::Done { unprocessed, consumed_units } => {
                    let outcome = Outcome {
                        done_items: sent.len() - unprocessed.len(),
                        unprocessed_items: unprocessed.len(),
                        unprocessed_units: batch.write_units(&unprocessed),
                        consumed_units,
                    };
                    attempts.answered(admitted, outcome).await;
                    unprocessed
                }
                Answer::Throttled { message, is_key_range } => {
                    tracing::debug!(message, is_key_range, "throttled");
                    attempts.throttled(admitted, is_key_range);
                    sent
                }
                Answer::Failed { message } => {
                    tracing::debug!(message, "write failed, will be retried");
                    attempts.failed(admitted, message, Instant::now())?;
                    sent
                }
            };
            if unprocessed.is_empty() {
                continue;
            }
            self.admission.count(|tally| tally.retried += unprocessed.len() as u64);
            pending.extend(unprocessed);
            attempts.pause().await;
        }
        Ok(batch.tag)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use std::sync::Mutex;

    use axum::Router;
    use axum::http::StatusCode;
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::tests::batch_of;
    use crate::ceiling::Ceiling;
    use crate::concurrency::ConcurrencyLimit;
    use crate::rate::RateController;
    use notaflux_aws as aws;
    use notaflux_table::Schema;

    /// Acknowledges the first item of each call, and leaves the others unprocessed.
    async fn leaves_nearly_all(body: String) -> String {
        let mut request: Value = serde_json::from_str(&body).unwrap();
        let puts = request.pointer_mut("/RequestItems/t").and_then(Value::as_array_mut).unwrap();
        puts.remove(0);
        let unprocessed = if puts.is_empty() { json!({}) } else { json!({ "t": puts }) };
        json!({ "UnprocessedItems": unprocessed }).to_string()
    }

    /// Starts a table that answers with `answers`, and returns a writer to it and the writer's limits.
    async fn writer_to(answers: Router) -> (Writer, Arc<Limits>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, answers.into_make_service()).await });
        let wire = Arc::new(Wire::new(&aws::embedded_config(&endpoint)));
        let limits = Arc::new(Limits {
            ceiling: Ceiling::none(),
            concurrency: ConcurrencyLimit::new(8),
            rate: RateController::new(),
        });
        let table = Table::new(wire.client().clone(), "t".to_owned(), Schema::default());
        (Writer::new(&table, wire, Arc::clone(&limits), Arc::new(LeaseGuard::unlimited())), limits)
    }

    #[tokio::test]
    async fn the_rate_is_learned_from_unprocessed_items() {
        let (writer, limits) = writer_to(Router::new().fallback(leaves_nearly_all)).await;
        let batch = || batch_of(&["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|id| (id, "H")));
        for _ in 0..50 {
            writer.put(batch()).await.unwrap();
            if limits.rate.limit_units().is_some() {
                return;
            }
        }
        panic!("no rate, though every call leaves items unprocessed");
    }

    /// A worker may be frozen between signing a request and sending it, and credentials may expire during an ingestion.
    #[tokio::test]
    async fn expired_signatures_and_tokens_are_retried() {
        let refusals = [
            ("ExpiredTokenException", "The security token included in the request is expired"),
            ("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z"),
            ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large"),
        ];
        let calls = refusals.len() as u64 + 1;
        let refusals = Arc::new(Mutex::new(refusals.into_iter()));
        let answer = move || {
            let refusal = refusals.lock().unwrap().next();
            let answer = refusal.map(|(code, message)| json!({ "__type": code, "message": message }).to_string());
            std::future::ready(answer.map_or_else(|| Ok("{}"), |refusal| Err((StatusCode::BAD_REQUEST, refusal))))
        };
        let (writer, _) = writer_to(Router::new().fallback(answer)).await;
        writer.put(batch_of(&[("a", "H")])).await.unwrap();
        let Tally { items, calls: made, .. } = writer.tally();
        assert_eq!((items, made), (1, calls));
    }
}
