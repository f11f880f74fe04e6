//! A generator of Portal invoice files: any size, the same bytes for the same seed, no memory but its tables.
//!
//! Files are as the Portal's are: windows-1252, `;`, every field quoted, CRLF, a header first. Record `i` (from 0) is a
//! function of the seed and `i` alone, so that a record can be written again later without having been kept.
//!
//! # Good records
//! They map without reject and without warning, each under an access key of its own (the first 999,999,999 at least).
//! Issue dates spread over 2023 and 2024. One record in five is of one issuer, the others of some two thousand. Of the
//! operations, one in fifty holds a `;`, a quote (doubled) or a line break. Of the issuers, one in a hundred is a person,
//! with a masked CPF and a key of series 920 to 969.
//!
//! # Repeated records (`duplicates`)
//! A record that repeats an earlier good one: its key has stood in the file before. Half of them are the earlier record
//! byte for byte. The others have another total (higher by 0,01 to 100,00), and half of those a cancellation as their
//! latest event; all else is the same. Record 0 repeats nothing, nor does one before which all are bad.
//!
//! # Bad records (`bad`)
//! The mapping rejects every one, for one of these, in equal shares:
//!
//! | what | how it looks | reason |
//! | --- | --- | --- |
//! | key too short | 43 characters | `invalid_access_key` |
//! | key with month 13 | | `invalid_access_key` |
//! | no key | empty | `missing_field` |
//! | issue date of another kind, or that does not exist | `31/02/2024 10:00:00`, `2024-01-31 10:00:00`, … | `invalid_date` |
//! | no issue date | empty | `missing_field` |
//! | amount of another kind | `12,3,4`, `1234.56`, … | `invalid_amount` |
//! | issuer's tax id too long | `NÃO SE SABE QUEM EMITIU` | `value_too_long` |
//! | a column less | the last field lacks | `wrong_column_count` |
//! | a column more | an empty field at the end | `wrong_column_count` |
//!
//! Of the last six, half have the key and the other values of an earlier good record: a reject supersedes nothing.

mod random;
mod tables;

use crate::invoice::check_digit::{HIGHEST_WEIGHT, check_digit};
use random::Random;
use tables::{Issuer, Tables};

/// What [`Generator::fill`] appends at least, in bytes, while the file goes on.
pub const CHUNK_BYTES: usize = 64 * 1_024;

/// Numbers of an access key: 1 to this.
const NUMBERS: u64 = 999_999_999;

/// Spreads record indexes over the numbers, each once: 7 to the 10th has no divisor in common with [`NUMBERS`].
const NUMBER_STRIDE: u64 = 282_475_249;

/// Times a repeated record looks for an earlier one that is not bad.
const LOOKS: u64 = 16;

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerateOptions {
    /// Records in all, repeated and bad ones among them, the header not.
    pub records: u64,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// Which columns.
    pub layout_version: LayoutVersion,
    /// Share of repeated records, 0 to 1.
    pub duplicates: f64,
    /// Share of bad records, 0 to 1.
    pub bad: f64,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { records: 1_000, seed: 0, layout_version: LayoutVersion::V1, duplicates: 0.0, bad: 0.0 }
    }
}

/// The two headers that the Portal has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayoutVersion {
    /// 21 columns.
    #[default]
    V1,
    /// 25 columns: four more of the agency that received it.
    V2,
}

/// Writes a file piece by piece.
#[derive(Debug)]
pub struct Generator {
    options: GenerateOptions,
    tables: Tables,
    shares: Shares,
    begun: bool,
    next: u64,
}

/// Shares of 2 to the 32nd.
#[derive(Debug, Clone, Copy)]
struct Shares {
    bad: u64,
    bad_or_repeated: u64,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Good,
    Repeated,
    Bad(Flaw),
}

/// What is bad about a bad record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    ShortKey,
    KeyMonth,
    NoKey,
    IssuedAt,
    NoIssuedAt,
    Amount,
    LongTaxId,
    MissingColumn,
    ExtraColumn,
}

impl Flaw {
    const ALL: [Self; 9] = [
        Self::ShortKey,
        Self::KeyMonth,
        Self::NoKey,
        Self::IssuedAt,
        Self::NoIssuedAt,
        Self::Amount,
        Self::LongTaxId,
        Self::MissingColumn,
        Self::ExtraColumn,
    ];

