//! The fields of a layout bound to the columns of one header: names are looked up here, once, and never again by row.

use std::collections::HashMap;
use std::sync::OnceLock;

use thiserror::Error;

use super::spec::{AmountSpec, DateSpec, Field, InvoiceSpec, PartySpec, Source, StatusSpec, Take, TaxIdSpec, TextSpec};
use super::{Conventions, Layout, Row, fold};
use crate::invoice::text::trimmed;
use crate::invoice::{DateConvention, DecimalConvention, Status, TaxIdColumn};

/// Why a layout cannot be bound to a header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MappingError {
    /// Columns that the layout cannot do without.
    #[error("layout {layout} needs columns that the header lacks: {}", columns.join(", "))]
    MissingColumns {
        /// The layout's name.
        layout: String,
        /// The columns, as the layout writes them.
        columns: Vec<String>,
    },
    /// Columns that the layout reads and the header has more than once: which one is meant cannot be known.
    #[error("layout {layout} reads columns that the header has more than once: {}", columns.join(", "))]
    RepeatedColumns {
        /// The layout's name.
        layout: String,
        /// The columns, as the layout writes them.
        columns: Vec<String>,
    },
}

/// Where one field stands in a row.
#[derive(Debug)]
pub(super) struct Cell {
    /// Columns to look in, in order; none where the header has none of them.
    columns: Box<[usize]>,
    absent: Absent,
    /// What the layout calls the first of them, for messages.
    pub(super) name: Box<str>,
}

/// A value and where it stood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'r> {
    pub(super) column: usize,
    pub(super) text: &'r str,
}

impl Cell {
    /// The first value of the cell's columns, without spaces around it.
    #[inline]
    pub(super) fn read<'r>(&self, row: &Row<'r>) -> Option<Found<'r>> {
        for &column in &self.columns {
            let text = trimmed(row.get(column)?);
            if !text.is_empty() && !self.absent.is(text) {
                return Some(Found { column, text });
            }
        }
        None
    }
}

/// Texts that mean "no value".
#[derive(Debug, Default)]
struct Absent {
    /// By ASCII code: characters, in either case, that one of the words begins with.
    first: u128,
    /// Folded.
    words: Box<[String]>,
}

impl Absent {
    fn new<'a>(words: impl Iterator<Item = &'a String>) -> Self {
        let words: Box<[String]> = words.map(|word| fold::folded(word).collect()).collect();
        let bit = |byte: u8| 1_u128.checked_shl(u32::from(byte)).unwrap_or(0);
        let first = words.iter().filter_map(|word| word.bytes().next());
        let first = first.fold(0, |bits, byte| bits | bit(byte) | bit(byte.to_ascii_uppercase()));
        Self { first, words }
    }

    #[inline]
    fn is(&self, text: &str) -> bool {
        // Letters with an accent have no bit and are looked at in full.
        let may_be = text.bytes().next().is_none_or(|byte| !byte.is_ascii() || (self.first >> byte) & 1 == 1);
        may_be && self.words.iter().any(|word| fold::is(text, word))
    }
}

/// The columns of an invoice.
#[derive(Debug)]
pub(super) struct InvoiceColumns {
    pub(super) access_key: Cell,
    pub(super) model: TextCell,
    pub(super) series: TextCell,
    pub(super) number: TextCell,
    pub(super) operation: TextCell,
    pub(super) issued_at: DateCell,
    pub(super) issuer: PartyColumns,
    pub(super) recipient: PartyColumns,
    pub(super) status: StatusCell,
    pub(super) status_at: DateCell,
    pub(super) total: AmountCell,
    pub(super) extra: Box<[(String, Cell)]>,
}

#[derive(Debug)]
pub(super) struct PartyColumns {
    pub(super) tax_id: TaxIdCell,
    pub(super) name: TextCell,
    pub(super) state_registration: TextCell,
    pub(super) uf: TextCell,
    pub(super) city: TextCell,
}

