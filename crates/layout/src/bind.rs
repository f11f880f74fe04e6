//! Binds the fields of a layout to the columns of a header. Names are looked up here once, not for every row.

use std::collections::{HashMap, HashSet};

use thiserror::Error;

use crate::bound::Bound;
use crate::cell::{Absent, AmountCell, Cell, DateCell, KeyCell, StatusCell, TaxIdCell, Test, TextCell, TrailerCell};
use crate::columns::{
    Columns, EventColumns, IdColumns, InvoiceColumns, LineColumns, LineKeyColumns, NaturalKeyColumns, PartyColumns,
    Yielded,
};
use crate::conventions::Conventions;
use crate::fold;
use crate::layout::Layout;
use crate::names::{made_name, unique_name};
use crate::spec::{
    AmountSpec, DateSpec, EventSpec, Field, IdSpec, InvoiceSpec, KeySpec, LineSpec, Named, NaturalKeySpec, PartySpec,
    Source, StatusSpec, Tables, Take, TaxIdSpec, TestSpec, TextSpec,
};
use notaflux_invoice::{Status, TaxIdColumn};

/// Why a layout cannot be bound to a header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MappingError {
    /// The header does not have all columns that the layout requires.
    #[error("layout {layout} requires columns that are missing from the header: {}", columns.join(", "))]
    MissingColumns {
        /// The name of the layout.
        layout: String,
        /// The columns, as written in the layout.
        columns: Vec<String>,
    },
    /// The layout reads JSON paths, but the source is a table.
    #[error("layout {layout} reads JSON (format = \"json\"), but the source is a table")]
    NoTable {
        /// The name of the layout.
        layout: String,
    },
    /// The layout reads columns that the header has more than once, so that the right one is unknown.
    #[error("layout {layout} reads columns that the header has more than once: {}", columns.join(", "))]
    RepeatedColumns {
        /// The name of the layout.
        layout: String,
        /// The columns, as written in the layout.
        columns: Vec<String>,
    },
}

/// The result of binding a layout to a header.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) columns: Columns,
    /// Every column of the header, in order.
    pub(crate) bound: Box<[Bound]>,
    /// Number of columns of the record itself. The columns of its lines come after them.
    pub(crate) record_columns: usize,
    /// Fields of the layout without a column in the header.
    pub(crate) unbound: Box<[String]>,
}

/// Binds the fields of `layout` to the columns of `header`.
pub(crate) fn bind(
    layout: &Layout,
    header: &[impl AsRef<str>],
    conventions: Conventions,
) -> Result<Binding, MappingError> {
    let mut binder = Binder::new(layout, header, conventions);
    binder.require();
    binder.bind()
}

/// Binds the fields of `layout` to the JSON paths that it names. Each path is a column, whether or not a record has it.
pub(crate) fn bind_paths(layout: &Layout, conventions: Conventions) -> Result<Binding, MappingError> {
    let binder = Binder { is_open: true, ..Binder::new(layout, &[""; 0], conventions) };
    binder.bind()
}

struct Binder<'a> {
    layout: &'a Layout,
    conventions: Conventions,
    /// The columns with each name. Names are folded.
    columns: HashMap<String, Vec<usize>>,
    bound: Vec<Bound>,
    unbound: Vec<String>,
    /// Names that the layout reads and that several columns have.
    repeated: Vec<String>,
    /// Columns that the layout requires and the header does not have.
    missing: Vec<String>,
    /// Whether every name that the layout reads becomes a column, as in JSON.
    is_open: bool,
    /// While the fields of lines are bound: the paths of the lists of lines. Empty otherwise.
    within: Vec<String>,
}

impl<'a> Binder<'a> {
    fn bind(mut self) -> Result<Binding, MappingError> {
        let layout = self.layout;
        let spec = &layout.spec;
        let trailer = spec.trailer.as_ref().map(|trailer| {
            let cell = self.cell("trailer", &trailer.column, &[]);
            TrailerCell { cell, test: compiled(trailer.test()) }
        });
        let id = self.id(&spec.id);
        let mut record_columns = None;
        let mut yielded = match &layout.tables {
            Tables::Invoice(invoice) => Yielded::Invoice(Box::new(self.invoice(invoice))),
            Tables::Line(line) => Yielded::Line(self.line(line)),
            Tables::Event(event) => Yielded::Event(self.event(event)),
            Tables::InvoiceLine(invoice, line) => {
                Yielded::InvoiceLine(Box::new(self.invoice(invoice)), self.line(line))
            }
            Tables::InvoiceWithLines(invoice, line) => {
                let invoice = Box::new(self.invoice(invoice));
                record_columns = Some(self.bound.len());
                self.within = line.each.iter().flat_map(|each| each.0.clone()).collect();
                Yielded::InvoiceWithLines(invoice, self.line(line))
            }
        };
        if spec.keep_other_columns && !self.is_open {
            self.keep_others(&mut yielded);
        }
        self.finish(Columns { id, yielded, trailer }, record_columns)
    }

