//! The structure of a layout file. Unknown words are errors. docs/layouts.md describes it for users.

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
    /// JSON: keys around the record that may be present or not.
    #[serde(default)]
    pub(crate) through: Vec<String>,
    /// JSON: the path of the list of records from the root. Without it, the list is detected.
    pub(crate) records: Option<Source>,
    /// Columns that a header must have to match. One of the names in a list is enough.
    pub(crate) requires: Vec<Source>,
    /// Columns that a header must not have to match.
    #[serde(default)]
    pub(crate) without: Vec<String>,
    /// Texts that mean "no value" in every column.
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    /// Days that mean "no date", in every convention.
    #[serde(default)]
    pub(crate) absent_dates: Vec<Date>,
    #[serde(default = "real")]
    pub(crate) currency: String,
    #[serde(default)]
    pub(crate) conventions: ConventionsSpec,
    /// Warnings that reject a record.
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

/// What the names in a layout refer to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LayoutFormat {
    /// Columns of a table, or keys of flat JSON objects.
    #[default]
    Table,
    /// Paths into JSON objects.
    Json,
}

/// The tables that define what a row yields.
#[derive(Debug)]
pub(crate) enum Tables {
    Invoice(Box<InvoiceSpec>),
    Line(Box<LineSpec>),
    Event(Box<EventSpec>),
    InvoiceLine(Box<InvoiceSpec>, Box<LineSpec>),
    InvoiceWithLines(Box<InvoiceSpec>, Box<LineSpec>),
}

/// The default currency: the ISO 4217 code of the Brazilian real.
fn real() -> String {
    "BRL".to_owned()
}

/// The conventions that amounts and dates may have. If there are several, the source decides.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConventionsSpec {
    pub(crate) decimal: OneOrMore<DecimalConvention>,
    pub(crate) date: OneOrMore<DateConvention>,
    pub(crate) time_zone: Option<UtcOffset>,
}

impl Default for ConventionsSpec {
    /// Returns the conventions of people and of programs in Brazil, in this order.
    fn default() -> Self {
        Self {
            decimal: OneOrMore(vec![DecimalConvention::Comma, DecimalConvention::Point]),
            date: OneOrMore(vec![DateConvention::DayMonthYear, DateConvention::Iso]),
            time_zone: None,
        }
    }
}

/// Rows that are not records, recognized by their cell in `column`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrailerSpec {
    pub(crate) column: Source,
    pub(crate) is: Option<OneOrMore<String>>,
    pub(crate) begins: Option<OneOrMore<String>>,
    pub(crate) contains: Option<OneOrMore<String>>,
}

/// The keys that identify the invoice which a row is or belongs to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "these are the words of the layout file")]
pub(crate) struct IdSpec {
    pub(crate) access_key: Option<Field<KeySpec>>,
    pub(crate) nfse_key: Option<Field<KeySpec>>,
    pub(crate) natural_key: Option<NaturalKeySpec>,
}

/// Columns whose values together identify an invoice. Layouts with the same `name` and columns compute the same ids.
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

/// The sources of the fields of an invoice. The names are those of the API.
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
    /// Whether the issuer's tax id is taken from the key if no column has it.
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
    /// `tax_id`, `cnpj` and `cpf`: the first with a value counts.
    pub(crate) tax_id: Option<Field<TaxIdSpec>>,
    pub(crate) cnpj: Option<Source>,
    pub(crate) cpf: Option<Source>,
    pub(crate) name: Option<Field<TextSpec>>,
    pub(crate) state_registration: Option<Field<TextSpec>>,
    pub(crate) uf: Option<Field<TextSpec>>,
    pub(crate) city: Option<Field<TextSpec>>,
}

/// The sources of the fields of a line. The names are those of the API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineSpec {
    /// JSON: the list of lines within the record, or the single object. The names of fields are paths from there.
    pub(crate) each: Option<Source>,
    pub(crate) number: Option<Field<TextSpec>>,
    /// Columns whose values distinguish a line from the others of its invoice, if no column numbers the lines.
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

/// The sources of the fields of an event. The names are those of the API. The text determines kind and code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventSpec {
    pub(crate) text: Field<TextSpec>,
    pub(crate) at: Field<DateSpec>,
    pub(crate) description: Option<Field<TextSpec>>,
    pub(crate) reason: Option<Field<TextSpec>>,
}

/// How the text of a column determines the status.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusSpec {
    pub(crate) from: Source,
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    /// The first rule that matches the text counts.
    #[serde(default)]
    pub(crate) rules: Vec<StatusRule>,
    /// The status if no rule matches.
    pub(crate) otherwise: Status,
    /// The status if there is no text.
    #[serde(default = "unknown")]
    pub(crate) blank: Status,
}

fn unknown() -> Status {
    Status::Unknown
}

/// The status of the texts that match.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusRule {
    pub(crate) is: Option<OneOrMore<String>>,
    pub(crate) begins: Option<OneOrMore<String>>,
    pub(crate) contains: Option<OneOrMore<String>>,
    pub(crate) status: Status,
}

/// Texts that a cell is compared with. Case and accents do not matter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TestSpec<'a> {
    /// The whole cell.
    Is(&'a [String]),
    /// The start of the cell.
    Begins(&'a [String]),
    /// Any part of the cell.
    Contains(&'a [String]),
}

impl TestSpec<'_> {
    /// Returns the texts, as written in the layout file.
    pub(crate) fn texts(&self) -> &[String] {
        let (Self::Is(texts) | Self::Begins(texts) | Self::Contains(texts)) = self;
        texts
    }
}

impl TrailerSpec {
    /// Returns the test; none if the file has no test or more than one.
    pub(crate) fn test(&self) -> Option<TestSpec<'_>> {
        only(self.is.as_ref(), self.begins.as_ref(), self.contains.as_ref())
    }
}

impl StatusRule {
    /// Returns the test; none if the file has no test or more than one.
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
