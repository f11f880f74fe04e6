//! The write pass: reads a segment again and puts every record that is neither rejected nor superseded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::ready;
use futures::stream::{self, Stream, TryStreamExt};
use tokio::sync::Notify;

use super::block::Part;
use super::cancelled::{self, Cancelled};
use super::classify::row_of;
use super::error::Error;
use super::finalize::{self, Merged};
use super::machine::Pause;
use super::plan::Segment;
use super::progress::{Cursor, Progress, Put};
use super::stop_signal::StopSignal;
use super::superseded::Superseded;
use super::work::{Ended, Slot, Work};
use notaflux_invoice::{Event, InvoiceFields, Line};
use notaflux_layout::{InvoiceRow, Mapping, Record, Scratch};
use notaflux_records::container::DecodedReader;
use notaflux_records::reader::RecordReader;
use notaflux_table::item::{self, Refusal, SourceRef};
use notaflux_table::schema::Schema;
use notaflux_write::{Batch, BatchBuilder, Cancellation, Tally, Writer, hashed};

/// Batches between the oldest that is not acknowledged and the newest that is sent: what a resumed pass may put again.
const WINDOW_BATCHES: u64 = 1024;

/// Where the write pass of a segment begins.
pub(super) fn beginning(segment: &Segment) -> Progress {
    let cursor = Cursor { byte: segment.data_byte, line: segment.data_line, record: 0 };
    Progress::Write { cursor, put: Put::default(), tally: Tally::default() }
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
    halt: &StopSignal,
) -> Result<Ended, Error> {
    let mapping = work.plan.mapping(work.segment(at)?)?;
    let merged = finalize::merged(work).await?;
    let Progress::Write { cursor, put, tally } = slot.get() else {
        return Err(Error::damaged("the ledger's progress of a write pass"));
    };
    let window = Window::new(cursor, put);
    let feed = Feed::open(work, at, &mapping, merged, cursor, writer.batches()).await?;
    let batches = stream::try_unfold(feed, async |mut feed| {
        let batch = feed.next_batch(&window, halt).await?;
        if batch.is_some() {
            slot.arrive();
        }
        Ok::<_, Error>(batch.map(|batch| (batch, feed)))
    });
    let batches = until_due(hashed(batches), halt, &window);
    let send = async |batch: Batch<Tag>| {
        let Tag { number, cancellations } = writer.put(batch).await?;
        // Behind the puts, so that an event whose update is done is there.
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
        slot.set(progress());
    }
    Ok(match window.halted() {
        Some(why) => Ended::Paused(progress(), why),
        None => Ended::Done(progress()),
    })
}

/// What of `batches` is to be sent: nothing once it is time to stop. Those that were made before are read again.
fn until_due<T>(
    batches: impl Stream<Item = Result<T, Error>>,
    halt: &StopSignal,
    window: &Window,
) -> impl Stream<Item = Result<T, Error>> {
    batches.try_take_while(|_| {
        let why = halt.is_due();
        if let Some(why) = why {
            window.halt(why);
        }
        ready(Ok(why.is_none()))
    })
}

/// What a batch is known by.
#[derive(Debug)]
struct Tag {
    number: u64,
    /// What its events do to invoices of other sources.
    cancellations: Vec<Cancellation>,
}

/// Turns records into batches.
struct Feed<'a> {
    work: &'a Work<'a>,
    segment: usize,
    mapping: &'a Mapping,
    reader: RecordReader<DecodedReader>,
    scratch: Scratch,
    superseded: Superseded<'a>,
    cancelled: Cancelled<'a>,
    builder: BatchBuilder,
    unsent: Unsent,
    records: u64,
    batches: u64,
}

/// The records that are in no batch yet, or not with all of their items, in order.
#[derive(Debug, Default)]
struct Unsent(VecDeque<UnsentRecord>);

#[derive(Debug)]
struct UnsentRecord {
    /// Where it starts.
    first: Cursor,
    /// Its items, and how many of them are in no batch yet.
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

