//! Reads amounts as people write them: with a currency, in brackets, with spaces between the thousands.

use super::{Decimal, DecimalConvention};

/// Signs of currencies, the longer ones first.
const SIGNS: [&str; 8] = ["R$", "US$", "U$", "$", "€", "£", "¥", "₹"];

/// Letters of a currency's code (ISO 4217).
const CODE_LETTERS: usize = 3;

/// Parses an amount that [`Decimal::parse`] does not read.
pub(super) fn read(text: &str, convention: DecimalConvention) -> Option<Decimal> {
    let (is_negative, text) = unsigned(text.trim())?;
    let (is_negative_within, text) = unsigned(without_currency(text))?;
    let plain = digits(without_currency(text), convention)?;
    let sign = match (is_negative, is_negative_within) {
        (false, false) => "",
        (true, true) => return None,
        _ => "-",
    };
    Decimal::parse(&format!("{sign}{plain}"), convention).ok()
}

/// Removes the sign, which may stand before or after the amount, or brackets. Returns whether the amount is negative.
fn unsigned(text: &str) -> Option<(bool, &str)> {
    if let Some(within) = text.strip_prefix('(') {
        return Some((true, within.strip_suffix(')')?.trim()));
    }
    let rest = text.strip_prefix('-').or_else(|| text.strip_suffix('-'));
    Some(rest.map_or((false, text), |rest| (true, rest.trim())))
}

/// Removes the sign or the code of a currency before or after the amount.
fn without_currency(text: &str) -> &str {
    let is_code = |code: &str| code.len() == CODE_LETTERS && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let before = SIGNS.iter().find_map(|sign| text.strip_prefix(sign));
    let after = SIGNS.iter().find_map(|sign| text.strip_suffix(sign));
    let code_before = || text.split_at_checked(CODE_LETTERS).filter(|(code, _)| is_code(code)).map(|(_, rest)| rest);
    let code_after = || {
        let (rest, code) = text.split_at_checked(text.len().checked_sub(CODE_LETTERS)?)?;
        is_code(code).then_some(rest)
    };
    before.or(after).or_else(code_before).or_else(code_after).map_or(text, str::trim)
}

/// Returns the digits without marks between the thousands, and the decimal mark if digits follow it.
fn digits(text: &str, convention: DecimalConvention) -> Option<String> {
    let (decimal_mark, group_mark) = convention.marks();
    let (decimal_mark, group_mark) = (char::from(decimal_mark), char::from(group_mark));
    let (whole, places) = text.split_once(decimal_mark).unwrap_or((text, ""));
    let is_mark = |char: char| char == group_mark || char == '\'' || char == '’' || char.is_whitespace();
    let mut marks = whole.chars().filter(|char| is_mark(*char));
    let first = marks.next();
    if marks.any(|mark| Some(mark) != first) {
        return None;
    }
    let groups: Vec<&str> = whole.split(is_mark).collect();
    if groups.len() > 1 && !is_grouped(&groups, first == Some(',')) {
        return None;
    }
    let whole = groups.concat();
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(&whole) || !is_number(places) || (whole.is_empty() && places.is_empty()) {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { &whole };
    Some(if places.is_empty() { whole.to_owned() } else { format!("{whole}{decimal_mark}{places}") })
}

/// Whether digits are in groups of three, or as in India: the last three, and before them groups of two. `0.125` is not grouped:
/// it has decimal places by another convention.
fn is_grouped(groups: &[&str], may_be_indian: bool) -> bool {
    let [first, middle @ .., last] = groups else { return false };
    let of_three = middle.iter().all(|group| group.len() == 3) && (1..=3).contains(&first.len());
    let of_two = may_be_indian && middle.iter().all(|group| group.len() == 2) && (1..=2).contains(&first.len());
    last.len() == 3 && !first.starts_with('0') && (of_three || of_two)
}

#[cfg(test)]
mod tests {
    use super::*;
    use DecimalConvention::{Comma, Point};

    #[test]
    fn amounts_as_people_write_them() {
        for (text, convention, plain) in [
            ("R$ 1.234,56", Comma, "1234.56"),
            ("R$\u{a0}1.234,56", Comma, "1234.56"),
            ("1.234,56 R$", Comma, "1234.56"),
            ("-R$ 1,00", Comma, "-1.00"),
            ("R$ -1,00", Comma, "-1.00"),
            ("(1.234,56)", Comma, "-1234.56"),
            ("(R$ 1,00)", Comma, "-1.00"),
            ("1.234,56-", Comma, "-1234.56"),
            ("1 234,56", Comma, "1234.56"),
            ("1\u{202f}234\u{202f}567,5", Comma, "1234567.5"),
            ("10,", Comma, "10"),
            (",06", Comma, "0.06"),
            ("$1,234.50", Point, "1234.50"),
            ("USD 1,234.50", Point, "1234.50"),
            ("1,234.50 EUR", Point, "1234.50"),
            ("1'234.50", Point, "1234.50"),
            ("1,18,000.00", Point, "118000.00"),
            ("(5.00)", Point, "-5.00"),
            ("1234.5-", Point, "-1234.5"),
            (".5", Point, "0.5"),
        ] {
            assert_eq!(
                Decimal::parse_clear(text, convention).map(|found| found.to_string()),
                Ok(plain.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_may_be_mistaken_is_an_error() {
        for (text, convention) in [
            ("1234.56", Comma),
            ("0.125", Comma),
            ("R$ 0.125", Comma),
            ("0,125", Point),
            ("001.234,5", Comma),
            ("12,3,4", Comma),
            ("1.23,45", Comma),
            ("1.18.000,00", Comma),
            ("1 23,45", Comma),
            ("1 234.567,00", Comma),
            ("(-1,00)", Comma),
            ("-1,00-", Comma),
            ("(1,00", Comma),
            ("R$", Comma),
            ("R$ dez", Comma),
            ("abc", Comma),
            ("real 1,00", Comma),
            ("1,00 de", Comma),
            ("", Comma),
            ("1.234,56", Point),
            ("٣,٥", Comma),
        ] {
            assert!(Decimal::parse_clear(text, convention).is_err(), "{text}");
        }
    }
}
