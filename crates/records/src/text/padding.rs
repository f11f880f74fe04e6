//! Leaves out the padding at the end of a text.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of one read after a byte that may be padding.
const AFTER_BYTES: usize = 16 * 1024;

/// Most runs of equal bytes that are padding, such as one of 0x1A and one of zeros after it. More runs are text: a bound for
/// the memory.
const RUNS: usize = 3;

/// The bytes that fill the rest of a last sector.
const fn is_padding(byte: u8) -> bool {
    matches!(byte, 0 | 0x1a)
}

/// Equal bytes that follow each other.
#[derive(Debug, Clone, Copy)]
struct Run {
    byte: u8,
    count: u64,
}

/// Text to give next.
#[derive(Debug)]
enum Piece {
    Run(Run),
    Bytes(Vec<u8>),
}

/// Reads `inner` without the padding at its end: at most [`RUNS`] runs of zeros or of 0x1A.
///
/// Bytes that may be padding are counted and held back until others follow. What is left out depends on the bytes alone, not
/// on how they arrive.
#[derive(Debug)]
pub(super) struct Unpadded<R> {
    inner: R,
    /// Text that comes next.
    next: VecDeque<Piece>,
    /// The bytes after it, which may be padding.
    held: VecDeque<Run>,
    has_ended: bool,
}

impl<R: AsyncRead + Unpin> Unpadded<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, next: VecDeque::new(), held: VecDeque::new(), has_ended: false }
    }

    pub(super) fn inner(&self) -> &R {
        &self.inner
    }

    /// Holds bytes back. If there are too many runs, the first ones are text.
    fn hold(&mut self, padding: &[u8]) {
        for &byte in padding {
            match self.held.back_mut() {
                Some(run) if run.byte == byte => run.count += 1,
                _ => self.held.push_back(Run { byte, count: 1 }),
            }
            if self.held.len() > RUNS {
                self.next.extend(self.held.pop_front().map(Piece::Run));
            }
        }
    }

    /// Reads the bytes after those that are held back.
    fn poll_after(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut room = vec![0; AFTER_BYTES];
        let mut read = ReadBuf::new(&mut room);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut read))?;
        let (text, padding) = read.filled().split_at(text_bytes(read.filled()));
        self.has_ended = read.filled().is_empty();
        if !text.is_empty() {
            self.next.extend(self.held.drain(..).map(Piece::Run));
            self.next.push_back(Piece::Bytes(text.to_owned()));
        }
        self.hold(padding);
        Poll::Ready(Ok(()))
    }

    /// Moves text into `buf`. Returns whether there was any.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some(piece) = self.next.front_mut() else { return false };
        let is_done = match piece {
            Piece::Run(run) => {
                let room = u64::try_from(buf.remaining()).unwrap_or(u64::MAX);
                for _ in 0..run.count.min(room) {
                    buf.put_slice(&[run.byte]);
                }
                run.count -= run.count.min(room);
                run.count == 0
            }
            Piece::Bytes(bytes) => {
                let amount = bytes.len().min(buf.remaining());
                buf.put_slice(bytes.split_at(amount).0);
                bytes.drain(..amount);
                bytes.is_empty()
            }
        };
        if is_done {
            self.next.pop_front();
        }
        true
    }
}

/// Returns the length of `bytes` without the padding at their end.
fn text_bytes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| !is_padding(*byte)).map_or(0, |last| last + 1)
}

impl<R: AsyncRead + Unpin> AsyncRead for Unpadded<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if buf.remaining() == 0 || this.give(buf) || this.has_ended {
                return Poll::Ready(Ok(()));
            }
            if !this.held.is_empty() {
                ready!(this.poll_after(cx))?;
                continue;
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            let new = buf.filled().split_at(before).1;
            this.has_ended = new.is_empty();
            let text = text_bytes(new);
            this.hold(new.split_at(text).1);
            buf.set_filled(before + text);
            if text > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::testing::Split;

    /// Returns `bytes` without their padding, found the simple way.
    fn expected(bytes: &[u8]) -> &[u8] {
        let mut rest = bytes;
        for _ in 0..RUNS {
            let Some(&last) = rest.last().filter(|last| is_padding(**last)) else { break };
            rest = rest.split_at(rest.iter().rposition(|byte| *byte != last).map_or(0, |at| at + 1)).0;
        }
        rest
    }

    proptest! {
        #[test]
        fn only_the_end_is_left_out_however_the_bytes_arrive(
            bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(0x1a), Just(b'a')], 0..200),
            pieces in prop::collection::vec(1_usize..20, 1..10),
            room in 1_usize..30,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let found = runtime.block_on(async {
                let mut reader = Unpadded::new(Split::new(&bytes, &pieces));
                let (mut found, mut buffer) = (Vec::new(), vec![0; room]);
                loop {
                    match reader.read(&mut buffer).await.unwrap() {
                        0 => break found,
                        read => found.extend_from_slice(&buffer[..read]),
                    }
                }
            });
            prop_assert_eq!(found, expected(&bytes));
        }
    }
}
