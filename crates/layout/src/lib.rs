//! Which column means what. Layouts are data: TOML files, of which some are compiled in, all read by one reader.
//!
//! A header is compared with the layouts ([`detect`]); the one that fits is bound to it as a [`Mapping`], which knows for
//! every field in which column to look; that turns each [`Row`] into a [`Record`] or a [`Reject`].
//!
//! ```
//! use notaflux_layout::{Detection, Mapping, detect};
//!
//! let header = ["chave de acesso", "Número"];
//! let Detection::Unknown { tried, .. } = detect(&header) else { panic!("two columns are no layout's") };
//! let portal = tried.iter().find(|tried| tried.layout == "portal-invoice").unwrap();
//! assert!(portal.missing.contains(&"VALOR NOTA FISCAL".to_owned()));
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `layouts/*.toml` | the built-in layouts; docs/layouts.md tells how to write one |
//! | `spec` | what a layout file may say |
//! | `check` | what a layout file cannot mean, and where it says so |
//! | `fold` | when two column names are the same |
//! | `detect` | which layout a header is of |
//! | `row` | a record as text |
//! | `json`, `path` | an element of JSON as a row: where its values stand |
//! | `bind` | a layout's fields bound to a header's columns |
//! | `columns`, `cell` | what is read of a row, and how |
//! | `conventions` | how a source as a whole writes amounts and dates |
//! | `mapping` | a row to a record |
//! | `reject` | why a row is none |

mod bind;
mod cell;
mod check;
mod columns;
mod conventions;
mod detect;
mod fold;
mod json;
mod mapping;
mod path;
mod reject;
mod row;
mod spec;

use std::sync::{Arc, LazyLock};

use serde::Serialize;
use thiserror::Error;

use notaflux_invoice::{DateConvention, DecimalConvention};
use notaflux_sha256::{self as sha256, hex};
use spec::{LayoutFormat, LayoutSpec, Source, Tables};

pub use bind::{Bound, MappingError};
pub use conventions::{Ballot, ConventionVotes, Conventions};
pub use detect::{Detection, Tried};
pub use json::{LINES_LIMIT, Shown, Unreadable};
pub use mapping::{Fit, InvoiceRow, Mapping, Record};
pub use reject::{Reason, Reject};
pub use row::{Row, Scratch};

/// The texts of the built-in layouts.
const BUILT_IN: [&str; 12] = [
    include_str!("layouts/portal-invoice.toml"),
    include_str!("layouts/portal-line.toml"),
    include_str!("layouts/portal-event.toml"),
    include_str!("layouts/mg-invoice.toml"),
    include_str!("layouts/mg-line.toml"),
    include_str!("layouts/sp-nfse.toml"),
    include_str!("layouts/sped.toml"),
    include_str!("layouts/english.toml"),
    include_str!("layouts/nfe.toml"),
    include_str!("layouts/nfse-national.toml"),
    include_str!("layouts/portal-api.toml"),
    include_str!("layouts/erp-json.toml"),
];

/// A layout: how a header of it is known, and where each field comes from.
#[derive(Debug)]
pub struct Layout {
    spec: LayoutSpec,
    tables: Tables,
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
    /// What it says cannot be meant.
    #[error("the layout file{}: {what}", on_line(*line))]
    Meaning {
        /// The line, from 1, of the innermost key that it is about; none where it is about the file as a whole.
        line: Option<usize>,
        /// What cannot be meant.
        what: String,
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
        let meaning = |wrong: check::Wrong| LayoutError::Meaning { line: wrong.line(text), what: wrong.what };
        let tables = check::tables(&mut spec).map_err(meaning)?;
        check::check(&spec, &tables).map_err(meaning)?;
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
    fn line_lists(&self) -> &[String] {
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

/// The layouts that are compiled in.
#[must_use]
pub fn built_in() -> &'static [Arc<Layout>] {
    // That none is left out here is a test's business: a layout that cannot be read fails it.
    static LAYOUTS: LazyLock<Vec<Arc<Layout>>> =
        LazyLock::new(|| BUILT_IN.iter().filter_map(|text| Layout::parse(text).ok()).map(Arc::new).collect());
    &LAYOUTS
}

/// The built-in layout of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<Arc<Layout>> {
    built_in().iter().find(|layout| layout.name() == name).cloned()
}

/// Compares `header` with the built-in layouts; [`Detection::of`] compares with others.
#[must_use]
pub fn detect(header: &[impl AsRef<str>]) -> Detection {
    Detection::of(header, &[], built_in())
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha256::digest(bytes)).collect()
}

#[cfg(test)]
mod tests;
