//! What an event does to an invoice that another source has brought: a conditional update, within the limits of all writes.

use tokio::time::{Instant, sleep};

use super::call::WriteError;
use super::writer::{BACKOFF, Writer};
use notaflux_invoice::{Event, Timestamp};
use notaflux_table::{self as table, TableError};

/// Write units that an update is taken to cost beforehand: an item of 1 KB in the table and in four indexes, of which one
/// gains it.
const ESTIMATE_UNITS: u64 = 5;

/// An invoice that an event cancels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// Id of the invoice.
    pub id: String,
    /// Since when.
    pub at: Timestamp,
    /// The event in the words of its source.
    pub text: Option<String>,
}

impl Cancellation {
    /// What `event` does to its invoice.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Self {
        let text = event.text.as_deref().map(str::to_owned);
        Self { id: event.invoice.clone().into_owned(), at: event.at, text }
    }
}

impl Writer {
    /// Makes an invoice that is in the table a cancelled one, unless its own status is later. Does nothing where there is no
    /// such invoice. Any order of such updates, and any repetition, ends alike.
    ///
    /// # Errors
    /// Those of [`Writer::put`].
    pub async fn cancel(&self, cancellation: &Cancellation) -> Result<(), WriteError> {
        let Cancellation { id, at, text } = cancellation;
        let (mut attempt, mut outage) = (0, None);
        let writing = self.limits.pace.writing();
        loop {
            let pass = self.limits.flight.enter().await;
            let paced = writing.turn().await.send(ESTIMATE_UNITS);
            self.limits.ceiling.take(ESTIMATE_UNITS).await;
            self.check_permit()?;
            match table::status::cancel_invoice(&self.table, id, at, text.as_deref()).await {
                Ok(updated) => {
                    pass.taken();
                    paced.answered(0);
                    self.acknowledge(0, Some(updated.write_units), ESTIMATE_UNITS).await;
                    return Ok(());
                }
                Err(error) if error.is_permanent() => return Err(WriteError::Update(Box::new(error))),
                Err(TableError::Throttled { .. }) => {
                    pass.throttled();
                    paced.answered(ESTIMATE_UNITS);
                    outage = None;
                    self.count(|tally| tally.throttled += 1);
                }
                Err(error) => {
                    drop((pass, paced));
                    self.check_outage(*outage.get_or_insert_with(Instant::now), error.to_string())?;
                }
            }
            attempt += 1;
            sleep(BACKOFF.delay(attempt, fastrand::f64())).await;
        }
    }
}
