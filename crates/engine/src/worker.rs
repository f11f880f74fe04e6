//! A worker on one ingestion. It leases a free unit, does its work, and takes the next one, until the ingestion is
//! over, the worker has to stop, or other workers hold all units that remain.
//!
//! Leases only avoid double work. The result is the same in any case, because a block depends only on its bytes, all
//! puts of a key have the same content, and every write to the ledger names the revision that it read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{Checkpoint, Ended};
use super::clock::{millis, now_ms};
use super::context::Context;
use super::error::Error;
use super::ledger::{Ledger, Meta, Swap, WriteRetry};
use super::machine::{self, Lease, NextStep, Pause, Phase, STALLS_LIMIT, Unit, UnitId};
use super::merge::{self, StoredBlock};
use super::outcome::{Outcome, Worked};
use super::progress::{MergeCounts, Progress, PutCounts};
use super::progress_event::ProgressEvent;
use super::queue::{Delivery, Task};
use super::stop_signal::StopSignal;
use super::work::Work;
use super::{failure, finalize, survey, write_pass};
use notaflux_table::ingestion::IngestionState;
use notaflux_write::{LeaseGuard, Tally, WriteError, Writer};

/// How much longer a message stays invisible than the lease of its worker lasts, so that the next receiver finds the
/// lease ended.
const MESSAGE_MARGIN: Duration = Duration::from_secs(2);

/// Pause after the end of another worker's lease before the next look at the ingestion: that worker may renew its lease
/// at the last moment.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// Largest number of messages that invite other workers when a phase begins.
const INVITED_LIMIT: usize = 8;

/// One worker on one attempt.
pub(crate) struct Worker<'a> {
    context: &'a Context,
    ledger: &'a Ledger,
    work: Work<'a>,
    attempt: u32,
    delivery: Option<Delivery<'a>>,
    blocks: OnceCell<Vec<StoredBlock>>,
    /// When this worker last extended the invisible time of its message.
    message_kept_at: Mutex<Option<Instant>>,
}

/// What the loop does after a hop.
enum HopEnd {
    /// Note the unit, which is done.
    Done(Unit),
    /// Read the ledger again.
    Continue,
    /// Stop the worker.
    Stopped(Pause),
    /// Return the outcome of the ingestion, which has failed.
    Failed(Box<Outcome>),
}

impl<'a> Worker<'a> {
    pub(crate) fn new(
        context: &'a Context,
        ledger: &'a Ledger,
        work: Work<'a>,
        attempt: u32,
        delivery: Option<Delivery<'a>>,
    ) -> Self {
        let (blocks, message_kept_at) = (OnceCell::new(), Mutex::default());
        Self { context, ledger, work, attempt, delivery, blocks, message_kept_at }
    }

    fn ingestion(&self) -> &str {
        &self.work.plan.ingestion
    }

    /// Works until nothing remains to do for this worker.
    pub(crate) async fn drive(&self) -> Result<Worked, Error> {
        // An archive may have thousands of units, so they are read again only when the known ones leave nothing to do.
        // Old knowledge is harmless: a unit that is done stays done, and leasing a unit that another worker has leased
        // fails.
        let mut known: Option<(Phase, HashMap<UnitId, Unit>)> = None;
        loop {
            let meta = self.meta().await?;
            if meta.attempt != self.attempt || meta.report.state.is_end() {
                // Another worker has ended it and has reported the end.
                return Ok(Worked::Over(Outcome { repeated: true, ..Outcome::of(meta.report) }));
            }
            let phase = meta.stage.phase;
            let (mut units, is_fresh) = match known.take().filter(|(of, _)| *of == phase) {
                Some((_, units)) => (units, false),
                None => (self.ledger.units(self.ingestion(), self.attempt, phase).await?, true),
            };
            match machine::next_step(&meta.stage, |id| units.get(&id), self.context.lease_time_ms()) {
                NextStep::Wait { .. } if !is_fresh => {}
                NextStep::Wait { until_ms } => {
                    return Ok(Worked::Busy { look_at_ms: until_ms + millis(LOOK_PAUSE), report: meta.report });
                }
                NextStep::Advance => {
                    if let Some(ended) = self.advance(meta).await? {
                        return Ok(Worked::Over(ended));
                    }
                }
                NextStep::Work(id) => match Box::pin(self.hop(id, units.get(&id), &meta)).await? {
                    HopEnd::Done(unit) => {
                        units.insert(id, unit);
                        known = Some((phase, units));
                    }
                    HopEnd::Continue => {}
                    HopEnd::Stopped(why) => return Ok(Worked::Paused { why, report: meta.report }),
                    HopEnd::Failed(outcome) => return Ok(Worked::Over(*outcome)),
                },
            }
        }
    }

