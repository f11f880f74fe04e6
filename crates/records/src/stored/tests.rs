#![allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]

use std::collections::VecDeque;

use futures::stream;
use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

use super::super::error::Place;
use super::super::testing::run;
use super::*;

/// Makes chunks of these lengths with counted bytes. If `waits`, each chunk is ready only at the second poll. If
/// `fails`, an error follows.
fn stored(lengths: &[usize], waits: bool, fails: bool) -> (Vec<u8>, Stored) {
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(lengths.iter().sum()).collect();
    let mut rest = Bytes::from(bytes.clone());
    let mut chunks: VecDeque<_> = lengths.iter().map(|length| Ok(rest.split_to(*length))).collect();
    if fails {
        chunks.push_back(Err(ReadError::truncated(Place::default(), "more")));
    }
    let mut ready = true;
    let chunks = stream::poll_fn(move |cx| {
        ready = !ready || !waits;
        if !ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(chunks.pop_front())
    });
    let range = 7..7 + bytes.len() as u64;
    (bytes, Stored::new(SourceStream::of(chunks), range))
}

proptest! {
    #[test]
    fn the_bytes_of_the_stream_are_read_and_counted(
        lengths in prop::collection::vec(prop_oneof![0..20_usize, 50_000..300_000_usize], 0..9),
        steps in prop::collection::vec((1..200_000_usize, any::<bool>()), 1..9),
        waits in any::<bool>(),
        fails in any::<bool>(),
    ) {
        let (bytes, mut stored) = stored(&lengths, waits, fails);
        let (mut found, mut steps) = (Vec::new(), steps.iter().cycle());
        let end = run(async {
            loop {
                let (amount, by_buffer) = steps.next().unwrap();
                let before = found.len();
                if *by_buffer {
                    let next = stored.fill_buf().await?;
                    let amount = next.len().min(*amount);
                    found.extend_from_slice(&next[..amount]);
                    stored.consume(amount);
                } else {
                    let read = (&mut stored).take(*amount as u64).read_buf(&mut found).await?;
                    assert_eq!(read, found.len() - before);
                }
                assert_eq!((stored.at(), stored.left()), (7 + found.len() as u64, (bytes.len() - found.len()) as u64));
                if found.len() == before {
                    return io::Result::Ok(());
                }
            }
        });
        prop_assert_eq!(end.is_err(), fails);
        prop_assert!(found == bytes);
    }
}

#[test]
fn small_chunks_are_gathered_and_large_ones_are_not_copied() {
    for (lengths, expected) in [
        (vec![1000; 500], 132_000),
        (vec![1000; 5], 5000),
        (vec![0, 300_000, 5], 300_000),
        (vec![5, 300_000, 5], 300_005),
        (vec![], 0),
    ] {
        let (_, mut stored) = stored(&lengths, false, true);
        assert_eq!(run(stored.fill_buf()).map_or(0, <[u8]>::len), expected);
    }
    let (_, mut waiting) = stored(&[1000, 1000], true, false);
    assert_eq!(run(waiting.fill_buf()).unwrap().len(), 1000, "it does not wait for bytes that have not arrived");
}

#[test]
fn a_consumed_chunk_is_released() {
    let chunk = Bytes::from(vec![1; 2 * GATHER_BYTES]);
    let other = chunk.clone();
    let mut stored = Stored::new(SourceStream::of(stream::iter([Ok(chunk)])), 0..2 * GATHER_BYTES as u64);
    run(async {
        stored.read_exact(&mut vec![0; GATHER_BYTES]).await.unwrap();
        assert_eq!(stored.fill_buf().await.unwrap().len(), GATHER_BYTES);
        assert!(!other.is_unique());
        stored.consume(GATHER_BYTES);
    });
    assert!(other.is_unique());
}
