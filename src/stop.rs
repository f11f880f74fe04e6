//! Ctrl-C and SIGTERM: the work is asked to end, and the process ends when it has.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a command exits with that was asked to end before it was done, by custom of the shells: 128 and the number of
/// SIGINT.
const INTERRUPTED: u8 = 130;

/// A token that the first Ctrl-C or SIGTERM cancels. The second one ends the process at once.
///
/// # Errors
/// The system takes no handler.
pub(super) fn on_signal() -> io::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked.is_cancelled() {
                std::process::exit(INTERRUPTED.into());
            }
            asked.cancel();
        }
    });
    Ok(token)
}

/// The exit code of what was interrupted and can be taken up again.
pub(super) fn interrupted() -> ExitCode {
    ExitCode::from(INTERRUPTED)
}
