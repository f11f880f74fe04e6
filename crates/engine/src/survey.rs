//! The survey: reads a segment, writes nothing to the table, and leaves a block in the work store for each stretch of it.

use std::collections::VecDeque;
use std::str::Utf8Error;

use encoding_rs::WINDOWS_1252;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::block::{BlockBuilder, BlockReject};
use super::classify::{Judged, Units, judge, key_of, row_of};
use super::error::Error;
use super::machine::Pause;
use super::plan::Segment;
use super::progress::{Cursor, Progress};
use super::stop_signal::StopSignal;
use super::store::StoreError;
use super::work::{Ended, Slot, Work};
use super::{cancelled, merge};
use notaflux_layout::{InvoiceRow, Record, Reject, Row, Scratch, Unreadable};
use notaflux_records::ReadError;
use notaflux_records::record::{Content, Format, Position, RAW_LIMIT_BYTES, RawRecord, Shape};
use notaflux_table::keys::{Key, key_hash};

/// Blocks on their way to the work store at once: hides the latency of a put behind the parsing of the next block.
const UPLOADS_LIMIT: usize = 3;

/// Records between two looks at whether to stop: a look costs as much as a tenth of a record.
const LOOK_RECORDS: u64 = 256;

/// Where the survey of a segment begins.
pub(super) fn beginning(segment: &Segment) -> Progress {
    let cursor = Cursor { byte: segment.data_byte, line: segment.data_line, record: 0 };
    Progress::Survey { block: 0, cursor, keys: 0, rejected: 0 }
}

/// Surveys segment number `at` of the plan, from where the slot says. Each record is shown to `seen`, as a row where it can be
/// one, and what it is found to be.
///
/// # Errors
/// A source that cannot be read on, is damaged, or has a record whose end is not certain; the work store.
pub(super) async fn survey(
    work: &Work<'_>,
    at: usize,
    slot: &Slot,
    halt: &StopSignal,
    mut seen: impl FnMut(&RawRecord<'_>, Option<&Row<'_>>, &Result<Judged<'_>, Reject>),
) -> Result<Ended, Error> {
    let segment = work.segment(at)?;
    let mapping = work.plan.mapping(segment)?;
    let mut blocks = Blocks::new(work, at, slot)?;
    let mut records = work.read(segment, blocks.begun.position(), true).await?;
    let mut scratch = Scratch::default();
    let mut halted = std::pin::pin!(halt.due());
    loop {
        if blocks.records().is_multiple_of(LOOK_RECORDS)
            && let Some(why) = halt.is_due()
        {
            return blocks.pause(why).await;
        }
        let raw = tokio::select! {
            biased;
            raw = records.next() => raw?,
            why = &mut halted => return blocks.pause(why).await,
        };
        let Some(raw) = raw else { break };
        if blocks.open.ends_before(raw.byte) {
            blocks.close(Position { byte: raw.byte, line: raw.line }).await?;
        }
        match row_of(&mapping, &raw, &mut scratch) {
            Ok(row) if mapping.is_trailer(&row) => blocks.open.pass_over(),
            Ok(row) => {
                let judged = judge(&mapping, &row, work);
                seen(&raw, Some(&row), &judged);
                blocks.take(&raw, judged)?;
            }
            Err(unreadable) => {
                let reject = unreadable_as_reject(unreadable, &raw, work, segment)?;
                seen(&raw, None, &Err(reject.clone()));
                blocks.take(&raw, Err(reject))?;
            }
        }
        if raw.unclosed_quote {
            return Err(Error::UnclosedQuote { place: work.place(segment, raw.byte, raw.line) });
        }
        work.observe("survey", at, raw.end, blocks.records());
    }
    let end = records.position();
    blocks.finish(end).await
}

/// The reject that an element of JSON is, told where it shows.
///
/// # Errors
/// What cannot be a reject: behind something that is no JSON nothing is certain, but in lines.
fn unreadable_as_reject(
    unreadable: Unreadable,
    raw: &RawRecord<'_>,
    work: &Work<'_>,
    segment: &Segment,
) -> Result<Reject, Error> {
    let Unreadable { at, reject, broken } = unreadable;
    let byte = raw.byte + at as u64;
    let before = match raw.content {
        Content::Json(element) => element.get(..at).unwrap_or(element),
        _ => &[],
    };
    let line = raw.line + memchr::memchr_iter(b'\n', before).count() as u64;
    match broken {
        Some((expected, found)) if segment.format != Format::Json(Shape::Lines) => {
            let place = Box::new(work.place(segment, byte, line));
            Err(ReadError::InvalidJson { place, expected, found }.into())
        }
        _ if at == 0 => Ok(reject),
        _ if line == raw.line => Ok(Reject { message: format!("byte {byte}: {}", reject.message), ..reject }),
        _ => Ok(Reject { message: format!("line {line}, byte {byte}: {}", reject.message), ..reject }),
    }
}

/// Takes a valid record into its block.
fn accept(record: &Record<'_, InvoiceRow<'_>>, byte: u64, units: Units, block: &mut BlockBuilder) {
    record.warnings().for_each(|warning| block.warn(warning.as_str()));
    block.accept(key_of(record), byte, units);
    if matches!(record, Record::InvoiceLine(_)) {
        block.accept_besides(Key::Invoice(record.id()), byte);
    }
    if let Record::Event(event) = record
        && event.kind.cancels()
    {
        block.cancel(key_hash(&event.invoice, ""), byte, cancelled::stamp(event));
    }
}

/// The blocks of one segment in the making.
struct Blocks<'a> {
    work: &'a Work<'a>,
    slot: &'a Slot,
    segment: usize,
    open: BlockBuilder,
    begun: Cursor,
    /// Blocks closed so far, and what is in them.
    closed: u32,
    keys: u64,
    rejected: u64,
    /// Each on its way to the store, and how far the survey is when it lies there.
    uploads: VecDeque<(JoinHandle<Result<(), StoreError>>, Progress)>,
}

