//! The survey: reads a segment and stores a block in the work store for each stretch of it. It writes nothing to the table.

use std::collections::VecDeque;
use std::str::Utf8Error;

use encoding_rs::WINDOWS_1252;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use notaflux_layout::{InvoiceRow, Mapping, Record, Reject, Row, Scratch, Unreadable};
use notaflux_records::ReadError;
use notaflux_records::record::{Content, Format, Position, RAW_LIMIT_BYTES, RawRecord, Shape};
use notaflux_table::keys::{Key, key_hash};

use super::block::{BlockBuilder, BlockReject, Units};
use super::checkpoint::{Checkpoint, Ended};
use super::classify::{ValidRecord, classify, key_of, row_of};
use super::error::Error;
use super::machine::Pause;
use super::progress::{Cursor, Progress};
use super::segment::Segment;
use super::stamp::CancellationStamp;
use super::stop_signal::StopSignal;
use super::store::StoreError;
use super::work::Work;

/// Blocks that are uploaded at once, so that an upload takes place while the next block is parsed.
const UPLOADS_LIMIT: usize = 3;

/// Records between two checks of the stop signal. A check costs as much as a tenth of a record.
const LOOK_RECORDS: u64 = 256;

/// Returns the progress with which the survey of a segment begins.
pub(crate) fn beginning(segment: &Segment) -> Progress {
    let cursor = Cursor { byte: segment.data_byte, line: segment.data_line, record: 0 };
    Progress::Survey { block: 0, cursor, keys: 0, rejected: 0 }
}

/// Surveys a segment of the plan from the checkpoint on. Calls `seen` for each record, with its row if it can be decoded, and
/// with its classification.
///
/// # Errors
/// A source that cannot be read, is damaged, or contains a record whose end is uncertain; the work store.
pub(crate) async fn survey(
    work: &Work<'_>,
    number: usize,
    checkpoint: &Checkpoint,
    stop: &StopSignal,
    mut seen: impl FnMut(&RawRecord<'_>, Option<&Row<'_>>, &Result<ValidRecord<'_>, Reject>),
) -> Result<Ended, Error> {
    let segment = work.segment(number)?;
    let mapping = work.plan.mapping(segment)?;
    let mut blocks = Blocks::new(work, number, checkpoint)?;
    let mut records = work.read(segment, blocks.begun.position(), true).await?;
    let mut scratch = Scratch::default();
    let mut stopped = std::pin::pin!(stop.due());
    loop {
        if blocks.records().is_multiple_of(LOOK_RECORDS)
            && let Some(why) = stop.is_due()
        {
            return blocks.pause(why).await;
        }
        let raw = tokio::select! {
            biased;
            raw = records.next() => raw?,
            why = &mut stopped => return blocks.pause(why).await,
        };
        let Some(raw) = raw else { break };
        if blocks.open.ends_before(raw.byte) {
            blocks.close(Position { byte: raw.byte, line: raw.line }).await?;
        }
        match row_of(&mapping, &raw, &mut scratch) {
            Ok(row) => blocks.add_row(&mapping, &raw, &row, &mut seen)?,
            Err(unreadable) => {
                let reject = unreadable_as_reject(unreadable, &raw, work, segment)?;
                seen(&raw, None, &Err(reject.clone()));
                blocks.add(&raw, Err(reject))?;
            }
        }
        if raw.unclosed_quote {
            return Err(Error::UnclosedQuote { place: work.place(segment, raw.byte, raw.line) });
        }
        work.report_progress("survey", number, raw.end, blocks.records());
    }
    let end = records.position();
    blocks.finish(end).await
}

/// Returns the reject for a record that cannot be decoded. If the fault is not at the start of the record, the message says
/// where it is.
///
/// # Errors
/// JSON with a syntax error, except in NDJSON: where the next record begins is then uncertain.
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

/// Adds a valid record to its block.
fn accept(record: &Record<'_, InvoiceRow<'_>>, byte: u64, units: Units, block: &mut BlockBuilder) {
    record.warnings().for_each(|warning| block.warn(warning.as_str()));
    block.accept(key_of(record), byte, units);
    if matches!(record, Record::InvoiceLine(_)) {
        block.accept_secondary(Key::Invoice(record.id()), byte);
    }
    if let Record::Event(event) = record
        && event.kind.cancels()
        && let Some(stamp) = CancellationStamp::of(event)
    {
        block.cancel(key_hash(&event.invoice, ""), byte, stamp);
    }
}

/// Builds and uploads the blocks of one segment.
struct Blocks<'a> {
    work: &'a Work<'a>,
    checkpoint: &'a Checkpoint,
    segment: usize,
    /// The current block.
    open: BlockBuilder,
    /// Where the current block begins.
    begun: Cursor,
    /// Number of finished blocks, and the sums of their merge weights and rejects.
    closed: u32,
    keys: u64,
    rejected: u64,
    /// Blocks that are being uploaded, each with the progress of the survey when it is stored.
    uploads: VecDeque<(JoinHandle<Result<(), StoreError>>, Progress)>,
}

