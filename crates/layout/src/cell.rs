//! Where a field stands in a row, and how it is read there.

use std::borrow::Cow;
use std::sync::OnceLock;

use jiff::civil::Date;

use crate::fold;
use crate::row::Row;
use crate::spec::{Take, TakeKey, TestSpec};
use notaflux_invoice::text::{all_digits, is_plain};
use notaflux_invoice::{DateConvention, DecimalConvention, Status, TaxIdColumn};

/// Letters that stand before a key in the XML of its document, in capitals.
const DOCUMENT_LETTERS: [&str; 7] = ["NFCOM", "NF3E", "MDFE", "NFS", "NFE", "CTE", "BPE"];

/// Most zeros that are taken for the places of a whole number: three may be a group of thousands.
const PLACES_LIMIT: usize = 2;

/// Texts of a status that are worked out once: more than there are events in the portal's files.
const KNOWN_STATUSES: usize = 8;

/// Bytes of such a text at most, so that little is kept whatever stands in a source.
const KNOWN_STATUS_BYTES: usize = 128;

/// Where one field stands in a row.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Columns to look in, in order; none where the header has none of them.
    pub(crate) columns: Box<[usize]>,
    pub(crate) absent: Absent,
    /// What messages call it: the first of its columns that the header has, or what the layout calls the first.
    pub(crate) name: Box<str>,
}

/// A value and where it stood.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'r> {
    pub(crate) column: usize,
    pub(crate) text: &'r str,
    /// Whether it is a number of JSON, whose convention is always the same.
    pub(crate) is_number: bool,
}

impl Cell {
    /// Of a field that the layout does not have.
    pub(crate) fn nowhere() -> Self {
        Self { columns: Box::default(), absent: Absent::default(), name: Box::default() }
    }

    /// Whether no row can have a value there.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.columns.is_empty()
    }

    /// The first value of the cell's columns, without spaces around it.
    #[inline]
    pub(crate) fn read<'r>(&self, row: &Row<'r>) -> Option<Found<'r>> {
        self.values(row).next()
    }

    /// Its text alone: two registers, where a [`Found`] goes by way of memory.
    #[inline]
    pub(crate) fn text<'r>(&self, row: &Row<'r>) -> Option<&'r str> {
        // Nearly every cell has one column.
        let text = self.text_at(row, *self.columns.first()?);
        if text.is_none() && self.columns.len() > 1 { self.text_of_others(row) } else { text }
    }

    #[inline(never)]
    fn text_of_others<'r>(&self, row: &Row<'r>) -> Option<&'r str> {
        self.columns.iter().skip(1).find_map(|&column| self.text_at(row, column))
    }

    /// The values of the cell's columns, in order.
    #[inline]
    pub(crate) fn values<'r>(&self, row: &Row<'r>) -> impl Iterator<Item = Found<'r>> {
        self.columns.iter().filter_map(move |&column| self.found(row, column))
    }

    #[inline]
    fn found<'r>(&self, row: &Row<'r>, column: usize) -> Option<Found<'r>> {
        let text = self.text_at(row, column)?;
        Some(Found { column, text, is_number: row.is_number(column) })
    }

    #[inline]
    fn text_at<'r>(&self, row: &Row<'r>, column: usize) -> Option<&'r str> {
        let text = row.get(column)?;
        // Nearly every value is told by its first and last byte, so that nothing is called.
        if is_plain(text) && !self.absent.may_be(text) { Some(text) } else { self.value_of(text) }
    }

    #[inline(never)]
    fn value_of<'r>(&self, text: &'r str) -> Option<&'r str> {
        let text = text.trim();
        (!text.is_empty() && !self.absent.is(text)).then_some(text)
    }
}

/// Texts that mean "no value".
#[derive(Debug, Default)]
pub(crate) struct Absent {
    /// By ASCII code, a bit each: characters, in either case, that one of the words begins with.
    first: [u64; 2],
    /// Folded.
    words: Box<[String]>,
}

impl Absent {
    pub(crate) fn new<'a>(words: impl Iterator<Item = &'a String>) -> Self {
        let words: Box<[String]> = words.map(|word| fold::folded(word).collect()).collect();
        let mut first = [0_u64; 2];
        for byte in words.iter().filter_map(|word| word.bytes().next()) {
            for byte in [byte, byte.to_ascii_uppercase()] {
                if let Some(bits) = first.get_mut(usize::from(byte / 64)) {
                    *bits |= 1 << (byte % 64);
                }
            }
        }
        Self { first, words }
    }

    /// Whether its first byte leaves it open that it is one. Letters with an accent have no bit.
    #[inline]
    fn may_be(&self, text: &str) -> bool {
        let bits = text.bytes().next().and_then(|byte| Some(self.first.get(usize::from(byte / 64))? >> (byte % 64)));
        bits.is_none_or(|bits| bits & 1 == 1)
    }

    fn is(&self, text: &str) -> bool {
        self.words.iter().any(|word| fold::is(text, word))
    }
}

