//! CSV of any bytes: positions are exact, and resuming at any record gives the same later records.
#![no_main]

use libfuzzer_sys::fuzz_target;
use notaflux_fuzz::{block_on, records, split};
use notaflux_records::csv::{RECORD_LIMIT_BYTES, Top};

fuzz_target!(|data: &[u8]| {
    let (pieces, data) = split(data);
    let Ok(top) = block_on(Top::read(data, RECORD_LIMIT_BYTES)) else { return };
    // Where a header may stand is no header that is read: finding the places must end, and within the text.
    for head in block_on(top.others()) {
        assert!(head.data.byte <= data.len() as u64);
    }
    let Ok(Some(head)) = block_on(top.first()) else { return };
    let format = notaflux_records::record::Format::Csv { delimiter: head.delimiter };
    records(data, format, head.data, pieces);
});
