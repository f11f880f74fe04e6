#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails by panicking is a test that fails")]

use std::io::Write;

use flate2::Compression as Level;
use flate2::write::DeflateEncoder;
use tempfile::TempDir;

use crate::file;

use super::super::container::{Container, Contents};
use super::*;

/// A file for a zip. It is valid unless a test changes a field.
#[derive(Clone)]
pub(in super::super) struct Packed {
    pub(in super::super) name: Vec<u8>,
    pub(in super::super) stored: Vec<u8>,
    pub(in super::super) size: u32,
    pub(in super::super) crc32: u32,
    pub(in super::super) method: u16,
    pub(in super::super) flags: u16,
    /// Whether its sizes and its offset are in a zip64 field.
    pub(in super::super) wide: bool,
    pub(in super::super) disk: u16,
}

pub(in super::super) fn stored(name: &str, data: &[u8]) -> Packed {
    Packed {
        name: name.as_bytes().to_vec(),
        stored: data.to_vec(),
        size: u32::try_from(data.len()).unwrap(),
        crc32: crc32fast::hash(data),
        method: 0,
        flags: FLAG_UTF8,
        wide: false,
        disk: 0,
    }
}

pub(in super::super) fn deflated(name: &str, data: &[u8]) -> Packed {
    let mut encoder = DeflateEncoder::new(Vec::new(), Level::default());
    encoder.write_all(data).unwrap();
    Packed { stored: encoder.finish().unwrap(), method: 8, ..stored(name, data) }
}

fn numbers(out: &mut Vec<u8>, shorts: &[u16], longs: &[u32]) {
    out.extend(shorts.iter().flat_map(|number| number.to_le_bytes()));
    out.extend(longs.iter().flat_map(|number| number.to_le_bytes()));
}

/// Builds a zip of these files, with zip64 end records if `wide`.
pub(in super::super) fn archive(files: &[Packed], comment: &[u8], wide: bool) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for file in files {
        let offset = u32::try_from(out.len()).unwrap();
        let size = u32::try_from(file.stored.len()).unwrap();
        out.extend(LOCAL_SIGNATURE);
        numbers(&mut out, &[20, file.flags | 8, file.method, 0, 0], &[0, 0, 0]);
        // The local header has no sizes, as when a data descriptor follows the data.
        numbers(&mut out, &[u16::try_from(file.name.len()).unwrap(), 4], &[]);
        out.extend([&file.name[..], &[9, 9, 0, 0], &file.stored].concat());
        out.extend(b"PK\x07\x08");
        numbers(&mut out, &[], &[file.crc32, size, file.size]);

        let mut extra = vec![7, 7, 1, 0, 0];
        let mut shown = [size, file.size, offset];
        if file.wide {
            numbers(&mut extra, &[ZIP64_EXTRA, 24], &[file.size, 0, size, 0, offset, 0]);
            shown = [u32::MAX; 3];
        }
        directory.extend(FILE_SIGNATURE);
        numbers(&mut directory, &[20, 20, file.flags | 8, file.method, 0, 0], &[file.crc32, shown[0], shown[1]]);
        let lengths = [u16::try_from(file.name.len()).unwrap(), u16::try_from(extra.len()).unwrap(), 2, file.disk, 0];
        numbers(&mut directory, &lengths, &[0, shown[2]]);
        directory.extend([&file.name[..], &extra, b"hi"].concat());
    }
    finish(out, &directory, files.len(), comment, wide)
}

fn finish(mut out: Vec<u8>, directory: &[u8], count: usize, comment: &[u8], wide: bool) -> Vec<u8> {
    let start = u32::try_from(out.len()).unwrap();
    let size = u32::try_from(directory.len()).unwrap();
    let many = u32::try_from(count).unwrap();
    out.extend(directory);
    let mut end = ([u16::try_from(count & 0xffff).unwrap(); 2], [size, start]);
    if wide {
        let end64 = u32::try_from(out.len()).unwrap();
        out.extend(END64_SIGNATURE);
        numbers(&mut out, &[], &[44, 0]);
        numbers(&mut out, &[45, 45], &[0, 0, many, 0, many, 0, size, 0, start, 0]);
        out.extend(END64_LOCATOR_SIGNATURE);
        numbers(&mut out, &[], &[0, end64, 0, 1]);
        end = ([u16::MAX; 2], [u32::MAX; 2]);
    }
    out.extend(END_SIGNATURE);
    numbers(&mut out, &[0, 0, end.0[0], end.0[1]], &end.1);
    numbers(&mut out, &[u16::try_from(comment.len()).unwrap()], &[]);
    out.extend(comment);
    out
}

/// Writes the bytes to a temporary file and opens it as a source.
pub(in super::super) async fn source(bytes: &[u8]) -> (TempDir, Source) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("object");
    std::fs::write(&path, bytes).unwrap();
    let source = file::open(&path).await.unwrap();
    (folder, source)
}

async fn inspect(bytes: &[u8]) -> Result<Contents, ReadError> {
    let (_folder, source) = source(bytes).await;
    Contents::inspect(&source).await
}

async fn entries(bytes: &[u8]) -> Vec<Entry> {
    inspect(bytes).await.unwrap().entries
}

