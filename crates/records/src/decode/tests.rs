#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails by panicking is a test that fails")]

use std::io::Write;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tokio::io::AsyncReadExt;

use super::super::container::Contents;
use super::super::zip::tests::{Packed, archive, deflated, source, stored};
use super::*;

mod contract;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.window_log(window_log).unwrap();
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A zstd frame that decodes to nothing.
const SKIPPABLE: &[u8] = b"\x53\x2a\x4d\x18\x05\0\0\0hello";

fn packed_by_zstd(name: &str, data: &[u8]) -> Packed {
    Packed { stored: zstd(data, 20), method: 93, ..stored(name, data) }
}

async fn decode_from(bytes: &[u8], nth: usize, from: u64) -> Result<Vec<u8>, ReadError> {
    let (_folder, source) = source(bytes).await;
    let contents = Contents::inspect(&source).await?;
    let mut reader = open_decoded(&source, &contents.entries[nth], from, false).await?;
    let mut decoded = Vec::new();
    match reader.read_to_end(&mut decoded).await {
        Ok(_) => {
            assert_eq!(reader.read(&mut [0; 9]).await.unwrap(), 0, "the end stays the end");
            assert_eq!(reader.decoded_bytes(), from + decoded.len() as u64);
            Ok(decoded)
        }
        Err(error) => {
            let again = ReadError::from(reader.read(&mut [0; 9]).await.unwrap_err());
            assert!(matches!(again, ReadError::UsedAfterError), "an error does not turn into an end");
            Err(error.into())
        }
    }
}

async fn decode(bytes: &[u8]) -> Result<Vec<u8>, ReadError> {
    decode_from(bytes, 0, 0).await
}

fn data(length: u32) -> Vec<u8> {
    (0..length).flat_map(|n| format!("{n};{}\n", n.wrapping_mul(2_654_435_761)).into_bytes()).collect()
}

