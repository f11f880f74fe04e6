//! A row to a record, by a layout bound to the header of the source.

mod event;
mod id;
mod invoice;
mod line;
mod oddity;

use std::borrow::Cow;
use std::sync::Arc;

use super::bind::{self, Bound};
use super::cell::{AmountCell, DateCell, Found, TaxIdCell, TextCell, taken};
use super::columns::{Columns, Yielded};
use super::{Conventions, Layout, MappingError, Reason, Reject, Row};
use crate::invoice::{Decimal, Event, Invoice, Line, TaxId, TaxIdError, Timestamp, Warning};
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
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "in a box, each of the most common records would be an allocation more")]
pub enum Record<'r> {
    /// One invoice.
    Invoice(Invoice<'r>),
    /// One line of an invoice.
    Line(Line<'r>),
    /// One event of an invoice.
    Event(Event<'r>),
    /// One line, and the invoice that it is of.
    InvoiceLine(Box<(Invoice<'r>, Line<'r>)>),
}

impl Record<'_> {
    /// Id of the invoice that it is, or that it belongs to.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Invoice(invoice) => &invoice.id,
            Self::Line(line) => &line.invoice,
            Self::Event(event) => &event.invoice,
            Self::InvoiceLine(both) => &both.0.id,
        }
    }

    /// What was odd about it, each kind once. Events are stored without their warnings, and have those that their key
    /// shows.
    pub fn warnings(&self) -> impl Iterator<Item = Warning> {
        let (first, second): (&[Warning], &[Warning]) = match self {
            Self::Invoice(invoice) => (&invoice.warnings, &[]),
            Self::Line(line) => (&line.warnings, &[]),
            Self::Event(event) if oddity::has_wrong_check_digit(&event.invoice) => (&[Warning::CheckDigit], &[]),
            Self::Event(_) => (&[], &[]),
            Self::InvoiceLine(both) => (&both.0.warnings, &both.1.warnings),
        };
        let others = second.iter().filter(|warning| !first.contains(warning));
        first.iter().chain(others).copied()
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
        let bind::Binding { columns, bound, unbound } = bind::bind(&layout, header, conventions)?;
        let rejects = Warnings::of(&layout.spec.reject);
        Ok(Self { layout, conventions, bound, unbound, columns, rejects })
    }

    /// Whether a record with any warning is a reject, and not only one with a warning that the layout rejects.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.rejects = if strict { Warnings::of(&Warning::ALL) } else { Warnings::of(&self.layout.spec.reject) };
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
    pub fn map<'r>(&'r self, row: &Row<'r>) -> Result<Record<'r>, Reject> {
        if row.len() != self.bound.len() {
            return Err(Reject::column_count(self.bound.len(), row.len()));
        }
        let id = self.id(row)?;
        match &self.columns.yielded {
            Yielded::Invoice(columns) => self.invoice(columns, id, row).map(Record::Invoice),
            Yielded::Line(columns) => self.line(columns, id, row).map(Record::Line),
            Yielded::Event(columns) => self.event(columns, id, row).map(Record::Event),
            Yielded::InvoiceLine(of_invoice, of_line) => {
                let line = self.line(of_line, id.clone(), row)?;
                let invoice = self.invoice(of_invoice, id, row)?;
                Ok(Record::InvoiceLine(Box::new((invoice, line))))
            }
        }
    }

    fn tax_id(&self, cell: &TaxIdCell, row: &Row<'_>) -> Result<Option<TaxId>, Reject> {
        let Some(found) = cell.cell.read(row) else { return Ok(None) };
        TaxId::parse(taken(found.text, cell.take), cell.holds).map(Some).map_err(|error| {
            let too_long = error == TaxIdError::TooLong;
            self.reject(if too_long { Reason::ValueTooLong } else { Reason::InvalidTaxId }, found, &error)
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
        let read = Decimal::parse(found.text, cell.convention);
        read.map(Some).map_err(|error| self.reject(Reason::InvalidAmount, found, &error))
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
    let mut extra = Vec::with_capacity(cells.len());
    for (name, cell) in cells {
        if let Some(text) = cell.read(row) {
            extra.push((Cow::Borrowed(name.as_str()), text));
        }
    }
    extra
}
