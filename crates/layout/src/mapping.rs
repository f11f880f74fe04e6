//! A row to a record, by a layout bound to the header of the source.

mod event;
mod id;
mod invoice;
mod line;
mod lines;
mod oddity;

use std::borrow::Cow;
use std::sync::Arc;

use super::bind::{self, Bound};
use super::cell::{AmountCell, Cell, DateCell, Found, TaxIdCell, TextCell, taken};
use super::columns::{Columns, Yielded};
use super::json::{self, PathTree, Shown, Unreadable};
use super::{Conventions, Layout, MappingError, Reason, Reject, Row, Scratch};
pub use invoice::InvoiceRow;
use notaflux_invoice::{
    Decimal, DecimalConvention, Event, Invoice, InvoiceFields, Line, TaxId, TaxIdError, Timestamp, Warning,
};
use oddity::Warnings;

/// A layout bound to a header. Columns are looked up when it is made; mapping a row looks nothing up by name.
#[derive(Debug)]
pub struct Mapping {
    layout: Arc<Layout>,
    conventions: Conventions,
    /// Column names as the header has them, and what is read from each.
    bound: Box<[Bound]>,
    /// Fields of the layout for which the header has no column.
    unbound: Box<[String]>,
    pub(super) columns: Columns,
    /// How many columns stand in the record itself, before those of its lines.
    record_columns: usize,
    /// Of JSON: where the columns stand.
    paths: Option<PathTree>,
    /// Warnings that keep a record out.
    rejects: Warnings,
}

/// How well a layout fits a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit<'m> {
    /// Columns of the header.
    pub columns: usize,
    /// Those of them that no field is read from, in order.
    pub unread: Vec<&'m str>,
    /// Fields of the layout that no column of the header gives a value to, such as `recipient.city`.
    pub without_column: &'m [String],
}

/// What a row is. Its text is borrowed from the row, its names from the mapping.
///
/// Its invoice is whole, or an [`InvoiceRow`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "in a box, each of the most common records would be an allocation more")]
pub enum Record<'r, I = Invoice<'r>> {
    /// One invoice.
    Invoice(I),
    /// One line of an invoice.
    Line(Line<'r>),
    /// One event of an invoice.
    Event(Event<'r>),
    /// One line, and the invoice that it is of.
    InvoiceLine(Box<(I, Line<'r>)>),
    /// One invoice with its lines, of which no two have the same key. It says how many there are.
    InvoiceWithLines(Box<(I, Vec<Line<'r>>)>),
}

impl<I: InvoiceFields> Record<'_, I> {
    /// Id of the invoice that it is, or that it belongs to.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Invoice(invoice) => invoice.id(),
            Self::Line(line) => &line.invoice,
            Self::Event(event) => &event.invoice,
            Self::InvoiceLine(both) => both.0.id(),
            Self::InvoiceWithLines(all) => all.0.id(),
        }
    }

    /// What was odd about it, each kind once. Events are stored without their warnings, and have those that their key
    /// shows.
    pub fn warnings(&self) -> impl Iterator<Item = Warning> + use<I> {
        let warnings = match self {
            Self::Invoice(invoice) => Warnings::of(invoice.warnings()),
            Self::Line(line) => Warnings::of(line.warnings.iter().copied()),
            Self::Event(event) => {
                Warnings::default().with(Warning::CheckDigit, oddity::has_wrong_check_digit(&event.invoice))
            }
            Self::InvoiceLine(both) => Warnings::of(both.0.warnings().chain(both.1.warnings.iter().copied())),
            // What is odd about a line's key is odd about the invoice's, which is the same.
            Self::InvoiceWithLines(all) => Warnings::of(all.0.warnings()),
        };
        warnings.iter()
    }
}

impl<'r> Record<'r, InvoiceRow<'r>> {
    /// With its invoice whole.
    #[must_use]
    pub fn whole(self) -> Record<'r> {
        match self {
            Self::Invoice(invoice) => Record::Invoice(invoice.whole()),
            Self::Line(line) => Record::Line(line),
            Self::Event(event) => Record::Event(event),
            Self::InvoiceLine(both) => Record::InvoiceLine(Box::new((both.0.whole(), both.1))),
            Self::InvoiceWithLines(all) => Record::InvoiceWithLines(Box::new((all.0.whole(), all.1))),
        }
    }
}

impl Mapping {
    /// Binds `layout` to `header`, with the conventions that the layout has.
    ///
    /// # Errors
    /// The header lacks a column that the layout needs, or has one more than once that the layout reads.
    pub fn new(layout: Arc<Layout>, header: &[impl AsRef<str>]) -> Result<Self, MappingError> {
        let conventions = layout.conventions();
        Self::with_conventions(layout, header, conventions)
    }

