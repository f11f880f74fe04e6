//! What becomes of a row. Both passes ask here, so that both answer alike.

use super::work::Work;
use crate::layout::{Mapping, Reason, Record, Reject, Row};
use crate::table::item::{self, Measured, SourceRef};

/// A valid record and what its items take.
#[derive(Debug)]
pub(super) struct Judged<'r> {
    /// The record.
    pub(super) record: Record<'r>,
    /// Size and write units.
    pub(super) measured: Measured,
}

/// Maps a row and checks that DynamoDB will take it.
///
/// # Errors
/// The reject that the row is.
pub(super) fn judge<'r>(mapping: &'r Mapping, row: &'r Row<'r>, work: &Work<'_>) -> Result<Judged<'r>, Reject> {
    let record = mapping.map(row)?;
    // The number of the record is part of the item; the survey does not know it yet, so both passes take the longest.
    let source = SourceRef { ingestion: work.plan.ingestion.as_str().into(), record: u64::MAX };
    let Record::Invoice(invoice) = &record;
    match item::measure_invoice(invoice, &source, work.schema) {
        Ok(measured) => Ok(Judged { record, measured }),
        Err(refusal) => Err(Reject { reason: Reason::ItemTooLarge, message: refusal.to_string() }),
    }
}
