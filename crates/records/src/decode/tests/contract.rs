//! Every reader keeps the contract of `AsyncRead`: where it returns an error it has filled nothing.

use bytes::Bytes;
use tokio::io::AsyncBufReadExt;

use super::super::super::testing::{Memory, drain, run};
use super::*;

/// Lengths of a buffer: one byte, fewer and more than the data has.
const BUFFERS_BYTES: [usize; 3] = [1, 100, 1 << 20];

/// Lengths of a chunk of the source.
const CHUNKS_BYTES: [usize; 3] = [1, 13, 1 << 20];

/// Reads the first entry of `bytes`, of which the source gives those before `breaks_at`, with every buffer and chunk.
/// Returns what each run gave before its end.
fn read_all(bytes: &[u8], breaks_at: Option<usize>, from: u64) -> Vec<(Vec<u8>, Option<ReadError>)> {
    let whole = Memory { bytes: Bytes::copy_from_slice(bytes), chunk_bytes: 1 << 20, breaks_at: None };
    run(async {
        let Ok(contents) = Contents::inspect(&whole.source(bytes.len())).await else { return Vec::new() };
        let mut runs = Vec::new();
        for (chunk_bytes, buffer_bytes) in CHUNKS_BYTES.into_iter().flat_map(|c| BUFFERS_BYTES.map(|b| (c, b))) {
            let memory = Memory { bytes: Bytes::copy_from_slice(bytes), chunk_bytes, breaks_at };
            let Ok(reader) = open_decoded(&memory.source(bytes.len()), &contents.entries[0], from, true).await else {
                continue;
            };
            runs.push(drain(reader, buffer_bytes).await);
        }
        runs
    })
}

fn containers(text: &[u8]) -> Vec<Vec<u8>> {
    let files = [stored("a.csv", text), deflated("a.csv", text), packed_by_zstd("a.csv", text)];
    let two_members = [gzip(&text[..100]), gzip(&text[100..])].concat();
    let two_frames = [zstd(&text[..100], 20), SKIPPABLE.to_vec(), zstd(&text[100..], 20)].concat();
    let mut all = vec![text.to_vec(), two_members, two_frames];
    all.extend(files.map(|file| archive(&[file], b"", false)));
    all
}

#[test]
fn a_source_that_breaks_at_any_byte_fills_nothing_with_its_error() {
    let text = data(20);
    for bytes in containers(&text) {
        for breaks_at in 0..bytes.len() {
            for from in [0, 150] {
                for (read, error) in read_all(&bytes, Some(breaks_at), from) {
                    let tail = &text[usize::try_from(from).unwrap()..];
                    assert!(tail.starts_with(&read), "{breaks_at}");
                    // A break within the directory of a zip leaves the entry whole.
                    assert!(error.as_ref().is_none_or(|error| matches!(error, ReadError::Io { .. })), "{error:?}");
                    assert!(error.is_some() || read == tail, "{breaks_at}: bytes are missing without an error");
                }
            }
        }
    }
}

#[test]
fn data_cut_at_any_byte_fills_nothing_with_its_error() {
    let text = data(20);
    for bytes in containers(&text).iter().skip(1).take(2) {
        for length in 4..bytes.len() {
            for (read, error) in read_all(&bytes[..length], None, 0) {
                assert!(text.starts_with(&read), "{length}");
                assert!(error.is_some() || [100, text.len()].contains(&read.len()), "{length}: {}", read.len());
            }
        }
    }
}

#[test]
fn damage_at_any_byte_fills_nothing_with_its_error() {
    let text = data(20);
    for bytes in containers(&text).iter().skip(1) {
        for at in 4..bytes.len() {
            for change in [1, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= change;
                read_all(&damaged, None, 0);
            }
        }
    }
}

#[test]
fn wrong_sizes_and_checksums_fill_nothing_with_their_error() {
    let text = data(20);
    let size = u32::try_from(text.len()).unwrap();
    for good in [stored("a.csv", &text), deflated("a.csv", &text), packed_by_zstd("a.csv", &text)] {
        let bad_sizes = [1, size / 2, size - 1, size + 1, u32::MAX - 1].map(|size| Packed { size, ..good.clone() });
        let bad_crc = Packed { crc32: good.crc32 ^ 1, ..good.clone() };
        for file in bad_sizes.into_iter().filter(|file| file.method != 0).chain([bad_crc]) {
            let bytes = archive(std::slice::from_ref(&file), b"", false);
            for from in [0, 150] {
                let runs = read_all(&bytes, None, from);
                assert!(u64::from(file.size) < from || runs.len() == CHUNKS_BYTES.len() * BUFFERS_BYTES.len());
                for (read, error) in runs {
                    assert!(matches!(error, Some(ReadError::Corrupt { .. })), "{error:?}");
                    let tail = &text[usize::try_from(from).unwrap()..];
                    assert!(tail.starts_with(&read) && read.len() as u64 + from <= u64::from(file.size.min(size)));
                }
            }
        }
    }
}

/// The buffered reader under the decoders: no end and no bytes after its error.
#[test]
fn stored_bytes_do_not_end_after_an_error() {
    for by_buffer in [false, true] {
        let memory = Memory { bytes: Bytes::from(data(20)), chunk_bytes: 13, breaks_at: Some(50) };
        let mut reader = Stored::new(memory.source(100).open(0..100), 0..100);
        run(async {
            if !by_buffer {
                let (read, error) = drain(reader, 7).await;
                assert!(read.len() == 50 && error.is_some());
                return;
            }
            let given = reader.fill_buf().await.unwrap().len();
            reader.consume(given);
            assert_eq!(given, 50);
            for _ in 0..2 {
                assert!(reader.fill_buf().await.is_err());
            }
        });
    }
}
