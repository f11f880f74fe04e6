//! Query parameters. Parses each one, and collects all errors in one answer.

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

/// Items on a page if the client gives no limit.
pub(super) const LIMIT_DEFAULT: usize = 50;
/// Most items on a page.
pub const LIMIT_MOST: usize = 1000;

/// Characters of an unknown parameter's name that the answer repeats.
const SHOWN_NAME_LIMIT: usize = 64;
/// Characters of a date such as `2024-12-31`.
const DATE_LENGTH: usize = 10;
/// Most characters of a text parameter.
pub(super) const TEXT_LIMIT: usize = 200;

/// The parameters of a request.
#[derive(Debug)]
pub struct Parameters {
    /// Parameters that are not parsed yet.
    remaining: Vec<(String, String)>,
    /// Valid parameters, as the client gave them.
    taken: Vec<(&'static str, String)>,
    errors: Vec<ParameterError>,
}

/// The expected value of a parameter, for an error message.
type Expected = Cow<'static, str>;

impl Parameters {
    /// Reads the parameters in the query of `uri`.
    #[must_use]
    pub fn of(uri: &Uri) -> Self {
        let mut parameters = Self { remaining: Vec::new(), taken: Vec::new(), errors: Vec::new() };
        match Query::try_from_uri(uri) {
            Ok(Query(pairs)) => parameters.remaining = pairs,
            Err(_) => parameters.refuse("query", "expected names and values such as limit=50&order=desc"),
        }
        parameters
    }

    /// Parses a parameter; `None` if it is absent or wrong.
    pub fn optional<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, Expected>) -> Option<T> {
        let mut given: Vec<String> =
            self.remaining.extract_if(.., |(each, _)| each == name).map(|(_, value)| value).collect();
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

    /// Parses the number of items on a page.
    pub(super) fn limit(&mut self) -> usize {
        self.optional("limit", limit).unwrap_or(LIMIT_DEFAULT)
    }

    /// Returns the cursor as it is: opening it needs the whole query. The cursor does not count as taken, because the next
    /// page has another one.
    pub fn cursor(&mut self) -> Option<String> {
        let cursor = self.optional("cursor", |text| Ok(text.to_owned()));
        self.taken.retain(|(name, _)| *name != "cursor");
        cursor
    }

    /// Whether one of these parameters is wrong.
    pub(super) fn has_refused(&self, names: &[&str]) -> bool {
        self.errors.iter().any(|error| names.contains(&error.parameter.as_str()))
    }

    /// Adds an error.
    pub(super) fn refuse(&mut self, name: &str, message: impl Into<Expected>) {
        self.errors.push(ParameterError { parameter: name.to_owned(), message: message.into() });
    }

    /// Returns the valid parameters with their names.
    ///
    /// # Errors
    /// All wrong parameters, including unknown ones.
    pub fn finish(mut self) -> Result<Vec<(&'static str, String)>, Problem> {
        for (name, _) in std::mem::take(&mut self.remaining) {
            let name: String = name.chars().take(SHOWN_NAME_LIMIT).collect();
            self.refuse(&name, "unknown parameter");
        }
        if self.errors.is_empty() { Ok(self.taken) } else { Err(Problem::InvalidParameter(self.errors)) }
    }
}

/// Returns the id in a path.
///
/// # Errors
/// `missing`, if the id is not UTF-8 or is too long for a key: then no item has it.
pub(super) fn id(path: Result<Path<String>, PathRejection>, missing: Problem) -> Result<String, Problem> {
    path.ok().map(|Path(id)| id).filter(|id| id.len() <= keys::ID_LIMIT_BYTES).ok_or(missing)
}

/// Parses the number of items on a page.
///
/// # Errors
/// The text is not a whole number from 1 to [`LIMIT_MOST`].
pub fn limit(text: &str) -> Result<usize, Expected> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (1..=LIMIT_MOST).contains(number));
    number.ok_or_else(|| format!("expected a whole number from 1 to {LIMIT_MOST}").into())
}

/// Parses a tax id, with or without punctuation, and returns it as invoices have it.
///
/// # Errors
/// The text is not a tax id, or has more than [`TAX_ID_LIMIT`] characters.
pub fn tax_id(text: &str) -> Result<String, Expected> {
    if text.chars().count() > TAX_ID_LIMIT {
        return Err(TaxIdError::TooLong.to_string().into());
    }
    TaxId::parse(text, TaxIdColumn::Either)
        .map(|tax_id| tax_id.text.as_str().to_owned())
        .map_err(|error| error.to_string().into())
}

/// Parses a date, or a date and time, and returns the first sort key of that time.
///
/// # Errors
/// The text is neither.
pub fn from(text: &str) -> Result<String, Expected> {
    time(text).map(|time| keys::sort_time(time.local).as_str().to_owned())
}

/// Parses a date, or a date and time, and returns the last sort key of that day or second.
///
/// # Errors
/// The text is neither.
pub fn to(text: &str) -> Result<String, Expected> {
    let local = time(text)?.local;
    let is_date = text.trim().len() == DATE_LENGTH;
    let last = if is_date { local.date().at(23, 59, 59, 0) } else { local };
    // Sorts after every id: `$` is the character after the `#` between time and id.
    Ok(format!("{}$", keys::sort_time(last)))
}

/// Parses a month such as `2024-05` and returns it as keys have it: `202405`.
///
/// # Errors
/// The text is not a month.
pub fn month(text: &str) -> Result<String, Expected> {
    let (year, number) = text.split_once('-').unwrap_or_default();
    let is_number = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_month = is_number(year, 4) && is_number(number, 2) && ("01"..="12").contains(&number) && year != "0000";
    if is_month { Ok(format!("{year}{number}")) } else { Err("expected a month like 2024-05".into()) }
}

