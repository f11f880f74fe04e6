//! Prints lists page by page, in several formats.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::columns::Column;
use super::table::Layout;
use super::{json, table};
use crate::failure::Failure;

/// Media types of answers.
pub(super) const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";

/// Prints the pages of a list in one format.
pub(super) trait Printer {
    /// Returns the media type to request from the API.
    fn media_type(&self) -> &'static str;

    /// Returns the text of a page.
    fn page(&mut self, body: &[u8]) -> Result<String, Failure>;

    /// Returns the text after the last printed page. `next` is the cursor of the page that follows it.
    fn end(&mut self, _next: Option<&str>) -> Result<String, Failure> {
        Ok(String::new())
    }

    /// Returns remarks about the printed pages.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A page as JSON.
#[derive(Deserialize)]
struct Page<'p> {
    #[serde(borrow)]
    items: Vec<&'p RawValue>,
}

/// Prints the API's NDJSON.
#[derive(Debug)]
pub(super) struct Ndjson {
    to_terminal: bool,
}

impl Ndjson {
    pub(super) const fn new(to_terminal: bool) -> Self {
        Self { to_terminal }
    }
}

impl Printer for Ndjson {
    fn media_type(&self) -> &'static str {
        NDJSON
    }

    fn page(&mut self, body: &[u8]) -> Result<String, Failure> {
        let text = str::from_utf8(body)?;
        if self.to_terminal {
            return Ok(text.lines().fold(String::new(), |lines, line| lines + &json::shown(line) + "\n"));
        }
        Ok(text.to_owned())
    }
}

/// Prints the API's CSV with one header.
#[derive(Debug)]
pub(super) struct Csv {
    to_terminal: bool,
    has_header: bool,
}

impl Csv {
    pub(super) const fn new(to_terminal: bool) -> Self {
        Self { to_terminal, has_header: false }
    }
}

impl Printer for Csv {
    fn media_type(&self) -> &'static str {
        CSV
    }

    fn page(&mut self, body: &[u8]) -> Result<String, Failure> {
        let text = str::from_utf8(body)?;
        // The header is one line: no name of a column has a line break.
        let rows = match (self.has_header, text.split_once('\n')) {
            (false, _) => text,
            (true, Some((_, rows))) => rows,
            (true, None) => "",
        };
        self.has_header = true;
        if self.to_terminal {
            // Values contain line breaks and tabs, which are harmless on a terminal.
            let is_harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
            let without_returns = rows.replace("\r\n", "\n");
            return Ok(without_returns.replace(|c| !is_harmless(c), "\u{fffd}"));
        }
        Ok(rows.to_owned())
    }
}

/// Prints one JSON object with the elements of all pages.
#[derive(Debug, Default)]
pub(super) struct Document {
    has_begun: bool,
    has_items: bool,
}

impl Printer for Document {
    fn media_type(&self) -> &'static str {
        JSON
    }

    fn page(&mut self, body: &[u8]) -> Result<String, Failure> {
        let page: Page<'_> = serde_json::from_slice(body)?;
        let mut out = String::new();
        if !self.has_begun {
            out.push_str("{\n  \"items\": [");
            self.has_begun = true;
        }
        for item in page.items {
            out.push_str(if self.has_items { ",\n    " } else { "\n    " });
            out.push_str(&json::indented(item.get(), 2)?);
            self.has_items = true;
        }
        Ok(out)
    }

    fn end(&mut self, next: Option<&str>) -> Result<String, Failure> {
        let mut out = if self.has_items { "\n  ]".to_owned() } else { "]".to_owned() };
        if let Some(next) = next {
            write!(out, ",\n  \"next_cursor\": {}", serde_json::to_string(next)?)?;
        }
        Ok(out + "\n}\n")
    }
}

/// Prints aligned rows below a header. The first page determines the widths.
#[derive(Debug)]
pub(super) struct Rows {
    columns: &'static [Column],
    /// Columns of the terminal.
    width: Option<usize>,
    layout: Option<Layout>,
}

impl Rows {
    pub(super) const fn new(columns: &'static [Column], width: Option<usize>) -> Self {
        Self { columns, width, layout: None }
    }
}

