//! A generator of the Portal's three files and of NF-e documents: any size, the same bytes for the same seed, no memory but
//! its tables.
//!
//! Files are as the Portal's are: windows-1252, `;`, every field quoted, CRLF, a header first. Record `i` (from 0) of the
//! invoices, and the lines and events of its invoice, are functions of the seed and `i` alone, so that a record can be
//! written again later without having been kept, and the three files of the same options belong together.
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
//!
//! # Lines
//! Every invoice has its lines, numbered from 1, where its key first stands in the invoice file: one to eight, 3.6 in the
//! mean, and one in a thousand has 20 to 60. Quantity times unit price is the line's total to the cent, and the totals
//! of the lines add up to the invoice's, except that one invoice in twenty has a tenth more of it in no line, its freight.
//! Of the products, one in fifty is hard to read as an operation may be.
//!
//! Repeated and bad lines come on top, behind good ones, and the shares are of all rows. A repeated line is one that has
//! stood in the file: half of the time of the same invoice, else of an earlier one; half of them are the same bytes, the
//! others have a higher quantity and total. A bad one has a key as above, or no number, the number 0 or letters for it, or
//! a quantity, unit price or total of another kind, or a column less or more.
//!
//! # Events
//! One invoice in twenty, of those that have lines and were not denied, has one to three events: its authorization, a
//! correction, a manifestation of the recipient; a fifth are cancellations, each the last of its invoice and later than its
//! status in the invoice file, which does not tell of them. Repeated ones are of the same invoice: half of them the same
//! bytes, the others with another reason. A bad one has a key or a column count as above, or a date of another kind, or none.
//!
//! # JSON
//! [`Generator::json_of`] gives the same rows as flat objects, their columns as keys and all values as text, in UTF-8. A row
//! with a column less is an object that is cut short there, and one with a column more an object that lacks a quote; in an
//! array, all of which that would spoil, the one has no key and the other a short one.
//!
//! [`Generator::nfe`] gives one document of an NF-e for each row of the invoice file, as xmltodict makes it of the XML: the
//! same values and the lines of its key. What differs from the files:
//! - What a company sells within its state for less than R$ 10.000,00 is an NFC-e: its key has model 65. Six in ten have no
//!   recipient, the others a person.
//! - An issuer who is a person has his whole CPF.
//! - A cancelled invoice has status 101, a denied one 110, all others 100.
//! - Freight is in the totals, and so is what a repeated invoice is dearer (`vOutro`).
//! - A bad document has one of the first seven flaws of the table above, or is cut anywhere, or lacks a quote; in an array no
//!   key or no right total for the last two.
//!
//! Of issuers, recipients and products, one in four has its accents as `\u00e7`, and of products one in eight `null` for a
//! bar code. A document has 3.0 KB with one line and 0.65 KB more with each that follows, in the mean 4.7 KB.

mod archive;
mod events;
mod invoices;
mod json;
mod lines;
mod nfe;
mod products;
mod random;
mod tables;
mod text;

pub use archive::write_archive;
pub use json::JsonForm;

use json::Objects;
use random::Random;
use tables::Tables;

/// What [`Generator::fill`] appends at least, in bytes, while the file goes on.
pub const CHUNK_BYTES: usize = 64 * 1_024;

/// Times a repeated record looks for an earlier one that is not bad.
const LOOKS: u64 = 16;

/// Repeated and bad rows that stand behind one line or one event at most, however high their shares.
const EXTRA_ROWS_LIMIT: usize = 64;

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerateOptions {
    /// Records of the invoice file in all, repeated and bad ones among them, the header not.
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

impl GenerateOptions {
    /// What is generated unless it is said otherwise.
    pub const DEFAULT: Self =
        Self { records: 1_000, seed: 0, layout_version: LayoutVersion::V1, duplicates: 0.0, bad: 0.0 };
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The two headers that the Portal has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayoutVersion {
    /// 21 columns of invoices, 27 of lines, 10 of events.
    #[default]
    V1,
    /// 25 columns of invoices and 31 of lines: four more of the agency that received it. Events have the same 10.
    V2,
}

/// The files that the Portal has of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortalFile {
    /// One row an invoice.
    #[default]
    Invoices,
    /// One row an event of an invoice.
    Events,
    /// One row a line of an invoice.
    Lines,
}

impl PortalFile {
    /// Every file, in the order of the Portal's archives.
    pub const ALL: [Self; 3] = [Self::Invoices, Self::Events, Self::Lines];

    /// Name of the file in an archive. The month is the last that an invoice may be of.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invoices => "202412_NFe_NotaFiscal.csv",
            Self::Events => "202412_NFe_NotaFiscalEvento.csv",
            Self::Lines => "202412_NFe_NotaFiscalItem.csv",
        }
    }
}

