//! Converts a row to an invoice.

use std::borrow::Cow;

use crate::cell::TextCell;
use crate::check::is_currency;
use crate::columns::InvoiceColumns;
use crate::mapping::id::Id;
use crate::mapping::invoice_row::InvoiceRow;
use crate::mapping::reader::RowReader;
use crate::mapping::warning_set::WarningSet;
use crate::mapping::warnings;
use crate::reject::{Reason, Reject};
use crate::row::Row;
use notaflux_invoice::InvoiceFields;

impl RowReader {
    pub(crate) fn invoice<'r>(
        &'r self,
        columns: &'r InvoiceColumns,
        id: Id<'r>,
        row: &'r Row<'r>,
    ) -> Result<InvoiceRow<'r>, Reject> {
        let issued_at = self.required_date(&columns.issued_at, row)?;
        let named = id.key.issuer_tax_id();
        let issuer = match (self.tax_id(&columns.issuer.tax_ids, row)?, &named) {
            (Some(tax_id), Some(named)) => Some(tax_id.with_zeros_of(named)),
            (None, Some(named)) if columns.issuer_from_key => Some(*named),
            (tax_id, _) => tax_id,
        };
        let status = &columns.status;
        let mut invoice = InvoiceRow {
            row,
            columns,
            id,
            issued_at,
            issuer,
            recipient: self.tax_id(&columns.recipient.tax_ids, row)?,
            status: status.cell.text(row).map_or(status.blank, |text| status.of(text)),
            status_at: self.date(&columns.status_at, row)?,
            total: self.amount(&columns.total, row)?,
            currency: self.currency(&columns.currency, row)?,
            line_count: None,
            warnings: WarningSet::default(),
        };
        invoice.warnings = warnings::of_invoice(&invoice, named.as_ref());
        self.check_warnings(invoice.warnings, &warnings::Warned { id: invoice.id(), invoice: Some(&invoice) })?;
        Ok(invoice)
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
