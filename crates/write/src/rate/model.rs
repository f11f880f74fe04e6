//! A model of what a table accepts, learned from what it leaves unprocessed. Pure: time is passed in, and the caller waits.
//!
//! There is no rate until the table leaves more unprocessed than noise explains. Then a trial lowers the rate below what the table
//! took, and what the table leaves at the lower rate shows the cause:
//!
//! - A full table leaves nothing at the lower rate. The rate continues from a little below what the table took, and grows, slowly
//!   at first and ever faster, until the table leaves something again.
//! - Items that stay unprocessed at the lower rate too have nothing to do with the load: they are noise. The rate returns to what it
//!   was before the trial.
//!
//! All write units are computed ones, even where a service reports what it consumed, so that sent and taken units are comparable.
//! The simulation beside this file chose the constants that name no other source.

use std::time::Duration;

use tokio::time::Instant;

/// Least time and least calls of a round, over which unprocessed units are summed up.
const ROUND: Duration = Duration::from_millis(500);
const ROUND_CALLS: u32 = 10;

/// Least time after the first answer before there is a rate: the answers until then carry little evidence, least of all in a short
/// run.
const LEAST_MEASURED: Duration = Duration::from_millis(300);

/// Evidence required that more than noise is unprocessed. With 12, about one round in a hundred is misjudged
/// (`2 ln(1 / 0.0025)`), and without noise five calls with unprocessed items are enough.
const EVIDENCE: f64 = 12.0;

/// Share of unprocessed units that is never taken for load: services leave some items for reasons of their own.
const NOISE_LEAST: f64 = 0.001;

/// Factor on the weight of earlier noise when a trial adds to it, and when a round in which no call waited adds to it.
const NOISE_KEPT: f64 = 0.5;
const NOISE_KEPT_FREE: f64 = 0.9;

/// If the unprocessed share falls below this share of the noise, the noise has ended.
const NOISE_OVER: f64 = 0.25;

/// Share of what the table took that is sent during a trial, and after it. A trial sends little enough that others who share the
/// table see it recover.
const ON_TRIAL: f64 = 0.9;
const LOWERED: f64 = 0.95;

/// A lower rate helps if the unprocessed share falls to this share of the earlier one, within the longest trial.
const FELL: f64 = 0.25;
const TRIAL_MOST: Duration = Duration::from_secs(2);

/// Trials without effect after which the unprocessed items are noise. One trial may have no effect because the table spent saved
/// capacity while it was measured, another because others share the table.
const FUTILE_TRIALS_LIMIT: u32 = 3;

/// Time after a trial in which a full table leaves nothing, because the rate has hardly grown.
const PEACE: Duration = Duration::from_millis(1_500);

/// Pause when the rate is lowered. It saves up the capacity that calls need which come a little early.
const PAUSE: Duration = Duration::from_millis(50);

/// Time whose units may be sent at once after a time without calls: timers are late by milliseconds.
const BURST: Duration = Duration::from_millis(50);

/// Share by which the rate grows a second, the seconds during which it grows so slowly, and the factor by which the growth rises each
/// second after that.
const GROWTH: f64 = 0.01;
const CAUTION_SECONDS: f64 = 5.0;
const HASTE: f64 = 2.0;

/// Most growth in one round, as a share.
const GROWTH_MOST: f64 = 0.5;

/// Least calls a second that the rate is divided into: a small table would leave a part of a larger call, and few calls carry little
/// evidence.
const CALLS_A_SECOND: f64 = 60.0;

/// Least rate in write units a second: two items with four indexes.
const LEAST_UNITS: f64 = 10.0;

/// The rate of one table, and the measurements that it rests on.
#[derive(Debug)]
pub(super) struct Model {
    /// The rate in write units a second; none before the table left anything.
    rate_units: Option<f64>,
    /// When the next call may be sent.
    free_at: Instant,
    /// Whether a call waited for `free_at` in this round.
    has_waited: bool,
    /// How often the rate was lowered or given up. Answers to calls of an earlier epoch are ignored.
    epoch: u64,
    /// When the first answer to a call of this epoch came, or the last round ended.
    began: Option<Instant>,
    round: Sample,
    /// The round before, of the same epoch.
    earlier: Sample,
    /// Units that stay unprocessed at any load.
    noise: Sample,
    trial: Option<Trial>,
    lowered_at: Instant,
    /// Pieces of work that are being written.
    active_work: u32,
    /// Since when there is no active work.
    idle_since: Option<Instant>,
}