/// A text.
#[derive(Debug)]
pub(crate) struct TextCell {
    pub(crate) cell: Cell,
    pub(crate) take: Take,
    pub(crate) pad: usize,
}

impl TextCell {
    /// Of a field that the layout does not have.
    pub(crate) fn nowhere() -> Self {
        Self { cell: Cell::nowhere(), take: Take::Whole, pad: 0 }
    }

    /// The text, borrowed unless zeros had to be added.
    #[inline]
    pub(crate) fn read<'r>(&self, row: &Row<'r>) -> Option<Cow<'r, str>> {
        let text = self.cell.text(row)?;
        Some(padded(taken(text, self.take), self.pad))
    }

    /// Hands the text to `take`, where there is one.
    #[inline]
    pub(crate) fn hand(&self, row: &Row<'_>, take: impl FnOnce(&str)) {
        if let Some(text) = self.cell.text(row) {
            let text = taken(text, self.take);
            if text.len() >= self.pad { take(text) } else { take(&padded(text, self.pad)) }
        }
    }
}

/// The part of `text` that a layout takes.
#[inline]
pub(crate) fn taken(text: &str, take: Take) -> &str {
    match take {
        Take::Whole => text,
        Take::Code => code(text),
        Take::Integer => integer(text),
    }
}

/// The letters and digits before ` - `; all of a text that does not begin so.
fn code(text: &str) -> &str {
    let end = text.bytes().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(text.len());
    match text.split_at_checked(end) {
        Some((code, rest)) if rest.starts_with(" - ") && !code.is_empty() => code,
        _ => text,
    }
}

/// The digits before `.0`, `.00` or the like with a comma; all of a text that is anything else.
fn integer(text: &str) -> &str {
    if !text.ends_with('0') {
        return text;
    }
    let without_places = text.trim_end_matches('0');
    let places = text.len() - without_places.len();
    match without_places.strip_suffix(['.', ',']) {
        Some(whole) if places <= PLACES_LIMIT && is_digits(whole) => whole,
        _ => text,
    }
}

fn padded(text: &str, pad: usize) -> Cow<'_, str> {
    if text.len() >= pad || !is_digits(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{text:0>pad$}"))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && all_digits(text.as_bytes())
}

/// A key that names a document.
#[derive(Debug)]
pub(crate) struct KeyCell {
    pub(crate) cell: Cell,
    pub(crate) take: TakeKey,
}

impl KeyCell {
    /// The characters of the key, borrowed where they stand together.
    pub(crate) fn read<'r>(&self, row: &Row<'r>) -> Option<Cow<'r, str>> {
        let text = self.cell.text(row)?;
        Some(match self.take {
            TakeKey::Whole => Cow::Borrowed(text),
            TakeKey::Bare => bare(text),
        })
    }
}

/// The letters and digits of `text` in capitals, without the letters of a document before them.
fn bare(text: &str) -> Cow<'_, str> {
    if all_digits(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let mut bare = String::with_capacity(text.len());
    bare.extend(text.chars().filter(|char| char.is_alphanumeric()).map(|char| char.to_ascii_uppercase()));
    if let Some(letters) = DOCUMENT_LETTERS.iter().find(|letters| bare.starts_with(**letters)) {
        bare.drain(..letters.len());
    }
    Cow::Owned(bare)
}

/// A CNPJ or CPF.
#[derive(Debug)]
pub(crate) struct TaxIdCell {
    pub(crate) cell: Cell,
    pub(crate) take: Take,
    pub(crate) holds: TaxIdColumn,
}

/// A date.
#[derive(Debug)]
pub(crate) struct DateCell {
    pub(crate) cell: Cell,
    pub(crate) convention: DateConvention,
    /// Whether the layout names the convention of this field, whatever the source shows.
    pub(crate) pinned: bool,
    /// Days that mean "no date".
    pub(crate) absent: Box<[Date]>,
}

/// An amount.
#[derive(Debug)]
pub(crate) struct AmountCell {
    pub(crate) cell: Cell,
    pub(crate) convention: DecimalConvention,
    /// Whether the layout names the convention of this field, whatever the source shows.
    pub(crate) pinned: bool,
}

/// What tells the status.
#[derive(Debug)]
pub(crate) struct StatusCell {
    pub(crate) cell: Cell,
    pub(crate) rules: Box<[(Test, Status)]>,
    pub(crate) otherwise: Status,
    pub(crate) blank: Status,
    /// The first texts that were read and what each says: a source has few.
    known: [OnceLock<(Box<str>, Status)>; KNOWN_STATUSES],
}

impl StatusCell {
    pub(crate) fn new(cell: Cell, rules: Box<[(Test, Status)]>, otherwise: Status, blank: Status) -> Self {
        Self { cell, rules, otherwise, blank, known: Default::default() }
    }

