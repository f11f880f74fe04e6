//! Reads the cells of a row as values: tax ids, dates, amounts.

use std::fmt::Display;
use std::sync::Arc;

use crate::bound::Bound;
use crate::cell::{AmountCell, Cell, CellValue, DateCell, TaxIdCell, taken};
use crate::columns::Columns;
use crate::conventions::Conventions;
use crate::layout::Layout;
use crate::mapping::warning_set::WarningSet;
use crate::reject::{Reason, Reject};
use crate::row::Row;
use notaflux_invoice::{Decimal, DecimalConvention, TaxId, TaxIdError, Timestamp};

/// Reads rows of one header by one layout.
#[derive(Debug)]
pub(crate) struct RowReader {
    pub(crate) layout: Arc<Layout>,
    pub(crate) conventions: Conventions,
    /// The columns of the header, and the fields that are read from each.
    pub(crate) bound: Box<[Bound]>,
    pub(crate) columns: Columns,
    /// Warnings that reject a record.
    pub(crate) rejects: WarningSet,
}

impl RowReader {
    /// Reads the first of the tax ids that has a value.
    pub(crate) fn tax_id(&self, cells: &[TaxIdCell], row: &Row<'_>) -> Result<Option<TaxId>, Reject> {
        let found = cells.iter().find_map(|cell| Some((cell, cell.cell.text(row)?)));
        let Some((cell, text)) = found else { return Ok(None) };
        TaxId::parse(taken(text, cell.take), cell.holds).map(Some).map_err(|error| {
            let too_long = error == TaxIdError::TooLong;
            let reason = if too_long { Reason::ValueTooLong } else { Reason::InvalidTaxId };
            self.reject_first(reason, &cell.cell, row, &error)
        })
    }

    pub(crate) fn date(&self, cell: &DateCell, row: &Row<'_>) -> Result<Option<Timestamp>, Reject> {
        for found in cell.cell.values(row) {
            let read = Timestamp::parse_clear(found.text, cell.convention);
            let read = read.map_err(|error| self.reject(Reason::InvalidDate, found, &error))?;
            if !cell.absent.contains(&read.local.date()) {
                return Ok(Some(read.or_offset(self.conventions.time_zone)));
            }
        }
        Ok(None)
    }

    pub(crate) fn required_date(&self, cell: &DateCell, row: &Row<'_>) -> Result<Timestamp, Reject> {
        self.date(cell, row)?.ok_or_else(|| Reject::missing(&cell.cell.name, "a date"))
    }

    pub(crate) fn amount(&self, cell: &AmountCell, row: &Row<'_>) -> Result<Option<Decimal>, Reject> {
        let Some(found) = cell.cell.read(row) else { return Ok(None) };
        let convention = if found.is_number { DecimalConvention::Point } else { cell.convention };
        let read = Decimal::parse_clear(found.text, convention);
        read.map(Some).map_err(|error| self.reject(Reason::InvalidAmount, found, &error))
    }

    /// Returns a reject for the first value of `cell`.
    #[cold]
    pub(crate) fn reject_first(&self, reason: Reason, cell: &Cell, row: &Row<'_>, expected: &dyn Display) -> Reject {
        match cell.read(row) {
            Some(found) => self.reject(reason, found, expected),
            None => Reject::missing(&cell.name, "a value"),
        }
    }

    /// Returns a reject that names the column of `found`, what was expected, and the value.
    #[expect(clippy::expect_used, reason = "cells are bound to columns of this header")]
    #[cold]
    pub(crate) fn reject(&self, reason: Reason, found: CellValue<'_>, expected: &dyn Display) -> Reject {
        let bound = self.bound.get(found.column).expect("the value was read from a column of the header");
        Reject::of_cell(reason, &bound.column, expected, found.text)
    }
}
