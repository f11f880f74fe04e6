//! Where log lines go and what they look like. Whatever is logged, no CPF leaves here: [`Masked`] covers them all.

use std::borrow::Cow;
use std::io;

use tracing_subscriber::EnvFilter;

use crate::invoice::{TaxId, TaxIdColumn, TaxIdKind};

/// One JSON object a line on standard output, for functions. `RUST_LOG` chooses what is logged; `info` by default.
pub fn as_json() {
    tracing_subscriber::fmt()
        .json()
        .with_writer(|| Masked(io::stdout()))
        .with_env_filter(filter("info"))
        .with_target(false)
        .init();
}

/// One JSON object a line on standard error, for a program that reads the log of the command line. `RUST_LOG` chooses
/// what is logged; what we say ourselves, from `info` on, by default.
pub fn as_json_on_stderr() {
    let filter = filter("error,notaflux=info,s3s=off");
    tracing_subscriber::fmt()
        .json()
        .with_writer(|| Masked(io::stderr()))
        .with_env_filter(filter)
        .with_target(false)
        .init();
}

/// Lines for people on standard error. `RUST_LOG` chooses what is logged; errors and our own warnings by default.
pub fn for_people() {
    let filter = filter("error,notaflux=warn,s3s=off");
    tracing_subscriber::fmt().with_writer(|| Masked(io::stderr())).with_env_filter(filter).with_target(false).init();
}

fn filter(default: &str) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default))
}

/// A writer that covers the digits of every CPF that passes. A log line must come in one piece, as `tracing` writes it.
#[derive(Debug)]
pub struct Masked<W>(pub W);

impl<W: io::Write> io::Write for Masked<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(&masked(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Characters of a CPF, bare and with its points and hyphen.
const BARE: usize = 11;
const FORMATTED: &[u8] = b"ddd.ddd.ddd-dd";
/// Characters of an access key, where it holds the tax id and the series of its issuer, and the series of persons.
const KEY: usize = 44;
const KEY_TAX_ID: std::ops::Range<usize> = 6..20;
const KEY_SERIES: std::ops::Range<usize> = 22..25;
const PERSONS: std::ops::RangeInclusive<&[u8]> = b"920".as_slice()..=b"969".as_slice();

/// `line` with asterisks for the digits of: CPFs with points and hyphen; 11 digits in quotes, as a cell is quoted, or
/// anywhere else if their check digits are right, as those of a count or a byte position hardly are; the same padded to
/// 14 digits; access keys of persons.
fn masked(line: &[u8]) -> Cow<'_, [u8]> {
    let mut line = Cow::Borrowed(line);
    let mut at = 0;
    while let Some(word) = next_word(&line, at) {
        at = word.end;
        for found in covered(&line, word) {
            let digits = line.to_mut().get_mut(found).unwrap_or_default();
            digits.iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|digit| *digit = b'*');
        }
    }
    line
}

/// The next run of letters, digits, points and hyphens from `at` on.
fn next_word(line: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let start = at + line.get(at..)?.iter().position(is_part)?;
    let length = line.get(start..)?.iter().take_while(|byte| is_part(byte)).count();
    Some(start..start + length)
}

/// What of a word must be covered.
fn covered(line: &[u8], word: std::ops::Range<usize>) -> Vec<std::ops::Range<usize>> {
    let text = line.get(word.clone()).unwrap_or_default();
    let formatted = text.windows(FORMATTED.len()).enumerate().filter(|(_, window)| is_formatted(window));
    let mut found: Vec<_> = formatted.map(|(at, _)| word.start + at..word.start + at + FORMATTED.len()).collect();
    let mut start = word.start;
    for part in text.split(|byte| !byte.is_ascii_alphanumeric()) {
        let before = start.checked_sub(1).and_then(|at| line.get(at));
        let after = line.get(start + part.len());
        // In JSON a quoted cell ends in an escaped quote.
        let quoted = before == Some(&b'"') && matches!(after, Some(b'"' | b'\\'));
        if is_person(part, quoted) {
            found.push(start..start + part.len());
        } else if part.len() == KEY && part.get(KEY_SERIES).is_some_and(|series| PERSONS.contains(&series)) {
            found.push(start + KEY_TAX_ID.start..start + KEY_TAX_ID.end);
        }
        start += part.len() + 1;
    }
    found
}

fn is_formatted(text: &[u8]) -> bool {
    text.iter().zip(FORMATTED).all(|(byte, form)| if *form == b'd' { byte.is_ascii_digit() } else { byte == form })
}

fn is_person(digits: &[u8], quoted: bool) -> bool {
    if !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let bare = digits.strip_prefix(b"000").filter(|_| digits.len() == BARE + 3).unwrap_or(digits);
    let tax_id = str::from_utf8(bare).ok().and_then(|text| TaxId::parse(text, TaxIdColumn::Either).ok());
    let Some(tax_id) = tax_id.filter(|id| id.kind == TaxIdKind::Cpf) else { return false };
    (quoted && digits.len() == BARE) || tax_id.check_digit_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed as it should")]

    use std::sync::{Arc, Mutex};

    use super::*;

    fn covered_text(line: &str) -> String {
        String::from_utf8(masked(line.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn no_form_of_a_cpf_passes() {
        for (line, expected) in [
            ("recipient=52998224725&limit=2", "recipient=***********&limit=2"),
            ("CPF 529.982.247-25.", "CPF ***.***.***-**."),
            (r#"found "52998224724": x"#, r#"found "***********": x"#),
            (r#"{"m":"found \"52998224724\""}"#, r#"{"m":"found \"***********\""}"#),
            ("00052998224725", "**************"),
            ("N#35260700052998224725559200000000011123456787", "N#352607**************559200000000011123456787"),
        ] {
            assert_eq!(covered_text(line), expected);
        }
    }

    #[test]
    fn companies_counts_and_positions_stay() {
        for line in [
            "issuer 33000167000101 and 33.000.167/0001-01",
            r#"{"tax_id":"33000167000101","byte":10737418240}"#,
            "35260733000167000101550010000000011123456787",
            "***.982.247-**, 1.234.567,89, 2026-11-24T13:37:14.123456789Z",
        ] {
            assert_eq!(covered_text(line), line);
        }
    }

    /// What the subscriber writes goes through the mask: message, fields and spans.
    #[test]
    fn whatever_is_logged_is_masked() {
        #[derive(Clone)]
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sink = Sink(Arc::default());
        for json in [true, false] {
            let writer = sink.clone();
            let builder = tracing_subscriber::fmt().with_writer(move || Masked(writer.clone()));
            let log = || {
                let _span = tracing::error_span!("invoice", recipient = "529.982.247-25").entered();
                tracing::error!(found = "52998224725", "not a date: {:?}", "52998224725");
            };
            if json {
                tracing::subscriber::with_default(builder.json().finish(), log);
            } else {
                tracing::subscriber::with_default(builder.finish(), log);
            }
        }
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains("52998224725") && !text.contains("529.982") && text.contains("***"), "{text}");
    }
}
