//! Access to an invoice field by field. A row can be stored and measured as an invoice without building an [`Invoice`]
//! first.

use crate::access_key::AccessKey;
use crate::amount::Decimal;
use crate::invoice::{Invoice, Party};
use crate::status::Status;
use crate::tax_id::TaxId;
use crate::time::Timestamp;
use crate::warning::Warning;

/// A party of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The party that issued the invoice.
    Issuer,
    /// The party that received the invoice.
    Recipient,
}

/// A text field of [`Invoice`] or [`Party`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the fields")]
pub enum TextField {
    Model,
    Series,
    Number,
    Operation,
    StatusText,
    Name(Role),
    StateRegistration(Role),
    Uf(Role),
    City(Role),
}

/// The fields of an invoice. [`Invoice`] documents them.
#[allow(missing_docs, reason = "the names are those of the fields")]
pub trait InvoiceFields {
    fn id(&self) -> &str;
    fn access_key(&self) -> Option<&AccessKey>;
    fn issued_at(&self) -> &Timestamp;
    fn tax_id(&self, role: Role) -> Option<&TaxId>;
    fn status(&self) -> Status;
    fn status_at(&self) -> Option<&Timestamp>;
    fn total(&self) -> Option<&Decimal>;
    fn currency(&self) -> &str;
    fn line_count(&self) -> Option<u32>;
    fn warnings(&self) -> impl Iterator<Item = Warning>;
    /// Calls `take` with the text, if there is one.
    fn text(&self, field: TextField, take: impl FnOnce(&str));
    /// Calls `take` with the name and the value of each further column, in order.
    fn extra(&self, take: impl FnMut(&str, &str));
}

impl InvoiceFields for Invoice<'_> {
    fn id(&self) -> &str {
        &self.id
    }

    fn access_key(&self) -> Option<&AccessKey> {
        self.access_key.as_ref()
    }

    fn issued_at(&self) -> &Timestamp {
        &self.issued_at
    }

    fn tax_id(&self, role: Role) -> Option<&TaxId> {
        self.party(role)?.tax_id.as_ref()
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
        self.warnings.iter().copied()
    }

    fn text(&self, field: TextField, take: impl FnOnce(&str)) {
        let text = match field {
            TextField::Model => self.model.as_deref(),
            TextField::Series => self.series.as_deref(),
            TextField::Number => self.number.as_deref(),
            TextField::Operation => self.operation.as_deref(),
            TextField::StatusText => self.status_text.as_deref(),
            TextField::Name(role) => self.party(role).and_then(|party| party.name.as_deref()),
            TextField::StateRegistration(role) => {
                self.party(role).and_then(|party| party.state_registration.as_deref())
            }
            TextField::Uf(role) => self.party(role).and_then(|party| party.uf.as_deref()),
            TextField::City(role) => self.party(role).and_then(|party| party.city.as_deref()),
        };
        text.map(take).unwrap_or_default();
    }

    fn extra(&self, mut take: impl FnMut(&str, &str)) {
        self.extra.iter().for_each(|(name, value)| take(name, value));
    }
}

impl<'a> Invoice<'a> {
    fn party(&self, role: Role) -> Option<&Party<'a>> {
        match role {
            Role::Issuer => Some(&self.issuer),
            Role::Recipient => self.recipient.as_ref(),
        }
    }
}
