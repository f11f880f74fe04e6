//! Lists of elements in an answer: up to the limit of the request and the size limit of an answer.

use axum::http::HeaderValue;
use axum::http::header::{LINK, VARY};
use axum::response::Response;
use serde::Serialize;

use super::format::{self, Column, Format};
use super::parameters;
use super::problem::Problem;
use super::response;

/// Most bytes of items on a page, unless a single item has more. Lambda answers with 6 MB at most, in a JSON string where
/// each quote takes one more byte; API Gateway with 10 MB.
pub(super) const BODY_LIMIT_BYTES: usize = 4_000_000;

/// Elements in their order, up to a number and a size.
#[derive(Debug)]
pub(super) struct Elements {
    format: Format,
    columns: &'static [Column],
    /// The bytes so far. For JSON: an array without its closing bracket.
    bytes: Vec<u8>,
    count: usize,
    limit: usize,
    room_bytes: usize,
    takes_first: bool,
    last: Option<String>,
    is_full: bool,
}

impl Elements {
    /// Begins a page of up to `limit` items and [`BODY_LIMIT_BYTES`]. Takes the first item whatever its size, so that every
    /// page makes progress. `columns` are for CSV.
    pub(super) fn page(limit: usize, format: Format, columns: &'static [Column]) -> Result<Self, Problem> {
        let mut page = Self { takes_first: true, format, columns, ..Self::array(limit, BODY_LIMIT_BYTES) };
        page.bytes = match format {
            Format::Json => vec![b'['],
            Format::Ndjson => Vec::new(),
            Format::Csv => format::csv_header(columns)?,
        };
        Ok(page)
    }

    /// Begins an array within a JSON answer: up to `limit` elements in up to `room_bytes`. The array stays empty if the first
    /// element does not fit.
    pub(super) fn array(limit: usize, room_bytes: usize) -> Self {
        Self {
            format: Format::Json,
            columns: &[],
            bytes: vec![b'['],
            count: 0,
            limit,
            room_bytes,
            takes_first: false,
            last: None,
            is_full: false,
        }
    }

    /// Appends an element, and keeps `position` as the place after which the list continues. Returns whether the element
    /// was taken. After the first refusal nothing is taken.
    pub(super) fn push(&mut self, position: &str, element: &(impl Serialize + ?Sized)) -> Result<bool, Problem> {
        self.is_full |= self.count == self.limit;
        if self.is_full {
            return Ok(false);
        }
        let before = self.bytes.len();
        self.write(element)?;
        let must_fit = self.count > 0 || !self.takes_first;
        if must_fit && self.bytes.len() > self.room_bytes {
            self.bytes.truncate(before);
            self.is_full = true;
            return Ok(false);
        }
        self.count += 1;
        self.last = Some(position.to_owned());
        Ok(true)
    }

    fn write(&mut self, element: &(impl Serialize + ?Sized)) -> Result<(), Problem> {
        match self.format {
            Format::Json => {
                if self.count > 0 {
                    self.bytes.push(b',');
                }
                serde_json::to_writer(&mut self.bytes, element)?;
            }
            Format::Ndjson => {
                serde_json::to_writer(&mut self.bytes, element)?;
                self.bytes.push(b'\n');
            }
            Format::Csv => {
                let row = format::csv_row(&serde_json::to_value(element)?, self.columns)?;
                self.bytes.extend_from_slice(&row);
            }
        }
        Ok(())
    }

    /// Returns the number of elements.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Returns the size in bytes, including the closing bracket.
    pub(super) fn size_bytes(&self) -> usize {
        self.bytes.len() + 1
    }

