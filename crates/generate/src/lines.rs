//! The file of lines.

use arrayvec::ArrayVec;

use crate::class::Class;
use crate::flaw::{BAD_AMOUNTS, Flaw};
use crate::invoices::Values;
use crate::products::Product;
use crate::random::Random;
use crate::records::Records;
use crate::stream;
use crate::tables::Tables;
use crate::text::{push_amount, push_number};

/// Largest number of lines of an invoice.
const LINES_LIMIT: usize = 60;

/// Numbers of lines of invoices: 43 lines in 12 invoices, as the Portal has 517,000 lines of 144,000 invoices in a
/// month.
const COUNTS: [u64; 12] = [1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8];

const FLAWS: [Flaw; 11] = [
    Flaw::ShortKey,
    Flaw::KeyMonth,
    Flaw::NoKey,
    Flaw::NoNumber,
    Flaw::NumberZero,
    Flaw::NumberOfLetters,
    Flaw::Quantity,
    Flaw::UnitPrice,
    Flaw::Amount,
    Flaw::MissingColumn,
    Flaw::ExtraColumn,
];

/// The values of one line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineValues {
    pub(crate) number: u64,
    pub(crate) product: usize,
    pub(crate) is_hard: bool,
    /// In hundredths of a unit: 250 is 2,50.
    pub(crate) quantity_hundredths: u64,
    pub(crate) unit_price_cents: u64,
}

pub(crate) type Lines = ArrayVec<LineValues, LINES_LIMIT>;

impl Records {
    /// Writes the lines of the invoice of record `index`, if no earlier record has its key, and the repeated and bad
    /// rows after each of them.
    pub(crate) fn write_lines(&self, index: u64, out: &mut Vec<u8>) {
        if !self.is_first_of_its_key(index) {
            return;
        }
        let invoice = self.values(index);
        let lines = self.lines(index, &invoice);
        let mut random = self.random(index, stream::EXTRA_LINES);
        let mut written = Lines::new();
        for line in lines {
            line.write(&invoice, None, &self.tables, out);
            written.push(line);
            self.shares.extra_rows(&mut random, |class, random| {
                if class == Class::Bad {
                    let line = line.with_more(random);
                    line.write(&invoice, Some((random.pick(&FLAWS), random)), &self.tables, out);
                } else {
                    self.write_repeated_line(index, (&invoice, &written), random, out);
                }
            });
        }
    }

    /// Returns the lines of `invoice`, the one of record `index`: at least one.
    pub(crate) fn lines(&self, index: u64, invoice: &Values) -> Lines {
        let mut random = self.random(index, stream::LINES);
        let count = if random.below(1_000) == 0 { 20 + random.below(41) } else { random.pick(&COUNTS) };
        let freight_cents = if random.below(20) == 0 { invoice.total_cents / 10 } else { 0 };
        // A total is at least 100 cents. Nine tenths of it are more than one cent for each of the 60 lines that are
        // possible.
        let mut rest_cents = invoice.total_cents - freight_cents;
        (1..=count)
            .map(|number| {
                let later_lines = count - number;
                let line = LineValues::new(number, rest_cents, later_lines, &mut random, &self.tables);
                rest_cents = rest_cents.saturating_sub(line.total_cents());
                line
            })
            .collect()
    }

    /// Writes a line that the file has already: one of `written`, or one of an earlier invoice.
    fn write_repeated_line(
        &self,
        index: u64,
        (invoice, written): (&Values, &Lines),
        random: &mut Random,
        out: &mut Vec<u8>,
    ) {
        let earlier = if random.below(2) == 0 { self.earlier_key(index, random) } else { None };
        let earlier = earlier.map(|at| {
            let invoice = self.values(at);
            let lines = self.lines(at, &invoice);
            (invoice, lines)
        });
        let (invoice, lines) = earlier.as_ref().map_or((invoice, written), |(invoice, lines)| (invoice, lines));
        if let Some(line) = lines.get(random.index(lines.len())) {
            let line = if random.below(2) == 0 { line.with_more(random) } else { *line };
            line.write(invoice, None, &self.tables, out);
        }
    }
}