/// Parses one of these words and returns its value.
///
/// # Errors
/// The text is another word.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Expected> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("expected one of {}", words.join(", ")).into()
    })
}

/// Parses the order of a list.
///
/// # Errors
/// The text is neither `asc` nor `desc`.
pub fn order(text: &str) -> Result<Order, Expected> {
    word(text, &[Order::Ascending, Order::Descending].map(|order| (order.as_str(), order)))
}

/// Parses the status of an invoice.
///
/// # Errors
/// The text is not a status.
pub fn status(text: &str) -> Result<Status, Expected> {
    word(text, &Status::ALL.map(|status| (status.as_str(), status)))
}

/// Parses an amount.
///
/// # Errors
/// The text is not a decimal such as `-1234.56`.
pub fn amount(text: &str) -> Result<Decimal, Expected> {
    Decimal::from_plain(text).ok_or_else(|| format!("expected {}", Decimal::EXPECTED).into())
}

/// Parses a state of Brazil and returns it in capitals, as invoices have it.
///
/// # Errors
/// The text is not two letters.
pub fn uf(text: &str) -> Result<String, Expected> {
    let is_uf = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_uf { Ok(text.to_ascii_uppercase()) } else { Err("expected two letters like SP".into()) }
}

/// Returns a text as it is.
///
/// # Errors
/// The text is empty or has more than 200 characters.
pub fn text(text: &str) -> Result<String, Expected> {
    let is_text = !text.is_empty() && text.chars().count() <= TEXT_LIMIT;
    if is_text { Ok(text.to_owned()) } else { Err(format!("expected 1 to {TEXT_LIMIT} characters").into()) }
}

/// Parses a date, or a date and time, without an offset. Lists are in the order of local times, because many invoices have
/// no offset.
fn time(text: &str) -> Result<Timestamp, Expected> {
    let is_digits = |(given, form): (u8, u8)| if form == b'0' { given.is_ascii_digit() } else { given == form };
    let has_form = [DATE_LENGTH, TIME_FORM.len() - 3, TIME_FORM.len()].contains(&text.len())
        && text.bytes().zip(TIME_FORM.bytes()).all(is_digits);
    if !has_form {
        return Err("expected a date like 2024-12-31, or a local time like 2024-12-31T23:59:59".into());
    }
    Timestamp::parse(text, DateConvention::Iso).map_err(|error| error.to_string().into())
}

/// The form of a time: `0` stands for any digit. The seconds may be left out.
const TIME_FORM: &str = "0000-00-00T00:00:00";

/// Makes a query string of these parameters, with the `?`. Empty without parameters.
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

/// Encodes everything except the unreserved characters of RFC 3986.
fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let written = write!(out, "%{byte:02X}");
            debug_assert!(written.is_ok(), "writing to a String does not fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_errors_come_in_one_answer() {
        let uri = "/v1/invoices?limit=0&to=tomorrow&limit=1&colour=red&issuer=%20".parse().unwrap();
        let mut parameters = Parameters::of(&uri);
        assert_eq!(parameters.optional("issuer", tax_id), None);
        assert_eq!(parameters.optional("limit", limit), None);
        assert_eq!(parameters.optional("to", to), None);
        assert!(parameters.has_refused(&["month", "to"]) && !parameters.has_refused(&["month", "from"]));
        let Err(Problem::InvalidParameter(errors)) = parameters.finish() else { panic!("the parameters are wrong") };
        let found: Vec<(&str, &str)> = errors.iter().map(|error| (error.parameter.as_str(), &*error.message)).collect();
        let expected = [
            ("issuer", "expected a CNPJ or CPF"),
            ("limit", "expected once"),
            ("to", "expected a date like 2024-12-31, or a local time like 2024-12-31T23:59:59"),
            ("colour", "unknown parameter"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_limit_is_from_1_to_1000() {
        assert_eq!((limit("1"), limit("1000"), limit("0050")), (Ok(1), Ok(1000), Ok(50)));
        for text in ["", "0", "1001", "+5", "-1", "5.0", " 5", "٥", "99999999999999999999999"] {
            assert!(limit(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_month_is_a_year_and_a_number_from_1_to_12() {
        assert_eq!((month("2024-05").unwrap().as_str(), month("0001-12").unwrap().as_str()), ("202405", "000112"));
        for text in
            ["", "2024", "2024-5", "2024-00", "2024-13", "202405", "2024-05-01", "-024-05", "2024-+5", "0000-01"]
        {
            assert!(month(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn words_amounts_and_texts_are_parsed_as_invoices_have_them() {
        assert_eq!((status("denied"), order("desc")), (Ok(Status::Denied), Ok(Order::Descending)));
        assert_eq!(status("Denied"), Err("expected one of authorized, cancelled, denied, unknown".into()));
        assert_eq!(amount("-12.50").unwrap().as_str(), "-12.50");
        for wrong in ["", "1,5", "1.", ".5", "+1", "1e3", " 1", "٣", &"1".repeat(41)] {
            assert_eq!(amount(wrong), Err("expected a decimal such as 1234.56".into()), "{wrong:?}");
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
    fn a_query_string_parses_to_its_parameters() {
        let given = [("issuer", "***.165.104-**"), ("cursor", "a-b_c"), ("x", "é &=+#%")];
        let uri: Uri = format!("/v1{}", query_string(given)).parse().unwrap();
        let mut parameters = Parameters::of(&uri);
        for (name, value) in given {
            assert_eq!(parameters.optional(name, |text| Ok(text.to_owned())).as_deref(), Some(value));
        }
    }
}
