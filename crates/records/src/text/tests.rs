#![allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]

use proptest::prelude::*;
use tokio::io::AsyncReadExt;

use super::super::container::Contents;
use super::super::zip::tests::{archive, deflated, source, stored};
use super::*;

fn utf16(text: &str, encoding: Encoding) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    let bytes = |unit: u16| if encoding == Encoding::Utf16Be { unit.to_be_bytes() } else { unit.to_le_bytes() };
    units.flat_map(bytes).collect()
}

/// Reads entry `nth` from its start, then again from byte `from`.
async fn read(bytes: &[u8], nth: usize, from: u64) -> Result<(Vec<u8>, Vec<u8>, Encoding), ReadError> {
    let (_folder, source) = source(bytes).await;
    let entry = Contents::inspect(&source).await?.entries[nth].clone();
    let mut reader = open_entry(&source, &entry, 0, false).await?;
    let mut whole = Vec::new();
    if let Err(error) = reader.read_to_end(&mut whole).await {
        let again = ReadError::from(reader.read(&mut [0; 9]).await.unwrap_err());
        assert!(matches!(again, ReadError::UsedAfterError), "an error does not turn into an end");
        return Err(error.into());
    }
    let encoding = reader.encoding();
    let mut reader = open_entry(&source, &Entry { encoding, ..entry }, from, false).await?;
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await?;
    Ok((whole, rest, encoding))
}

const TEXT: &str = "Nota;Valor\r\n1;São Paulo € 𝄞\r\n";

#[tokio::test]
async fn utf16_is_read_as_utf8_from_any_byte() {
    for encoding in [Encoding::Utf16Le, Encoding::Utf16Be] {
        let bytes = utf16(TEXT, encoding);
        let zip = archive(&[stored("a", &bytes), deflated("b", &bytes)], b"", false);
        for (bytes, nth) in [(&bytes, 0), (&zip, 0), (&zip, 1)] {
            for from in 0..=TEXT.len() {
                let (whole, rest, found) = read(bytes, nth, from as u64).await.unwrap();
                assert_eq!((whole, rest, found), (TEXT.into(), TEXT.as_bytes()[from..].to_owned(), encoding));
            }
        }
    }
}

#[tokio::test]
async fn utf16_that_is_cut_within_a_character_is_an_error() {
    let bytes = utf16(TEXT, Encoding::Utf16Le);
    for length in 2..bytes.len() {
        let is_whole = length % 2 == 0 && length != bytes.len() - 6;
        match read(&bytes[..length], 0, 0).await {
            Ok((whole, ..)) => assert!(is_whole && TEXT.as_bytes().starts_with(&whole), "{length}"),
            Err(error) => assert!(!is_whole && error.is_permanent() && error.to_string().contains("UTF-16"), "{error}"),
        }
    }
}

#[tokio::test]
async fn only_a_mark_makes_a_text_utf16() {
    for text in [&b""[..], b"a", b"\xff", b"\xff\xfa", b"\xef\xbb\xbfa;b\n"] {
        let (whole, rest, encoding) = read(text, 0, text.len() as u64).await.unwrap();
        assert_eq!((whole, rest, encoding), (text.to_owned(), Vec::new(), Encoding::Bytes));
    }
}

#[tokio::test]
async fn padding_at_the_end_is_no_text() {
    let padded = [&b"a;b\n1;\x00 2\n"[..], b"\x1a", &vec![0; 200_000]].concat();
    assert_eq!(read(&padded, 0, 4).await.unwrap().0, b"a;b\n1;\x00 2\n");
    let padded = utf16("a;b\n\u{1a}\0\0", Encoding::Utf16Be);
    assert_eq!(read(&padded, 0, 2).await.unwrap().1, b"b\n");
}

proptest! {
    #[test]
    fn a_small_buffer_reads_the_same(
        text in ".{0,40}",
        room in 1_usize..9,
        encoding in prop_oneof![Just(Encoding::Bytes), Just(Encoding::Utf16Le), Just(Encoding::Utf16Be)],
    ) {
        prop_assume!(!text.starts_with('\u{feff}') && !text.ends_with(['\0', '\u{1a}']));
        let bytes = if encoding == Encoding::Bytes { text.clone().into_bytes() } else { utf16(&text, encoding) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            let (_folder, source) = source(&bytes).await;
            let entry = Contents::inspect(&source).await.unwrap().entries[0].clone();
            let mut reader = open_entry(&source, &entry, 0, false).await.unwrap();
            let (mut found, mut buffer) = (Vec::new(), vec![0; room]);
            loop {
                match reader.read(&mut buffer).await.unwrap() {
                    0 => break found,
                    read => found.extend_from_slice(&buffer[..read]),
                }
            }
        });
        prop_assert_eq!(found, text.into_bytes());
    }
}
