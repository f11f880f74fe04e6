//! Classifies rows as valid records or rejects. Both passes apply the same rules: what cannot be put is refused by one rule,
//! whether the item is measured or encoded (see [`item`]).

use notaflux_invoice::InvoiceFields;
use notaflux_layout::{InvoiceRow, Mapping, Reason, Record, Reject, Row, Scratch, Unreadable};
use notaflux_records::json::ELEMENT_LIMIT_BYTES;
use notaflux_records::record::{Content, RawRecord};
use notaflux_table::Schema;
use notaflux_table::item::{self, Measured, Refusal, SourceRef};
use notaflux_table::keys::Key;

use super::block::Units;

/// A valid record and the write units of its items.
#[derive(Debug)]
pub(crate) struct ValidRecord<'r> {
    /// The record.
    pub(crate) record: Record<'r, InvoiceRow<'r>>,
    /// The write units of its items.
    pub(crate) units: Units,
}

/// Returns the key of the item by which a record is counted.
pub(crate) fn key_of<'r>(record: &'r Record<'_, InvoiceRow<'_>>) -> Key<'r> {
    match record {
        Record::Invoice(invoice) => Key::Invoice(invoice.id()),
        Record::Line(line) => Key::Line(line),
        Record::InvoiceLine(both) => Key::Line(&both.1),
        Record::InvoiceWithLines(all) => Key::Invoice(all.0.id()),
        Record::Event(event) => Key::Event(event),
    }
}

/// Decodes a record into a row.
///
/// # Errors
/// The reject for a record that cannot be decoded. If the reject says `broken`, the records after it are uncertain too.
pub(crate) fn row_of<'s>(
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

/// Maps a row to a record of `ingestion`, and checks that DynamoDB will accept its items.
///
/// # Errors
/// The reject for an invalid row.
pub(crate) fn classify<'r>(
    mapping: &'r Mapping,
    row: &'r Row<'r>,
    ingestion: &str,
    schema: &Schema,
) -> Result<ValidRecord<'r>, Reject> {
    let record = mapping.read(row)?;
    match measure(&record, ingestion, schema) {
        Ok(units) => Ok(ValidRecord { record, units }),
        Err(refusal) => Err(Reject { reason: Reason::ItemTooLarge, message: refusal.to_string() }),
    }
}

fn measure(record: &Record<'_, InvoiceRow<'_>>, ingestion: &str, schema: &Schema) -> Result<Units, Refusal> {
    // The number of the record is part of the item. The survey does not know it yet, so both passes assume the longest one.
    let source = SourceRef { ingestion: ingestion.into(), record: u64::MAX };
    let alone = |measured: Measured| Units { primary: measured.write_units, ..Units::default() };
    match record {
        Record::Invoice(invoice) => item::measure_invoice(invoice, &source, schema).map(alone),
        Record::Line(line) => item::measure_line(line, &source).map(alone),
        Record::Event(event) => item::measure_event(event, &source).map(alone),
        Record::InvoiceLine(both) => {
            let secondary = item::measure_invoice(&both.0, &source, schema)?.write_units;
            let primary = item::measure_line(&both.1, &source)?.write_units;
            Ok(Units { primary, extra: secondary, nested_lines: 0 })
        }
        Record::InvoiceWithLines(all) => {
            let (invoice, lines) = &**all;
            let primary = item::measure_invoice(invoice, &source, schema)?.write_units;
            let units = lines.iter().map(|line| Ok(item::measure_line(line, &source)?.write_units));
            let secondary = units.sum::<Result<u32, Refusal>>()?;
            Ok(Units { primary, extra: secondary, nested_lines: nested_lines(lines.len()) })
        }
    }
}

#[expect(clippy::expect_used, reason = "a layout rejects an invoice of more than LINES_LIMIT lines")]
fn nested_lines(count: usize) -> u16 {
    u16::try_from(count).expect("a layout rejects an invoice of more than 10,000 lines")
}
