//! The write pass: reads a segment again, and puts every record that is neither rejected nor superseded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::ready;
use futures::stream::{self, Stream, TryStreamExt};
use tokio::sync::Notify;

use notaflux_invoice::{Event, InvoiceFields, Line};
use notaflux_layout::{InvoiceRow, Mapping, Record, Scratch};
use notaflux_records::container::EntryReader;
use notaflux_records::reader::RecordReader;
use notaflux_table::item::{self, Refusal, SourceRef};
use notaflux_table::schema::Schema;
use notaflux_write::{Batch, BatchBuilder, Cancellation, Tally, Writer, hashed};

use super::cancelled::{self, Cancelled};
use super::checkpoint::{Checkpoint, Ended};
use super::classify::row_of;
use super::entry::ItemRole;
use super::error::Error;
use super::machine::Pause;
use super::merged::Merged;
use super::progress::{Cursor, Progress, PutCounts};
use super::segment::Segment;
use super::stamp::CancelledBy;
use super::stop_signal::StopSignal;
use super::superseded::Superseded;
use super::work::Work;

/// Most batches from the oldest unacknowledged one to the newest. A resumed pass may put as many again.
const WINDOW_BATCHES: u64 = 1024;

/// Returns the progress with which the write pass of a segment begins.
pub(crate) fn beginning(segment: &Segment) -> Progress {
    let cursor = Cursor { byte: segment.data_byte, line: segment.data_line, record: 0 };
    Progress::Write { cursor, put: PutCounts::default(), tally: Tally::default() }
}

/// Writes a segment of the plan from the checkpoint on.
///
/// # Errors
/// A source that cannot be read; the work store; refusals of DynamoDB; the end of the lease.
pub(crate) async fn write(
    work: &Work<'_>,
    writer: &Writer,
    number: usize,
    checkpoint: &Checkpoint,
    stop: &StopSignal,
) -> Result<Ended, Error> {
    let mapping = work.plan.mapping(work.segment(number)?)?;
    let merged = work.merged().await?;
    let Progress::Write { cursor, put, tally } = checkpoint.get() else {
        return Err(Error::damaged("the progress of a write pass"));
    };
    let window = Window::new(cursor, put);
    let feed = Feed::open(work, number, &mapping, merged, cursor, writer.batches()).await?;
    let batches = stream::try_unfold(feed, async |mut feed| {
        let batch = feed.next_batch(&window, stop).await?;
        if batch.is_some() {
            checkpoint.note_items();
        }
        Ok::<_, Error>(batch.map(|batch| (batch, feed)))
    });
    let batches = until_due(hashed(batches), stop, &window);
    let send = async |batch: Batch<Tag>| {
        let Tag { number, cancellations } = writer.put(batch).await?;
        // After the puts, so that the event is in the table before its invoice is updated.
        for cancellation in &cancellations {
            writer.cancel(cancellation).await?;
        }
        Ok(number)
    };
    let mut acknowledged = std::pin::pin!(batches.map_ok(send).try_buffer_unordered(work.settings.calls_in_flight));
    let progress = || {
        let (cursor, put) = window.progress();
        Progress::Write { cursor, put, tally: tally.plus(writer.tally()) }
    };
    while let Some(number) = acknowledged.try_next().await? {
        window.acknowledge(number);
        checkpoint.set(progress());
    }
    Ok(match window.stopped() {
        Some(why) => Ended::Paused(progress(), why),
        None => Ended::Done(progress()),
    })
}

/// Passes on `batches` until the stop signal is due. The next hop reads the others again.
fn until_due<T>(
    batches: impl Stream<Item = Result<T, Error>>,
    stop: &StopSignal,
    window: &Window,
) -> impl Stream<Item = Result<T, Error>> {
    batches.try_take_while(|_| {
        let why = stop.is_due();
        if let Some(why) = why {
            window.stop(why);
        }
        ready(Ok(why.is_none()))
    })
}

/// The number of a batch, and what to do once it is acknowledged.
#[derive(Debug)]
struct Tag {
    number: u64,
    /// Updates by its events to invoices of other sources.
    cancellations: Vec<Cancellation>,
}

