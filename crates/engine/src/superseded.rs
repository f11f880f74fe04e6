//! Looks up the items that must not be put because their key comes again later in the source.

use std::collections::VecDeque;

use super::entry::{Entry, ItemPosition, ItemRole};
use super::error::Error;
use super::lists::{Lists, Stretch};
use super::merged::Merged;
use super::work::Work;

/// The superseded items of a segment. They must be looked up in the order of the source; of each record
/// [`ItemRole::Primary`] first.
#[derive(Debug)]
pub(crate) struct Superseded<'a> {
    lists: Lists<'a, ItemPosition>,
    segment: usize,
}

impl<'a> Superseded<'a> {
    /// Opens the lists of the partitions and of the blocks, for the records of `segment` from `byte` on.
    ///
    /// # Errors
    /// The work store; a damaged list.
    pub(crate) async fn open(work: &'a Work<'a>, merged: &Merged, segment: usize, byte: u64) -> Result<Self, Error> {
        let partitions = merged.partitions.iter().enumerate().filter(|(_, count)| **count > 0);
        let partitions = partitions.map(|(number, count)| {
            let (key, length) = (work.superseded_key(number), count * ItemPosition::BYTES as u64);
            VecDeque::from([Stretch { key, start: 0, length, segment: 0 }])
        });
        let blocks = merged.repeating.iter().filter(|block| block.segment == segment && block.end_byte > byte);
        let blocks = blocks.map(|block| {
            let key = work.block_key(segment, block.number);
            Stretch { key, start: block.start, length: block.length, segment }
        });
        let lists = Lists::open(work, partitions.chain([blocks.collect()])).await?;
        Ok(Self { lists, segment })
    }

    /// Whether this item of the record at `byte` is superseded.
    ///
    /// # Errors
    /// The work store; a damaged list.
    pub(crate) async fn contains(&mut self, byte: u64, role: ItemRole) -> Result<bool, Error> {
        Ok(self.lists.at(ItemPosition::new(byte, role).in_segment(self.segment)).await?.is_some())
    }
}
