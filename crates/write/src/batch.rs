//! A batch: up to 25 items, encoded directly into the body of the call that puts them, so that the call copies nothing.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use notaflux_sha256::{self as sha256, HASH_BYTES};
use notaflux_table::item::Encoded;

/// Most puts in one `BatchWriteItem` call (`DynamoDB` service limit).
pub(crate) const PUTS_LIMIT: usize = 25;

/// Bytes of its body at which a batch is full. The service accepts requests of 16 MB; this limit bounds the memory of the calls in
/// flight.
pub(crate) const BATCH_LIMIT_BYTES: usize = 512 * 1024;

/// The body before the table's name.
const HEAD: &[u8] = br#"{"ReturnConsumedCapacity":"TOTAL","RequestItems":{""#;
/// The body between the table's name and the first put.
const AFTER_NAME: &[u8] = br#"":["#;
/// A put before its item.
const PUT: &[u8] = br#"{"PutRequest":{"Item":"#;
/// A put after its item.
const PUT_END: &[u8] = b"}}";
/// The body after the last put.
const END: &[u8] = b"]}}";

/// The body of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The JSON that is sent.
    pub json: Bytes,
    /// SHA-256 of the JSON, which the signature of the call covers.
    pub sha256: [u8; HASH_BYTES],
}

impl From<Bytes> for Body {
    fn from(json: Bytes) -> Self {
        Self { sha256: sha256::digest(&json), json }
    }
}

/// The items of one call, encoded as its body.
#[derive(Debug)]
pub struct Batch<T> {
    /// What the caller gets back when every item is acknowledged.
    pub tag: T,
    json: Bytes,
    /// SHA-256 of the body with all items; none until [`hash`] computes it.
    sha256: Option<[u8; HASH_BYTES]>,
    puts: Vec<Put>,
}

/// Hashes the bodies of several batches together.
pub fn hash<T>(batches: &mut [Batch<T>]) {
    let bodies: Vec<&[u8]> = batches.iter().map(|batch| &batch.json[..]).collect();
    let hashes = sha256::digests(&bodies);
    for (batch, hash) in batches.iter_mut().zip(hashes) {
        batch.sha256 = Some(hash);
    }
}

/// Where one put lies in the body.
#[derive(Debug)]
struct Put {
    item: Range<usize>,
    pk: Range<usize>,
    sk: Range<usize>,
    write_units: u32,
}

impl Put {
    /// Returns the range of the whole put, with its JSON around the item.
    fn whole(&self) -> Range<usize> {
        self.item.start - PUT.len()..self.item.end + PUT_END.len()
    }

    /// Moves the ranges after `bytes` before them were removed.
    fn move_back(&mut self, bytes: usize) {
        for range in [&mut self.item, &mut self.pk, &mut self.sk] {
            *range = range.start - bytes..range.end - bytes;
        }
    }
}

