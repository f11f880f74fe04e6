//! Digits, numbers and amounts as text.

/// Returns the last `N` digits of `number`, padded with zeros.
pub(crate) fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = last_digit(number);
        number /= 10;
    }
    digits
}

pub(crate) fn push_number(number: u64, out: &mut Vec<u8>) {
    let digits = digits::<20>(number);
    let first = digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len() - 1);
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

pub(crate) fn push_amount(cents: u64, out: &mut Vec<u8>) {
    push_number(cents / 100, out);
    out.push(b',');
    out.extend_from_slice(&digits::<2>(cents % 100));
}

pub(crate) fn last_digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}
