//! What a layout reads of a row, by what the row yields.

use super::cell::{AmountCell, Cell, DateCell, KeyCell, StatusCell, TaxIdCell, TextCell, TrailerCell};

/// All that is read of a row.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) id: IdColumns,
    pub(super) yielded: Yielded,
    pub(super) trailer: Option<TrailerCell>,
}

/// What a row yields, and the columns for it.
#[derive(Debug)]
pub(super) enum Yielded {
    Invoice(Box<InvoiceColumns>),
    Line(LineColumns),
    Event(EventColumns),
    InvoiceLine(Box<InvoiceColumns>, LineColumns),
    InvoiceWithLines(Box<InvoiceColumns>, LineColumns),
}

/// What names an invoice. Those that are given are tried in this order.
#[derive(Debug)]
pub(super) struct IdColumns {
    pub(super) access_key: Option<KeyCell>,
    pub(super) nfse_key: Option<KeyCell>,
    pub(super) natural: Option<NaturalKeyColumns>,
}

#[derive(Debug)]
pub(super) struct NaturalKeyColumns {
    pub(super) name: Box<str>,
    pub(super) from: Box<[Cell]>,
    pub(super) optional: Box<[Cell]>,
}

#[derive(Debug)]
pub(super) struct InvoiceColumns {
    pub(super) model: TextCell,
    pub(super) series: TextCell,
    pub(super) number: TextCell,
    pub(super) operation: TextCell,
    pub(super) issued_at: DateCell,
    pub(super) issuer: PartyColumns,
    pub(super) issuer_from_key: bool,
    pub(super) recipient: PartyColumns,
    pub(super) status: StatusCell,
    pub(super) status_at: DateCell,
    pub(super) total: AmountCell,
    pub(super) currency: TextCell,
    pub(super) extra: Vec<(String, TextCell)>,
}

#[derive(Debug)]
pub(super) struct PartyColumns {
    /// The first that has a value counts.
    pub(super) tax_ids: Box<[TaxIdCell]>,
    pub(super) name: TextCell,
    pub(super) state_registration: TextCell,
    pub(super) uf: TextCell,
    pub(super) city: TextCell,
}

#[derive(Debug)]
pub(super) struct LineColumns {
    pub(super) key: LineKeyColumns,
    pub(super) code: TextCell,
    pub(super) description: TextCell,
    pub(super) ncm: TextCell,
    pub(super) cfop: TextCell,
    pub(super) quantity: AmountCell,
    pub(super) unit: TextCell,
    pub(super) unit_price: AmountCell,
    pub(super) total: AmountCell,
    pub(super) extra: Vec<(String, TextCell)>,
}

#[derive(Debug)]
pub(super) enum LineKeyColumns {
    Number(Cell),
    Natural(Box<[Cell]>),
    /// Lines are numbered as they stand in their invoice.
    Position,
}

#[derive(Debug)]
pub(super) struct EventColumns {
    pub(super) text: TextCell,
    pub(super) at: DateCell,
    pub(super) description: TextCell,
    pub(super) reason: TextCell,
}

impl Columns {
    /// Every amount.
    pub(super) fn amounts(&self) -> Vec<&AmountCell> {
        match &self.yielded {
            Yielded::Invoice(invoice) => vec![&invoice.total],
            Yielded::Line(line) => line.amounts().into(),
            Yielded::Event(_) => Vec::new(),
            Yielded::InvoiceLine(invoice, line) | Yielded::InvoiceWithLines(invoice, line) => {
                line.amounts().into_iter().chain([&invoice.total]).collect()
            }
        }
    }

    /// Every date.
    pub(super) fn dates(&self) -> Vec<&DateCell> {
        match &self.yielded {
            Yielded::Invoice(invoice) | Yielded::InvoiceLine(invoice, _) | Yielded::InvoiceWithLines(invoice, _) => {
                vec![&invoice.issued_at, &invoice.status_at]
            }
            Yielded::Line(_) => Vec::new(),
            Yielded::Event(event) => vec![&event.at],
        }
    }
}

impl PartyColumns {
    /// What messages call its tax id.
    pub(super) fn tax_id_name(&self) -> &str {
        self.tax_ids.first().map(|cell| &*cell.cell.name).unwrap_or_default()
    }
}

impl LineColumns {
    fn amounts(&self) -> [&AmountCell; 3] {
        [&self.quantity, &self.unit_price, &self.total]
    }
}
