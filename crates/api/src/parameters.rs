//! Query parameters: each is looked at, and all that is wrong comes in one answer.

use std::borrow::Cow;
use std::fmt::Write;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query};
use axum::http::Uri;

use super::merge::Order;
use super::problem::{ParameterError, Problem};
use notaflux_invoice::tax_id::TAX_ID_LIMIT;
use notaflux_invoice::{DateConvention, Decimal, Status, TaxId, TaxIdColumn, TaxIdError, Timestamp};
use notaflux_table::keys;

/// Items on a page unless asked otherwise.
pub const LIMIT_DEFAULT: usize = 50;
/// Most items on a page.
pub const LIMIT_MOST: usize = 1000;

/// Characters of an unknown parameter's name that are repeated in the answer.
const SHOWN_NAME_LIMIT: usize = 64;
/// Characters of a date in the plain form.
const DATE_LENGTH: usize = 10;
/// Most characters of a text to compare with.
pub const TEXT_LIMIT: usize = 200;

/// The parameters of a request.
#[derive(Debug)]
pub struct Parameters {
    left: Vec<(String, String)>,
    taken: Vec<(&'static str, String)>,
    errors: Vec<ParameterError>,
}

/// What a parameter should be.
type Expected = Cow<'static, str>;

impl Parameters {
    /// The parameters in the query of `uri`.
    #[must_use]
    pub fn of(uri: &Uri) -> Self {
        let left = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
        Self { left, taken: Vec::new(), errors: Vec::new() }
    }

    /// Takes a parameter that may be absent.
    pub fn optional<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, Expected>) -> Option<T> {
        let mut given: Vec<String> =
            self.left.extract_if(.., |(each, _)| each == name).map(|(_, value)| value).collect();
        let value = given.pop()?;
        if !given.is_empty() {
            self.refuse(name, "expected once");
            return None;
        }
        match parse(&value) {
            Ok(parsed) => {
                self.taken.push((name, value));
                Some(parsed)
            }
            Err(message) => {
                self.refuse(name, message);
                None
            }
        }
    }

    /// Takes the number of items on a page.
    pub fn limit(&mut self) -> usize {
        self.optional("limit", limit).unwrap_or(LIMIT_DEFAULT)
    }

    /// Takes the cursor, whatever it is: what it leads to is found out with the rest of the query. It is of this page
    /// alone, and not given for the next one.
    pub fn cursor(&mut self) -> Option<String> {
        let cursor = self.optional("cursor", |text| Ok(text.to_owned()));
        self.taken.retain(|(name, _)| *name != "cursor");
        cursor
    }

    /// Whether one of these is wrong.
    #[must_use]
    pub fn has_refused(&self, names: &[&str]) -> bool {
        self.errors.iter().any(|error| names.contains(&error.parameter.as_str()))
    }

    /// Notes what is wrong with a parameter.
    pub fn refuse(&mut self, name: &str, message: impl Into<Expected>) {
        self.errors.push(ParameterError { parameter: name.to_owned(), message: message.into() });
    }

    /// Gives what was taken, by name.
    ///
    /// # Errors
    /// All that is wrong, unknown parameters included.
    pub fn finish(mut self) -> Result<Vec<(&'static str, String)>, Problem> {
        for (name, _) in std::mem::take(&mut self.left) {
            let name: String = name.chars().take(SHOWN_NAME_LIMIT).collect();
            self.refuse(&name, "unknown here");
        }
        if self.errors.is_empty() { Ok(self.taken) } else { Err(Problem::InvalidParameter(self.errors)) }
    }
}

/// An id in a path. What is no text or fits into no key is the id of nothing: that is `missing`.
///
/// # Errors
/// `missing`.
pub fn id(path: Result<Path<String>, PathRejection>, missing: Problem) -> Result<String, Problem> {
    path.ok().map(|Path(id)| id).filter(|id| id.len() <= keys::ID_LIMIT_BYTES).ok_or(missing)
}

/// Items on a page.
///
/// # Errors
/// Anything but a whole number from 1 to [`LIMIT_MOST`].
pub fn limit(text: &str) -> Result<usize, Expected> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (1..=LIMIT_MOST).contains(number));
    number.ok_or_else(|| format!("expected a whole number from 1 to {LIMIT_MOST}").into())
}

