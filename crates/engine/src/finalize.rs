//! The end of the survey: everything is counted, and the rejects are laid down where users find them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::block::BlockReject;
use super::error::Error;
use super::merge::Placed;
use super::progress::{Found, Progress};
use super::report::Report;
use super::stop_signal::StopSignal;
use super::work::{Ended, Slot, Work};

/// What the survey and the merge found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Merged {
    /// Records of all segments.
    pub(super) records: u64,
    /// Rows that are no records.
    pub(super) trailers: u64,
    /// Distinct keys by which a record is counted.
    pub(super) written: u64,
    /// Items of those records.
    pub(super) items: u64,
    /// Records whose key comes again.
    pub(super) superseded: u64,
    /// Rejected records.
    pub(super) rejected: u64,
    /// Records with a warning, by kind.
    pub(super) warnings: BTreeMap<String, u64>,
    /// Positions in each partition's list of superseded items.
    pub(super) partitions: Vec<u64>,
    /// Invoices in each partition's list of cancelled ones.
    pub(super) cancelled: Vec<u64>,
    /// The blocks that have superseded items of their own.
    pub(super) repeating: Vec<Repeating>,
    /// Records of each segment.
    pub(super) segment_records: Vec<u64>,
    /// Decoded bytes of each segment.
    pub(super) segment_bytes: Vec<u64>,
}

/// Where a block's list of its own superseded items lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Repeating {
    /// Its segment, and which block of it.
    pub(super) segment: usize,
    /// Which block of the segment.
    pub(super) number: u32,
    /// First byte behind the block, in the decoded entry.
    pub(super) end_byte: u64,
    /// First byte of the list, in the block's object.
    pub(super) start: u64,
    /// Its length in bytes.
    pub(super) length: u64,
}

impl Merged {
    /// Writes into the report what was found.
    pub(super) fn tell(&self, report: &mut Report) {
        report.records_read = self.records;
        report.superseded = self.superseded;
        report.rejected = self.rejected;
        report.trailers = self.trailers;
        report.warnings.clone_from(&self.warnings);
        report.bytes_decoded = self.segment_bytes.iter().sum();
        for (entry, records) in report.entries.iter_mut().zip(&self.segment_records) {
            entry.records_read = *records;
        }
    }
}

/// Counts what the blocks and the partitions hold, given what was found in each partition, and lays down the rejects from
/// where the slot says.
///
/// # Errors
/// The work store; a block that is damaged.
pub(super) async fn settle(
    work: &Work<'_>,
    blocks: &[Placed],
    partitions: &[Found],
    slot: &Slot,
    halt: &StopSignal,
) -> Result<Ended, Error> {
    let Progress::Settle { block: begun } = slot.get() else {
        return Err(Error::damaged("the ledger's progress of the rejects"));
    };
    let lines = lines_before(work, blocks)?;
    for ((number, placed), before) in (0..).zip(blocks).zip(lines) {
        if number < begun || placed.head.header.rejected == 0 {
            continue;
        }
        if let Some(why) = halt.is_due() {
            return Ok(Ended::Paused(slot.get(), why));
        }
        write_rejects(work, number, placed, before).await?;
        slot.set(Progress::Settle { block: number + 1 });
    }
    let merged = sums(work, blocks, partitions);
    let accounted = merged.written + merged.superseded + merged.rejected;
    if accounted != merged.records {
        return Err(Error::Unaccounted { records: merged.records, accounted });
    }
    let text = serde_json::to_vec(&merged).map_err(Error::corrupt("the result of the merge"))?;
    work.store.put(&work.merged_key(), text.into()).await?;
    Ok(Ended::Done(Progress::Settle { block: blocks.len() as u64 }))
}

/// What [`finalize`] has found, read once.
///
/// # Errors
/// The work store.
pub(super) async fn merged<'w>(work: &'w Work<'_>) -> Result<&'w Merged, Error> {
    let read = async || {
        let text = work.store.get(&work.merged_key()).await?;
        serde_json::from_slice(&text).map_err(Error::corrupt("the result of the merge"))
    };
    work.merged.get_or_try_init(read).await
}

