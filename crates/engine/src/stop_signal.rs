//! When to stop: because somebody asks for it, or because the worker's time is up.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::machine::Pause;

/// What a worker looks at between two records. Asked to stop, it drains what is under way, records how far it is, and
/// leaves the rest to the next.
#[derive(Debug, Clone, Default)]
pub struct StopSignal {
    token: CancellationToken,
    /// Another reason to stop, for one hop.
    closed: CancellationToken,
    deadline: Option<Instant>,
    /// Half of the time until the deadline is over.
    half: Option<Instant>,
    drain: Option<Duration>,
}

/// How long what is under way may take when it is time to stop, unless something else is said.
const DRAIN: Duration = Duration::from_secs(5);

impl StopSignal {
    /// Stops when `token` is cancelled.
    #[must_use]
    pub fn on(token: CancellationToken) -> Self {
        Self { token, ..Self::default() }
    }

    /// Stops at `deadline` too.
    #[must_use]
    pub fn at(self, deadline: Instant) -> Self {
        let now = Instant::now();
        let half = now + deadline.saturating_duration_since(now) / 2;
        Self { deadline: Some(deadline), half: Some(half), ..self }
    }

    /// Gives what is under way so much time to end.
    #[must_use]
    pub fn draining(self, drain: Duration) -> Self {
        Self { drain: Some(drain), ..self }
    }

    /// Whether what begins now has at least half of the worker's time: what gets no further in less says nothing of whether
    /// it could.
    #[must_use]
    pub fn is_early(&self) -> bool {
        self.half.is_none_or(|half| Instant::now() < half)
    }

    /// How long what is under way may take when it is time to stop.
    #[must_use]
    pub fn drain(&self) -> Duration {
        self.drain.unwrap_or(DRAIN)
    }

    /// Waits until what is under way has had its time to end.
    pub async fn overdue(&self) -> Pause {
        let why = self.due().await;
        sleep(self.drain()).await;
        why
    }

    /// Stops when `closed` is cancelled too.
    #[must_use]
    pub(super) fn or(&self, closed: CancellationToken) -> Self {
        Self { closed, ..self.clone() }
    }

    /// Why to stop now, if so.
    #[must_use]
    pub fn is_due(&self) -> Option<Pause> {
        if self.token.is_cancelled() || self.closed.is_cancelled() {
            return Some(Pause::Asked);
        }
        self.deadline.filter(|deadline| *deadline <= Instant::now()).map(|_| Pause::Deadline)
    }

    /// Waits until it is time to stop.
    pub async fn due(&self) -> Pause {
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
