//! The places of a layout's columns in the JSON of a record, as a tree of keys.
//!
//! Keys are folded before they are compared, like columns. The additions of XML-to-JSON converters are skipped: `@` and `$`
//! before the name of an attribute, the prefix of a namespace, and keys such as `_text` that contain only the text or the
//! attributes of their parent. Lists are skipped too: `"serie": ["1"]` is read as `"serie": "1"`.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::fold;
use crate::layout::Layout;

/// Keys that contain the attributes of their parent, without the prefix of an attribute: `$` of xml2js, `_attributes` of xml-js.
const ATTRIBUTES: [&str; 2] = ["", "_attributes"];

/// Keys that contain the text of their parent, as xmltodict, xml2js, xml-js, fast-xml-parser and others write them, and values
/// in `MongoDB`'s extended JSON.
const TEXTS: [&str; 12] = [
    "_",
    "_text",
    "#text",
    "__text",
    "t",
    "_cdata",
    "#cdata-section",
    "numberdecimal",
    "numberlong",
    "numberint",
    "date",
    "oid",
];

/// The keys that a layout names, as a tree.
#[derive(Debug)]
pub(crate) struct PathTree {
    nodes: Vec<Node>,
    /// Folded keys around the record that are skipped.
    through: Vec<String>,
    /// Distinguishes trees, for callers that remember the steps of one.
    id: u64,
}

/// A place in a [`PathTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(usize);

/// Where a key leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyStep {
    /// To a place that the layout names, or on the way to one.
    Into(NodeId),
    /// To the same place: the key is skipped.
    Stay,
    /// To a place that the layout does not read.
    Past,
}

#[derive(Debug, Default)]
struct Node {
    /// By folded key.
    children: Vec<(String, usize)>,
    column: Option<usize>,
    is_line: bool,
}

impl PathTree {
    /// The place of the whole record.
    pub(crate) const ROOT: NodeId = NodeId(0);

    /// Returns the tree of these columns of `layout`, in order: paths, or keys of the record itself if the layout has no paths.
    pub(crate) fn of_columns<'a>(layout: &Layout, columns: impl Iterator<Item = &'a str>) -> Self {
        static TREES: AtomicU64 = AtomicU64::new(1);
        let id = TREES.fetch_add(1, Ordering::Relaxed);
        let through = layout.spec.through.iter().map(|key| fold::column(key)).collect();
        let mut tree = Self { nodes: vec![Node::default()], through, id };
        for (column, path) in columns.enumerate() {
            let at = tree.place(path, layout.is_of_paths());
            if let Some(node) = tree.nodes.get_mut(at) {
                node.column.get_or_insert(column);
            }
        }
        for path in layout.line_lists() {
            let at = tree.place(path, layout.is_of_paths());
            if let Some(node) = tree.nodes.get_mut(at) {
                node.is_line = true;
            }
        }
        tree
    }

    /// Returns a tree without columns.
    pub(crate) fn empty() -> Self {
        Self { nodes: vec![Node::default()], through: Vec::new(), id: 0 }
    }

    /// Returns the column at `path` of the layout.
    pub(crate) fn column_of(&self, path: &str, is_path: bool) -> Option<usize> {
        let at = keys_of(path, is_path).into_iter().try_fold(Self::ROOT, |at, key| match self.step(at, key) {
            KeyStep::Into(next) => Some(next),
            KeyStep::Stay => Some(at),
            KeyStep::Past => None,
        });
        at.and_then(|at| self.column(at))
    }

    /// Returns the number of the tree, which no other tree has.
    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// Returns the number of places.
    pub(crate) const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the column whose values are at this place.
    pub(crate) fn column(&self, at: NodeId) -> Option<usize> {
        self.nodes.get(at.0)?.column
    }

    /// Whether each object at this place is a line of the record.
    pub(crate) fn is_line(&self, at: NodeId) -> bool {
        self.nodes.get(at.0).is_some_and(|node| node.is_line)
    }

    /// Returns where `key` leads from `at`. This folds the key: callers that ask often should remember the answer.
    pub(crate) fn step(&self, at: NodeId, key: &str) -> KeyStep {
        let Some(node) = self.nodes.get(at.0) else { return KeyStep::Past };
        let child = |folded: &str| node.children.iter().find(|(name, _)| name == folded).map(|(_, child)| *child);
        let folded = fold::column(without_prefix(key));
        let local = folded.rsplit_once(':').map(|(_, local)| local);
        if let Some(found) = child(&folded).or_else(|| local.and_then(child)) {
            return KeyStep::Into(NodeId(found));
        }
        let is_through = |name: &str| at == Self::ROOT && self.through.iter().any(|through| through == name);
        let is_text = node.column.is_some() && TEXTS.contains(&folded.as_str());
        let is_attributes = ATTRIBUTES.contains(&folded.as_str());
        if is_text || is_attributes || is_through(&folded) || local.is_some_and(is_through) {
            return KeyStep::Stay;
        }
        KeyStep::Past
    }

    fn place(&mut self, path: &str, is_path: bool) -> usize {
        let mut at = 0;
        for key in keys_of(path, is_path) {
            let folded = fold::column(without_prefix(key));
            let new = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return at };
            if let Some((_, child)) = node.children.iter().find(|(name, _)| *name == folded) {
                at = *child;
                continue;
            }
            node.children.push((folded, new));
            self.nodes.push(Node::default());
            at = new;
        }
        at
    }
}

