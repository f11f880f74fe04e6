//! Finds what is unusual about a record. The record is stored with a warning, or rejected if the layout or `--strict` says so.

use crate::columns::PartyColumns;
use crate::mapping::id::Key;
use crate::mapping::invoice_row::InvoiceRow;
use crate::mapping::reader::RowReader;
use crate::mapping::warning_set::WarningSet;
use crate::reject::{Reason, Reject};
use notaflux_invoice::text::all_digits;
use notaflux_invoice::{AccessKey, InvoiceFields, NfseKey, Role, TaxId, TaxIdColumn, TaxIdKind, TextField, Warning};

/// A record with warnings, as messages about it need it.
pub(crate) struct Warned<'a> {
    pub(crate) id: &'a str,
    pub(crate) invoice: Option<&'a InvoiceRow<'a>>,
}

/// Returns the warnings about a key.
pub(crate) fn of_key(key: &Key) -> WarningSet {
    WarningSet::default().with(Warning::CheckDigit, !key.check_digit_ok())
}

/// Returns the warnings about an invoice. `named` is the issuer in its key.
pub(crate) fn of_invoice(invoice: &InvoiceRow<'_>, named: Option<&TaxId>) -> WarningSet {
    let key = invoice.key();
    let tax_ids = [invoice.tax_id(Role::Issuer), invoice.tax_id(Role::Recipient)];
    let check_digits_ok = key.check_digit_ok() && tax_ids.into_iter().flatten().all(TaxId::check_digit_ok);
    let issuer_unlike_key = match (invoice.tax_id(Role::Issuer), named) {
        (Some(issuer), Some(named)) => !issuer.may_be(named),
        _ => false,
    };
    let number_differs = invoice.access_key().is_some_and(|key| number_differs(key, invoice));
    let city_is_tax_id = has_tax_id_for_city(invoice, Role::Issuer) || has_tax_id_for_city(invoice, Role::Recipient);
    WarningSet::default()
        .with(Warning::CheckDigit, !check_digits_ok)
        .with(Warning::IssuerUnlikeKey, issuer_unlike_key)
        .with(Warning::MonthUnlikeKey, key.year_month().is_some_and(|named| named != year_month(invoice)))
        .with(Warning::NumberUnlikeKey, number_differs)
        .with(Warning::CityIsTaxId, city_is_tax_id)
}

/// Whether `id` is a key with a wrong check digit. The hash of a natural key is shorter than any key.
pub(crate) fn has_wrong_check_digit(id: &str) -> bool {
    AccessKey::parse(id).is_ok_and(|key| !key.check_digit_ok())
        || NfseKey::parse(id).is_ok_and(|key| !key.check_digit_ok())
}

fn year_month(invoice: &InvoiceRow<'_>) -> (u16, u8) {
    let date = invoice.issued_at().local.date();
    (date.year().unsigned_abs(), date.month().unsigned_abs())
}

/// Whether the model, the series or the number differs from the key. Texts that are not numbers are not compared.
fn number_differs(key: &AccessKey, invoice: &InvoiceRow<'_>) -> bool {
    let is_other = |field, named| is(invoice, field, |given| is_other_number(given, named));
    is_other(TextField::Model, key.model())
        || is_other(TextField::Series, key.series())
        || is_other(TextField::Number, key.number())
}

/// Whether the invoice has this text and `is` returns true for it.
#[inline]
fn is(invoice: &InvoiceRow<'_>, field: TextField, is: impl FnOnce(&str) -> bool) -> bool {
    let mut outcome = false;
    invoice.text(field, |text| outcome = is(text));
    outcome
}

fn is_other_number(given: &str, named: &str) -> bool {
    given != named && all_digits(given.as_bytes()) && without_zeros(given) != without_zeros(named)
}

fn without_zeros(digits: &str) -> &str {
    digits.trim_start_matches('0')
}

fn has_tax_id_for_city(invoice: &InvoiceRow<'_>, role: Role) -> bool {
    is(invoice, TextField::City(role), |city| {
        // No city's name ends in a digit: this skips nearly all names cheaply.
        city.bytes().next_back().is_some_and(|byte| byte.is_ascii_digit())
            && TaxId::parse(city, TaxIdColumn::Either)
                .is_ok_and(|id| matches!(id.kind, TaxIdKind::Cnpj | TaxIdKind::Cpf))
    })
}

impl RowReader {
    /// Rejects a record that has a warning which this mapping rejects.
    #[inline]
    pub(crate) fn check_warnings(&self, warnings: WarningSet, warned: &Warned<'_>) -> Result<(), Reject> {
        if warnings.0 & self.rejects.0 == 0 {
            return Ok(());
        }
        Err(self.warning_reject(WarningSet(warnings.0 & self.rejects.0), warned))
    }

