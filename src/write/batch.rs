//! A batch: up to 25 items, each already the JSON that goes over the wire, so that a call copies bytes and builds nothing.

use std::ops::Range;

use crate::table::item::Encoded;

/// Most puts in one `BatchWriteItem` call (`DynamoDB` service limit).
pub const PUTS_LIMIT: usize = 25;

/// Bytes of items at which a batch is full. The service takes 16 MB of request; this bounds what the calls in flight hold.
pub const BATCH_LIMIT_BYTES: usize = 512 * 1024;

/// Items of one call, and where each lies in their common JSON.
#[derive(Debug)]
pub struct Batch<T> {
    /// What the caller wants back when every item is acknowledged.
    pub tag: T,
    json: Vec<u8>,
    puts: Vec<Put>,
}

#[derive(Debug)]
struct Put {
    item: Range<usize>,
    pk: Range<usize>,
    sk: Range<usize>,
    write_units: u32,
}

impl<T> Batch<T> {
    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.puts.len()
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

    /// The request body that puts the items at `pending` into `table`.
    #[must_use]
    pub fn body(&self, table: &str, pending: &[usize]) -> Vec<u8> {
        let items: usize = pending.iter().filter_map(|&at| self.puts.get(at)).map(|put| put.item.len() + 32).sum();
        let mut body = Vec::with_capacity(items + table.len() + 80);
        body.extend_from_slice(br#"{"ReturnConsumedCapacity":"TOTAL","RequestItems":{""#);
        // A table name has no character that JSON escapes: [a-zA-Z0-9_.-], or an ARN.
        body.extend_from_slice(table.as_bytes());
        body.extend_from_slice(br#"":["#);
        let items =
            pending.iter().filter_map(|&at| self.puts.get(at)).filter_map(|put| self.json.get(put.item.clone()));
        for (n, item) in items.enumerate() {
            body.extend_from_slice(if n == 0 { br#"{"PutRequest":{"Item":"# } else { br#",{"PutRequest":{"Item":"# });
            body.extend_from_slice(item);
            body.extend_from_slice(b"}}");
        }
        body.extend_from_slice(b"]}}");
        body
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
    json: Vec<u8>,
    puts: Vec<Put>,
    write_units: u64,
    limit_units: u64,
}

impl BatchBuilder {
    /// Batches of up to 25 items and about `limit_units` write units, one item at least.
    #[must_use]
    pub fn new(limit_units: u64) -> Self {
        Self { json: Vec::new(), puts: Vec::with_capacity(PUTS_LIMIT), write_units: 0, limit_units }
    }

    /// Where the next item's JSON goes; [`BatchBuilder::push`] takes it in.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.json
    }

    /// Takes in the item that was just appended to the buffer, from byte `start` on.
    pub fn push(&mut self, start: usize, encoded: &Encoded) {
        let (pk, sk) = (encoded.pk.clone(), encoded.sk.clone());
        self.write_units += u64::from(encoded.write_units);
        self.puts.push(Put { item: start..self.json.len(), pk, sk, write_units: encoded.write_units });
    }

    /// Whether the batch should be sent before another item is added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.puts.len() >= PUTS_LIMIT || self.json.len() >= BATCH_LIMIT_BYTES || self.write_units >= self.limit_units
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }

    /// The batch so far; the builder starts another.
    pub fn take<T>(&mut self, tag: T) -> Batch<T> {
        self.write_units = 0;
        let json = std::mem::replace(&mut self.json, Vec::with_capacity(32 * 1024));
        let puts = std::mem::replace(&mut self.puts, Vec::with_capacity(PUTS_LIMIT));
        Batch { tag, json, puts }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn batch_of(items: &[(&str, &str)]) -> Batch<()> {
        let mut builder = BatchBuilder::new(u64::MAX);
        for (pk, sk) in items {
            let start = builder.buffer().len();
            builder.buffer().extend_from_slice(format!(r#"{{"PK":{{"S":"{pk}"}},"SK":{{"S":"{sk}"}}}}"#).as_bytes());
            let pk_at = start + 12;
            let sk_at = pk_at + pk.len() + 14;
            let (pk, sk) = (pk_at..pk_at + pk.len(), sk_at..sk_at + sk.len());
            builder.push(start, &Encoded { size_bytes: 10, write_units: 4, pk, sk });
        }
        builder.take(())
    }

    #[test]
    fn the_body_holds_just_the_pending_items() {
        let batch = batch_of(&[("a", "H"), ("b", "H"), ("c", "H")]);
        let body: serde_json::Value = serde_json::from_slice(&batch.body("invoices", &[0, 2])).unwrap();
        let keys: Vec<&str> = body["RequestItems"]["invoices"]
            .as_array()
            .unwrap()
            .iter()
            .map(|put| put["PutRequest"]["Item"]["PK"]["S"].as_str().unwrap())
            .collect();
        assert_eq!(keys, ["a", "c"]);
        assert_eq!(batch.write_units(&[0, 2]), 8);
    }

    #[test]
    fn an_item_is_found_by_both_parts_of_its_key() {
        let batch = batch_of(&[("a", "H"), ("a", "L"), ("b", "H")]);
        assert_eq!(batch.position("a", "L"), Some(1));
        assert_eq!(batch.position("b", "L"), None);
    }

    #[test]
    fn a_batch_is_full_at_25_items_or_at_its_write_units() {
        let mut by_count = BatchBuilder::new(u64::MAX);
        let mut by_units = BatchBuilder::new(10);
        let encoded = Encoded { size_bytes: 10, write_units: 4, pk: 0..0, sk: 0..0 };
        for n in 1..=25 {
            by_count.push(0, &encoded);
            by_units.push(0, &encoded);
            assert_eq!(by_count.is_full(), n == 25, "after {n} items");
            assert_eq!(by_units.is_full(), n >= 3, "after {n} items");
        }
    }
}
