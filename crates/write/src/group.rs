//! Hashes the bodies of several batches together, which takes a fraction of the time.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};

use crate::batch::{self, BATCH_LIMIT_BYTES, Batch};
use notaflux_sha256::HASHED_TOGETHER;

/// Returns the same batches with their hashes. Hashes together the batches that are ready, up to [`HASHED_TOGETHER`] and about
/// `BATCH_LIMIT_BYTES`; no batch waits for one that is not ready.
pub fn hashed<T, E>(batches: impl Stream<Item = Result<Batch<T>, E>>) -> impl Stream<Item = Result<Batch<T>, E>> {
    let mut batches = Box::pin(batches.fuse());
    let groups = stream::poll_fn(move |context| poll_group(batches.as_mut(), context));
    groups.map_ok(|group| stream::iter(group.into_iter().map(Ok))).try_flatten()
}

fn poll_group<T, E>(
    mut batches: Pin<&mut impl Stream<Item = Result<Batch<T>, E>>>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Vec<Batch<T>>, E>>> {
    let (mut group, mut bytes) = (Vec::new(), 0);
    while group.len() < HASHED_TOGETHER && bytes < BATCH_LIMIT_BYTES {
        match batches.as_mut().poll_next(context) {
            Poll::Ready(Some(Ok(batch))) => {
                bytes += batch.body_bytes();
                group.push(batch);
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            Poll::Pending if group.is_empty() => return Poll::Pending,
            Poll::Pending | Poll::Ready(None) => break,
        }
    }
    batch::hash(&mut group);
    Poll::Ready((!group.is_empty()).then_some(Ok(group)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use std::collections::VecDeque;

    use futures::{FutureExt as _, poll};

    use super::*;
    use crate::batch::tests::batch_of;

    /// The next element of a stream: a batch with an item of this length in bytes, nothing yet, or an error.
    #[derive(Debug, Clone, Copy)]
    enum Next {
        Batch(usize),
        Pending,
        Error,
    }
    use Next::{Batch as Ready, Error, Pending};

    fn stream_of(next: impl IntoIterator<Item = Next>) -> impl Stream<Item = Result<Batch<()>, ()>> {
        let mut next: VecDeque<Next> = next.into_iter().collect();
        stream::poll_fn(move |context| match next.pop_front() {
            Some(Ready(bytes)) => Poll::Ready(Some(Ok(batch_of(&[(&"x".repeat(bytes), "H")])))),
            Some(Error) => Poll::Ready(Some(Err(()))),
            Some(Pending) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(None),
        })
    }

    fn groups(next: impl IntoIterator<Item = Next>) -> Vec<Option<Result<usize, ()>>> {
        let mut batches = Box::pin(stream_of(next).fuse());
        let mut next = || {
            let polled = stream::poll_fn(|context| poll_group(batches.as_mut(), context)).next().now_or_never();
            polled.map(|group| group.map(|group| group.map(|group| group.len())))
        };
        std::iter::from_fn(|| match next() {
            None => Some(None),
            Some(Some(group)) => Some(Some(group)),
            Some(None) => None,
        })
        .collect()
    }

    #[test]
    fn batches_that_are_ready_are_hashed_together() {
        assert_eq!(groups([]), []);
        assert_eq!(groups([Ready(9); 3]), [Some(Ok(3))]);
        assert_eq!(groups([Ready(9); 40]), [Some(Ok(16)), Some(Ok(16)), Some(Ok(8))]);
        assert_eq!(groups([Pending, Ready(9), Ready(9), Pending, Ready(9)]), [None, Some(Ok(2)), Some(Ok(1))]);
        assert_eq!(groups([Ready(300 * 1024); 5]), [Some(Ok(2)), Some(Ok(2)), Some(Ok(1))], "two hold 600 KB");
        assert_eq!(groups([Ready(9), Error, Ready(9)]), [Some(Err(())), Some(Ok(1))]);
    }

    #[tokio::test]
    async fn no_batch_waits_for_one_that_is_not_ready_and_each_has_its_hash() {
        let mut batches = Box::pin(hashed(stream_of([Ready(1), Ready(70), Ready(200), Pending, Pending, Ready(5)])));
        for bytes in [1, 70, 200] {
            let Poll::Ready(Some(Ok(batch))) = poll!(batches.next()) else { unreachable!() };
            assert_eq!(batch.position(&"x".repeat(bytes), "H"), Some(0), "batches come in order");
            assert!(batch.is_hashed());
        }
        assert!(poll!(batches.next()).is_pending());
        assert!(batches.next().await.unwrap().is_ok());
        assert!(batches.next().await.is_none());
    }
}
