//! Messages of any shape: they give the objects that they name, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use notaflux_engine::event;

fuzz_target!(|data: &[u8]| {
    let Ok(value) = serde_json::from_slice(data) else { return };
    match event::created(&value) {
        Ok(created) => {
            // An object survives a round trip through a task, as the queue stores it.
            let text = serde_json::to_string(&created).unwrap();
            let again: Vec<event::Created> = serde_json::from_str(&text).unwrap();
            assert_eq!(again, created);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
