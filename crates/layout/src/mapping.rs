//! A row to a record, by a layout bound to the header of the source.

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

/// A layout bound to a header. Columns are looked up when it is made; mapping a row looks nothing up by name.
#[derive(Debug)]
pub struct Mapping {
    reader: RowReader,
    /// Fields of the layout for which the header has no column.
    unbound: Box<[String]>,
    /// How many columns stand in the record itself, before those of its lines.
    record_columns: usize,
    /// Of JSON: where the columns stand.
    paths: Option<PathTree>,
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
        let rejects = WarningSet::of(layout.spec.reject.iter().copied());
        let reader = RowReader { layout, conventions, bound, columns, rejects };
        Self { reader, unbound, record_columns, paths }
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
            shown::show(paths, element, show);
        }
    }

    /// Under which name in `extra` the value at a path of JSON is kept that no column is for; none where it is not.
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

    /// Whether a record with any warning is a reject, and not only one with a warning that the layout rejects.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        let rejects: &[Warning] = if strict { &Warning::ALL } else { &self.reader.layout.spec.reject };
        self.reader.rejects = WarningSet::of(rejects.iter().copied());
        self
    }

    /// The layout.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.reader.layout
    }

    /// How amounts and dates are read.
    #[must_use]
    pub fn conventions(&self) -> Conventions {
        self.reader.conventions
    }

    /// Every column of the header, in order, and what is read from it.
    #[must_use]
    pub fn columns(&self) -> &[Bound] {
        &self.reader.bound
    }

    /// What is read of a row.
    pub(crate) fn read_columns(&self) -> &Columns {
        &self.reader.columns
    }

    /// How well the layout fits the header.
    #[must_use]
    pub fn fit(&self) -> Fit<'_> {
        let unread = self.reader.bound.iter().filter(|bound| bound.fields.is_empty());
        Fit {
            columns: self.reader.bound.len(),
            unread: unread.map(|bound| bound.column.as_str()).collect(),
            without_column: &self.unbound,
        }
    }

    /// Whether `row` is none of the records: a line of totals, as the layout tells it. It may have any number of columns.
    #[inline]
    #[must_use]
    pub fn is_trailer(&self, row: &Row<'_>) -> bool {
        self.reader.columns.trailer.as_ref().is_some_and(|trailer| trailer.fits(row))
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
        if self.paths.is_none() && row.len() != self.reader.bound.len() {
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
