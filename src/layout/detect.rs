//! Which layout a header is of.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::bind::alternatives;
use super::reject::Quoted;
use super::{Layout, fold};

/// Column names of an unknown header that a message shows.
const SHOWN_LIMIT: usize = 40;

/// Layouts that a message about an unknown header names, the nearest first.
const NEAREST_SHOWN: usize = 3;

/// What a header is taken for.
#[derive(Debug, Clone)]
pub enum Detection {
    /// It has all the columns that this layout asks for, and no other layout's; [`Mapping::fit`](super::Mapping::fit)
    /// tells how well it fits.
    Fits(Arc<Layout>),
    /// It has those of several layouts, named here: someone has to choose.
    Ambiguous(Vec<String>),
    /// It is of no layout that was tried.
    Unknown {
        /// Every layout tried, the nearest first.
        tried: Vec<Tried>,
        /// The columns of the header, as they stand.
        found: Vec<String>,
    },
}

/// A layout that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The layout's name.
    pub layout: String,
    /// The columns that it asks for and the header lacks, as the layout writes them; `A or B` where either would do.
    pub missing: Vec<String>,
    /// The columns that the header has and no header of the layout does.
    pub unwanted: Vec<String>,
    /// How many columns it asks for.
    pub required: usize,
}

impl Detection {
    /// Compares `header` with the `own` layouts of whoever ingests, then with those that are `built_in`: an own layout
    /// that fits counts before any that is built in.
    #[must_use]
    pub fn of(header: &[impl AsRef<str>], own: &[Arc<Layout>], built_in: &[Arc<Layout>]) -> Self {
        let columns: HashSet<String> = header.iter().map(|name| fold::column(name.as_ref())).collect();
        let mut tried = Vec::new();
        for layouts in [own, built_in] {
            let mut fitting = Vec::new();
            for layout in layouts {
                match Tried::of(layout, &columns) {
                    None => fitting.push(Arc::clone(layout)),
                    Some(lacking) => tried.push(lacking),
                }
            }
            match fitting.as_slice() {
                [] => {}
                [layout] => return Self::Fits(Arc::clone(layout)),
                several => return Self::Ambiguous(several.iter().map(|layout| layout.name().to_owned()).collect()),
            }
        }
        tried.sort_by_key(Tried::distance);
        Self::Unknown { tried, found: header.iter().map(|name| name.as_ref().to_owned()).collect() }
    }
}

impl Tried {
    /// Why `layout` does not fit a header of these folded columns; none where it does.
    fn of(layout: &Layout, columns: &HashSet<String>) -> Option<Self> {
        let has = |name: &String| columns.contains(&fold::column(name));
        let (mut missing, mut required) = (Vec::new(), 0);
        for source in &layout.spec.requires {
            required += 1;
            if !source.0.iter().any(has) {
                missing.push(alternatives(source));
            }
        }
        let unwanted: Vec<String> = layout.spec.without.iter().filter(|name| has(name)).cloned().collect();
        let fits = missing.is_empty() && unwanted.is_empty();
        (!fits).then(|| Self { layout: layout.name().to_owned(), missing, unwanted, required })
    }

    /// By the share that is missing: 1 of 10 is nearer than 1 of 2. A column too many counts as one that is missing.
    fn distance(&self) -> usize {
        (self.missing.len() + self.unwanted.len()) * 1_000 / self.required.max(1)
    }

    /// Whether the header has nothing of what the layout asks for.
    fn is_far(&self) -> bool {
        self.missing.len() == self.required
    }
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fits(layout) => write!(f, "the header fits layout {}", layout.name()),
            Self::Ambiguous(names) => {
                write!(f, "the header fits several layouts: {}; choose one with --layout", names.join(", "))
            }
            Self::Unknown { tried, found } if tried.iter().all(Tried::is_far) => {
                // Cells that no layout knows may be data, and whatever is said here is logged.
                let names: Vec<&str> = tried.iter().map(|tried| tried.layout.as_str()).collect();
                write!(
                    f,
                    "the header fits no layout of {}: found {} columns, none of them known: is the header line missing?",
                    names.join(", "),
                    found.len()
                )
            }
            Self::Unknown { tried, found } => {
                f.write_str("the header fits no layout: ")?;
                for tried in tried.iter().filter(|tried| !tried.is_far()).take(NEAREST_SHOWN) {
                    tried.fmt(f)?;
                    f.write_str("; ")?;
                }
                f.write_str("found ")?;
                write_names(f, found)?;
                f.write_str("; name another layout with --layout, or write one (docs/LAYOUTS.md)")
            }
        }
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.layout)?;
        if !self.missing.is_empty() {
            f.write_str(" lacks ")?;
            write_names(f, &self.missing)?;
        }
        if !self.unwanted.is_empty() {
            f.write_str(if self.missing.is_empty() { " has none of " } else { " and has none of " })?;
            write_names(f, &self.unwanted)?;
        }
        Ok(())
    }
}

fn write_names(f: &mut fmt::Formatter<'_>, names: &[String]) -> fmt::Result {
    for (at, name) in names.iter().take(SHOWN_LIMIT).enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(f, "{comma}{}", Quoted(name))?;
    }
    match names.len().saturating_sub(SHOWN_LIMIT) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}
