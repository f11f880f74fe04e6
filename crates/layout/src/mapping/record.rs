//! The record that a row yields.

use crate::mapping::invoice_row::InvoiceRow;
use crate::mapping::warning_set::WarningSet;
use crate::mapping::warnings::has_wrong_check_digit;
use notaflux_invoice::{Event, Invoice, InvoiceFields, Line, Warning};

/// The record that a row yields. Its texts are borrowed from the row, its names from the mapping.
///
/// Its invoice is an [`Invoice`] or an [`InvoiceRow`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "with a box, each of the most common records would need one more allocation"
)]
pub enum Record<'r, I = Invoice<'r>> {
    /// One invoice.
    Invoice(I),
    /// One line of an invoice.
    Line(Line<'r>),
    /// One event of an invoice.
    Event(Event<'r>),
    /// One line, and the invoice that it belongs to.
    InvoiceLine(Box<(I, Line<'r>)>),
    /// One invoice with its lines, and their number in the invoice. No two lines have the same key.
    InvoiceWithLines(Box<(I, Vec<Line<'r>>)>),
}

impl<I: InvoiceFields> Record<'_, I> {
    /// Returns the id of the invoice that this record is or belongs to.
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

    /// Returns the warnings about the record, each once. Events are stored without warnings; theirs are computed from the id of
    /// the invoice.
    pub fn warnings(&self) -> impl Iterator<Item = Warning> + use<I> {
        let warnings = match self {
            Self::Invoice(invoice) => WarningSet::of(invoice.warnings()),
            Self::Line(line) => WarningSet::of(line.warnings.iter().copied()),
            Self::Event(event) => {
                WarningSet::default().with(Warning::CheckDigit, has_wrong_check_digit(&event.invoice))
            }
            Self::InvoiceLine(both) => WarningSet::of(both.0.warnings().chain(both.1.warnings.iter().copied())),
            // Its lines have the same key, and so no other warnings.
            Self::InvoiceWithLines(all) => WarningSet::of(all.0.warnings()),
        };
        warnings.iter()
    }
}

impl<'r> Record<'r, InvoiceRow<'r>> {
    /// Reads all fields of the invoice from its row.
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
