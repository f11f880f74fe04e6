//! Which layout a source is read by: the one that somebody names, or the one that its header is of.
//!
//! Looked at in this order: the layout that the command names (`--layout`), the one that the object's metadata names
//! (`layout`), the one of the longest rule that the object's key begins with. Without any of them the header of each entry
//! is compared with the user's layouts, which lie under `layouts/` in the work bucket, and with the built-in ones.

use std::sync::Arc;

use super::error::Error;
use super::plan::Plan;
use super::store::WorkStore;
use notaflux_layout::{self as layout, Detection, Layout};
use notaflux_records::source::Identity;

/// Where the user's layouts lie in the work bucket.
pub const FOLDER: &str = "layouts/";

/// What their names end with.
const EXTENSION: &str = ".toml";

/// Most bytes of a layout file: the built-in ones have some thousand.
const LAYOUT_LIMIT_BYTES: u64 = 256 * 1024;

/// What is said of layouts before any source is looked at.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The layout to read everything by.
    pub named: Option<Named>,
    /// Layouts by what an object's key begins with.
    pub rules: Vec<Rule>,
    /// Whether what is odd about a record rejects it.
    pub strict: bool,
}

/// A layout as somebody names it.
#[derive(Debug, Clone)]
pub enum Named {
    /// By its name.
    Name(String),
    /// By its file.
    File(Arc<Layout>),
}

/// Objects whose key begins with `prefix` are of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What the key begins with.
    pub prefix: String,
    /// Name of the layout.
    pub layout: String,
}

impl Rule {
    /// Reads rules like `erp/=sped,xero/=xero`.
    ///
    /// # Errors
    /// The part that is no rule.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let rule = |part: &str| match part.rsplit_once('=') {
            Some((prefix, layout)) if !layout.is_empty() => {
                Ok(Self { prefix: prefix.to_owned(), layout: layout.to_owned() })
            }
            _ => Err(format!("expected prefix=layout, found {part:?}")),
        };
        parts.map(rule).collect()
    }
}

/// The layouts that there are for one source.
#[derive(Debug)]
pub(super) struct Catalog {
    user: Vec<Arc<Layout>>,
    /// Files under `layouts/` that are none, and why.
    broken: Vec<(String, String)>,
    named: Option<Arc<Layout>>,
}

impl Catalog {
    /// The layouts for `source`.
    ///
    /// # Errors
    /// The work store; a layout that is named and is not there or cannot be read.
    pub(super) async fn open(choice: &Choice, source: &Identity, store: &WorkStore) -> Result<Self, Error> {
        let (mut user, mut broken) = (Vec::new(), Vec::new());
        for (key, size_bytes) in store.list(FOLDER).await? {
            let Some(file) = key.strip_prefix(FOLDER).filter(|file| file.strip_suffix(EXTENSION).is_some()) else {
                continue;
            };
            if size_bytes > LAYOUT_LIMIT_BYTES {
                let expected = format!("expected at most {LAYOUT_LIMIT_BYTES} bytes, found {size_bytes}");
                broken.push((file.to_owned(), expected));
                continue;
            }
            let text = store.get(&key).await?;
            match Layout::parse(&String::from_utf8_lossy(&text)) {
                Ok(layout) => user.push(Arc::new(layout)),
                Err(error) => broken.push((file.to_owned(), error.to_string())),
            }
        }
        let mut catalog = Self { user, broken, named: None };
        catalog.named = match &choice.named {
            Some(Named::File(layout)) => Some(layout.clone()),
            Some(Named::Name(name)) => Some(catalog.by_name(name)?),
            None => choice.name_for(source).map(|name| catalog.by_name(name)).transpose()?,
        };
        Ok(catalog)
    }

