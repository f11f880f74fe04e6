//! The file of lines.

use arrayvec::ArrayVec;

use super::invoices::Values;
use super::products::Product;
use super::random::Random;
use super::tables::Tables;
use super::text::{push_amount, push_number};
use super::{BAD_AMOUNTS, Class, Flaw, Generator, stream};

/// Lines of an invoice.
const LINES_LIMIT: usize = 60;

/// How many lines an invoice has: 43 in 12, as the Portal has 517,000 of 144,000 invoices in a month.
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
pub(super) struct LineValues {
    pub(super) number: u64,
    pub(super) product: usize,
    pub(super) is_hard: bool,
    /// Hundredths of a unit: 250 is 2,50.
    pub(super) quantity_hundredths: u64,
    pub(super) unit_price_cents: u64,
}

pub(super) type Lines = ArrayVec<LineValues, LINES_LIMIT>;

impl Generator {
    /// The lines of the invoice of record `index`, if its key first stands there, and what stands behind each of them.
    pub(super) fn write_lines(&self, index: u64, out: &mut Vec<u8>) {
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

    /// The lines of `invoice`, which is that of record `index`; at least one.
    pub(super) fn lines(&self, index: u64, invoice: &Values) -> Lines {
        let mut random = self.random(index, stream::LINES);
        let count = if random.below(1_000) == 0 { 20 + random.below(41) } else { random.pick(&COUNTS) };
        let freight_cents = if random.below(20) == 0 { invoice.total_cents / 10 } else { 0 };
        // A total is 100 cents at least, of which nine tenths are more than the 60 lines there may be.
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

    /// A line that has stood in the file before: one of `written`, or one of an earlier invoice.
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
    /// A line of a part of `rest_cents`, or of all of it if no lines come after it.
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
        // Each line to come needs a cent, and what is left to it on the average is about the same for all.
        let to_spare_cents = rest_cents.saturating_sub(later_lines);
        line.of_about(1 + random.below(2 * to_spare_cents / (later_lines + 1)))
    }

    /// The line with the highest price at which its total is no more than `cents`; one unit where that would be free.
    fn of_about(self, cents: u64) -> Self {
        let price = cents * 100 / self.quantity_hundredths;
        // Half a unit of an odd price is no whole number of cents.
        let unit_price_cents = if self.quantity_hundredths.is_multiple_of(100) { price } else { price / 2 * 2 };
        if unit_price_cents == 0 {
            return Self { quantity_hundredths: 100, unit_price_cents: cents, ..self };
        }
        Self { unit_price_cents, ..self }
    }

    /// The line with a total of `cents`: of its quantity if that divides it, of ten or of one unit otherwise.
    fn of_exactly(self, cents: u64) -> Self {
        let quantities = [self.quantity_hundredths, 1_000, 100];
        let divides = |quantity: &u64| (cents * 100).is_multiple_of(*quantity) && cents * 100 >= *quantity;
        let quantity_hundredths = quantities.into_iter().find(divides).unwrap_or(100);
        Self { quantity_hundredths, unit_price_cents: cents * 100 / quantity_hundredths, ..self }
    }

    /// The line with one to ten units more.
    fn with_more(self, random: &mut Random) -> Self {
        Self { quantity_hundredths: self.quantity_hundredths + 100 * (1 + random.below(10)), ..self }
    }

    pub(super) const fn total_cents(self) -> u64 {
        self.quantity_hundredths * self.unit_price_cents / 100
    }

    pub(super) fn product(self, tables: &Tables) -> Option<&Product> {
        if self.is_hard { &tables.hard_products } else { &tables.products }.get(self.product)
    }

    /// The row; with one thing wrong about it, if so.
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
        out.extend_from_slice(if flaw == Some(Flaw::ExtraColumn) { b"\";\"\"\r\n" } else { b"\"\r\n" });
    }
}
