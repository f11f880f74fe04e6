//! CSV of any bytes: positions are exact, and resuming at any record gives the same later records.
#![no_main]

use libfuzzer_sys::fuzz_target;
use notaflux_fuzz::{block_on, records, split};
use notaflux_records::csv::{RECORD_LIMIT_BYTES, read_header};

fuzz_target!(|data: &[u8]| {
    let (pieces, data) = split(data);
    let Ok(Some(head)) = block_on(read_header(data, RECORD_LIMIT_BYTES)) else { return };
    let format = notaflux_records::record::Format::Csv { delimiter: head.delimiter };
    records(data, format, head.data, pieces);
});