/// Writes a file piece by piece.
#[derive(Debug)]
pub struct Generator {
    options: GenerateOptions,
    content: Content,
    tables: Tables,
    shares: Shares,
    stage: Stage,
    /// Whether an element of the array has been written.
    has_elements: bool,
    next: u64,
}

/// What a file is of.
#[derive(Debug)]
enum Content {
    Rows(PortalFile),
    Objects(PortalFile, Objects),
    Documents(JsonForm, Box<nfe::Fragments>),
}

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unbegun,
    Records,
    Ended,
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
    Bad,
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
    NoNumber,
    NumberZero,
    NumberOfLetters,
    Quantity,
    UnitPrice,
    EventAt,
    NoEventAt,
    MissingColumn,
    ExtraColumn,
    CutShort,
    MissingQuote,
}

const BAD_DATES: [&[u8]; 4] = [b"31/02/2024 10:00:00", b"2024-01-31 10:00:00", b"00/00/0000 00:00:00", b"ontem"];
const BAD_AMOUNTS: [&[u8]; 4] = [b"12,3,4", b"1234.56", b"R$ 10,00", b"abc"];

/// The streams of chance of a record, apart from one another.
mod stream {
    pub(super) const CLASS: u64 = 1;
    pub(super) const VALUES: u64 = 2;
    pub(super) const CHANGE: u64 = 3;
    pub(super) const EARLIER: u64 = 4;
    pub(super) const FLAW: u64 = 5;
    pub(super) const LINES: u64 = 6;
    pub(super) const EXTRA_LINES: u64 = 7;
    pub(super) const EVENTS: u64 = 8;
    pub(super) const EXTRA_EVENTS: u64 = 9;
    pub(super) const DOCUMENT: u64 = 10;
}

impl Generator {
    /// A generator of the invoice file.
    #[must_use]
    pub fn new(options: GenerateOptions) -> Self {
        Self::of(PortalFile::Invoices, options)
    }

    /// A generator of one of the Portal's files. Makes the tables that `options` lead to; a few milliseconds. Shares beyond 0
    /// to 1 count as 0 or 1.
    #[must_use]
    pub fn of(file: PortalFile, options: GenerateOptions) -> Self {
        Self::with(Content::Rows(file), options, Tables::new(options.seed, options.layout_version))
    }

    /// A generator of the rows of one of the Portal's files as flat JSON objects.
    #[must_use]
    pub fn json_of(file: PortalFile, form: JsonForm, options: GenerateOptions) -> Self {
        let objects = Objects::new(form, &tables::columns(file, options.layout_version));
        let tables = Tables::new(options.seed, options.layout_version);
        Self::with(Content::Objects(file, objects), options, tables)
    }

    /// A generator of NF-e documents: one for each record of the invoice file. The version of the layout is of no account.
    #[must_use]
    pub fn nfe(form: JsonForm, options: GenerateOptions) -> Self {
        let tables = Tables::new(options.seed, options.layout_version);
        let fragments = Box::new(nfe::Fragments::new(options.seed, &tables));
        Self::with(Content::Documents(form, fragments), options, tables)
    }

    fn with(content: Content, options: GenerateOptions, tables: Tables) -> Self {
        let bad = share(options.bad);
        let shares = Shares { bad, bad_or_repeated: bad + share(options.duplicates) };
        Self { options, content, tables, shares, stage: Stage::Unbegun, has_elements: false, next: 0 }
    }

    /// Tax id of the issuer that about a fifth of the invoices are of.
    #[must_use]
    pub fn busiest_issuer(&self) -> String {
        let tax_id = self.tables.issuers.first().map(|issuer| issuer.tax_id.as_slice());
        String::from_utf8_lossy(tax_id.unwrap_or_default()).into_owned()
    }

