//! The file of invoices.

use arrayvec::ArrayVec;

use crate::class::Class;
use crate::flaw::{BAD_AMOUNTS, BAD_DATES, Flaw};
use crate::moment::Moment;
use crate::random::Random;
use crate::records::Records;
use crate::stream;
use crate::tables::{self, Issuer, Tables};
use crate::text::{digits, push_amount, push_number};
use notaflux_invoice::check_digit::{Weights, check_digit};

/// Largest number in an access key. The smallest is 1.
const NUMBERS: u64 = 999_999_999;

/// Factor that spreads the indexes of records over the numbers, each number once: 7^10 has no divisor in common with
/// [`NUMBERS`].
const NUMBER_STRIDE: u64 = 282_475_249;

const FLAWS: [Flaw; 9] = [
    Flaw::ShortKey,
    Flaw::KeyMonth,
    Flaw::NoKey,
    Flaw::IssuedAt,
    Flaw::NoIssuedAt,
    Flaw::Amount,
    Flaw::LongTaxId,
    Flaw::MissingColumn,
    Flaw::ExtraColumn,
];

const LONG_TAX_ID: &[u8] = b"N\xc3O SE SABE QUEM EMITIU";

impl Records {
    pub(crate) fn write_invoice(&self, index: u64, out: &mut Vec<u8>) {
        let mut random = self.random(index, stream::CLASS);
        match self.shares.draw(&mut random) {
            Class::Good => self.values(index).write(&self.tables, out),
            Class::Repeated => self.repeated(index).write(&self.tables, out),
            Class::Bad => self.write_bad(index, random.pick(&FLAWS), out),
        }
    }

    /// Returns the values that record `index` has if it is good.
    pub(crate) fn values(&self, index: u64) -> Values {
        Values::new(index, self.seed, &mut self.random(index, stream::VALUES), &self.tables)
    }

    /// Returns the values of a record that repeats an earlier one, if there is one.
    fn repeated(&self, index: u64) -> Values {
        let origin = self.origin(index);
        self.changed(self.values(origin), origin, index)
    }

    /// Returns `values` of record `origin` as record `index` repeats them: the same, or with some changed.
    pub(crate) fn changed(&self, mut values: Values, origin: u64, index: u64) -> Values {
        let mut random = self.random(index, stream::CHANGE);
        if origin != index && random.below(2) == 0 {
            values.total_cents += 1 + random.below(10_000);
            if random.below(2) == 0 {
                values.cancel(&mut random);
            }
        }
        values
    }

    /// Returns the record from which a bad record takes its values: itself, or an earlier good record if the defect is
    /// not in the key.
    pub(crate) fn basis_of_bad(&self, index: u64, flaw: Flaw, random: &mut Random) -> u64 {
        let keeps_the_key = !matches!(flaw, Flaw::ShortKey | Flaw::KeyMonth | Flaw::NoKey);
        if keeps_the_key && random.below(2) == 0 { self.origin(index) } else { index }
    }

    fn write_bad(&self, index: u64, flaw: Flaw, out: &mut Vec<u8>) {
        let mut random = self.random(index, stream::FLAW);
        let values = self.values(self.basis_of_bad(index, flaw, &mut random));
        values.write_flawed(flaw, &mut random, &self.tables, out);
    }
}

