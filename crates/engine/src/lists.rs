//! Sorted lists of the work store, merged into one order as the write pass meets their positions.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use bytes::Bytes;

use super::error::Error;
use super::merge::position;
use super::work::Work;

/// Bytes of all lists that are held at once. There are as many lists as the merge had partitions, and one of the blocks.
const HELD_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of one list that are read at once, at most and at least.
const READ_BYTES: (u64, u64) = (64 * 1024, 4 * 1024);

/// Lists of entries of `N` bytes that begin with a position. Must be asked in the order of the source.
#[derive(Debug)]
pub(super) struct Lists<'a, const N: usize> {
    work: &'a Work<'a>,
    each: Vec<List<N>>,
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    read_bytes: u64,
}

/// A sorted list, read piece by piece.
#[derive(Debug)]
struct List<const N: usize> {
    /// What is still to be read.
    parts: VecDeque<Part>,
    bytes: Bytes,
    /// The segment to set in the positions of `bytes`.
    segment: usize,
    /// The entry whose position is among the heads.
    head: [u8; N],
}

/// A stretch of an object that holds entries, and the segment to set in each position.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) key: String,
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) segment: usize,
}

impl<'a, const N: usize> Lists<'a, N> {
    /// Lists of these parts, each sorted throughout.
    ///
    /// # Errors
    /// The work store.
    pub(super) async fn open(work: &'a Work<'a>, lists: impl Iterator<Item = VecDeque<Part>>) -> Result<Self, Error> {
        let list = |parts| List { parts, bytes: Bytes::new(), segment: 0, head: [0; N] };
        let mut each: Vec<_> = lists.map(list).collect();
        let (most, least) = READ_BYTES;
        let read_bytes = (HELD_BYTES / each.len().max(1) as u64).clamp(least, most) / N as u64 * N as u64;
        let mut heads = BinaryHeap::with_capacity(each.len());
        for (at, list) in each.iter_mut().enumerate() {
            heads.extend(list.next(work, read_bytes).await?.map(|head| Reverse((head, at))));
        }
        Ok(Self { work, each, heads, read_bytes })
    }

    /// The entry at `asked`, if there is one.
    ///
    /// # Errors
    /// The work store.
    pub(super) async fn at(&mut self, asked: u64) -> Result<Option<[u8; N]>, Error> {
        let mut found = None;
        while let Some(&Reverse((head, at))) = self.heads.peek() {
            if head > asked {
                break;
            }
            self.heads.pop();
            if let Some(list) = self.each.get_mut(at) {
                if head == asked {
                    found = Some(list.head);
                }
                self.heads.extend(list.next(self.work, self.read_bytes).await?.map(|head| Reverse((head, at))));
            }
        }
        Ok(found)
    }
}

impl<const N: usize> List<N> {
    async fn next(&mut self, work: &Work<'_>, read_bytes: u64) -> Result<Option<u64>, Error> {
        loop {
            if let Some(entry) = self.bytes.first_chunk::<N>() {
                self.head = *entry;
                let place = entry.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
                self.bytes = self.bytes.slice(N..);
                return Ok(Some(position(self.segment, place)));
            }
            let Some(Part { key, start, length, segment }) = self.parts.pop_front() else { return Ok(None) };
            let now = length.min(read_bytes);
            self.bytes = work.store.get_range(&key, start, now).await?;
            self.segment = segment;
            if self.bytes.len() as u64 != now {
                return Err(Error::damaged(&key));
            }
            if length > now {
                self.parts.push_front(Part { key, start: start + now, length: length - now, segment });
            }
        }
    }
}
