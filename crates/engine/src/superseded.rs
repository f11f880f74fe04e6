//! The items that must not be put, as a key of theirs comes again later in the source.

use std::collections::VecDeque;

use super::block::{self, Part};
use super::error::Error;
use super::finalize::Merged;
use super::lists::{self, Lists};
use super::merge::position;
use super::work::Work;

/// Bytes of a position.
const POSITION_BYTES: u64 = 8;

/// Tells of each record whether its key comes again. Must be asked in the order of the source, of each record for its
/// [`Part::Record`] first.
#[derive(Debug)]
pub(super) struct Superseded<'a> {
    lists: Lists<'a, 8>,
    segment: usize,
}

impl<'a> Superseded<'a> {
    /// From the lists of the partitions and those of the blocks, for the records of `segment` from `byte` on.
    ///
    /// # Errors
    /// The work store.
    pub(super) async fn open(work: &'a Work<'a>, merged: &Merged, segment: usize, byte: u64) -> Result<Self, Error> {
        let partitions = merged.partitions.iter().enumerate().filter(|(_, count)| **count > 0);
        let partitions = partitions.map(|(number, count)| {
            let (key, length) = (work.superseded_key(number), count * POSITION_BYTES);
            VecDeque::from([lists::Part { key, start: 0, length, segment: 0 }])
        });
        let blocks = merged.repeating.iter().filter(|block| block.segment == segment && block.end_byte > byte);
        let blocks = blocks.map(|block| {
            let key = work.block_key(segment, block.number);
            lists::Part { key, start: block.start, length: block.length, segment }
        });
        let lists = Lists::open(work, partitions.chain([blocks.collect()])).await?;
        Ok(Self { lists, segment })
    }

    /// Whether this part of the record at `byte` is superseded.
    ///
    /// # Errors
    /// The work store.
    pub(super) async fn contains(&mut self, byte: u64, part: Part) -> Result<bool, Error> {
        Ok(self.lists.at(position(self.segment, block::place(byte, part))).await?.is_some())
    }
}
