//! What becomes of a row. Both passes ask here, so that both answer alike.

use super::work::Work;
use crate::layout::{Mapping, Reason, Record, Reject, Row};
use crate::table::item::{self, Measured, Refusal, SourceRef};
use crate::table::keys;

/// A valid record and what its items take.
#[derive(Debug)]
pub(super) struct Judged<'r> {
    /// The record.
    pub(super) record: Record<'r>,
    /// What its items take.
    pub(super) units: Units,
}

/// Write units of a record's items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Units {
    /// Of the item that the record is counted by.
    pub(super) record: u32,
    /// Of the invoice that is another item of it.
    pub(super) besides: u32,
}

/// What names the items of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashes {
    /// Of the item that the record is counted by.
    pub(super) record: u128,
    /// Of the invoice that is another item of it.
    pub(super) besides: Option<u128>,
}

/// The hashes of a record's keys.
pub(super) fn hashes(record: &Record<'_>) -> Hashes {
    let besides = matches!(record, Record::InvoiceLine(_)).then(|| invoice_hash(record.id()));
    let record = match record {
        Record::Invoice(invoice) => invoice_hash(&invoice.id),
        Record::Line(line) => keys::line_hash(line),
        Record::InvoiceLine(both) => keys::line_hash(&both.1),
        Record::Event(event) => keys::event_hash(event),
    };
    Hashes { record, besides }
}

/// The hash of the key of the invoice with this id.
pub(super) fn invoice_hash(id: &str) -> u128 {
    keys::key_hash(id, "")
}

/// Maps a row and checks that DynamoDB will take it.
///
/// # Errors
/// The reject that the row is.
pub(super) fn judge<'r>(mapping: &'r Mapping, row: &'r Row<'r>, work: &Work<'_>) -> Result<Judged<'r>, Reject> {
    let record = mapping.map(row)?;
    match measure(&record, work) {
        Ok(units) => Ok(Judged { record, units }),
        Err(refusal) => Err(Reject { reason: Reason::ItemTooLarge, message: refusal.to_string() }),
    }
}

fn measure(record: &Record<'_>, work: &Work<'_>) -> Result<Units, Refusal> {
    // The number of the record is part of the item; the survey does not know it yet, so both passes take the longest.
    let source = SourceRef { ingestion: work.plan.ingestion.as_str().into(), record: u64::MAX };
    let alone = |measured: Measured| Units { record: measured.write_units, besides: 0 };
    match record {
        Record::Invoice(invoice) => item::measure_invoice(invoice, &source, work.schema).map(alone),
        Record::Line(line) => item::measure_line(line, &source).map(alone),
        Record::Event(event) => item::measure_event(event, &source).map(alone),
        Record::InvoiceLine(both) => {
            let besides = item::measure_invoice(&both.0, &source, work.schema)?.write_units;
            Ok(Units { record: item::measure_line(&both.1, &source)?.write_units, besides })
        }
    }
}
