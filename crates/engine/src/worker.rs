//! A worker on one ingestion: takes a unit that nobody works on, works, and goes on until all is done, its time is up, or
//! others work on all that is left.
//!
//! Leases only save work. What keeps the end the same whatever happens are blocks that depend on their bytes alone, puts
//! that are all alike, and ledger writes that name the revision they read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::ledger::{Ledger, Meta, Patience, Swap};
use super::machine::{self, Lease, Pause, Phase, STALLS_LIMIT, Step, Unit, UnitId};
use super::merge::{self, Placed};
use super::progress::{Found, Progress, Put};
use super::queue::{Delivery, Task};
use super::stop_signal::StopSignal;
use super::work::{Ended, Slot, Work};
use super::{Engine, Outcome, ProgressEvent, Worked, finalize, now_ms, survey, write_pass};
use notaflux_table::ingestion::IngestionState;
use notaflux_write::{LeaseGuard, Tally, WriteError, Writer};

/// How long a message stays invisible beyond the lease that it belongs to, so that whoever receives it next finds the lease
/// at its end.
const MESSAGE_MARGIN: Duration = Duration::from_secs(2);

/// Pause behind the end of another worker's lease before an ingestion is looked at again, as that worker may renew it
/// at the last moment.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// Most messages that ask others to join in when a phase begins.
const INVITED_LIMIT: usize = 8;

/// One worker on one attempt.
pub(super) struct Worker<'a> {
    engine: &'a Engine,
    ledger: &'a Ledger,
    work: Work<'a>,
    attempt: u32,
    delivery: Option<Delivery<'a>>,
    heads: OnceCell<Vec<Placed>>,
    /// When the queue was last told to keep the message.
    said_at: Mutex<Option<Instant>>,
}