    /// Appends the next piece to `out`: [`CHUNK_BYTES`] or a little more, in whole records and with all the lines or events
    /// of an invoice, less only at the end of the file. False, with nothing appended, when all has been written.
    pub fn fill(&mut self, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        if self.stage == Stage::Unbegun {
            self.stage = Stage::Records;
            match &self.content {
                Content::Rows(file) => out.extend_from_slice(&tables::header(*file, self.options.layout_version)),
                Content::Objects(_, objects) => objects.form().open(out),
                Content::Documents(form, _) => form.open(out),
            }
        }
        let mut rows = Vec::new();
        while self.next < self.options.records && out.len() - before < CHUNK_BYTES {
            let start = out.len();
            self.write(self.next, &mut rows, out);
            self.has_elements |= out.len() > start;
            self.next += 1;
        }
        if self.next >= self.options.records && self.stage == Stage::Records {
            self.stage = Stage::Ended;
            match &self.content {
                Content::Rows(_) => {}
                Content::Objects(_, objects) => objects.form().close(out),
                Content::Documents(form, _) => form.close(out),
            }
        }
        out.len() > before
    }

    /// All that record `index` of the invoice file has in this file. In `rows` are those that objects are made of.
    fn write(&self, index: u64, rows: &mut Vec<u8>, out: &mut Vec<u8>) {
        match &self.content {
            Content::Rows(file) => self.write_rows(*file, index, out),
            Content::Objects(file, objects) => {
                rows.clear();
                self.write_rows(*file, index, rows);
                objects.write(rows, self.has_elements, out);
            }
            Content::Documents(form, fragments) => {
                form.before(self.has_elements, out);
                self.write_document(index, *form, fragments, out);
                form.after(out);
            }
        }
    }

    fn write_rows(&self, file: PortalFile, index: u64, out: &mut Vec<u8>) {
        match file {
            PortalFile::Invoices => self.write_invoice(index, out),
            PortalFile::Events => self.write_events(index, out),
            PortalFile::Lines => self.write_lines(index, out),
        }
    }

    /// What record `index` of the invoice file is.
    fn class(&self, index: u64) -> Class {
        self.shares.draw(&mut self.random(index, stream::CLASS))
    }

    fn random(&self, index: u64, stream: u64) -> Random {
        Random::new(self.options.seed, index, stream)
    }

    /// Whether the key of record `index` of the invoice file is a valid one that stands there for the first time.
    fn is_first_of_its_key(&self, index: u64) -> bool {
        match self.class(index) {
            Class::Good => true,
            Class::Repeated => self.origin(index) == index,
            Class::Bad => false,
        }
    }

    /// The good record that `index` repeats, by way of other repetitions or not; itself where it finds none.
    fn origin(&self, index: u64) -> u64 {
        let mut at = index;
        while let Some(earlier) = self.earlier(at, &mut self.random(at, stream::EARLIER)) {
            at = earlier;
            if self.class(at) == Class::Good {
                break;
            }
        }
        at
    }

    /// A record of the invoice file before `index` that is not bad.
    fn earlier(&self, index: u64, random: &mut Random) -> Option<u64> {
        let mut looks = (0..LOOKS).filter(|_| index > 0).map(|_| random.below(index));
        looks.find(|&at| self.class(at) != Class::Bad)
    }

    /// The first record of the key of a record of the invoice file before `index`.
    fn earlier_key(&self, index: u64, random: &mut Random) -> Option<u64> {
        let at = self.earlier(index, random)?;
        Some(if self.class(at) == Class::Good { at } else { self.origin(at) })
    }
}

impl Shares {
    fn draw(self, random: &mut Random) -> Class {
        let draw = random.below(1 << 32);
        if draw < self.bad {
            Class::Bad
        } else if draw < self.bad_or_repeated {
            Class::Repeated
        } else {
            Class::Good
        }
    }

    /// The classes of the rows that stand behind a good one: none of them good.
    ///
    /// Each row after a good one is drawn like any other, up to the next good one. So the shares of the whole file are
    /// these, while no good row is ever left out for another.
    fn extra_rows(self, random: &mut Random, mut write: impl FnMut(Class, &mut Random)) {
        for _ in 0..EXTRA_ROWS_LIMIT {
            match self.draw(random) {
                Class::Good => break,
                class => write(class, random),
            }
        }
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

#[cfg(test)]
mod tests;
