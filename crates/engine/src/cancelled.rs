//! Looks up the invoices that an event of the same source cancels. They are put as cancelled, whether the event or the
//! invoice comes first.

use std::collections::VecDeque;

use notaflux_invoice::Invoice;
use notaflux_table::status;

use super::entry::{CancelledEntry, Entry, ItemPosition, ItemRole};
use super::error::Error;
use super::lists::{Lists, Stretch};
use super::merged::Merged;
use super::stamp::CancelledBy;
use super::work::Work;

/// The cancelled invoices of a segment. They must be looked up in the order of the source.
#[derive(Debug)]
pub(crate) struct Cancelled<'a> {
    lists: Lists<'a, CancelledEntry>,
    segment: usize,
}

impl<'a> Cancelled<'a> {
    /// Opens the lists of the partitions, for the records of `segment`.
    ///
    /// # Errors
    /// The work store; a damaged list.
    pub(crate) async fn open(work: &'a Work<'a>, merged: &Merged, segment: usize) -> Result<Self, Error> {
        let partitions = merged.cancelled.iter().enumerate().filter(|(_, count)| **count > 0);
        let partitions = partitions.map(|(number, count)| {
            let (key, length) = (work.cancelled_key(number), count * CancelledEntry::BYTES as u64);
            VecDeque::from([Stretch { key, start: 0, length, segment: 0 }])
        });
        Ok(Self { lists: Lists::open(work, partitions).await?, segment })
    }

    /// Returns the event that cancels the invoice with this role in the record at `byte`, if there is one.
    ///
    /// # Errors
    /// The work store; a damaged list.
    pub(crate) async fn event(&mut self, byte: u64, role: ItemRole) -> Result<Option<CancelledBy>, Error> {
        let entry = self.lists.at(ItemPosition::new(byte, role).in_segment(self.segment)).await?;
        let damaged = || Error::damaged("a list of cancelled invoices");
        entry.map(|entry| entry.stamp.event().ok_or_else(damaged)).transpose()
    }
}

/// Cancels `invoice` by `event`, unless its own status is later.
pub(crate) fn apply(event: CancelledBy, invoice: &mut Invoice<'_>) {
    status::cancel(invoice, event.at, Some(event.name.into()));
}
