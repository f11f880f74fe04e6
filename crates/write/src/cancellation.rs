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
