//! The positions of superseded records, in the order of the source, as the write pass meets them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use bytes::Bytes;

use super::error::Error;
use super::merge::position;
use super::settle::Merged;
use super::work::Work;

/// Bytes of all lists that are held at once. There are as many lists as the merge had partitions, and one of the blocks.
const HELD_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of one list that are read at once, at most and at least.
const READ_BYTES: (u64, u64) = (4 * 1024, 64 * 1024);

/// Tells of each record whether its key comes again. Must be asked in the order of the source.
#[derive(Debug)]
pub(super) struct Superseded<'a> {
    work: &'a Work<'a>,
    lists: Vec<List>,
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    read_bytes: u64,
}

/// A sorted list of positions, read piece by piece.
#[derive(Debug, Default)]
struct List {
    /// What is still to be read: object, start, length, and the segment to set in each position.
    parts: VecDeque<Part>,
    bytes: Bytes,
    segment: usize,
}

/// A stretch of an object that holds positions, and the segment to set in each.
#[derive(Debug)]
struct Part {
    key: String,
    start: u64,
    length: u64,
    segment: usize,
}

impl<'a> Superseded<'a> {
    /// From the lists of the partitions and those of the blocks, for the records of `segment` from `byte` on.
    ///
    /// # Errors
    /// The work store.
    pub(super) async fn open(work: &'a Work<'a>, merged: &Merged, segment: usize, byte: u64) -> Result<Self, Error> {
        let partitions =
            merged.partitions.iter().enumerate().filter(|(_, count)| **count > 0).map(|(number, count)| {
                let part = Part { key: work.superseded_key(number), start: 0, length: count * 8, segment: 0 };
                List { parts: VecDeque::from([part]), ..List::default() }
            });
        let blocks = merged.repeating.iter().filter(|block| block.segment == segment && block.end_byte > byte);
        let blocks = blocks.map(|block| {
            let key = work.block_key(segment, block.number);
            Part { key, start: block.start, length: block.length, segment }
        });
        let mut lists: Vec<List> = partitions.collect();
        lists.push(List { parts: blocks.collect(), ..List::default() });
        let mut heads = BinaryHeap::with_capacity(lists.len());
        let read_bytes = (HELD_BYTES / lists.len() as u64).clamp(READ_BYTES.0, READ_BYTES.1) / 8 * 8;
        for (at, list) in lists.iter_mut().enumerate() {
            heads.extend(list.next(work, read_bytes).await?.map(|head| Reverse((head, at))));
        }
        Ok(Self { work, lists, heads, read_bytes })
    }

    /// Whether the record at `byte` of `segment` is superseded.
    ///
    /// # Errors
    /// The work store.
    pub(super) async fn contains(&mut self, segment: usize, byte: u64) -> Result<bool, Error> {
        let asked = position(segment, byte);
        let mut found = false;
        while let Some(&Reverse((head, at))) = self.heads.peek() {
            if head > asked {
                break;
            }
            found |= head == asked;
            self.heads.pop();
            if let Some(list) = self.lists.get_mut(at) {
                self.heads.extend(list.next(self.work, self.read_bytes).await?.map(|head| Reverse((head, at))));
            }
        }
        Ok(found)
    }
}

impl List {
    async fn next(&mut self, work: &Work<'_>, read_bytes: u64) -> Result<Option<u64>, Error> {
        loop {
            if let Some(bytes) = self.bytes.first_chunk::<8>() {
                let found = position(self.segment, u64::from_be_bytes(*bytes));
                self.bytes = self.bytes.slice(8..);
                return Ok(Some(found));
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
