//! Admission: what every call to the table waits for before it is sent, and what its outcome changes.
//!
//! A call waits, in this order, for room among the calls in flight, for its turn at the rate, and for the ceiling. Then the lease
//! must still be valid. The outcome of the call adjusts these limits, and decides whether and when the next attempt follows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::ceiling::Ceiling;
use crate::concurrency::{ConcurrencyLimit, InFlight};
use crate::error::WriteError;
use crate::lease_guard::LeaseGuard;
use crate::rate::{ActiveWork, RateController, SentCall, Turn};
use crate::retry::RETRY_DELAY;
use crate::tally::Tally;

/// How long a call is retried while only broken connections and faults of the service come back. A throttle ends the outage: it
/// is an answer.
pub const OUTAGE_LIMIT: Duration = Duration::from_mins(5);

/// How long an outage lasts before the log reports it.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// Limits that all writers of a process share: several writers do not make a table accept more.
#[derive(Debug)]
pub struct Limits {
    /// Write units a second that are never exceeded.
    pub ceiling: Ceiling,
    /// How many calls are in flight at once.
    pub concurrency: ConcurrencyLimit,
    /// How many write units a second the table accepts.
    pub rate: RateController,
}

/// Admits the calls of one writer, and counts them.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Name of the table, for errors.
    table: String,
    limits: Arc<Limits>,
    lease: Arc<LeaseGuard>,
    tally: Mutex<Tally>,
    /// Whether the log has reported an outage.
    has_warned: AtomicBool,
}

/// The attempts of one piece of work: a batch, or an update.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    admission: &'a Admission,
    work: ActiveWork<'a>,
    /// Attempts in a row that got nothing done.
    failures: u32,
    /// When the outage began, during an outage.
    outage_since: Option<Instant>,
}

/// A call that has room and its turn, and whose size is not decided yet.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    admission: &'a Admission,
    in_flight: InFlight<'a>,
    turn: Turn<'a>,
}

/// A call that may be sent now. Pass it to the [`Attempts`] method for its outcome; dropped, it changes no limit.
#[derive(Debug)]
pub(crate) struct AdmittedCall<'a> {
    in_flight: InFlight<'a>,
    sent: SentCall<'a>,
    estimate_units: u64,
}

/// What the table did with an answered call.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Items that it acknowledged.
    pub(crate) done_items: usize,
    /// Items that it left unprocessed.
    pub(crate) unprocessed_items: usize,
    /// Write units of these, as computed.
    pub(crate) unprocessed_units: u64,
    /// Write units consumed, where the service reports them.
    pub(crate) consumed_units: Option<f64>,
}

impl Admission {
    /// Admits calls to the table called `table`, within `limits`, while `lease` is valid.
    pub(crate) fn new(table: String, limits: Arc<Limits>, lease: Arc<LeaseGuard>) -> Self {
        Self { table, limits, lease, tally: Mutex::default(), has_warned: AtomicBool::new(false) }
    }

    /// Returns what was done so far.
    pub(crate) fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the tally.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns the write units that a batch should not exceed: see [`Ceiling::batch_limit_units`].
    pub(crate) fn batch_limit_units(&self) -> u64 {
        self.limits.ceiling.batch_limit_units()
    }

    /// Begins a piece of work.
    pub(crate) fn begin(&self) -> Attempts<'_> {
        Attempts { admission: self, work: self.limits.rate.begin_work(), failures: 0, outage_since: None }
    }

    fn check_lease(&self) -> Result<(), WriteError> {
        if self.lease.is_valid() { Ok(()) } else { Err(WriteError::LeaseOver { table: self.table.clone() }) }
    }

    fn check_outage(&self, lasted: Duration, message: String) -> Result<(), WriteError> {
        if lasted > SILENCE_LIMIT && !self.has_warned.swap(true, Ordering::Relaxed) {
            let seconds = OUTAGE_LIMIT.as_secs();
            tracing::warn!(message, "DynamoDB accepts no writes; retrying for up to {seconds} s");
        }
        if lasted < OUTAGE_LIMIT {
            return Ok(());
        }
        Err(WriteError::Unavailable { table: self.table.clone(), seconds: lasted.as_secs(), message })
    }

    /// Counts acknowledged items. Where the call consumed more than `estimate_units`, waits until the ceiling allows the
    /// difference: a put over an item with other index keys consumes more than its size implies.
    async fn acknowledge(&self, items: usize, consumed_units: Option<f64>, estimate_units: u64) {
        #[allow(clippy::cast_precision_loss, reason = "a call consumes some thousand units, far below 2^52")]
        let estimate = estimate_units as f64;
        let consumed = consumed_units.unwrap_or(estimate);
        self.count(|tally| {
            tally.items += items as u64;
            tally.write_units += consumed;
        });
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and small as above")]
        self.limits.ceiling.take((consumed - estimate).max(0.0).ceil() as u64).await;
    }
}

