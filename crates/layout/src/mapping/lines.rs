//! Converts a JSON record to an invoice with its lines.

use std::collections::HashSet;

use crate::columns::{InvoiceColumns, LineColumns};
use crate::mapping::id::Id;
use crate::mapping::invoice_row::InvoiceRow;
use crate::mapping::reader::RowReader;
use crate::mapping::record::Record;
use crate::reject::{Reason, Reject};
use crate::row::Row;
use notaflux_invoice::{Line, LineKey};

impl RowReader {
    #[expect(clippy::expect_used, reason = "`LINES_LIMIT` fits into a u32")]
    pub(crate) fn invoice_with_lines<'r>(
        &'r self,
        of_invoice: &'r InvoiceColumns,
        of_line: &'r LineColumns,
        id: Id<'r>,
        row: &'r Row<'r>,
    ) -> Result<Record<'r, InvoiceRow<'r>>, Reject> {
        let mut lines = Vec::with_capacity(row.lines().len());
        for (position, line) in (1..).zip(row.lines()) {
            let line = self.line(of_line, id.clone(), &line, position);
            lines.push(line.map_err(|reject| at_line(position, &reject))?);
        }
        if let Some((position, key)) = repeated(&lines) {
            let message = match key {
                LineKey::Number(number) => format!("expected a different number for each line, found {number} twice"),
                LineKey::Natural(_) => {
                    "expected a different key for each line, found the key of an earlier line".to_owned()
                }
            };
            return Err(at_line(position, &Reject { reason: Reason::InvalidLineNumber, message }));
        }
        let mut invoice = self.invoice(of_invoice, id, row)?;
        let count = u32::try_from(lines.len()).expect("a record has at most 10,000 lines");
        invoice.line_count = Some(count);
        Ok(Record::InvoiceWithLines(Box::new((invoice, lines))))
    }
}

/// Adds the position of the line to a reject.
#[cold]
fn at_line(position: u32, reject: &Reject) -> Reject {
    Reject { reason: reject.reason, message: format!("invoice line {position}: {}", reject.message) }
}

/// Returns the first line with the key of an earlier line. Both would be the same item.
fn repeated<'l>(lines: &'l [Line<'_>]) -> Option<(u32, &'l LineKey<'l>)> {
    let mut seen = HashSet::with_capacity(lines.len());
    (1..).zip(lines).map(|(position, line)| (position, &line.key)).find(|(_, key)| !seen.insert(*key))
}
