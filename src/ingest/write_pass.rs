//! The write pass: reads a segment again and puts every record that is neither rejected nor superseded.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::stream::{self, TryStreamExt};
use tokio::sync::Notify;

use super::error::Error;
use super::halt::Halt;
use super::judge::{Judged, judge};
use super::machine::Pause;
use super::plan::Segment;
use super::progress::{Cursor, Progress};
use super::settle;
use super::superseded::Superseded;
use super::work::{Ended, Slot, Work};
use crate::layout::{Mapping, Record, Row, Scratch};
use crate::read::container::DecodedReader;
use crate::read::csv::CsvReader;
use crate::table::item::{self, SourceRef};
use crate::write::{Batch, BatchBuilder, Tally, Writer};

/// Batches between the oldest that is not acknowledged and the newest that is sent: what a resumed pass may put again.
const WINDOW_BATCHES: u64 = 1024;

/// Where the write pass of a segment begins.
pub(super) fn beginning(segment: &Segment) -> Progress {
    let cursor = Cursor { byte: segment.data_byte, line: segment.data_line, record: 0 };
    Progress::Write { cursor, items: 0, tally: Tally::default() }
}

/// Writes segment number `at` of the plan, from where the slot says.
///
/// # Errors
/// A source that cannot be read on; the work store; refusals of DynamoDB; the end of the lease.
pub(super) async fn write(
    work: &Work<'_>,
    writer: &Writer,
    at: usize,
    slot: &Slot,
    halt: &Halt,
) -> Result<Ended, Error> {
    let mapping = work.segment(at)?.mapping()?;
    let merged = settle::merged(work).await?;
    let Progress::Write { cursor, items, tally } = slot.get() else {
        return Err(Error::damaged("the ledger's progress of a write pass"));
    };
    let mut superseded = Superseded::open(work, &merged, at, cursor.byte).await?;
    let window = Window::new(cursor, items);
    let feed = Feed::open(work, at, &mapping, &mut superseded, cursor, writer.batch_limit_units()).await?;
    let batches = stream::try_unfold(feed, async |mut feed| {
        let batch = feed.next_batch(&window, halt).await?;
        if batch.is_some() {
            slot.arrive();
        }
        Ok::<_, Error>(batch.map(|batch| (batch, feed)))
    });
    let mut acknowledged = std::pin::pin!(
        batches.map_ok(async |batch| Ok(writer.put(batch).await?)).try_buffer_unordered(work.settings.calls_in_flight)
    );
    let progress = || {
        let (cursor, items) = window.progress();
        Progress::Write { cursor, items, tally: tally.plus(writer.tally()) }
    };
    while let Some(number) = acknowledged.try_next().await? {
        window.acknowledge(number);
        slot.set(progress());
    }
    Ok(match window.halted() {
        Some(why) => Ended::Paused(progress(), why),
        None => Ended::Done(progress()),
    })
}

/// Turns records into batches.
struct Feed<'a, 's> {
    work: &'a Work<'a>,
    segment: usize,
    mapping: &'a Mapping,
    csv: CsvReader<DecodedReader>,
    scratch: Scratch,
    superseded: &'a mut Superseded<'s>,
    builder: BatchBuilder,
    records: u64,
    batches: u64,
}

impl<'a, 's> Feed<'a, 's> {
    async fn open(
        work: &'a Work<'a>,
        segment: usize,
        mapping: &'a Mapping,
        superseded: &'a mut Superseded<'s>,
        start: Cursor,
        limit_units: u64,
    ) -> Result<Self, Error> {
        let csv = work.read(work.segment(segment)?, start.position(), false).await?;
        let (scratch, builder) = (Scratch::default(), BatchBuilder::new(limit_units));
        Ok(Self { work, segment, mapping, csv, scratch, superseded, builder, records: start.record, batches: 0 })
    }

    /// The next batch, when the window has room for it; none at the end of the segment, or when it is time to stop.
    async fn next_batch(&mut self, window: &Window, halt: &Halt) -> Result<Option<Batch<u64>>, Error> {
        let mut halted = std::pin::pin!(halt.due());
        tokio::select! {
            biased;
            () = window.room_for(self.batches) => {}
            why = &mut halted => return Ok(window.halt(why)),
        }
        if let Some(why) = halt.is_due() {
            return Ok(window.halt(why));
        }
        let mut first = None;
        while !self.builder.is_full() {
            let raw = tokio::select! {
                biased;
                raw = self.csv.next() => raw?,
                // What is in the batch so far was not sent, and is read again.
                why = &mut halted => return Ok(window.halt(why)),
            };
            let Some(raw) = raw else { break };
            let before = Cursor { byte: raw.byte, line: raw.line, record: self.records };
            self.records += 1;
            self.work.observe("write", self.segment, raw.end, self.records);
            if self.superseded.contains(self.segment, raw.byte).await? {
                continue;
            }
            let row = Row::decode(raw.fields, &mut self.scratch);
            let Ok(Judged { record, .. }) = judge(self.mapping, &row, self.work) else { continue };
            first.get_or_insert(before);
            let source = SourceRef { ingestion: self.work.plan.ingestion.as_str().into(), record: self.records };
            let start = self.builder.buffer().len();
            let Record::Invoice(invoice) = &record;
            let encoded = item::encode_invoice(invoice, &source, self.work.schema, self.builder.buffer());
            self.builder.push(start, &encoded);
        }
        let end = self.csv.position();
        let end = Cursor { byte: end.byte, line: end.line, record: self.records };
        let Some(first) = first else {
            window.read_to(end);
            return Ok(None);
        };
        let batch = self.builder.take(self.batches);
        window.send(self.batches, first, batch.len() as u64, end);
        self.batches += 1;
        Ok(Some(batch))
    }
}