    /// Whether an element was refused.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Returns the position of the last element.
    pub(super) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Returns the complete bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.format == Format::Json {
            self.bytes.push(b']');
        }
        self.bytes
    }

    /// Makes the answer: the page, and the cursor of the next page if there is one. `given` are the parameters of the
    /// request without its cursor, for the link to the next page.
    pub(super) fn answer(self, cursor: Option<&str>, given: &[(&'static str, String)]) -> Result<Response, Problem> {
        let format = self.format;
        let mut body = self.finish();
        if format == Format::Json {
            body.splice(..0, *br#"{"items":"#);
            write_cursor("next_cursor", cursor, &mut body)?;
            body.push(b'}');
        }
        let mut response = response::with_type(format.content_type(), body);
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("accept"));
        if let Some(cursor) = cursor {
            headers.insert(LINK, link(cursor, given));
        }
        Ok(response)
    }
}

/// Appends a cursor to a JSON object that already has members. Does nothing without a cursor.
pub(super) fn write_cursor(name: &str, cursor: Option<&str>, body: &mut Vec<u8>) -> Result<(), Problem> {
    let Some(cursor) = cursor else { return Ok(()) };
    body.push(b',');
    serde_json::to_writer(&mut *body, name)?;
    body.push(b':');
    Ok(serde_json::to_writer(body, cursor)?)
}

/// Makes the link to the next page. The link is relative to the address of the request, so it is right for any stage,
/// domain or prefix.
fn link(cursor: &str, given: &[(&'static str, String)]) -> HeaderValue {
    let given = given.iter().map(|(name, value)| (*name, value.as_str()));
    let query = parameters::query_string(given.chain([("cursor", cursor)]));
    response::header_value(format!("<{query}>; rel=\"next\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(mut array: Elements, elements: &[&str]) -> (String, Option<String>, bool) {
        for (at, element) in elements.iter().enumerate() {
            array.push(&at.to_string(), element).unwrap();
        }
        let (last, is_full) = (array.last().map(ToOwned::to_owned), array.is_full());
        assert_eq!(array.size_bytes(), array.bytes.len() + 1);
        (String::from_utf8(array.finish()).unwrap(), last, is_full)
    }

    fn page(limit: usize) -> Elements {
        Elements::page(limit, Format::Json, &[]).unwrap()
    }

    #[test]
    fn elements_are_written_in_the_requested_format() {
        let write = |format, limit| {
            let mut page = Elements::page(limit, format, &[("n", "/n"), ("text", "/t")]).unwrap();
            for element in [serde_json::json!({"n": 1}), serde_json::json!({"n": 2, "t": "a,b"})] {
                page.push("x", &element).unwrap();
            }
            String::from_utf8(page.finish()).unwrap()
        };
        assert_eq!(write(Format::Json, 2), r#"[{"n":1},{"n":2,"t":"a,b"}]"#);
        assert_eq!(write(Format::Ndjson, 2), "{\"n\":1}\n{\"n\":2,\"t\":\"a,b\"}\n");
        assert_eq!(write(Format::Csv, 2), "n,text\n1,\n2,\"a,b\"\n");
        assert_eq!(write(Format::Csv, 1), "n,text\n1,\n");
        assert_eq!(write(Format::Ndjson, 0), "");
    }

    #[test]
    fn an_array_is_full_after_a_refusal() {
        let of = |json: &str, last: Option<&str>, is_full| (json.to_owned(), last.map(ToOwned::to_owned), is_full);
        assert_eq!(fill(page(2), &[]), of("[]", None, false));
        assert_eq!(fill(page(2), &["a", "b"]), of(r#"["a","b"]"#, Some("1"), false));
        assert_eq!(fill(page(2), &["a", "b", "c"]), of(r#"["a","b"]"#, Some("1"), true));
        // A shorter element does not take the place of a longer one before it.
        assert_eq!(fill(Elements::array(9, 8), &["a", "bcdefg", "h"]), of(r#"["a"]"#, Some("0"), true));
        assert_eq!(fill(Elements::array(9, 8), &["a", "b"]), of(r#"["a","b"]"#, Some("1"), false));
        assert_eq!(fill(Elements::array(9, 8), &["abcdefgh", "b"]), of("[]", None, true));
        let large = "x".repeat(BODY_LIMIT_BYTES);
        assert_eq!(fill(page(9), &[&large, "b"]), of(&format!("[\"{large}\"]"), Some("0"), true));
    }
}
