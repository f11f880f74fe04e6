//! The end of the survey: adds up all counts, and stores the rejects for the user.

use serde::{Deserialize, Serialize};

use super::block::BlockReject;
use super::checkpoint::{Checkpoint, Ended};
use super::error::Error;
use super::merge::StoredBlock;
use super::merged::{Merged, Repeating};
use super::progress::{MergeCounts, Progress};
use super::stop_signal::StopSignal;
use super::work::Work;

/// Bytes that are read of a block's rejects: more than their limit (4 MiB) and one more reject can take.
const REJECTS_READ_BYTES: u64 = 16 * 1024 * 1024;

/// Stores the rejects of the blocks from the checkpoint on, and the sum of all counts. `partitions` has the counts of each
/// partition.
///
/// # Errors
/// The work store; a damaged block; counts that do not add up.
pub(crate) async fn finalize(
    work: &Work<'_>,
    blocks: &[StoredBlock],
    partitions: &[MergeCounts],
    checkpoint: &Checkpoint,
    stop: &StopSignal,
) -> Result<Ended, Error> {
    let Progress::Finalize { block: first } = checkpoint.get() else {
        return Err(Error::damaged("the progress of the rejects"));
    };
    let starts = starts(work, blocks)?;
    for ((number, block), start) in (0..).zip(blocks).zip(starts) {
        if number < first || block.head.header.rejected == 0 {
            continue;
        }
        if let Some(why) = stop.is_due() {
            return Ok(Ended::Paused(checkpoint.get(), why));
        }
        write_rejects(work, number, block, start).await?;
        checkpoint.set(Progress::Finalize { block: number + 1 });
    }
    let merged = sums(work, blocks, partitions)?;
    let accounted = merged.written + merged.superseded + merged.rejected;
    if accounted != merged.records {
        return Err(Error::Unaccounted { records: merged.records, accounted });
    }
    work.store_merged(&merged).await?;
    Ok(Ended::Done(Progress::Finalize { block: blocks.len() as u64 }))
}

/// Adds up the counts of all blocks and partitions.
///
/// # Errors
/// A block of a segment that the plan does not have.
pub(crate) fn sums(work: &Work<'_>, blocks: &[StoredBlock], partitions: &[MergeCounts]) -> Result<Merged, Error> {
    let segments = work.plan.segments.len();
    let mut merged = Merged {
        superseded: partitions.iter().map(|counts| counts.superseded).sum(),
        segment_records: vec![0; segments],
        segment_bytes: vec![0; segments],
        written: partitions.iter().map(|counts| counts.written).sum(),
        items: partitions.iter().map(|counts| counts.written + counts.extra_items).sum(),
        partitions: partitions.iter().map(|counts| counts.listed).collect(),
        cancelled: partitions.iter().map(|counts| counts.cancelled).collect(),
        ..Merged::default()
    };
    let (mut last, mut number) = (usize::MAX, 0);
    for block in blocks {
        (last, number) = (block.segment, if last == block.segment { number + 1 } else { 0 });
        add_block(&mut merged, block, number).ok_or_else(|| Error::damaged("the plan"))?;
    }
    Ok(merged)
}

/// Adds the counts of block `number` of its segment; none if there is no such segment.
fn add_block(merged: &mut Merged, block: &StoredBlock, number: u32) -> Option<()> {
    let (segment, header) = (block.segment, &block.head.header);
    let (start, length) = block.head.superseded_range();
    if length > 0 {
        merged.repeating.push(Repeating { segment, number, end_byte: header.end_byte, start, length });
    }
    merged.superseded += header.superseded_records;
    merged.trailers += header.trailers;
    merged.repeated_headers += header.repeated_headers;
    merged.records += header.records;
    merged.rejected += header.rejected;
    for (kind, count) in &header.warnings {
        *merged.warnings.entry(kind.clone()).or_default() += count;
    }
    *merged.segment_records.get_mut(segment)? += header.records;
    *merged.segment_bytes.get_mut(segment)? = header.end_byte;
    Some(())
}

/// Where a block starts in its entry.
#[derive(Debug, Clone, Copy)]
struct Start {
    /// Physical line, from 1.
    line: u64,
    /// Records before the block.
    record: u64,
}

/// Returns where each block starts in its entry.
fn starts(work: &Work<'_>, blocks: &[StoredBlock]) -> Result<Vec<Start>, Error> {
    let mut next: Option<(usize, Start)> = None;
    let mut starts = Vec::with_capacity(blocks.len());
    for StoredBlock { segment, head, .. } in blocks {
        let start = match next {
            Some((same, start)) if same == *segment => start,
            _ => Start { line: work.segment(*segment)?.data_line, record: 0 },
        };
        starts.push(start);
        let (line, record) = (start.line + head.header.lines, start.record + head.header.records);
        next = Some((*segment, Start { line, record }));
    }
    Ok(starts)
}

/// A reject as the user finds it.
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

/// Writes the rejects of one block. Line and record count from the start of their entry.
async fn write_rejects(work: &Work<'_>, number: u64, block: &StoredBlock, start: Start) -> Result<(), Error> {
    let source = work.plan.source.name();
    let segment = work.segment(block.segment)?;
    let found = work.store.get_range(&block.key, block.head.rejects_at(), REJECTS_READ_BYTES).await?;
    let mut out = Vec::with_capacity(found.len() + found.len() / 4);
    for text in found.split(|&byte| byte == b'\n').filter(|text| !text.is_empty()) {
        let reject: BlockReject = serde_json::from_slice(text).map_err(Error::corrupt(&block.key))?;
        let reject = RejectLine {
            source: &source,
            entry: segment.entry.name.as_deref(),
            line: start.line + reject.line,
            record: start.record + reject.record + 1,
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
