//! Where the keys of objects lead to, remembered: those of the next object mostly come in the order of those before.

use std::collections::HashMap;

use crate::json::text::unescape;
use crate::path::{KeyStep, NodeId, PathTree};

/// Keys that are remembered of one place: documents have some dozens, and whatever means harm has many.
const REMEMBERED_LIMIT: usize = 256;
/// Bytes of a key that is remembered: longer ones are in no layout, and thousands of them would fill the memory.
const REMEMBERED_KEY_LIMIT_BYTES: usize = 128;

/// Bytes of what leads from one value to the next: with room for the white space of any usual indentation.
const LEAD_LIMIT_BYTES: usize = 2 * REMEMBERED_KEY_LIMIT_BYTES;

/// The keys that were seen at one place, in the order in which they came first.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// As they stand in the source, with their escapes, and where they lead to.
    pub(crate) seen: Vec<(Box<[u8]>, KeyStep)>,
    places: HashMap<Box<[u8]>, usize>,
    /// Of each that was seen, what stood last time from the comma before it up to its value; nothing of some.
    leads: Vec<(Vec<u8>, KeyStep)>,
}

impl Keys {
    /// Where `key`, as it stands in the source, leads to. `next`: which one is expected in this object, 0 where it begins.
    pub(crate) fn step(&mut self, tree: &PathTree, at: NodeId, key: &[u8], next: &mut usize) -> KeyStep {
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

    /// Where the key that is expected leads to, and how many bytes it is up to its value, where all of them are those that stood
    /// there last time.
    #[inline]
    pub(crate) fn expected(&self, rest: &[u8], next: &mut usize) -> Option<(usize, KeyStep)> {
        let (lead, step) = self.leads.get(*next)?;
        if lead.is_empty() || !begins_with(rest, lead) {
            return None;
        }
        *next += 1;
        Some((lead.len(), *step))
    }

    /// Notes what led to the value of `key`, behind which the one that is `next` is expected.
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

/// Whether `rest` begins with `lead`. Faster than to compare stretches of any length: most are two blocks or three.
#[inline]
fn begins_with(rest: &[u8], lead: &[u8]) -> bool {
    let Some(start) = rest.get(..lead.len()) else { return false };
    let (Some(start_last), Some(lead_last)) = (start.last_chunk::<16>(), lead.last_chunk::<16>()) else {
        return start == lead;
    };
    let mut blocks = start.as_chunks::<16>().0.iter().zip(lead.as_chunks::<16>().0);
    start_last == lead_last && blocks.all(|(start, lead)| start == lead)
}

fn worked_out(tree: &PathTree, at: NodeId, key: &[u8]) -> KeyStep {
    let key = str::from_utf8(key).unwrap_or_default();
    if !key.contains('\\') {
        return tree.step(at, key);
    }
    let mut unescaped = String::new();
    match unescape(&format!("\"{key}\""), &mut Vec::new(), &mut unescaped) {
        Some(()) => tree.step(at, &unescaped),
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
