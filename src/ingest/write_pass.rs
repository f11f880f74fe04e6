//! The write pass: reads a segment again and puts every record that is neither rejected nor superseded.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::stream::{self, TryStreamExt};
use tokio::sync::Notify;

use super::error::Error;
use super::judge::{Judged, judge};
use super::ledger::{Checkpoint, Cursor};
use super::superseded::Superseded;
use super::{Pace, Work};
use crate::layout::{Mapping, Record, Row, Scratch};
use crate::read::container::DecodedReader;
use crate::read::csv::{CsvReader, Position};
use crate::table::item::{self, SourceRef};
use crate::write::{Batch, BatchBuilder, Writer};

/// Batches between the oldest that is not acknowledged and the newest that is sent: what a resumed pass may put again.
const WINDOW_BATCHES: u64 = 1024;

/// Writes segment number `at` of the plan. Gives the items acknowledged.
///
/// # Errors
/// A source that cannot be read on; the work store; refusals of DynamoDB.
pub async fn write(work: &Work<'_>, writer: &Writer, at: usize, superseded: &mut Superseded<'_>) -> Result<u64, Error> {
    let mapping = work.segment(at)?.mapping()?;
    let window = Window::default();
    let mut pace = Pace::default();
    let mut items = 0;
    let feed = Feed::open(work, at, &mapping, superseded, writer.batch_limit_units()).await?;
    let batches = stream::try_unfold(feed, async |mut feed| {
        let batch = feed.next_batch(&window).await?;
        Ok::<_, Error>(batch.map(|batch| (batch, feed)))
    });
    let mut acknowledged = std::pin::pin!(
        batches
            .map_ok(async |batch| {
                let count = batch.len() as u64;
                Ok((writer.put(batch).await?, count))
            })
            .try_buffer_unordered(work.settings.calls_in_flight)
    );
    while let Some((number, count)) = acknowledged.try_next().await? {
        items += count;
        window.acknowledge(number);
        work.observe_written(count);
        if pace.is_due()
            && let Some(checkpoint) = window.checkpoint()
        {
            work.checkpoint(at, &checkpoint).await?;
        }
    }
    Ok(items)
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
        limit_units: u64,
    ) -> Result<Self, Error> {
        let planned = work.segment(segment)?;
        let start = Position { byte: planned.data_byte, line: planned.data_line };
        let csv = work.open(planned, start).await?;
        let (scratch, builder) = (Scratch::default(), BatchBuilder::new(limit_units));
        Ok(Self { work, segment, mapping, csv, scratch, superseded, builder, records: 0, batches: 0 })
    }

    /// The next batch, when the window has room for it; none at the end of the segment.
    async fn next_batch(&mut self, window: &Window) -> Result<Option<Batch<u64>>, Error> {
        window.room_for(self.batches).await;
        let mut first = None;
        while !self.builder.is_full() {
            let Some(raw) = self.csv.next().await? else { break };
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
            let encoded = item::encode_invoice(invoice, &source, &self.work.schema, self.builder.buffer());
            self.builder.push(start, &encoded);
        }
        let Some(first) = first else { return Ok(None) };
        let batch = self.builder.take(self.batches);
        window.send(self.batches, first, batch.len() as u64);
        self.batches += 1;
        Ok(Some(batch))
    }
}

/// The batches from the oldest that is not acknowledged on.
#[derive(Debug, Default)]
struct Window {
    state: Mutex<Sent>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Sent {
    batches: BTreeMap<u64, SentBatch>,
    /// Items of the batches before those.
    items: u64,
}

#[derive(Debug)]
struct SentBatch {
    /// Its first record.
    first: Cursor,
    items: u64,
    acknowledged: bool,
}

impl Window {
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

    fn send(&self, number: u64, first: Cursor, items: u64) {
        self.state().batches.insert(number, SentBatch { first, items, acknowledged: false });
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

    /// How far everything is acknowledged; none if all that was sent is.
    fn checkpoint(&self) -> Option<Checkpoint> {
        let state = self.state();
        let (_, oldest) = state.batches.first_key_value()?;
        Some(Checkpoint::Write { cursor: oldest.first, items: state.items })
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

    fn checkpoint(record: u64, items: u64) -> Checkpoint {
        Checkpoint::Write { cursor: cursor(record), items }
    }

    #[tokio::test]
    async fn the_checkpoint_is_the_first_record_not_acknowledged_and_the_items_before_it() {
        let window = Window::default();
        for number in 0..4 {
            window.room_for(number).await;
            window.send(number, cursor(number * 30), 25);
        }
        window.acknowledge(1);
        assert_eq!(window.checkpoint(), Some(checkpoint(0, 0)), "a later batch does not move it");
        window.acknowledge(0);
        assert_eq!(window.checkpoint(), Some(checkpoint(60, 50)));
        window.acknowledge(3);
        assert_eq!(window.checkpoint(), Some(checkpoint(60, 50)));
        window.acknowledge(2);
        assert_eq!(window.checkpoint(), None);
    }

    #[tokio::test]
    async fn the_window_holds_back_what_is_too_far_ahead() {
        let window = Window::default();
        window.send(0, cursor(0), 25);
        window.send(1, cursor(25), 25);
        window.acknowledge(1);
        let ahead = window.room_for(WINDOW_BATCHES);
        tokio::pin!(ahead);
        assert!(futures::poll!(ahead.as_mut()).is_pending());
        window.acknowledge(0);
        ahead.await;
    }
}