/// Reads records and makes batches of their items.
struct Feed<'a> {
    work: &'a Work<'a>,
    segment: usize,
    mapping: &'a Mapping,
    reader: RecordReader<EntryReader>,
    scratch: Scratch,
    superseded: Superseded<'a>,
    cancelled: Cancelled<'a>,
    builder: BatchBuilder,
    unsent: Unsent,
    records: u64,
    batches: u64,
}

/// The records that have items in no batch yet, in order.
#[derive(Debug, Default)]
struct Unsent(VecDeque<UnsentRecord>);

#[derive(Debug)]
struct UnsentRecord {
    /// Where the record starts.
    first: Cursor,
    /// Number of its items, and of those in no batch yet.
    items: usize,
    left: usize,
    cancellation: Option<Cancellation>,
}

impl Unsent {
    fn push(&mut self, first: Cursor, items: usize, cancellation: Option<Cancellation>) {
        self.0.push_back(UnsentRecord { first, items, left: items, cancellation });
    }

    /// Where the oldest starts.
    fn first(&self) -> Option<Cursor> {
        self.0.front().map(|record| record.first)
    }

    /// Removes the first `items` items. Returns the counts of the records that are then complete, and their cancellations.
    fn take(&mut self, mut items: usize) -> (PutCounts, Vec<Cancellation>) {
        let (mut put, mut cancellations) = (PutCounts::default(), Vec::new());
        while let Some(record) = self.0.front_mut().filter(|_| items > 0) {
            let now = record.left.min(items);
            (record.left, items) = (record.left - now, items - now);
            if record.left == 0 {
                put += PutCounts { records: 1, items: record.items as u64 };
                cancellations.extend(record.cancellation.take());
                self.0.pop_front();
            }
        }
        (put, cancellations)
    }
}

impl<'a> Feed<'a> {
    async fn open(
        work: &'a Work<'a>,
        segment: usize,
        mapping: &'a Mapping,
        merged: &Merged,
        start: Cursor,
        builder: BatchBuilder,
    ) -> Result<Self, Error> {
        Ok(Self {
            work,
            segment,
            mapping,
            reader: work.read(work.segment(segment)?, start.position(), false).await?,
            scratch: Scratch::default(),
            superseded: Superseded::open(work, merged, segment, start.byte).await?,
            cancelled: Cancelled::open(work, merged, segment).await?,
            builder,
            unsent: Unsent::default(),
            records: start.record,
            batches: 0,
        })
    }

    /// Returns the next batch when the window has room for it; none at the end of the segment, or when the stop signal is due.
    async fn next_batch(&mut self, window: &Window, stop: &StopSignal) -> Result<Option<Batch<Tag>>, Error> {
        let mut stopped = std::pin::pin!(stop.due());
        tokio::select! {
            biased;
            () = window.room_for(self.batches) => {}
            why = &mut stopped => {
                window.stop(why);
                return Ok(None);
            }
        }
        if let Some(why) = stop.is_due() {
            window.stop(why);
            return Ok(None);
        }
        while !self.builder.is_full() {
            let is_more = tokio::select! {
                biased;
                read = self.read_one() => read?,
                // The items in the builder are not sent. The next hop reads their records again.
                why = &mut stopped => {
                    window.stop(why);
                    return Ok(None);
                }
            };
            if !is_more {
                break;
            }
        }
        let read_to = self.end();
        if self.builder.is_empty() {
            window.read_to(read_to);
            return Ok(None);
        }
        let first = self.unsent.first().unwrap_or(read_to);
        let (put, cancellations) = self.unsent.take(self.builder.next_len());
        let batch = self.builder.take(Tag { number: self.batches, cancellations });
        let end = self.unsent.first().unwrap_or(read_to);
        window.send(self.batches, first, put, end);
        self.batches += 1;
        Ok(Some(batch))
    }

    fn end(&self) -> Cursor {
        let end = self.reader.position();
        Cursor { byte: end.byte, line: end.line, record: self.records }
    }