#[tokio::test]
async fn the_directory_is_read() {
    let files = [stored("pasta/", b""), deflated("pasta/notação.csv", &b"abc;".repeat(50)), stored("b.txt", b"hello")];
    for (comment, wide) in [(&b""[..], false), (b"a comment", false), (b"PK\x05\x06 not the end", true), (b"", true)] {
        for wide_files in [false, true] {
            let files = files.clone().map(|file| Packed { wide: wide_files, ..file });
            let found = inspect(&archive(&files, comment, wide)).await.unwrap();
            assert_eq!(found.container, Container::Zip);
            assert_eq!(found.entries.len(), 2, "folders are left out");
            let first = &found.entries[0];
            assert_eq!(first.name.as_deref(), Some("pasta/notação.csv"));
            assert_eq!((first.compression, first.size), (Compression::Deflate, Some(200)));
            assert_eq!((first.crc32, first.unsupported.as_ref()), (Some(files[1].crc32), None));
            assert_eq!(found.entries[1].compression, Compression::Stored);
            let text = serde_json::to_string(&found).unwrap();
            assert_eq!(serde_json::from_str::<Contents>(&text).unwrap(), found);
        }
    }
    assert!(entries(&archive(&[], b"", false)).await.is_empty());
}

#[tokio::test]
async fn names_without_the_utf8_flag_use_code_page_437() {
    let file = Packed { name: b"NOTA\x80\x87\xc6O.csv".to_vec(), flags: 0, ..stored("", b"x") };
    assert_eq!(entries(&archive(&[file], b"", false)).await[0].name.as_deref(), Some("NOTAÇç╞O.csv"));
}

#[tokio::test]
async fn unsupported_entries_are_listed_with_the_reason() {
    let file = deflated("a.csv", b"abcabc");
    let cases = [
        (Packed { flags: FLAG_ENCRYPTED, ..file.clone() }, "encrypted"),
        (Packed { method: 9, ..file.clone() }, "deflate64"),
        (Packed { method: 95, ..file.clone() }, "method 95"),
        (Packed { method: 0, size: 1000, ..file.clone() }, "1000 bytes decoded"),
        (Packed { disk: 3, ..file.clone() }, "split zip"),
    ];
    for (bad, reason) in cases {
        let found = entries(&archive(&[bad, file.clone()], b"", false)).await;
        assert!(found[0].unsupported.as_ref().unwrap().contains(reason), "{:?}", found[0]);
        assert_eq!(found[1].unsupported, None);
    }
}

#[tokio::test]
async fn a_zip_cut_at_any_byte_is_an_error() {
    for wide in [false, true] {
        let whole = archive(&[deflated("a.csv", b"abcabc"), stored("b.csv", b"hello")], b"comment", wide);
        // Fewer than four bytes do not identify a zip.
        for length in 4..whole.len() {
            let error = inspect(&whole[..length]).await.unwrap_err();
            assert!(matches!(&error, ReadError::Truncated { .. }), "{length}: {error:?}");
            assert_eq!(error.position().unwrap().stored_byte, Some(length as u64));
        }
    }
}

#[tokio::test]
async fn a_wrong_directory_is_an_error() {
    let whole = archive(&[deflated("a.csv", b"abcabc"), stored("b.csv", b"hello")], b"", false);
    let end = whole.len() - END_BYTES;
    let change = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    let directory = usize::try_from(u32::from_le_bytes(whole[end + 16..end + 20].try_into().unwrap())).unwrap();
    let cases = [
        ("more bytes", change(end + 13, 1)),
        ("entry count", change(end + 10, 3)),
        ("directory offset", change(end + 16, u8::try_from(directory).unwrap() + 1)),
        ("directory beyond the end", change(end + 18, 1)),
        ("first signature", change(directory, b'X')),
        ("entry beyond the directory", change(directory + 22, 200)),
        ("entry over the next", change(directory + 20, 60)),
        ("name beyond the directory", change(directory + 29, 9)),
    ];
    for (what, bytes) in cases {
        let error = inspect(&bytes).await.expect_err(what);
        assert!(matches!(&error, ReadError::Corrupt { .. }), "{what}: {error}");
        assert!(error.position().unwrap().stored_byte.is_some(), "{what}: {error}");
    }
}

#[tokio::test]
async fn no_changed_byte_makes_the_reader_panic() {
    for wide in [false, true] {
        let whole = archive(&[deflated("a.csv", b"abcabc"), stored("b.csv", b"hello")], b"c", wide);
        for at in 4..whole.len() {
            for byte in [0, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                if let Ok(found) = inspect(&bytes).await {
                    assert!(found.entries.len() <= 2);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_missing_zip64_field_is_an_error() {
    let mut bytes = archive(&[Packed { wide: true, ..stored("a.csv", b"x") }], b"", false);
    let extra = bytes.windows(4).rposition(|window| window == [1, 0, 24, 0]).unwrap();
    bytes[extra] = 2;
    let error = inspect(&bytes).await.unwrap_err();
    assert!(error.to_string().contains("64-bit sizes"), "{error}");
}

#[tokio::test]
async fn a_directory_over_the_limits_is_an_error() {
    let many: Vec<Packed> = (0..=ENTRIES_LIMIT).map(|n| stored(&format!("{n}.csv"), b"")).collect();
    assert_eq!(entries(&archive(&many[..ENTRIES_LIMIT], b"", false)).await.len(), ENTRIES_LIMIT);
    let error = inspect(&archive(&many, b"", false)).await.unwrap_err();
    assert!(error.to_string().contains("more than 10000 entries"), "{error}");
    let long = Packed { name: vec![b'n'; 60_000], ..stored("", b"") };
    let error = inspect(&archive(&vec![long; 150], b"", false)).await.unwrap_err();
    assert!(error.to_string().contains("a directory of"), "{error}");
}

#[test]
fn code_page_437_has_its_128_letters() {
    assert_eq!(CP437.chars().count(), 128);
    assert_eq!(from_cp437(&[b'a', 0x80, 0xa4, 0xff]), "aÇñ\u{a0}");
}