/// What all blocks and partitions hold together.
pub(super) fn sums(work: &Work<'_>, blocks: &[Placed], partitions: &[Found]) -> Merged {
    let segments = work.plan.segments.len();
    let mut merged = Merged {
        superseded: partitions.iter().map(|found| found.superseded).sum(),
        segment_records: vec![0; segments],
        segment_bytes: vec![0; segments],
        written: partitions.iter().map(|found| found.written).sum(),
        items: partitions.iter().map(|found| found.written + found.besides).sum(),
        partitions: partitions.iter().map(|found| found.listed).collect(),
        cancelled: partitions.iter().map(|found| found.cancelled).collect(),
        ..Merged::default()
    };
    let (mut last, mut number) = (usize::MAX, 0);
    for Placed { segment, head, .. } in blocks {
        let header = &head.header;
        (last, number) = (*segment, if last == *segment { number + 1 } else { 0 });
        let (start, length) = head.superseded_range();
        if length > 0 {
            let (segment, end_byte) = (*segment, header.end_byte);
            merged.repeating.push(Repeating { segment, number, end_byte, start, length });
        }
        merged.superseded += header.superseded_records;
        merged.trailers += header.trailers;
        merged.records += header.records;
        merged.rejected += header.rejected;
        for (kind, count) in &header.warnings {
            *merged.warnings.entry(kind.clone()).or_default() += count;
        }
        merged.segment_records.iter_mut().skip(*segment).take(1).for_each(|records| *records += header.records);
        merged.segment_bytes.iter_mut().skip(*segment).take(1).for_each(|bytes| *bytes = header.end_byte);
    }
    merged
}

/// Line and record of its entry that each block begins at.
fn lines_before(work: &Work<'_>, blocks: &[Placed]) -> Result<Vec<(u64, u64)>, Error> {
    let mut at: Option<(usize, u64, u64)> = None;
    let mut before = Vec::with_capacity(blocks.len());
    for Placed { segment, head, .. } in blocks {
        let (line, record) = match at {
            Some((same, line, record)) if same == *segment => (line, record),
            _ => (work.segment(*segment)?.data_line, 0),
        };
        before.push((line, record));
        at = Some((*segment, line + head.header.lines, record + head.header.records));
    }
    Ok(before)
}

/// A reject as users find it.
#[derive(Debug, Serialize, Deserialize)]
struct RejectLine<'a> {
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'a str>,
    line: u64,
    record: u64,
    byte: u64,
    length: u64,
    reason: String,
    message: String,
    raw: String,
}

/// Writes the rejects of one block, with line and record counted from the start of their entry.
async fn write_rejects(work: &Work<'_>, number: u64, placed: &Placed, before: (u64, u64)) -> Result<(), Error> {
    let (source, (line, record)) = (work.plan.source.name(), before);
    let planned = work.segment(placed.segment)?;
    let found = work.store.get_range(&placed.key, placed.head.rejects_at(), REJECTS_READ_BYTES).await?;
    let mut out = Vec::with_capacity(found.len() + found.len() / 4);
    for text in found.split(|&byte| byte == b'\n').filter(|text| !text.is_empty()) {
        let reject: BlockReject = serde_json::from_slice(text).map_err(Error::corrupt(&placed.key))?;
        let reject = RejectLine {
            source: &source,
            entry: planned.entry.name.as_deref(),
            line: line + reject.line,
            record: record + reject.record + 1,
            byte: reject.byte,
            length: reject.length,
            reason: reject.reason,
            message: reject.message,
            raw: reject.raw,
        };
        serde_json::to_writer(&mut out, &reject).map_err(Error::corrupt("a reject"))?;
        out.push(b'\n');
    }
    Ok(work.store.put(&work.rejects_key(number), out.into()).await?)
}

/// Above what a block's rejects can take: their limit and one more reject.
const REJECTS_READ_BYTES: u64 = 16 * 1024 * 1024;
