//! Which column means what. Layouts are data: TOML files, of which some are compiled in, all read by one reader.
//!
//! A header is compared with the layouts ([`detect`]); the one that fits is bound to it as a [`Mapping`], which knows for
//! every field in which column to look; that turns each [`Row`] into a [`Record`] or a [`Reject`].
//!
//! ```
//! use notaflux::layout::{Detection, Mapping, detect};
//!
//! let header = ["chave de acesso", "Número"];
//! let Detection::Unknown { tried, .. } = detect(&header) else { panic!("two columns are no layout's") };
//! assert_eq!(tried[0].layout, "portal-invoice");
//! assert!(tried[0].missing.contains(&"VALOR NOTA FISCAL".to_owned()));
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `layouts/*.toml` | the built-in layouts |
//! | `spec` | what a layout file may say |
//! | `fold` | when two column names are the same |
//! | `detect` | which layout a header is of |
//! | `row` | a record as text |
//! | `columns` | a layout's fields bound to a header's columns |
//! | `mapping` | a row to a record |
//! | `reject` | why a row is none |

mod columns;
mod detect;
mod fold;
mod mapping;
mod reject;
mod row;
mod spec;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::invoice::{DateConvention, DecimalConvention};
use spec::LayoutSpec;

pub use columns::MappingError;
pub use detect::{Detection, Tried};
pub use mapping::{Mapping, Record};
pub use reject::{Reason, Reject};
pub use row::{Row, Scratch};

/// The texts of the built-in layouts.
const BUILT_IN: [&str; 1] = [include_str!("layouts/portal-invoice.toml")];

/// How amounts and dates are written. Decided for a source as a whole, never by the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conventions {
    /// How amounts are written.
    pub decimal: DecimalConvention,
    /// How dates are written.
    pub date: DateConvention,
}

/// A layout: how a header of it is known, and where each field comes from.
#[derive(Debug)]
pub struct Layout {
    spec: LayoutSpec,
    text: String,
    content_hash: String,
}

/// What is wrong with a layout file.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// It is no TOML, or says what a layout cannot say; the source tells the line.
    #[error("the layout file cannot be read")]
    Toml(#[source] Box<toml::de::Error>),
    /// What it says cannot be meant.
    #[error("the layout file: {0}")]
    Meaning(String),
}

/// What a row of a layout yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Yields {
    /// One invoice.
    Invoice,
}

impl Layout {
    /// Reads the TOML `text` of a layout file.
    ///
    /// # Errors
    /// TOML that is none, words that a layout does not have, names that stand twice or that nothing can have.
    pub fn parse(text: &str) -> Result<Self, LayoutError> {
        let spec: LayoutSpec = toml::from_str(text).map_err(|error| LayoutError::Toml(Box::new(error)))?;
        check(&spec).map_err(LayoutError::Meaning)?;
        Ok(Self { spec, text: text.to_owned(), content_hash: sha256_hex(text.as_bytes()) })
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
    pub fn yields(&self) -> &'static [Yields] {
        &[Yields::Invoice]
    }

    /// The columns that a header must have to be of this layout.
    #[must_use]
    pub fn requires(&self) -> &[String] {
        &self.spec.requires
    }

    /// How its amounts and dates are written, where the source as a whole does not show otherwise.
    #[must_use]
    pub fn conventions(&self) -> Conventions {
        self.spec.conventions
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
    Detection::of(header, built_in())
}

/// Finds what reads well and still cannot be meant.
fn check(spec: &LayoutSpec) -> Result<(), String> {
    let word = |text: &str, also: char| {
        let letter = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == also;
        (1..=64).contains(&text.len()) && text.chars().all(letter)
    };
    if !word(&spec.name, '-') {
        return Err(format!("name {:?} is not of small letters, digits and hyphens, at most 64", spec.name));
    }
    if spec.requires.is_empty() {
        return Err("requires names no column, so that every header would fit".to_owned());
    }
    if let Some(name) = repeated(spec.requires.iter().map(|name| fold::column(name))) {
        return Err(format!("requires names column {name:?} twice"));
    }
    if let Some(extra) = spec.extra.iter().find(|extra| !word(&extra.name, '_')) {
        return Err(format!("extra {:?} is not of small letters, digits and underscores, at most 64", extra.name));
    }
    if let Some(name) = repeated(spec.extra.iter().map(|extra| extra.name.clone())) {
        return Err(format!("extra {name:?} stands twice"));
    }
    let rules = spec.invoice.status.iter().flat_map(|status| &status.rules);
    if rules.into_iter().any(|rule| rule.contains.trim().is_empty()) {
        return Err("a rule of invoice.status contains nothing, so that every text would fit".to_owned());
    }
    if !(spec.currency.len() == 3 && spec.currency.chars().all(|char| char.is_ascii_uppercase())) {
        return Err(format!("currency {:?} is not an ISO 4217 code such as BRL", spec.currency));
    }
    Ok(())
}

fn repeated(names: impl Iterator<Item = String>) -> Option<String> {
    let mut seen = HashSet::new();
    let mut names = names;
    names.find(|name| !seen.insert(name.clone()))
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a `String` cannot fail.
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests;
