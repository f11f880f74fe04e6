//! Answers with many elements: as many as were asked for and as an answer may carry, and where the next ones are.

use axum::http::HeaderValue;
use axum::http::header::LINK;
use axum::response::Response;
use serde::Serialize;

use super::parameters;
use super::problem::Problem;

/// Most bytes of items in a page, unless one item alone has more. Lambda answers with 6 MB at most, as a JSON string in
/// which every quote takes another byte; API Gateway with 10 MB.
pub(super) const BODY_LIMIT_BYTES: usize = 4_000_000;

/// A JSON array that takes elements in their order until it is full.
#[derive(Debug)]
pub(super) struct Array {
    /// The array, but for its end.
    json: Vec<u8>,
    count: usize,
    limit: usize,
    room_bytes: usize,
    takes_first: bool,
    last: Option<String>,
    is_full: bool,
}

impl Array {
    /// The items of a page: up to `limit`, and up to what an answer carries. The first is taken whatever its size, so
    /// that every page leads on.
    pub(super) fn page(limit: usize) -> Self {
        Self { takes_first: true, ..Self::part(limit, BODY_LIMIT_BYTES) }
    }

    /// A part of an answer: up to `limit` elements in up to `room_bytes`, and none if the first has no room.
    pub(super) fn part(limit: usize, room_bytes: usize) -> Self {
        Self { json: vec![b'['], count: 0, limit, room_bytes, takes_first: false, last: None, is_full: false }
    }

    /// Appends an element, which stands at `sort_key`. Gives whether it did: once it is full it takes nothing any more.
    pub(super) fn push(&mut self, sort_key: &str, element: &impl Serialize) -> Result<bool, Problem> {
        self.is_full |= self.count == self.limit;
        if self.is_full {
            return Ok(false);
        }
        let before = self.json.len();
        if self.count > 0 {
            self.json.push(b',');
        }
        serde_json::to_writer(&mut self.json, element)?;
        let must_fit = self.count > 0 || !self.takes_first;
        if must_fit && self.json.len() > self.room_bytes {
            self.json.truncate(before);
            self.is_full = true;
            return Ok(false);
        }
        self.count += 1;
        self.last = Some(sort_key.to_owned());
        Ok(true)
    }

    /// Elements that it has.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Bytes that it has.
    pub(super) fn size_bytes(&self) -> usize {
        self.json.len() + 1
    }

    /// Whether it has refused an element.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Sort key of its last element.
    pub(super) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Its JSON.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.json.push(b']');
        self.json
    }
}

/// A page of `items`, and the cursor of the next one if there is one, to be asked for with the parameters `given`.
pub(super) fn page(items: Array, cursor: Option<&str>, given: &[(&'static str, String)]) -> Result<Response, Problem> {
    let mut body = br#"{"items":"#.to_vec();
    body.append(&mut items.finish());
    write_cursor("next_cursor", cursor, &mut body)?;
    body.push(b'}');
    let mut response = super::json(body);
    if let Some(link) = cursor.and_then(|cursor| link(cursor, given)) {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// Appends a cursor to an object that has members already, if there is one.
pub(super) fn write_cursor(name: &str, cursor: Option<&str>, body: &mut Vec<u8>) -> Result<(), Problem> {
    let Some(cursor) = cursor else { return Ok(()) };
    body.push(b',');
    serde_json::to_writer(&mut *body, name)?;
    body.push(b':');
    Ok(serde_json::to_writer(body, cursor)?)
}

/// Relative to the address that was asked, so that it is right under any stage, domain or prefix.
fn link(cursor: &str, given: &[(&'static str, String)]) -> Option<HeaderValue> {
    let given = given.iter().map(|(name, value)| (*name, value.as_str()));
    let query = parameters::query_string(given.chain([("cursor", cursor)]));
    HeaderValue::try_from(format!("<{query}>; rel=\"next\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(mut array: Array, elements: &[&str]) -> (String, Option<String>, bool) {
        for (at, element) in elements.iter().enumerate() {
            array.push(&at.to_string(), element).unwrap();
        }
        let (last, is_full) = (array.last().map(ToOwned::to_owned), array.is_full());
        assert_eq!(array.size_bytes(), array.json.len() + 1);
        (String::from_utf8(array.finish()).unwrap(), last, is_full)
    }

    #[test]
    fn an_array_is_full_when_it_refuses() {
        let of = |json: &str, last: Option<&str>, is_full| (json.to_owned(), last.map(ToOwned::to_owned), is_full);
        assert_eq!(fill(Array::page(2), &[]), of("[]", None, false));
        assert_eq!(fill(Array::page(2), &["a", "b"]), of(r#"["a","b"]"#, Some("1"), false));
        assert_eq!(fill(Array::page(2), &["a", "b", "c"]), of(r#"["a","b"]"#, Some("1"), true));
        // A shorter one that would fit does not take the place of a longer one before it.
        assert_eq!(fill(Array::part(9, 8), &["a", "bcdefg", "h"]), of(r#"["a"]"#, Some("0"), true));
        assert_eq!(fill(Array::part(9, 8), &["a", "b"]), of(r#"["a","b"]"#, Some("1"), false));
        assert_eq!(fill(Array::part(9, 8), &["abcdefgh", "b"]), of("[]", None, true));
        let large = "x".repeat(BODY_LIMIT_BYTES);
        assert_eq!(fill(Array::page(9), &[&large, "b"]), of(&format!("[\"{large}\"]"), Some("0"), true));
    }
}