#[derive(Debug)]
pub(super) struct TextCell {
    pub(super) cell: Cell,
    pub(super) take: Take,
}

#[derive(Debug)]
pub(super) struct TaxIdCell {
    pub(super) cell: Cell,
    pub(super) holds: TaxIdColumn,
}

#[derive(Debug)]
pub(super) struct DateCell {
    pub(super) cell: Cell,
    pub(super) convention: DateConvention,
}

#[derive(Debug)]
pub(super) struct AmountCell {
    pub(super) cell: Cell,
    pub(super) convention: DecimalConvention,
}

#[derive(Debug)]
pub(super) struct StatusCell {
    pub(super) cell: Cell,
    /// Folded words and what they say.
    rules: Box<[(String, Status)]>,
    otherwise: Status,
    /// The first text that was read and what it says: nearly all rows of a source have the same.
    first: OnceLock<(Box<str>, Status)>,
}

impl StatusCell {
    /// What `text` says of the status.
    pub(super) fn of(&self, text: &str) -> Status {
        let (first, status) = self.first.get_or_init(|| (text.into(), self.worked_out(text)));
        if **first == *text { *status } else { self.worked_out(text) }
    }

    fn worked_out(&self, text: &str) -> Status {
        let folded = fold::cell(text);
        let fits = |words: &str| folded.as_bytes().windows(words.len()).any(|part| part == words.as_bytes());
        self.rules.iter().find(|(words, _)| fits(words)).map_or(self.otherwise, |(_, status)| *status)
    }
}

/// Binds the fields of `layout` to `header`.
pub(super) fn bind(
    layout: &Layout,
    header: &[impl AsRef<str>],
    conventions: Conventions,
) -> Result<InvoiceColumns, MappingError> {
    let mut binder = Binder::new(layout, header, conventions);
    let columns = binder.invoice(&layout.spec.invoice);
    let missing_required = layout.requires().iter().filter(|name| !binder.has(name)).cloned();
    let needed = [&columns.access_key, &columns.issued_at.cell];
    let missing_needed = needed.into_iter().filter(|cell| cell.columns.is_empty()).map(|cell| cell.name.to_string());
    let mut missing: Vec<String> = missing_required.collect();
    for name in missing_needed {
        if !missing.contains(&name) {
            missing.push(name);
        }
    }
    if !missing.is_empty() {
        return Err(MappingError::MissingColumns { layout: layout.name().to_owned(), columns: missing });
    }
    if !binder.repeated.is_empty() {
        return Err(MappingError::RepeatedColumns { layout: layout.name().to_owned(), columns: binder.repeated });
    }
    Ok(columns)
}

struct Binder<'a> {
    layout: &'a Layout,
    conventions: Conventions,
    /// By folded name: the columns of that name.
    columns: HashMap<String, Vec<usize>>,
    /// Names that the layout reads and more than one column has.
    repeated: Vec<String>,
}

impl<'a> Binder<'a> {
    fn new(layout: &'a Layout, header: &[impl AsRef<str>], conventions: Conventions) -> Self {
        let mut columns = HashMap::<String, Vec<usize>>::new();
        for (at, name) in header.iter().enumerate() {
            columns.entry(fold::column(name.as_ref())).or_default().push(at);
        }
        Self { layout, conventions, columns, repeated: Vec::new() }
    }

    fn has(&self, name: &str) -> bool {
        self.columns.contains_key(&fold::column(name))
    }

    fn invoice(&mut self, spec: &InvoiceSpec) -> InvoiceColumns {
        InvoiceColumns {
            access_key: self.cell(&spec.access_key.0.from, &spec.access_key.0.absent),
            model: self.text(spec.model.as_ref()),
            series: self.text(spec.series.as_ref()),
            number: self.text(spec.number.as_ref()),
            operation: self.text(spec.operation.as_ref()),
            issued_at: self.date(Some(&spec.issued_at)),
            issuer: self.party(&spec.issuer),
            recipient: self.party(&spec.recipient),
            status: self.status(spec.status.as_ref()),
            status_at: self.date(spec.status_at.as_ref()),
            total: self.amount(spec.total.as_ref()),
            extra: self.extra(),
        }
    }