    #[cold]
    fn warning_reject(&self, rejected: WarningSet, warned: &Warned<'_>) -> Reject {
        // The caller passes at least one warning.
        let warning = rejected.iter().next().unwrap_or(Warning::CheckDigit);
        let (column, expected, found) = match (warning, warned.invoice) {
            (Warning::CheckDigit, _) | (_, None) => self.wrong_check_digit(warned),
            (Warning::IssuerUnlikeKey, Some(invoice)) => self.other_issuer(invoice),
            (Warning::MonthUnlikeKey, Some(invoice)) => {
                let (year, month) = invoice.key().year_month().unwrap_or_else(|| year_month(invoice));
                let expected = format!("expected a date in {year:04}-{month:02}, the month in the key {}", warned.id);
                (&*invoice.columns.issued_at.cell.name, expected, invoice.issued_at.to_string())
            }
            (Warning::NumberUnlikeKey, Some(invoice)) => self.other_number(invoice),
            (Warning::CityIsTaxId, Some(invoice)) => {
                let (role, columns) = if has_tax_id_for_city(invoice, Role::Issuer) {
                    (Role::Issuer, &invoice.columns.issuer)
                } else {
                    (Role::Recipient, &invoice.columns.recipient)
                };
                let expected = "expected the name of a city, not a CNPJ or CPF".to_owned();
                (&*columns.city.cell.name, expected, text_of(invoice, TextField::City(role)))
            }
        };
        Reject::of_cell(Reason::Warning(warning), column, expected, &found)
    }

    /// Finds the wrong check digit: in the key, or else in a tax id.
    fn wrong_check_digit<'a>(&'a self, warned: &Warned<'a>) -> (&'a str, String, String) {
        let expected = "expected valid check digits".to_owned();
        let is_wrong = |id: &&TaxId| !id.check_digit_ok();
        if let Some(invoice) = warned.invoice.filter(|_| !has_wrong_check_digit(warned.id)) {
            if let Some(issuer) = invoice.tax_id(Role::Issuer).filter(is_wrong) {
                return (self.tax_id_column(&invoice.columns.issuer, invoice), expected, issuer.text.to_string());
            }
            if let Some(recipient) = invoice.tax_id(Role::Recipient).filter(is_wrong) {
                return (self.tax_id_column(&invoice.columns.recipient, invoice), expected, recipient.text.to_string());
            }
        }
        (self.key_column(), expected, warned.id.to_owned())
    }

    fn other_issuer<'a>(&'a self, invoice: &'a InvoiceRow<'a>) -> (&'a str, String, String) {
        let text = |id: Option<&TaxId>| id.map_or_else(|| "none".to_owned(), |id| id.text.to_string());
        let expected = format!("expected {}, the issuer in the key", text(invoice.key().issuer_tax_id().as_ref()));
        (self.tax_id_column(&invoice.columns.issuer, invoice), expected, text(invoice.tax_id(Role::Issuer)))
    }

    /// Finds the first of model, series and number that differs from the access key.
    fn other_number<'a>(&'a self, invoice: &'a InvoiceRow<'a>) -> (&'a str, String, String) {
        let columns = invoice.columns;
        let numbers = invoice.access_key().into_iter().flat_map(|key| {
            [
                (TextField::Model, &columns.model, key.model(), "model"),
                (TextField::Series, &columns.series, key.series(), "series"),
                (TextField::Number, &columns.number, key.number(), "number"),
            ]
        });
        let mut other =
            numbers.filter(|(field, _, in_key, _)| is(invoice, *field, |text| is_other_number(text, in_key)));
        match other.next() {
            Some((field, column, in_key, called)) => {
                (&column.cell.name, format!("expected {in_key}, the {called} in the key"), text_of(invoice, field))
            }
            None => (self.key_column(), "expected the numbers of the invoice".to_owned(), invoice.id().to_owned()),
        }
    }

    /// The column from which a party's tax id was read; the column of the key if the key gave it.
    fn tax_id_column<'a>(&'a self, party: &'a PartyColumns, invoice: &InvoiceRow<'_>) -> &'a str {
        let mut cells = party.tax_ids.iter().map(|tax_id| &tax_id.cell);
        cells.find(|cell| cell.text(invoice.row).is_some()).map_or_else(|| self.key_column(), |cell| &cell.name)
    }

    fn key_column(&self) -> &str {
        let id = &self.columns.id;
        let keys = [&id.access_key, &id.nfse_key].into_iter().flatten();
        let cell = keys.map(|key| &key.cell).find(|cell| !cell.is_nowhere());
        cell.map_or("the key", |cell| &cell.name)
    }
}

fn text_of(invoice: &InvoiceRow<'_>, field: TextField) -> String {
    let mut found = String::new();
    invoice.text(field, |text| found.push_str(text));
    found
}
