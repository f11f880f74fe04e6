//! What a table takes, learned from what it leaves. Pure: time is passed in, and the caller waits.
//!
//! There is no pace until the table leaves more than noise. Then the pace is lowered below what the table took, and what is
//! left at the lower pace tells why: a full table leaves nothing of it, and what is left all the same has nothing to do with
//! the load. In the first case the pace goes on from a little below what the table took, and grows, slowly at first and ever
//! faster, until the table leaves something again. In the second it is what it was before, and what was left is the noise.
//!
//! All write units are as computed, also where a service says what it consumed: those sent and those taken are compared.
//! The constants that name no other source are chosen by the simulation beside this file.

use std::time::Duration;

use tokio::time::Instant;

/// What is left is summed up over so much time and so many calls at least.
const ROUND: Duration = Duration::from_millis(500);
const ROUND_CALLS: u32 = 10;

/// Time after the first answer before there is a pace: what was seen until then says little, least of all in a short run.
const LEAST_MEASURED: Duration = Duration::from_millis(300);

/// Evidence that more is left than noise: with 12 one round in some hundred is misjudged (`2 ln(1 / 0.0025)`), and five calls
/// that leave something are enough where there is no noise.
const PROOF: f64 = 12.0;

/// Share left that is never taken for load: services leave some items for reasons of their own.
const NOISE_LEAST: f64 = 0.001;

/// Part of its weight that earlier noise keeps beside a new trial, and beside each round in which the pace held nothing back.
const NOISE_KEPT: f64 = 0.5;
const NOISE_KEPT_FREE: f64 = 0.9;

/// Share of the noise below which what is left shows that the noise is over.
const NOISE_OVER: f64 = 0.25;

/// Share of what the table took that is sent on trial, and afterwards: on trial little enough that others who share the table
/// see it recover.
const ON_TRIAL: f64 = 0.9;
const LOWERED: f64 = 0.95;

/// Share of what was left before that may be left on trial where a lower pace helps, and how long that is looked at.
const FELL: f64 = 0.25;
const TRIAL_MOST: Duration = Duration::from_secs(2);

/// Lowerings in vain after which what is left is noise. One may be in vain because what the table took was measured while it
/// spent what it had saved, another because of others who share it.
const IN_VAIN: u32 = 3;

/// Time after a trial in which a full table leaves nothing, since the pace has hardly grown.
const PEACE: Duration = Duration::from_millis(1_500);

/// Pause when the pace is lowered: gives the table what calls that come a little early need.
const PAUSE: Duration = Duration::from_millis(50);

/// What may go out at once when nothing did for a while, as time: timers come late by milliseconds.
const BURST: Duration = Duration::from_millis(50);

/// Share by which the pace grows a second, for how long so slowly, and by what that is multiplied each second from there on.
const GROWTH: f64 = 0.01;
const CAUTION_SECONDS: f64 = 5.0;
const HASTE: f64 = 2.0;

/// Most growth in one round.
const GROWTH_MOST: f64 = 0.5;

/// Calls a second that the pace is cut into at least: of a larger call a small table would leave a part, and few calls tell
/// little.
const CALLS_A_SECOND: f64 = 60.0;

/// Least pace in write units a second: two items with four indexes.
const LEAST_UNITS: f64 = 10.0;

/// What the pace of one table is, and why.
#[derive(Debug)]
pub(super) struct Model {
    /// Write units a second; none before the table left anything.
    units: Option<f64>,
    /// When the next call may go out.
    free_at: Instant,
    /// Whether a call waited for that in this round.
    waited: bool,
    /// How often the pace was lowered or given up: answers to calls from before say nothing.
    epoch: u64,
    /// When the first answer to a call of this epoch came, or the last round ended.
    began: Option<Instant>,
    round: Sample,
    /// The round before, of the same epoch.
    earlier: Sample,
    /// What was left whatever the load.
    noise: Sample,
    trial: Option<Trial>,
    lowered_at: Instant,
    /// Batches that are being written, and since when there are none if there are none.
    writing: u32,
    idle_since: Option<Instant>,
}

