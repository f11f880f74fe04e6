//! Progress on standard error: a bar on a terminal, a line every few seconds elsewhere, nothing with `--quiet`.

use std::io::{self, IsTerminal as _, Write as _};
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use notaflux_logs as logs;

/// Time between two progress lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Updates of the bar per second: smooth for the eye, and too few to cost time.
const DRAWS_PER_SECOND: u8 = 5;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Display {
    /// A bar that is redrawn in place.
    Bar,
    /// A line every few seconds, for logs.
    Lines,
    /// Not at all.
    Quiet,
}

impl Display {
    /// Returns `Bar` if standard error is a terminal, otherwise `Lines`.
    #[must_use]
    pub(crate) fn for_stderr(is_quiet: bool) -> Self {
        match (is_quiet, io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bar,
            (false, false) => Self::Lines,
        }
    }
}

/// The progress of one phase.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct PhaseProgress<'a> {
    /// `survey`, `merge` or `write`. When it changes, the bar starts again.
    pub phase: &'a str,
    /// Bytes of the source done in this phase.
    pub done_bytes: u64,
    /// All bytes of this phase, if known.
    pub total_bytes: Option<u64>,
    /// Records done in this phase.
    pub records: u64,
}

/// The progress of one ingestion. Dropping it clears the bar.
pub(crate) struct Progress {
    title: String,
    display: Display,
    bar: ProgressBar,
    state: Mutex<Shown>,
}

/// What has been shown so far.
struct Shown {
    phase: String,
    phase_started: Instant,
    last_line: Option<Instant>,
    note: String,
}

impl Progress {
    /// Creates the progress of the source that `title` names.
    #[must_use]
    pub(crate) fn new(title: impl Into<String>, display: Display) -> Self {
        let target = match display {
            Display::Bar => ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND),
            Display::Lines | Display::Quiet => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let state = Shown { phase: String::new(), phase_started: Instant::now(), last_line: None, note: String::new() };
        Self { title: title.into(), display, bar, state: Mutex::new(state) }
    }

    /// Shows the progress of the current phase. Cheap enough for frequent calls.
    pub(crate) fn update(&self, progress: &PhaseProgress<'_>) {
        match self.display {
            Display::Quiet => {}
            Display::Bar => self.draw(progress),
            Display::Lines => {
                if let Some(line) = self.line(progress, Instant::now()) {
                    // The work continues even if standard error is closed.
                    writeln!(io::stderr(), "{}", logs::without_cpfs(&line)).unwrap_or_default();
                }
            }
        }
    }

    /// Prints a note above the bar. The same note is not printed twice in a row.
    pub(crate) fn note(&self, text: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.display == Display::Quiet || mem::replace(&mut state.note, text.to_owned()) == text {
            return;
        }
        drop(state);
        // The work continues even if standard error is closed.
        self.bar.suspend(|| writeln!(io::stderr(), "{}: {text}", self.title).unwrap_or_default());
    }

    /// Clears the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn draw(&self, progress: &PhaseProgress<'_>) {
        if self.enter(progress.phase, Instant::now()) {
            self.bar.set_style(style(progress.total_bytes.is_some()));
            self.bar.reset();
            self.bar.set_prefix(progress.phase.to_owned());
        }
        match progress.total_bytes {
            Some(total_bytes) => self.bar.set_length(total_bytes),
            None => self.bar.unset_length(),
        }
        self.bar.set_position(progress.done_bytes);
        self.bar.set_message(counts(progress));
    }

    /// Returns the line that is due at `now`: at the beginning of a phase, and then once per [`LINE_INTERVAL`].
    fn line(&self, progress: &PhaseProgress<'_>, now: Instant) -> Option<String> {
        let is_new = self.enter(progress.phase, now);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = state.last_line.is_none_or(|last| now.duration_since(last) >= LINE_INTERVAL);
        if !is_new && !is_due {
            return None;
        }
        state.last_line = Some(now);
        let elapsed = now.duration_since(state.phase_started);
        Some(format!("{}: {} {}, {}", self.title, progress.phase, amount(progress, elapsed), counts(progress)))
    }

    /// Stores the phase. Returns whether it is new.
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
    // A test shows that indicatif accepts both templates. The default style would replace a template that it refuses.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn counts(progress: &PhaseProgress<'_>) -> String {
    format!("{} records", HumanCount(progress.records))
}

fn amount(progress: &PhaseProgress<'_>, elapsed: Duration) -> String {
    let done = HumanBytes(progress.done_bytes);
    let Some(total_bytes) = progress.total_bytes.filter(|total| *total > 0) else { return done.to_string() };
    let percent = u128::from(progress.done_bytes.min(total_bytes)) * 100 / u128::from(total_bytes);
    let left = remaining(progress.done_bytes, total_bytes, elapsed);
    let left = left.map(|left| format!(", about {} s left", left.as_secs())).unwrap_or_default();
    format!("{percent} % ({done} of {}){left}", HumanBytes(total_bytes))
}

/// Returns the remaining time at the current speed. `None` during the first second, and before the first byte.
#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn remaining(done_bytes: u64, total_bytes: u64, elapsed: Duration) -> Option<Duration> {
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

    fn step(phase: &str, done_bytes: u64) -> PhaseProgress<'_> {
        PhaseProgress { phase, done_bytes, total_bytes: Some(1000), records: 1234 }
    }

    #[test]
    fn a_line_is_due_each_interval_and_at_each_new_phase() {
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
    fn without_a_total_a_line_has_no_percentage() {
        let step = PhaseProgress { total_bytes: None, ..step("write", 2048) };
        let line = Progress::new("-", Display::Lines).line(&step, Instant::now()).unwrap();
        assert_eq!(line, "-: write 2.00 KiB, 1,234 records");
    }

    #[test]
    fn both_templates_are_valid() {
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