impl<'a> Blocks<'a> {
    fn new(work: &'a Work<'a>, segment: usize, slot: &'a Slot) -> Result<Self, Error> {
        let Progress::Survey { block: closed, cursor: begun, keys, rejected } = slot.get() else {
            return Err(Error::damaged("the ledger's progress of a survey"));
        };
        let open = BlockBuilder::new(begun.byte, work.plan.block_bytes);
        Ok(Self { work, slot, segment, open, begun, closed, keys, rejected, uploads: VecDeque::new() })
    }

    /// Takes in what a record was found to be.
    fn take(&mut self, raw: &RawRecord<'_>, judged: Result<Judged<'_>, Reject>) -> Result<(), Error> {
        match judged {
            Ok(Judged { record, units }) => accept(&record, raw.byte, units, &mut self.open),
            Err(reject) => {
                self.reject(raw, &reject)?;
                let last = || format!("the last one, at line {}: {}", raw.line, reject.message);
                self.work.check_rejects(self.rejected(), self.records(), false, last)?;
            }
        }
        Ok(())
    }

    fn reject(&mut self, raw: &RawRecord<'_>, reject: &Reject) -> Result<(), Error> {
        let reject = BlockReject {
            line: raw.line - self.begun.line,
            record: self.open.records(),
            byte: raw.byte,
            length: raw.end - raw.byte,
            reason: reject.reason.as_str().to_owned(),
            message: reject.message.clone(),
            raw: text_of(raw.raw()),
        };
        self.open.reject(&reject).map_err(Error::corrupt("a reject"))
    }

    fn records(&self) -> u64 {
        self.begun.record + self.open.records()
    }

    fn rejected(&self) -> u64 {
        self.rejected + self.open.rejected()
    }

    async fn close(&mut self, end: Position) -> Result<(), Error> {
        let next = BlockBuilder::new(end.byte, self.work.plan.block_bytes);
        let block = std::mem::replace(&mut self.open, next);
        let (header, bytes) =
            block.finish(end.byte, end.line - self.begun.line).map_err(Error::corrupt("a block's header"))?;
        let key = self.work.block_key(self.segment, self.closed);
        self.begun = Cursor { byte: end.byte, line: end.line, record: self.begun.record + header.records };
        self.closed += 1;
        self.keys += merge::weight(&header);
        self.rejected += header.rejected;
        while self.uploads.len() >= UPLOADS_LIMIT {
            self.join_one().await?;
        }
        let (block, cursor, keys, rejected) = (self.closed, self.begun, self.keys, self.rejected);
        let progress = Progress::Survey { block, cursor, keys, rejected };
        let store = self.work.store.clone();
        let upload = async move { store.put(&key, bytes).await };
        self.uploads.push_back((tokio::spawn(upload.in_current_span()), progress));
        Ok(())
    }

    async fn join_one(&mut self) -> Result<(), Error> {
        let Some((upload, progress)) = self.uploads.pop_front() else { return Ok(()) };
        upload.await.map_err(Error::corrupt("a block"))??;
        self.slot.set(progress);
        Ok(())
    }

    async fn settle(&mut self) -> Result<Progress, Error> {
        while !self.uploads.is_empty() {
            self.join_one().await?;
        }
        Ok(self.slot.get())
    }

    async fn finish(mut self, end: Position) -> Result<Ended, Error> {
        // Where the hop before ended at the very end there is nothing left, and a block too many would be one.
        if self.closed == 0 || end.byte > self.begun.byte {
            self.close(end).await?;
        }
        self.settle().await.map(Ended::Done)
    }

    /// What is not a whole block is read again: a block depends on its bytes alone.
    async fn pause(mut self, why: Pause) -> Result<Ended, Error> {
        Ok(Ended::Paused(self.settle().await?, why))
    }
}

/// The text of a record as people see it in the rejects.
fn text_of(raw: &[u8]) -> String {
    let is_cut = raw.len() == RAW_LIMIT_BYTES;
    let cut_at_a_character = |error: Utf8Error| (is_cut && error.error_len().is_none()).then(|| error.valid_up_to());
    match str::from_utf8(raw) {
        Ok(text) => text.to_owned(),
        Err(error) => match cut_at_a_character(error).and_then(|end| str::from_utf8(raw.get(..end)?).ok()) {
            Some(text) => text.to_owned(),
            None => WINDOWS_1252.decode_without_bom_handling(raw).0.into_owned(),
        },
    }
}