    async fn meta(&self) -> Result<Meta, Error> {
        self.ledger.existing_meta(self.ingestion()).await
    }

    /// Starts the next phase after all units of the current one are done. It does not matter whether this worker is the
    /// first: the new state depends only on the ledger and the work store.
    async fn advance(&self, meta: Meta) -> Result<Option<Outcome>, Error> {
        let mut next = meta;
        let done = self.ledger.units(self.ingestion(), self.attempt, next.stage.phase).await?;
        let done = done.into_values().map(|unit| unit.progress);
        let moved = match next.stage.phase {
            Phase::Survey => keys(done).map(|keys| next.stage.partitions = merge::partitions(keys)),
            Phase::Merge => Ok(()),
            Phase::Finalize => self.begin_writing(&mut next).await,
            Phase::Write => self.complete(&mut next, done).await,
        };
        if let Err(error) = moved {
            return if error.is_permanent() { self.fail(error, Some(next)).await.map(Some) } else { Err(error) };
        }
        // After the write pass the phase stays: the state of the report ends the ingestion.
        next.stage.phase = next.stage.phase.next().unwrap_or(Phase::Write);
        if self.ledger.swap_meta(&next).await? == Swap::Lost {
            return Ok(None);
        }
        if next.report.state.is_end() {
            return Ok(Some(Outcome::of(next.report)));
        }
        if let Some(delivery) = self.delivery {
            invite(delivery, self.ingestion(), next.stage.units().count()).await?;
        }
        Ok(None)
    }

    async fn begin_writing(&self, next: &mut Meta) -> Result<(), Error> {
        let merged = self.work.merged().await?;
        merged.fill(&mut next.report);
        if merged.rejected > 0 {
            next.report.rejects_location = Some(self.work.store.location(&self.work.rejects_folder()));
        }
        next.report.survey_ms = now_ms().saturating_sub(next.began_ms.0);
        let see = || format!("see {}", self.work.store.location(&self.work.rejects_folder()));
        self.work.check_rejects(merged.rejected, merged.records, true, see)?;
        next.report.state = IngestionState::Writing;
        next.began_ms.1 = now_ms();
        Ok(())
    }

    async fn complete(&self, next: &mut Meta, done: impl Iterator<Item = Progress>) -> Result<(), Error> {
        let merged = self.work.merged().await?;
        let (mut all, mut sum) = (PutCounts::default(), Tally::default());
        for progress in done {
            let Progress::Write { put, tally, .. } = progress else { return Err(wrong_phase()) };
            all += put;
            sum = sum.plus(tally);
        }
        if all.records != merged.written {
            return Err(Error::Accounting { expected: merged.written, found: all.records });
        }
        if all.items != merged.items {
            return Err(Error::Accounting { expected: merged.items, found: all.items });
        }
        let report = &mut next.report;
        (report.written, report.items_written, report.write_units) = (all.records, all.items, sum.write_units);
        (report.calls, report.retried, report.throttled) = (sum.calls, sum.retried, sum.throttled);
        report.write_ms = now_ms().saturating_sub(next.began_ms.1);
        report.elapsed_ms = now_ms().saturating_sub(next.began_ms.0);
        report.state = IngestionState::Completed;
        Ok(())
    }