/// A tax id as invoices have it: punctuation of a CNPJ or CPF may be there or not.
///
/// # Errors
/// What can be no tax id; more than [`TAX_ID_LIMIT`] characters.
pub fn tax_id(text: &str) -> Result<String, Expected> {
    if text.chars().count() > TAX_ID_LIMIT {
        return Err(TaxIdError::TooLong.to_string().into());
    }
    TaxId::parse(text, TaxIdColumn::Either)
        .map(|tax_id| tax_id.text.as_str().to_owned())
        .map_err(|error| error.to_string().into())
}

/// The first sort key of a time: a date, or a date and time.
///
/// # Errors
/// Anything else.
pub fn from(text: &str) -> Result<String, Expected> {
    time(text).map(|time| keys::sort_time(time.local).as_str().to_owned())
}

/// The last sort key of a time: of the whole day for a date, of the second for a date and time.
///
/// # Errors
/// Anything else.
pub fn to(text: &str) -> Result<String, Expected> {
    let local = time(text)?.local;
    let is_date = text.trim().len() == DATE_LENGTH;
    let last = if is_date { local.date().at(23, 59, 59, 0) } else { local };
    // Behind every id: `$` is the character after the `#` that parts time and id.
    Ok(format!("{}$", keys::sort_time(last)))
}

/// A month: `2024-05`, as keys have it: `202405`.
///
/// # Errors
/// Anything else.
pub fn month(text: &str) -> Result<String, Expected> {
    let (year, number) = text.split_once('-').unwrap_or_default();
    let is_number = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_month = is_number(year, 4) && is_number(number, 2) && ("01"..="12").contains(&number) && year != "0000";
    if is_month { Ok(format!("{year}{number}")) } else { Err("expected a month like 2024-05".into()) }
}

/// One of some words.
///
/// # Errors
/// Anything else.
pub fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Expected> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("expected one of {}", words.join(", ")).into()
    })
}

/// Ascending or descending.
///
/// # Errors
/// Anything else.
pub fn order(text: &str) -> Result<Order, Expected> {
    word(text, &[Order::Ascending, Order::Descending].map(|order| (order.as_str(), order)))
}

/// The status of an invoice.
///
/// # Errors
/// Anything else.
pub fn status(text: &str) -> Result<Status, Expected> {
    word(text, &Status::ALL.map(|status| (status.as_str(), status)))
}

/// An amount.
///
/// # Errors
/// Anything but digits with a point in them, and a minus before them.
pub fn amount(text: &str) -> Result<Decimal, Expected> {
    Decimal::from_plain(text).ok_or_else(|| format!("expected {}", Decimal::EXPECTED).into())
}

/// A state: two letters, in capitals as invoices have them.
///
/// # Errors
/// Anything else.
pub fn uf(text: &str) -> Result<String, Expected> {
    let is_uf = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_uf { Ok(text.to_ascii_uppercase()) } else { Err("expected two letters like SP".into()) }
}

/// A text as invoices have it.
///
/// # Errors
/// Nothing, or more than [`TEXT_LIMIT`] characters.
pub fn text(text: &str) -> Result<String, Expected> {
    let is_text = !text.is_empty() && text.chars().count() <= TEXT_LIMIT;
    if is_text { Ok(text.to_owned()) } else { Err(format!("expected 1 to {TEXT_LIMIT} characters").into()) }
}

/// Invoices are in the order of their clocks, and many have no offset: a time has none here.
fn time(text: &str) -> Result<Timestamp, Expected> {
    let is_digits = |(given, form): (u8, u8)| if form == b'0' { given.is_ascii_digit() } else { given == form };
    let has_form = [DATE_LENGTH, TIME_FORM.len() - 3, TIME_FORM.len()].contains(&text.len())
        && text.bytes().zip(TIME_FORM.bytes()).all(is_digits);
    if !has_form {
        return Err("expected a date like 2024-12-31, or a local time like 2024-12-31T23:59:59".into());
    }
    Timestamp::parse(text, DateConvention::Iso).map_err(|error| error.to_string().into())
}

/// How a time is written, with any digits. The seconds may be left out.
const TIME_FORM: &str = "0000-00-00T00:00:00";

