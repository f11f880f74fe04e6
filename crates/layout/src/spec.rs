//! What a layout file may say: the shape of its TOML. Unknown words are errors. docs/layouts.md tells it to people.

mod field;

use jiff::civil::Date;
use serde::Deserialize;

use notaflux_invoice::{DateConvention, DecimalConvention, Status, UtcOffset, Warning};

pub(crate) use field::{
    AmountSpec, DateSpec, Field, KeySpec, Named, OneOrMore, Source, Take, TakeKey, TaxIdSpec, TextSpec,
};

/// A whole layout file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LayoutSpec {
    pub(crate) name: String,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) format: LayoutFormat,
    /// Of JSON: keys around the record that are looked through.
    #[serde(default)]
    pub(crate) through: Vec<String>,
    /// Of JSON: where the list of records stands, as a path from the root; without it, where records are found.
    pub(crate) records: Option<Source>,
    /// Columns that a header of this layout has; of a list, one.
    pub(crate) requires: Vec<Source>,
    /// Columns that no header of this layout has.
    #[serde(default)]
    pub(crate) without: Vec<String>,
    /// Texts that mean "no value", in every column.
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    /// Days that mean "no date", however they are written.
    #[serde(default)]
    pub(crate) absent_dates: Vec<Date>,
    #[serde(default = "real")]
    pub(crate) currency: String,
    #[serde(default)]
    pub(crate) conventions: ConventionsSpec,
    /// Warnings that keep a record out.
    #[serde(default)]
    pub(crate) reject: Vec<Warning>,
    pub(crate) trailer: Option<TrailerSpec>,
    #[serde(default)]
    pub(crate) keep_other_columns: bool,
    pub(crate) id: IdSpec,
    pub(crate) invoice: Option<Box<InvoiceSpec>>,
    pub(crate) line: Option<Box<LineSpec>>,
    pub(crate) event: Option<Box<EventSpec>>,
}

/// What the names of a layout are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LayoutFormat {
    /// Columns of a table, or keys of flat JSON objects.
    #[default]
    Table,
    /// Paths into JSON objects.
    Json,
}

