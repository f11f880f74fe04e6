//! Remembers where the keys of objects lead. The keys of the next object usually have the same order as the previous ones.

use std::collections::HashMap;

use crate::json::text::unescape;
use crate::path::{KeyStep, NodeId, PathTree};

/// Most keys that are remembered for one place: documents have some dozens, and a hostile source has many.
const REMEMBERED_LIMIT: usize = 256;
/// Most bytes of a remembered key: no layout has longer ones, and thousands of them would fill the memory.
const REMEMBERED_KEY_LIMIT_BYTES: usize = 128;

/// Most bytes between one value and the next: a key, and white space of any usual indentation.
const LEAD_LIMIT_BYTES: usize = 2 * REMEMBERED_KEY_LIMIT_BYTES;

/// The keys that were seen at one place, in the order of their first appearance.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// The keys as in the source, with their escapes, and where they lead.
    pub(crate) seen: Vec<(Box<[u8]>, KeyStep)>,
    places: HashMap<Box<[u8]>, usize>,
    /// For each key: the bytes from the comma before it to its value, as last seen. Empty for some keys.
    leads: Vec<(Vec<u8>, KeyStep)>,
}

impl Keys {
    /// Returns where `key`, written as in the source, leads. `next` is the number of the expected key, 0 at the start of an object.
    pub(crate) fn step(&mut self, tree: &PathTree, at: NodeId, key: &[u8], next: &mut usize) -> KeyStep {
        let is_expected = self.seen.get(*next).is_some_and(|(expected, _)| **expected == *key);
        let place = if is_expected { Some(*next) } else { self.places.get(key).copied() };
        if let Some((place, (_, step))) = place.and_then(|place| Some((place, self.seen.get(place)?))) {
            *next = place + 1;
            return *step;
        }
        let step = look_up(tree, at, key);
        if self.seen.len() < REMEMBERED_LIMIT && key.len() <= REMEMBERED_KEY_LIMIT_BYTES {
            self.places.insert(key.into(), self.seen.len());
            self.seen.push((key.into(), step));
            *next = self.seen.len();
        }
        step
    }

    /// Returns where the expected key leads, and the number of bytes up to its value, if these bytes are the same as last time.
    #[inline]
    pub(crate) fn expected(&self, rest: &[u8], next: &mut usize) -> Option<(usize, KeyStep)> {
        let (lead, step) = self.leads.get(*next)?;
        if lead.is_empty() || !begins_with(rest, lead) {
            return None;
        }
        *next += 1;
        Some((lead.len(), *step))
    }

    /// Remembers the bytes before the value of `key`. `next` is the number of the key that is expected after it.
    pub(crate) fn note_lead(&mut self, key: &[u8], lead: &[u8], next: usize) {
        let Some(place) = next.checked_sub(1) else { return };
        let Some((seen, step)) = self.seen.get(place) else { return };
        if **seen != *key || lead.len() > LEAD_LIMIT_BYTES {
            return;
        }
        if self.leads.len() <= place {
            self.leads.resize(place + 1, (Vec::new(), KeyStep::Past));
        }
        if let Some(noted) = self.leads.get_mut(place) {
            noted.0.clear();
            noted.0.extend_from_slice(lead);
            noted.1 = *step;
        }
    }
}

/// Whether `rest` begins with `lead`. Faster than a comparison of any length: most leads are two or three blocks of 16 bytes.
#[inline]
fn begins_with(rest: &[u8], lead: &[u8]) -> bool {
    let Some(start) = rest.get(..lead.len()) else { return false };
    let (Some(start_last), Some(lead_last)) = (start.last_chunk::<16>(), lead.last_chunk::<16>()) else {
        return start == lead;
    };
    let mut blocks = start.as_chunks::<16>().0.iter().zip(lead.as_chunks::<16>().0);
    start_last == lead_last && blocks.all(|(start, lead)| start == lead)
}

/// Looks up `key` in the tree, without its escapes.
#[expect(clippy::expect_used, reason = "the element is text, and a key ends at quotes")]
fn look_up(tree: &PathTree, at: NodeId, key: &[u8]) -> KeyStep {
    let key = str::from_utf8(key).expect("a key is a part of a text");
    if !key.contains('\\') {
        return tree.step(at, key);
    }
    let mut unescaped = String::new();
    match unescape(&format!("\"{key}\""), &mut Vec::new(), &mut unescaped) {
        Some(()) => tree.step(at, &unescaped),
        // An invalid escape: the reader of the object rejects the element.
        None => KeyStep::Past,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_lead_counts() {
        for length in 0..80 {
            let lead: Vec<u8> = (0..length).collect();
            let mut rest = lead.clone();
            assert!(begins_with(&rest, &lead));
            assert!(length == 0 || !begins_with(&rest[1..], &lead) && !begins_with(&rest[..rest.len() - 1], &lead));
            rest.extend_from_slice(b"behind");
            assert!(begins_with(&rest, &lead));
            for at in 0..lead.len() {
                rest[at] ^= 0x20;
                assert!(!begins_with(&rest, &lead), "byte {at} of {length}");
                rest[at] ^= 0x20;
            }
        }
    }
}