/// How a hop ended, for the loop.
enum Hop {
    /// The unit is done, as is recorded here.
    Done(Unit),
    /// The ledger says what is next.
    On,
    /// The worker has to stop.
    Halted(Pause),
    /// The ingestion has failed.
    Failed(Box<Outcome>),
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        ledger: &'a Ledger,
        work: Work<'a>,
        attempt: u32,
        delivery: Option<Delivery<'a>>,
    ) -> Self {
        Self { engine, ledger, work, attempt, delivery, heads: OnceCell::new(), said_at: Mutex::default() }
    }

    fn ingestion(&self) -> &str {
        &self.work.plan.ingestion
    }

    /// Works until there is nothing to do for this worker.
    pub(super) async fn drive(&self) -> Result<Worked, Error> {
        // What is done stays done, and a lease on a unit that another has leased since is lost: so the units are read again
        // only where nothing is left to do by what is known of them. An archive may have thousands.
        let mut known: Option<(Phase, HashMap<UnitId, Unit>)> = None;
        loop {
            let meta = self.meta().await?;
            if meta.attempt != self.attempt || meta.report.state.is_end() {
                // Another has ended it, and has told so.
                return Ok(Worked::Over(Outcome { repeated: true, ..Outcome::of(meta.report) }));
            }
            let phase = meta.stage.phase;
            let (mut units, is_fresh) = match known.take().filter(|(of, _)| *of == phase) {
                Some((_, units)) => (units, false),
                None => (self.ledger.units(self.ingestion(), self.attempt, phase).await?, true),
            };
            match machine::next_step(&meta.stage, |id| units.get(&id), self.engine.lease_time_ms()) {
                Step::Wait { .. } if !is_fresh => {}
                Step::Wait { until_ms } => {
                    return Ok(Worked::Busy { look_at_ms: until_ms + millis(LOOK_PAUSE), report: meta.report });
                }
                Step::Advance => {
                    if let Some(ended) = self.advance(meta).await? {
                        return Ok(Worked::Over(ended));
                    }
                }
                Step::Work(id) => match Box::pin(self.hop(id, units.get(&id), &meta)).await? {
                    Hop::Done(unit) => {
                        units.insert(id, unit);
                        known = Some((phase, units));
                    }
                    Hop::On => {}
                    Hop::Halted(why) => return Ok(Worked::Paused { why, report: meta.report }),
                    Hop::Failed(outcome) => return Ok(Worked::Over(*outcome)),
                },
            }
        }
    }

    async fn meta(&self) -> Result<Meta, Error> {
        self.ledger.meta(self.ingestion()).await?.ok_or_else(|| Error::damaged("the ledger"))
    }

    /// Moves the ingestion on behind a phase of which all units are done. Whether this worker is first does not matter: what is
    /// written follows from what is there.
    async fn advance(&self, meta: Meta) -> Result<Option<Outcome>, Error> {
        let mut next = meta;
        let done = self.ledger.units(self.ingestion(), self.attempt, next.stage.phase).await?;
        let done = done.into_values().map(|unit| unit.progress);
        let moved = match next.stage.phase {
            Phase::Survey => {
                let keys = done.map(|progress| if let Progress::Survey { keys, .. } = progress { keys } else { 0 });
                next.stage.partitions = merge::partitions(keys.sum());
                Ok(())
            }
            Phase::Merge => Ok(()),
            Phase::Settle => self.begin_writing(&mut next).await,
            Phase::Write => self.complete(&mut next, done).await,
        };
        if let Err(error) = moved {
            return if error.is_permanent() { self.fail(error, Some(next)).await.map(Some) } else { Err(error) };
        }
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
        let merged = finalize::merged(&self.work).await?;
        merged.tell(&mut next.report);
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
        let merged = finalize::merged(&self.work).await?;
        let (mut all, mut sum) = (Put::default(), Tally::default());
        for progress in done {
            if let Progress::Write { put, tally, .. } = progress {
                all += put;
                sum = sum.plus(tally);
            }
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

    /// Leases a unit and works on it until it is done, the lease is lost, or it is time to stop.
    async fn hop(&self, id: UnitId, known: Option<&Unit>, meta: &Meta) -> Result<Hop, Error> {
        if let Some(why) = self.engine.halt.is_due() {
            return Ok(Hop::Halted(why));
        }
        let Some(held) = self.lease(id, known).await? else { return Ok(Hop::On) };
        // Whoever closed the ingestion either saw this lease, and waits for its end, or is seen here.
        if !self.is_as_before(meta).await? {
            self.give_back(&held, held.slot.get(), Pause::Asked).await?;
            return Ok(Hop::On);
        }
        self.tell_resumed(id, &held.began);
        let ended = tokio::select! {
            ended = self.run(id, meta, &held) => ended,
            lost = self.keep(&held, meta) => Err(lost),
            // Whatever it is at: what the slot says is done.
            why = held.halt.overdue() => Ok(Ended::CutOff(held.slot.get(), why)),
        };
        match ended {
            Ok(Ended::Done(progress)) => {
                let there = self.end_hop(&held, Patience::Outage, |unit| unit.finished(progress)).await?;
                Ok(if there.done { Hop::Done(there) } else { Hop::On })
            }
            Ok(paused @ (Ended::Paused(progress, why) | Ended::CutOff(progress, why))) => {
                let is_cut_off = matches!(paused, Ended::CutOff(..)) && id.phase == Phase::Write;
                let stalls = self.stop_at(&held, progress, why, is_cut_off).await;
                if held.closed.is_cancelled() {
                    return Ok(Hop::On);
                }
                if stalls < STALLS_LIMIT {
                    return Ok(Hop::Halted(why));
                }
                let place = self.work.source.place();
                let failed = self.fail(Error::NoProgress { place, phase: id.phase, hops: stalls }, None).await?;
                Ok(Hop::Failed(Box::new(failed)))
            }
            Err(Error::LeaseLost | Error::Write(WriteError::LeaseOver { .. })) => Ok(Hop::On),
            Err(error) if error.is_permanent() => Ok(Hop::Failed(Box::new(self.fail(error, None).await?))),
            Err(error) => {
                // The first error is what matters, whether or not the unit can be given back.
                if let Err(unrecorded) = self.give_back(&held, held.slot.get(), Pause::Asked).await {
                    tracing::warn!(error = %unrecorded, "a unit of work stays leased until its lease ends");
                }
                Err(error)
            }
        }
    }

    /// Leases a unit; none if another worker was faster.
    async fn lease(&self, id: UnitId, known: Option<&Unit>) -> Result<Option<Held>, Error> {
        let asked_at = Instant::now();
        let unit = known.cloned().map_or_else(|| self.untouched(id).map(Unit::untouched), Ok)?;
        let holder = format!("{:016x}", fastrand::u64(..));
        // Behind the end of the void ones, so that others know it from them.
        let until_ms = self.engine.lease_time_ms() + millis(self.engine.settings.lease);
        let Some(mine) = unit.leased(Lease { holder, until_ms }, self.engine.lease_time_ms()) else { return Ok(None) };
        if self.swap(id, &mine, Patience::Outage).await? == Swap::Lost {
            // The answer to a write that came first may have been lost, and its repetition told instead.
            match self.ledger.unit(self.ingestion(), self.attempt, id).await? {
                Some(there) if there.is_hop_of(&mine) => {}
                _ => return Ok(None),
            }
        }
        let permit = Arc::new(LeaseGuard::until(asked_at + self.engine.settings.lease));
        let (began, slot) = (mine.progress, Slot::new(mine.progress));
        let closed = CancellationToken::new();
        let halt = self.engine.halt.or(closed.clone());
        let is_early = halt.is_early();
        self.keep_message().await;
        Ok(Some(Held { id, began, slot, permit, closed, halt, is_early, unit: Mutex::new(mine) }))
    }

    fn untouched(&self, id: UnitId) -> Result<Progress, Error> {
        Ok(match id.phase {
            Phase::Survey => survey::beginning(self.work.segment(id.number as usize)?),
            Phase::Merge => Progress::Merge(Found::default()),
            Phase::Settle => Progress::Settle { block: 0 },
            Phase::Write => write_pass::beginning(self.work.segment(id.number as usize)?),
        })
    }

    async fn swap(&self, id: UnitId, unit: &Unit, patience: Patience) -> Result<Swap, Error> {
        self.ledger.swap_unit(self.ingestion(), self.attempt, id, unit, patience).await
    }

    /// Whether the ingestion is still what this worker took it for.
    async fn is_as_before(&self, meta: &Meta) -> Result<bool, Error> {
        let there = self.meta().await?;
        let same = there.attempt == meta.attempt && there.stage.phase == meta.stage.phase;
        Ok(same && !there.report.state.is_end())
    }

    async fn run(&self, id: UnitId, meta: &Meta, held: &Held) -> Result<Ended, Error> {
        let number = id.number as usize;
        match id.phase {
            Phase::Survey => survey::survey(&self.work, number, &held.slot, &held.halt, |_, _, _| {}).await,
            Phase::Merge => merge::merge(&self.work, self.heads().await?, id.number, meta.stage.partitions).await,
            Phase::Settle => {
                let merged = self.ledger.units(self.ingestion(), self.attempt, Phase::Merge).await?;
                let mut merged: Vec<_> = merged.into_iter().collect();
                merged.sort_by_key(|(id, _)| id.number);
                let found = merged.into_iter().filter_map(|(_, unit)| match unit.progress {
                    Progress::Merge(found) => Some(found),
                    _ => None,
                });
                let found: Vec<_> = found.collect();
                finalize::settle(&self.work, self.heads().await?, &found, &held.slot, &held.halt).await
            }
            Phase::Write => {
                let Engine { table, wire, limits, .. } = self.engine;
                let writer = Writer::new(table, wire.clone(), limits.clone(), held.permit.clone());
                Box::pin(write_pass::write(&self.work, &writer, number, &held.slot, &held.halt)).await
            }
        }
    }

    /// The heads of all blocks, read once.
    async fn heads(&self) -> Result<&Vec<Placed>, Error> {
        let read = async || {
            let surveyed = self.ledger.units(self.ingestion(), self.attempt, Phase::Survey).await?;
            let mut blocks = vec![0; self.work.plan.segments.len()];
            for (id, unit) in surveyed {
                if let (Progress::Survey { block, .. }, Some(count)) =
                    (unit.progress, blocks.get_mut(id.number as usize))
                {
                    *count = block;
                }
            }
            merge::heads(&self.work, &blocks).await
        };
        self.heads.get_or_try_init(read).await
    }

    /// Renews the lease, records how far the unit is, and keeps the message invisible, until the lease is lost.
    async fn keep(&self, held: &Held, meta: &Meta) -> Error {
        loop {
            sleep(self.engine.settings.checkpoint_pace).await;
            match self.renew(held, meta).await {
                Ok(true) => {}
                Err(error) if error.is_permanent() => return error,
                // A checkpoint that does not get through is no reason to stop, as long as the lease lives.
                Err(error) if held.permit.holds() => tracing::warn!(%error, "a checkpoint was left out"),
                Ok(false) | Err(_) => return Error::LeaseLost,
            }
        }
    }

    async fn renew(&self, held: &Held, meta: &Meta) -> Result<bool, Error> {
        let asked_at = Instant::now();
        let lease = self.engine.settings.lease;
        let next = held.unit().renewed(held.slot.get(), self.engine.lease_time_ms() + millis(lease));
        match self.swap(held.id, &next, Patience::None).await? {
            Swap::Done => {
                held.adopt(next);
                held.permit.renew(asked_at + lease);
            }
            Swap::Lost => match self.ledger.unit(self.ingestion(), self.attempt, held.id).await? {
                // An earlier renewal whose answer was lost: the next one names its revision. Until then the permit ends
                // with that one's lease at the latest.
                Some(there) if there.is_hop_of(&held.unit()) => held.adopt(there),
                _ => return Ok(false),
            },
        }
        if !self.is_as_before(meta).await? {
            held.closed.cancel();
        }
        self.keep_message().await;
        Ok(true)
    }

    /// Keeps the message from being received by others for as long as a lease lasts, if that was not said within the time of a
    /// checkpoint.
    async fn keep_message(&self) {
        let Some(delivery) = self.delivery else { return };
        let said = *self.said_at.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some_and(|at| at.elapsed() < self.engine.settings.checkpoint_pace) {
            return;
        }
        let time = self.engine.settings.lease + MESSAGE_MARGIN;
        match delivery.queue.keep_invisible(delivery.receipt, time).await {
            Ok(()) => *self.said_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now()),
            Err(error) => {
                tracing::warn!(%error, "the message may come to another worker, which will find this one at it");
            }
        }
    }

    /// Gives a unit back unfinished.
    async fn give_back(&self, held: &Held, progress: Progress, why: Pause) -> Result<(), Error> {
        let began = held.began;
        self.end_hop(held, Patience::Outage, |unit| unit.paused(progress, &began, why)).await.map(drop)
    }

    /// Ends a hop whose time is up. Gives how often in a row the unit got no further for want of time. There is no time to wait
    /// for a ledger that does not answer: the lease ends by itself, and the next hop has to be sent.
    async fn stop_at(&self, held: &Held, progress: Progress, why: Pause, is_cut_off: bool) -> u32 {
        let began = held.began;
        let why = if held.is_early && !held.slot.has_arrived() { why } else { Pause::Asked };
        let end = |unit: &Unit| {
            if is_cut_off { unit.cut_off(progress, &began, why) } else { unit.paused(progress, &began, why) }
        };
        match timeout(held.halt.drain(), self.end_hop(held, Patience::None, end)).await {
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

    /// Writes how a hop ended, unless another has begun since. Gives what is then recorded.
    async fn end_hop(&self, held: &Held, patience: Patience, end: impl Fn(&Unit) -> Unit) -> Result<Unit, Error> {
        loop {
            let next = end(&held.unit());
            if self.swap(held.id, &next, patience).await? == Swap::Done {
                return Ok(next);
            }
            match self.ledger.unit(self.ingestion(), self.attempt, held.id).await? {
                // A renewal was under way when the work ended.
                Some(there) if there.is_hop_of(&held.unit()) => held.adopt(there),
                // This very write came first, and its answer was lost; or another hop has begun.
                Some(there) => return Ok(there),
                None => return Err(Error::damaged("the ledger")),
            }
        }
    }

    /// Records that the ingestion cannot be completed, unless it has ended otherwise. `known` is how it stands, where that is
    /// known better than the ledger does.
    async fn fail(&self, error: Error, mut known: Option<Meta>) -> Result<Outcome, Error> {
        loop {
            let mut meta = match known.take() {
                Some(known) => known,
                None => self.meta().await?,
            };
            if meta.attempt != self.attempt || meta.report.state.is_end() {
                return Ok(Outcome { repeated: true, ..Outcome::of(meta.report) });
            }
            meta.report.state = if super::is_replaced(self.work.source, &error).await {
                IngestionState::Superseded
            } else {
                IngestionState::Failed
            };
            meta.report.cause = Some(error.to_string());
            meta.report.position = error.place().map(ToString::to_string);
            meta.report.elapsed_ms = now_ms().saturating_sub(meta.began_ms.0);
            if self.ledger.swap_meta(&meta).await? == Swap::Done {
                // Of what was replaced while it was read nobody needs to be told that it changed.
                let replaced = meta.report.state == IngestionState::Superseded;
                let outcome = Outcome::of(meta.report);
                return Ok(if replaced { outcome } else { Outcome { error: Some(error), ..outcome } });
            }
        }
    }

    fn tell_resumed(&self, id: UnitId, progress: &Progress) {
        let (record, byte) = match progress {
            Progress::Survey { block: 1.., cursor, .. } => (cursor.record, cursor.byte),
            Progress::Write { cursor, .. } if cursor.record > 0 => (cursor.record, cursor.byte),
            _ => return,
        };
        let segment = self.work.segment(id.number as usize).ok();
        let entry = segment.and_then(|segment| segment.entry.name.clone());
        self.work.tell(ProgressEvent::Resumed { phase: id.phase.as_str(), entry, record, byte });
    }
}

/// Asks others to join in where a phase has several units. A message too many does no harm.
pub(super) async fn invite(delivery: Delivery<'_>, ingestion: &str, units: usize) -> Result<(), Error> {
    for _ in 1..units.min(INVITED_LIMIT) {
        let task = Task::Join { ingestion: ingestion.to_owned() };
        delivery.queue.send(&task, Duration::ZERO).await?;
    }
    Ok(())
}

/// A unit that this worker holds.
struct Held {
    id: UnitId,
    began: Progress,
    slot: Slot,
    permit: Arc<LeaseGuard>,
    /// Cancelled when somebody closes the ingestion: the work is then given back in order, since others wait for it.
    closed: CancellationToken,
    halt: StopSignal,
    /// Whether this hop had at least half of its worker's time.
    is_early: bool,
    /// As this worker last wrote it.
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

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