    fn new(layout: &'a Layout, header: &[impl AsRef<str>], conventions: Conventions) -> Self {
        let mut columns = HashMap::<String, Vec<usize>>::new();
        for (at, name) in header.iter().enumerate() {
            columns.entry(fold::column(name.as_ref())).or_default().push(at);
        }
        let bound = header.iter().map(|name| Bound { column: name.as_ref().trim().to_owned(), fields: Vec::new() });
        let (unbound, repeated, missing) = (Vec::new(), Vec::new(), Vec::new());
        let (bound, within) = (bound.collect(), Vec::new());
        Self { layout, conventions, columns, bound, unbound, repeated, missing, is_open: false, within }
    }

    /// Collects the columns that the layout requires and the header does not have.
    fn require(&mut self) {
        for source in &self.layout.spec.requires {
            if !source.0.iter().any(|name| self.columns.contains_key(&fold::column(name))) {
                self.missing.push(source.alternatives());
            }
        }
    }

    /// Adds `source` to the missing columns if `cell` has no column.
    fn need(&mut self, cell: &Cell, source: &Source) {
        if cell.is_nowhere() {
            let names = source.alternatives();
            if !self.missing.contains(&names) {
                self.missing.push(names);
            }
        }
    }

    fn id(&mut self, spec: &IdSpec) -> IdColumns {
        let access_key = self.key("access_key", spec.access_key.as_ref());
        let nfse_key = self.key("nfse_key", spec.nfse_key.as_ref());
        let has_key = [&access_key, &nfse_key].into_iter().flatten().any(|key| !key.cell.is_nowhere());
        let natural = spec.natural_key.as_ref().and_then(|natural| self.natural_key(natural, has_key));
        if natural.is_none() && !has_key {
            let keys = [&spec.access_key, &spec.nfse_key].into_iter().flatten();
            let names: Vec<String> = keys.map(|Field(key)| key.from.alternatives()).collect();
            if !names.is_empty() && spec.natural_key.is_none() {
                self.missing.push(names.join(" or "));
            }
        }
        IdColumns { access_key, nfse_key, natural }
    }

    fn key(&mut self, field: &str, spec: Option<&Field<KeySpec>>) -> Option<KeyCell> {
        let Field(spec) = spec?;
        Some(KeyCell { cell: self.cell(field, &spec.from, &spec.absent), take: spec.take })
    }

    /// Returns the natural key. Returns none if a required column of it is missing; this is an error unless `has_key`, that is,
    /// another key can identify the invoice.
    fn natural_key(&mut self, spec: &NaturalKeySpec, has_key: bool) -> Option<NaturalKeyColumns> {
        let from: Vec<Cell> = spec.from.iter().map(|source| self.cell("id", source, &[])).collect();
        let optional = spec.optional.iter().map(|source| self.cell("id", source, &[])).collect();
        if from.iter().any(Cell::is_nowhere) {
            if !has_key {
                for (cell, source) in from.iter().zip(&spec.from) {
                    self.need(cell, source);
                }
            }
            return None;
        }
        Some(NaturalKeyColumns { name: spec.name.as_str().into(), from: from.into(), optional })
    }

    fn invoice(&mut self, spec: &InvoiceSpec) -> InvoiceColumns {
        let issued_at = self.date("issued_at", Some(&spec.issued_at));
        self.need(&issued_at.cell, &spec.issued_at.0.from);
        InvoiceColumns {
            model: self.text("model", spec.model.as_ref()),
            series: self.text("series", spec.series.as_ref()),
            number: self.text("number", spec.number.as_ref()),
            operation: self.text("operation", spec.operation.as_ref()),
            issued_at,
            issuer: self.party("issuer", &spec.issuer),
            issuer_from_key: spec.issuer_from_key,
            recipient: self.party("recipient", &spec.recipient),
            status: self.status(spec.status.as_ref()),
            status_at: self.date("status_at", spec.status_at.as_ref()),
            total: self.amount("total", spec.total.as_ref()),
            currency: self.text("currency", spec.currency.as_ref()),
            extra: self.extra("extra", &spec.extra),
        }
    }