/// The values of one record.
#[derive(Debug, Clone)]
pub(crate) struct Values {
    pub(crate) key: [u8; 44],
    pub(crate) series: u64,
    pub(crate) number: u64,
    pub(crate) issuer: usize,
    pub(crate) recipient: usize,
    pub(crate) operation: usize,
    pub(crate) issued_at: Moment,
    pub(crate) event: usize,
    pub(crate) event_at: Moment,
    pub(crate) consumer: usize,
    pub(crate) presence: usize,
    pub(crate) total_cents: u64,
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
        let mut key = ArrayVec::<u8, 44>::new();
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
        key.push(check_digit(&key, Weights::UP_TO_9));
        key.into_inner().unwrap_or([b'0'; 44])
    }

    /// Makes a cancellation the latest event, in the evening of the 28th of the month.
    fn cancel(&mut self, random: &mut Random) {
        self.event = tables::CANCELLATION;
        self.event_at = Moment { day: 28, hour: 20 + random.below(4), ..self.event_at };
    }

    fn write(&self, tables: &Tables, out: &mut Vec<u8>) {
        self.write_up_to_issue(None, tables, out);
        self.issued_at.write(tables, out);
        self.write_event(tables, out);
        self.write_issuer_and_parties(tables, out);
        out.extend_from_slice(b"\";\"");
        push_amount(self.total_cents, out);
        out.extend_from_slice(b"\"\r\n");
    }

    /// Writes the record with a defect.
    fn write_flawed(&self, flaw: Flaw, random: &mut Random, tables: &Tables, out: &mut Vec<u8>) {
        self.write_up_to_issue(Some(flaw), tables, out);
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
        out.extend_from_slice(if flaw == Flaw::ExtraColumn { b"\";\"?\"\r\n" } else { b"\"\r\n" });
    }

    /// Writes the first columns, which all three files share, up to the quote after the issue date. The issue date is
    /// valid.
    pub(crate) fn write_up_to_issue_date(&self, flaw: Option<Flaw>, tables: &Tables, out: &mut Vec<u8>) {
        self.write_up_to_issue(flaw, tables, out);
        self.issued_at.write(tables, out);
        out.extend_from_slice(b"\";\"");
    }

    /// Writes the columns of the parties, as in a line, without the closing quote of the last column.
    pub(crate) fn write_issuer_and_parties(&self, tables: &Tables, out: &mut Vec<u8>) {
        if let Some(issuer) = tables.issuers.get(self.issuer) {
            out.extend_from_slice(&issuer.tax_id);
        }
        self.write_parties(tables, out);
    }

    /// Returns whether issuer and recipient are in the same state.
    pub(crate) fn is_within_a_state(&self, tables: &Tables) -> bool {
        let issuer = tables.issuers.get(self.issuer).map(|issuer| issuer.place.state);
        issuer == tables.recipients.get(self.recipient).map(|recipient| recipient.place.state)
    }

    /// Writes key, model, series, number and operation, up to the opening quote of the issue date.
    fn write_up_to_issue(&self, flaw: Option<Flaw>, tables: &Tables, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(&flawed_key(&self.key, flaw));
        out.extend_from_slice(&tables.model);
        push_number(self.series, out);
        out.extend_from_slice(b"\";\"");
        push_number(self.number, out);
        out.extend_from_slice(b"\";\"");
        out.extend_from_slice(tables.operations.get(self.operation).map(Vec::as_slice).unwrap_or_default());
        out.extend_from_slice(b"\";\"");
    }

    /// Writes from the closing quote of the issue date to the opening quote of the issuer's tax id.
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

    /// Writes from after the issuer's tax id to the presence of the buyer, without its closing quote.
    fn write_parties(&self, tables: &Tables, out: &mut Vec<u8>) {
        if let (Some(issuer), Some(recipient)) =
            (tables.issuers.get(self.issuer), tables.recipients.get(self.recipient))
        {
            out.extend_from_slice(&issuer.rest);
            out.extend_from_slice(&recipient.fields);
            out.extend_from_slice(if issuer.place.state == recipient.place.state {
                &tables.within
            } else {
                &tables.between
            });
        }
        out.extend_from_slice(tables.consumers.get(self.consumer).map(Vec::as_slice).unwrap_or_default());
        out.extend_from_slice(b"\";\"");
        out.extend_from_slice(tables.presences.get(self.presence).map(Vec::as_slice).unwrap_or_default());
    }
}

/// Returns the key, with a defect if `flaw` is one of the key.
pub(crate) fn flawed_key(key: &[u8; 44], flaw: Option<Flaw>) -> ArrayVec<u8, 44> {
    match flaw {
        Some(Flaw::ShortKey) => key.iter().skip(1).copied().collect(),
        Some(Flaw::KeyMonth) => {
            let digit = |(at, byte): (usize, &u8)| match at {
                4 => b'1',
                5 => b'3',
                _ => *byte,
            };
            key.iter().enumerate().map(digit).collect()
        }
        Some(Flaw::NoKey) => ArrayVec::new(),
        _ => ArrayVec::from(*key),
    }
}

/// Returns a total from one real to a million reais. Small totals are more frequent.
fn total_cents(random: &mut Random) -> u64 {
    let magnitude = random.pick(&[10_000, 10_000, 100_000, 100_000, 1_000_000, 10_000_000, 100_000_000]);
    100 + random.below(magnitude)
}