    /// Leases a unit and works on it until it is done, the lease is lost, or the worker has to stop.
    async fn hop(&self, id: UnitId, known: Option<&Unit>, meta: &Meta) -> Result<HopEnd, Error> {
        if let Some(why) = self.context.stop.is_due() {
            return Ok(HopEnd::Stopped(why));
        }
        let Some(held) = self.lease(id, known).await? else { return Ok(HopEnd::Continue) };
        // A worker that closes the ingestion either sees this lease and waits for its end, or this worker sees the
        // close here.
        if !self.is_unchanged(meta).await? {
            self.give_back(&held, held.checkpoint.get(), Pause::Asked).await?;
            return Ok(HopEnd::Continue);
        }
        self.report_resumed(id, &held.began);
        let ended = tokio::select! {
            ended = self.run(id, meta, &held) => ended,
            lost = self.keep(&held, meta) => Err(lost),
            // Cuts the work off wherever it is: everything before the checkpoint is done.
            why = held.stop.overdue() => Ok(Ended::CutOff(held.checkpoint.get(), why)),
        };
        match ended {
            Ok(Ended::Done(progress)) => {
                let there = self.end_hop(&held, WriteRetry::Outage, |unit| unit.finished(progress)).await?;
                Ok(if there.done { HopEnd::Done(there) } else { HopEnd::Continue })
            }
            Ok(paused @ (Ended::Paused(progress, why) | Ended::CutOff(progress, why))) => {
                let is_cut_off = matches!(paused, Ended::CutOff(..)) && id.phase == Phase::Write;
                let stalls = self.stop_at(&held, progress, why, is_cut_off).await;
                if held.closed.is_cancelled() {
                    return Ok(HopEnd::Continue);
                }
                if stalls < STALLS_LIMIT {
                    return Ok(HopEnd::Stopped(why));
                }
                let place = self.work.source.place();
                let failed = self.fail(Error::NoProgress { place, phase: id.phase, hops: stalls }, None).await?;
                Ok(HopEnd::Failed(Box::new(failed)))
            }
            Err(Error::LeaseLost | Error::Write(WriteError::LeaseOver { .. })) => Ok(HopEnd::Continue),
            Err(error) if error.is_permanent() => Ok(HopEnd::Failed(Box::new(self.fail(error, None).await?))),
            Err(error) => {
                // Report the first error, whether or not this worker can give the unit back.
                if let Err(unrecorded) = self.give_back(&held, held.checkpoint.get(), Pause::Asked).await {
                    tracing::warn!(error = %unrecorded, "a unit of work stays leased until its lease ends");
                }
                Err(error)
            }
        }
    }

    /// Leases a unit; returns none if another worker was faster.
    async fn lease(&self, id: UnitId, known: Option<&Unit>) -> Result<Option<Held>, Error> {
        let asked_at = Instant::now();
        let unit = known.cloned().map_or_else(|| self.untouched(id).map(Unit::untouched), Ok)?;
        let holder = format!("{:016x}", fastrand::u64(..));
        // The lease ends after all void leases, so that other workers can tell it from them.
        let until_ms = self.context.lease_time_ms() + millis(self.context.settings.lease);
        let Some(mine) = unit.leased(Lease { holder, until_ms }, self.context.lease_time_ms()) else { return Ok(None) };
        if self.swap(id, &mine, WriteRetry::Outage).await? == Swap::Lost {
            // This worker's write may have succeeded although its answer was lost.
            match self.ledger.unit(self.ingestion(), self.attempt, id).await? {
                Some(there) if there.is_hop_of(&mine) => {}
                _ => return Ok(None),
            }
        }
        let guard = Arc::new(LeaseGuard::until(asked_at + self.context.settings.lease));
        let (began, checkpoint) = (mine.progress, Checkpoint::new(mine.progress));
        let closed = CancellationToken::new();
        let stop = self.context.stop.or(closed.clone());
        let is_early = stop.is_early();
        self.keep_message().await;
        Ok(Some(Held { id, began, checkpoint, guard, closed, stop, is_early, unit: Mutex::new(mine) }))
    }

    fn untouched(&self, id: UnitId) -> Result<Progress, Error> {
        Ok(match id.phase {
            Phase::Survey => survey::beginning(self.work.segment(id.number as usize)?),
            Phase::Merge => Progress::Merge(MergeCounts::default()),
            Phase::Finalize => Progress::Finalize { block: 0 },
            Phase::Write => write_pass::beginning(self.work.segment(id.number as usize)?),
        })
    }

    async fn swap(&self, id: UnitId, unit: &Unit, retry: WriteRetry) -> Result<Swap, Error> {
        self.ledger.swap_unit(self.ingestion(), self.attempt, id, unit, retry).await
    }

    /// Whether the ingestion has still the attempt and phase of `meta`, and is not over.
    async fn is_unchanged(&self, meta: &Meta) -> Result<bool, Error> {
        let there = self.meta().await?;
        let same = there.attempt == meta.attempt && there.stage.phase == meta.stage.phase;
        Ok(same && !there.report.state.is_end())
    }

    async fn run(&self, id: UnitId, meta: &Meta, held: &Held) -> Result<Ended, Error> {
        let number = id.number as usize;
        match id.phase {
            Phase::Survey => survey::survey(&self.work, number, &held.checkpoint, &held.stop, |_, _, _| {}).await,
            Phase::Merge => merge::merge(&self.work, self.blocks().await?, id.number, meta.stage.partitions).await,
            Phase::Finalize => {
                let partitions = self.merge_counts().await?;
                finalize::finalize(&self.work, self.blocks().await?, &partitions, &held.checkpoint, &held.stop).await
            }
            Phase::Write => {
                let Context { table, wire, limits, .. } = self.context;
                let writer = Writer::new(table, wire.clone(), limits.clone(), held.guard.clone());
                Box::pin(write_pass::write(&self.work, &writer, number, &held.checkpoint, &held.stop)).await
            }
        }
    }