    fn party(&mut self, role: &str, spec: &PartySpec) -> PartyColumns {
        let field = |name: &str| format!("{role}.{name}");
        PartyColumns {
            tax_ids: self.tax_ids(&field("tax_id"), spec),
            name: self.text(&field("name"), spec.name.as_ref()),
            state_registration: self.text(&field("state_registration"), spec.state_registration.as_ref()),
            uf: self.text(&field("uf"), spec.uf.as_ref()),
            city: self.text(&field("city"), spec.city.as_ref()),
        }
    }

    fn line(&mut self, spec: &LineSpec) -> LineColumns {
        LineColumns {
            key: self.line_key(spec),
            code: self.text("line.code", spec.code.as_ref()),
            description: self.text("line.description", spec.description.as_ref()),
            ncm: self.text("line.ncm", spec.ncm.as_ref()),
            cfop: self.text("line.cfop", spec.cfop.as_ref()),
            quantity: self.amount("line.quantity", spec.quantity.as_ref()),
            unit: self.text("line.unit", spec.unit.as_ref()),
            unit_price: self.amount("line.unit_price", spec.unit_price.as_ref()),
            total: self.amount("line.total", spec.total.as_ref()),
            extra: self.extra("line.extra", &spec.extra),
        }
    }

    fn line_key(&mut self, spec: &LineSpec) -> LineKeyColumns {
        if spec.number.is_none() && spec.key.is_empty() {
            return LineKeyColumns::Position;
        }
        if let Some(Field(number)) = &spec.number {
            let cell = self.cell("line.number", &number.from, &number.absent);
            self.need(&cell, &number.from);
            return LineKeyColumns::Number(cell);
        }
        let mut cells = Vec::with_capacity(spec.key.len());
        for source in &spec.key {
            let cell = self.cell("line.key", source, &[]);
            self.need(&cell, source);
            cells.push(cell);
        }
        LineKeyColumns::Natural(cells.into())
    }

    fn event(&mut self, spec: &EventSpec) -> EventColumns {
        let text = self.text("event.text", Some(&spec.text));
        self.need(&text.cell, &spec.text.0.from);
        let at = self.date("event.at", Some(&spec.at));
        self.need(&at.cell, &spec.at.0.from);
        EventColumns {
            text,
            at,
            description: self.text("event.description", spec.description.as_ref()),
            reason: self.text("event.reason", spec.reason.as_ref()),
        }
    }

    /// Returns the extra fields that have a column, so that the others cost nothing for each row.
    fn extra(&mut self, of: &str, spec: &Named<TextSpec>) -> Vec<(String, TextCell)> {
        let mut extra = Vec::with_capacity(spec.0.len());
        for (name, field) in &spec.0 {
            let cell = self.text_of(&format!("{of}.{name}"), field);
            if !cell.cell.is_nowhere() {
                extra.push((name.clone(), cell));
            }
        }
        extra
    }

    fn text(&mut self, field: &str, spec: Option<&Field<TextSpec>>) -> TextCell {
        spec.map_or_else(TextCell::nowhere, |Field(spec)| self.text_of(field, spec))
    }

    fn text_of(&mut self, field: &str, spec: &TextSpec) -> TextCell {
        TextCell { cell: self.cell(field, &spec.from, &spec.absent), take: spec.take, pad: spec.pad }
    }

    fn tax_ids(&mut self, field: &str, spec: &PartySpec) -> Box<[TaxIdCell]> {
        let mut cells = Vec::new();
        if let Some(Field(TaxIdSpec { from, absent, take, holds })) = &spec.tax_id {
            cells.push(TaxIdCell { cell: self.cell(field, from, absent), take: *take, holds: *holds });
        }
        for (from, holds) in [(&spec.cnpj, TaxIdColumn::Cnpj), (&spec.cpf, TaxIdColumn::Cpf)] {
            if let Some(from) = from {
                cells.push(TaxIdCell { cell: self.cell(field, from, &[]), take: Take::Integer, holds });
            }
        }
        cells.into()
    }

    fn date(&mut self, field: &str, spec: Option<&Field<DateSpec>>) -> DateCell {
        let convention = self.conventions.date;
        let Some(Field(spec)) = spec else {
            return DateCell { cell: Cell::nowhere(), convention, pinned: true, absent: Box::default() };
        };
        DateCell {
            cell: self.cell(field, &spec.from, &spec.absent),
            convention: spec.convention.unwrap_or(convention),
            pinned: spec.convention.is_some(),
            absent: self.layout.spec.absent_dates.as_slice().into(),
        }
    }

