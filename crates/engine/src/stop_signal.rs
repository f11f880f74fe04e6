//! The signal to stop: on request, or at the worker's deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::machine::Pause;

/// A signal that a worker checks between two records. When it is due, the worker lets calls under way end, records a
/// checkpoint, and leaves the rest to the next worker.
#[derive(Debug, Clone, Default)]
pub struct StopSignal {
    token: CancellationToken,
    /// A second request to stop, for one hop.
    closed: CancellationToken,
    deadline: Option<Instant>,
    /// When half of the time until the deadline has passed.
    half: Option<Instant>,
    drain: Option<Duration>,
}

/// Default of the time for calls under way to end after the signal.
const DRAIN: Duration = Duration::from_secs(5);

impl StopSignal {
    /// Creates a signal that is due when `token` is cancelled.
    #[must_use]
    pub fn on(token: CancellationToken) -> Self {
        Self { token, ..Self::default() }
    }

    /// Makes the signal due at `deadline` too.
    #[must_use]
    pub fn at(self, deadline: Instant) -> Self {
        let now = Instant::now();
        let half = now + deadline.saturating_duration_since(now) / 2;
        Self { deadline: Some(deadline), half: Some(half), ..self }
    }

    /// Sets the time for calls under way to end after the signal.
    #[must_use]
    pub fn draining(self, drain: Duration) -> Self {
        Self { drain: Some(drain), ..self }
    }

    /// Whether at least half of the worker's time remains. A hop with less time that makes no progress proves nothing.
    #[must_use]
    pub fn is_early(&self) -> bool {
        self.half.is_none_or(|half| Instant::now() < half)
    }

    /// Returns how long calls under way may take after the signal.
    #[must_use]
    pub fn drain(&self) -> Duration {
        self.drain.unwrap_or(DRAIN)
    }

    /// Waits until the signal is due and the time for calls under way has passed.
    pub async fn overdue(&self) -> Pause {
        let why = self.due().await;
        sleep(self.drain()).await;
        why
    }

    /// Returns a signal that is also due when `closed` is cancelled.
    #[must_use]
    pub(super) fn or(&self, closed: CancellationToken) -> Self {
        Self { closed, ..self.clone() }
    }

    /// Returns why to stop now; none if the signal is not due.
    #[must_use]
    pub fn is_due(&self) -> Option<Pause> {
        if self.token.is_cancelled() || self.closed.is_cancelled() {
            return Some(Pause::Asked);
        }
        self.deadline.filter(|deadline| *deadline <= Instant::now()).map(|_| Pause::Deadline)
    }

    /// Waits until the signal is due.
    pub(crate) async fn due(&self) -> Pause {
        let deadline = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.token.cancelled() => Pause::Asked,
            () = self.closed.cancelled() => Pause::Asked,
            () = deadline => Pause::Deadline,
        }
    }
}