impl<'a> Attempts<'a> {
    /// Waits for room among the calls in flight and for the turn of the next call.
    pub(crate) async fn open(&self) -> Opening<'a> {
        let admission = self.admission;
        let in_flight = admission.limits.concurrency.enter().await;
        Opening { admission, in_flight, turn: self.work.turn().await }
    }

    /// Notes that the table answered. Unprocessed items come without a reason: a hot key range leaves some of them, a full table
    /// most, so only a call that left more than it took lowers the number of calls in flight.
    pub(crate) async fn answered(&mut self, call: AdmittedCall<'a>, outcome: Outcome) {
        let Outcome { done_items, unprocessed_items, unprocessed_units, consumed_units } = outcome;
        let AdmittedCall { in_flight, sent, estimate_units } = call;
        self.outage_since = None;
        self.failures = if done_items > 0 { 0 } else { self.failures + 1 };
        sent.answered(unprocessed_units);
        if unprocessed_items > done_items {
            in_flight.throttled();
        } else {
            in_flight.accepted();
        }
        self.admission.acknowledge(done_items, consumed_units, estimate_units - unprocessed_units).await;
        if unprocessed_items > 0 {
            self.admission.count(|tally| tally.throttled += 1);
        }
    }

    /// Notes that the table throttled the call. A throttle of a hot key range changes no limit: this work waits, and calls to
    /// other key ranges go on.
    pub(crate) fn throttled(&mut self, call: AdmittedCall<'a>, is_key_range: bool) {
        let AdmittedCall { in_flight, sent, estimate_units } = call;
        if !is_key_range {
            in_flight.throttled();
            sent.answered(estimate_units);
        }
        self.outage_since = None;
        self.failures += 1;
        self.admission.count(|tally| tally.throttled += 1);
    }

    /// Notes that the call failed at `now`.
    ///
    /// # Errors
    /// [`WriteError::Unavailable`] once the outage has lasted [`OUTAGE_LIMIT`].
    pub(crate) fn failed(&mut self, call: AdmittedCall<'a>, message: String, now: Instant) -> Result<(), WriteError> {
        drop(call);
        self.failures += 1;
        let since = *self.outage_since.get_or_insert(now);
        self.admission.check_outage(now.duration_since(since), message)
    }

    /// Waits before the next attempt.
    pub(crate) async fn pause(&self) {
        sleep(RETRY_DELAY.delay(self.failures, fastrand::f64())).await;
    }
}

impl<'a> Opening<'a> {
    /// Returns the write units that the call should not exceed.
    pub(crate) fn call_limit_units(&self) -> f64 {
        self.turn.call_limit_units()
    }

    /// Spends `estimate_units` of the rate and of the ceiling, and checks the lease last: the wait may outlast it.
    ///
    /// # Errors
    /// [`WriteError::LeaseOver`].
    pub(crate) async fn admit(self, estimate_units: u64) -> Result<AdmittedCall<'a>, WriteError> {
        let Self { admission, in_flight, turn } = self;
        let sent = turn.send(estimate_units);
        admission.limits.ceiling.take(estimate_units).await;
        admission.check_lease()?;
        Ok(AdmittedCall { in_flight, sent, estimate_units })
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the numbers are exact")]
mod tests {
    use super::*;

    fn admission(most_calls: usize, lease: LeaseGuard) -> Admission {
        let limits = Limits {
            ceiling: Ceiling::none(),
            concurrency: ConcurrencyLimit::new(most_calls),
            rate: RateController::new(),
        };
        Admission::new("t".to_owned(), Arc::new(limits), Arc::new(lease))
    }

