//! Which layout a header is of.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::{Layout, fold, reject::Quoted};

/// Column names of an unknown header that a message shows.
const SHOWN_LIMIT: usize = 40;

/// What a header is taken for.
#[derive(Debug, Clone)]
pub enum Detection {
    /// It has all the columns that this layout asks for, and no other layout's.
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
    /// The columns that it asks for and the header lacks, as the layout writes them.
    pub missing: Vec<String>,
    /// How many columns it asks for.
    pub required: usize,
}

impl Detection {
    /// Compares `header` with `layouts`.
    #[must_use]
    pub fn of(header: &[impl AsRef<str>], layouts: &[Arc<Layout>]) -> Self {
        let columns: HashSet<String> = header.iter().map(|name| fold::column(name.as_ref())).collect();
        let mut fitting = Vec::new();
        let mut tried = Vec::new();
        for layout in layouts {
            let is_missing = |name: &&String| !columns.contains(&fold::column(name));
            let missing: Vec<String> = layout.requires().iter().filter(is_missing).cloned().collect();
            if missing.is_empty() {
                fitting.push(Arc::clone(layout));
            } else {
                tried.push(Tried { layout: layout.name().to_owned(), missing, required: layout.requires().len() });
            }
        }
        match fitting.as_slice() {
            [layout] => Self::Fits(Arc::clone(layout)),
            [] => {
                // By the share that is missing: 1 of 10 is nearer than 1 of 2.
                tried.sort_by_key(|tried| tried.missing.len() * 1_000 / tried.required.max(1));
                Self::Unknown { tried, found: header.iter().map(|name| name.as_ref().to_owned()).collect() }
            }
            several => Self::Ambiguous(several.iter().map(|layout| layout.name().to_owned()).collect()),
        }
    }
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fits(layout) => write!(f, "the header fits layout {}", layout.name()),
            Self::Ambiguous(names) => {
                write!(f, "the header fits several layouts: {}; choose one with --layout", names.join(", "))
            }
            Self::Unknown { tried, found } => {
                f.write_str("the header fits no layout: ")?;
                for Tried { layout, missing, required } in tried {
                    let all = if missing.len() == *required { "all its columns: " } else { "" };
                    write!(f, "{layout} lacks {all}")?;
                    write_names(f, missing)?;
                    f.write_str("; ")?;
                }
                // Cells that no layout knows may be data, and whatever is said here is logged.
                if tried.iter().all(|tried| tried.missing.len() == tried.required) {
                    return write!(f, "found {} columns, none of them known: is the header line missing?", found.len());
                }
                f.write_str("found ")?;
                write_names(f, found)
            }
        }
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