    /// Returns the counts of each partition of the merge, in order.
    async fn merge_counts(&self) -> Result<Vec<MergeCounts>, Error> {
        let merged = self.ledger.units(self.ingestion(), self.attempt, Phase::Merge).await?;
        let mut merged: Vec<_> = merged.into_iter().collect();
        merged.sort_by_key(|(id, _)| id.number);
        let counts = merged.into_iter().map(|(_, unit)| match unit.progress {
            Progress::Merge(counts) => Ok(counts),
            _ => Err(wrong_phase()),
        });
        counts.collect()
    }

    /// Returns all blocks with their heads. Reads them once.
    async fn blocks(&self) -> Result<&Vec<StoredBlock>, Error> {
        let read = async || {
            let surveyed = self.ledger.units(self.ingestion(), self.attempt, Phase::Survey).await?;
            let mut counts = vec![0; self.work.plan.segments.len()];
            for (id, unit) in surveyed {
                let Progress::Survey { block, .. } = unit.progress else { return Err(wrong_phase()) };
                *counts.get_mut(id.number as usize).ok_or_else(|| Error::damaged("the plan"))? = block;
            }
            merge::heads(&self.work, &counts).await
        };
        self.blocks.get_or_try_init(read).await
    }

    /// Renews the lease, writes the checkpoint, and keeps the message invisible, until the lease is lost.
    async fn keep(&self, held: &Held, meta: &Meta) -> Error {
        loop {
            sleep(self.context.settings.checkpoint_pace).await;
            match self.renew(held, meta).await {
                Ok(true) => {}
                Err(error) if error.is_permanent() => return error,
                // The work continues without a checkpoint as long as the lease lasts.
                Err(error) if held.guard.is_valid() => {
                    tracing::warn!(%error, "a checkpoint could not be written; the next one follows");
                }
                Ok(false) | Err(_) => return Error::LeaseLost,
            }
        }
    }

    async fn renew(&self, held: &Held, meta: &Meta) -> Result<bool, Error> {
        let asked_at = Instant::now();
        let lease = self.context.settings.lease;
        let next = held.unit().renewed(held.checkpoint.get(), self.context.lease_time_ms() + millis(lease));
        match self.swap(held.id, &next, WriteRetry::Never).await? {
            Swap::Done => {
                held.adopt(next);
                held.guard.renew(asked_at + lease);
            }
            Swap::Lost => match self.ledger.unit(self.ingestion(), self.attempt, held.id).await? {
                // An earlier renewal succeeded and its answer was lost. The next renewal names its revision. The guard
                // ends no later than that lease.
                Some(there) if there.is_hop_of(&held.unit()) => held.adopt(there),
                _ => return Ok(false),
            },
        }
        if !self.is_unchanged(meta).await? {
            held.closed.cancel();
        }
        self.keep_message().await;
        Ok(true)
    }