    async fn call<'a>(attempts: &Attempts<'a>) -> AdmittedCall<'a> {
        attempts.open().await.admit(100).await.unwrap()
    }

    fn outcome(done_items: usize, unprocessed_items: usize, consumed_units: Option<f64>) -> Outcome {
        Outcome { done_items, unprocessed_items, unprocessed_units: 4 * unprocessed_items as u64, consumed_units }
    }

    #[tokio::test]
    async fn an_expired_lease_admits_no_call_and_frees_its_room() {
        let admission = admission(1, LeaseGuard::until(Instant::now()));
        let attempts = admission.begin();
        for _ in 0..2 {
            let refused = attempts.open().await.admit(1).await.unwrap_err();
            assert!(matches!(&refused, WriteError::LeaseOver { table } if table == "t"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_throttle_lowers_the_calls_in_flight_unless_one_key_range_is_hot() {
        let admission = admission(8, LeaseGuard::unlimited());
        let mut attempts = admission.begin();
        let before = admission.limits.concurrency.limit();
        attempts.throttled(call(&attempts).await, true);
        assert_eq!(admission.limits.concurrency.limit(), before);
        attempts.throttled(call(&attempts).await, false);
        assert!(admission.limits.concurrency.limit() < before);
        assert_eq!((attempts.failures, admission.tally().throttled), (2, 2));
    }

    #[tokio::test]
    async fn a_call_that_leaves_more_than_it_takes_lowers_the_calls_in_flight() {
        let admission = admission(8, LeaseGuard::unlimited());
        let mut attempts = admission.begin();
        for (done, unprocessed, is_lower) in [(13, 12, false), (12, 13, true)] {
            let before = admission.limits.concurrency.limit();
            attempts.answered(call(&attempts).await, outcome(done, unprocessed, None)).await;
            assert_eq!(admission.limits.concurrency.limit() < before, is_lower, "{done} of {}", done + unprocessed);
        }
        assert_eq!(admission.tally().throttled, 2);
    }

    #[tokio::test]
    async fn progress_ends_the_row_of_failures() {
        let admission = admission(8, LeaseGuard::unlimited());
        let mut attempts = admission.begin();
        for (done, failures) in [(0, 1), (0, 2), (1, 0)] {
            attempts.answered(call(&attempts).await, outcome(done, 1, None)).await;
            assert_eq!(attempts.failures, failures);
        }
    }

    #[tokio::test]
    async fn units_are_those_that_the_service_reports_or_else_the_estimate() {
        let admission = admission(8, LeaseGuard::unlimited());
        let mut attempts = admission.begin();
        attempts.answered(call(&attempts).await, outcome(25, 0, Some(101.5))).await;
        attempts.answered(call(&attempts).await, outcome(24, 1, None)).await;
        let tally = admission.tally();
        assert_eq!((tally.items, tally.write_units), (49, 101.5 + 96.0));
    }

    #[tokio::test]
    async fn an_outage_ends_the_work_after_its_limit_and_any_answer_ends_the_outage() {
        let admission = admission(8, LeaseGuard::unlimited());
        let mut attempts = admission.begin();
        let begin = Instant::now();
        let almost = begin + OUTAGE_LIMIT - Duration::from_secs(1);
        for now in [begin, almost] {
            attempts.failed(call(&attempts).await, "no connection".to_owned(), now).unwrap();
        }
        attempts.throttled(call(&attempts).await, true);
        for now in [almost, almost + OUTAGE_LIMIT - Duration::from_secs(1)] {
            attempts.failed(call(&attempts).await, "no connection".to_owned(), now).unwrap();
        }
        let over = attempts.failed(call(&attempts).await, "no connection".to_owned(), almost + OUTAGE_LIMIT);
        assert_eq!(
            over.unwrap_err().to_string(),
            "DynamoDB accepted no write to table \"t\" for 300 s; the last error: no connection"
        );
        assert_eq!(
            admission.limits.concurrency.limit(),
            ConcurrencyLimit::new(8).limit(),
            "a failure changes no limit"
        );
    }
}
