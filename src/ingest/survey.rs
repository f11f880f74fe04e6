//! The survey: reads a segment, writes nothing to the table, and leaves a block in the work store for each stretch of it.

use std::collections::VecDeque;
use std::str::Utf8Error;

use encoding_rs::WINDOWS_1252;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::block::{BlockBuilder, BlockReject, Header};
use super::error::Error;
use super::judge::{Judged, judge};
use super::ledger::{Checkpoint, Cursor};
use super::store::StoreError;
use super::{Pace, Work};
use crate::layout::{Reject, Row, Scratch};
use crate::read::csv::{Position, RAW_LIMIT_BYTES, RawRecord};
use crate::table::keys;

/// Blocks on their way to the work store at once: hides the latency of a put behind the parsing of the next block.
const UPLOADS_LIMIT: usize = 3;

/// What a survey of a segment found.
#[derive(Debug, Clone, Default)]
pub struct Surveyed {
    /// Blocks in the work store.
    pub blocks: u32,
    /// Sums over the blocks; `superseded` only of keys that come again in the same block.
    pub sums: Header,
}

/// Surveys segment number `at` of the plan.
///
/// # Errors
/// A source that cannot be read on, is damaged, or has a record whose end is not certain; the work store.
pub async fn survey(work: &Work<'_>, at: usize) -> Result<Surveyed, Error> {
    let segment = work.segment(at)?;
    let mapping = segment.mapping()?;
    let start = Position { byte: segment.data_byte, line: segment.data_line };
    let mut csv = work.open(segment, start).await?;
    let mut scratch = Scratch::default();
    let mut blocks = Blocks::new(work, at, Cursor { byte: start.byte, line: start.line, record: 0 });
    while let Some(raw) = csv.next().await? {
        if blocks.open.ends_before(raw.byte) {
            blocks.close(Position { byte: raw.byte, line: raw.line }).await?;
        }
        let row = Row::decode(raw.fields, &mut scratch);
        match judge(&mapping, &row, work) {
            Ok(Judged { record, measured }) => {
                blocks.open.accept(keys::key_hash(record.id(), ""), raw.byte, measured.write_units);
                record.warnings().iter().for_each(|warning| blocks.open.warn(warning.as_str()));
            }
            Err(reject) => {
                blocks.reject(&raw, &reject)?;
                let last = || format!("the last one, at line {}: {}", raw.line, reject.message);
                work.check_rejects(blocks.rejected(), blocks.records(), false, last)?;
            }
        }
        if raw.unclosed_quote {
            return Err(Error::UnclosedQuote { place: work.place(segment, raw.byte, raw.line) });
        }
        work.observe("survey", at, raw.end, blocks.records());
    }
    let end = csv.position();
    blocks.finish(end).await
}

/// The blocks of one segment in the making.
struct Blocks<'a> {
    work: &'a Work<'a>,
    segment: usize,
    open: BlockBuilder,
    begun: Cursor,
    uploads: VecDeque<(JoinHandle<Result<(), StoreError>>, Checkpoint)>,
    pace: Pace,
    found: Surveyed,
}

impl<'a> Blocks<'a> {
    fn new(work: &'a Work<'a>, segment: usize, begun: Cursor) -> Self {
        let open = BlockBuilder::new(begun.byte, work.plan.block_bytes);
        Self { work, segment, open, begun, uploads: VecDeque::new(), pace: Pace::default(), found: Surveyed::default() }
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
        self.found.sums.rejected + self.open.rejected()
    }

    async fn close(&mut self, end: Position) -> Result<(), Error> {
        let next = BlockBuilder::new(end.byte, self.work.plan.block_bytes);
        let block = std::mem::replace(&mut self.open, next);
        let (header, bytes) =
            block.finish(end.byte, end.line - self.begun.line).map_err(Error::corrupt("a block's header"))?;
        let key = self.work.block_key(self.segment, self.found.blocks);
        self.begun = Cursor { byte: end.byte, line: end.line, record: self.begun.record + header.records };
        self.found.blocks += 1;
        add(&mut self.found.sums, &header);
        while self.uploads.len() >= UPLOADS_LIMIT {
            self.join_one().await?;
        }
        let checkpoint = Checkpoint::Survey { block: self.found.blocks, cursor: self.begun };
        let store = self.work.store.clone();
        let upload = async move { store.put(&key, bytes).await };
        self.uploads.push_back((tokio::spawn(upload.in_current_span()), checkpoint));
        Ok(())
    }

    async fn join_one(&mut self) -> Result<(), Error> {
        let Some((upload, checkpoint)) = self.uploads.pop_front() else { return Ok(()) };
        upload.await.map_err(Error::corrupt("a block"))??;
        if self.pace.is_due() {
            self.work.checkpoint(self.segment, &checkpoint).await?;
        }
        Ok(())
    }

    async fn finish(mut self, end: Position) -> Result<Surveyed, Error> {
        self.close(end).await?;
        while !self.uploads.is_empty() {
            self.join_one().await?;
        }
        Ok(self.found)
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

fn add(sums: &mut Header, header: &Header) {
    sums.end_byte = header.end_byte;
    sums.lines += header.lines;
    sums.records += header.records;
    sums.rejected += header.rejected;
    sums.keys += header.keys;
    sums.superseded += header.superseded;
    sums.write_units += header.write_units;
    for (kind, count) in &header.warnings {
        *sums.warnings.entry(kind.clone()).or_default() += count;
    }
}
