//! Reads dates whose order of day, month and year cannot be mistaken, whatever the convention of the source.

use super::{Cursor, DateConvention, Parts};

/// The years of a date that is written as eight digits, year first. A date written day first never looks like one: its year
/// would be before 1232.
const PACKED_YEARS: std::ops::RangeInclusive<i16> = 1900..=2199;

/// A year of two digits below this is of this century.
const CENTURY_TURN: i16 = 70;

/// The first letters of the months in Portuguese, English and Spanish, with the number of the month.
const MONTHS: [(&str, i8); 19] = [
    ("jan", 1),
    ("ene", 1),
    ("fev", 2),
    ("feb", 2),
    ("mar", 3),
    ("abr", 4),
    ("apr", 4),
    ("mai", 5),
    ("may", 5),
    ("jun", 6),
    ("jul", 7),
    ("ago", 8),
    ("aug", 8),
    ("set", 9),
    ("sep", 9),
    ("out", 10),
    ("oct", 10),
    ("nov", 11),
    ("de", 12),
];

/// The names of the months, of which an abbreviation has at least three letters.
const NAMES: &str = "janeiro january enero fevereiro february febrero março marco march marzo abril april maio may mayo \
                     junho june junio julho july julio agosto august setembro september septiembre sept outubro october octubre \
                     novembro november noviembre dezembro december diciembre dez dec dic";

/// Parses a date, and a time after it.
pub(super) fn read(text: &[u8], convention: DateConvention) -> Option<Parts> {
    let (mut parts, rest) = date(text, convention)?;
    if rest.0.is_empty() {
        return Some(parts);
    }
    clock(&mut parts, rest)?;
    Some(parts)
}

/// Parses the date at the start of `text`.
fn date(text: &[u8], convention: DateConvention) -> Option<(Parts, Cursor<'_>)> {
    let forms = [packed, year_first, by_convention, named];
    forms.into_iter().find_map(|form| {
        let mut rest = Cursor(text);
        let (year, month, day) = form(&mut rest, convention)?;
        let is_end = rest.0.first().is_none_or(|next| !next.is_ascii_alphanumeric() || *next == b'T');
        is_end.then_some((Parts { year, month, day, ..Parts::default() }, rest))
    })
}

/// `20241231`.
fn packed(rest: &mut Cursor<'_>, _: DateConvention) -> Option<(i16, i8, i8)> {
    let (year, month, day) = (rest.year()?, rest.two()?, rest.two()?);
    PACKED_YEARS.contains(&year).then_some((year, month, day))
}

/// `2024-12-31`, or with `/` or `.` as separator.
fn year_first(rest: &mut Cursor<'_>, _: DateConvention) -> Option<(i16, i8, i8)> {
    let year = rest.year()?;
    let mark = rest.one_of(b"-/.")?;
    let month = rest.one_or_two()?;
    rest.one_of(&[mark])?;
    Some((year, month, rest.one_or_two()?))
}

/// `31/12/2024` or `31/12/24`, in the order of the convention.
fn by_convention(rest: &mut Cursor<'_>, convention: DateConvention) -> Option<(i16, i8, i8)> {
    let first = rest.one_or_two()?;
    let mark = rest.one_of(b"/-.")?;
    let second = rest.one_or_two()?;
    rest.one_of(&[mark])?;
    let year = some_year(rest)?;
    match convention {
        DateConvention::DayMonthYear => Some((year, second, first)),
        DateConvention::MonthDayYear => Some((year, first, second)),
        DateConvention::Iso | DateConvention::Packed => None,
    }
}

/// `31 Dec 2024`, `Dec 31, 2024`, `1 de fevereiro de 2025`, `07-fev-25`.
fn named(rest: &mut Cursor<'_>, _: DateConvention) -> Option<(i16, i8, i8)> {
    let before = rest.one_or_two();
    between(rest);
    let month = month(rest)?;
    between(rest);
    let day = match before {
        Some(day) => day,
        None => rest.one_or_two()?,
    };
    between(rest);
    Some((some_year(rest)?, month, day))
}

/// Skips what may stand between the parts of a date with a name: marks, and `de` or `of`.
fn between(rest: &mut Cursor<'_>) {
    while rest.one_of(b" /-.,").is_some() {}
    for word in [&b"de "[..], b"of ", "º de ".as_bytes()] {
        if rest.0.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)) {
            rest.0 = rest.0.split_at(word.len()).1;
        }
    }
}

/// Parses the name of a month, or the first three letters or more of it.
fn month(rest: &mut Cursor<'_>) -> Option<i8> {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || !byte.is_ascii();
    let length = rest.0.iter().take_while(|byte| is_letter(byte)).count();
    let (name, after) = rest.0.split_at(length);
    let name = std::str::from_utf8(name).ok()?.to_lowercase();
    let is_name =
        name.len() >= 3 && NAMES.split(' ').any(|month| month == name || (name.len() == 3 && month.starts_with(&name)));
    let (_, month) = MONTHS.iter().find(|(start, _)| is_name && name.starts_with(start)).or_else(|| {
        // December in the three languages.
        MONTHS.last().filter(|_| is_name && name.starts_with("di"))
    })?;
    rest.0 = after;
    Some(*month)
}