    /// Binds `layout` to `header`, with the conventions that the source as a whole shows. Fields for which the layout
    /// names a convention keep it.
    ///
    /// # Errors
    /// Those of [`Mapping::new`].
    pub fn with_conventions(
        layout: Arc<Layout>,
        header: &[impl AsRef<str>],
        conventions: Conventions,
    ) -> Result<Self, MappingError> {
        if layout.is_of_paths() {
            return Err(MappingError::NoTable { layout: layout.name().to_owned() });
        }
        let binding = bind::bind(&layout, header, conventions)?;
        Ok(Self::of_binding(layout, conventions, binding, None))
    }

    /// Binds `layout` to JSON records, with the conventions that it has or else these.
    ///
    /// # Errors
    /// None for a layout of paths. One of columns may need some that no key can be.
    pub fn of_json(layout: Arc<Layout>, conventions: Option<Conventions>) -> Result<Self, MappingError> {
        let conventions = conventions.unwrap_or_else(|| layout.conventions());
        let binding = bind::bind_paths(&layout, conventions)?;
        let paths = PathTree::of_columns(&layout, binding.bound.iter().map(|bound| bound.column.as_str()));
        Ok(Self::of_binding(layout, conventions, binding, Some(paths)))
    }

    fn of_binding(
        layout: Arc<Layout>,
        conventions: Conventions,
        binding: bind::Binding,
        paths: Option<PathTree>,
    ) -> Self {
        let bind::Binding { columns, bound, record_columns, unbound } = binding;
        let rejects = Warnings::of(layout.spec.reject.iter().copied());
        Self { layout, conventions, bound, unbound, columns, record_columns, paths, rejects }
    }

    /// Whether it reads JSON.
    #[must_use]
    pub fn is_of_json(&self) -> bool {
        self.paths.is_some()
    }