/// The batches from the oldest that is not acknowledged on.
#[derive(Debug)]
struct Window {
    state: Mutex<Sent>,
    moved: Notify,
}

#[derive(Debug)]
struct Sent {
    batches: BTreeMap<u64, SentBatch>,
    /// Items of the batches before those.
    items: u64,
    /// Behind the newest of them.
    end: Cursor,
    /// Why no more are sent, if it is not for the end of the segment.
    halted: Option<Pause>,
}

#[derive(Debug)]
struct SentBatch {
    /// Its first record.
    first: Cursor,
    items: u64,
    acknowledged: bool,
}

impl Window {
    fn new(start: Cursor, items: u64) -> Self {
        let sent = Sent { batches: BTreeMap::new(), items, end: start, halted: None };
        Self { state: Mutex::new(sent), moved: Notify::new() }
    }

    /// Waits until batch `number` is not too far ahead of the oldest that is not acknowledged.
    async fn room_for(&self, number: u64) {
        loop {
            let moved = self.moved.notified();
            let oldest = self.state().batches.first_key_value().map(|(oldest, _)| *oldest);
            if oldest.is_none_or(|oldest| number < oldest + WINDOW_BATCHES) {
                return;
            }
            moved.await;
        }
    }

    fn send(&self, number: u64, first: Cursor, items: u64, end: Cursor) {
        let mut state = self.state();
        state.batches.insert(number, SentBatch { first, items, acknowledged: false });
        state.end = end;
    }

    /// Notes that there is nothing to send up to `end`.
    fn read_to(&self, end: Cursor) {
        self.state().end = end;
    }

    /// Notes why nothing more is sent, and gives no batch.
    fn halt<T>(&self, why: Pause) -> Option<T> {
        self.state().halted = Some(why);
        None
    }

    fn halted(&self) -> Option<Pause> {
        self.state().halted
    }

    fn acknowledge(&self, number: u64) {
        let mut state = self.state();
        if let Some(batch) = state.batches.get_mut(&number) {
            batch.acknowledged = true;
        }
        while let Some(oldest) = state.batches.first_entry().filter(|oldest| oldest.get().acknowledged) {
            let items = oldest.remove().items;
            state.items += items;
        }
        drop(state);
        self.moved.notify_waiters();
    }

    /// How far everything is acknowledged, and the items up to there.
    fn progress(&self) -> (Cursor, u64) {
        let state = self.state();
        let cursor = state.batches.first_key_value().map_or(state.end, |(_, oldest)| oldest.first);
        (cursor, state.items)
    }

    fn state(&self) -> MutexGuard<'_, Sent> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(record: u64) -> Cursor {
        Cursor { byte: record * 100, line: record + 2, record }
    }

    #[tokio::test]
    async fn progress_is_the_first_record_not_acknowledged_and_the_items_before_it() {
        let window = Window::new(cursor(0), 7);
        assert_eq!(window.progress(), (cursor(0), 7));
        for number in 0..4 {
            window.room_for(number).await;
            window.send(number, cursor(number * 30), 25, cursor(number * 30 + 30));
        }
        window.acknowledge(1);
        assert_eq!(window.progress(), (cursor(0), 7), "a later batch does not move it");
        window.acknowledge(0);
        assert_eq!(window.progress(), (cursor(60), 57));
        window.acknowledge(3);
        assert_eq!(window.progress(), (cursor(60), 57));
        window.acknowledge(2);
        assert_eq!(window.progress(), (cursor(120), 107), "all of them: what comes behind the last");
        window.read_to(cursor(150));
        assert_eq!(window.progress(), (cursor(150), 107), "superseded records need no write");
    }

    #[tokio::test]
    async fn the_window_holds_back_what_is_too_far_ahead() {
        let window = Window::new(cursor(0), 0);
        window.send(0, cursor(0), 25, cursor(25));
        window.send(1, cursor(25), 25, cursor(50));
        window.acknowledge(1);
        let ahead = window.room_for(WINDOW_BATCHES);
        tokio::pin!(ahead);
        assert!(futures::poll!(ahead.as_mut()).is_pending());
        window.acknowledge(0);
        ahead.await;
    }
}