impl<T> Batch<T> {
    /// Returns the number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.puts.len()
    }

    /// Returns the size of the body that puts all items, in bytes.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.json.len()
    }

    #[cfg(test)]
    pub(super) fn is_hashed(&self) -> bool {
        self.sha256.is_some()
    }

    /// Returns whether there are no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }

    /// Returns the write units that puts of the items at `pending` consume: one for each started KB, once for the table and once for
    /// each index that an item appears in.
    ///
    /// # Panics
    /// Panics if the batch has no item at one of the positions; as do `Batch::fitting` and [`Batch::body`].
    #[must_use]
    pub fn write_units(&self, pending: &[usize]) -> u64 {
        pending.iter().map(|&at| u64::from(self.put(at).write_units)).sum()
    }

    #[expect(clippy::indexing_slicing, reason = "positions come from this batch; a wrong one must not lose an item")]
    fn put(&self, at: usize) -> &Put {
        &self.puts[at]
    }

    /// Returns how many of the items at `pending`, from the first on, fit into one call of `limit_units` write units. At least one
    /// always fits.
    #[must_use]
    pub(crate) fn fitting(&self, pending: &[usize], limit_units: f64) -> usize {
        let mut units = 0.0;
        let fits = |at: &&usize| {
            units += f64::from(self.put(**at).write_units);
            units <= limit_units
        };
        pending.iter().take_while(fits).count().max(1)
    }

    /// Returns the body that puts the items at `pending`, which are in order and without repetitions. The body of all items exists
    /// already and is not copied.
    #[must_use]
    pub fn body(&self, pending: &[usize]) -> Body {
        if pending.len() < self.puts.len() {
            return self.body_of_some(pending).into();
        }
        let json = self.json.clone();
        match self.sha256 {
            Some(sha256) => Body { json, sha256 },
            None => json.into(),
        }
    }

    #[expect(clippy::indexing_slicing, reason = "puts lie within the JSON that they were encoded into")]
    fn body_of_some(&self, pending: &[usize]) -> Bytes {
        let puts = || pending.iter().map(|&at| self.put(at).whole());
        let head = ..self.puts.first().map_or(0, |first| first.whole().start);
        let bytes: usize = puts().map(|put| put.len() + 1).sum();
        let mut body = Vec::with_capacity(head.end + bytes + END.len());
        body.extend_from_slice(&self.json[head]);
        for (nth, put) in puts().enumerate() {
            body.extend_from_slice(if nth == 0 { b"" } else { b"," });
            body.extend_from_slice(&self.json[put]);
        }
        body.extend_from_slice(END);
        body.into()
    }

    /// Returns the position of the item with this key.
    #[must_use]
    pub(crate) fn position(&self, pk: &str, sk: &str) -> Option<usize> {
        let is = |range: &Range<usize>, text: &str| self.json.get(range.clone()) == Some(text.as_bytes());
        self.puts.iter().position(|put| is(&put.pk, pk) && is(&put.sk, sk))
    }
}

/// Fills batches.
#[derive(Debug)]
pub struct BatchBuilder {
    /// The beginning of every body.
    head: Vec<u8>,
    /// The body that is being filled. A comma follows each put.
    body: Vec<u8>,
    puts: VecDeque<Put>,
    write_units: u64,
    limit_units: u64,
}

impl BatchBuilder {
    /// Creates a builder of batches for the table called `table`. A batch has up to 25 items and about `limit_units` write units, and
    /// at least one item.
    #[must_use]
    pub fn new(table: &str, limit_units: u64) -> Self {
        // A table name has no character that JSON escapes: [a-zA-Z0-9_.-], or an ARN.
        let head = [HEAD, table.as_bytes(), AFTER_NAME].concat();
        let puts = VecDeque::with_capacity(PUTS_LIMIT);
        Self { body: head.clone(), head, puts, write_units: 0, limit_units }
    }

    /// Adds the item that `encode` appends to the given buffer.
    ///
    /// # Errors
    /// The error of `encode`. Then nothing is added.
    pub fn push_with<E>(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> Result<Encoded, E>) -> Result<(), E> {
        let before = self.body.len();
        self.body.extend_from_slice(PUT);
        let start = self.body.len();
        let encoded = encode(&mut self.body).inspect_err(|_| self.body.truncate(before));
        let Encoded { pk, sk, write_units, .. } = encoded?;
        self.write_units += u64::from(write_units);
        self.puts.push_back(Put { item: start..self.body.len(), pk, sk, write_units });
        self.body.extend_from_slice(PUT_END);
        self.body.push(b',');
        Ok(())
    }

