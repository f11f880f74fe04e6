//! The embedded DynamoDB: [`dynoxide`] over `SQLite` in a file.
//!
//! It answers as DynamoDB does, with two differences that tests make up for with a fault proxy: it never throttles, and
//! never leaves items unprocessed. All calls share one lock, so they run one after another.

use std::path::Path;

use dynoxide::{Database, DynoxideError};
use rusqlite::Connection;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::gateway::GRACE;

/// Bytes of memory that `SQLite` tries to keep to, of all databases of the process together, whatever each asks for: most of it is
/// pages of the file. Whenever a commit has moved pages, `SQLite` goes over all that are kept: with the 64 MB of
/// `enable_bulk_loading` that took a third of the time of an ingestion, and what is not kept lies in the kernel's cache.
const CACHE_BYTES: u32 = 8 * 1024 * 1024;

/// Opens the database in a file, which is made if need be. One in memory would be slower: all of it counts as pages that are kept,
/// and `SQLite` goes over them at commits.
///
/// The file is written ahead (WAL) without waiting for the disk: after a crash of the process nothing acknowledged is
/// lost, after a power cut the last seconds may be. Waiting would cost a factor of four.
pub(super) fn open(file: &Path) -> Result<Database, DynoxideError> {
    let database = Database::new(&file.to_string_lossy())?;
    database.enable_bulk_loading()?;
    limit_cache()?;
    Ok(database)
}

/// The limit is of the process, and any connection sets it.
fn limit_cache() -> rusqlite::Result<()> {
    Connection::open_in_memory()?.query_row(&format!("PRAGMA soft_heap_limit = {CACHE_BYTES}"), [], |_| Ok(()))
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_a_file_are_limited() {
        let folder = tempfile::tempdir().unwrap();
        let _database = open(&folder.path().join("table.db")).unwrap();
        let limit = |row: &rusqlite::Row<'_>| row.get::<_, u32>(0);
        let memory = Connection::open_in_memory().unwrap();
        assert_eq!(memory.query_row("PRAGMA soft_heap_limit", [], limit).unwrap(), CACHE_BYTES);
    }
}
