//! The embedded DynamoDB: [`dynoxide`] over `SQLite`, in memory or in a file.
//!
//! It answers as DynamoDB does, with two differences that tests make up for with a fault proxy: it never throttles, and
//! never leaves items unprocessed. All calls share one lock, so they run one after another.

use std::path::Path;

use dynoxide::{Database, DynoxideError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::gateway::GRACE;

/// Opens the database: a file, or memory where `file` is `None`.
///
/// A file is written ahead (WAL) without waiting for the disk: after a crash of the process nothing acknowledged is
/// lost, after a power cut the last seconds may be. Waiting would cost a factor of four.
pub(super) fn open(file: Option<&Path>) -> Result<Database, DynoxideError> {
    let Some(file) = file else { return Database::memory() };
    let database = Database::new(&file.to_string_lossy())?;
    database.enable_bulk_loading()?;
    Ok(database)
}

/// Serves until `stop`, then lets what is under way end within [`GRACE`].
pub(super) async fn serve(listener: TcpListener, database: Database, stop: CancellationToken) {
    let asked = stop.clone().cancelled_owned();
    let server = dynoxide::server::serve_with_shutdown(listener, database, asked);
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server => if let Err(error) = ended {
            tracing::error!(error, "the embedded DynamoDB stopped");
        },
        () = overdue => {}
    }
}
