//! When to stop: because somebody asks for it, or because the worker's time is up.

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::machine::Pause;

/// What a worker looks at between two records. Asked to stop, it drains what is under way, records how far it is, and
/// leaves the rest to the next.
#[derive(Debug, Clone, Default)]
pub struct Halt {
    token: CancellationToken,
    /// Another reason to stop, for one hop.
    closed: CancellationToken,
    deadline: Option<Instant>,
}

impl Halt {
    /// Stops when `token` is cancelled.
    #[must_use]
    pub fn on(token: CancellationToken) -> Self {
        Self { token, ..Self::default() }
    }

    /// Stops at `deadline` too.
    #[must_use]
    pub fn at(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
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
