//! How far the work is, on stderr: a bar on a terminal, a line every few seconds elsewhere, nothing when quiet.

use std::io::{self, IsTerminal as _, Write as _};
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use notaflux_logs as logs;

/// Time between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Drawings of the bar per second: enough to look alive, too few to cost anything.
const DRAWS_PER_SECOND: u8 = 5;

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Display {
    /// A bar that is drawn over.
    Bar,
    /// A line every few seconds, for logs.
    Lines,
    /// Nowhere.
    Quiet,
}

impl Display {
    /// What suits stderr as it is.
    #[must_use]
    pub(crate) fn for_stderr(is_quiet: bool) -> Self {
        match (is_quiet, io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bar,
            (false, false) => Self::Lines,
        }
    }
}

/// How far a phase is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Step<'a> {
    /// `survey`, `merge` or `write`. When it changes, the bar starts again.
    pub phase: &'a str,
    /// Done in this phase, in bytes of the source.
    pub done_bytes: u64,
    /// All there is to do in this phase, in bytes, where known.
    pub total_bytes: Option<u64>,
    /// Records done in this phase.
    pub records: u64,
    /// What goes to the table each second, where it is the table that sets the pace.
    pub write_units_per_second: Option<f64>,
}

/// The progress of one piece of work. Dropping it clears the bar.
pub(crate) struct Progress {
    title: String,
    display: Display,
    bar: ProgressBar,
    state: Mutex<State>,
}

struct State {
    phase: String,
    phase_started: Instant,
    last_line: Option<Instant>,
    noted: String,
}

impl Progress {
    /// Progress of what `title` names, a file or an object.
    #[must_use]
    pub(crate) fn new(title: impl Into<String>, display: Display) -> Self {
        let target = match display {
            Display::Bar => ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND),
            Display::Lines | Display::Quiet => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let state =
            State { phase: String::new(), phase_started: Instant::now(), last_line: None, noted: String::new() };
        Self { title: title.into(), display, bar, state: Mutex::new(state) }
    }

    /// Shows how far it is. Cheap enough to be called often.
    pub(crate) fn update(&self, step: &Step<'_>) {
        match self.display {
            Display::Quiet => {}
            Display::Bar => self.draw(step),
            Display::Lines => {
                if let Some(line) = self.line(step, Instant::now()) {
                    // A closed stderr is no reason to stop working.
                    writeln!(io::stderr(), "{}", logs::without_cpfs(&line)).unwrap_or_default();
                }
            }
        }
    }

    /// Says something once, above the bar; what was said last is not said again.
    pub(crate) fn note(&self, text: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.display == Display::Quiet || mem::replace(&mut state.noted, text.to_owned()) == text {
            return;
        }
        drop(state);
        // A closed stderr is no reason to stop working.
        self.bar.suspend(|| writeln!(io::stderr(), "{}: {text}", self.title).unwrap_or_default());
    }

    /// Clears the bar; the report says the rest.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn draw(&self, step: &Step<'_>) {
        if self.enter(step.phase, Instant::now()) {
            self.bar.set_style(style(step.total_bytes.is_some()));
            self.bar.reset();
            self.bar.set_prefix(step.phase.to_owned());
        }
        match step.total_bytes {
            Some(total_bytes) => self.bar.set_length(total_bytes),
            None => self.bar.unset_length(),
        }
        self.bar.set_position(step.done_bytes);
        self.bar.set_message(counts(step));
    }

    /// The line that is due at `now`, if one is: the first of a phase, and then one each interval.
    fn line(&self, step: &Step<'_>, now: Instant) -> Option<String> {
        let is_new = self.enter(step.phase, now);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = state.last_line.is_none_or(|last| now.duration_since(last) >= LINE_INTERVAL);
        if !is_new && !is_due {
            return None;
        }
        state.last_line = Some(now);
        let elapsed = now.duration_since(state.phase_started);
        Some(format!("{}: {} {}, {}", self.title, step.phase, amount(step, elapsed), counts(step)))
    }

    /// Notes the phase and tells whether it is a new one.
    fn enter(&self, phase: &str, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = state.phase != phase;
        if is_new {
            phase.clone_into(&mut state.phase);
            state.phase_started = now;
        }
        is_new
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn style(is_total_known: bool) -> ProgressStyle {
    let template = if is_total_known {
        "{prefix:>7} [{bar:30}] {percent:>3}% {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {msg}, {eta} left"
    } else {
        "{prefix:>7} {spinner} {binary_bytes} {binary_bytes_per_sec}, {msg}, {elapsed}"
    };
    // The templates are ours and tested; the plain style stands in for one that indicatif would not take.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn counts(step: &Step<'_>) -> String {
    let records = format!("{} records", HumanCount(step.records));
    match step.write_units_per_second {
        Some(rate) => format!("{records}, {rate:.0} write units/s"),
        None => records,
    }
}

fn amount(step: &Step<'_>, elapsed: Duration) -> String {
    let done = HumanBytes(step.done_bytes);
    let Some(total_bytes) = step.total_bytes.filter(|total| *total > 0) else { return done.to_string() };
    let percent = u128::from(step.done_bytes.min(total_bytes)) * 100 / u128::from(total_bytes);
    let left = left(step.done_bytes, total_bytes, elapsed);
    let left = left.map(|left| format!(", about {} s left", left.as_secs())).unwrap_or_default();
    format!("{percent} % ({done} of {}){left}", HumanBytes(total_bytes))
}

/// The time left if it goes on as so far; untold while too little is done to say.
#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn left(done_bytes: u64, total_bytes: u64, elapsed: Duration) -> Option<Duration> {
    if done_bytes == 0 || elapsed < Duration::from_secs(1) {
        return None;
    }
    let share = total_bytes.saturating_sub(done_bytes) as f64 / done_bytes as f64;
    Duration::try_from_secs_f64(elapsed.as_secs_f64() * share).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed as it should")]

    use super::*;

    fn step(phase: &str, done_bytes: u64) -> Step<'_> {
        Step { phase, done_bytes, total_bytes: Some(1000), records: 1234, write_units_per_second: None }
    }

    #[test]
    fn a_line_comes_each_interval_and_with_each_phase() {
        let progress = Progress::new("a.csv", Display::Lines);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(
            progress.line(&step("survey", 0), at(0)).unwrap(),
            "a.csv: survey 0 % (0 B of 1000 B), 1,234 records"
        );
        assert_eq!(progress.line(&step("survey", 100), at(4)), None);
        assert_eq!(
            progress.line(&step("survey", 250), at(5)).unwrap(),
            "a.csv: survey 25 % (250 B of 1000 B), about 15 s left, 1,234 records"
        );
        assert!(progress.line(&step("write", 0), at(6)).unwrap().starts_with("a.csv: write 0 %"));
        assert_eq!(progress.line(&step("write", 10), at(7)), None);
    }

    #[test]
    fn an_unknown_total_is_not_guessed() {
        let step = Step { total_bytes: None, write_units_per_second: Some(999.6), ..step("write", 2048) };
        let line = Progress::new("-", Display::Lines).line(&step, Instant::now()).unwrap();
        assert_eq!(line, "-: write 2.00 KiB, 1,234 records, 1000 write units/s");
    }

    #[test]
    fn the_templates_are_taken() {
        for is_total_known in [true, false] {
            let bar = ProgressBar::hidden();
            bar.set_style(style(is_total_known));
            bar.tick();
        }
        let progress = Progress::new("a.csv", Display::Quiet);
        progress.draw(&step("survey", 10));
        progress.finish();
    }
}
