//! What is odd about a record: stored with a warning, or kept out where the layout or whoever ingests will have none.

use crate::mapping::id::Key;
use crate::mapping::invoice_row::InvoiceRow;
use crate::mapping::reader::RowReader;
use crate::mapping::warning_set::WarningSet;
use crate::reject::{Reason, Reject};
use notaflux_invoice::text::all_digits;
use notaflux_invoice::{AccessKey, InvoiceFields, NfseKey, Role, TaxId, TaxIdColumn, TaxIdKind, TextField, Warning};

/// A record that something is odd about, for messages.
pub(crate) struct Odd<'a> {
    pub(crate) id: &'a str,
    pub(crate) invoice: Option<&'a InvoiceRow<'a>>,
}

/// What the key alone shows.
pub(crate) fn of_key(key: &Key) -> WarningSet {
    WarningSet::default().with(Warning::CheckDigit, !key.check_digit_ok())
}

/// What is odd about an invoice, whose key names `named` as its issuer.
pub(crate) fn of_invoice(invoice: &InvoiceRow<'_>, named: Option<&TaxId>) -> WarningSet {
    let key = invoice.key();
    let tax_ids = [invoice.tax_id(Role::Issuer), invoice.tax_id(Role::Recipient)];
    let check_digits_ok = key.check_digit_ok() && tax_ids.into_iter().flatten().all(TaxId::check_digit_ok);
    let issuer_unlike_key = match (invoice.tax_id(Role::Issuer), named) {
        (Some(issuer), Some(named)) => !issuer.may_be(named),
        _ => false,
    };
    let numbered_otherwise = invoice.access_key().is_some_and(|key| is_numbered_otherwise(key, invoice));
    let city_is_tax_id = has_tax_id_for_city(invoice, Role::Issuer) || has_tax_id_for_city(invoice, Role::Recipient);
    WarningSet::default()
        .with(Warning::CheckDigit, !check_digits_ok)
        .with(Warning::IssuerUnlikeKey, issuer_unlike_key)
        .with(Warning::MonthUnlikeKey, key.year_month().is_some_and(|named| named != year_month(invoice)))
        .with(Warning::NumberUnlikeKey, numbered_otherwise)
        .with(Warning::CityIsTaxId, city_is_tax_id)
}

/// Whether `id` is a key with a wrong check digit. An id that is a hash has another length than either key.
pub(crate) fn has_wrong_check_digit(id: &str) -> bool {
    AccessKey::parse(id).is_ok_and(|key| !key.check_digit_ok())
        || NfseKey::parse(id).is_ok_and(|key| !key.check_digit_ok())
}

fn year_month(invoice: &InvoiceRow<'_>) -> (u16, u8) {
    let date = invoice.issued_at().local.date();
    (date.year().unsigned_abs(), date.month().unsigned_abs())
}

/// Whether model, series or number are others than the key's. What is no number cannot be compared.
fn is_numbered_otherwise(key: &AccessKey, invoice: &InvoiceRow<'_>) -> bool {
    let is_other = |field, named| is(invoice, field, |given| is_other_number(given, named));
    is_other(TextField::Model, key.model())
        || is_other(TextField::Series, key.series())
        || is_other(TextField::Number, key.number())
}

/// Whether the invoice has this text, and `is` says so of it.
#[inline]
fn is(invoice: &InvoiceRow<'_>, field: TextField, is: impl FnOnce(&str) -> bool) -> bool {
    let mut told = false;
    invoice.text(field, |text| told = is(text));
    told
}

fn is_other_number(given: &str, named: &str) -> bool {
    given != named && all_digits(given.as_bytes()) && without_zeros(given) != without_zeros(named)
}

fn without_zeros(digits: &str) -> &str {
    digits.trim_start_matches('0')
}

fn has_tax_id_for_city(invoice: &InvoiceRow<'_>, role: Role) -> bool {
    is(invoice, TextField::City(role), |city| {
        // No city ends in a digit, so that the names of cities are not looked at further.
        city.bytes().next_back().is_some_and(|byte| byte.is_ascii_digit())
            && TaxId::parse(city, TaxIdColumn::Either)
                .is_ok_and(|id| matches!(id.kind, TaxIdKind::Cnpj | TaxIdKind::Cpf))
    })
}

impl RowReader {
    /// Rejects a record with a warning that this mapping will have none of.
    #[inline]
    pub(crate) fn object(&self, warnings: WarningSet, odd: &Odd<'_>) -> Result<(), Reject> {
        if warnings.0 & self.rejects.0 == 0 {
            return Ok(());
        }
        Err(self.objection(WarningSet(warnings.0 & self.rejects.0), odd))
    }

    #[cold]
    fn objection(&self, objected: WarningSet, odd: &Odd<'_>) -> Reject {
        let warning = objected.iter().next().unwrap_or(Warning::CheckDigit);
        let (column, expected, found) = match (warning, odd.invoice) {
            (Warning::CheckDigit, _) => self.wrong_check_digit(odd),
            (_, None) => (self.key_column(), "expected another key".to_owned(), odd.id.to_owned()),
            (Warning::IssuerUnlikeKey, Some(invoice)) => {
                let named = invoice.access_key().map(|key| key.issuer_tax_id().text.to_string()).unwrap_or_default();
                let found = invoice.tax_id(Role::Issuer).map(|id| id.text.to_string()).unwrap_or_default();
                (invoice.columns().issuer.tax_id_name(), format!("expected the key's issuer {named}"), found)
            }
            (Warning::MonthUnlikeKey, Some(invoice)) => {
                let expected = format!("expected the month of the key {}", odd.id);
                (&*invoice.columns().issued_at.cell.name, expected, invoice.issued_at().to_string())
            }
            (Warning::NumberUnlikeKey, Some(invoice)) => {
                let numbers = [TextField::Model, TextField::Series, TextField::Number];
                let mut found = Vec::new();
                for number in numbers {
                    invoice.text(number, |text| found.push(text.to_owned()));
                }
                let expected = format!("expected model, series and number of the key {}", odd.id);
                (&*invoice.columns().number.cell.name, expected, found.join(" "))
            }
            (Warning::CityIsTaxId, Some(invoice)) => {
                let (role, columns) = if has_tax_id_for_city(invoice, Role::Issuer) {
                    (Role::Issuer, &invoice.columns().issuer)
                } else {
                    (Role::Recipient, &invoice.columns().recipient)
                };
                let mut found = String::new();
                invoice.text(TextField::City(role), |city| found.push_str(city));
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
        let Some(invoice) = odd.invoice else { return (self.key_column(), expected, odd.id.to_owned()) };
        let wrong = |role| invoice.tax_id(role).filter(|id| !id.check_digit_ok()).map(|id| id.text.to_string());
        if let Some(found) = wrong(Role::Issuer) {
            return (invoice.columns().issuer.tax_id_name(), expected, found);
        }
        (invoice.columns().recipient.tax_id_name(), expected, wrong(Role::Recipient).unwrap_or_default())
    }

    fn key_column(&self) -> &str {
        let id = &self.columns.id;
        let keys = [&id.access_key, &id.nfse_key].into_iter().flatten();
        keys.map(|key| &key.cell).find(|cell| !cell.is_nowhere()).map(|cell| &*cell.name).unwrap_or_default()
    }
}