    const fn keeps_the_key(self) -> bool {
        !matches!(self, Self::ShortKey | Self::KeyMonth | Self::NoKey)
    }
}

const BAD_DATES: [&[u8]; 4] = [b"31/02/2024 10:00:00", b"2024-01-31 10:00:00", b"00/00/0000 00:00:00", b"ontem"];
const BAD_AMOUNTS: [&[u8]; 4] = [b"12,3,4", b"1234.56", b"R$ 10,00", b"abc"];
const LONG_TAX_ID: &[u8] = b"N\xc3O SE SABE QUEM EMITIU";

/// The streams of chance of a record, apart from one another.
mod stream {
    pub(super) const CLASS: u64 = 1;
    pub(super) const VALUES: u64 = 2;
    pub(super) const CHANGE: u64 = 3;
    pub(super) const EARLIER: u64 = 4;
    pub(super) const FLAW: u64 = 5;
}

impl Generator {
    /// Makes the tables that `options` lead to; a few milliseconds. Shares beyond 0 to 1 count as 0 or 1.
    #[must_use]
    pub fn new(options: GenerateOptions) -> Self {
        let bad = share(options.bad);
        let shares = Shares { bad, bad_or_repeated: bad + share(options.duplicates) };
        let tables = Tables::new(options.seed, options.layout_version);
        Self { options, tables, shares, begun: false, next: 0 }
    }

    /// Tax id of the issuer that about a fifth of the invoices are of.
    #[must_use]
    pub fn busiest_issuer(&self) -> String {
        let tax_id = self.tables.issuers.first().map(|issuer| issuer.tax_id.as_slice());
        String::from_utf8_lossy(tax_id.unwrap_or_default()).into_owned()
    }

    /// Appends the next piece to `out`: [`CHUNK_BYTES`] or a little more, in whole records, less only at the end of the
    /// file. False, with nothing appended, when all has been written.
    pub fn fill(&mut self, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        if !self.begun {
            self.begun = true;
            out.extend_from_slice(&self.tables.header);
        }
        while self.next < self.options.records && out.len() - before < CHUNK_BYTES {
            self.write(self.next, out);
            self.next += 1;
        }
        out.len() > before
    }

    fn write(&self, index: u64, out: &mut Vec<u8>) {
        match self.class(index) {
            Class::Good => self.values(index).write(&self.tables, out),
            Class::Repeated => self.repeated(index).write(&self.tables, out),
            Class::Bad(flaw) => self.write_bad(index, flaw, out),
        }
    }

    fn class(&self, index: u64) -> Class {
        let mut random = self.random(index, stream::CLASS);
        let draw = random.below(1 << 32);
        if draw < self.shares.bad {
            Class::Bad(random.pick(&Flaw::ALL))
        } else if draw < self.shares.bad_or_repeated {
            Class::Repeated
        } else {
            Class::Good
        }
    }

    fn random(&self, index: u64, stream: u64) -> Random {
        Random::new(self.options.seed, index, stream)
    }

    /// The values of record `index`, were it good.
    fn values(&self, index: u64) -> Values {
        Values::new(index, self.options.seed, &mut self.random(index, stream::VALUES), &self.tables)
    }

    /// The values of a record that repeats an earlier one, where there is one.
    fn repeated(&self, index: u64) -> Values {
        let origin = self.origin(index);
        let mut values = self.values(origin);
        let mut random = self.random(index, stream::CHANGE);
        if origin != index && random.below(2) == 0 {
            values.total_cents += 1 + random.below(10_000);
            if random.below(2) == 0 {
                values.cancel(&mut random);
            }
        }
        values
    }

    /// The good record that `index` repeats, by way of other repetitions or not; itself where it finds none.
    fn origin(&self, index: u64) -> u64 {
        let mut at = index;
        while let Some(earlier) = self.earlier(at) {
            at = earlier;
            if self.class(at) == Class::Good {
                break;
            }
        }
        at
    }

    /// A record before `index` that is not bad.
    fn earlier(&self, index: u64) -> Option<u64> {
        let mut random = self.random(index, stream::EARLIER);
        let mut looks = (0..LOOKS).filter(|_| index > 0).map(|_| random.below(index));
        looks.find(|&at| !matches!(self.class(at), Class::Bad(_)))
    }

