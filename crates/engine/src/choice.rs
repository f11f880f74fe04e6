//! Chooses the layout to read a source by.
//!
//! A layout can be named in three ways, in this order of precedence: by the command (`--layout`), by the metadata of the
//! object (`layout`), and by the rule with the longest prefix of the object's key. If no layout is named, the header of each
//! entry is compared with the user's layouts (`layouts/` in the work bucket) and with the built-in layouts.

use std::sync::Arc;

use super::error::Error;
use super::store::WorkStore;
use notaflux_layout::{self as layout, Detection, Layout};
use notaflux_records::source::Identity;

/// Folder of the user's layouts in the work bucket.
const FOLDER: &str = "layouts/";

/// Extension of layout files.
const EXTENSION: &str = ".toml";

/// Most bytes of a layout file. The built-in layouts have a few thousand.
const LAYOUT_LIMIT_BYTES: u64 = 256 * 1024;

/// The user's choice of layouts, before any source is read.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The layout to read every source by.
    pub named: Option<Named>,
    /// Layouts by prefix of the object's key.
    pub rules: Vec<Rule>,
    /// Whether a warning rejects its record.
    pub strict: bool,
    /// Whether to pass over entries of an archive that hold data and cannot be read. Otherwise they fail the ingestion.
    pub skip_unknown: bool,
}

/// A layout that the user names.
#[derive(Debug, Clone)]
pub enum Named {
    /// A built-in layout or one of the work bucket, by its name.
    Name(String),
    /// The layout of a file.
    File(Arc<Layout>),
}

/// A rule: read objects whose key begins with `prefix` by `layout`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Start of the key.
    pub prefix: String,
    /// Name of the layout.
    pub layout: String,
}

impl Rule {
    /// Parses rules such as `erp/=sped,xero/=xero`.
    ///
    /// # Errors
    /// Names the part that is no rule.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let rule = |part: &str| match part.rsplit_once('=') {
            Some((prefix, layout)) if !layout.is_empty() => {
                Ok(Self { prefix: prefix.to_owned(), layout: layout.to_owned() })
            }
            _ => Err(format!("expected prefix=layout, such as erp/=sped, found {part:?}")),
        };
        parts.map(rule).collect()
    }
}

/// The layouts available for one source.
#[derive(Debug)]
pub(crate) struct Catalog {
    user: Vec<Arc<Layout>>,
    /// Files under `layouts/` that are invalid, and why.
    invalid: Vec<(String, String)>,
    named: Option<Arc<Layout>>,
}

impl Catalog {
    /// Loads the layouts for `source`.
    ///
    /// # Errors
    /// The work store; a named layout that does not exist or is invalid.
    pub(crate) async fn open(choice: &Choice, source: &Identity, store: &WorkStore) -> Result<Self, Error> {
        let (mut user, mut invalid) = (Vec::new(), Vec::new());
        for (key, size_bytes) in store.list(FOLDER).await? {
            let Some(file) = key.strip_prefix(FOLDER).filter(|file| file.strip_suffix(EXTENSION).is_some()) else {
                continue;
            };
            if size_bytes > LAYOUT_LIMIT_BYTES {
                let expected = format!("expected a layout of at most {LAYOUT_LIMIT_BYTES} bytes, found {size_bytes}");
                invalid.push((file.to_owned(), expected));
                continue;
            }
            let text = store.get(&key).await?;
            match parse(&text) {
                Ok(layout) => user.push(Arc::new(layout)),
                Err(message) => invalid.push((file.to_owned(), message)),
            }
        }
        let mut catalog = Self { user, invalid, named: None };
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
        let is_named = |file: &str| file.strip_suffix(EXTENSION) == Some(name);
        if let Some((file, error)) = self.invalid.iter().find(|(file, _)| is_named(file)) {
            return Err(Error::Layout { name: format!("{FOLDER}{file}"), message: error.clone() });
        }
        let all = layout::built_in().iter().chain(&self.user).map(|layout| layout.name());
        let message = format!("no such layout; the layouts are {}", all.collect::<Vec<_>>().join(", "));
        Err(Error::Layout { name: name.to_owned(), message })
    }

    /// Chooses the layout for JSON records in a list at `path`, given the first of them: the named layout if it fits, or the
    /// layout detected from the records. A layout that specifies the path of its list fits no other list.
    pub(crate) fn choose_json(&self, path: &[String], elements: &[&[u8]]) -> Detection {
        let path = path.join(".");
        let is_there = |layout: &&Arc<Layout>| layout.records().is_none_or(|paths| paths.contains(&path));
        let of = |layouts: &[Arc<Layout>]| layouts.iter().filter(is_there).cloned().collect::<Vec<_>>();
        match &self.named {
            Some(named) => Detection::of_json(elements, &of(std::slice::from_ref(named)), &[]),
            None => self.warned(Detection::of_json(elements, &of(&self.user), &of(layout::built_in()))),
        }
    }

    /// Chooses the layout for a line that may be the header: the named layout if it fits, or the layout detected from the line.
    pub(crate) fn detect(&self, line: &[String]) -> Detection {
        match &self.named {
            Some(named) => Detection::of(line, std::slice::from_ref(named), &[]),
            None => Detection::of(line, &self.user, layout::built_in()),
        }
    }

    /// Logs the invalid layouts if no layout fits.
    pub(crate) fn warned(&self, detection: Detection) -> Detection {
        if self.named.is_none() && !matches!(detection, Detection::Fits(_)) {
            for (file, error) in &self.invalid {
                tracing::warn!(file, error, "a layout in the work bucket is invalid");
            }
        }
        detection
    }
}

impl Choice {
    /// Returns the layout named by the object's metadata, or by the longest rule that fits its key.
    fn name_for<'n>(&'n self, source: &'n Identity) -> Option<&'n str> {
        let fits = |rule: &&Rule| source.key.as_deref().is_some_and(|key| key.starts_with(&rule.prefix));
        let fitting = self.rules.iter().filter(fits);
        let ruled = fitting.max_by_key(|rule| rule.prefix.len()).map(|rule| rule.layout.as_str());
        source.layout.as_deref().or(ruled)
    }
}

/// Parses a layout file of the work bucket.
fn parse(text: &[u8]) -> Result<Layout, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("expected UTF-8: {error}"))?;
    Layout::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    #[test]
    fn metadata_precedes_rules_and_longer_rules_precede_shorter_ones() {
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
        assert_eq!(Rule::parse_all("erp").unwrap_err(), "expected prefix=layout, such as erp/=sped, found \"erp\"");
    }
}
