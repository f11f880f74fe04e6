//! Cursors of any text open nothing that was not sealed, and what was sealed opens for its query alone. Parameters of any
//! query are read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use notaflux::query::cursor::{CursorKeys, KEY_BYTES, binding};
use notaflux::query::parameters::{Parameters, from, limit, tax_id, to};

fuzz_target!(|input: (&str, &str, &str)| {
    let (text, query, sort_key) = input;
    let keys = CursorKeys::new(&[7; KEY_BYTES]);
    let bound = binding(&[query]);
    assert!(keys.open(text, &bound).is_err(), "nobody has sealed this");
    let sealed = keys.seal(sort_key, &bound).unwrap();
    assert_eq!(keys.open(&sealed, &bound).as_deref(), Ok(sort_key));
    assert!(keys.open(&sealed, &binding(&[query, ""])).is_err(), "of another query");
    assert!(CursorKeys::new(&[8; KEY_BYTES]).open(&sealed, &bound).is_err(), "by another key");
    if let Ok(uri) = format!("/v1/invoices?{text}").parse() {
        let mut parameters = Parameters::of(&uri);
        parameters.optional("limit", limit);
        parameters.optional("issuer", tax_id);
        parameters.optional("from", from);
        parameters.optional("to", to);
        if let Err(problem) = parameters.finish() {
            assert!(!format!("{problem:?}").is_empty());
        }
    }
});