    /// Reads a record and adds its items to the builder. Returns false at the end of the segment.
    async fn read_one(&mut self) -> Result<bool, Error> {
        let Some(raw) = self.reader.next().await? else { return Ok(false) };
        let row = row_of(self.mapping, &raw, &mut self.scratch);
        if row.as_ref().is_ok_and(|row| self.mapping.is_trailer(row) || self.mapping.is_header(row)) {
            return Ok(true);
        }
        let first = Cursor { byte: raw.byte, line: raw.line, record: self.records };
        self.records += 1;
        self.work.report_progress("write", self.segment, raw.end, self.records);
        if self.superseded.contains(first.byte, ItemRole::Primary).await? {
            return Ok(true);
        }
        let Ok(row) = row else { return Ok(true) };
        let Ok(record) = self.mapping.read(&row) else { return Ok(true) };
        let source = SourceRef { ingestion: self.work.plan.ingestion.as_str().into(), record: self.records };
        let before = self.builder.len();
        let puts = Puts { builder: &mut self.builder, source, schema: self.work.schema };
        let (superseded, cancelled) = (&mut self.superseded, &mut self.cancelled);
        match put(record, first.byte, puts, superseded, cancelled).await? {
            Ok(cancellation) => self.unsent.push(first, self.builder.len() - before, cancellation),
            // The survey has rejected it.
            Err(_) => self.builder.truncate(before),
        }
        Ok(true)
    }
}

/// Puts the items of the record at `byte` that are not superseded. Returns the update to an invoice of another source, if the
/// record is an event that needs one; a refusal for a record that the survey has rejected.
///
/// A rejected record is neither superseded nor cancelled, so all of its items are tried here.
async fn put(
    record: Record<'_, InvoiceRow<'_>>,
    byte: u64,
    mut puts: Puts<'_>,
    superseded: &mut Superseded<'_>,
    cancelled: &mut Cancelled<'_>,
) -> Result<Result<Option<Cancellation>, Refusal>, Error> {
    let mut cancellation = None;
    let put = match record {
        Record::Invoice(invoice) => {
            let event = cancelled.event(byte, ItemRole::Primary).await?;
            puts.invoice(&invoice, event)
        }
        Record::Line(line) => puts.line(&line),
        Record::InvoiceLine(both) => {
            let (invoice, line) = *both;
            let is_needed = !superseded.contains(byte, ItemRole::Secondary).await?;
            let event = cancelled.event(byte, ItemRole::Secondary).await?;
            puts.line(&line).and_then(|()| if is_needed { puts.invoice(&invoice, event) } else { Ok(()) })
        }
        Record::InvoiceWithLines(all) => {
            let (invoice, lines) = *all;
            let event = cancelled.event(byte, ItemRole::Primary).await?;
            lines.iter().try_for_each(|line| puts.line(line)).and_then(|()| puts.invoice(&invoice, event))
        }
        Record::Event(event) => {
            if event.kind.cancels() && !superseded.contains(byte, ItemRole::Secondary).await? {
                cancellation = Some(Cancellation::of(&event));
            }
            puts.event(&event)
        }
    };
    Ok(put.map(|()| cancellation))
}

/// Adds the items of a record to the builder.
struct Puts<'p> {
    builder: &'p mut BatchBuilder,
    source: SourceRef<'p>,
    schema: &'p Schema,
}

impl Puts<'_> {
    /// Adds the invoice as `event` changes it. If the changed invoice is too large for DynamoDB, adds the invoice as its own
    /// row describes it; readers then derive its status from the event.
    fn invoice(&mut self, invoice: &InvoiceRow<'_>, event: Option<CancelledBy>) -> Result<(), Refusal> {
        if let Some(event) = event {
            let mut cancelled = invoice.clone().whole();
            cancelled::apply(event, &mut cancelled);
            if self.fields(&cancelled).is_ok() {
                return Ok(());
            }
        }
        self.fields(invoice)
    }

    fn fields(&mut self, invoice: &impl InvoiceFields) -> Result<(), Refusal> {
        self.builder.push_with(|out| item::encode_invoice(invoice, &self.source, self.schema, out))
    }

    fn line(&mut self, line: &Line<'_>) -> Result<(), Refusal> {
        self.builder.push_with(|out| item::encode_line(line, &self.source, out))
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), Refusal> {
        self.builder.push_with(|out| item::encode_event(event, &self.source, out))
    }
}

