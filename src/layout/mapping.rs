//! A row to a record, by a layout bound to the header of the source.

use std::borrow::Cow;
use std::sync::Arc;

use super::columns::{self, AmountCell, DateCell, Found, InvoiceColumns, PartyColumns, TaxIdCell, TextCell};
use super::spec::Take;
use super::{Conventions, Layout, MappingError, Reason, Reject, Row};
use crate::invoice::{AccessKey, Decimal, Invoice, Party, Status, TaxId, TaxIdError, Timestamp, Warning};

/// A layout bound to a header. Columns are looked up when it is made; mapping a row looks nothing up by name.
#[derive(Debug)]
pub struct Mapping {
    layout: Arc<Layout>,
    conventions: Conventions,
    /// Column names as the header has them.
    header: Box<[String]>,
    columns: InvoiceColumns,
}

/// What a row is. Its text is borrowed from the row, its names from the mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record<'r> {
    /// One invoice.
    Invoice(Invoice<'r>),
}

impl Record<'_> {
    /// What names it: records of one id are versions of one thing, of which the last counts.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Invoice(invoice) => &invoice.id,
        }
    }

    /// What was odd about it.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        match self {
            Self::Invoice(invoice) => &invoice.warnings,
        }
    }
}

impl Mapping {
    /// Binds `layout` to `header`, with the conventions that the layout has.
    ///
    /// # Errors
    /// The header lacks a column that the layout needs, or has one more than once that the layout reads.
    pub fn new(layout: Arc<Layout>, header: &[impl AsRef<str>]) -> Result<Self, MappingError> {
        let conventions = layout.conventions();
        Self::with_conventions(layout, header, conventions)
    }

    /// Binds `layout` to `header`, with the conventions that the source as a whole shows. Fields for which the layout
    /// names a convention keep it.
    ///
    /// # Errors
    /// Those of [`Mapping::new`].
    pub fn with_conventions(
        layout: Arc<Layout>,
        header: &[impl AsRef<str>],
        conventions: Conventions,
    ) -> Result<Self, MappingError> {
        let columns = columns::bind(&layout, header, conventions)?;
        let header = header.iter().map(|name| name.as_ref().trim().to_owned()).collect();
        Ok(Self { layout, conventions, header, columns })
    }

    /// The layout.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// How amounts and dates are read.
    #[must_use]
    pub fn conventions(&self) -> Conventions {
        self.conventions
    }

    /// The column names of the header, as they stand there.
    #[must_use]
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Reads `row` as what the layout yields.
    ///
    /// # Errors
    /// A row that cannot be stored, with the first thing that is wrong about it.
    pub fn map<'r>(&'r self, row: &Row<'r>) -> Result<Record<'r>, Reject> {
        if row.len() != self.header.len() {
            return Err(Reject::column_count(self.header.len(), row.len()));
        }
        self.invoice(row).map(Record::Invoice)
    }

    fn invoice<'r>(&'r self, row: &Row<'r>) -> Result<Invoice<'r>, Reject> {
        let columns = &self.columns;
        let (id, access_key) = self.access_key(row)?;
        let issued_at = self.date(&columns.issued_at, row)?;
        let issued_at = issued_at.ok_or_else(|| Reject::missing(&columns.issued_at.cell.name, "a date"))?;
        let named_issuer = access_key.issuer_tax_id();
        let mut issuer = self.party(&columns.issuer, row)?;
        issuer.tax_id = issuer.tax_id.map(|tax_id| tax_id.with_zeros_of(&named_issuer));
        let recipient = self.party(&columns.recipient, row)?;
        let (status, status_text) = self.status(row);
        let status_at = self.date(&columns.status_at, row)?;
        let total = self.amount(&columns.total, row)?;
        let warnings = warnings(&access_key, &named_issuer, issuer.tax_id.as_ref(), recipient.tax_id.as_ref());
        Ok(Invoice {
            id: Cow::Borrowed(id),
            access_key: Some(access_key),
            model: text(&columns.model, row),
            series: text(&columns.series, row),
            number: text(&columns.number, row),
            operation: text(&columns.operation, row),
            issued_at,
            issuer,
            recipient: (!recipient.is_empty()).then_some(recipient),
            status,
            status_text,
            status_at,
            total,
            currency: Cow::Borrowed(&self.layout.spec.currency),
            extra: self.extra(row),
            warnings,
        })
    }

