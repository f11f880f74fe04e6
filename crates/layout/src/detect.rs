//! Detects the layout of a header or of the objects of a JSON source.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use notaflux_records::csv::PREAMBLE_LINES;

use crate::built_in::built_in;
use crate::fold;
use crate::json::shown::show;
use crate::layout::Layout;
use crate::path::PathTree;
use crate::reject::Quoted;
use crate::spec::Source;

/// Most column names of an unknown header in a message.
const SHOWN_LIMIT: usize = 40;

/// Most paths of an unknown JSON source that are kept.
const PATHS_LIMIT: usize = 1_000;

/// Most layouts in a message about an unknown header, the nearest first.
const NEAREST_SHOWN: usize = 3;

/// The result of comparing a header with layouts.
#[derive(Debug, Clone)]
pub enum Detection {
    /// The header matches this layout and no other. [`Mapping::fit`](crate::Mapping::fit) returns which columns are read.
    Fits(Arc<Layout>),
    /// The header matches the layouts with these names. The user has to choose one.
    Ambiguous(Vec<String>),
    /// The header matches none of the layouts.
    Unknown {
        /// Every layout that was compared, the nearest first.
        tried: Vec<Tried>,
        /// The columns of the header as written, or the paths of the values in the first JSON records.
        found: Vec<String>,
        /// Whether the source is JSON.
        is_json: bool,
    },
}

/// A layout that does not match, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The name of the layout.
    pub layout: String,
    /// The required columns that the header does not have, as written in the layout; `A or B` if one of them is enough.
    pub missing: Vec<String>,
    /// The columns of the header that the layout does not allow (`without`).
    pub unwanted: Vec<String>,
    /// Number of columns that the layout requires.
    pub required: usize,
}

/// Compares `header` with the built-in layouts. [`Detection::of`] compares it with others too.
#[must_use]
pub fn detect(header: &[impl AsRef<str>]) -> Detection {
    Detection::of(header, &[], built_in())
}

impl Detection {
    /// Compares `header` with the user's `own` layouts, and then with the `built_in` ones. An own layout that matches takes
    /// precedence over every built-in layout.
    #[must_use]
    pub fn of(header: &[impl AsRef<str>], own: &[Arc<Layout>], built_in: &[Arc<Layout>]) -> Self {
        let columns: HashSet<String> = header.iter().map(|name| fold::column(name.as_ref())).collect();
        let has = |name: &str| columns.contains(&fold::column(name));
        // Do not mention layouts of JSON paths, unless there are no others.
        let has_tables = own.iter().chain(built_in).any(|layout| !layout.is_of_paths());
        let lacking = |layout: &Layout| match layout.is_of_paths() {
            true if has_tables => Lacking::NotOfThisKind,
            true => Lacking::Names(Tried::none_of(layout)),
            false => Tried::of(layout, &has).into(),
        };
        Self::among(own, built_in, false, lacking, || header.iter().map(|name| name.as_ref().to_owned()).collect())
    }

    /// Compares the keys in the first `elements` of a JSON source, all of them together, with the layouts: those of paths, and
    /// those of columns, whose names are keys of flat objects. An element may end anywhere.
    #[must_use]
    pub fn of_json(elements: &[&[u8]], own: &[Arc<Layout>], built_in: &[Arc<Layout>]) -> Self {
        let lacking = |layout: &Layout| {
            let names: Vec<&str> =
                layout.requires().flatten().chain(&layout.spec.without).map(String::as_str).collect();
            let tree = PathTree::of_columns(layout, names.iter().copied());
            let mut seen = HashSet::new();
            for element in elements {
                show(&tree, element, &mut |shown| seen.extend(shown.column));
            }
            // If several names lead to the same place, the tree has the column of the first.
            let has =
                |name: &str| tree.column_of(name, layout.is_of_paths()).is_some_and(|column| seen.contains(&column));
            Tried::of(layout, &has).into()
        };
        Self::among(own, built_in, true, lacking, || paths_of(elements))
    }

    /// Whether this source is nearer to a layout than that of `other`.
    #[must_use]
    pub fn is_nearer_than(&self, other: &Self) -> bool {
        let distance = |detection: &Self| match detection {
            Self::Fits(_) => 0,
            Self::Ambiguous(_) => 1,
            Self::Unknown { tried, .. } => tried.first().map_or(usize::MAX, |nearest| 2 + nearest.distance()),
        };
        distance(self) < distance(other)
    }

