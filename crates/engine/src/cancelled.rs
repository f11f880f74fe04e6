//! Invoices that an event of the same source cancels: they are put as cancelled, whichever of the two comes first.

use std::collections::VecDeque;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::block::{self, Part};
use super::error::Error;
use super::finalize::Merged;
use super::lists::{self, Lists};
use super::merge::{CANCELLED_BYTES, position};
use super::work::Work;
use notaflux_invoice::event::CANCELLATIONS;
use notaflux_invoice::{Event, Invoice, Timestamp};
use notaflux_table::status;

/// Bits of a stamp: seconds since the year 1, then the offset, then the event's code.
const OFFSET_BITS: u32 = 13;
const CODE_BITS: u32 = 8;

/// Minutes added to an offset so that none is negative, and 0 is none at all: no offset has 26 hours.
const OFFSET_BASE: i32 = 26 * 60;

const FIRST: DateTime = jiff::civil::date(1, 1, 1).at(0, 0, 0, 0);

/// When and how an event cancels its invoice, so that a later one has a greater stamp.
pub(super) fn stamp(event: &Event<'_>) -> u64 {
    let seconds = event.at.local.duration_since(FIRST).as_secs();
    let seconds = u64::try_from(seconds).unwrap_or_default();
    let offset = event.at.offset.map_or(0, |offset| offset.seconds() / 60 + OFFSET_BASE);
    let offset = u64::try_from(offset).unwrap_or_default();
    let code = CANCELLATIONS.iter().position(|(code, _)| *code == event.code.as_str()).unwrap_or_default() as u64;
    (seconds << (OFFSET_BITS + CODE_BITS)) | (offset << CODE_BITS) | code
}

/// What a stamp says: when, and the official name of the event.
fn read(stamp: u64) -> Option<(Timestamp, &'static str)> {
    let bits = |from: u32, count: u32| (stamp >> from) & ((1 << count) - 1);
    let seconds = i64::try_from(stamp >> (OFFSET_BITS + CODE_BITS)).ok()?;
    let local = FIRST.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    let minutes = i32::try_from(bits(CODE_BITS, OFFSET_BITS)).ok()?;
    let offset = match minutes {
        0 => None,
        minutes => Some(Offset::from_seconds((minutes - OFFSET_BASE) * 60).ok()?),
    };
    let (_, name) = CANCELLATIONS.get(usize::try_from(bits(0, CODE_BITS)).ok()?)?;
    Some((Timestamp { local, offset }, name))
}

/// Tells of each invoice whether an event cancels it. Must be asked in the order of the source.
#[derive(Debug)]
pub(super) struct Cancelled<'a> {
    lists: Lists<'a, CANCELLED_BYTES>,
    segment: usize,
}

impl<'a> Cancelled<'a> {
    /// From the lists of the partitions, for the records of `segment`.
    ///
    /// # Errors
    /// The work store.
    pub(super) async fn open(work: &'a Work<'a>, merged: &Merged, segment: usize) -> Result<Self, Error> {
        let partitions = merged.cancelled.iter().enumerate().filter(|(_, count)| **count > 0);
        let partitions = partitions.map(|(number, count)| {
            let (key, length) = (work.cancelled_key(number), count * CANCELLED_BYTES as u64);
            VecDeque::from([lists::Part { key, start: 0, length, segment: 0 }])
        });
        Ok(Self { lists: Lists::open(work, partitions).await?, segment })
    }

    /// The stamp of the event that cancels the invoice which is this part of the record at `byte`.
    ///
    /// # Errors
    /// The work store.
    pub(super) async fn stamp(&mut self, byte: u64, part: Part) -> Result<Option<u64>, Error> {
        let entry = self.lists.at(position(self.segment, block::place(byte, part))).await?;
        Ok(entry.and_then(|entry| entry.last_chunk().copied().map(u64::from_be_bytes)))
    }
}

/// Makes `invoice` what the event of this stamp makes of it, unless its own status is later.
pub(super) fn apply(stamp: u64, invoice: &mut Invoice<'_>) {
    if let Some((at, name)) = read(stamp) {
        status::cancel(invoice, at, Some(name.into()));
    }
}
