//! Reports of ingestions as text for people.

use notaflux_engine::{Outcome, Report};

/// Returns the outcome of an ingestion in some lines.
#[must_use]
pub(super) fn of(outcome: &Outcome) -> String {
    if outcome.repeated {
        let begin = begin(&outcome.report);
        return format!("{begin} earlier: nothing to do (--force ingests it again){}", lines(&outcome.report, false));
    }
    of_report(&outcome.report)
}

/// Returns the report of an ingestion in some lines.
#[must_use]
pub(super) fn of_report(report: &Report) -> String {
    format!("{}{}", begin(report), lines(report, true))
}

fn begin(report: &Report) -> String {
    format!("ingestion {} {}", report.ingestion, report.state.as_str())
}

fn lines(report: &Report, with_effort: bool) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| out.extend([format!("\n  {name:<16}"), value]);
    for entry in &report.entries {
        let name = entry.name.as_deref().unwrap_or("the whole object");
        line("entry", format!("{name}: {} records, layout {}", grouped(entry.records_read), entry.layout));
    }
    for skipped in &report.skipped {
        line("skipped", format!("{}: {}", skipped.name, skipped.reason));
    }
    if report.unlisted > 0 {
        line("and", format!("{} more entries", report.unlisted));
    }
    line("records read", grouped(report.records_read));
    line("written", grouped(report.written));
    line("superseded", grouped(report.superseded));
    line("rejected", grouped(report.rejected));
    if report.trailers > 0 {
        line("not records", format!("{} rows, such as totals", grouped(report.trailers)));
    }
    if report.repeated_headers > 0 {
        line("headers again", format!("{} (not counted as records)", grouped(report.repeated_headers)));
    }
    if let Some(location) = &report.rejects_location {
        line("rejects", location.clone());
    }
    for (kind, count) in &report.warnings {
        line("warning", format!("{kind}: {}", grouped(*count)));
    }
    if with_effort && report.calls > 0 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "write units are positive and few")]
        let units = report.write_units.ceil() as u64;
        let calls =
            format!("{} in {} calls, {} items retried", grouped(units), grouped(report.calls), grouped(report.retried));
        line("write units", calls);
        line("time", format!("{} s ({})", seconds(report.elapsed_ms), rate(report.records_read, report.elapsed_ms)));
    }
    out
}

/// Returns the outcome of an ingestion in one line.
#[must_use]
pub(super) fn line(name: &str, report: &Report) -> String {
    format!(
        "{name}: {}, {} records = {} written + {} superseded + {} rejected, in {} s (ingestion {})",
        report.state.as_str(),
        grouped(report.records_read),
        grouped(report.written),
        grouped(report.superseded),
        grouped(report.rejected),
        seconds(report.elapsed_ms),
        report.ingestion
    )
}

fn rate(records: u64, elapsed_ms: u64) -> String {
    format!("{} records/s", grouped(records * 1000 / elapsed_ms.max(1)))
}

fn seconds(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

/// Formats `1234567` as `1,234,567`.
#[must_use]
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, expected) in cases {
            assert_eq!(grouped(number), expected);
        }
    }
}