    /// What `text` says of the status.
    pub(crate) fn of(&self, text: &str) -> Status {
        let known: &[_] = if text.len() <= KNOWN_STATUS_BYTES { &self.known } else { &[] };
        for known in known {
            let (known, status) = known.get_or_init(|| (text.into(), self.worked_out(text)));
            if **known == *text {
                return *status;
            }
        }
        self.worked_out(text)
    }

    fn worked_out(&self, text: &str) -> Status {
        let folded = fold::cell(text);
        self.rules.iter().find(|(test, _)| test.fits(&folded)).map_or(self.otherwise, |(_, status)| *status)
    }
}

/// Folded texts that a cell is compared with.
#[derive(Debug)]
pub(crate) enum Test {
    Is(Box<[String]>),
    Begins(Box<[String]>),
    Contains(Box<[String]>),
}

impl Test {
    pub(crate) fn new(spec: TestSpec<'_>) -> Self {
        let folded = spec.texts().iter().map(|text| fold::folded(text).collect()).collect();
        match spec {
            TestSpec::Is(_) => Self::Is(folded),
            TestSpec::Begins(_) => Self::Begins(folded),
            TestSpec::Contains(_) => Self::Contains(folded),
        }
    }

    fn fits(&self, folded: &str) -> bool {
        match self {
            Self::Is(texts) => texts.iter().any(|text| folded == text),
            Self::Begins(texts) => texts.iter().any(|text| folded.starts_with(text)),
            Self::Contains(texts) => texts.iter().any(|text| folded.contains(text.as_str())),
        }
    }
}

/// What tells rows that are no records.
#[derive(Debug)]
pub(crate) struct TrailerCell {
    pub(crate) cell: Cell,
    pub(crate) test: Test,
}

impl TrailerCell {
    #[inline]
    pub(crate) fn fits(&self, row: &Row<'_>) -> bool {
        self.cell.text(row).is_some_and(|text| self.test.fits(&fold::cell(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_2_6_whole_numbers_lose_the_places_that_a_program_gave_them() {
        for (text, whole) in [
            ("17850.0", "17850"),
            ("9579964000291.0", "9579964000291"),
            ("17850,00", "17850"),
            ("17850", "17850"),
            ("17850.5", "17850.5"),
            ("1.000", "1.000"),
            ("20.235.404/0001-70", "20.235.404/0001-70"),
            ("C17850.0", "C17850.0"),
            (".0", ".0"),
            ("0", "0"),
            ("100", "100"),
        ] {
            assert_eq!(taken(text, Take::Integer), whole, "{text}");
        }
    }

    #[test]
    fn data_2_6_zeros_are_added_to_digits_only() {
        for (text, pad, padded_text) in
            [("3049069", 8, "03049069"), ("30049069", 8, "30049069"), ("3A", 8, "3A"), ("", 8, ""), ("7", 0, "7")]
        {
            assert_eq!(padded(text, pad), padded_text, "{text}");
        }
    }

    #[test]
    fn a_status_is_what_its_text_says_whether_or_not_it_is_known() {
        let rules = Box::new([(Test::Contains(Box::new(["cancel".to_owned()])), Status::Cancelled)]);
        let cell = StatusCell::new(Cell::nowhere(), rules, Status::Authorized, Status::Unknown);
        let mut texts: Vec<String> = (0..KNOWN_STATUSES + 3).map(|nth| format!("Evento {nth}")).collect();
        texts.insert(3, "Cancelamento".to_owned());
        texts.push("Cancelamento tardio".to_owned());
        texts.insert(0, "x".repeat(KNOWN_STATUS_BYTES + 1) + " cancelado");
        for text in texts.iter().chain(&texts) {
            let expected = if text.to_lowercase().contains("cancel") { Status::Cancelled } else { Status::Authorized };
            assert_eq!(cell.of(text), expected, "{text}");
        }
        let known: Vec<_> = cell.known.iter().map(|known| known.get().map(|(text, _)| text.len())).collect();
        assert!(known.iter().all(|known| known.is_some_and(|bytes| bytes <= KNOWN_STATUS_BYTES)), "{known:?}");
    }

    #[test]
    fn a_code_stands_before_a_hyphen_with_spaces() {
        for (text, found) in [("55 - NF-E", "55"), ("NF-E", "NF-E"), ("55", "55"), (" - 55", " - 55"), ("55-1", "55-1")]
        {
            assert_eq!(code(text), found);
        }
    }

    #[test]
    fn a_key_is_found_in_what_people_put_around_it() {
        let key = "31191108676370000155550010000070831000062423";
        let spaced: String = key
            .chars()
            .enumerate()
            .flat_map(|(at, char)| [(at % 4 == 0).then_some(' '), Some(char)])
            .flatten()
            .collect();
        for text in [key.to_owned(), format!("NFe{key}"), format!("'{key}"), spaced, format!("nfe {key}")] {
            assert_eq!(bare(&text), key, "{text}");
        }
        assert_eq!(
            bare("CTe35260712abc34501de35550010000001231123456787"),
            "35260712ABC34501DE35550010000001231123456787"
        );
        assert!(matches!(bare(key), Cow::Borrowed(_)));
    }
}
