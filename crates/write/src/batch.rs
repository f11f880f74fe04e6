//! A batch: up to 25 items, written from the beginning as the body of the call that puts them all, so that a call copies nothing.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use notaflux_sha256::{self as sha256, HASH_BYTES};
use notaflux_table::item::Encoded;

/// Most puts in one `BatchWriteItem` call (`DynamoDB` service limit).
pub const PUTS_LIMIT: usize = 25;

/// Bytes of its body at which a batch is full. The service takes 16 MB of request; this bounds what the calls in flight hold.
pub const BATCH_LIMIT_BYTES: usize = 512 * 1024;

/// What stands before the table's name in a body, behind it, before and behind each item, and in the end.
const HEAD: &[u8] = br#"{"ReturnConsumedCapacity":"TOTAL","RequestItems":{""#;
const NAMED: &[u8] = br#"":["#;
const PUT: &[u8] = br#"{"PutRequest":{"Item":"#;
const PUT_END: &[u8] = b"}}";
const END: &[u8] = b"]}}";

/// The body of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// It, as it is sent.
    pub json: Bytes,
    /// Its SHA-256, which the signature of the call is of.
    pub sha256: [u8; HASH_BYTES],
}

impl From<Bytes> for Body {
    fn from(json: Bytes) -> Self {
        Self { sha256: sha256::digest(&json), json }
    }
}

/// Items of one call, and where each lies in its body.
#[derive(Debug)]
pub struct Batch<T> {
    /// What the caller wants back when every item is acknowledged.
    pub tag: T,
    json: Bytes,
    /// Of its body with all items, once it is worked out.
    sha256: Option<[u8; HASH_BYTES]>,
    puts: Vec<Put>,
}

/// Hashes the bodies of batches together.
pub fn hash<T>(batches: &mut [Batch<T>]) {
    let bodies: Vec<&[u8]> = batches.iter().map(|batch| &batch.json[..]).collect();
    let hashes = sha256::digests(&bodies);
    for (batch, hash) in batches.iter_mut().zip(hashes) {
        batch.sha256 = Some(hash);
    }
}

#[derive(Debug)]
struct Put {
    item: Range<usize>,
    pk: Range<usize>,
    sk: Range<usize>,
    write_units: u32,
}

impl Put {
    /// Where it lies with what stands before and behind its item.
    fn whole(&self) -> Range<usize> {
        self.item.start - PUT.len()..self.item.end + PUT_END.len()
    }

    /// The same after `bytes` before it were taken out.
    fn move_back(&mut self, bytes: usize) {
        for range in [&mut self.item, &mut self.pk, &mut self.sk] {
            *range = range.start - bytes..range.end - bytes;
        }
    }
}

impl<T> Batch<T> {
    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.puts.len()
    }

    /// Bytes of the body that puts them all.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.json.len()
    }

    #[cfg(test)]
    pub(super) fn is_hashed(&self) -> bool {
        self.sha256.is_some()
    }

    /// Whether there are no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }

    /// Write units that the items at `pending` will consume: one per started KB, once for the table and once for each
    /// index that an item appears in.
    #[must_use]
    pub fn write_units(&self, pending: &[usize]) -> u64 {
        pending.iter().filter_map(|&at| self.puts.get(at)).map(|put| u64::from(put.write_units)).sum()
    }

    /// How many of the items at `pending`, from the first on, one call takes: of up to `limit_units` write units together, one
    /// at least.
    #[must_use]
    pub fn fitting(&self, pending: &[usize], limit_units: f64) -> usize {
        let mut units = 0.0;
        let fits = |at: &&usize| {
            units += self.puts.get(**at).map_or(0.0, |put| f64::from(put.write_units));
            units <= limit_units
        };
        pending.iter().take_while(fits).count().max(1)
    }

    /// The request body that puts the items at `pending`, which are in order and none of them twice. That of all of them is there
    /// already.
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

    fn body_of_some(&self, pending: &[usize]) -> Bytes {
        let puts = || pending.iter().filter_map(|&at| self.puts.get(at)).map(Put::whole);
        let head = ..self.puts.first().map_or(0, |first| first.whole().start);
        let bytes: usize = puts().map(|put| put.len() + 1).sum();
        let mut body = Vec::with_capacity(head.end + bytes + END.len());
        body.extend_from_slice(self.json.get(head).unwrap_or_default());
        for (nth, put) in puts().enumerate() {
            body.extend_from_slice(if nth == 0 { b"" } else { b"," });
            body.extend_from_slice(self.json.get(put).unwrap_or_default());
        }
        body.extend_from_slice(END);
        body.into()
    }

    /// Which item has this key.
    #[must_use]
    pub fn position(&self, pk: &str, sk: &str) -> Option<usize> {
        let is = |range: &Range<usize>, text: &str| self.json.get(range.clone()) == Some(text.as_bytes());
        self.puts.iter().position(|put| is(&put.pk, pk) && is(&put.sk, sk))
    }
}