    /// Returns the number of items that are in no batch yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.puts.len()
    }

    /// Removes the newest items, so that the first `len` stay.
    pub fn truncate(&mut self, len: usize) {
        while self.puts.len() > len {
            if let Some(put) = self.puts.pop_back() {
                self.write_units -= u64::from(put.write_units);
                self.body.truncate(put.whole().start);
            }
        }
    }

    /// Returns whether there are items for a whole batch. More may still be added: they become part of a later batch.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.puts.len() >= PUTS_LIMIT || self.body.len() >= BATCH_LIMIT_BYTES || self.write_units >= self.limit_units
    }

    /// Returns whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }

    /// Returns how many items the next batch has.
    #[must_use]
    pub fn next_len(&self) -> usize {
        let mut units = 0;
        let fits = |put: &&Put| {
            let before = units;
            units += u64::from(put.write_units);
            before < self.limit_units && put.item.start < BATCH_LIMIT_BYTES
        };
        self.puts.iter().take(PUTS_LIMIT).take_while(fits).count()
    }

    /// Removes and returns the next batch: the oldest items, as many as a batch may have. Later items stay for the next one.
    pub fn take<T>(&mut self, tag: T) -> Batch<T> {
        let length = self.next_len();
        let end = self.puts.get(length).map_or(self.body.len(), |next| next.whole().start);
        let mut body = self.cut(end);
        // No comma follows the last put.
        body.truncate(body.len() - usize::from(length > 0));
        body.extend_from_slice(END);
        let puts: Vec<Put> = self.puts.drain(..length).collect();
        self.puts.iter_mut().for_each(|put| put.move_back(end - self.head.len()));
        self.write_units = self.puts.iter().map(|put| u64::from(put.write_units)).sum();
        Batch { tag, json: body.into(), sha256: None, puts }
    }

    /// Removes and returns the body before `end`. The next body begins with what follows.
    #[expect(clippy::indexing_slicing, reason = "`end` is the end of a put in the body")]
    fn cut(&mut self, end: usize) -> Vec<u8> {
        if self.body.capacity() > 2 * end.max(BODY_CAPACITY_BYTES) {
            // A record of very many items: the batch must not hold memory that it does not need.
            let mut body = Vec::with_capacity(end + END.len());
            body.extend_from_slice(&self.body[..end]);
            self.body.drain(self.head.len()..end);
            return body;
        }
        let rest = &self.body[end..];
        let mut next = Vec::with_capacity(BODY_CAPACITY_BYTES.max(self.head.len() + rest.len()));
        next.extend_from_slice(&self.head);
        next.extend_from_slice(rest);
        let mut body = std::mem::replace(&mut self.body, next);
        body.truncate(end);
        body
    }
}

/// Room for a body in bytes: 25 items of the commonest size, and the room that an encoder needs after its item.
const BODY_CAPACITY_BYTES: usize = 40 * 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails by panicking is a test that fails")]
pub(crate) mod tests {
    use std::convert::Infallible;

    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn batch_of(items: &[(&str, &str)]) -> Batch<()> {
        let mut builder = BatchBuilder::new("t", u64::MAX);
        push_all(&mut builder, items);
        builder.take(())
    }