/// The tables that say what a row yields.
#[derive(Debug)]
pub(crate) enum Tables {
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
pub(crate) struct ConventionsSpec {
    pub(crate) decimal: OneOrMore<DecimalConvention>,
    pub(crate) date: OneOrMore<DateConvention>,
    pub(crate) time_zone: Option<UtcOffset>,
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
pub(crate) struct TrailerSpec {
    pub(crate) column: Source,
    pub(crate) is: Option<OneOrMore<String>>,
    pub(crate) begins: Option<OneOrMore<String>>,
    pub(crate) contains: Option<OneOrMore<String>>,
}

/// What names the invoice that a row is, or belongs to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "they are the words of the layout file")]
pub(crate) struct IdSpec {
    pub(crate) access_key: Option<Field<KeySpec>>,
    pub(crate) nfse_key: Option<Field<KeySpec>>,
    pub(crate) natural_key: Option<NaturalKeySpec>,
}

/// Columns whose values together name an invoice. Layouts that share `name` and columns share ids.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NaturalKeySpec {
    pub(crate) name: String,
    /// Each must have a value.
    pub(crate) from: Vec<Source>,
    /// Each may be blank.
    #[serde(default)]
    pub(crate) optional: Vec<Source>,
}

/// Where the fields of an invoice come from. Names are CONTRACT's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvoiceSpec {
    pub(crate) model: Option<Field<TextSpec>>,
    pub(crate) series: Option<Field<TextSpec>>,
    pub(crate) number: Option<Field<TextSpec>>,
    pub(crate) operation: Option<Field<TextSpec>>,
    pub(crate) issued_at: Field<DateSpec>,
    #[serde(default)]
    pub(crate) issuer: PartySpec,
    /// Whether the key tells the issuer's tax id where no column does.
    #[serde(default)]
    pub(crate) issuer_from_key: bool,
    #[serde(default)]
    pub(crate) recipient: PartySpec,
    pub(crate) status: Option<StatusSpec>,
    pub(crate) status_at: Option<Field<DateSpec>>,
    pub(crate) total: Option<Field<AmountSpec>>,
    pub(crate) currency: Option<Field<TextSpec>>,
    #[serde(default)]
    pub(crate) extra: Named<TextSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartySpec {
    /// Looked at in this order.
    pub(crate) tax_id: Option<Field<TaxIdSpec>>,
    pub(crate) cnpj: Option<Source>,
    pub(crate) cpf: Option<Source>,
    pub(crate) name: Option<Field<TextSpec>>,
    pub(crate) state_registration: Option<Field<TextSpec>>,
    pub(crate) uf: Option<Field<TextSpec>>,
    pub(crate) city: Option<Field<TextSpec>>,
}

/// Where the fields of a line come from. Names are CONTRACT's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineSpec {
    /// Of JSON: the list, or the one object, within the record that each line stands in. Names of fields are paths from there.
    pub(crate) each: Option<Source>,
    pub(crate) number: Option<Field<TextSpec>>,
    /// Columns whose values tell a line from the others of its invoice, where none numbers them.
    #[serde(default)]
    pub(crate) key: Vec<Source>,
    pub(crate) code: Option<Field<TextSpec>>,
    pub(crate) description: Option<Field<TextSpec>>,
    pub(crate) ncm: Option<Field<TextSpec>>,
    pub(crate) cfop: Option<Field<TextSpec>>,
    pub(crate) quantity: Option<Field<AmountSpec>>,
    pub(crate) unit: Option<Field<TextSpec>>,
    pub(crate) unit_price: Option<Field<AmountSpec>>,
    pub(crate) total: Option<Field<AmountSpec>>,
    #[serde(default)]
    pub(crate) extra: Named<TextSpec>,
}

/// Where the fields of an event come from. Names are CONTRACT's; kind and code are told by the text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventSpec {
    pub(crate) text: Field<TextSpec>,
    pub(crate) at: Field<DateSpec>,
    pub(crate) description: Option<Field<TextSpec>>,
    pub(crate) reason: Option<Field<TextSpec>>,
}

/// How the text of one column tells the status.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusSpec {
    pub(crate) from: Source,
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    /// The first that fits the text counts.
    #[serde(default)]
    pub(crate) rules: Vec<StatusRule>,
    /// Where no rule fits.
    pub(crate) otherwise: Status,
    /// Where there is no text.
    #[serde(default = "unknown")]
    pub(crate) blank: Status,
}

fn unknown() -> Status {
    Status::Unknown
}

/// What a text says of the status.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusRule {
    pub(crate) is: Option<OneOrMore<String>>,
    pub(crate) begins: Option<OneOrMore<String>>,
    pub(crate) contains: Option<OneOrMore<String>>,
    pub(crate) status: Status,
}

/// Texts that a cell is compared with, whatever case and accents.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TestSpec<'a> {
    /// All of it.
    Is(&'a [String]),
    /// Its beginning.
    Begins(&'a [String]),
    /// Any part of it.
    Contains(&'a [String]),
}

impl TestSpec<'_> {
    /// What stands in the layout file, in whichever way.
    pub(crate) fn texts(&self) -> &[String] {
        let (Self::Is(texts) | Self::Begins(texts) | Self::Contains(texts)) = self;
        texts
    }
}

impl TrailerSpec {
    /// What is compared; none where the file says nothing, or two things.
    pub(crate) fn test(&self) -> Option<TestSpec<'_>> {
        only(self.is.as_ref(), self.begins.as_ref(), self.contains.as_ref())
    }
}

impl StatusRule {
    /// What is compared; none where the file says nothing, or two things.
    pub(crate) fn test(&self) -> Option<TestSpec<'_>> {
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