/// A lowered rate.
#[derive(Debug, Clone, Copy)]
struct Trial {
    /// The rate before.
    before: Option<f64>,
    /// Write units a second that the table took before.
    taken_units: f64,
    /// Share that the table left unprocessed before.
    unprocessed_share: f64,
    /// Earlier trials in a row without effect.
    futile_trials: u32,
    /// When the lower rate turned out to help; none until then.
    helped_at: Option<Instant>,
}

/// Sums over answered calls.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    time: Duration,
    calls: u32,
    sent_units: f64,
    unprocessed_units: f64,
    /// Sum of the squares of the unprocessed units of each call.
    unprocessed_squares: f64,
}

impl Sample {
    fn plus(self, other: Self) -> Self {
        Self {
            time: self.time + other.time,
            calls: self.calls + other.calls,
            sent_units: self.sent_units + other.sent_units,
            unprocessed_units: self.unprocessed_units + other.unprocessed_units,
            unprocessed_squares: self.unprocessed_squares + other.unprocessed_squares,
        }
    }

    /// Returns the same shares with less weight.
    fn faded(self, by: f64) -> Self {
        Self { sent_units: self.sent_units * by, unprocessed_units: self.unprocessed_units * by, ..self }
    }

    /// Returns the share of the sent units that stayed unprocessed.
    fn unprocessed_share(self) -> f64 {
        if self.sent_units > 0.0 { self.unprocessed_units / self.sent_units } else { 0.0 }
    }

    /// Returns the write units a second that the table took.
    fn taken_units(self) -> f64 {
        (self.sent_units - self.unprocessed_units) / self.time.as_secs_f64()
    }

    /// Returns whether more is unprocessed than a share of `noise` explains. Applies Bernstein's inequality to a sum of rare events,
    /// each as large as what an average call with unprocessed items leaves.
    fn exceeds(self, noise: f64) -> bool {
        let expected = self.sent_units * noise;
        let excess = self.unprocessed_units - expected;
        let event = self.unprocessed_squares / self.unprocessed_units;
        excess > 0.0 && excess * excess > EVIDENCE * event * (expected + excess / 3.0)
    }
}