    fn amount(&mut self, field: &str, spec: Option<&Field<AmountSpec>>) -> AmountCell {
        let convention = self.conventions.decimal;
        let Some(Field(spec)) = spec else { return AmountCell { cell: Cell::nowhere(), convention, pinned: true } };
        AmountCell {
            cell: self.cell(field, &spec.from, &spec.absent),
            convention: spec.convention.unwrap_or(convention),
            pinned: spec.convention.is_some(),
        }
    }

    fn status(&mut self, spec: Option<&StatusSpec>) -> StatusCell {
        let Some(spec) = spec else {
            return StatusCell::new(Cell::nowhere(), Box::default(), Status::Unknown, Status::Unknown);
        };
        let cell = self.cell("status", &spec.from, &spec.absent);
        let rules = spec.rules.iter().map(|rule| (compiled(rule.test()), rule.status)).collect();
        StatusCell::new(cell, rules, spec.otherwise, spec.blank)
    }

    fn cell(&mut self, field: &str, from: &Source, absent: &[String]) -> Cell {
        let mut columns = Vec::with_capacity(from.0.len());
        if self.is_open {
            columns = self.opened(from);
        }
        for name in from.0.iter().filter(|_| !self.is_open) {
            match self.columns.get(&fold::column(name)).map(Vec::as_slice) {
                None | Some([]) => {}
                Some([column]) => columns.push(*column),
                Some(_) if self.repeated.contains(name) => {}
                Some(_) => self.repeated.push(name.clone()),
            }
        }
        for &column in &columns {
            self.add_field(column, field);
        }
        if columns.is_empty() {
            self.unbound.push(field.to_owned());
        }
        let in_header = columns.first().and_then(|&column| self.bound.get(column)).map(|bound| &*bound.column);
        let name = in_header.unwrap_or_else(|| from.first()).into();
        Cell { columns: columns.into(), absent: Absent::new(self.layout.spec.absent.iter().chain(absent)), name }
    }

    /// Returns the columns of all paths in `from`. Adds the columns that do not exist yet.
    fn opened(&mut self, from: &Source) -> Vec<usize> {
        let paths: Vec<String> = match self.within.as_slice() {
            [] => from.0.clone(),
            lists => from.0.iter().flat_map(|name| lists.iter().map(move |list| format!("{list}.{name}"))).collect(),
        };
        let mut columns = Vec::with_capacity(paths.len());
        for path in paths {
            let known = self.columns.entry(fold::column(&path)).or_default();
            if known.is_empty() {
                known.push(self.bound.len());
                self.bound.push(Bound { column: path, fields: Vec::new() });
            }
            columns.extend(known.iter().copied().take(1));
        }
        columns
    }

    fn add_field(&mut self, column: usize, field: &str) {
        if let Some(bound) = self.bound.get_mut(column) {
            bound.fields.push(field.to_owned());
        }
    }

    /// Adds the columns that no field reads to `extra`, under names made from the names of the columns.
    fn keep_others(&mut self, yielded: &mut Yielded) {
        let (of, extra) = match yielded {
            Yielded::Invoice(invoice) => ("extra", &mut invoice.extra),
            Yielded::Line(line) | Yielded::InvoiceLine(_, line) => ("line.extra", &mut line.extra),
            Yielded::Event(_) | Yielded::InvoiceWithLines(..) => return,
        };
        let mut taken: HashSet<String> = extra.iter().map(|(name, _)| name.clone()).collect();
        for column in 0..self.bound.len() {
            let Some(bound) = self.bound.get(column).filter(|bound| bound.fields.is_empty()) else { continue };
            let name = unique_name(&mut taken, &made_name(&bound.column, column));
            let absent = Absent::new(self.layout.spec.absent.iter());
            let cell = Cell { columns: [column].into(), absent, name: bound.column.as_str().into() };
            self.add_field(column, &format!("{of}.{name}"));
            extra.push((name, TextCell { cell, take: Take::Whole, pad: 0 }));
        }
    }

    fn finish(self, columns: Columns, record_columns: Option<usize>) -> Result<Binding, MappingError> {
        let layout = self.layout.name().to_owned();
        if !self.missing.is_empty() {
            return Err(MappingError::MissingColumns { layout, columns: self.missing });
        }
        if !self.repeated.is_empty() {
            return Err(MappingError::RepeatedColumns { layout, columns: self.repeated });
        }
        let record_columns = record_columns.unwrap_or(self.bound.len());
        Ok(Binding { columns, bound: self.bound.into(), record_columns, unbound: self.unbound.into() })
    }
}

/// Prepares a test for comparisons.
#[expect(clippy::expect_used, reason = "`check` rejects a layout with a test that is missing or ambiguous")]
fn compiled(test: Option<TestSpec<'_>>) -> Test {
    Test::new(test.expect("the layout has been checked"))
}
