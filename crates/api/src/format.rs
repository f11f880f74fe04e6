//! The format of a list, which the client chooses with `Accept`; rows of CSV.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use serde_json::Value;

use super::problem::Problem;

/// The format of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One object with the elements in `items`.
    Json,
    /// One element per line.
    Ndjson,
    /// A header row, then one row per element.
    Csv,
}

/// A column of a list in CSV: its name, and the JSON pointer (RFC 6901) to its value in an element.
pub(super) type Column = (&'static str, &'static str);

impl Format {
    /// All formats, the default first.
    pub(super) const ALL: [Self; 3] = [Self::Json, Self::Ndjson, Self::Csv];

    /// The media type, without parameters.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
        }
    }

    /// The value of `Content-Type`.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::Ndjson => self.media_type(),
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// Returns the format that the client prefers (RFC 9110, section 12.5.1); the first of several with the same weight. `None`
    /// if the client accepts no format. Ignores media ranges that are not valid.
    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all(ACCEPT).iter().peekable();
        given.peek()?;
        let ranges = given.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let ranges: Vec<MediaRange<'_>> = ranges.filter_map(MediaRange::parse).collect();
        let weight = |format: Self| {
            let fitting = ranges.iter().filter(|range| range.fits(format.media_type()));
            fitting.max_by_key(|range| range.precision()).map_or(0, |range| range.weight)
        };
        let weighed = Self::ALL.into_iter().map(|format| (format, weight(format))).filter(|(_, weight)| *weight > 0);
        // `max_by_key` returns the last of several with the same weight.
        weighed.rev().max_by_key(|(_, weight)| *weight).map(|(format, _)| format)
    }
}

impl<S: Sync> FromRequestParts<S> for Format {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if !parts.headers.contains_key(ACCEPT) {
            return Ok(Self::Json);
        }
        Self::accepted(&parts.headers).ok_or(Problem::NotAcceptable)
    }
}

/// A media range of `Accept`, with its weight in thousandths.
struct MediaRange<'h> {
    kind: &'h str,
    subtype: &'h str,
    weight: u16,
}

impl<'h> MediaRange<'h> {
    fn parse(text: &'h str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let weight = parts.find_map(|parameter| parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q=")));
        let weight = weight.map_or(Some(1000), thousandths)?;
        Some(Self { kind, subtype, weight })
    }

    fn fits(&self, media_type: &str) -> bool {
        let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
        let is = |given: &str, name: &str| given == "*" || given.eq_ignore_ascii_case(name);
        is(self.kind, kind) && is(self.subtype, subtype)
    }

    fn precision(&self) -> u8 {
        u8::from(self.kind != "*") + u8::from(self.subtype != "*")
    }
}

/// Parses a weight such as `0.5`, `1` or `0.125`, with at most three decimal places (RFC 9110, section 12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = places.len() <= 3 && places.bytes().all(|byte| byte.is_ascii_digit());
    let places: u16 = if all_digits { format!("{places:0<3}").parse().ok()? } else { return None };
    let whole: u16 = if matches!(whole, "0" | "1") { whole.parse().ok()? } else { return None };
    Some((whole * 1000 + places).min(1000))
}

/// Makes the CSV row of an element. A cell is empty if the element has no such value.
pub(super) fn csv_row(element: &Value, columns: &[Column]) -> Result<Vec<u8>, csv::Error> {
    let cells = columns.iter().map(|(_, pointer)| element.pointer(pointer).map_or_else(String::new, cell));
    write_row(cells)
}

/// Makes the header row.
pub(super) fn csv_header(columns: &[Column]) -> Result<Vec<u8>, csv::Error> {
    write_row(columns.iter().map(|(name, _)| *name))
}

fn write_row(cells: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().buffer_capacity(ROW_BYTES).from_writer(Vec::with_capacity(ROW_BYTES));
    writer.write_record(cells)?;
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Bytes to reserve for a row, enough for most rows.
const ROW_BYTES: usize = 1024;

/// Returns a text as it is, a list of words joined by spaces, and anything else as JSON.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(words) if words.iter().all(Value::is_string) => {
            words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(values: &[&str]) -> Option<Format> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        Format::accepted(&headers)
    }

    #[test]
    fn the_format_is_the_one_that_the_client_prefers() {
        use Format::{Csv, Json, Ndjson};
        for (accept, expected) in [
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("text/csv", Some(Csv)),
            ("TEXT/CSV; header=present", Some(Csv)),
            ("text/*", Some(Csv)),
            ("application/x-ndjson", Some(Ndjson)),
            ("text/csv, application/json", Some(Json)),
            ("text/csv, application/json;q=0.9", Some(Csv)),
            ("text/csv;q=0.2, application/x-ndjson; q=0.3 ,*/*;q=0.1", Some(Ndjson)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(Json)),
            ("application/json;q=0, */*", Some(Ndjson)),
            ("application/json;q=0.000", None),
            ("text/html", None),
            ("", None),
            ("text/csv;q=2, text", None),
        ] {
            assert_eq!(accepted(&[accept]), expected, "{accept}");
        }
        assert_eq!(accepted(&["text/html", "text/csv"]), Some(Csv));
    }

    #[test]
    fn a_row_has_a_cell_for_each_column() {
        let columns: &[Column] = &[("id", "/id"), ("uf", "/issuer/uf"), ("warnings", "/warnings"), ("extra", "/extra")];
        let element = serde_json::json!({"id": "a\"b", "warnings": ["x", "y"], "extra": {"k": "v, w"}});
        assert_eq!(csv_header(columns).unwrap(), b"id,uf,warnings,extra\n");
        let row = String::from_utf8(csv_row(&element, columns).unwrap()).unwrap();
        assert_eq!(row, "\"a\"\"b\",,x y,\"{\"\"k\"\":\"\"v, w\"\"}\"\n");
    }
}
