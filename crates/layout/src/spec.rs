//! What a layout file may say: the shape of its TOML. Unknown words are errors. docs/layouts.md tells it to people.

mod field;

use jiff::civil::Date;
use serde::Deserialize;

use notaflux_invoice::{DateConvention, DecimalConvention, Status, UtcOffset, Warning};

pub(super) use field::{
    AmountSpec, DateSpec, Field, KeySpec, Named, OneOrMore, Source, Take, TakeKey, TaxIdSpec, TextSpec,
};

/// A whole layout file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayoutSpec {
    pub(super) name: String,
    pub(super) title: String,
    #[serde(default)]
    pub(super) format: LayoutFormat,
    /// Of JSON: keys around the record that are looked through.
    #[serde(default)]
    pub(super) through: Vec<String>,
    /// Of JSON: where the list of records stands, as a path from the root; without it, where records are found.
    pub(super) records: Option<Source>,
    /// Columns that a header of this layout has; of a list, one.
    pub(super) requires: Vec<Source>,
    /// Columns that no header of this layout has.
    #[serde(default)]
    pub(super) without: Vec<String>,
    /// Texts that mean "no value", in every column.
    #[serde(default)]
    pub(super) absent: Vec<String>,
    /// Days that mean "no date", however they are written.
    #[serde(default)]
    pub(super) absent_dates: Vec<Date>,
    #[serde(default = "real")]
    pub(super) currency: String,
    #[serde(default)]
    pub(super) conventions: ConventionsSpec,
    /// Warnings that keep a record out.
    #[serde(default)]
    pub(super) reject: Vec<Warning>,
    pub(super) trailer: Option<TrailerSpec>,
    #[serde(default)]
    pub(super) keep_other_columns: bool,
    pub(super) id: IdSpec,
    pub(super) invoice: Option<Box<InvoiceSpec>>,
    pub(super) line: Option<Box<LineSpec>>,
    pub(super) event: Option<Box<EventSpec>>,
}

/// What the names of a layout are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LayoutFormat {
    /// Columns of a table, or keys of flat JSON objects.
    #[default]
    Table,
    /// Paths into JSON objects.
    Json,
}

/// The tables that say what a row yields.
#[derive(Debug)]
pub(super) enum Tables {
    Invoice(Box<InvoiceSpec>),
    Line(Box<LineSpec>),
    Event(Box<EventSpec>),
    InvoiceLine(Box<InvoiceSpec>, Box<LineSpec>),
    InvoiceWithLines(Box<InvoiceSpec>, Box<LineSpec>),
}

/// ISO 4217 code of what invoices of Brazil are in.
fn real() -> String {
    "BRL".to_owned()
}

/// How amounts and dates may be written; of several ways, the source shows which.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConventionsSpec {
    pub(super) decimal: OneOrMore<DecimalConvention>,
    pub(super) date: OneOrMore<DateConvention>,
    pub(super) time_zone: Option<UtcOffset>,
}

impl Default for ConventionsSpec {
    /// As people of Brazil write, and as their programs do.
    fn default() -> Self {
        Self {
            decimal: OneOrMore(vec![DecimalConvention::Comma, DecimalConvention::Point]),
            date: OneOrMore(vec![DateConvention::DayMonthYear, DateConvention::Iso]),
            time_zone: None,
        }
    }
}

/// Rows that are no records: their cell in `column` says so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrailerSpec {
    pub(super) column: Source,
    pub(super) is: Option<OneOrMore<String>>,
    pub(super) begins: Option<OneOrMore<String>>,
    pub(super) contains: Option<OneOrMore<String>>,
}

/// What names the invoice that a row is, or belongs to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "they are the words of the layout file")]
pub(super) struct IdSpec {
    pub(super) access_key: Option<Field<KeySpec>>,
    pub(super) nfse_key: Option<Field<KeySpec>>,
    pub(super) natural_key: Option<NaturalKeySpec>,
}

/// Columns whose values together name an invoice. Layouts that share `name` and columns share ids.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NaturalKeySpec {
    pub(super) name: String,
    /// Each must have a value.
    pub(super) from: Vec<Source>,
    /// Each may be blank.
    #[serde(default)]
    pub(super) optional: Vec<Source>,
}

