//! Converts rows to records, with a layout bound to the header of the source.

mod event;
mod id;
mod invoice;
mod invoice_row;
mod line;
mod lines;
mod reader;
mod record;
mod warning_set;
mod warnings;

use std::sync::Arc;

use crate::bind::{self, MappingError};
use crate::bound::Bound;
use crate::columns::{Columns, Yielded};
use crate::conventions::Conventions;
use crate::json::shown::{self, Shown};
use crate::json::values::RowShape;
use crate::json::{self, Unreadable};
use crate::layout::Layout;
use crate::names::made_name;
use crate::path::PathTree;
use crate::reject::Reject;
use crate::row::Row;
use crate::scratch::Scratch;
pub use invoice_row::InvoiceRow;
use notaflux_invoice::Warning;
use reader::RowReader;
pub use record::Record;
use warning_set::WarningSet;

/// A layout bound to a header. Columns are looked up once, when it is made, and not for each row.
#[derive(Debug)]
pub struct Mapping {
    reader: RowReader,
    /// Fields of the layout without a column in the header.
    unbound: Box<[String]>,
    /// Number of columns of the record itself. The columns of its lines come after them.
    record_columns: usize,
    /// JSON: the places of the columns.
    paths: Option<PathTree>,
}

/// Which columns of a header a layout reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit<'m> {
    /// Number of columns in the header.
    pub columns: usize,
    /// The columns that no field reads, in order.
    pub unread: Vec<&'m str>,
    /// Fields of the layout without a column in the header, such as `recipient.city`.
    pub without_column: &'m [String],
}

impl Mapping {
    /// Binds `layout` to `header`, with the default conventions of the layout.
    ///
    /// # Errors
    /// The header does not have a column that the layout requires, or has a column twice that the layout reads.
    pub fn new(layout: Arc<Layout>, header: &[impl AsRef<str>]) -> Result<Self, MappingError> {
        let conventions = layout.conventions();
        Self::with_conventions(layout, header, conventions)
    }

    /// Binds `layout` to `header`, with the conventions of the source. Fields for which the layout sets a convention keep it.
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

