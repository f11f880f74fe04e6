//! A row to an invoice.

use std::borrow::Cow;

use super::id::Id;
use super::{Mapping, extra, oddity};
use crate::invoice::{Invoice, Party, Status};
use crate::layout::cell::{StatusCell, TextCell};
use crate::layout::check::is_currency;
use crate::layout::columns::{InvoiceColumns, PartyColumns};
use crate::layout::{Reason, Reject, Row};

impl Mapping {
    pub(super) fn invoice<'r>(
        &'r self,
        columns: &'r InvoiceColumns,
        id: Id<'r>,
        row: &Row<'r>,
    ) -> Result<Invoice<'r>, Reject> {
        let issued_at = self.needed_date(&columns.issued_at, row)?;
        let named_issuer = id.key.issuer_tax_id();
        let mut issuer = self.party(&columns.issuer, row)?;
        issuer.tax_id = match (issuer.tax_id, named_issuer.as_ref()) {
            (Some(tax_id), Some(named)) => Some(tax_id.with_zeros_of(named)),
            (None, Some(named)) if columns.issuer_from_key => Some(*named),
            (tax_id, _) => tax_id,
        };
        let recipient = self.party(&columns.recipient, row)?;
        let (status, status_text) = status(&columns.status, row);
        let mut invoice = Invoice {
            id: id.text,
            access_key: id.key.access_key(),
            model: columns.model.read(row),
            series: columns.series.read(row),
            number: columns.number.read(row),
            operation: columns.operation.read(row),
            issued_at,
            issuer,
            recipient: (!recipient.is_empty()).then_some(recipient),
            status,
            status_text,
            status_at: self.date(&columns.status_at, row)?,
            total: self.amount(&columns.total, row)?,
            currency: self.currency(&columns.currency, row)?,
            line_count: None,
            extra: extra(&columns.extra, row),
            warnings: Vec::new(),
        };
        let warnings = oddity::of_invoice(&id.key, &invoice);
        self.object(warnings, &oddity::Odd { id: &invoice.id, invoice: Some((&invoice, columns)) })?;
        invoice.warnings = warnings.iter().collect();
        Ok(invoice)
    }

    fn party<'r>(&self, columns: &PartyColumns, row: &Row<'r>) -> Result<Party<'r>, Reject> {
        Ok(Party {
            tax_id: self.tax_id(&columns.tax_ids, row)?,
            name: columns.name.read(row),
            state_registration: columns.state_registration.read(row),
            uf: columns.uf.read(row),
            city: columns.city.read(row),
        })
    }

    fn currency<'r>(&'r self, cell: &TextCell, row: &Row<'r>) -> Result<Cow<'r, str>, Reject> {
        match cell.read(row) {
            None => Ok(Cow::Borrowed(&self.layout.spec.currency)),
            Some(code) if is_currency(&code) => Ok(code),
            Some(other) => {
                let expected = "expected an ISO 4217 code such as BRL";
                Err(Reject::of_cell(Reason::InvalidCurrency, &cell.cell.name, expected, &other))
            }
        }
    }
}

fn status<'r>(cell: &StatusCell, row: &Row<'r>) -> (Status, Option<Cow<'r, str>>) {
    match cell.cell.read(row) {
        Some(found) => (cell.of(found.text), Some(Cow::Borrowed(found.text))),
        None => (cell.blank, None),
    }
}