    fn write_bad(&self, index: u64, flaw: Flaw, out: &mut Vec<u8>) {
        let mut random = self.random(index, stream::FLAW);
        let of_earlier = flaw.keeps_the_key() && random.below(2) == 0;
        let values = self.values(if of_earlier { self.origin(index) } else { index });
        values.write_flawed(flaw, &mut random, &self.tables, out);
    }
}

fn share(share: f64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 2^32 after the clamp; what is no number becomes 0"
    )]
    let of_2_to_32 = (share.clamp(0.0, 1.0) * 4_294_967_296.0) as u64;
    of_2_to_32
}

/// The values of one record.
#[derive(Debug, Clone)]
struct Values {
    key: [u8; 44],
    series: u64,
    number: u64,
    issuer: usize,
    recipient: usize,
    operation: usize,
    issued_at: Moment,
    event: usize,
    event_at: Moment,
    consumer: usize,
    presence: usize,
    total_cents: u64,
}

/// A second of a month of the tables.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// Index into the tables' months.
    month: usize,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Values {
    fn new(index: u64, seed: u64, random: &mut Random, tables: &Tables) -> Self {
        let issuer = if random.below(5) == 0 { 0 } else { random.skewed(tables.issuers.len()) };
        let is_person = tables.issuers.get(issuer).is_some_and(|issuer| issuer.is_person);
        let series = if is_person { 920 + random.below(50) } else { (index / NUMBERS % 88) * 10 + random.below(4) };
        let number = 1 + (index % NUMBERS * NUMBER_STRIDE + seed % NUMBERS) % NUMBERS;
        let issued_at = Moment {
            month: random.index(tables.months.len()),
            day: 1 + random.below(28),
            hour: 7 + random.below(12),
            minute: random.below(60),
            second: random.below(60),
        };
        let event = Tables::event(random);
        let event_at = Moment { second: issued_at.second + random.below(60 - issued_at.second), ..issued_at };
        let mut values = Self {
            key: [b'0'; 44],
            series,
            number,
            issuer,
            recipient: random.skewed(tables.recipients.len()),
            operation: Tables::operation(random),
            issued_at,
            event,
            event_at,
            consumer: random.index(tables.consumers.len()),
            presence: random.index(tables.presences.len()),
            total_cents: total_cents(random),
        };
        values.key = values.access_key(random.below(100_000_000), tables);
        values
    }

    fn access_key(&self, code: u64, tables: &Tables) -> [u8; 44] {
        let mut key = arrayvec::ArrayVec::<u8, 44>::new();
        let mut push = |bytes: &[u8]| key.extend(bytes.iter().copied());
        if let (Some(issuer), Some(month)) = (tables.issuers.get(self.issuer), tables.months.get(self.issued_at.month))
        {
            push(&issuer.state_code);
            push(&month.in_key);
            push(&issuer.in_key);
        }
        push(b"55");
        push(&digits::<3>(self.series));
        push(&digits::<9>(self.number));
        push(b"1");
        push(&digits::<8>(code));
        key.push(check_digit(&key, HIGHEST_WEIGHT));
        key.into_inner().unwrap_or([b'0'; 44])
    }

    /// Makes a cancellation its latest event, on a later evening of its month.
    fn cancel(&mut self, random: &mut Random) {
        self.event = tables::CANCELLATION;
        self.event_at = Moment { day: 28, hour: 20 + random.below(4), ..self.event_at };
    }

    fn write(&self, tables: &Tables, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(&self.key);
        out.extend_from_slice(&tables.model);
        self.write_before_issue(tables, out);
        self.issued_at.write(tables, out);
        self.write_event(tables, out);
        if let Some(issuer) = tables.issuers.get(self.issuer) {
            out.extend_from_slice(&issuer.tax_id);
        }
        self.write_parties(tables, out);
        out.extend_from_slice(b"\";\"");
        push_amount(self.total_cents, out);
        out.extend_from_slice(b"\"\r\n");
    }

    /// The record with one thing wrong about it.
    fn write_flawed(&self, flaw: Flaw, random: &mut Random, tables: &Tables, out: &mut Vec<u8>) {
        out.push(b'"');
        match flaw {
            Flaw::ShortKey => out.extend(self.key.iter().skip(1)),
            Flaw::KeyMonth => out.extend(self.key.iter().enumerate().map(|(at, byte)| match at {
                4 => b'1',
                5 => b'3',
                _ => *byte,
            })),
            Flaw::NoKey => {}
            _ => out.extend_from_slice(&self.key),
        }
        out.extend_from_slice(&tables.model);
        self.write_before_issue(tables, out);
        match flaw {
            Flaw::IssuedAt => out.extend_from_slice(random.pick(&BAD_DATES)),
            Flaw::NoIssuedAt => {}
            _ => self.issued_at.write(tables, out),
        }
        self.write_event(tables, out);
        match (flaw, tables.issuers.get(self.issuer)) {
            (Flaw::LongTaxId, _) => out.extend_from_slice(LONG_TAX_ID),
            (_, Some(Issuer { tax_id, .. })) => out.extend_from_slice(tax_id),
            _ => {}
        }
        self.write_parties(tables, out);
        match flaw {
            Flaw::MissingColumn => return out.extend_from_slice(b"\"\r\n"),
            Flaw::Amount => {
                out.extend_from_slice(b"\";\"");
                out.extend_from_slice(random.pick(&BAD_AMOUNTS));
            }
            _ => {
                out.extend_from_slice(b"\";\"");
                push_amount(self.total_cents, out);
            }
        }
        out.extend_from_slice(if flaw == Flaw::ExtraColumn { b"\";\"\"\r\n" } else { b"\"\r\n" });
    }

    /// Series, number and operation, up to the opening quote of the issue date.
    fn write_before_issue(&self, tables: &Tables, out: &mut Vec<u8>) {
        push_number(self.series, out);
        out.extend_from_slice(b"\";\"");
        push_number(self.number, out);
        out.extend_from_slice(b"\";\"");
        out.extend_from_slice(tables.operations.get(self.operation).map(Vec::as_slice).unwrap_or_default());
        out.extend_from_slice(b"\";\"");
    }

    /// From the quote that closes the issue date to the one that opens the issuer's tax id.
    fn write_event(&self, tables: &Tables, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\";\"");
        out.extend_from_slice(tables.events.get(self.event).map(Vec::as_slice).unwrap_or_default());
        out.extend_from_slice(b"\";\"");
        if self.event == tables::NO_EVENT {
            out.extend_from_slice(b"01/01/1900 00:00:00");
        } else {
            self.event_at.write(tables, out);
        }
        out.extend_from_slice(b"\";\"");
    }

    /// From behind the issuer's tax id to the presence of the buyer, without its closing quote.
    fn write_parties(&self, tables: &Tables, out: &mut Vec<u8>) {
        if let (Some(issuer), Some(recipient)) =
            (tables.issuers.get(self.issuer), tables.recipients.get(self.recipient))
        {
            out.extend_from_slice(&issuer.rest);
            out.extend_from_slice(&recipient.fields);
            out.extend_from_slice(if issuer.state == recipient.state { &tables.within } else { &tables.between });
        }
        out.extend_from_slice(tables.consumers.get(self.consumer).map(Vec::as_slice).unwrap_or_default());
        out.extend_from_slice(b"\";\"");
        out.extend_from_slice(tables.presences.get(self.presence).map(Vec::as_slice).unwrap_or_default());
    }
}