    /// Returns the first layout that lacks nothing. `found` returns the names in the source, for messages.
    fn among(
        own: &[Arc<Layout>],
        built_in: &[Arc<Layout>],
        is_json: bool,
        lacking: impl Fn(&Layout) -> Lacking,
        found: impl FnOnce() -> Vec<String>,
    ) -> Self {
        let mut tried = Vec::new();
        for layouts in [own, built_in] {
            let mut fitting = Vec::new();
            for layout in layouts {
                match lacking(layout) {
                    Lacking::Nothing => fitting.push(Arc::clone(layout)),
                    Lacking::Names(lacking) => tried.push(lacking),
                    Lacking::NotOfThisKind => {}
                }
            }
            match fitting.as_slice() {
                [] => {}
                [layout] => return Self::Fits(Arc::clone(layout)),
                several => return Self::Ambiguous(several.iter().map(|layout| layout.name().to_owned()).collect()),
            }
        }
        tried.sort_by_key(Tried::distance);
        Self::Unknown { tried, found: found(), is_json }
    }
}

/// What a source lacks to match a layout.
enum Lacking {
    Nothing,
    Names(Tried),
    NotOfThisKind,
}

impl From<Option<Tried>> for Lacking {
    fn from(tried: Option<Tried>) -> Self {
        tried.map_or(Self::Nothing, Self::Names)
    }
}

/// Returns the paths of the elements' values, in the order of their first appearance.
fn paths_of(elements: &[&[u8]]) -> Vec<String> {
    let tree = PathTree::empty();
    let (mut paths, mut seen) = (Vec::new(), HashSet::new());
    for element in elements {
        show(&tree, element, &mut |shown| {
            if !shown.text.is_empty() && paths.len() < PATHS_LIMIT && seen.insert(shown.path.to_owned()) {
                paths.push(shown.path.to_owned());
            }
        });
    }
    paths
}

impl Tried {
    /// Returns the result for a layout of JSON paths and a source that is a table.
    fn none_of(layout: &Layout) -> Self {
        let missing: Vec<String> = layout.spec.requires.iter().map(Source::alternatives).collect();
        Self { layout: layout.name().to_owned(), required: missing.len(), missing, unwanted: Vec::new() }
    }

    /// Returns why `layout` does not match a source that `has` certain names; none if it matches.
    fn of(layout: &Layout, has: &dyn Fn(&str) -> bool) -> Option<Self> {
        let (mut missing, mut required) = (Vec::new(), 0);
        for source in &layout.spec.requires {
            required += 1;
            if !source.0.iter().any(|name| has(name)) {
                missing.push(source.alternatives());
            }
        }
        let unwanted: Vec<String> = layout.spec.without.iter().filter(|name| has(name)).cloned().collect();
        let fits = missing.is_empty() && unwanted.is_empty();
        (!fits).then(|| Self { layout: layout.name().to_owned(), missing, unwanted, required })
    }

    /// Returns the share of missing columns in thousandths: 1 of 10 is nearer than 1 of 2. An unwanted column counts as missing.
    fn distance(&self) -> usize {
        (self.missing.len() + self.unwanted.len()) * 1_000 / self.required.max(1)
    }

    /// Whether the header has none of the columns that the layout requires.
    fn is_far(&self) -> bool {
        self.missing.len() == self.required
    }
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fits(layout) => write!(f, "the header matches layout {}", layout.name()),
            Self::Ambiguous(names) => {
                write!(f, "the source matches several layouts: {}; name one of them with --layout", names.join(", "))
            }
            Self::Unknown { tried, found, is_json: true } if tried.iter().all(Tried::is_far) => {
                let names: Vec<&str> = tried.iter().map(|tried| tried.layout.as_str()).collect();
                write!(f, "the JSON matches no layout (compared with {}): found ", names.join(", "))?;
                if found.is_empty() {
                    return f.write_str("no key that has a value");
                }
                write_names(f, found)?;
                f.write_str("; write a layout of these paths (docs/layouts.md) and name it with --layout")
            }
            Self::Unknown { tried, found, .. } if tried.iter().all(Tried::is_far) => {
                // Cells that no layout knows may be data. They must not be in the message, because it is logged.
                let names: Vec<&str> = tried.iter().map(|tried| tried.layout.as_str()).collect();
                write!(
                    f,
                    "the header matches no layout (compared with {}): found {} columns, none of them known: check that one \
                     of the first {} lines is the header",
                    names.join(", "),
                    found.len(),
                    PREAMBLE_LINES + 1
                )
            }
            Self::Unknown { tried, found, is_json } => {
                write!(f, "the {} matches no layout: ", if *is_json { "JSON" } else { "header" })?;
                for tried in tried.iter().filter(|tried| !tried.is_far()).take(NEAREST_SHOWN) {
                    tried.fmt(f)?;
                    f.write_str("; ")?;
                }
                f.write_str("found ")?;
                write_names(f, found)?;
                f.write_str("; name another layout with --layout or write one (docs/layouts.md)")
            }
        }
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.layout)?;
        if !self.missing.is_empty() {
            f.write_str(" also requires ")?;
            write_names(f, &self.missing)?;
        }
        if !self.unwanted.is_empty() {
            f.write_str(if self.missing.is_empty() { " does not allow " } else { " and does not allow " })?;
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
