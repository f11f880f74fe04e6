//! One page of a bucket's sorted keys, by prefix, delimiter and starting point.

/// The parameters of a listing.
#[derive(Debug, Default)]
pub(super) struct Listing<'a> {
    pub(super) prefix: &'a str,
    /// Keys that are equal up to the first delimiter after the prefix are listed as one common prefix.
    pub(super) delimiter: Option<&'a str>,
    /// The key or common prefix after which the page begins.
    pub(super) after: &'a str,
    /// Most entries in a page.
    pub(super) limit: usize,
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Key(String),
    CommonPrefix(String),
}

/// A page, and its last entry if more entries follow.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    pub(super) next: Option<String>,
}

impl Listing<'_> {
    /// Returns the page of `keys`, which are sorted.
    pub(super) fn page(&self, keys: &[String]) -> Page {
        let mut page = Page::default();
        let mut last = "";
        for key in keys {
            let Some(rest) = key.strip_prefix(self.prefix) else { continue };
            if key.as_str() <= self.after {
                continue;
            }
            let common = self.delimiter.filter(|delimiter| !delimiter.is_empty()).and_then(|delimiter| {
                let end = self.prefix.len() + rest.find(delimiter)? + delimiter.len();
                key.get(..end)
            });
            // This common prefix is already listed, on this page or at the end of the previous one.
            if common.is_some_and(|common| common == last || common == self.after) {
                continue;
            }
            if page.entries.len() == self.limit {
                page.next = (self.limit > 0).then(|| last.to_owned());
                break;
            }
            last = common.unwrap_or(key);
            page.entries.push(match common {
                Some(common) => Entry::CommonPrefix(common.to_owned()),
                None => Entry::Key(key.clone()),
            });
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn walk(keys: &[String], prefix: &str, delimiter: Option<&str>, limit: usize) -> Vec<Entry> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = Listing { prefix, delimiter, after: &after, limit }.page(keys);
            assert!(page.entries.len() <= limit);
            all.extend(page.entries);
            match page.next {
                Some(next) => after = next,
                None => return all,
            }
        }
    }

    #[test]
    fn each_common_prefix_is_listed_once() {
        let keys = keys(&["a", "b/1", "b/2", "b0", "c/d/1"]);
        let found = walk(&keys, "", Some("/"), 10);
        let expected = [
            Entry::Key("a".into()),
            Entry::CommonPrefix("b/".into()),
            Entry::Key("b0".into()),
            Entry::CommonPrefix("c/".into()),
        ];
        assert_eq!(found, expected);
        assert_eq!(walk(&keys, "c/", Some("/"), 10), [Entry::CommonPrefix("c/d/".into())]);
        assert_eq!(walk(&keys, "b/", None, 10), [Entry::Key("b/1".into()), Entry::Key("b/2".into())]);
        assert_eq!(Listing { limit: 0, ..Listing::default() }.page(&keys), Page::default());
    }

    proptest! {
        #[test]
        fn pages_of_any_size_have_the_same_entries(
            mut keys in proptest::collection::vec("[ab/]{1,5}", 0..30),
            prefix in "[ab/]{0,2}",
            delimiter in proptest::option::of("[a/]"),
            limit in 1_usize..5,
        ) {
            keys.sort_unstable();
            keys.dedup();
            let delimiter = delimiter.as_deref();
            prop_assert_eq!(walk(&keys, &prefix, delimiter, limit), walk(&keys, &prefix, delimiter, 1000));
        }
    }
}