    fn party(&mut self, spec: &PartySpec) -> PartyColumns {
        PartyColumns {
            tax_id: self.tax_id(spec.tax_id.as_ref()),
            name: self.text(spec.name.as_ref()),
            state_registration: self.text(spec.state_registration.as_ref()),
            uf: self.text(spec.uf.as_ref()),
            city: self.text(spec.city.as_ref()),
        }
    }

    /// Those that the header has: one that it lacks costs nothing by row.
    fn extra(&mut self) -> Box<[(String, Cell)]> {
        let layout = self.layout;
        let bound = layout.spec.extra.iter().map(|extra| (extra.name.clone(), self.cell(&extra.from, &extra.absent)));
        bound.filter(|(_, cell)| !cell.columns.is_empty()).collect()
    }

    fn text(&mut self, spec: Option<&Field<TextSpec>>) -> TextCell {
        let Some(Field(spec)) = spec else { return TextCell { cell: Self::nowhere(), take: Take::Whole } };
        TextCell { cell: self.cell(&spec.from, &spec.absent), take: spec.take }
    }

    fn tax_id(&mut self, spec: Option<&Field<TaxIdSpec>>) -> TaxIdCell {
        let Some(Field(spec)) = spec else { return TaxIdCell { cell: Self::nowhere(), holds: TaxIdColumn::Either } };
        TaxIdCell { cell: self.cell(&spec.from, &spec.absent), holds: spec.holds }
    }

    fn date(&mut self, spec: Option<&Field<DateSpec>>) -> DateCell {
        let convention = self.conventions.date;
        let Some(Field(spec)) = spec else { return DateCell { cell: Self::nowhere(), convention } };
        let cell = self.cell(&spec.from, &spec.absent);
        DateCell { cell, convention: spec.convention.unwrap_or(convention) }
    }

    fn amount(&mut self, spec: Option<&Field<AmountSpec>>) -> AmountCell {
        let convention = self.conventions.decimal;
        let Some(Field(spec)) = spec else { return AmountCell { cell: Self::nowhere(), convention } };
        let cell = self.cell(&spec.from, &spec.absent);
        AmountCell { cell, convention: spec.convention.unwrap_or(convention) }
    }

    fn status(&mut self, spec: Option<&StatusSpec>) -> StatusCell {
        let Some(spec) = spec else {
            return StatusCell {
                cell: Self::nowhere(),
                rules: Box::default(),
                otherwise: Status::Unknown,
                first: OnceLock::new(),
            };
        };
        let folded = spec.rules.iter().map(|rule| (fold::folded(&rule.contains).collect(), rule.status));
        StatusCell {
            cell: self.cell(&spec.from, &spec.absent),
            rules: folded.collect(),
            otherwise: spec.otherwise,
            first: OnceLock::new(),
        }
    }

    fn cell(&mut self, from: &Source, absent: &[String]) -> Cell {
        let mut columns = Vec::with_capacity(from.0.len());
        for name in &from.0 {
            match self.columns.get(&fold::column(name)).map(Vec::as_slice) {
                None | Some([]) => {}
                Some([column]) => columns.push(*column),
                Some(_) => self.repeated.push(name.clone()),
            }
        }
        let absent = Absent::new(self.layout.spec.absent.iter().chain(absent));
        let name = from.0.first().map(String::as_str).unwrap_or_default();
        Cell { columns: columns.into(), absent, name: name.into() }
    }

    fn nowhere() -> Cell {
        Cell { columns: Box::default(), absent: Absent::default(), name: Box::default() }
    }
}
