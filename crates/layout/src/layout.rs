//! A layout: a parsed and checked layout file.

use serde::Serialize;
use thiserror::Error;

use crate::check;
use crate::conventions::Conventions;
use crate::spec::{LayoutFormat, LayoutSpec, Source, Tables};
use notaflux_sha256::{self as sha256, hex};

/// A layout: which headers match it, and which column each field comes from.
#[derive(Debug)]
pub struct Layout {
    pub(crate) spec: LayoutSpec,
    pub(crate) tables: Tables,
    text: String,
    content_hash: String,
}

/// An error in a layout file.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// The file is not TOML, or contains a word or value that no layout has. The source shows the place.
    #[error("the layout file{}: {}", on_line(*line), source.message())]
    Toml {
        /// The line, from 1, if it is known.
        line: Option<usize>,
        /// The error of the TOML parser.
        source: Box<toml::de::Error>,
    },
    /// The file has the right form, but a value is wrong or does not fit the others.
    #[error("the layout file{}: {message}", on_line(*line))]
    Invalid {
        /// The line of the key that the message is about, from 1; none if the message is about the whole file.
        line: Option<usize>,
        /// What was expected, and what was found.
        message: String,
    },
}

fn on_line(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

/// What a row of a layout yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Yields {
    /// One invoice.
    Invoice,
    /// One line of an invoice.
    Line,
    /// One event of an invoice.
    Event,
    /// One line, and the invoice that it belongs to.
    InvoiceLine,
    /// One invoice with all of its lines.
    InvoiceWithLines,
}

impl Layout {
    /// Parses and checks the TOML `text` of a layout file.
    ///
    /// # Errors
    /// The text is not TOML, contains unknown words, or contradicts itself.
    pub fn parse(text: &str) -> Result<Self, LayoutError> {
        let mut spec: LayoutSpec = toml::from_str(text).map_err(|error| LayoutError::Toml {
            line: error.span().map(|span| check::line_of(text, span.start)),
            source: Box::new(error),
        })?;
        let invalid = |wrong: check::Wrong| LayoutError::Invalid { line: wrong.line(text), message: wrong.message };
        let tables = check::tables(&mut spec).map_err(invalid)?;
        check::check(&spec, &tables).map_err(invalid)?;
        Ok(Self { spec, tables, text: text.to_owned(), content_hash: sha256_hex(text.as_bytes()) })
    }

    /// Returns the name, such as `portal-invoice`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Returns the description for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.spec.title
    }

    /// Returns what a row yields.
    #[must_use]
    pub fn yields(&self) -> Yields {
        match &self.tables {
            Tables::Invoice(_) => Yields::Invoice,
            Tables::Line(_) => Yields::Line,
            Tables::Event(_) => Yields::Event,
            Tables::InvoiceLine(..) => Yields::InvoiceLine,
            Tables::InvoiceWithLines(..) => Yields::InvoiceWithLines,
        }
    }

    /// Iterates over the columns that a header must have to match. One of each list is enough.
    pub fn requires(&self) -> impl Iterator<Item = &[String]> {
        self.spec.requires.iter().map(|Source(names)| names.as_slice())
    }

    /// Whether the names in the layout are JSON paths. Otherwise they are columns, or keys of flat JSON objects.
    #[must_use]
    pub fn is_of_paths(&self) -> bool {
        self.spec.format == LayoutFormat::Json
    }

    /// Returns the JSON paths that the list of records may have, with points between keys; none if the layout names no path.
    #[must_use]
    pub fn records(&self) -> Option<&[String]> {
        self.spec.records.as_ref().map(|Source(paths)| paths.as_slice())
    }

    /// Returns the default conventions: the first of each kind that the layout allows.
    #[must_use]
    pub fn conventions(&self) -> Conventions {
        let allowed = &self.spec.conventions;
        Conventions { decimal: *allowed.decimal.first(), date: *allowed.date.first(), time_zone: allowed.time_zone }
    }

    /// Returns the paths of the lists whose objects are lines of the record; empty if the layout has no such lists.
    pub(crate) fn line_lists(&self) -> &[String] {
        match &self.tables {
            Tables::InvoiceWithLines(_, line) => line.each.as_ref().map(|Source(paths)| paths.as_slice()),
            _ => None,
        }
        .unwrap_or_default()
    }

    /// Returns the text of the layout file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the SHA-256 of the layout file in hexadecimal. A plan stores it, so that all workers use the same layout.
    #[must_use]
    pub fn content_hash(&self) -> &str {
        &self.content_hash
    }
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha256::digest(bytes)).collect()
}