    /// Takes `items` items off. Gives the records that end with them, and what those cancel.
    fn take(&mut self, mut items: usize) -> (Put, Vec<Cancellation>) {
        let (mut put, mut cancellations) = (Put::default(), Vec::new());
        while let Some(record) = self.0.front_mut().filter(|_| items > 0) {
            let now = record.left.min(items);
            (record.left, items) = (record.left - now, items - now);
            if record.left == 0 {
                put += Put { records: 1, items: record.items as u64 };
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

    /// The next batch, when the window has room for it; none at the end of the segment, or when it is time to stop.
    async fn next_batch(&mut self, window: &Window, halt: &StopSignal) -> Result<Option<Batch<Tag>>, Error> {
        let mut halted = std::pin::pin!(halt.due());
        tokio::select! {
            biased;
            () = window.room_for(self.batches) => {}
            why = &mut halted => {
                window.halt(why);
                return Ok(None);
            }
        }
        if let Some(why) = halt.is_due() {
            window.halt(why);
            return Ok(None);
        }
        while !self.builder.is_full() {
            let is_more = tokio::select! {
                biased;
                read = self.read_one() => read?,
                // What is in the builder so far was not sent, and is read again.
                why = &mut halted => {
                    window.halt(why);
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

    /// Reads a row and puts its items into the builder; false at the end of the segment.
    async fn read_one(&mut self) -> Result<bool, Error> {
        let Some(raw) = self.reader.next().await? else { return Ok(false) };
        let row = row_of(self.mapping, &raw, &mut self.scratch);
        if row.as_ref().is_ok_and(|row| self.mapping.is_trailer(row)) {
            return Ok(true);
        }
        let first = Cursor { byte: raw.byte, line: raw.line, record: self.records };
        self.records += 1;
        self.work.observe("write", self.segment, raw.end, self.records);
        if self.superseded.contains(first.byte, Part::Record).await? {
            return Ok(true);
        }
        let Ok(row) = row else { return Ok(true) };
        let Ok(record) = self.mapping.read(&row) else { return Ok(true) };
        let source = SourceRef { ingestion: self.work.plan.ingestion.as_str().into(), record: self.records };
        let (before, mut cancellation) = (self.builder.len(), None);
        let mut puts = Puts { builder: &mut self.builder, source, schema: self.work.schema };
        // What the survey rejected is neither superseded nor cancelled, so that all of it is tried here.
        let put = match record {
            Record::Invoice(invoice) => {
                let stamp = self.cancelled.stamp(first.byte, Part::Record).await?;
                puts.invoice(&invoice, stamp)
            }
            Record::Line(line) => puts.line(&line),
            Record::InvoiceLine(both) => {
                let (invoice, line) = *both;
                let is_needed = !self.superseded.contains(first.byte, Part::Besides).await?;
                let stamp = self.cancelled.stamp(first.byte, Part::Besides).await?;
                puts.line(&line).and_then(|()| if is_needed { puts.invoice(&invoice, stamp) } else { Ok(()) })
            }
            Record::InvoiceWithLines(all) => {
                let (invoice, lines) = *all;
                let stamp = self.cancelled.stamp(first.byte, Part::Record).await?;
                lines.iter().try_for_each(|line| puts.line(line)).and_then(|()| puts.invoice(&invoice, stamp))
            }
            Record::Event(event) => {
                if event.kind.cancels() && !self.superseded.contains(first.byte, Part::Besides).await? {
                    cancellation = Some(Cancellation::of(&event));
                }
                puts.event(&event)
            }
        };
        match put {
            Ok(()) => self.unsent.push(first, self.builder.len() - before, cancellation),
            // The survey has told it.
            Err(_) => self.builder.truncate(before),
        }
        Ok(true)
    }
}

/// Puts the items of a record into the builder.
struct Puts<'p> {
    builder: &'p mut BatchBuilder,
    source: SourceRef<'p>,
    schema: &'p Schema,
}

impl Puts<'_> {
    /// The invoice as the event of `stamp` makes it. Where DynamoDB would not take it so, as it is too large by then, it stays as
    /// its own row says; readers of it work its status out themselves.
    fn invoice(&mut self, invoice: &InvoiceRow<'_>, stamp: Option<u64>) -> Result<(), Refusal> {
        if let Some(stamp) = stamp {
            let mut cancelled = invoice.clone().whole();
            cancelled::apply(stamp, &mut cancelled);
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

/// The batches from the oldest that is not acknowledged on.
#[derive(Debug)]
struct Window {
    state: Mutex<Sent>,
    moved: Notify,
}

#[derive(Debug)]
struct Sent {
    batches: BTreeMap<u64, SentBatch>,
    /// The records that end before those.
    put: Put,
    /// Behind the newest of them: the first record that is not in them with all of its items.
    end: Cursor,
    /// Why no more are sent, if it is not for the end of the segment.
    halted: Option<Pause>,
}

#[derive(Debug)]
struct SentBatch {
    /// The record of its first item.
    first: Cursor,
    /// The records that end in it.
    put: Put,
    acknowledged: bool,
}

impl Window {
    fn new(start: Cursor, put: Put) -> Self {
        let sent = Sent { batches: BTreeMap::new(), put, end: start, halted: None };
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

    fn send(&self, number: u64, first: Cursor, put: Put, end: Cursor) {
        let mut state = self.state();
        state.batches.insert(number, SentBatch { first, put, acknowledged: false });
        state.end = end;
    }

    /// Notes that there is nothing to send up to `end`.
    fn read_to(&self, end: Cursor) {
        self.state().end = end;
    }

    /// Notes why nothing more is sent.
    fn halt(&self, why: Pause) {
        self.state().halted = Some(why);
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
            let put = oldest.remove().put;
            state.put += put;
        }
        drop(state);
        self.moved.notify_waiters();
    }

    /// How far everything is acknowledged, and what was put up to there.
    fn progress(&self) -> (Cursor, Put) {
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
    use notaflux_layout::Layout;
    use notaflux_table::item::ITEM_LIMIT_BYTES;
    use notaflux_testing::example_event;

    fn cursor(record: u64) -> Cursor {
        Cursor { byte: record * 100, line: record + 2, record }
    }

    fn put(records: u64) -> Put {
        Put { records, items: 2 * records }
    }

    #[tokio::test]
    async fn progress_is_the_first_record_not_acknowledged_and_the_items_before_it() {
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
        assert_eq!(window.progress(), (cursor(120), put(107)), "all of them: what comes behind the last");
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
        assert_eq!((unsent.first(), unsent.take(25)), (None, (Put::default(), Vec::new())));
        for (record, items) in [(0, 2), (1, 1), (2, 5)] {
            unsent.push(cursor(record), items, (record != 1).then(|| cancellation(&record.to_string())));
        }
        let put = |records, items| Put { records, items };
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
    fn an_invoice_that_is_too_large_as_a_cancelled_one_stays_what_it_is() {
        let mapping = Mapping::of_json(Arc::new(Layout::parse(LAYOUT).unwrap()), None).unwrap();
        let (schema, source) = (Schema::default(), SourceRef { ingestion: "9f2c".into(), record: 1 });
        let longest = SourceRef { record: u64::MAX, ..source.clone() };
        let stamp = cancelled::stamp(&example_event());
        let mut outcomes = Vec::new();
        for length in ITEM_LIMIT_BYTES - 700..ITEM_LIMIT_BYTES {
            let element = format!(r#"{{"id": "1", "issued": "02/11/2026", "text": "{}"}}"#, "x".repeat(length));
            let mut scratch = Scratch::default();
            let row = mapping.read_json(element.as_bytes(), &mut scratch).unwrap();
            let Record::Invoice(invoice) = mapping.read(&row).unwrap() else { unreachable!() };
            let mut builder = BatchBuilder::new("t", u64::MAX);
            let mut puts = Puts { builder: &mut builder, source: source.clone(), schema: &schema };
            let is_put = puts.invoice(&invoice, Some(stamp)).is_ok();
            // What the survey counts.
            assert_eq!(is_put, item::measure_invoice(&invoice, &longest, &schema).is_ok(), "{length}");
            let body = builder.take(()).body(&[0]).json;
            outcomes.push((is_put, memchr::memmem::find(&body, br#""cancelled""#).is_some()));
        }
        outcomes.dedup();
        assert_eq!(outcomes, [(true, true), (true, false), (false, false)]);
    }

    #[tokio::test]
    async fn what_was_made_before_is_not_sent_once_it_is_time_to_stop() {
        let token = tokio_util::sync::CancellationToken::new();
        let (halt, window) = (StopSignal::on(token.clone()), Window::new(cursor(0), put(0)));
        let made = stream::iter([1, 2, 3].map(Ok));
        let mut sent = std::pin::pin!(until_due(made, &halt, &window));
        assert_eq!(sent.try_next().await.unwrap(), Some(1));
        token.cancel();
        assert_eq!(sent.try_next().await.unwrap(), None);
        assert_eq!(window.halted(), Some(Pause::Asked));
    }

    #[tokio::test]
    async fn the_window_holds_back_what_is_too_far_ahead() {
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
