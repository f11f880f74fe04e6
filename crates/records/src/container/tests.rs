#![allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]

use super::super::zip::tests::source;
use super::*;

async fn inspect(bytes: &[u8]) -> Result<Contents, ReadError> {
    let (_folder, source) = source(bytes).await;
    Contents::inspect(&source).await
}

#[tokio::test]
async fn the_container_is_detected_from_the_content() {
    for (bytes, container) in [
        (&b""[..], Container::Plain),
        (b"a;b\n", Container::Plain),
        (b"PK;PL\n1;2\n", Container::Plain),
        (b"PAR1;PAR2\n", Container::Plain),
        (b"BZh;x\n", Container::Plain),
        (b"\xef\xbb\xbfa;b", Container::Plain),
        (b"\x1f\x8b\x08\0\0", Container::Gzip),
        (b"\x28\xb5\x2f\xfd\x04\x00", Container::Zstd),
        (b"\x50\x2a\x4d\x18\0\0\0\0", Container::Zstd),
        (b"\x5f\x2a\x4d\x18\0\0\0\0", Container::Zstd),
        (b"P*M;x\n", Container::Plain),
    ] {
        let found = inspect(bytes).await.unwrap();
        assert_eq!(found.container, container, "{bytes:?}");
        let [entry] = &found.entries[..] else { unreachable!() };
        assert_eq!((entry.name.as_ref(), entry.compressed_size), (None, bytes.len() as u64));
        assert_eq!(entry.size, (container == Container::Plain).then_some(bytes.len() as u64));
    }
}

#[tokio::test]
async fn formats_that_are_not_supported_are_named() {
    for (bytes, name) in [
        (&b"BZh91AY&SYabcdef"[..], "bzip2"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
    ] {
        let error = inspect(bytes).await.unwrap_err();
        assert!(matches!(&error, ReadError::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
}
