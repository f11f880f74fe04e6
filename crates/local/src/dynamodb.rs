//! The embedded DynamoDB: [`dynoxide`] over `SQLite` in a file.
//!
//! It answers as DynamoDB does, with two differences: it never throttles, and it never returns unprocessed items. Tests
//! add both with a fault proxy. All calls share one lock, so they run one after another.

use std::path::Path;

use dynoxide::{Database, DynoxideError};
use rusqlite::Connection;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::gateway::GRACE;

/// Bytes of memory that `SQLite` tries to stay below, for all databases of the process together. Most of it are cached
/// pages of the file. When a commit has moved pages, `SQLite` scans all cached pages. With the 64 MB of
/// `enable_bulk_loading` the scans took a third of the time of an ingestion. Pages that `SQLite` does not cache stay in
/// the kernel's cache.
const CACHE_BYTES: u32 = 8 * 1024 * 1024;

/// Opens the database in a file and creates the file if it does not exist. A database in memory would be slower: all
/// its pages count as cached, and `SQLite` scans them at commits.
///
/// The write-ahead log (WAL) does not wait for the disk. After a crash of the process, no acknowledged write is lost.
/// After a power cut, the last seconds may be lost. Waiting would be four times as slow.
pub(super) fn open(file: &Path) -> Result<Database, DynoxideError> {
    let database = Database::new(&file.to_string_lossy())?;
    database.enable_bulk_loading()?;
    limit_cache()?;
    Ok(database)
}

/// Sets the limit for the whole process. Any connection can set it.
fn limit_cache() -> rusqlite::Result<()> {
    Connection::open_in_memory()?.query_row(&format!("PRAGMA soft_heap_limit = {CACHE_BYTES}"), [], |_| Ok(()))
}

/// Serves until `stop`, then waits up to [`GRACE`] for requests in flight.
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