/// The batches from the oldest unacknowledged one on.
#[derive(Debug)]
struct Window {
    state: Mutex<Sent>,
    moved: Notify,
}

#[derive(Debug)]
struct Sent {
    batches: BTreeMap<u64, SentBatch>,
    /// The records that are complete before those batches.
    put: PutCounts,
    /// After those batches: the first record with items that are in none of them.
    end: Cursor,
    /// Why no more batches are sent before the end of the segment.
    stopped: Option<Pause>,
}

#[derive(Debug)]
struct SentBatch {
    /// The record of its first item.
    first: Cursor,
    /// The records that are complete with it.
    put: PutCounts,
    acknowledged: bool,
}

impl Window {
    fn new(start: Cursor, put: PutCounts) -> Self {
        let sent = Sent { batches: BTreeMap::new(), put, end: start, stopped: None };
        Self { state: Mutex::new(sent), moved: Notify::new() }
    }

    /// Waits until batch `number` is less than [`WINDOW_BATCHES`] ahead of the oldest unacknowledged one.
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

    fn send(&self, number: u64, first: Cursor, put: PutCounts, end: Cursor) {
        let mut state = self.state();
        state.batches.insert(number, SentBatch { first, put, acknowledged: false });
        state.end = end;
    }

    /// Notes that the records up to `end` have no items to send.
    fn read_to(&self, end: Cursor) {
        self.state().end = end;
    }

    /// Notes why no more batches are sent.
    fn stop(&self, why: Pause) {
        self.state().stopped = Some(why);
    }

    fn stopped(&self) -> Option<Pause> {
        self.state().stopped
    }

    fn acknowledge(&self, number: u64) {
        let mut state = self.state();
        if let Some(batch) = state.batches.get_mut(&number) {
            batch.acknowledged = true;
        }
        while let Some(oldest) = state.batches.first_entry().filter(|oldest| oldest.get().acknowledged) {
            let put = oldest.remove().put;
            state.put += put;
        }
        drop(state);
        self.moved.notify_waiters();
    }

    /// Returns the cursor up to which all batches are acknowledged, and the counts up to there.
    fn progress(&self) -> (Cursor, PutCounts) {
        let state = self.state();
        let cursor = state.batches.first_key_value().map_or(state.end, |(_, oldest)| oldest.first);
        (cursor, state.put)
    }

    fn state(&self) -> MutexGuard<'_, Sent> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use notaflux_invoice::event::CANCELLATIONS;
    use notaflux_layout::Layout;
    use notaflux_table::item::ITEM_LIMIT_BYTES;
    use notaflux_testing::example_event;

    fn cursor(record: u64) -> Cursor {
        Cursor { byte: record * 100, line: record + 2, record }
    }

    fn put(records: u64) -> PutCounts {
        PutCounts { records, items: 2 * records }
    }

    #[tokio::test]
    async fn progress_is_the_first_unacknowledged_record_and_the_counts_before_it() {
        let window = Window::new(cursor(0), put(7));
        assert_eq!(window.progress(), (cursor(0), put(7)));
        for number in 0..4 {
            window.room_for(number).await;
            window.send(number, cursor(number * 30), put(25), cursor(number * 30 + 30));
        }
        window.acknowledge(1);
        assert_eq!(window.progress(), (cursor(0), put(7)), "a later batch does not move it");
        window.acknowledge(0);
        assert_eq!(window.progress(), (cursor(60), put(57)));
        window.acknowledge(3);
        assert_eq!(window.progress(), (cursor(60), put(57)));
        window.acknowledge(2);
        assert_eq!(window.progress(), (cursor(120), put(107)), "all of them: the record after the last one");
        window.read_to(cursor(150));
        assert_eq!(window.progress(), (cursor(150), put(107)), "superseded records need no write");
    }