    fn push_all(builder: &mut BatchBuilder, items: &[(&str, &str)]) {
        for (pk, sk) in items {
            let pushed = builder.push_with(|out| {
                let pk_at = out.len() + 12;
                let sk_at = pk_at + pk.len() + 14;
                out.extend_from_slice(format!(r#"{{"PK":{{"S":"{pk}"}},"SK":{{"S":"{sk}"}}}}"#).as_bytes());
                let (pk, sk) = (pk_at..pk_at + pk.len(), sk_at..sk_at + sk.len());
                Ok::<_, Infallible>(Encoded { size_bytes: 10, write_units: 4, pk, sk })
            });
            pushed.unwrap();
        }
    }

    #[test]
    fn the_body_holds_only_the_pending_items() {
        let batch = batch_of(&[("a", "H"), ("b", "H"), ("c", "H")]);
        for pending in [&[0, 1, 2][..], &[0, 2], &[1], &[2], &[0, 1]] {
            let put =
                |&at: &usize| json!({"PutRequest": {"Item": {"PK": {"S": (["a", "b", "c"][at])}, "SK": {"S": "H"}}}});
            let puts: Vec<Value> = pending.iter().map(put).collect();
            let body: Value = serde_json::from_slice(&batch.body(pending).json).unwrap();
            assert_eq!(body, json!({"ReturnConsumedCapacity": "TOTAL", "RequestItems": {"t": puts}}));
        }
        assert_eq!(batch.write_units(&[0, 2]), 8);
    }

    #[test]
    fn hashing_together_gives_the_same_bodies_as_hashing_alone() {
        let mut batches = [&[("a", "H"), ("b", "H"), ("c", "H")][..], &[("d", "H")], &[]].map(batch_of);
        let pending: [&[usize]; 3] = [&[0, 1, 2], &[0], &[]];
        let bodies = |batches: &[Batch<()>]| -> Vec<Body> {
            batches.iter().zip(pending).map(|(batch, pending)| batch.body(pending)).collect()
        };
        let alone = bodies(&batches);
        hash(&mut batches);
        assert!(batches.iter().all(|batch| batch.sha256.is_some()));
        assert_eq!(bodies(&batches), alone);
        for body in alone.into_iter().chain([batches[0].body(&[0, 2])]) {
            assert_eq!(body.sha256, sha256::digest(&body.json));
        }
    }

    #[test]
    fn a_call_takes_the_items_that_fit_and_at_least_one() {
        let batch = batch_of(&[("a", "H"), ("b", "H"), ("c", "H")]);
        let fitting = [f64::INFINITY, 12.0, 11.9, 8.0, 1.0].map(|limit| batch.fitting(&[0, 1, 2], limit));
        assert_eq!(fitting, [3, 3, 2, 2, 1], "4 units each");
        assert_eq!(batch.fitting(&[2], 4.0), 1);
    }

    #[test]
    fn an_item_is_found_by_its_partition_key_and_sort_key() {
        let batch = batch_of(&[("a", "H"), ("a", "L"), ("b", "H")]);
        assert_eq!(batch.position("a", "L"), Some(1));
        assert_eq!(batch.position("b", "L"), None);
    }

    #[test]
    fn items_that_do_not_fit_into_a_batch_are_in_the_next() {
        let keys: Vec<(String, &str)> = (0..60).map(|n| (format!("{n:03}"), "L")).collect();
        let mut builder = BatchBuilder::new("t", u64::MAX);
        push_all(&mut builder, &keys.iter().map(|(pk, sk)| (pk.as_str(), *sk)).collect::<Vec<_>>());
        let mut found = Vec::new();
        while !builder.is_empty() {
            let expected = builder.next_len();
            let batch = builder.take(());
            assert!(batch.len() == expected && expected <= PUTS_LIMIT);
            let body: Value = serde_json::from_slice(&batch.body(&(0..batch.len()).collect::<Vec<_>>()).json).unwrap();
            for put in body["RequestItems"]["t"].as_array().unwrap() {
                let key = put["PutRequest"]["Item"]["PK"]["S"].as_str().unwrap();
                let at = batch.position(key, "L").unwrap();
                let alone: Value = serde_json::from_slice(&batch.body(&[at]).json).unwrap();
                assert_eq!(alone["RequestItems"]["t"], json!([put]));
                found.push(key.to_owned());
            }
            // Items that are added while others wait.
            if found.len() == PUTS_LIMIT {
                push_all(&mut builder, &[("end", "L")]);
            }
        }
        let expected = keys.into_iter().map(|(pk, _)| pk).chain(["end".to_owned()]);
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_batch_holds_no_more_than_twice_its_items() {
        let mut builder = BatchBuilder::new("t", u64::MAX);
        let keys: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
        push_all(&mut builder, &keys.iter().map(|key| (key.as_str(), "L")).collect::<Vec<_>>());
        while !builder.is_empty() {
            let batch = builder.take(());
            let (items, body) = (batch.len(), batch.json.try_into_mut().unwrap());
            assert!(body.capacity() <= (2 * body.len()).max(2 * BODY_CAPACITY_BYTES), "{items}");
        }
    }

    #[test]
    fn truncated_and_refused_items_leave_no_trace() {
        let mut builder = BatchBuilder::new("t", 9);
        push_all(&mut builder, &[("a", "H"), ("b", "H"), ("c", "H")]);
        assert!(builder.is_full());
        builder.truncate(1);
        let bytes = builder.body.len();
        let refused = builder.push_with(|out| {
            out.push(b'x');
            Err("no")
        });
        assert_eq!((refused, builder.len(), builder.is_full()), (Err("no"), 1, false));
        assert_eq!(builder.body.len(), bytes);
        push_all(&mut builder, &[("d", "H")]);
        let batch = builder.take(());
        assert_eq!(batch.body(&[0, 1]), batch_of(&[("a", "H"), ("d", "H")]).body(&[0, 1]));
    }

    #[test]
    fn a_batch_is_full_at_25_items_or_at_its_write_units() {
        let mut by_count = BatchBuilder::new("t", u64::MAX);
        let mut by_units = BatchBuilder::new("t", 10);
        let encoded = Encoded { size_bytes: 10, write_units: 4, pk: 0..0, sk: 0..0 };
        for n in 1..=25 {
            by_count.push_with(|_| Ok::<_, Infallible>(encoded.clone())).unwrap();
            by_units.push_with(|_| Ok::<_, Infallible>(encoded.clone())).unwrap();
            assert_eq!(by_count.is_full(), n == 25, "after {n} items");
            assert_eq!(by_units.is_full(), n >= 3, "after {n} items");
        }
    }
}
