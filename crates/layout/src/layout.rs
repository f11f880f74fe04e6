//! A layout: what its file says.

use serde::Serialize;
use thiserror::Error;

use crate::check;
use crate::conventions::Conventions;
use crate::spec::{LayoutFormat, LayoutSpec, Source, Tables};
use notaflux_invoice::{DateConvention, DecimalConvention};
use notaflux_sha256::{self as sha256, hex};

/// A layout: how a header of it is known, and where each field comes from.
#[derive(Debug)]
pub struct Layout {
    pub(crate) spec: LayoutSpec,
    pub(crate) tables: Tables,
    text: String,
    content_hash: String,
}

/// What is wrong with a layout file.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// It is no TOML, or says what a layout cannot say; the source shows the place.
    #[error("the layout file{}: {}", on_line(*line), source.message())]
    Toml {
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What the reader of TOML says.
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
    /// One line, and the invoice that it is of.
    InvoiceLine,
    /// One invoice with all of its lines.
    InvoiceWithLines,
}

impl Layout {
    /// Reads the TOML `text` of a layout file.
    ///
    /// # Errors
    /// TOML that is none, words that a layout does not have, names that stand twice or that nothing can have.
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

    /// Its name, such as `portal-invoice`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What people call it.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.spec.title
    }

    /// What a row yields.
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

    /// The columns that a header must have to be of this layout; of each list, one.
    pub fn requires(&self) -> impl Iterator<Item = &[String]> {
        self.spec.requires.iter().map(|Source(names)| names.as_slice())
    }

    /// Whether its names are paths into JSON objects; otherwise they are columns, or keys of flat objects.
    #[must_use]
    pub fn is_of_paths(&self) -> bool {
        self.spec.format == LayoutFormat::Json
    }

    /// Of JSON: the paths at which the list of records may stand, keys with points between; none where it says nothing.
    #[must_use]
    pub fn records(&self) -> Option<&[String]> {
        self.spec.records.as_ref().map(|Source(paths)| paths.as_slice())
    }

    /// How its amounts and dates are written, where the source as a whole does not show otherwise: the first of each that
    /// it allows.
    #[must_use]
    pub fn conventions(&self) -> Conventions {
        let allowed = &self.spec.conventions;
        Conventions {
            // The reader of the file lets no empty list through.
            decimal: allowed.decimal.0.first().copied().unwrap_or(DecimalConvention::Comma),
            date: allowed.date.0.first().copied().unwrap_or(DateConvention::DayMonthYear),
            time_zone: allowed.time_zone,
        }
    }

    /// Paths of the lists whose objects are lines of the record; none where lines have no list of their own.
    pub(crate) fn line_lists(&self) -> &[String] {
        match &self.tables {
            Tables::InvoiceWithLines(_, line) => line.each.as_ref().map(|Source(paths)| paths.as_slice()),
            _ => None,
        }
        .unwrap_or_default()
    }

    /// Its file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of its file, in hexadecimal: what a plan notes, so that all workers obey the same layout.
    #[must_use]
    pub fn content_hash(&self) -> &str {
        &self.content_hash
    }
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha256::digest(bytes)).collect()
}