impl LineValues {
    /// Creates a line with a part of `rest_cents` as its total, or with all of it if no line follows.
    fn new(number: u64, rest_cents: u64, later_lines: u64, random: &mut Random, tables: &Tables) -> Self {
        let is_hard = random.below(50) == 0;
        let products = if is_hard { &tables.hard_products } else { &tables.products };
        let product = random.index(products.len());
        let is_divisible = products.get(product).is_some_and(|product| product.is_divisible);
        let most_units = random.pick(&[4, 10, 50, 500]);
        let units = 1 + random.below(most_units);
        let quantity_hundredths = units * 100 + if is_divisible { random.below(2) * 50 } else { 0 };
        let line = Self { number, product, is_hard, quantity_hundredths, unit_price_cents: 0 };
        if later_lines == 0 {
            return line.of_exactly(rest_cents);
        }
        // Each later line needs a cent. On average, all lines get about the same share.
        let to_spare_cents = rest_cents.saturating_sub(later_lines);
        line.of_about(1 + random.below(2 * to_spare_cents / (later_lines + 1)))
    }

    /// Sets the highest price at which the total is at most `cents`. If that price is zero, sets one unit for `cents`.
    fn of_about(self, cents: u64) -> Self {
        let price = cents * 100 / self.quantity_hundredths;
        // Half of an odd price is not a whole number of cents.
        let unit_price_cents = if self.quantity_hundredths.is_multiple_of(100) { price } else { price / 2 * 2 };
        if unit_price_cents == 0 {
            return Self { quantity_hundredths: 100, unit_price_cents: cents, ..self };
        }
        Self { unit_price_cents, ..self }
    }

    /// Sets a total of exactly `cents`: with the line's quantity if that divides it, otherwise with ten units or one.
    fn of_exactly(self, cents: u64) -> Self {
        let quantities = [self.quantity_hundredths, 1_000, 100];
        let divides = |quantity: &u64| (cents * 100).is_multiple_of(*quantity) && cents * 100 >= *quantity;
        let quantity_hundredths = quantities.into_iter().find(divides).unwrap_or(100);
        Self { quantity_hundredths, unit_price_cents: cents * 100 / quantity_hundredths, ..self }
    }

    /// Adds one to ten units.
    fn with_more(self, random: &mut Random) -> Self {
        Self { quantity_hundredths: self.quantity_hundredths + 100 * (1 + random.below(10)), ..self }
    }

    pub(crate) const fn total_cents(self) -> u64 {
        self.quantity_hundredths * self.unit_price_cents / 100
    }

    pub(crate) fn product(self, tables: &Tables) -> Option<&Product> {
        if self.is_hard { &tables.hard_products } else { &tables.products }.get(self.product)
    }

    /// Writes the row, with a defect if there is one.
    fn write(self, invoice: &Values, flaw: Option<(Flaw, &mut Random)>, tables: &Tables, out: &mut Vec<u8>) {
        let (flaw, bad_amount) = match flaw {
            Some((flaw, random)) => (Some(flaw), random.pick(&BAD_AMOUNTS)),
            None => (None, BAD_AMOUNTS[0]),
        };
        let amount = |column, cents, out: &mut Vec<u8>| match flaw {
            Some(flaw) if flaw == column => out.extend_from_slice(bad_amount),
            _ => push_amount(cents, out),
        };
        invoice.write_up_to_issue_date(flaw, tables, out);
        invoice.write_issuer_and_parties(tables, out);
        out.extend_from_slice(b"\";\"");
        match flaw {
            Some(Flaw::NoNumber) => {}
            Some(Flaw::NumberZero) => out.push(b'0'),
            Some(Flaw::NumberOfLetters) => out.extend_from_slice(b"A1"),
            _ => push_number(self.number, out),
        }
        let Some(product) = self.product(tables) else { return };
        out.extend_from_slice(&product.fields);
        out.push(if invoice.is_within_a_state(tables) { b'5' } else { b'6' });
        out.extend_from_slice(product.cfop);
        out.extend_from_slice(b"\";\"");
        amount(Flaw::Quantity, self.quantity_hundredths, out);
        out.extend_from_slice(b"\";\"");
        out.extend_from_slice(&product.unit);
        out.extend_from_slice(b"\";\"");
        amount(Flaw::UnitPrice, self.unit_price_cents, out);
        if flaw != Some(Flaw::MissingColumn) {
            out.extend_from_slice(b"\";\"");
            amount(Flaw::Amount, self.total_cents(), out);
        }
        out.extend_from_slice(if flaw == Some(Flaw::ExtraColumn) { b"\";\"?\"\r\n" } else { b"\"\r\n" });
    }
}