/// Where the fields of an invoice come from. Names are CONTRACT's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InvoiceSpec {
    pub(super) model: Option<Field<TextSpec>>,
    pub(super) series: Option<Field<TextSpec>>,
    pub(super) number: Option<Field<TextSpec>>,
    pub(super) operation: Option<Field<TextSpec>>,
    pub(super) issued_at: Field<DateSpec>,
    #[serde(default)]
    pub(super) issuer: PartySpec,
    /// Whether the key tells the issuer's tax id where no column does.
    #[serde(default)]
    pub(super) issuer_from_key: bool,
    #[serde(default)]
    pub(super) recipient: PartySpec,
    pub(super) status: Option<StatusSpec>,
    pub(super) status_at: Option<Field<DateSpec>>,
    pub(super) total: Option<Field<AmountSpec>>,
    pub(super) currency: Option<Field<TextSpec>>,
    #[serde(default)]
    pub(super) extra: Named<TextSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartySpec {
    /// Looked at in this order.
    pub(super) tax_id: Option<Field<TaxIdSpec>>,
    pub(super) cnpj: Option<Source>,
    pub(super) cpf: Option<Source>,
    pub(super) name: Option<Field<TextSpec>>,
    pub(super) state_registration: Option<Field<TextSpec>>,
    pub(super) uf: Option<Field<TextSpec>>,
    pub(super) city: Option<Field<TextSpec>>,
}

/// Where the fields of a line come from. Names are CONTRACT's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LineSpec {
    /// Of JSON: the list, or the one object, within the record that each line stands in. Names of fields are paths from there.
    pub(super) each: Option<Source>,
    pub(super) number: Option<Field<TextSpec>>,
    /// Columns whose values tell a line from the others of its invoice, where none numbers them.
    #[serde(default)]
    pub(super) key: Vec<Source>,
    pub(super) code: Option<Field<TextSpec>>,
    pub(super) description: Option<Field<TextSpec>>,
    pub(super) ncm: Option<Field<TextSpec>>,
    pub(super) cfop: Option<Field<TextSpec>>,
    pub(super) quantity: Option<Field<AmountSpec>>,
    pub(super) unit: Option<Field<TextSpec>>,
    pub(super) unit_price: Option<Field<AmountSpec>>,
    pub(super) total: Option<Field<AmountSpec>>,
    #[serde(default)]
    pub(super) extra: Named<TextSpec>,
}

/// Where the fields of an event come from. Names are CONTRACT's; kind and code are told by the text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventSpec {
    pub(super) text: Field<TextSpec>,
    pub(super) at: Field<DateSpec>,
    pub(super) description: Option<Field<TextSpec>>,
    pub(super) reason: Option<Field<TextSpec>>,
}

/// How the text of one column tells the status.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusSpec {
    pub(super) from: Source,
    #[serde(default)]
    pub(super) absent: Vec<String>,
    /// The first that fits the text counts.
    #[serde(default)]
    pub(super) rules: Vec<StatusRule>,
    /// Where no rule fits.
    pub(super) otherwise: Status,
    /// Where there is no text.
    #[serde(default = "unknown")]
    pub(super) blank: Status,
}

fn unknown() -> Status {
    Status::Unknown
}

/// What a text says of the status.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusRule {
    pub(super) is: Option<OneOrMore<String>>,
    pub(super) begins: Option<OneOrMore<String>>,
    pub(super) contains: Option<OneOrMore<String>>,
    pub(super) status: Status,
}

/// Texts that a cell is compared with, whatever case and accents.
#[derive(Debug, Clone, Copy)]
pub(super) enum TestSpec<'a> {
    /// All of it.
    Is(&'a [String]),
    /// Its beginning.
    Begins(&'a [String]),
    /// Any part of it.
    Contains(&'a [String]),
}

impl TestSpec<'_> {
    /// What stands in the layout file, in whichever way.
    pub(super) fn texts(&self) -> &[String] {
        let (Self::Is(texts) | Self::Begins(texts) | Self::Contains(texts)) = self;
        texts
    }
}

impl TrailerSpec {
    /// What is compared; none where the file says nothing, or two things.
    pub(super) fn test(&self) -> Option<TestSpec<'_>> {
        only(self.is.as_ref(), self.begins.as_ref(), self.contains.as_ref())
    }
}

impl StatusRule {
    /// What is compared; none where the file says nothing, or two things.
    pub(super) fn test(&self) -> Option<TestSpec<'_>> {
        only(self.is.as_ref(), self.begins.as_ref(), self.contains.as_ref())
    }
}

type Texts<'a> = Option<&'a OneOrMore<String>>;

fn only<'a>(is: Texts<'a>, begins: Texts<'a>, contains: Texts<'a>) -> Option<TestSpec<'a>> {
    match (is, begins, contains) {
        (Some(texts), None, None) => Some(TestSpec::Is(&texts.0)),
        (None, Some(texts), None) => Some(TestSpec::Begins(&texts.0)),
        (None, None, Some(texts)) => Some(TestSpec::Contains(&texts.0)),
        _ => None,
    }
}
