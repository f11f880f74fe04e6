//! Converts a row to a line.

use std::borrow::Cow;

use crate::cell::{Cell, CellValue, taken};
use crate::columns::{LineColumns, LineKeyColumns, extra};
use crate::mapping::id::Id;
use crate::mapping::reader::RowReader;
use crate::mapping::warnings;
use crate::reject::{Reason, Reject};
use crate::row::Row;
use crate::spec::Take;
use notaflux_invoice::line::LINE_NUMBER_LIMIT;
use notaflux_invoice::text::all_digits;
use notaflux_invoice::{Line, LineKey};

/// The separator of the values of a line's natural key: the unit separator of ASCII.
const SEPARATOR: char = '\u{1f}';

/// Initial capacity, in bytes, of a natural key of several columns. Few keys are longer.
const KEY_CAPACITY: usize = 96;

impl RowReader {
    /// Converts `row` to a line. `position` is its position in the invoice, from 1.
    pub(crate) fn line<'r>(
        &'r self,
        columns: &'r LineColumns,
        id: Id<'r>,
        row: &Row<'r>,
        position: u32,
    ) -> Result<Line<'r>, Reject> {
        let key = match &columns.key {
            LineKeyColumns::Number(cell) => LineKey::Number(self.line_number(cell, row)?),
            LineKeyColumns::Natural(cells) => LineKey::Natural(self.line_key(cells, row)?),
            LineKeyColumns::Position => LineKey::Number(position),
        };
        let mut line = Line {
            invoice: id.text,
            key,
            code: columns.code.read(row),
            description: columns.description.read(row),
            ncm: columns.ncm.read(row),
            cfop: columns.cfop.read(row),
            quantity: self.amount(&columns.quantity, row)?,
            unit: columns.unit.read(row),
            unit_price: self.amount(&columns.unit_price, row)?,
            total: self.amount(&columns.total, row)?,
            extra: extra(&columns.extra, row),
            warnings: Vec::new(),
        };
        let warnings = warnings::of_key(&id.key);
        self.check_warnings(warnings, &warnings::Warned { id: &line.invoice, invoice: None })?;
        line.warnings = warnings.iter().collect();
        Ok(line)
    }

    fn line_number(&self, cell: &Cell, row: &Row<'_>) -> Result<u32, Reject> {
        let found = cell.read(row).ok_or_else(|| Reject::missing(&cell.name, &expected_number()))?;
        let digits = taken(found.text, Take::Integer);
        // `u32::from_str` accepts a sign, so check for digits first.
        let number = all_digits(digits.as_bytes()).then(|| digits.parse().ok()).flatten();
        number.filter(|number| (1..=LINE_NUMBER_LIMIT).contains(number)).ok_or_else(|| {
            self.reject(Reason::InvalidLineNumber, found, &format_args!("expected {}", expected_number()))
        })
    }

    /// Returns the values of the key's columns with [`SEPARATOR`] between them. At least one column must have a value.
    fn line_key<'r>(&self, cells: &[Cell], row: &Row<'r>) -> Result<Cow<'r, str>, Reject> {
        if let [cell] = cells {
            let found = cell.read(row).ok_or_else(|| no_line_key(cells))?;
            self.check_line_key(found)?;
            return Ok(Cow::Borrowed(found.text));
        }
        let mut joined = String::with_capacity(KEY_CAPACITY);
        let mut any = false;
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                joined.push(SEPARATOR);
            }
            let Some(found) = cell.read(row) else { continue };
            self.check_line_key(found)?;
            any = true;
            joined.push_str(found.text);
        }
        if any { Ok(Cow::Owned(joined)) } else { Err(no_line_key(cells)) }
    }

    /// Rejects characters that would make two keys equal: the separator, and the NUL that separates the keys of an ingestion.
    fn check_line_key(&self, found: CellValue<'_>) -> Result<(), Reject> {
        if found.text.contains([SEPARATOR, '\0']) {
            let expected = "expected a text without NUL characters and unit separators";
            return Err(self.reject(Reason::InvalidNaturalKey, found, &expected));
        }
        Ok(())
    }
}

#[cold]
fn expected_number() -> String {
    format!("a line number from 1 to {LINE_NUMBER_LIMIT}")
}

#[cold]
fn no_line_key(cells: &[Cell]) -> Reject {
    let names: Vec<&str> = cells.iter().map(|cell| &*cell.name).collect();
    let expected = if names.len() == 1 { "a value" } else { "a value in at least one of them" };
    Reject::missing(&names.join(", "), &format!("{expected} (it distinguishes the line from the others)"))
}