    /// Reads the JSON of one element as a row: the values of the paths that the layout names.
    ///
    /// # Errors
    /// What is no JSON, is no object, or says twice what can be said once.
    pub fn read_json<'s>(&'s self, element: &'s [u8], scratch: &'s mut Scratch) -> Result<Row<'s>, Unreadable> {
        match &self.paths {
            Some(paths) => json::read(paths, self.shape(), element, scratch),
            None => Err(Unreadable::table()),
        }
    }

    /// Shows every value of the JSON of one element to `show`, as far as it can be read, and every key before its value.
    pub fn show_json(&self, element: &[u8], show: &mut dyn FnMut(Shown<'_>)) {
        if let Some(paths) = &self.paths {
            json::show(paths, element, show);
        }
    }

    /// Under which name in `extra` the value at a path of JSON is kept that no column is for; none where it is not.
    #[must_use]
    pub fn kept_name(&self, shown: &Shown<'_>) -> Option<String> {
        let is_kept = self.layout.spec.keep_other_columns && self.is_of_json() && json::is_other(shown);
        is_kept.then(|| bind::made_name(shown.path, 0))
    }

    fn shape(&self) -> json::RowShape<'_> {
        json::RowShape {
            bound: &self.bound,
            record_columns: self.record_columns,
            keeps_others: self.layout.spec.keep_other_columns,
        }
    }

    /// Whether a record with any warning is a reject, and not only one with a warning that the layout rejects.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        let rejects: &[Warning] = if strict { &Warning::ALL } else { &self.layout.spec.reject };
        self.rejects = Warnings::of(rejects.iter().copied());
        self
    }

    /// The layout.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// How amounts and dates are read.
    #[must_use]
    pub fn conventions(&self) -> Conventions {
        self.conventions
    }

    /// Every column of the header, in order, and what is read from it.
    #[must_use]
    pub fn columns(&self) -> &[Bound] {
        &self.bound
    }

    /// How well the layout fits the header.
    #[must_use]
    pub fn fit(&self) -> Fit<'_> {
        let unread = self.bound.iter().filter(|bound| bound.fields.is_empty());
        Fit {
            columns: self.bound.len(),
            unread: unread.map(|bound| bound.column.as_str()).collect(),
            without_column: &self.unbound,
        }
    }

    /// Whether `row` is none of the records: a line of totals, as the layout tells it. It may have any number of columns.
    #[inline]
    #[must_use]
    pub fn is_trailer(&self, row: &Row<'_>) -> bool {
        self.columns.trailer.as_ref().is_some_and(|trailer| trailer.fits(row))
    }

    /// Reads `row`, which is no trailer ([`Mapping::is_trailer`]), as what the layout yields.
    ///
    /// # Errors
    /// A row that cannot be stored, with the first thing that is wrong about it.
    pub fn map<'r>(&'r self, row: &'r Row<'r>) -> Result<Record<'r>, Reject> {
        self.read(row).map(Record::whole)
    }

    /// [`Mapping::map`], but that an invoice is left in its row: for whoever stores or measures it and no more.
    ///
    /// # Errors
    /// Those of [`Mapping::map`].
    pub fn read<'r>(&'r self, row: &'r Row<'r>) -> Result<Record<'r, InvoiceRow<'r>>, Reject> {
        if self.paths.is_none() && row.len() != self.bound.len() {
            return Err(Reject::column_count(self.bound.len(), row.len()));
        }
        let id = self.id(row)?;
        match &self.columns.yielded {
            Yielded::Invoice(columns) => self.invoice(columns, id, row).map(Record::Invoice),
            Yielded::Line(columns) => self.line(columns, id, row, 1).map(Record::Line),
            Yielded::Event(columns) => self.event(columns, id, row).map(Record::Event),
            Yielded::InvoiceWithLines(of_invoice, of_line) => self.invoice_with_lines(of_invoice, of_line, id, row),
            Yielded::InvoiceLine(of_invoice, of_line) => {
                let line = self.line(of_line, id.clone(), row, 1)?;
                let invoice = self.invoice(of_invoice, id, row)?;
                Ok(Record::InvoiceLine(Box::new((invoice, line))))
            }
        }
    }

    /// The first of the tax ids that has a value.
    fn tax_id(&self, cells: &[TaxIdCell], row: &Row<'_>) -> Result<Option<TaxId>, Reject> {
        let found = cells.iter().find_map(|cell| Some((cell, cell.cell.text(row)?)));
        let Some((cell, text)) = found else { return Ok(None) };
        TaxId::parse(taken(text, cell.take), cell.holds).map(Some).map_err(|error| {
            let too_long = error == TaxIdError::TooLong;
            let reason = if too_long { Reason::ValueTooLong } else { Reason::InvalidTaxId };
            self.reject_first(reason, &cell.cell, row, &error)
        })
    }

    fn date(&self, cell: &DateCell, row: &Row<'_>) -> Result<Option<Timestamp>, Reject> {
        for found in cell.cell.values(row) {
            let read = Timestamp::parse(found.text, cell.convention);
            let read = read.map_err(|error| self.reject(Reason::InvalidDate, found, &error))?;
            if !cell.absent.contains(&read.local.date()) {
                return Ok(Some(read.or_offset(self.conventions.time_zone)));
            }
        }
        Ok(None)
    }

    fn needed_date(&self, cell: &DateCell, row: &Row<'_>) -> Result<Timestamp, Reject> {
        self.date(cell, row)?.ok_or_else(|| Reject::missing(&cell.cell.name, "a date"))
    }

    fn amount(&self, cell: &AmountCell, row: &Row<'_>) -> Result<Option<Decimal>, Reject> {
        let Some(found) = cell.cell.read(row) else { return Ok(None) };
        let convention = if found.is_number { DecimalConvention::Point } else { cell.convention };
        let read = Decimal::parse(found.text, convention);
        read.map(Some).map_err(|error| self.reject(Reason::InvalidAmount, found, &error))
    }

    /// What the first value of `cell` is called in the header, and what was expected there.
    #[cold]
    fn reject_first(&self, reason: Reason, cell: &Cell, row: &Row<'_>, expected: &dyn std::fmt::Display) -> Reject {
        match cell.read(row) {
            Some(found) => self.reject(reason, found, expected),
            None => Reject::missing(&cell.name, "a value"),
        }
    }

    /// What `found` is called in the header, and what was expected there.
    #[cold]
    fn reject(&self, reason: Reason, found: Found<'_>, expected: &dyn std::fmt::Display) -> Reject {
        let column = self.bound.get(found.column).map(|bound| bound.column.as_str()).unwrap_or_default();
        Reject::of_cell(reason, column, expected, found.text)
    }
}

/// The further columns that a layout keeps, those that have a value.
fn extra<'r>(cells: &'r [(String, TextCell)], row: &Row<'r>) -> Vec<(Cow<'r, str>, Cow<'r, str>)> {
    let others = row.others();
    let mut extra = Vec::with_capacity(cells.len() + others.len());
    for (name, cell) in cells {
        if let Some(text) = cell.read(row) {
            extra.push((Cow::Borrowed(name.as_str()), text));
        }
    }
    extra.extend(others.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))));
    extra
}
