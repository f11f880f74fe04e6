//! What becomes of a row. The write pass answers alike: what cannot be put is refused by one rule, whether it is measured or
//! encoded (see [`item`]).

pub(super) use super::block::Units;
use super::work::Work;
use notaflux_invoice::InvoiceFields;
use notaflux_layout::{InvoiceRow, Mapping, Reason, Record, Reject, Row, Scratch, Unreadable};
use notaflux_records::json::ELEMENT_LIMIT_BYTES;
use notaflux_records::record::{Content, RawRecord};
use notaflux_table::item::{self, Measured, Refusal, SourceRef};
use notaflux_table::keys::Key;

/// A valid record and what its items take.
#[derive(Debug)]
pub(super) struct Judged<'r> {
    /// The record.
    pub(super) record: Record<'r, InvoiceRow<'r>>,
    /// What its items take.
    pub(super) units: Units,
}

/// The key of the item that a record is counted by.
pub(super) fn key_of<'r>(record: &'r Record<'_, InvoiceRow<'_>>) -> Key<'r> {
    match record {
        Record::Invoice(invoice) => Key::Invoice(invoice.id()),
        Record::Line(line) => Key::Line(line),
        Record::InvoiceLine(both) => Key::Line(&both.1),
        Record::InvoiceWithLines(all) => Key::Invoice(all.0.id()),
        Record::Event(event) => Key::Event(event),
    }
}

/// What stands in a record, as a row.
///
/// # Errors
/// What it would be a reject for, and whether what follows it is certain.
pub(super) fn row_of<'s>(
    mapping: &'s Mapping,
    raw: &RawRecord<'s>,
    scratch: &'s mut Scratch,
) -> Result<Row<'s>, Unreadable> {
    match raw.content {
        Content::Fields(fields) => Ok(Row::decode(fields, scratch)),
        Content::Json(element) => mapping.read_json(element, scratch),
        Content::TooLong => {
            let length = raw.end - raw.byte;
            let message = format!("expected a record of at most {ELEMENT_LIMIT_BYTES} bytes, found {length}");
            let reject = Reject { reason: Reason::RecordTooLong, message };
            Err(Unreadable { at: 0, reject, broken: None })
        }
    }
}

/// Maps a row and checks that DynamoDB will take it.
///
/// # Errors
/// The reject that the row is.
pub(super) fn judge<'r>(mapping: &'r Mapping, row: &'r Row<'r>, work: &Work<'_>) -> Result<Judged<'r>, Reject> {
    let record = mapping.read(row)?;
    match measure(&record, work) {
        Ok(units) => Ok(Judged { record, units }),
        Err(refusal) => Err(Reject { reason: Reason::ItemTooLarge, message: refusal.to_string() }),
    }
}

fn measure(record: &Record<'_, InvoiceRow<'_>>, work: &Work<'_>) -> Result<Units, Refusal> {
    // The number of the record is part of the item; the survey does not know it yet, so both passes take the longest.
    let source = SourceRef { ingestion: work.plan.ingestion.as_str().into(), record: u64::MAX };
    let alone = |measured: Measured| Units { record: measured.write_units, ..Units::default() };
    match record {
        Record::Invoice(invoice) => item::measure_invoice(invoice, &source, work.schema).map(alone),
        Record::Line(line) => item::measure_line(line, &source).map(alone),
        Record::Event(event) => item::measure_event(event, &source).map(alone),
        Record::InvoiceLine(both) => {
            let besides = item::measure_invoice(&both.0, &source, work.schema)?.write_units;
            Ok(Units { record: item::measure_line(&both.1, &source)?.write_units, besides, with: 0 })
        }
        Record::InvoiceWithLines(all) => {
            let (invoice, lines) = &**all;
            let record = item::measure_invoice(invoice, &source, work.schema)?.write_units;
            let units = lines.iter().map(|line| Ok(item::measure_line(line, &source)?.write_units));
            let besides = units.sum::<Result<u32, Refusal>>()?;
            // The layout lets far fewer through.
            Ok(Units { record, besides, with: u16::try_from(lines.len()).unwrap_or(u16::MAX) })
        }
    }
}
