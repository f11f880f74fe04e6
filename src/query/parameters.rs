//! Query parameters: each is looked at, and all that is wrong comes in one answer.

use std::borrow::Cow;
use std::fmt::Write;

use axum::extract::Query;
use axum::http::Uri;

use super::problem::{ParameterError, Problem};
use crate::invoice::{DateConvention, TaxId, TaxIdColumn, Timestamp};
use crate::table::keys;

/// Items on a page unless asked otherwise.
pub const LIMIT_DEFAULT: usize = 50;
/// Most items on a page.
pub const LIMIT_MOST: usize = 1000;

/// Characters of an unknown parameter's name that are repeated in the answer.
const SHOWN_NAME_LIMIT: usize = 64;
/// Characters of a date in the plain form.
const DATE_LENGTH: usize = 10;
/// Before every sort key, which begin with a digit.
const FIRST_SORT_KEY: &str = "0";
/// Behind every sort key: the character after `9`.
const LAST_SORT_KEY: &str = ":";

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

    /// Takes a parameter that must be there.
    pub fn required<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, Expected>) -> Option<T> {
        if !self.left.iter().any(|(each, _)| each == name) {
            self.refuse(name, "required");
        }
        self.optional(name, parse)
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
/// What can be no tax id.
pub fn tax_id(text: &str) -> Result<String, Expected> {
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

/// Sort keys from `from` to `to`, both included; without one of them, from the first or to the last.
#[must_use]
pub fn span(from: Option<String>, to: Option<String>) -> (String, String) {
    (from.unwrap_or_else(|| FIRST_SORT_KEY.to_owned()), to.unwrap_or_else(|| LAST_SORT_KEY.to_owned()))
}

fn time(text: &str) -> Result<Timestamp, Expected> {
    let time = Timestamp::parse(text, DateConvention::Iso).map_err(|error| error.to_string())?;
    match time.offset {
        None => Ok(time),
        // Invoices are in the order of their clocks: many have no offset.
        Some(_) => Err("expected a date or a local time without an offset, like 2024-12-31T23:59:59".into()),
    }
}

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
        assert_eq!(parameters.required("issuer", tax_id), None);
        assert_eq!(parameters.optional("limit", limit), None);
        assert_eq!(parameters.optional("to", to), None);
        assert_eq!(parameters.required("month", |_| Ok(())), None);
        let Err(Problem::InvalidParameter(errors)) = parameters.finish() else { panic!("it was taken") };
        let told: Vec<(&str, &str)> = errors.iter().map(|error| (error.parameter.as_str(), &*error.message)).collect();
        let expected = [
            ("issuer", "expected a CNPJ or CPF"),
            ("limit", "expected once"),
            ("to", "expected a date like 2024-12-31T23:59:59"),
            ("month", "required"),
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
    fn times_become_sort_keys() {
        assert_eq!(from("2024-02-29").unwrap(), "20240229T000000");
        assert_eq!(from("2024-02-29T10:11").unwrap(), "20240229T101100");
        assert_eq!(to("2024-02-29").unwrap(), "20240229T235959$");
        assert_eq!(to("2024-02-29T00:00:00").unwrap(), "20240229T000000$");
        for text in ["", "2023-02-29", "29/02/2024", "2024-02-29T10:11:12Z", "2024-02-29T10:11:12-03:00"] {
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
