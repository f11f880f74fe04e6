//! Ctrl-C and SIGTERM: both ask the work to stop. The process ends when the work has stopped.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code of an interrupted command. As in shells, it is 128 plus the number of SIGINT.
const INTERRUPTED: u8 = 130;

/// Returns a token that the first Ctrl-C or SIGTERM cancels. The second one ends the process at once.
///
/// # Errors
/// The system refuses the signal handlers.
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

/// Returns the exit code of an interrupted command.
pub(super) fn interrupted() -> ExitCode {
    ExitCode::from(INTERRUPTED)
}
