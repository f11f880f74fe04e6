//! Records in a report why an ingestion cannot complete.

use notaflux_records::ReadError;
use notaflux_records::source::Source;
use notaflux_table::ingestion::IngestionState;

use super::error::Error;
use super::report::Report;

/// Records `error` in the report of an ingestion of `source` that cannot complete. The ingestion is superseded if a newer
/// version has replaced the source, or else failed.
pub(crate) async fn record(report: &mut Report, source: &Source, error: &Error) {
    report.state = if is_replaced(source, error).await { IngestionState::Superseded } else { IngestionState::Failed };
    report.cause = Some(error.to_string());
    report.position = error.place().map(ToString::to_string);
}

/// Whether reading failed because another version has replaced this one.
async fn is_replaced(source: &Source, error: &Error) -> bool {
    let Error::Read(ReadError::Changed { .. } | ReadError::NotFound { .. }) = error else { return false };
    matches!(source.newest().await, Ok(Some(newest)) if newest != *source.identity())
}
