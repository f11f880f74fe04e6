//! Reads sorted lists of the work store together, in the order in which the write pass meets their positions.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use bytes::{Buf, Bytes};

use super::entry::{Entry, ItemPosition};
use super::error::Error;
use super::work::Work;

/// Bytes of all lists in memory. There is a list for each partition of the merge, and one of the blocks.
const HELD_BYTES: u64 = 4 * 1024 * 1024;

/// Most and fewest bytes of one list that are read at once.
const READ_BYTES: (u64, u64) = (64 * 1024, 4 * 1024);

/// Sorted lists of entries. Positions must be looked up in the order of the source.
#[derive(Debug)]
pub(crate) struct Lists<'a, E> {
    work: &'a Work<'a>,
    each: Vec<List<E>>,
    /// The position of the next entry of each list, and the index of the list.
    heads: BinaryHeap<Reverse<(ItemPosition, usize)>>,
    read_bytes: u64,
}

/// A sorted list, read piece by piece.
#[derive(Debug)]
struct List<E> {
    unread: VecDeque<Stretch>,
    /// Entries that have been read but not decoded.
    bytes: Bytes,
    /// Key of the object of `bytes`, and the segment to set in its positions.
    read_from: (String, usize),
    /// The entry whose position is among the heads.
    next: Option<E>,
}

/// A stretch of an object that contains entries.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// Key of the object in the work store.
    pub(crate) key: String,
    /// First byte.
    pub(crate) start: u64,
    /// Length in bytes.
    pub(crate) length: u64,
    /// The segment to set in each position. 0: the positions contain their segment.
    pub(crate) segment: usize,
}

impl<'a, E: Entry> Lists<'a, E> {
    /// Opens lists of these stretches. The entries of each list must be sorted.
    ///
    /// # Errors
    /// The work store; a damaged list.
    pub(crate) async fn open(
        work: &'a Work<'a>,
        lists: impl Iterator<Item = VecDeque<Stretch>>,
    ) -> Result<Self, Error> {
        let list = |unread| List { unread, bytes: Bytes::new(), read_from: (String::new(), 0), next: None };
        let mut each: Vec<_> = lists.map(list).collect();
        let ((most, least), entry_bytes) = (READ_BYTES, E::BYTES as u64);
        let read_bytes = (HELD_BYTES / each.len().max(1) as u64).clamp(least, most) / entry_bytes * entry_bytes;
        let mut heads = BinaryHeap::with_capacity(each.len());
        for (at, list) in each.iter_mut().enumerate() {
            heads.extend(list.advance(work, read_bytes).await?.map(|head| Reverse((head, at))));
        }
        Ok(Self { work, each, heads, read_bytes })
    }

    /// Returns the entry at `position`, if there is one.
    ///
    /// # Errors
    /// The work store; a damaged list.
    pub(crate) async fn at(&mut self, position: ItemPosition) -> Result<Option<E>, Error> {
        let mut found = None;
        while let Some(&Reverse((head, at))) = self.heads.peek() {
            if head > position {
                break;
            }
            self.heads.pop();
            if let Some(list) = self.each.get_mut(at) {
                if head == position {
                    found = list.next;
                }
                self.heads.extend(list.advance(self.work, self.read_bytes).await?.map(|head| Reverse((head, at))));
            }
        }
        Ok(found)
    }
}

impl<E: Entry> List<E> {
    /// Moves on to the next entry. Returns its position; none at the end.
    async fn advance(&mut self, work: &Work<'_>, read_bytes: u64) -> Result<Option<ItemPosition>, Error> {
        while self.bytes.is_empty() {
            let Some(Stretch { key, start, length, segment }) = self.unread.pop_front() else { return Ok(None) };
            let now = length.min(read_bytes);
            self.bytes = work.store.get_range(&key, start, now).await?;
            if self.bytes.len() as u64 != now {
                return Err(Error::damaged(&key));
            }
            self.read_from = (key.clone(), segment);
            if length > now {
                self.unread.push_front(Stretch { key, start: start + now, length: length - now, segment });
            }
        }
        let (key, segment) = &self.read_from;
        let entry = self.bytes.get(..E::BYTES).and_then(E::decode).ok_or_else(|| Error::damaged(key))?;
        self.bytes.advance(E::BYTES);
        let entry = entry.in_segment(*segment);
        self.next = Some(entry);
        Ok(Some(entry.position()))
    }
}