impl<'a> Blocks<'a> {
    fn new(work: &'a Work<'a>, segment: usize, checkpoint: &'a Checkpoint) -> Result<Self, Error> {
        let Progress::Survey { block: closed, cursor: begun, keys, rejected } = checkpoint.get() else {
            return Err(Error::damaged("the progress of a survey"));
        };
        let open = BlockBuilder::new(begun.byte, work.plan.block_bytes);
        Ok(Self { work, checkpoint, segment, open, begun, closed, keys, rejected, uploads: VecDeque::new() })
    }

    /// Classifies a row and adds it to the current block.
    fn add_row(
        &mut self,
        mapping: &Mapping,
        raw: &RawRecord<'_>,
        row: &Row<'_>,
        seen: &mut impl FnMut(&RawRecord<'_>, Option<&Row<'_>>, &Result<ValidRecord<'_>, Reject>),
    ) -> Result<(), Error> {
        if mapping.is_trailer(row) {
            self.open.count_trailer();
            return Ok(());
        }
        if mapping.is_header(row) {
            self.open.count_repeated_header();
            return Ok(());
        }
        let classified = classify(mapping, row, &self.work.plan.ingestion, self.work.schema);
        seen(raw, Some(row), &classified);
        self.add(raw, classified)
    }

    /// Adds a classified record to the current block.
    fn add(&mut self, raw: &RawRecord<'_>, classified: Result<ValidRecord<'_>, Reject>) -> Result<(), Error> {
        match classified {
            Ok(ValidRecord { record, units }) => accept(&record, raw.byte, units, &mut self.open),
            Err(reject) => {
                self.reject(raw, &reject)?;
                let last = || format!("the last reject, at line {}: {}", raw.line, reject.message);
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

    /// Finishes the current block before `end`, and uploads it.
    async fn close(&mut self, end: Position) -> Result<(), Error> {
        let next = BlockBuilder::new(end.byte, self.work.plan.block_bytes);
        let block = std::mem::replace(&mut self.open, next);
        let (header, bytes) =
            block.finish(end.byte, end.line - self.begun.line).map_err(Error::corrupt("a block's header"))?;
        let key = self.work.block_key(self.segment, self.closed);
        self.begun = Cursor { byte: end.byte, line: end.line, record: self.begun.record + header.records };
        self.closed += 1;
        self.keys += header.merge_weight();
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
        self.checkpoint.set(progress);
        Ok(())
    }

    /// Waits until all finished blocks are stored. Returns the progress.
    async fn join_all(&mut self) -> Result<Progress, Error> {
        while !self.uploads.is_empty() {
            self.join_one().await?;
        }
        Ok(self.checkpoint.get())
    }

    async fn finish(mut self, end: Position) -> Result<Ended, Error> {
        // If the previous hop stopped at the very end, no bytes remain, and an empty block would be one too many.
        if self.closed == 0 || end.byte > self.begun.byte {
            self.close(end).await?;
        }
        self.join_all().await.map(Ended::Done)
    }

    /// Drops the current block. The next hop reads it again: a block depends on its bytes alone.
    async fn pause(mut self, why: Pause) -> Result<Ended, Error> {
        Ok(Ended::Paused(self.join_all().await?, why))
    }
}

/// Returns the text of a record for the rejects. Bytes that are not UTF-8 are decoded as Windows-1252.
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