impl Model {
    /// Creates a model without a rate.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            rate_units: None,
            free_at: now,
            has_waited: false,
            epoch: 0,
            began: None,
            round: Sample::default(),
            earlier: Sample::default(),
            noise: Sample::default(),
            trial: None,
            lowered_at: now,
            active_work: 0,
            idle_since: None,
        }
    }

    /// Returns the rate in write units a second; none while the table accepts everything.
    #[cfg(test)]
    pub(super) const fn rate_units(&self) -> Option<f64> {
        self.rate_units
    }

    /// Returns the write units that a call should not exceed.
    pub(super) fn call_limit_units(&self) -> f64 {
        self.rate_units.map_or(f64::INFINITY, |units| units / CALLS_A_SECOND)
    }

    /// Notes that a piece of work begins. Idle time before it carries no evidence of the table, and is not measured.
    pub(super) fn begin(&mut self, now: Instant) {
        self.active_work += 1;
        if let (Some(since), Some(began)) = (self.idle_since.take(), self.began.as_mut()) {
            *began += now.saturating_duration_since(since);
        }
    }

    /// Notes that a piece of work is written or given up.
    pub(super) fn end(&mut self, now: Instant) {
        self.active_work = self.active_work.saturating_sub(1);
        if self.active_work == 0 {
            self.idle_since = Some(now);
        }
    }

    /// Returns until when the next call has to wait; none if it may be sent now.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Instant> {
        let is_early = self.rate_units.is_some() && now < self.free_at;
        self.has_waited |= is_early;
        is_early.then_some(self.free_at)
    }

    /// Spends the write units of a call that is sent now, and returns its epoch.
    pub(super) fn send(&mut self, now: Instant, units: f64) -> u64 {
        if let Some(rate) = self.rate_units {
            let from = now.checked_sub(BURST).map_or(self.free_at, |earliest| earliest.max(self.free_at));
            self.free_at = from + Duration::from_secs_f64(units / rate);
        }
        self.epoch
    }

    /// Learns from the answer to a call of `epoch` that left `unprocessed_units`.
    pub(super) fn answered(&mut self, now: Instant, epoch: u64, sent_units: f64, unprocessed_units: f64) {
        if epoch != self.epoch {
            return;
        }
        // The first call of an epoch was sent before the measurement began.
        let Some(began) = self.began else {
            self.began = Some(now);
            return;
        };
        let unprocessed_squares = unprocessed_units * unprocessed_units;
        let call = Sample { calls: 1, sent_units, unprocessed_units, unprocessed_squares, ..Sample::default() };
        self.round = Sample { time: now.duration_since(began), ..self.round.plus(call) };
        let is_over = self.round.time >= ROUND && self.round.calls >= ROUND_CALLS;
        match self.trial {
            Some(trial) if trial.helped_at.is_none() => {
                if is_over {
                    self.evaluate_trial(now, trial);
                }
            }
            _ => self.detect_load(now, is_over),
        }
    }

    /// Returns the share that stays unprocessed at any load.
    fn noise_share(&self) -> f64 {
        self.noise.unprocessed_share().max(NOISE_LEAST)
    }

    /// Looks for signs of load outside a trial.
    fn detect_load(&mut self, now: Instant, is_over: bool) {
        let seen = self.earlier.plus(self.round);
        if seen.time >= LEAST_MEASURED && seen.exceeds(self.noise_share()) {
            return self.lower(now, seen, false);
        }
        if !is_over {
            return;
        }
        if !self.has_waited {
            self.noise = self.noise.faded(NOISE_KEPT_FREE).plus(self.round);
        } else if seen.unprocessed_share() < self.noise_share() * NOISE_OVER {
            self.noise.unprocessed_units /= 2.0;
        }
        self.grow(now);
        self.next_round(now);
    }

    /// Decides after a round of a trial whether the lower rate helps. Without enough evidence the trial continues.
    fn evaluate_trial(&mut self, now: Instant, trial: Trial) {
        let (share, noise) = (self.round.unprocessed_share(), self.noise_share());
        let is_more = self.round.exceeds(noise);
        let fell = share <= trial.unprocessed_share * FELL || (share <= noise && self.round.time >= TRIAL_MOST);
        if !is_more && !fell && self.round.time < TRIAL_MOST {
            return;
        }
        if is_more || !fell {
            return self.lower(now, self.round, fell);
        }
        self.noise = self.noise.faded(NOISE_KEPT).plus(self.round);
        self.trial = Some(Trial { helped_at: Some(now), ..trial });
        self.rate_units = Some((trial.taken_units * LOWERED).max(LEAST_UNITS));
        self.next_round(now);
    }

    /// Lowers the rate because more than noise is unprocessed. After [`FUTILE_TRIALS_LIMIT`] trials without effect it takes the
    /// unprocessed items for noise instead. If the table took nothing, there is nothing to learn: the delays between attempts hold
    /// the writers back.
    fn lower(&mut self, now: Instant, seen: Sample, fell: bool) {
        let last = self.trial.filter(|trial| trial.helped_at.is_none_or(|at| now < at + PEACE));
        let futile_trials = last.map_or(0, |trial| trial.futile_trials + u32::from(!fell));
        let before = last.map_or(self.rate_units, |trial| trial.before);
        let (taken_units, unprocessed_share) = (seen.taken_units(), seen.unprocessed_share());
        if futile_trials >= FUTILE_TRIALS_LIMIT {
            (self.rate_units, self.noise, self.trial) = (before, seen, None);
        } else if taken_units > 0.0 {
            self.trial = Some(Trial { before, taken_units, unprocessed_share, futile_trials, helped_at: None });
            self.rate_units = Some((taken_units * ON_TRIAL).max(LEAST_UNITS));
            (self.free_at, self.lowered_at) = (now + PAUSE, now);
        }
        self.epoch += 1;
        self.next_round(now);
        (self.began, self.earlier) = (None, Sample::default());
    }

    /// Lets the rate grow, if a call waited for it in this round.
    fn grow(&mut self, now: Instant) {
        let Some(units) = self.rate_units.as_mut().filter(|_| self.has_waited) else { return };
        let late = now.duration_since(self.lowered_at).as_secs_f64() - CAUTION_SECONDS;
        let growth = GROWTH * HASTE.powf(late.max(0.0)) * self.round.time.as_secs_f64();
        *units *= 1.0 + growth.min(GROWTH_MOST);
    }

    fn next_round(&mut self, now: Instant) {
        self.began = Some(now);
        self.has_waited = false;
        self.earlier = std::mem::take(&mut self.round);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A warm function, or a server, writes a little now and then.
    #[test]
    fn idle_time_is_not_measured() {
        let mut now = Instant::now();
        let mut model = Model::new(now);
        for _ in 0..200 {
            model.begin(now);
            for nth in 0..10 {
                let epoch = model.send(now, 100.0);
                now += Duration::from_millis(10);
                model.answered(now, epoch, 100.0, if nth % 3 == 0 { 0.0 } else { 100.0 });
            }
            model.end(now);
            // The table takes four tenths of 10,000 write units a second.
            assert!(model.rate_units().is_none_or(|units| units > 2_000.0), "{:?}", model.rate_units());
            now += Duration::from_secs(30);
        }
    }
}