impl Printer for Rows {
    fn media_type(&self) -> &'static str {
        JSON
    }

    fn page(&mut self, body: &[u8]) -> Result<String, Failure> {
        let page: Page<'_> = serde_json::from_slice(body)?;
        let elements = page.items.iter().map(|item| serde_json::from_str::<Value>(item.get()));
        let elements = elements.collect::<Result<Vec<_>, _>>()?;
        if elements.is_empty() {
            return Ok(String::new());
        }
        let rows: Vec<_> = elements.iter().map(|element| table::cells(self.columns, element)).collect();
        let mut out = String::new();
        let layout = self.layout.get_or_insert_with(|| {
            let layout = Layout::of(self.columns, &rows, self.width);
            out.push_str(&layout.header());
            layout
        });
        for row in &rows {
            out.push_str(&layout.row(row));
        }
        Ok(out)
    }

    fn remarks(&self) -> Vec<String> {
        let Some(layout) = &self.layout else { return vec!["nothing found".to_owned()] };
        let left_out = layout.left_out();
        if left_out.is_empty() {
            return Vec::new();
        }
        vec![format!("the terminal is too narrow for {}; --format ndjson prints everything", left_out.join(", "))]
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns;
    use super::*;

    /// Returns everything that is printed for these pages.
    fn printed(mut printer: impl Printer, pages: &[&str], next: Option<&str>) -> String {
        let pages: String = pages.iter().map(|page| printer.page(page.as_bytes()).unwrap()).collect();
        pages + &printer.end(next).unwrap()
    }

    #[test]
    fn csv_has_one_header() {
        let pages = ["id,text\n1,\"a\nb\"\n", "id,text\n", "id,text\n2,c\n"];
        assert_eq!(printed(Csv::new(false), &pages, None), "id,text\n1,\"a\nb\"\n2,c\n");
    }

    #[test]
    fn no_control_characters_are_printed_on_a_terminal() {
        let row = "id\r\n\"\u{1b}[2J\n\u{9b}2J\té\"\r\n";
        assert_eq!(printed(Csv::new(true), &[row], None), "id\n\"\u{fffd}[2J\n\u{fffd}2J\té\"\n");
        assert_eq!(printed(Csv::new(false), &[row], None), row);
        let line = "{\"a\":\"\u{9b}2J\"}\n";
        assert_eq!(printed(Ndjson::new(true), &[line, line], None), "{\"a\":\"\\u009b2J\"}\n".repeat(2));
        assert_eq!(printed(Ndjson::new(false), &[line], None), line);
        let page = r#"{"items":[{"reason":"a","message":"\u001b[2J\n"}]}"#;
        assert_eq!(
            printed(Rows::new(columns::REJECTS, Some(80)), &[page], None),
            "record  line  reason  message      entry\n              a       \\u{1b}[2J\\n\n"
        );
    }

    #[test]
    fn all_pages_are_one_document() {
        let pages =
            [r#"{"items":[],"next_cursor":"x"}"#, r#"{"items":[{"a":1}],"next_cursor":"y"}"#, r#"{"items":[2,3]}"#];
        let expected =
            "{\n  \"items\": [\n    {\n      \"a\": 1\n    },\n    2,\n    3\n  ],\n  \"next_cursor\": \"z\"\n}\n";
        assert_eq!(printed(Document::default(), &pages, Some("z")), expected);
        assert_eq!(printed(Document::default(), &pages[..1], None), "{\n  \"items\": []\n}\n");
    }

    #[test]
    fn the_first_page_determines_the_widths() {
        let page =
            |number: &str, kind: &str| format!(r#"{{"items":[{{"at":"2024","kind":"{kind}","text":"{number}"}}]}}"#);
        let pages = [r#"{"items":[]}"#.to_owned(), page("1", "correction"), page("22", "other")];
        let pages = pages.each_ref().map(String::as_str);
        assert_eq!(
            printed(Rows::new(columns::EVENTS, None), &pages, None),
            "at    kind        text  description  reason\n2024  correction  1\n2024  other       22\n"
        );
        assert_eq!(Rows::new(columns::EVENTS, None).remarks(), ["nothing found"]);
    }
}