#[tokio::test]
async fn every_kind_of_entry_is_decoded_from_any_byte() {
    let data = data(40_000);
    let files = [
        stored("a.csv", &data),
        deflated("b.csv", &data),
        Packed { wide: true, ..deflated("c.csv", &data) },
        packed_by_zstd("d.csv", &data),
    ];
    let members = [gzip(&data[..1000]), gzip(b""), gzip(&data[1000..])].concat();
    let frames = [SKIPPABLE, &zstd(&data[..1000], 20), SKIPPABLE, &zstd(b"", 20), &zstd(&data[1000..], 25)].concat();
    let zip = archive(&files, b"", false);
    for (bytes, nth) in [(&data, 0), (&members, 0), (&frames, 0), (&zip, 0), (&zip, 1), (&zip, 2), (&zip, 3)] {
        for from in [0, 1, 999, 1000, 1001, 300_000, data.len() - 1, data.len()] {
            let decoded = decode_from(bytes, nth, from as u64).await.unwrap();
            assert!(decoded == data[from..], "entry {nth} from {from}");
        }
        let error = decode_from(bytes, nth, data.len() as u64 + 1).await.unwrap_err();
        assert!(matches!(&error, ReadError::Corrupt { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn data_cut_at_any_byte_is_an_error() {
    let hello = b"hello hello hello";
    for (first, second, from) in [
        (gzip(hello), gzip(&data(20)), 3),
        (zstd(hello, 20), zstd(&data(20), 20), 4),
        (zstd(hello, 20), [SKIPPABLE, &zstd(&data(20), 20)].concat(), 4),
    ] {
        let whole = [&first[..], &second].concat();
        for length in from..whole.len() {
            let result = decode(&whole[..length]).await;
            let is_after_skippable = second.starts_with(SKIPPABLE) && length == first.len() + SKIPPABLE.len();
            if length == first.len() || is_after_skippable {
                // A file may have one or more members, so a reader cannot detect missing members.
                assert_eq!(result.unwrap(), hello);
                continue;
            }
            let error = result.unwrap_err();
            assert!(matches!(&error, ReadError::Truncated { .. }), "{length}: {error:?}");
            assert_eq!(error.position().unwrap().stored_byte, Some(length as u64));
        }
    }
}

#[tokio::test]
async fn zstd_damaged_anywhere_is_an_error_or_harmless() {
    let text = data(30);
    let whole = zstd(&text, 20);
    for at in 4..whole.len() {
        for change in [1, 0x10, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            match decode(&bytes).await {
                // Some bits mean nothing. The checksum detects a change of the others.
                Ok(decoded) => assert!(decoded == text, "byte {at} ^ {change}"),
                Err(error) => assert!(error.is_permanent() && error.position().is_some(), "{error:?}"),
            }
        }
    }
    let mut bytes = whole.clone();
    *bytes.last_mut().unwrap() ^= 1;
    let error = decode(&bytes).await.unwrap_err();
    let place = error.position().unwrap();
    assert!(matches!(&error, ReadError::Corrupt { expected, .. } if expected == "valid zstd data"), "{error}");
    assert_eq!(place.byte, Some(text.len() as u64), "{error}");
}

#[tokio::test]
async fn a_zstd_window_over_the_limit_is_an_error() {
    for bytes in [
        zstd(b"hello", 26),
        zstd(&data(40_000), 26),
        archive(&[Packed { stored: zstd(b"hello", 28), ..packed_by_zstd("a.csv", b"hello") }], b"", false),
    ] {
        let error = decode(&bytes).await.unwrap_err();
        assert!(matches!(&error, ReadError::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains("without --ultra and --long"), "{error}");
    }
}

#[tokio::test]
async fn gzip_damaged_anywhere_is_an_error_or_harmless() {
    let text = data(30);
    let whole = gzip(&text);
    for at in 3..whole.len() {
        for change in [1, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            match decode(&bytes).await {
                // Time, system and name in the header, and the padding bits before the trailer.
                Ok(decoded) => assert!(decoded == text && (at < 10 || at == whole.len() - 9), "byte {at} ^ {change}"),
                Err(error) => assert!(error.is_permanent() && error.position().is_some(), "{error:?}"),
            }
        }
    }
    let checksum = whole.len() - 8;
    let mut bytes = whole.clone();
    bytes[checksum] ^= 1;
    let error = decode(&bytes).await.unwrap_err();
    let place = error.position().unwrap();
    assert_eq!((place.byte, place.stored_byte), (Some(text.len() as u64), Some(whole.len() as u64)), "{error}");
}

#[tokio::test]
async fn what_follows_the_last_member_is_an_error() {
    for whole in [gzip(b"hello"), zstd(b"hello", 20)] {
        for tail in [&b"\0\0\0\0"[..], b"garbage", b"\x1f", b"\x1f\x8b\x08\0", b"\x28", b"\x28\xb5\x2f\xfd\0"] {
            let error = decode(&[&whole[..], tail].concat()).await.unwrap_err();
            assert!(matches!(&error, ReadError::Corrupt { .. } | ReadError::Truncated { .. }), "{error:?}");
            assert_eq!(error.position().unwrap().byte, Some(5));
        }
    }
}

#[tokio::test]
async fn zip_entries_with_wrong_sizes_or_checksums_are_errors() {
    let text = data(30);
    let good = deflated("a.csv", &text);
    let plain = stored("a.csv", &text);
    let short = u32::try_from(text.len()).unwrap() - 1;
    let mut longer = good.stored.clone();
    longer.push(0);
    let mut wrong = good.stored.clone();
    wrong[20] ^= 0x55;
    let cases = [
        ("checksum", Packed { crc32: good.crc32 ^ 1, ..good.clone() }),
        ("checksum of stored", Packed { crc32: plain.crc32 ^ 1, ..plain.clone() }),
        ("fewer bytes than stated", Packed { size: short + 2, ..good.clone() }),
        ("more bytes than stated", Packed { size: short, ..good.clone() }),
        ("more than its data", Packed { stored: longer, ..good.clone() }),
        ("damaged", Packed { stored: wrong, ..good.clone() }),
    ];
    for (what, file) in cases {
        let error = decode(&archive(&[file], b"", false)).await.expect_err(what);
        let place = error.position().unwrap();
        assert!(matches!(&error, ReadError::Corrupt { .. }), "{what}: {error}");
        assert!(
            place.entry.as_deref() == Some("a.csv") && place.byte.is_some() && place.stored_byte.is_some(),
            "{what}: {error}"
        );
    }
    for length in 0..good.stored.len() {
        let file = Packed { stored: good.stored[..length].to_vec(), ..good.clone() };
        let error = decode(&archive(&[file], b"", false)).await.unwrap_err();
        assert!(matches!(&error, ReadError::Truncated { .. }), "{length}: {error:?}");
    }
    let encrypted = Packed { flags: 1, ..good };
    let error = decode(&archive(&[encrypted], b"", false)).await.unwrap_err();
    assert!(error.to_string().contains("encrypted"), "{error}");
}

#[tokio::test]
async fn a_bomb_streams() {
    let zeros = vec![0; 50_000_000];
    let bytes = archive(&[deflated("bomb", &zeros)], b"", false);
    assert!(bytes.len() < 100_000);
    let (_folder, source) = source(&bytes).await;
    let entries = Contents::inspect(&source).await.unwrap().entries;
    let mut reader = open_decoded(&source, &entries[0], 49_999_990, false).await.unwrap();
    let mut tail = Vec::new();
    reader.read_to_end(&mut tail).await.unwrap();
    assert_eq!(tail, [0; 10]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn members_are_one_text(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6),
        from in 0..400_u64,
        by_zstd in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let member = |part: &Vec<u8>| if by_zstd { zstd(part, 20) } else { gzip(part) };
        let bytes = parts.iter().map(member).collect::<Vec<_>>().concat();
        let text = parts.concat();
        let decoded = runtime.block_on(decode_from(&bytes, 0, from));
        match text.get(usize::try_from(from).unwrap()..) {
            Some(tail) => prop_assert_eq!(decoded.unwrap(), tail),
            None => prop_assert!(decoded.is_err()),
        }
    }
}

/// A survey that resumes after the start of a stored entry must still detect damage.
#[tokio::test]
async fn a_stored_entry_is_checked_on_request_from_any_start() {
    let text = b"a;b\n1;2\n3;4\n".repeat(50);
    let (good, bad) = (stored("a.csv", &text), Packed { crc32: 1, ..stored("a.csv", &text) });
    for (packed, checked, is_found) in [(&bad, true, true), (&bad, false, false), (&good, true, false)] {
        let (_folder, source) = source(&archive(std::slice::from_ref(packed), b"", false)).await;
        let contents = Contents::inspect(&source).await.unwrap();
        let mut reader = open_decoded(&source, &contents.entries[0], 100, checked).await.unwrap();
        let mut read = Vec::new();
        assert_eq!(reader.read_to_end(&mut read).await.is_err(), is_found);
        assert!(is_found || read == text[100..]);
    }
}
