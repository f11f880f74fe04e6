//! The cells that a layout reads from a row, by what the row yields.

use std::borrow::Cow;

use crate::cell::{AmountCell, Cell, DateCell, KeyCell, StatusCell, TaxIdCell, TextCell, TrailerCell};
use crate::row::Row;

/// All cells that are read from a row.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) id: IdColumns,
    pub(crate) yielded: Yielded,
    pub(crate) trailer: Option<TrailerCell>,
}

/// What a row yields, and its columns.
#[derive(Debug)]
pub(crate) enum Yielded {
    Invoice(Box<InvoiceColumns>),
    Line(LineColumns),
    Event(EventColumns),
    InvoiceLine(Box<InvoiceColumns>, LineColumns),
    InvoiceWithLines(Box<InvoiceColumns>, LineColumns),
}

/// The keys that identify an invoice, tried in this order.
#[derive(Debug)]
pub(crate) struct IdColumns {
    pub(crate) access_key: Option<KeyCell>,
    pub(crate) nfse_key: Option<KeyCell>,
    pub(crate) natural: Option<NaturalKeyColumns>,
}

#[derive(Debug)]
pub(crate) struct NaturalKeyColumns {
    pub(crate) name: Box<str>,
    pub(crate) from: Box<[Cell]>,
    pub(crate) optional: Box<[Cell]>,
}

#[derive(Debug)]
pub(crate) struct InvoiceColumns {
    pub(crate) model: TextCell,
    pub(crate) series: TextCell,
    pub(crate) number: TextCell,
    pub(crate) operation: TextCell,
    pub(crate) issued_at: DateCell,
    pub(crate) issuer: PartyColumns,
    pub(crate) issuer_from_key: bool,
    pub(crate) recipient: PartyColumns,
    pub(crate) status: StatusCell,
    pub(crate) status_at: DateCell,
    pub(crate) total: AmountCell,
    pub(crate) currency: TextCell,
    pub(crate) extra: Vec<(String, TextCell)>,
}

#[derive(Debug)]
pub(crate) struct PartyColumns {
    /// The first with a value counts.
    pub(crate) tax_ids: Box<[TaxIdCell]>,
    pub(crate) name: TextCell,
    pub(crate) state_registration: TextCell,
    pub(crate) uf: TextCell,
    pub(crate) city: TextCell,
}

#[derive(Debug)]
pub(crate) struct LineColumns {
    pub(crate) key: LineKeyColumns,
    pub(crate) code: TextCell,
    pub(crate) description: TextCell,
    pub(crate) ncm: TextCell,
    pub(crate) cfop: TextCell,
    pub(crate) quantity: AmountCell,
    pub(crate) unit: TextCell,
    pub(crate) unit_price: AmountCell,
    pub(crate) total: AmountCell,
    pub(crate) extra: Vec<(String, TextCell)>,
}

#[derive(Debug)]
pub(crate) enum LineKeyColumns {
    Number(Cell),
    Natural(Box<[Cell]>),
    /// Lines are numbered by their position in their invoice.
    Position,
}

#[derive(Debug)]
pub(crate) struct EventColumns {
    pub(crate) text: TextCell,
    pub(crate) at: DateCell,
    pub(crate) description: TextCell,
    pub(crate) reason: TextCell,
}

impl Columns {
    /// Returns the cells of all amounts.
    pub(crate) fn amounts(&self) -> Vec<&AmountCell> {
        match &self.yielded {
            Yielded::Invoice(invoice) => vec![&invoice.total],
            Yielded::Line(line) => line.amounts().into(),
            Yielded::Event(_) => Vec::new(),
            Yielded::InvoiceLine(invoice, line) | Yielded::InvoiceWithLines(invoice, line) => {
                line.amounts().into_iter().chain([&invoice.total]).collect()
            }
        }
    }

    /// Returns the cells of all dates.
    pub(crate) fn dates(&self) -> Vec<&DateCell> {
        match &self.yielded {
            Yielded::Invoice(invoice) | Yielded::InvoiceLine(invoice, _) | Yielded::InvoiceWithLines(invoice, _) => {
                vec![&invoice.issued_at, &invoice.status_at]
            }
            Yielded::Line(_) => Vec::new(),
            Yielded::Event(event) => vec![&event.at],
        }
    }
}

impl LineColumns {
    fn amounts(&self) -> [&AmountCell; 3] {
        [&self.quantity, &self.unit_price, &self.total]
    }
}

/// Reads the extra fields that have a value, and the values that the layout does not name.
pub(crate) fn extra<'r>(cells: &'r [(String, TextCell)], row: &Row<'r>) -> Vec<(Cow<'r, str>, Cow<'r, str>)> {
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