    /// Keeps the message invisible for as long as a lease lasts, at most once between two checkpoints.
    async fn keep_message(&self) {
        let Some(delivery) = self.delivery else { return };
        let kept_at = *self.message_kept_at.lock().unwrap_or_else(PoisonError::into_inner);
        if kept_at.is_some_and(|at| at.elapsed() < self.context.settings.checkpoint_pace) {
            return;
        }
        let time = self.context.settings.lease + MESSAGE_MARGIN;
        match delivery.queue.keep_invisible(delivery.receipt, time).await {
            Ok(()) => *self.message_kept_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now()),
            Err(error) => {
                tracing::warn!(%error, "the message may become visible to another worker, which will find this unit leased");
            }
        }
    }

    /// Gives a unit back unfinished.
    async fn give_back(&self, held: &Held, progress: Progress, why: Pause) -> Result<(), Error> {
        let began = held.began;
        self.end_hop(held, WriteRetry::Outage, |unit| unit.paused(progress, &began, why)).await.map(drop)
    }

    /// Ends a hop that has to stop. Returns the number of consecutive hops without progress. It does not wait for a
    /// ledger that does not answer: the lease ends by itself, and the worker still has to send the message for the next
    /// hop.
    async fn stop_at(&self, held: &Held, progress: Progress, why: Pause, is_cut_off: bool) -> u32 {
        let began = held.began;
        let why = if held.is_early && !held.checkpoint.has_items() { why } else { Pause::Asked };
        let end = |unit: &Unit| {
            if is_cut_off { unit.cut_off(progress, &began, why) } else { unit.paused(progress, &began, why) }
        };
        match timeout(held.stop.drain(), self.end_hop(held, WriteRetry::Never, end)).await {
            Ok(Ok(there)) => {
                if there.hop == held.unit().hop {
                    there.stalls
                } else {
                    0
                }
            }
            unrecorded => {
                tracing::warn!(?unrecorded, "a unit of work stays leased until its lease ends");
                0
            }
        }
    }

    /// Records the end of a hop, unless another hop has begun since. Returns the unit as the ledger then holds it.
    async fn end_hop(&self, held: &Held, retry: WriteRetry, end: impl Fn(&Unit) -> Unit) -> Result<Unit, Error> {
        loop {
            let next = end(&held.unit());
            if self.swap(held.id, &next, retry).await? == Swap::Done {
                return Ok(next);
            }
            let there = self.ledger.existing_unit(self.ingestion(), self.attempt, held.id).await?;
            if !there.is_hop_of(&held.unit()) {
                // This write succeeded and its answer was lost, or another hop has begun.
                return Ok(there);
            }
            // A renewal was under way when the work ended.
            held.adopt(there);
        }
    }

    /// Records that the ingestion cannot complete, unless it has ended. `known` is its state if that is newer than the
    /// ledger's.
    async fn fail(&self, error: Error, mut known: Option<Meta>) -> Result<Outcome, Error> {
        loop {
            let mut meta = match known.take() {
                Some(known) => known,
                None => self.meta().await?,
            };
            if meta.attempt != self.attempt || meta.report.state.is_end() {
                return Ok(Outcome { repeated: true, ..Outcome::of(meta.report) });
            }
            failure::record(&mut meta.report, self.work.source, &error).await;
            meta.report.elapsed_ms = now_ms().saturating_sub(meta.began_ms.0);
            if self.ledger.swap_meta(&meta).await? == Swap::Done {
                // A replaced object is no error to report: the newer version is ingested in its place.
                let replaced = meta.report.state == IngestionState::Superseded;
                let outcome = Outcome::of(meta.report);
                return Ok(if replaced { outcome } else { Outcome { error: Some(error), ..outcome } });
            }
        }
    }

    fn report_resumed(&self, id: UnitId, progress: &Progress) {
        let (record, byte) = match progress {
            Progress::Survey { block: 1.., cursor, .. } => (cursor.record, cursor.byte),
            Progress::Write { cursor, .. } if cursor.record > 0 => (cursor.record, cursor.byte),
            _ => return,
        };
        // Only for display: the work itself reports a segment that the plan does not have.
        let segment = self.work.segment(id.number as usize).ok();
        let entry = segment.and_then(|segment| segment.entry.name.clone());
        self.work.report(ProgressEvent::Resumed { phase: id.phase.as_str(), entry, record, byte });
    }
}

/// Invites other workers if a phase has several units. A superfluous message does no harm.
pub(crate) async fn invite(delivery: Delivery<'_>, ingestion: &str, units: usize) -> Result<(), Error> {
    for _ in 1..units.min(INVITED_LIMIT) {
        let task = Task::Join { ingestion: ingestion.to_owned() };
        delivery.queue.send(&task, Duration::ZERO).await?;
    }
    Ok(())
}

/// A unit that this worker has leased.
struct Held {
    id: UnitId,
    began: Progress,
    checkpoint: Checkpoint,
    guard: Arc<LeaseGuard>,
    /// Cancelled when the ingestion is closed. The worker then gives its unit back at once, since another version waits
    /// for it.
    closed: CancellationToken,
    stop: StopSignal,
    /// Whether the hop began with at least half of the worker's time.
    is_early: bool,
    /// The unit as this worker last wrote it.
    unit: Mutex<Unit>,
}

impl Held {
    fn unit(&self) -> Unit {
        self.unit.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn adopt(&self, unit: Unit) {
        *self.unit.lock().unwrap_or_else(PoisonError::into_inner) = unit;
    }
}

/// Adds up the keys of all segments.
fn keys(surveyed: impl Iterator<Item = Progress>) -> Result<u64, Error> {
    let keys = surveyed.map(|progress| match progress {
        Progress::Survey { keys, .. } => Ok(keys),
        _ => Err(wrong_phase()),
    });
    keys.sum()
}

/// The error for a unit with progress of another phase. The ledger checks this too, when it reads a unit.
fn wrong_phase() -> Error {
    Error::damaged("the progress of a unit")
}