/// A lowered pace.
#[derive(Debug, Clone, Copy)]
struct Trial {
    /// The pace before.
    before: Option<f64>,
    /// Write units a second that the table took.
    took: f64,
    /// Share that it left.
    left: f64,
    /// Lowerings before, without effect.
    in_vain: u32,
    /// When the lower pace turned out to help; none while that is not known.
    helped_at: Option<Instant>,
}

/// Calls that were answered.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    time: Duration,
    calls: u32,
    sent_units: f64,
    left_units: f64,
    /// Sum of the squares of what each call left.
    left_squares: f64,
}

impl Sample {
    fn plus(self, other: Self) -> Self {
        Self {
            time: self.time + other.time,
            calls: self.calls + other.calls,
            sent_units: self.sent_units + other.sent_units,
            left_units: self.left_units + other.left_units,
            left_squares: self.left_squares + other.left_squares,
        }
    }

    /// The same with less weight.
    fn faded(self, by: f64) -> Self {
        Self { sent_units: self.sent_units * by, left_units: self.left_units * by, ..self }
    }

    /// Share that was left.
    fn left(self) -> f64 {
        if self.sent_units > 0.0 { self.left_units / self.sent_units } else { 0.0 }
    }

    /// Write units a second.
    fn taken(self) -> f64 {
        (self.sent_units - self.left_units) / self.time.as_secs_f64()
    }

    /// Whether more is left than a share of `noise` explains: Bernstein's inequality for a sum of rare events, each as large as
    /// what a call that leaves something leaves.
    fn exceeds(self, noise: f64) -> bool {
        let expected = self.sent_units * noise;
        let excess = self.left_units - expected;
        let event = self.left_squares / self.left_units;
        excess > 0.0 && excess * excess > PROOF * event * (expected + excess / 3.0)
    }
}

