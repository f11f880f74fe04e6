//! Cursors of any text: only a sealed cursor opens, and only for its query. Parameters of any query are parsed or
//! refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use notaflux_api::cursor::{CursorKeys, KEY_BYTES, binding};
use notaflux_api::parameters::{
    Parameters, amount, from, limit, month, order, status, tax_id, text as of_text, to, uf,
};
use notaflux_table::keys::SORT_KEY_LIMIT_BYTES;

fuzz_target!(|input: (&str, &str, &str)| {
    let (text, query, sort_key) = input;
    // No key of the table is longer, and longer cursors are refused at once.
    let sort_key = &sort_key[..sort_key.floor_char_boundary(SORT_KEY_LIMIT_BYTES)];
    let keys = CursorKeys::new(&[7; KEY_BYTES]);
    let bound = binding(&[query]);
    assert!(keys.open(text, &bound).is_err(), "this text was not sealed");
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
        parameters.optional("month", month);
        parameters.optional("status", status);
        parameters.optional("order", order);
        parameters.optional("min_total", amount);
        parameters.optional("issuer_uf", uf);
        parameters.optional("number", of_text);
        parameters.cursor();
        if let Err(problem) = parameters.finish() {
            assert!(!format!("{problem:?}").is_empty());
        }
    }
});
