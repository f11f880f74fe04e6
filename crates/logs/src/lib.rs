//! Sets up logging: the format of log lines, their target, and a mask for CPFs. Every line passes through [`Masked`],
//! so no log contains a CPF.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};
use std::ops::{Range, RangeInclusive};

use tracing_subscriber::EnvFilter;

use notaflux_invoice::{TaxId, TaxIdColumn, TaxIdKind};

/// Logs one JSON object a line to standard output: for functions. `RUST_LOG` sets the filter; the default is `info`.
pub fn as_json() {
    tracing_subscriber::fmt()
        .json()
        .with_writer(|| Masked(io::stdout()))
        .with_env_filter(filter("info"))
        .with_target(false)
        .init();
}

/// Logs one JSON object a line to standard error: for programs that read the log of the command line. `RUST_LOG` sets
/// the filter; the default is `info` for our own lines and `error` for others.
pub fn as_json_on_stderr() {
    let filter = filter("error,notaflux=info,s3s=off");
    tracing_subscriber::fmt()
        .json()
        .with_writer(|| Masked(io::stderr()))
        .with_env_filter(filter)
        .with_target(false)
        .init();
}

/// Logs lines for people to standard error. `RUST_LOG` sets the filter; the default is `warn` for our own lines and
/// `error` for others.
pub fn for_people() {
    let filter = filter("error,notaflux=warn,s3s=off");
    let lines = tracing_subscriber::fmt().with_writer(|| Masked(io::stderr())).with_env_filter(filter);
    // Only a terminal gets colours.
    lines.with_ansi(io::stderr().is_terminal()).with_target(false).init();
}

fn filter(default: &str) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default))
}

/// A writer that replaces the digits of every CPF with asterisks. Each write must have a whole log line, as those of
/// `tracing` do.
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

/// Number of digits of a CPF, and of a CNPJ. A CPF may be padded to the length of a CNPJ.
const CPF: usize = 11;
const CNPJ: usize = 14;
/// Number of digits in each group of a CPF.
const GROUPS: [usize; 4] = [3, 3, 3, 2];
/// Separators between the groups of a CPF.
const SEPARATORS: &[u8] = b"..-";
/// Number of characters of an access key, the positions of the issuer's tax id and of the series, and the series of
/// persons.
const KEY: usize = 44;
const KEY_TAX_ID: Range<usize> = 6..20;
const KEY_SERIES: Range<usize> = 22..25;
const PERSONS: RangeInclusive<&[u8]> = b"920".as_slice()..=b"969".as_slice();
/// Smallest number of characters of a digest.
const DIGEST: usize = 16;
/// Texts before a number that is a count or a position.
const COUNTED: [&[u8]; 6] = [b":", b"byte ", b"bytes ", b"record ", b"line ", b"bytes="];

/// Replaces digits with asterisks in: 11 digits with the separators of a CPF; 11 digits without separators (for a count
/// or a position only if the check digits are right); either of them padded with zeros; the access keys of persons.
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

/// Returns `text` with the digits of every CPF replaced by asterisks, for output that is not a log line.
#[must_use]
pub fn without_cpfs(text: &str) -> String {
    String::from_utf8_lossy(&masked(text.as_bytes())).into_owned()
}

/// Returns the number of digits from `start` on.
fn digits(line: &[u8], start: usize) -> usize {
    line.get(start..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn person_key(line: &[u8], start: usize) -> Option<Range<usize>> {
    let key = line.get(start..start + KEY)?;
    let continues = line.get(start + KEY).is_some_and(u8::is_ascii_alphanumeric);
    let is_persons = !continues && key.iter().all(u8::is_ascii_alphanumeric) && PERSONS.contains(&key.get(KEY_SERIES)?);
    is_persons.then_some(start + KEY_TAX_ID.start..start + KEY_TAX_ID.end)
}

/// Finds groups of 3, 3, 3 and 2 digits with a separator between some of them.
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
    let is_cpf = between == SEPARATORS || (!between.is_empty() && has_right_digits(&bare));
    (is_cpf && digits(line, at) == 0).then_some(start..at)
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
            // Few companies have such a low number, and the check digits of theirs are right.
            _ => digits.len() == CNPJ && !has_right_digits(digits),
        };
    is_covered.then_some(run)
}

/// Returns whether a run of digits is part of a digest: the id of an ingestion, an `ETag`, the id of a request.
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
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use std::sync::{Arc, Mutex};

    use super::*;

    fn covered_text(line: &str) -> String {
        String::from_utf8(masked(line.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn every_form_of_a_cpf_is_masked() {
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
    fn companies_counts_and_positions_are_kept() {
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

    /// The mask covers everything that the subscriber writes: message, fields and spans.
    #[test]
    fn every_log_line_is_masked() {
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
