//! What is odd about a record: stored with a warning, or kept out where the layout or whoever ingests will have none.

use super::Mapping;
use super::id::Key;
use crate::invoice::{AccessKey, Invoice, NfseKey, Party, TaxId, TaxIdColumn, TaxIdKind, Warning};
use crate::layout::columns::InvoiceColumns;
use crate::layout::{Reason, Reject};

/// A set of warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Warnings(u8);

impl Warnings {
    pub(super) fn of(warnings: &[Warning]) -> Self {
        warnings.iter().fold(Self::default(), |set, warning| set.with(*warning, true))
    }

    /// With `warning`, where `is` says so.
    fn with(self, warning: Warning, is: bool) -> Self {
        Self(self.0 | (u8::from(is) << warning as u8))
    }

    fn has(self, warning: Warning) -> bool {
        (self.0 >> warning as u8) & 1 == 1
    }

    /// Those of the set, in the order of [`Warning::ALL`].
    pub(super) fn iter(self) -> impl Iterator<Item = Warning> {
        Warning::ALL.into_iter().filter(move |warning| self.has(*warning))
    }
}

/// A record that something is odd about, for messages.
pub(super) struct Odd<'a> {
    pub(super) id: &'a str,
    pub(super) invoice: Option<(&'a Invoice<'a>, &'a InvoiceColumns)>,
}

/// What the key alone shows.
pub(super) fn of_key(key: &Key) -> Warnings {
    Warnings::default().with(Warning::CheckDigit, !key.check_digit_ok())
}

/// What is odd about an invoice.
pub(super) fn of_invoice(key: &Key, invoice: &Invoice<'_>) -> Warnings {
    let tax_ids =
        invoice.issuer.tax_id.iter().chain(invoice.recipient.iter().filter_map(|party| party.tax_id.as_ref()));
    let check_digits_ok = key.check_digit_ok() && tax_ids.into_iter().all(TaxId::check_digit_ok);
    let city_is_tax_id =
        has_tax_id_for_city(&invoice.issuer) || invoice.recipient.as_ref().is_some_and(has_tax_id_for_city);
    let issuer_unlike_key = match (&invoice.issuer.tax_id, key.issuer_tax_id()) {
        (Some(issuer), Some(named)) => !issuer.may_be(&named),
        _ => false,
    };
    Warnings::default()
        .with(Warning::CheckDigit, !check_digits_ok)
        .with(Warning::IssuerUnlikeKey, issuer_unlike_key)
        .with(Warning::MonthUnlikeKey, key.year_month().is_some_and(|named| named != year_month(invoice)))
        .with(
            Warning::NumberUnlikeKey,
            invoice.access_key.as_ref().is_some_and(|key| is_numbered_otherwise(key, invoice)),
        )
        .with(Warning::CityIsTaxId, city_is_tax_id)
}

/// Whether `id` is a key with a wrong check digit. An id that is a hash has another length than either key.
pub(super) fn has_wrong_check_digit(id: &str) -> bool {
    AccessKey::parse(id).is_ok_and(|key| !key.check_digit_ok())
        || NfseKey::parse(id).is_ok_and(|key| !key.check_digit_ok())
}

fn year_month(invoice: &Invoice<'_>) -> (u16, u8) {
    let date = invoice.issued_at.local.date();
    (date.year().unsigned_abs(), date.month().unsigned_abs())
}

/// Whether model, series or number are others than the key's. What is no number cannot be compared.
fn is_numbered_otherwise(key: &AccessKey, invoice: &Invoice<'_>) -> bool {
    let pairs = [(&invoice.model, key.model()), (&invoice.series, key.series()), (&invoice.number, key.number())];
    pairs.into_iter().any(|(given, named)| given.as_deref().is_some_and(|given| is_other_number(given, named)))
}

fn is_other_number(given: &str, named: &str) -> bool {
    given != named && given.bytes().all(|byte| byte.is_ascii_digit()) && without_zeros(given) != without_zeros(named)
}

fn without_zeros(digits: &str) -> &str {
    digits.trim_start_matches('0')
}

