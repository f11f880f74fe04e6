//! Where log lines go and what they look like. Whatever is logged, no CPF leaves here: [`Masked`] covers them all.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};
use std::ops::{Range, RangeInclusive};

use tracing_subscriber::EnvFilter;

use notaflux_invoice::{TaxId, TaxIdColumn, TaxIdKind};

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
    let lines = tracing_subscriber::fmt().with_writer(|| Masked(io::stderr())).with_env_filter(filter);
    // Colours are for eyes: in a file they would only be in the way.
    lines.with_ansi(io::stderr().is_terminal()).with_target(false).init();
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

/// Digits of a CPF, and of a CNPJ, which a CPF may be padded to.
const CPF: usize = 11;
const CNPJ: usize = 14;
/// Digits of the groups that a CPF is written in.
const GROUPS: [usize; 4] = [3, 3, 3, 2];
/// How it is written.
const SEPARATORS: &[u8] = b"..-";
/// Characters of an access key, where it holds the tax id and the series of its issuer, and the series of persons.
const KEY: usize = 44;
const KEY_TAX_ID: Range<usize> = 6..20;
const KEY_SERIES: Range<usize> = 22..25;
const PERSONS: RangeInclusive<&[u8]> = b"920".as_slice()..=b"969".as_slice();
/// Fewest characters of what is taken for a digest.
const DIGEST: usize = 16;
/// What stands before a number that counts.
const COUNTED: [&[u8]; 6] = [b":", b"byte ", b"bytes ", b"record ", b"line ", b"bytes="];

/// `line` with asterisks for the digits of: 11 digits separated as a CPF is; 11 digits on their own, except that of a
/// number that counts the check digits must be right; either padded with zeros; access keys of persons.
fn masked(line: &[u8]) -> Cow<'_, [u8]> {
    let mut line = Cow::Borrowed(line);
    let mut at = 0;
    while let Some(start) = line.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)).map(|n| at + n) {
        let run = start..start + digits(&line, start);
        let found = person_key(&line, start).or_else(|| separated(&line, start)).or_else(|| bare(&line, run.clone()));
        at = found.as_ref().map_or(run.end, |found| found.end.max(run.end));
        if let Some(found) = found {
            let found = line.to_mut().get_mut(found).unwrap_or_default();
            found.iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|digit| *digit = b'*');
        }
    }
    line
}

/// The same for what is shown as a line of its own.
#[must_use]
pub fn without_cpfs(text: &str) -> String {
    String::from_utf8_lossy(&masked(text.as_bytes())).into_owned()
}

/// How many digits stand at `start`.
fn digits(line: &[u8], start: usize) -> usize {
    line.get(start..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn person_key(line: &[u8], start: usize) -> Option<Range<usize>> {
    let key = line.get(start..start + KEY)?;
    let goes_on = line.get(start + KEY).is_some_and(u8::is_ascii_alphanumeric);
    let is_persons = !goes_on && key.iter().all(u8::is_ascii_alphanumeric) && PERSONS.contains(&key.get(KEY_SERIES)?);
    is_persons.then_some(start + KEY_TAX_ID.start..start + KEY_TAX_ID.end)
}

/// Groups of 3, 3, 3 and 2 digits with something between them.
fn separated(line: &[u8], start: usize) -> Option<Range<usize>> {
    let (mut at, mut bare, mut between) = (start, Vec::with_capacity(CPF), Vec::new());
    for (number, length) in GROUPS.into_iter().enumerate() {
        if number > 0
            && let Some(separator) = line.get(at).filter(|byte| b".-/ ".contains(byte))
        {
            between.push(*separator);
            at += 1;
        }
        let group = line.get(at..at + length).filter(|group| group.iter().all(u8::is_ascii_digit))?;
        bare.extend_from_slice(group);
        at += length;
    }
    let is_written_so = between == SEPARATORS || (!between.is_empty() && has_right_digits(&bare));
    (is_written_so && digits(line, at) == 0).then_some(start..at)
}

fn bare(line: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let digits = line.get(run.clone())?;
    let (padding, cpf) = digits.split_at_checked(digits.len().checked_sub(CPF)?)?;
    if padding.iter().any(|digit| *digit != b'0') || digits.len() > CNPJ {
        return None;
    }
    let before = line.get(..run.start)?;
    if is_in_hash(line, &run) {
        return None;
    }
    let is_covered = has_right_digits(cpf)
        || match padding.len() {
            0 => !COUNTED.iter().any(|word| before.trim_ascii_end().ends_with(word.trim_ascii_end())),
            // Few companies have so low a number, and theirs has right check digits.
            _ => digits.len() == CNPJ && !has_right_digits(digits),
        };
    is_covered.then_some(run)
}

/// Whether a run of digits stands in what only a digest looks like: ids of ingestions, `ETags`, request ids.
fn is_in_hash(line: &[u8], run: &Range<usize>) -> bool {
    let is_hex = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let (before, after) = (line.get(..run.start).unwrap_or_default(), line.get(run.end..).unwrap_or_default());
    let (head, tail) = (before.iter().rev().take_while(is_hex).count(), after.iter().take_while(is_hex).count());
    head + tail > 0 && head + run.len() + tail >= DIGEST
}

fn has_right_digits(digits: &[u8]) -> bool {
    let tax_id = str::from_utf8(digits).ok().and_then(|text| TaxId::parse(text, TaxIdColumn::Either).ok());
    tax_id.is_some_and(|id| id.kind != TaxIdKind::Other && id.check_digit_ok())
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
            ("529.982.247-24", "***.***.***-**"),
            ("529 982 247 25, 529982247-25", "*** *** *** **, *********-**"),
            (r#"found "52998224724": x"#, r#"found "***********": x"#),
            (r#"{"m":"found \"52998224724\""}"#, r#"{"m":"found \"***********\""}"#),
            ("CPF52998224725 nota_52998224725.csv", "CPF*********** nota_***********.csv"),
            ("00052998224725 052998224725", "************** ************"),
            (
                r#"{"S":"I#99603082433#3"},{"S":"R#00062819482115#3"}"#,
                r#"{"S":"I#***********#3"},{"S":"R#**************#3"}"#,
            ),
            (r#""byte":52998224725"#, r#""byte":***********"#),
            ("N#35260700052998224725559200000000011123456787", "N#352607**************559200000000011123456787"),
        ] {
            assert_eq!(covered_text(line), expected);
        }
    }

    #[test]
    fn companies_counts_and_positions_stay() {
        for line in [
            "issuer 33000167000101 and 33.000.167/0001-01",
            r#"{"tax_id":"00394429021965","byte":10737418240}"#,
            "at byte 10737418240 of record 12345678901",
            "35260733000167000101550010000000011123456787",
            r#""ingestion":"22c52998224725bef985d20f""#,
            "***.982.247-**, 1.234.567,89, 2026-11-24T13:37:14.123456789Z, 127.0.0.1:8081",
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