    fn by_name(&self, name: &str) -> Result<Arc<Layout>, Error> {
        if let Some(layout) = self.user.iter().find(|layout| layout.name() == name) {
            return Ok(layout.clone());
        }
        if let Some(layout) = layout::by_name(name) {
            return Ok(layout);
        }
        let is_it = |file: &str| file.strip_suffix(EXTENSION) == Some(name);
        if let Some((file, error)) = self.broken.iter().find(|(file, _)| is_it(file)) {
            return Err(Error::Layout { name: format!("{FOLDER}{file}"), message: error.clone() });
        }
        let all = layout::built_in().iter().chain(&self.user).map(|layout| layout.name());
        let message = format!("there is no such layout; there are {}", all.collect::<Vec<_>>().join(", "));
        Err(Error::Layout { name: name.to_owned(), message })
    }

    /// The layout that JSON records are read by, of which these are the first, in a list at this path: the one that is named,
    /// if it fits, or else the one that the records are of. A layout that says where the list stands fits no other list.
    pub(super) fn choose_json(&self, path: &[String], elements: &[&[u8]]) -> Detection {
        let path = path.join(".");
        let is_there = |layout: &&Arc<Layout>| layout.records().is_none_or(|paths| paths.contains(&path));
        let of = |layouts: &[Arc<Layout>]| layouts.iter().filter(is_there).cloned().collect::<Vec<_>>();
        match &self.named {
            Some(named) => Detection::of_json(elements, &of(std::slice::from_ref(named)), &[]),
            None => self.told(Detection::of_json(elements, &of(&self.user), &of(layout::built_in()))),
        }
    }

    /// The layout that `header` is read by: the one that is named, if it fits, or else the one that the header is of.
    pub(super) fn choose(&self, header: &[String]) -> Detection {
        if let Some(named) = &self.named {
            return Detection::of(header, std::slice::from_ref(named), &[]);
        }
        self.told(Detection::of(header, &self.user, layout::built_in()))
    }

    /// Tells of the layouts that cannot be read where none fits.
    fn told(&self, detection: Detection) -> Detection {
        if !matches!(detection, Detection::Fits(_)) {
            for (file, error) in &self.broken {
                tracing::warn!(file, error, "a layout in the work bucket cannot be read");
            }
        }
        detection
    }
}

impl Choice {
    /// The name that the object's metadata or the longest rule gives.
    fn name_for<'n>(&'n self, source: &'n Identity) -> Option<&'n str> {
        let key = source.key.as_deref().unwrap_or_default();
        let fitting = self.rules.iter().filter(|rule| source.key.is_some() && key.starts_with(&rule.prefix));
        let ruled = fitting.max_by_key(|rule| rule.prefix.len()).map(|rule| rule.layout.as_str());
        source.layout.as_deref().or(ruled)
    }
}

/// Keeps the text of a layout that is not built in, so that every worker reads the same.
pub(super) fn keep(layout: &Layout, plan: &mut Plan) {
    let is_built_in = layout::by_name(layout.name()).is_some_and(|built| built.content_hash() == layout.content_hash());
    if !is_built_in {
        plan.layouts.insert(layout.content_hash().to_owned(), layout.text().to_owned());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    #[test]
    fn metadata_wins_over_rules_and_the_longest_rule_over_shorter_ones() {
        let rules = Rule::parse_all("erp/=sped, erp/2024/=english,=portal-invoice").unwrap();
        let choice = Choice { rules, ..Choice::default() };
        let source = |key: &str, layout: Option<&str>| Identity {
            key: Some(key.to_owned()),
            layout: layout.map(str::to_owned),
            ..Identity::default()
        };
        for (key, layout, expected) in [
            ("erp/a.csv", None, "sped"),
            ("erp/2024/a.csv", None, "english"),
            ("other.csv", None, "portal-invoice"),
            ("erp/a.csv", Some("xero"), "xero"),
        ] {
            assert_eq!(choice.name_for(&source(key, layout)), Some(expected), "{key}");
        }
        assert_eq!(choice.name_for(&Identity::default()), None);
        assert_eq!(Rule::parse_all("erp").unwrap_err(), "expected prefix=layout, found \"erp\"");
    }
}