impl Model {
    /// No pace yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            units: None,
            free_at: now,
            waited: false,
            epoch: 0,
            began: None,
            round: Sample::default(),
            earlier: Sample::default(),
            noise: Sample::default(),
            trial: None,
            lowered_at: now,
            writing: 0,
            idle_since: None,
        }
    }

    /// Write units a second; none while the table takes everything.
    pub(super) const fn units(&self) -> Option<f64> {
        self.units
    }

    /// Write units that a call should not exceed.
    pub(super) fn call_limit_units(&self) -> f64 {
        self.units.map_or(f64::INFINITY, |units| units / CALLS_A_SECOND)
    }

    /// A batch is to be written. Time in which there was none says nothing of the table, and is not measured.
    pub(super) fn begin(&mut self, now: Instant) {
        self.writing += 1;
        if let (Some(since), Some(began)) = (self.idle_since.take(), self.began.as_mut()) {
            *began += now.saturating_duration_since(since);
        }
    }

    /// A batch is written, or given up.
    pub(super) fn end(&mut self, now: Instant) {
        self.writing = self.writing.saturating_sub(1);
        if self.writing == 0 {
            self.idle_since = Some(now);
        }
    }

    /// Until when the next call waits; none if it may go out now.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Instant> {
        let is_early = self.units.is_some() && now < self.free_at;
        self.waited |= is_early;
        is_early.then_some(self.free_at)
    }

    /// Spends the write units of a call that goes out now, and gives its epoch.
    pub(super) fn send(&mut self, now: Instant, units: f64) -> u64 {
        if let Some(pace) = self.units {
            let from = now.checked_sub(BURST).map_or(self.free_at, |earliest| earliest.max(self.free_at));
            self.free_at = from + Duration::from_secs_f64(units / pace);
        }
        self.epoch
    }

    /// Learns from the answer to a call of `epoch` that left `left_units`.
    pub(super) fn answered(&mut self, now: Instant, epoch: u64, sent_units: f64, left_units: f64) {
        if epoch != self.epoch {
            return;
        }
        // What the first answer tells of took its time before it.
        let Some(began) = self.began else {
            self.began = Some(now);
            return;
        };
        let call =
            Sample { calls: 1, sent_units, left_units, left_squares: left_units * left_units, ..Sample::default() };
        self.round = Sample { time: now.duration_since(began), ..self.round.plus(call) };
        let is_over = self.round.time >= ROUND && self.round.calls >= ROUND_CALLS;
        match self.trial {
            Some(trial) if trial.helped_at.is_none() => {
                if is_over {
                    self.judge(now, trial);
                }
            }
            _ => self.watch(now, is_over),
        }
    }

    /// Share that is left whatever the load.
    fn noise(&self) -> f64 {
        self.noise.left().max(NOISE_LEAST)
    }

    /// Looks for load while there is none.
    fn watch(&mut self, now: Instant, is_over: bool) {
        let seen = self.earlier.plus(self.round);
        if seen.time >= LEAST_MEASURED && seen.exceeds(self.noise()) {
            return self.lower(now, seen, false);
        }
        if !is_over {
            return;
        }
        if !self.waited {
            self.noise = self.noise.faded(NOISE_KEPT_FREE).plus(self.round);
        } else if seen.left() < self.noise() * NOISE_OVER {
            self.noise.left_units /= 2.0;
        }
        self.grow(now);
        self.next_round(now);
    }

    /// A round of a trial is over. Where it is left open whether the lower pace helps, it goes on.
    fn judge(&mut self, now: Instant, trial: Trial) {
        let (left, noise) = (self.round.left(), self.noise());
        let is_more = self.round.exceeds(noise);
        let fell = left <= trial.left * FELL || (left <= noise && self.round.time >= TRIAL_MOST);
        if !is_more && !fell && self.round.time < TRIAL_MOST {
            return;
        }
        if is_more || !fell {
            return self.lower(now, self.round, fell);
        }
        self.noise = self.noise.faded(NOISE_KEPT).plus(self.round);
        self.trial = Some(Trial { helped_at: Some(now), ..trial });
        self.units = Some((trial.took * LOWERED).max(LEAST_UNITS));
        self.next_round(now);
    }

    /// More than noise was left: lowers the pace, unless that was in vain so often that it is noise. Where nothing was taken,
    /// the waits between attempts hold the writers back, and there is nothing to learn.
    fn lower(&mut self, now: Instant, seen: Sample, fell: bool) {
        let last = self.trial.filter(|trial| trial.helped_at.is_none_or(|at| now < at + PEACE));
        let in_vain = last.map_or(0, |trial| trial.in_vain + u32::from(!fell));
        let before = last.map_or(self.units, |trial| trial.before);
        let (took, left) = (seen.taken(), seen.left());
        if in_vain >= IN_VAIN {
            (self.units, self.noise, self.trial) = (before, seen, None);
        } else if took > 0.0 {
            self.trial = Some(Trial { before, took, left, in_vain, helped_at: None });
            self.units = Some((took * ON_TRIAL).max(LEAST_UNITS));
            (self.free_at, self.lowered_at) = (now + PAUSE, now);
        }
        self.epoch += 1;
        self.next_round(now);
        (self.began, self.earlier) = (None, Sample::default());
    }

    /// A pace that nothing waits for does not grow.
    fn grow(&mut self, now: Instant) {
        let Some(units) = self.units.as_mut().filter(|_| self.waited) else { return };
        let late = now.duration_since(self.lowered_at).as_secs_f64() - CAUTION_SECONDS;
        let growth = GROWTH * HASTE.powf(late.max(0.0)) * self.round.time.as_secs_f64();
        *units *= 1.0 + growth.min(GROWTH_MOST);
    }

    fn next_round(&mut self, now: Instant) {
        self.began = Some(now);
        self.waited = false;
        self.earlier = std::mem::take(&mut self.round);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function that is kept warm, or a server, writes a little now and then.
    #[test]
    fn time_in_which_nothing_is_to_be_written_is_not_measured() {
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
            // Of 10,000 write units a second four tenths are taken.
            assert!(model.units().is_none_or(|units| units > 2_000.0), "{:?}", model.units());
            now += Duration::from_secs(30);
        }
    }
}