    #[test]
    fn a_record_counts_with_the_batch_that_has_its_last_item() {
        let cancellation = |id: &str| {
            let at = notaflux_invoice::Timestamp::from_plain("2026-11-02T10:00:00").unwrap();
            Cancellation { id: id.to_owned(), at, text: None }
        };
        let mut unsent = Unsent::default();
        assert_eq!((unsent.first(), unsent.take(25)), (None, (PutCounts::default(), Vec::new())));
        for (record, items) in [(0, 2), (1, 1), (2, 5)] {
            unsent.push(cursor(record), items, (record != 1).then(|| cancellation(&record.to_string())));
        }
        let put = |records, items| PutCounts { records, items };
        assert_eq!(unsent.take(1), (put(0, 0), Vec::new()), "half a record");
        assert_eq!(unsent.first(), Some(cursor(0)), "a resumed pass puts all of it again");
        assert_eq!(unsent.take(4), (put(2, 3), vec![cancellation("0")]));
        assert_eq!(unsent.first(), Some(cursor(2)));
        assert_eq!(unsent.take(3), (put(1, 5), vec![cancellation("2")]));
        assert_eq!(unsent.first(), None);
    }

    /// A layout of one text, and events that cancel.
    const LAYOUT: &str = r#"
name = "test"
title = "test"
format = "json"
requires = ["id"]

[id.natural_key]
name = "test"
from = ["id"]

[invoice]
issued_at = "issued"
operation = "text"
"#;

    #[test]
    fn an_invoice_that_would_be_too_large_once_cancelled_is_put_as_it_is() {
        let mapping = Mapping::of_json(Arc::new(Layout::parse(LAYOUT).unwrap()), None).unwrap();
        let (schema, source) = (Schema::default(), SourceRef { ingestion: "9f2c".into(), record: 1 });
        let longest = SourceRef { record: u64::MAX, ..source.clone() };
        let event = example_event();
        let cancelled = CancelledBy { at: event.at, name: CANCELLATIONS[0].1 };
        let mut outcomes = Vec::new();
        for length in ITEM_LIMIT_BYTES - 700..ITEM_LIMIT_BYTES {
            let element = format!(r#"{{"id": "1", "issued": "02/11/2026", "text": "{}"}}"#, "x".repeat(length));
            let mut scratch = Scratch::default();
            let row = mapping.read_json(element.as_bytes(), &mut scratch).unwrap();
            let Record::Invoice(invoice) = mapping.read(&row).unwrap() else { unreachable!() };
            let mut builder = BatchBuilder::new("t", u64::MAX);
            let mut puts = Puts { builder: &mut builder, source: source.clone(), schema: &schema };
            let is_put = puts.invoice(&invoice, Some(cancelled)).is_ok();
            // The survey makes the same decision.
            assert_eq!(is_put, item::measure_invoice(&invoice, &longest, &schema).is_ok(), "{length}");
            let body = builder.take(()).body(&[0]).json;
            outcomes.push((is_put, memchr::memmem::find(&body, br#""cancelled""#).is_some()));
        }
        outcomes.dedup();
        assert_eq!(outcomes, [(true, true), (true, false), (false, false)]);
    }

    #[tokio::test]
    async fn batches_that_are_ready_are_not_sent_after_the_stop_signal() {
        let token = tokio_util::sync::CancellationToken::new();
        let (stop, window) = (StopSignal::on(token.clone()), Window::new(cursor(0), put(0)));
        let made = stream::iter([1, 2, 3].map(Ok));
        let mut sent = std::pin::pin!(until_due(made, &stop, &window));
        assert_eq!(sent.try_next().await.unwrap(), Some(1));
        token.cancel();
        assert_eq!(sent.try_next().await.unwrap(), None);
        assert_eq!(window.stopped(), Some(Pause::Asked));
    }

    #[tokio::test]
    async fn the_window_delays_a_batch_that_is_too_far_ahead() {
        let window = Window::new(cursor(0), put(0));
        window.send(0, cursor(0), put(25), cursor(25));
        window.send(1, cursor(25), put(25), cursor(50));
        window.acknowledge(1);
        let ahead = window.room_for(WINDOW_BATCHES);
        tokio::pin!(ahead);
        assert!(futures::poll!(ahead.as_mut()).is_pending());
        window.acknowledge(0);
        ahead.await;
    }
}
