//! Where the keys of objects lead to, remembered: those of the next object mostly come in the order of those before.

use std::collections::HashMap;

use super::super::path::{NodeId, PathTree, Step};
use super::unescape;

/// Keys that are remembered of one place: documents have some dozens, and whatever means harm has many.
const REMEMBERED_LIMIT: usize = 256;
/// Bytes of a key that is remembered: longer ones are in no layout, and thousands of them would fill the memory.
const REMEMBERED_KEY_LIMIT_BYTES: usize = 128;

/// The keys that were seen at one place, in the order in which they came first.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// As they stand in the source, with their escapes, and where they lead to.
    pub(super) seen: Vec<(Box<[u8]>, Step)>,
    places: HashMap<Box<[u8]>, usize>,
}

impl Keys {
    /// Where `key`, as it stands in the source, leads to. `next`: which one is expected in this object, 0 where it begins.
    pub(super) fn step(&mut self, tree: &PathTree, at: NodeId, key: &[u8], next: &mut usize) -> Step {
        let is_expected = self.seen.get(*next).is_some_and(|(expected, _)| **expected == *key);
        let place = if is_expected { Some(*next) } else { self.places.get(key).copied() };
        if let Some((place, (_, step))) = place.and_then(|place| Some((place, self.seen.get(place)?))) {
            *next = place + 1;
            return *step;
        }
        let step = worked_out(tree, at, key);
        if self.seen.len() < REMEMBERED_LIMIT && key.len() <= REMEMBERED_KEY_LIMIT_BYTES {
            self.places.insert(key.into(), self.seen.len());
            self.seen.push((key.into(), step));
            *next = self.seen.len();
        }
        step
    }
}

fn worked_out(tree: &PathTree, at: NodeId, key: &[u8]) -> Step {
    let key = str::from_utf8(key).unwrap_or_default();
    if !key.contains('\\') {
        return tree.step(at, key);
    }
    let mut unescaped = String::new();
    match unescape(&format!("\"{key}\""), &mut Vec::new(), &mut unescaped) {
        Some(()) => tree.step(at, &unescaped),
        None => Step::Past,
    }
}