/// Fills batches.
#[derive(Debug)]
pub struct BatchBuilder {
    /// What every body begins with.
    head: Vec<u8>,
    /// The body in the making. Behind each item stands a comma.
    body: Vec<u8>,
    puts: VecDeque<Put>,
    write_units: u64,
    limit_units: u64,
}

impl BatchBuilder {
    /// Batches for the table of this name, of up to 25 items and about `limit_units` write units, one item at least.
    #[must_use]
    pub fn new(table: &str, limit_units: u64) -> Self {
        // A table name has no character that JSON escapes: [a-zA-Z0-9_.-], or an ARN.
        let head = [HEAD, table.as_bytes(), NAMED].concat();
        let puts = VecDeque::with_capacity(PUTS_LIMIT);
        Self { body: head.clone(), head, puts, write_units: 0, limit_units }
    }

    /// Takes in the item that `encode` appends to the buffer it is given.
    ///
    /// # Errors
    /// That of `encode`; the buffer is as it was.
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

    /// Number of items that are in no batch yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.puts.len()
    }

    /// Forgets the newest of them, those behind the first `len`.
    pub fn truncate(&mut self, len: usize) {
        while self.puts.len() > len {
            if let Some(put) = self.puts.pop_back() {
                self.write_units -= u64::from(put.write_units);
                self.body.truncate(put.whole().start);
            }
        }
    }

    /// Whether there are items for a whole batch. More may be added all the same: they become part of a later one.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.puts.len() >= PUTS_LIMIT || self.body.len() >= BATCH_LIMIT_BYTES || self.write_units >= self.limit_units
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }

    /// How many items the next batch has.
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

    /// The next batch: the oldest items, as many as it may have. Those behind it stay for the one after.
    pub fn take<T>(&mut self, tag: T) -> Batch<T> {
        let length = self.next_len();
        let end = self.puts.get(length).map_or(self.body.len(), |behind| behind.whole().start);
        let mut body = self.cut(end);
        // The last item has no comma.
        body.truncate(body.len() - usize::from(length > 0));
        body.extend_from_slice(END);
        let puts: Vec<Put> = self.puts.drain(..length).collect();
        self.puts.iter_mut().for_each(|put| put.move_back(end - self.head.len()));
        self.write_units = self.puts.iter().map(|put| u64::from(put.write_units)).sum();
        Batch { tag, json: body.into(), sha256: None, puts }
    }

    /// What stands before `end`. A new body begins with what stands behind it.
    fn cut(&mut self, end: usize) -> Vec<u8> {
        if self.body.capacity() > 2 * end.max(BODY_CAPACITY_BYTES) {
            // A record of very many items: what the batch does not need it must not hold.
            let mut body = Vec::with_capacity(end + END.len());
            body.extend_from_slice(self.body.get(..end).unwrap_or_default());
            self.body.drain(self.head.len()..end);
            return body;
        }
        let rest = self.body.get(end..).unwrap_or_default();
        let mut next = Vec::with_capacity(BODY_CAPACITY_BYTES.max(self.head.len() + rest.len()));
        next.extend_from_slice(&self.head);
        next.extend_from_slice(rest);
        let mut body = std::mem::replace(&mut self.body, next);
        body.truncate(end);
        body
    }
}

/// Room for a body: 25 items of the commonest size, and what an encoder takes beyond its item.
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
    fn the_body_holds_just_the_pending_items() {
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
    fn bodies_have_their_hashes_however_those_came_about() {
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
    fn a_call_takes_what_fits_and_one_item_at_least() {
        let batch = batch_of(&[("a", "H"), ("b", "H"), ("c", "H")]);
        let fitting = [f64::INFINITY, 12.0, 11.9, 8.0, 1.0].map(|limit| batch.fitting(&[0, 1, 2], limit));
        assert_eq!(fitting, [3, 3, 2, 2, 1], "4 units each");
        assert_eq!(batch.fitting(&[2], 4.0), 1);
    }

    #[test]
    fn an_item_is_found_by_both_parts_of_its_key() {
        let batch = batch_of(&[("a", "H"), ("a", "L"), ("b", "H")]);
        assert_eq!(batch.position("a", "L"), Some(1));
        assert_eq!(batch.position("b", "L"), None);
    }

    #[test]
    fn what_does_not_fit_into_a_batch_is_in_the_next() {
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
            // Items that come while some are left behind.
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
    fn what_is_truncated_or_refused_leaves_nothing_behind() {
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
