//! Rows with any cells and JSON of any shape, in every built-in layout: each gives a record that can be stored, or a
//! reject with a message. The same bytes give the same result twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use notaflux_layout::{Mapping, Record, Row, Scratch, built_in};
use notaflux_records::record::FieldsBuf;
use notaflux_table::Schema;
use notaflux_table::item::{self, SourceRef};

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    let layouts = built_in();
    let layout = layouts[usize::from(*which) % layouts.len()].clone();
    let mut scratch = Scratch::default();
    if *which < 128 || layout.is_of_paths() {
        let Ok(mapping) = Mapping::of_json(layout, None) else { return };
        let told = |scratch: &mut Scratch| match mapping.read_json(data, scratch) {
            Ok(row) => store(&mapping, &row),
            Err(unreadable) => {
                assert!(unreadable.at <= data.len());
                unreadable.reject.message
            }
        };
        let first = told(&mut scratch);
        assert_eq!(first, told(&mut scratch), "an earlier element must not change the result");
    } else {
        let header: Vec<String> = layout.requires().map(|names| names[0].clone()).collect();
        let Ok(mapping) = Mapping::new(layout, &header) else { return };
        let cells: FieldsBuf = data.split(|byte| *byte == b'\n').collect();
        let row = Row::decode(cells.as_fields(), &mut scratch);
        if !mapping.is_trailer(&row) {
            store(&mapping, &row);
        }
    }
});

/// Returns the result of a row as text.
fn store(mapping: &Mapping, row: &Row<'_>) -> String {
    let record = match mapping.map(row) {
        Ok(record) => record,
        Err(reject) => {
            assert!(!reject.message.is_empty());
            return reject.message;
        }
    };
    let (source, schema, mut out) = (SourceRef { ingestion: "fuzz".into(), record: 1 }, Schema::default(), Vec::new());
    let mut lines = Vec::new();
    let invoice = match &record {
        Record::Invoice(invoice) => Some(invoice),
        Record::InvoiceLine(both) => {
            lines.push(&both.1);
            Some(&both.0)
        }
        Record::InvoiceWithLines(all) => {
            assert_eq!(all.0.line_count, u32::try_from(all.1.len()).ok());
            lines.extend(&all.1);
            Some(&all.0)
        }
        _ => None,
    };
    let longest = SourceRef { record: u64::MAX, ..source.clone() };
    if let Some(invoice) = invoice {
        let encoded = item::encode_invoice(invoice, &source, &schema, &mut out);
        assert_eq!(encoded.is_ok(), item::measure_invoice(invoice, &longest, &schema).is_ok());
        if let Ok(encoded) = encoded {
            let measured = item::measure_invoice(invoice, &source, &schema).expect("it is no longer than the longest");
            assert_eq!(encoded.size_bytes, measured.size_bytes);
            assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
        }
    }
    for line in lines {
        out.clear();
        if item::encode_line(line, &source, &mut out).is_ok() {
            assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
        }
    }
    format!("{record:?}")
}