/// Parses a year of four digits, or of two.
fn some_year(rest: &mut Cursor<'_>) -> Option<i16> {
    let digits = rest.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match digits {
        4 => rest.year(),
        2 => rest.two().map(i16::from).map(|year| if year < CENTURY_TURN { 2000 + year } else { 1900 + year }),
        _ => None,
    }
}

/// Parses a time with 24 hours, or with 12 hours and AM or PM, and an offset or the word for UTC.
fn clock(parts: &mut Parts, mut rest: Cursor<'_>) -> Option<()> {
    rest.one_of(b" T,")?;
    rest.skip_spaces();
    parts.hour = rest.one_or_two()?;
    rest.one_of(b":")?;
    parts.minute = rest.two()?;
    if rest.one_of(b":").is_some() {
        parts.second = rest.two()?;
        if rest.one_of(b".,").is_some() {
            rest.some_digits()?;
        }
    }
    rest.skip_spaces();
    let half = rest.0.get(..2).map(<[u8]>::to_ascii_uppercase);
    if let Some(half) = half.filter(|half| half == b"AM" || half == b"PM") {
        if !(1..=12).contains(&parts.hour) {
            return None;
        }
        parts.hour = parts.hour % 12 + if half == b"PM" { 12 } else { 0 };
        rest.0 = rest.0.split_at(2).1;
        rest.skip_spaces();
    }
    if rest.0.eq_ignore_ascii_case(b"UTC") || rest.0.eq_ignore_ascii_case(b"GMT") {
        parts.offset_minutes = Some(0);
        return Some(());
    }
    parts.offset_minutes = rest.offset()?;
    rest.0.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::super::Timestamp;
    use DateConvention::{DayMonthYear, Iso, MonthDayYear, Packed};

    use super::*;

    #[test]
    fn dates_that_cannot_be_mistaken_are_read_in_every_convention() {
        for (text, plain) in [
            ("2024/12/31 08:26:30", "2024-12-31T08:26:30"),
            ("2024.12.31", "2024-12-31T00:00:00"),
            ("20260115", "2026-01-15T00:00:00"),
            ("20121012", "2012-10-12T00:00:00"),
            ("16 May 2025", "2025-05-16T00:00:00"),
            ("31-Dec-2024", "2024-12-31T00:00:00"),
            ("Dec 31, 2024", "2024-12-31T00:00:00"),
            ("May 16 2025", "2025-05-16T00:00:00"),
            ("31/dez/2024", "2024-12-31T00:00:00"),
            ("1 de fevereiro de 2025", "2025-02-01T00:00:00"),
            ("1º de março de 2025", "2025-03-01T00:00:00"),
            ("15 de Março de 2025 8:05", "2025-03-15T08:05:00"),
            ("07-fev-25", "2025-02-07T00:00:00"),
            ("3 dic 99", "1999-12-03T00:00:00"),
            ("September 3, 2024, 11:59 pm", "2024-09-03T23:59:00"),
            ("2024-12-31 08:26:30 UTC", "2024-12-31T08:26:30+00:00"),
            ("2024-12-31T08:26:30.123-03:00", "2024-12-31T08:26:30-03:00"),
            ("2024-12-31 12:05 AM", "2024-12-31T00:05:00"),
            ("2024-12-31 12:05 PM", "2024-12-31T12:05:00"),
            ("2024-12-31 13:05 PM", "-"),
            ("2024-12-31 0:05 AM", "-"),
            ("31 foo 2024", "-"),
            ("31 de 2024", "-"),
            ("31 decem 2024", "-"),
            ("202412311", "-"),
            ("31 Dec 024", "-"),
            ("31 Feb 2024", "-"),
        ] {
            for convention in DateConvention::ALL {
                let found = Timestamp::parse_clear(text, convention);
                let found = found.map_or_else(|_| "-".to_owned(), |time| time.to_string());
                assert_eq!(found, plain, "{text} as {convention:?}");
            }
        }
    }

    #[test]
    fn the_convention_gives_the_order_where_only_it_can() {
        for (text, convention, plain) in [
            ("01/02/25", DayMonthYear, "2025-02-01T00:00:00"),
            ("01/02/25", MonthDayYear, "2025-01-02T00:00:00"),
            ("01/02/25", Iso, "-"),
            ("01/02/2025", Packed, "-"),
            ("31/12/2024 8:26 PM", DayMonthYear, "2024-12-31T20:26:00"),
            ("12/31/2024 8:26 PM", DayMonthYear, "-"),
            ("31122024", Packed, "2024-12-31T00:00:00"),
            ("31122024", DayMonthYear, "-"),
        ] {
            let found = Timestamp::parse_clear(text, convention);
            assert_eq!(found.map_or_else(|_| "-".to_owned(), |time| time.to_string()), plain, "{text}");
        }
    }
}