impl Moment {
    /// `31/12/2024 23:59:59`.
    fn write(self, tables: &Tables, out: &mut Vec<u8>) {
        let month = tables.months.get(self.month).map(|month| month.in_date).unwrap_or_default();
        out.extend_from_slice(&digits::<2>(self.day));
        out.extend_from_slice(&month);
        out.extend_from_slice(&digits::<2>(self.hour));
        out.push(b':');
        out.extend_from_slice(&digits::<2>(self.minute));
        out.push(b':');
        out.extend_from_slice(&digits::<2>(self.second));
    }
}

/// From some reais to some millions, small ones more often.
fn total_cents(random: &mut Random) -> u64 {
    let magnitude = random.pick(&[10_000, 10_000, 100_000, 100_000, 1_000_000, 10_000_000, 100_000_000]);
    100 + random.below(magnitude)
}

/// The last `N` digits of `number`, with zeros before them where it has fewer.
fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = last_digit(number);
        number /= 10;
    }
    digits
}

fn push_number(number: u64, out: &mut Vec<u8>) {
    let digits = digits::<20>(number);
    let first = digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len() - 1);
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

fn push_amount(cents: u64, out: &mut Vec<u8>) {
    push_number(cents / 100, out);
    out.push(b',');
    out.extend_from_slice(&digits::<2>(cents % 100));
}

fn last_digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}

#[cfg(test)]
mod tests;