    fn access_key<'r>(&self, row: &Row<'r>) -> Result<(&'r str, AccessKey), Reject> {
        let cell = &self.columns.access_key;
        let found = cell.read(row).ok_or_else(|| Reject::missing(&cell.name, "an access key of 44 characters"))?;
        match AccessKey::parse(found.text) {
            Ok(key) => Ok((found.text, key)),
            Err(error) => Err(self.reject(Reason::InvalidAccessKey, found, &error)),
        }
    }

    fn party<'r>(&self, columns: &PartyColumns, row: &Row<'r>) -> Result<Party<'r>, Reject> {
        Ok(Party {
            tax_id: self.tax_id(&columns.tax_id, row)?,
            name: text(&columns.name, row),
            state_registration: text(&columns.state_registration, row),
            uf: text(&columns.uf, row),
            city: text(&columns.city, row),
        })
    }

    fn tax_id(&self, cell: &TaxIdCell, row: &Row<'_>) -> Result<Option<TaxId>, Reject> {
        let Some(found) = cell.cell.read(row) else { return Ok(None) };
        TaxId::parse(found.text, cell.holds).map(Some).map_err(|error| {
            let too_long = error == TaxIdError::TooLong;
            self.reject(if too_long { Reason::ValueTooLong } else { Reason::InvalidTaxId }, found, &error)
        })
    }

    fn date(&self, cell: &DateCell, row: &Row<'_>) -> Result<Option<Timestamp>, Reject> {
        let Some(found) = cell.cell.read(row) else { return Ok(None) };
        let read = Timestamp::parse(found.text, cell.convention);
        read.map(Some).map_err(|error| self.reject(Reason::InvalidDate, found, &error))
    }

    fn amount(&self, cell: &AmountCell, row: &Row<'_>) -> Result<Option<Decimal>, Reject> {
        let Some(found) = cell.cell.read(row) else { return Ok(None) };
        let read = Decimal::parse(found.text, cell.convention);
        read.map(Some).map_err(|error| self.reject(Reason::InvalidAmount, found, &error))
    }

    fn status<'r>(&self, row: &Row<'r>) -> (Status, Option<Cow<'r, str>>) {
        let cell = &self.columns.status;
        match cell.cell.read(row) {
            Some(found) => (cell.of(found.text), Some(Cow::Borrowed(found.text))),
            None => (Status::Unknown, None),
        }
    }

    fn extra<'r>(&'r self, row: &Row<'r>) -> Vec<(Cow<'r, str>, Cow<'r, str>)> {
        let mut extra = Vec::with_capacity(self.columns.extra.len());
        for (name, cell) in &self.columns.extra {
            if let Some(found) = cell.read(row) {
                extra.push((Cow::Borrowed(name.as_str()), Cow::Borrowed(found.text)));
            }
        }
        extra
    }

    #[cold]
    fn reject(&self, reason: Reason, found: Found<'_>, expected: &dyn std::fmt::Display) -> Reject {
        let column = self.header.get(found.column).map(String::as_str).unwrap_or_default();
        Reject::of_cell(reason, column, expected, found.text)
    }
}

fn text<'r>(cell: &TextCell, row: &Row<'r>) -> Option<Cow<'r, str>> {
    let found = cell.cell.read(row)?;
    let text = match cell.take {
        Take::Whole => found.text,
        Take::Code => code(found.text),
    };
    Some(Cow::Borrowed(text))
}

/// The letters and digits before ` - `; all of a text that does not begin so.
fn code(text: &str) -> &str {
    let end = text.bytes().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(text.len());
    match text.split_at_checked(end) {
        Some((code, rest)) if rest.starts_with(" - ") && !code.is_empty() => code,
        _ => text,
    }
}

fn warnings(key: &AccessKey, named: &TaxId, issuer: Option<&TaxId>, recipient: Option<&TaxId>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let ids_ok = issuer.into_iter().chain(recipient).all(TaxId::check_digit_ok);
    if !ids_ok || !key.check_digit_ok() {
        warnings.push(Warning::CheckDigit);
    }
    if issuer.is_some_and(|issuer| !issuer.may_be(named)) {
        warnings.push(Warning::IssuerUnlikeKey);
    }
    warnings
}
