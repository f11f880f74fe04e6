//! The cells of a row: in which columns a field is, and how it is read.

use std::borrow::Cow;
use std::sync::OnceLock;

use jiff::civil::Date;

use crate::fold;
use crate::row::Row;
use crate::spec::{Take, TakeKey, TestSpec};
use notaflux_invoice::text::{all_digits, is_plain};
use notaflux_invoice::{DateConvention, DecimalConvention, Status, TaxIdColumn};

/// Letters before a key in the XML of its document, in upper case.
const DOCUMENT_LETTERS: [&str; 7] = ["NFCOM", "NF3E", "MDFE", "NFS", "NFE", "CTE", "BPE"];

/// Most zeros that are read as decimal places of a whole number. Three may be a group of thousands.
const PLACES_LIMIT: usize = 2;

/// Number of status texts that are remembered: more than the portal's files contain.
const KNOWN_STATUSES: usize = 8;

/// Most bytes of a remembered text, so that no source can fill the memory.
const KNOWN_STATUS_BYTES: usize = 128;

/// The columns of one field.
#[derive(Debug)]
pub(crate) struct Cell {
    /// The columns to read, in order. Empty if the header has none of them.
    pub(crate) columns: Box<[usize]>,
    pub(crate) absent: Absent,
    /// The name in messages: the first of its columns that the header has, or the first name in the layout.
    pub(crate) name: Box<str>,
}

/// A value and its column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CellValue<'r> {
    pub(crate) column: usize,
    pub(crate) text: &'r str,
    /// Whether it is a JSON number, whose convention is always the same.
    pub(crate) is_number: bool,
}

impl Cell {
    /// Returns the cell of a field that the layout does not have.
    pub(crate) fn nowhere() -> Self {
        Self { columns: Box::default(), absent: Absent::default(), name: Box::default() }
    }

    /// Whether no row can have a value.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.columns.is_empty()
    }

    /// Returns the first value of the cell's columns, without spaces at the ends.
    #[inline]
    pub(crate) fn read<'r>(&self, row: &Row<'r>) -> Option<CellValue<'r>> {
        self.values(row).next()
    }

    /// Returns the text of [`Cell::read`]. Faster: two registers, while a [`CellValue`] is passed through memory.
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

    /// Iterates over the values of the cell's columns, in order.
    #[inline]
    pub(crate) fn values<'r>(&self, row: &Row<'r>) -> impl Iterator<Item = CellValue<'r>> {
        self.columns.iter().filter_map(move |&column| self.found(row, column))
    }

    #[inline]
    fn found<'r>(&self, row: &Row<'r>, column: usize) -> Option<CellValue<'r>> {
        let text = self.text_at(row, column)?;
        Some(CellValue { column, text, is_number: row.is_number(column) })
    }

    #[inline]
    fn text_at<'r>(&self, row: &Row<'r>, column: usize) -> Option<&'r str> {
        let text = row.get(column)?;
        // The first and last byte decide for nearly every value, without a call.
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
    /// One bit for each ASCII code: the first characters of the words, in lower and upper case.
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

    /// Whether `text` may be one of the words, judging by its first byte. Letters with an accent have no bit.
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
    /// Returns the cell of a field that the layout does not have.
    pub(crate) fn nowhere() -> Self {
        Self { cell: Cell::nowhere(), take: Take::Whole, pad: 0 }
    }

    /// Returns the text, borrowed unless zeros are added.
    #[inline]
    pub(crate) fn read<'r>(&self, row: &Row<'r>) -> Option<Cow<'r, str>> {
        let text = self.cell.text(row)?;
        Some(padded(taken(text, self.take), self.pad))
    }

    /// Passes the text to `take` if there is one.
    #[inline]
    pub(crate) fn hand(&self, row: &Row<'_>, take: impl FnOnce(&str)) {
        if let Some(text) = self.cell.text(row) {
            let text = taken(text, self.take);
            if text.len() >= self.pad { take(text) } else { take(&padded(text, self.pad)) }
        }
    }
}

/// Returns the part of `text` that the layout takes.
#[inline]
pub(crate) fn taken(text: &str, take: Take) -> &str {
    match take {
        Take::Whole => text,
        Take::Code => code(text),
        Take::Integer => integer(text),
    }
}

/// Returns the letters and digits before ` - `, or the whole text if it does not begin like this.
fn code(text: &str) -> &str {
    let end = text.bytes().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(text.len());
    match text.split_at_checked(end) {
        Some((code, rest)) if rest.starts_with(" - ") && !code.is_empty() => code,
        _ => text,
    }
}

/// Returns the digits before `.0`, `.00`, `,0` or `,00`, or the whole text if it has another form.
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

/// A key that identifies a document.
#[derive(Debug)]
pub(crate) struct KeyCell {
    pub(crate) cell: Cell,
    pub(crate) take: TakeKey,
}

impl KeyCell {
    /// Returns the characters of the key, borrowed if nothing has to be removed.
    pub(crate) fn read<'r>(&self, row: &Row<'r>) -> Option<Cow<'r, str>> {
        let text = self.cell.text(row)?;
        Some(match self.take {
            TakeKey::Whole => Cow::Borrowed(text),
            TakeKey::Bare => bare(text),
        })
    }
}

/// Returns the letters and digits of `text` in upper case, without the letters of a document at the start.
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
    /// Whether the layout sets the convention of this field, whatever the source uses.
    pub(crate) pinned: bool,
    /// Days that mean "no date".
    pub(crate) absent: Box<[Date]>,
}

/// An amount.
#[derive(Debug)]
pub(crate) struct AmountCell {
    pub(crate) cell: Cell,
    pub(crate) convention: DecimalConvention,
    /// Whether the layout sets the convention of this field, whatever the source uses.
    pub(crate) pinned: bool,
}

/// The cell that determines the status.
#[derive(Debug)]
pub(crate) struct StatusCell {
    pub(crate) cell: Cell,
    pub(crate) rules: Box<[(Test, Status)]>,
    pub(crate) otherwise: Status,
    pub(crate) blank: Status,
    /// The first texts that were read, with their status. A source has few different texts.
    known: [OnceLock<(Box<str>, Status)>; KNOWN_STATUSES],
}

impl StatusCell {
    pub(crate) fn new(cell: Cell, rules: Box<[(Test, Status)]>, otherwise: Status, blank: Status) -> Self {
        Self { cell, rules, otherwise, blank, known: Default::default() }
    }

    /// Returns the status for `text`.
    pub(crate) fn of(&self, text: &str) -> Status {
        let known: &[_] = if text.len() <= KNOWN_STATUS_BYTES { &self.known } else { &[] };
        for known in known {
            let (known, status) = known.get_or_init(|| (text.into(), self.by_rules(text)));
            if **known == *text {
                return *status;
            }
        }
        self.by_rules(text)
    }

    fn by_rules(&self, text: &str) -> Status {
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

/// The cell that determines whether a row is a trailer.
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
    fn decimal_places_that_a_program_added_to_whole_numbers_are_removed() {
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
    fn zeros_are_added_to_digits_only() {
        for (text, pad, padded_text) in
            [("3049069", 8, "03049069"), ("30049069", 8, "30049069"), ("3A", 8, "3A"), ("", 8, ""), ("7", 0, "7")]
        {
            assert_eq!(padded(text, pad), padded_text, "{text}");
        }
    }

    #[test]
    fn a_status_is_the_same_whether_or_not_its_text_is_remembered() {
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
    fn a_key_is_read_without_spaces_quotes_and_letters_around_it() {
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
