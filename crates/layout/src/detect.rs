//! Which layout a header is of, or the objects of a JSON source.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::built_in::built_in;
use crate::fold;
use crate::json::shown::show;
use crate::layout::Layout;
use crate::path::PathTree;
use crate::reject::Quoted;
use crate::spec::Source;

/// Column names of an unknown header that a message shows.
const SHOWN_LIMIT: usize = 40;

/// Paths of an unknown source that are kept.
const PATHS_LIMIT: usize = 1_000;

/// Layouts that a message about an unknown header names, the nearest first.
const NEAREST_SHOWN: usize = 3;

/// What a header is taken for.
#[derive(Debug, Clone)]
pub enum Detection {
    /// It has all the columns that this layout asks for, and no other layout's; [`Mapping::fit`](crate::Mapping::fit)
    /// tells how well it fits.
    Fits(Arc<Layout>),
    /// It has those of several layouts, named here: someone has to choose.
    Ambiguous(Vec<String>),
    /// It is of no layout that was tried.
    Unknown {
        /// Every layout tried, the nearest first.
        tried: Vec<Tried>,
        /// The columns of the header, as they stand; of JSON the paths of the first records' values.
        found: Vec<String>,
        /// Whether it is JSON that was looked at.
        is_json: bool,
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

/// Compares `header` with the built-in layouts; [`Detection::of`] compares with others.
#[must_use]
pub fn detect(header: &[impl AsRef<str>]) -> Detection {
    Detection::of(header, &[], built_in())
}

impl Detection {
    /// Compares `header` with the `own` layouts of whoever ingests, then with those that are `built_in`: an own layout
    /// that fits counts before any that is built in.
    #[must_use]
    pub fn of(header: &[impl AsRef<str>], own: &[Arc<Layout>], built_in: &[Arc<Layout>]) -> Self {
        let columns: HashSet<String> = header.iter().map(|name| fold::column(name.as_ref())).collect();
        let has = |name: &str| columns.contains(&fold::column(name));
        // Layouts of paths are not worth telling of, unless there is no other.
        let has_tables = own.iter().chain(built_in).any(|layout| !layout.is_of_paths());
        let lacking = |layout: &Layout| match layout.is_of_paths() {
            true if has_tables => Lacking::NotOfThisKind,
            true => Lacking::Names(Tried::none_of(layout)),
            false => Tried::of(layout, &has).into(),
        };
        Self::among(own, built_in, false, lacking, || header.iter().map(|name| name.as_ref().to_owned()).collect())
    }

    /// Compares what stands in the first `elements` of a JSON source, all of them together, with the layouts: those of paths,
    /// and those of columns, which are keys of flat objects here. An element may be cut anywhere.
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
            // Of names that lead to one place the first has it.
            let has =
                |name: &str| tree.column_of(name, layout.is_of_paths()).is_some_and(|column| seen.contains(&column));
            Tried::of(layout, &has).into()
        };
        Self::among(own, built_in, true, lacking, || paths_of(elements))
    }

    /// Whether less is missing to a layout than in `other`.
    #[must_use]
    pub fn is_nearer_than(&self, other: &Self) -> bool {
        let distance = |detection: &Self| match detection {
            Self::Fits(_) => 0,
            Self::Ambiguous(_) => 1,
            Self::Unknown { tried, .. } => tried.first().map_or(usize::MAX, |nearest| 2 + nearest.distance()),
        };
        distance(self) < distance(other)
    }

    /// The first that lacks nothing; `found` tells what there is, for messages.
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

/// What a source lacks to be of a layout.
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

/// The paths of the elements' values, in the order in which they appear.
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
    /// Of a layout that is for something else altogether.
    fn none_of(layout: &Layout) -> Self {
        let missing: Vec<String> = layout.spec.requires.iter().map(Source::alternatives).collect();
        Self { layout: layout.name().to_owned(), required: missing.len(), missing, unwanted: Vec::new() }
    }

    /// Why `layout` does not fit a source that `has` these names; none where it does.
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
                // Cells that no layout knows may be data, and whatever is said here is logged.
                let names: Vec<&str> = tried.iter().map(|tried| tried.layout.as_str()).collect();
                write!(
                    f,
                    "the header matches no layout (compared with {}): found {} columns, none of them known: check that the \
                     first line is the header",
                    names.join(", "),
                    found.len()
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