impl NodeId {
    pub(crate) const fn index(self) -> usize {
        self.0
    }
}

fn keys_of(path: &str, is_path: bool) -> Vec<&str> {
    if is_path { path.split('.').collect() } else { vec![path] }
}

/// Returns a key without the prefix of an attribute.
fn without_prefix(key: &str) -> &str {
    match key.strip_prefix("@_").or_else(|| key.strip_prefix(['@', '$'])) {
        Some(name) => name,
        None => key,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_of_a_key_leads_to_the_same_place() {
        let layout = Layout::parse(
            "name = \"x\"\ntitle = \"x\"\nformat = \"json\"\nthrough = [\"nfeProc\"]\nrequires = [\"inf.Id\"]\n\
             [id]\naccess_key = \"inf.Id\"\n[invoice]\nissued_at = \"inf.dhEmi\"\n[line]\neach = \"inf.det\"\ncode = \"prod.c\"\n",
        )
        .unwrap();
        let tree = PathTree::of_columns(&layout, ["inf.Id", "inf.dhEmi", "inf.det.prod.c"].into_iter());
        let column = |keys: &[&str]| {
            let mut at = PathTree::ROOT;
            for key in keys {
                match tree.step(at, key) {
                    KeyStep::Into(next) => at = next,
                    KeyStep::Stay => {}
                    KeyStep::Past => return None,
                }
            }
            tree.column(at)
        };
        for keys in [
            &["inf", "Id"][..],
            &["inf", "@Id"],
            &["inf", "$", "Id"],
            &["inf", "@_Id", "_text"],
            &["nfeProc", "inf", "_attributes", "id"],
            &["ns2:nfeProc", "ns2:INF", "$id"],
        ] {
            assert_eq!(column(keys), Some(0), "{keys:?}");
        }
        assert_eq!(column(&["inf", "det", "prod", "c", "#text"]), Some(2));
        // Only keys around the record are skipped.
        assert_eq!(column(&["inf", "nfeProc", "Id"]), None);
        assert_eq!(column(&["inf", "Id2"]), None);
        let KeyStep::Into(inf) = tree.step(PathTree::ROOT, "inf") else { unreachable!() };
        let KeyStep::Into(det) = tree.step(inf, "det") else { unreachable!() };
        assert!(tree.is_line(det) && !tree.is_line(inf));
    }
}
