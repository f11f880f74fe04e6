//! Objects of any bytes: the format is detected, the directory of a zip is read, and every entry is decoded, or there
//! is an error.
#![no_main]

use std::io::Write as _;

use libfuzzer_sys::fuzz_target;
use notaflux_fuzz::block_on;
use notaflux_records::container::{Contents, open_entry};
use notaflux_records::file;
use tokio::io::AsyncReadExt as _;

/// Decoded bytes after which the target leaves an entry: a zip bomb must not delay other inputs.
const DECODED_LIMIT: u64 = 4 * 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(data).unwrap();
    block_on(async {
        let source = file::open(file.path()).await.unwrap();
        let Ok(contents) = Contents::inspect(&source).await else { return };
        for entry in contents.entries.iter().take(20) {
            let Ok(reader) = open_entry(&source, entry, 0, true).await else { continue };
            let mut decoded = Vec::new();
            let read = reader.take(DECODED_LIMIT).read_to_end(&mut decoded).await;
            let from = decoded.len() / 2;
            if read.is_ok() && (decoded.len() as u64) < DECODED_LIMIT && from > 0 {
                let mut rest = Vec::new();
                let mut reader = open_entry(&source, entry, from as u64, false).await.unwrap();
                reader.read_to_end(&mut rest).await.unwrap();
                assert_eq!(rest, decoded[from..], "decoded from the middle on");
            }
        }
    });
});
