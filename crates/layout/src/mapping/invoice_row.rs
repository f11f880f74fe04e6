//! An invoice whose texts stay in its row.

use std::borrow::Cow;

use crate::columns::{InvoiceColumns, PartyColumns, extra};
use crate::mapping::id::{Id, Key};
use crate::mapping::warning_set::WarningSet;
use crate::row::Row;
use notaflux_invoice::{
    AccessKey, Decimal, Invoice, InvoiceFields, Party, Role, Status, TaxId, TextField, Timestamp, Warning,
};

/// An invoice whose computed fields have been read. Texts are read from the row on request.
#[derive(Debug, Clone)]
pub struct InvoiceRow<'r> {
    pub(crate) row: &'r Row<'r>,
    pub(crate) columns: &'r InvoiceColumns,
    pub(crate) id: Id<'r>,
    pub(crate) issued_at: Timestamp,
    pub(crate) issuer: Option<TaxId>,
    pub(crate) recipient: Option<TaxId>,
    pub(crate) status: Status,
    pub(crate) status_at: Option<Timestamp>,
    pub(crate) total: Option<Decimal>,
    pub(crate) currency: Cow<'r, str>,
    pub(crate) line_count: Option<u32>,
    pub(crate) warnings: WarningSet,
}

impl<'r> InvoiceRow<'r> {
    pub(crate) fn key(&self) -> &Key {
        &self.id.key
    }

    /// Reads all fields.
    #[must_use]
    pub fn whole(self) -> Invoice<'r> {
        let Self { row, columns, .. } = self;
        let recipient = party(&columns.recipient, self.recipient, row);
        Invoice {
            access_key: self.access_key().copied(),
            warnings: self.warnings.iter().collect(),
            id: self.id.text,
            model: columns.model.read(row),
            series: columns.series.read(row),
            number: columns.number.read(row),
            operation: columns.operation.read(row),
            issued_at: self.issued_at,
            issuer: party(&columns.issuer, self.issuer, row),
            recipient: (!recipient.is_empty()).then_some(recipient),
            status: self.status,
            status_text: columns.status.cell.text(row).map(Cow::Borrowed),
            status_at: self.status_at,
            total: self.total,
            currency: self.currency,
            line_count: self.line_count,
            extra: extra(&columns.extra, row),
        }
    }
}

fn party<'r>(columns: &PartyColumns, tax_id: Option<TaxId>, row: &Row<'r>) -> Party<'r> {
    Party {
        tax_id,
        name: columns.name.read(row),
        state_registration: columns.state_registration.read(row),
        uf: columns.uf.read(row),
        city: columns.city.read(row),
    }
}

impl InvoiceFields for InvoiceRow<'_> {
    fn id(&self) -> &str {
        &self.id.text
    }

    fn access_key(&self) -> Option<&AccessKey> {
        self.id.key.access_key()
    }

    fn issued_at(&self) -> &Timestamp {
        &self.issued_at
    }

    fn tax_id(&self, role: Role) -> Option<&TaxId> {
        match role {
            Role::Issuer => self.issuer.as_ref(),
            Role::Recipient => self.recipient.as_ref(),
        }
    }

    fn status(&self) -> Status {
        self.status
    }

    fn status_at(&self) -> Option<&Timestamp> {
        self.status_at.as_ref()
    }

    fn total(&self) -> Option<&Decimal> {
        self.total.as_ref()
    }

    fn currency(&self) -> &str {
        &self.currency
    }

    fn line_count(&self) -> Option<u32> {
        self.line_count
    }

    fn warnings(&self) -> impl Iterator<Item = Warning> {
        self.warnings.iter()
    }

    #[inline]
    fn text(&self, field: TextField, take: impl FnOnce(&str)) {
        let party = |role| match role {
            Role::Issuer => &self.columns.issuer,
            Role::Recipient => &self.columns.recipient,
        };
        let cell = match field {
            TextField::Model => &self.columns.model,
            TextField::Series => &self.columns.series,
            TextField::Number => &self.columns.number,
            TextField::Operation => &self.columns.operation,
            TextField::StatusText => {
                if let Some(text) = self.columns.status.cell.text(self.row) {
                    take(text);
                }
                return;
            }
            TextField::Name(role) => &party(role).name,
            TextField::StateRegistration(role) => &party(role).state_registration,
            TextField::Uf(role) => &party(role).uf,
            TextField::City(role) => &party(role).city,
        };
        cell.hand(self.row, take);
    }

    fn extra(&self, mut take: impl FnMut(&str, &str)) {
        for (name, cell) in &self.columns.extra {
            cell.hand(self.row, |text| take(name, text));
        }
        self.row.others().for_each(|(name, value)| take(name, value));
    }
}
