//! How numbers, amounts and moments are written.

use super::tables::Tables;

/// A second of a month of the tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Index into the tables' months.
    pub(super) month: usize,
    pub(super) day: u64,
    pub(super) hour: u64,
    pub(super) minute: u64,
    pub(super) second: u64,
}

impl Moment {
    /// `31/12/2024 23:59:59`.
    pub(super) fn write(self, tables: &Tables, out: &mut Vec<u8>) {
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

/// The last `N` digits of `number`, with zeros before them where it has fewer.
pub(super) fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = last_digit(number);
        number /= 10;
    }
    digits
}

pub(super) fn push_number(number: u64, out: &mut Vec<u8>) {
    let digits = digits::<20>(number);
    let first = digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len() - 1);
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

pub(super) fn push_amount(cents: u64, out: &mut Vec<u8>) {
    push_number(cents / 100, out);
    out.push(b',');
    out.extend_from_slice(&digits::<2>(cents % 100));
}

pub(super) fn last_digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}
