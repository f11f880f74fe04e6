//! Updates that cancel invoices of other sources: conditional updates, within the limits of all writes.

use tokio::time::Instant;

use crate::admission::Outcome;
use crate::error::WriteError;
use crate::writer::Writer;
use notaflux_invoice::{Event, Timestamp};
use notaflux_table::{TableError, status};

/// Estimated write units of an update: an item of 1 KB in the table and in four indexes, one of which gains it.
const ESTIMATE_UNITS: u64 = 5;

/// What an event that cancels an invoice changes in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// Id of the invoice.
    pub id: String,
    /// When it was cancelled.
    pub at: Timestamp,
    /// The event in the words of its source.
    pub text: Option<String>,
}

impl Cancellation {
    /// Returns what `event` changes in its invoice.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Self {
        let text = event.text.as_deref().map(str::to_owned);
        Self { id: event.invoice.clone().into_owned(), at: event.at, text }
    }
}

impl Writer {
    /// Marks an invoice in the table as cancelled, unless its own status is later. Does nothing if the table has no such invoice.
    /// Updates may come in any order and be repeated: the result is the same.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub async fn cancel(&self, cancellation: &Cancellation) -> Result<(), WriteError> {
        let Cancellation { id, at, text } = cancellation;
        let mut attempts = self.admission.begin();
        loop {
            let call = attempts.open().await.admit(ESTIMATE_UNITS).await?;
            match status::cancel_invoice(&self.table, id, at, text.as_deref()).await {
                Ok(updated) => {
                    let consumed_units = updated.write_units;
                    // The tally counts the items that are put, and this is none.
                    let outcome = Outcome { done_items: 0, unprocessed_items: 0, unprocessed_units: 0, consumed_units };
                    attempts.answered(call, outcome).await;
                    return Ok(());
                }
                Err(error) if error.is_permanent() => return Err(WriteError::Update(Box::new(error))),
                Err(TableError::Throttled { .. }) => attempts.throttled(call, false),
                Err(error) => attempts.failed(call, error.to_string(), Instant::now())?,
            }
            attempts.pause().await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the numbers are exact")]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use serde_json::json;

    use super::*;
    use crate::admission::Limits;
    use crate::ceiling::Ceiling;
    use crate::concurrency::ConcurrencyLimit;
    use crate::lease_guard::LeaseGuard;
    use crate::rate::RateController;
    use crate::wire::Wire;
    use notaflux_aws as aws;
    use notaflux_table::{Schema, Table};

    /// Starts a table that answers with `answers`, and returns a writer to it. The given table has a client that retries.
    async fn writer_to(answers: Router) -> Writer {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = aws::embedded_config(&format!("http://{}", listener.local_addr().unwrap()));
        tokio::spawn(async move { axum::serve(listener, answers.into_make_service()).await });
        let limits =
            Limits { ceiling: Ceiling::none(), concurrency: ConcurrencyLimit::new(8), rate: RateController::new() };
        let table = Table::new(aws::dynamodb_worker(&config), "t".to_owned(), Schema::default());
        let wire = Arc::new(Wire::new(&config));
        Writer::new(&table, wire, Arc::new(limits), Arc::new(LeaseGuard::unlimited()))
    }

    fn cancellation() -> Cancellation {
        let at = Timestamp::from_plain("2019-11-13T08:09:10").unwrap();
        Cancellation { id: "a".to_owned(), at, text: None }
    }

    /// A retry of the SDK would hide the throttle from the limits.
    #[tokio::test]
    async fn the_writer_sees_every_throttle_of_an_update() {
        let is_throttled = Arc::new(AtomicBool::new(true));
        let answer = move || {
            let throttle = (StatusCode::BAD_REQUEST, json!({ "__type": "ThrottlingException" }).to_string());
            std::future::ready(if is_throttled.swap(false, Ordering::Relaxed) { Err(throttle) } else { Ok("{}") })
        };
        let writer = writer_to(Router::new().fallback(answer)).await;
        writer.cancel(&cancellation()).await.unwrap();
        assert_eq!(writer.tally().throttled, 1);
    }

    #[tokio::test]
    async fn an_update_without_reported_units_costs_the_estimate() {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        let answer = move |headers: HeaderMap| {
            let target = headers["x-amz-target"].to_str().unwrap().to_owned();
            let item = json!({ "Item": { "at": { "S": "2019-11-12T00:00:00" }, "st": { "S": "authorized" } } });
            let answer = if target.ends_with("GetItem") { item.to_string() } else { "{}".to_owned() };
            seen.lock().unwrap().push(target);
            std::future::ready(answer)
        };
        let writer = writer_to(Router::new().fallback(answer)).await;
        writer.cancel(&cancellation()).await.unwrap();
        assert_eq!(*calls.lock().unwrap(), ["DynamoDB_20120810.GetItem", "DynamoDB_20120810.UpdateItem"]);
        assert_eq!(writer.tally().write_units, 5.0);
    }
}