fn has_tax_id_for_city(party: &Party<'_>) -> bool {
    let Some(city) = &party.city else { return false };
    // No city ends in a digit, so that the names of cities are not looked at further.
    city.bytes().next_back().is_some_and(|byte| byte.is_ascii_digit())
        && TaxId::parse(city, TaxIdColumn::Either).is_ok_and(|id| matches!(id.kind, TaxIdKind::Cnpj | TaxIdKind::Cpf))
}

impl Mapping {
    /// Rejects a record with a warning that this mapping will have none of.
    #[inline]
    pub(super) fn object(&self, warnings: Warnings, odd: &Odd<'_>) -> Result<(), Reject> {
        if warnings.0 & self.rejects.0 == 0 {
            return Ok(());
        }
        Err(self.objection(Warnings(warnings.0 & self.rejects.0), odd))
    }

    #[cold]
    fn objection(&self, objected: Warnings, odd: &Odd<'_>) -> Reject {
        let warning = objected.iter().next().unwrap_or(Warning::CheckDigit);
        let (column, expected, found) = match (warning, odd.invoice) {
            (Warning::CheckDigit, _) => self.wrong_check_digit(odd),
            (_, None) => (self.key_column(), "expected another key".to_owned(), odd.id.to_owned()),
            (Warning::IssuerUnlikeKey, Some((invoice, columns))) => {
                let named = invoice.access_key.map(|key| key.issuer_tax_id().text.to_string()).unwrap_or_default();
                let found = invoice.issuer.tax_id.map(|id| id.text.to_string()).unwrap_or_default();
                (columns.issuer.tax_id_name(), format!("expected the key's issuer {named}"), found)
            }
            (Warning::MonthUnlikeKey, Some((invoice, columns))) => {
                let expected = format!("expected the month of the key {}", odd.id);
                (&*columns.issued_at.cell.name, expected, invoice.issued_at.to_string())
            }
            (Warning::NumberUnlikeKey, Some((invoice, columns))) => {
                let numbers = [&invoice.model, &invoice.series, &invoice.number];
                let found: Vec<&str> = numbers.into_iter().flatten().map(|text| &**text).collect();
                let expected = format!("expected model, series and number of the key {}", odd.id);
                (&*columns.number.cell.name, expected, found.join(" "))
            }
            (Warning::CityIsTaxId, Some((invoice, columns))) => {
                let of_issuer = has_tax_id_for_city(&invoice.issuer);
                let (party, columns) = match &invoice.recipient {
                    Some(recipient) if !of_issuer => (recipient, &columns.recipient),
                    _ => (&invoice.issuer, &columns.issuer),
                };
                let found = party.city.clone().unwrap_or_default().into_owned();
                (&*columns.city.cell.name, "expected a city, not a CNPJ or CPF".to_owned(), found)
            }
        };
        Reject::of_cell(Reason::Warning(warning), column, expected, &found)
    }

    /// Where the wrong check digit stands: in the key, else in a tax id.
    fn wrong_check_digit<'a>(&'a self, odd: &Odd<'a>) -> (&'a str, String, String) {
        let expected = "expected a right check digit".to_owned();
        if has_wrong_check_digit(odd.id) {
            return (self.key_column(), expected, odd.id.to_owned());
        }
        let Some((invoice, columns)) = odd.invoice else { return (self.key_column(), expected, odd.id.to_owned()) };
        let wrong = |party: &Party<'_>| party.tax_id.filter(|id| !id.check_digit_ok()).map(|id| id.text.to_string());
        if let Some(found) = wrong(&invoice.issuer) {
            return (columns.issuer.tax_id_name(), expected, found);
        }
        let found = invoice.recipient.as_ref().and_then(wrong).unwrap_or_default();
        (columns.recipient.tax_id_name(), expected, found)
    }

    fn key_column(&self) -> &str {
        let id = &self.columns.id;
        let keys = [&id.access_key, &id.nfse_key].into_iter().flatten();
        keys.map(|key| &key.cell).find(|cell| !cell.is_nowhere()).map(|cell| &*cell.name).unwrap_or_default()
    }
}
