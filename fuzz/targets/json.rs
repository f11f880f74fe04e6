//! JSON of any bytes, in every detected shape: the elements are the same in pieces of any size and from any element on.
//! If `serde_json` can parse the whole, it gives the same elements.
#![no_main]

use libfuzzer_sys::fuzz_target;
use notaflux_fuzz::{block_on, records, split};
use notaflux_records::json::read_json_head;
use notaflux_records::record::{Format, Shape};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let (pieces, data) = split(data);
    let Ok(Some(head)) = block_on(read_json_head(data)) else { return };
    for candidate in head.candidates {
        let found = records(data, Format::Json(candidate.shape), candidate.data, pieces);
        if let (Shape::Array { levels: 0, .. }, Ok(Value::Array(expected))) =
            (candidate.shape, serde_json::from_slice::<Value>(data))
        {
            let parse = |element: &Vec<u8>| serde_json::from_slice::<Value>(element).unwrap();
            let found: Vec<Value> = found.expect("a valid list can be read").iter().map(parse).collect();
            assert_eq!(found, expected);
        }
    }
});