/// A query string of these parameters.
#[must_use]
pub fn query_string<'p>(parameters: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let mut query = String::new();
    for (name, value) in parameters {
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        percent_encode(value, &mut query);
    }
    query
}

/// RFC 3986: everything but the unreserved characters is encoded.
fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let written = write!(out, "%{byte:02X}");
            debug_assert!(written.is_ok(), "a String takes everything");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_told_at_once() {
        let uri = "/v1/invoices?limit=0&to=tomorrow&limit=1&colour=red&issuer=%20".parse().unwrap();
        let mut parameters = Parameters::of(&uri);
        assert_eq!(parameters.optional("issuer", tax_id), None);
        assert_eq!(parameters.optional("limit", limit), None);
        assert_eq!(parameters.optional("to", to), None);
        assert!(parameters.has_refused(&["month", "to"]) && !parameters.has_refused(&["month", "from"]));
        let Err(Problem::InvalidParameter(errors)) = parameters.finish() else { panic!("it was taken") };
        let told: Vec<(&str, &str)> = errors.iter().map(|error| (error.parameter.as_str(), &*error.message)).collect();
        let expected = [
            ("issuer", "expected a CNPJ or CPF"),
            ("limit", "expected once"),
            ("to", "expected a date like 2024-12-31, or a local time like 2024-12-31T23:59:59"),
            ("colour", "unknown here"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_limit_is_from_1_to_1000() {
        assert_eq!((limit("1"), limit("1000"), limit("0050")), (Ok(1), Ok(1000), Ok(50)));
        for text in ["", "0", "1001", "+5", "-1", "5.0", " 5", "٥", "99999999999999999999999"] {
            assert!(limit(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_month_is_a_year_and_a_month_of_it() {
        assert_eq!((month("2024-05").unwrap().as_str(), month("0001-12").unwrap().as_str()), ("202405", "000112"));
        for text in
            ["", "2024", "2024-5", "2024-00", "2024-13", "202405", "2024-05-01", "-024-05", "2024-+5", "0000-01"]
        {
            assert!(month(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn words_amounts_and_texts_are_what_invoices_have() {
        assert_eq!((status("denied"), order("desc")), (Ok(Status::Denied), Ok(Order::Descending)));
        assert_eq!(status("Denied"), Err("expected one of authorized, cancelled, denied, unknown".into()));
        assert_eq!(amount("-12.50").unwrap().as_str(), "-12.50");
        for wrong in ["", "1,5", "1.", ".5", "+1", "1e3", " 1", "٣", &"1".repeat(41)] {
            assert_eq!(amount(wrong), Err("expected a decimal like 1234.56".into()), "{wrong:?}");
        }
        assert_eq!((uf("sp").as_deref(), uf("S").is_err(), uf("SÃ").is_err()), (Ok("SP"), true, true));
        assert!(text("").is_err() && text(&"é".repeat(200)).is_ok() && text(&"é".repeat(201)).is_err());
    }

    #[test]
    fn times_become_sort_keys() {
        assert_eq!(from("2024-02-29").unwrap(), "20240229T000000");
        assert_eq!(from("2024-02-29T10:11").unwrap(), "20240229T101100");
        assert_eq!(to("2024-02-29").unwrap(), "20240229T235959$");
        assert_eq!(to("2024-02-29T00:00:00").unwrap(), "20240229T000000$");
        for text in [
            "",
            "2023-02-29",
            "29/02/2024",
            " 2024-02-29",
            "2024-02-29 10:11:12",
            "2024-02-29T1:11",
            "2024-02-29T10:11:",
            "2024-02-29T10:11:12Z",
            "2024-02-29T10:11:12-03:00",
        ] {
            assert!(from(text).is_err() && to(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_query_string_comes_back() {
        let given = [("issuer", "***.165.104-**"), ("cursor", "a-b_c"), ("x", "é &=+#%")];
        let uri: Uri = format!("/v1{}", query_string(given)).parse().unwrap();
        let mut parameters = Parameters::of(&uri);
        for (name, value) in given {
            assert_eq!(parameters.optional(name, |text| Ok(text.to_owned())).as_deref(), Some(value));
        }
    }
}
