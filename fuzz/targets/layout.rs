//! Layout files of any text: a valid layout binds to the columns that it requires, or gives an error, and binds to
//! JSON.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use notaflux_layout::{Detection, Layout, Mapping};

fuzz_target!(|text: &str| {
    let Ok(layout) = Layout::parse(text) else { return };
    let layout = Arc::new(layout);
    let header: Vec<String> = layout.requires().map(|names| names[0].clone()).collect();
    if let Err(error) = Mapping::new(layout.clone(), &header) {
        assert!(!error.to_string().is_empty());
    }
    let detection = Detection::of(&header, std::slice::from_ref(&layout), &[]);
    assert!(layout.is_of_paths() || !detection.to_string().is_empty());
    if let Ok(mapping) = Mapping::of_json(layout, None) {
        assert_eq!(mapping.columns().is_empty(), mapping.fit().columns == 0);
    }
});