    /// Binds `layout` to JSON records, with these conventions or else the default ones of the layout.
    ///
    /// # Errors
    /// The layout requires a column that it does not name. This cannot happen for a layout of paths.
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
        let rejects = WarningSet::of(layout.spec.reject.iter().copied());
        let reader = RowReader { layout, conventions, bound, columns, rejects };
        Self { reader, unbound, record_columns, paths }
    }

    /// Whether this reads JSON.
    #[must_use]
    pub fn is_of_json(&self) -> bool {
        self.paths.is_some()
    }

    /// Reads a JSON element as a row: the values at the paths that the layout names.
    ///
    /// # Errors
    /// The element is not valid JSON or not an object, or a place has two different values.
    pub fn read_json<'s>(&'s self, element: &'s [u8], scratch: &'s mut Scratch) -> Result<Row<'s>, Unreadable> {
        match &self.paths {
            Some(paths) => json::read(paths, self.shape(), element, scratch),
            None => Err(Unreadable::table()),
        }
    }

    /// Passes every value of a JSON element to `show`, and every key before its value. Stops without an error where the element
    /// is not valid JSON.
    pub fn show_json(&self, element: &[u8], show: &mut dyn FnMut(Shown<'_>)) {
        if let Some(paths) = &self.paths {
            shown::show(paths, element, show);
        }
    }

    /// Returns the name in `extra` of a JSON value that the layout does not name; none if the value is not kept.
    #[must_use]
    pub fn kept_name(&self, shown: &Shown<'_>) -> Option<String> {
        let is_kept = self.reader.layout.spec.keep_other_columns && self.is_of_json() && shown::is_other(shown);
        is_kept.then(|| made_name(shown.path, 0))
    }

    fn shape(&self) -> RowShape<'_> {
        RowShape {
            bound: &self.reader.bound,
            record_columns: self.record_columns,
            keeps_others: self.reader.layout.spec.keep_other_columns,
        }
    }

    /// Sets whether every warning rejects a record. Otherwise only the warnings in `reject` of the layout do.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        let rejects: &[Warning] = if strict { &Warning::ALL } else { &self.reader.layout.spec.reject };
        self.reader.rejects = WarningSet::of(rejects.iter().copied());
        self
    }

    /// Returns the layout.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.reader.layout
    }

    /// Returns the conventions by which amounts and dates are read.
    #[must_use]
    pub fn conventions(&self) -> Conventions {
        self.reader.conventions
    }

    /// Returns the columns of the header in order, with the fields that are read from each.
    #[must_use]
    pub fn columns(&self) -> &[Bound] {
        &self.reader.bound
    }

    /// Returns the cells that are read from a row.
    pub(crate) fn read_columns(&self) -> &Columns {
        &self.reader.columns
    }

    /// Returns which columns of the header the layout reads.
    #[must_use]
    pub fn fit(&self) -> Fit<'_> {
        let unread = self.reader.bound.iter().filter(|bound| bound.fields.is_empty());
        Fit {
            columns: self.reader.bound.len(),
            unread: unread.map(|bound| bound.column.as_str()).collect(),
            without_column: &self.unbound,
        }
    }

    /// Whether `row` is a trailer and not a record, such as a row of totals. A trailer may have any number of columns.
    #[inline]
    #[must_use]
    pub fn is_trailer(&self, row: &Row<'_>) -> bool {
        self.reader.columns.trailer.as_ref().is_some_and(|trailer| trailer.fits(row))
    }

    /// Whether `row` is the header again: files that were joined have it before each part. It is not a record.
    #[inline]
    #[must_use]
    pub fn is_header(&self, row: &Row<'_>) -> bool {
        let columns = &self.reader.bound;
        let mut cells = columns.iter().enumerate();
        !self.is_of_json() && cells.all(|(at, bound)| row.get(at) == Some(&bound.column)) && self.has_its_columns(row)
    }

    /// Whether `row` has the columns of the header. Empty cells after them are ignored: some programs end each row with a
    /// delimiter.
    pub(crate) fn has_its_columns(&self, row: &Row<'_>) -> bool {
        let columns = self.reader.bound.len();
        self.is_of_json()
            || row.len() == columns
            || (row.len() > columns && (columns..row.len()).all(|at| row.get(at) == Some("")))
    }

    /// Converts `row` to what the layout yields. The caller has excluded trailers ([`Mapping::is_trailer`]) and repeated
    /// headers ([`Mapping::is_header`]).
    ///
    /// # Errors
    /// The row cannot be stored. The reject has the first thing that is wrong with it.
    pub fn map<'r>(&'r self, row: &'r Row<'r>) -> Result<Record<'r>, Reject> {
        self.read(row).map(Record::whole)
    }

    /// Like [`Mapping::map`], but leaves an invoice in its row. This is enough to store or measure it.
    ///
    /// # Errors
    /// Those of [`Mapping::map`].
    pub fn read<'r>(&'r self, row: &'r Row<'r>) -> Result<Record<'r, InvoiceRow<'r>>, Reject> {
        if !self.has_its_columns(row) {
            return Err(Reject::column_count(self.reader.bound.len(), row.len()));
        }
        let id = self.reader.id(row)?;
        match &self.reader.columns.yielded {
            Yielded::Invoice(columns) => self.reader.invoice(columns, id, row).map(Record::Invoice),
            Yielded::Line(columns) => self.reader.line(columns, id, row, 1).map(Record::Line),
            Yielded::Event(columns) => self.reader.event(columns, id, row).map(Record::Event),
            Yielded::InvoiceWithLines(of_invoice, of_line) => {
                self.reader.invoice_with_lines(of_invoice, of_line, id, row)
            }
            Yielded::InvoiceLine(of_invoice, of_line) => {
                let line = self.reader.line(of_line, id.clone(), row, 1)?;
                let invoice = self.reader.invoice(of_invoice, id, row)?;
                Ok(Record::InvoiceLine(Box::new((invoice, line))))
            }
        }
    }
}
