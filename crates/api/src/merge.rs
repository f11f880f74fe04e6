//! Merges the shards of an index into one order.
//!
//! Each shard is a sorted stream that arrives page by page. The next item is known as soon as each shard that may continue
//! has an item in its buffer.

use std::collections::VecDeque;

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest sort key first.
    Ascending,
    /// Largest sort key first.
    Descending,
}

impl Order {
    /// Whether `a` comes before `b`. Sort keys compare by their UTF-8 bytes, as in `DynamoDB`.
    pub(super) fn is_before(self, a: &str, b: &str) -> bool {
        match self {
            Self::Ascending => a < b,
            Self::Descending => b < a,
        }
    }

    /// Returns the value of the parameter `order`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        }
    }
}

/// An item and its sort key in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry<T> {
    pub(super) sort_key: String,
    pub(super) item: T,
}

/// The next item of a merge.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    Item(Entry<T>),
    /// Unknown: a shard with an empty buffer must be read first.
    Unknown,
    /// All shards have ended.
    End,
}

/// One shard.
#[derive(Debug)]
struct Stream<T> {
    buffer: VecDeque<Entry<T>>,
    /// The sort key up to which the shard was read.
    tail: Option<String>,
    exhausted: bool,
}

/// The streams of all shards.
#[derive(Debug)]
pub(super) struct Merge<T> {
    order: Order,
    streams: Vec<Stream<T>>,
}

impl<T> Merge<T> {
    /// Starts a merge of shards that are not read yet.
    pub(super) fn new(shards: usize, order: Order) -> Self {
        let stream = || Stream { buffer: VecDeque::new(), tail: None, exhausted: false };
        Self { order, streams: std::iter::repeat_with(stream).take(shards).collect() }
    }

    /// Adds the next entries of a shard. `end` is the sort key up to which the shard was read, or `None` if it has ended. If
    /// items are skipped, `end` may come after the last entry.
    ///
    /// # Panics
    /// If there is no such shard.
    #[expect(clippy::expect_used, reason = "losing the entries of a shard would be a wrong answer")]
    pub(super) fn feed(&mut self, shard: usize, entries: Vec<Entry<T>>, end: Option<String>) {
        let stream = self.streams.get_mut(shard).expect("a shard is below the number of shards");
        stream.buffer.extend(entries);
        stream.exhausted = end.is_none();
        if end.is_some() {
            stream.tail = end;
        }
    }

    /// Takes the next item of all shards.
    #[expect(clippy::expect_used, reason = "the first entry was found just before")]
    pub(super) fn pop(&mut self) -> Next<T> {
        let order = self.order;
        let heads =
            self.streams.iter().enumerate().filter_map(|(at, stream)| Some((at, &stream.buffer.front()?.sort_key)));
        let first = heads.reduce(|first, other| if order.is_before(other.1, first.1) { other } else { first });
        // A shard with an empty buffer may continue with an earlier item.
        let is_known =
            |sort: &str| self.empty_tails().all(|tail| tail.is_some_and(|tail| !order.is_before(tail, sort)));
        match first {
            None if self.open() == 0 => Next::End,
            Some((at, sort)) if is_known(sort) => {
                let popped = self.streams.get_mut(at).and_then(|stream| stream.buffer.pop_front());
                Next::Item(popped.expect("the stream has a first entry"))
            }
            _ => Next::Unknown,
        }
    }

    /// Returns how far each shard with an empty buffer was read.
    fn empty_tails(&self) -> impl Iterator<Item = Option<&str>> {
        let empty = self.streams.iter().filter(|stream| stream.buffer.is_empty() && !stream.exhausted);
        empty.map(|stream| stream.tail.as_deref())
    }

    /// Returns the sort key up to which every shard was read; `None` if all shards have ended.
    pub(super) fn frontier(&self) -> Option<&str> {
        let open = self.streams.iter().filter(|stream| !stream.exhausted);
        let tails = open.filter_map(|stream| stream.tail.as_deref());
        tails.reduce(|first, other| if self.order.is_before(other, first) { other } else { first })
    }

    /// Whether `shard` may have items that are not read yet.
    pub(super) fn is_open(&self, shard: usize) -> bool {
        self.streams.get(shard).is_some_and(|stream| !stream.exhausted)
    }

    /// Whether more items follow; `None` if a shard must be read to know.
    pub(super) fn has_more(&self) -> Option<bool> {
        if self.streams.iter().any(|stream| !stream.buffer.is_empty()) {
            return Some(true);
        }
        self.streams.iter().all(|stream| stream.exhausted).then_some(false)
    }

    /// Returns the number of shards that may have items that are not read yet.
    pub(super) fn open(&self) -> usize {
        self.streams.iter().filter(|stream| !stream.exhausted).count()
    }

    /// Returns for each shard how many of its unread items can be among the next `wanted` items. Unread items of a shard come
    /// after the key up to which it was read, so also after all buffered items up to that key.
    pub(super) fn at_most(&self, wanted: usize) -> Vec<usize> {
        let reach = |stream: &Stream<T>| match &stream.tail {
            _ if stream.exhausted => 0,
            None => wanted,
            Some(tail) => wanted.saturating_sub(self.known_up_to(tail)),
        };
        self.streams.iter().map(reach).collect()
    }

    /// Returns the number of buffered items up to `sort_key`.
    fn known_up_to(&self, sort_key: &str) -> usize {
        let up_to = |stream: &Stream<T>| {
            stream.buffer.partition_point(|entry| !self.order.is_before(sort_key, &entry.sort_key))
        };
        self.streams.iter().map(up_to).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(keys: &[&str]) -> Vec<Entry<()>> {
        keys.iter().map(|key| Entry { sort_key: (*key).to_owned(), item: () }).collect()
    }

    /// Feeds entries of a shard that may continue.
    fn feed(merge: &mut Merge<()>, shard: usize, keys: &[&str]) {
        merge.feed(shard, entries(keys), keys.last().map(ToString::to_string));
    }

    fn drain(merge: &mut Merge<()>) -> (Vec<String>, Next<()>) {
        let mut keys = Vec::new();
        loop {
            match merge.pop() {
                Next::Item(entry) => keys.push(entry.sort_key),
                stop => return (keys, stop),
            }
        }
    }

    #[test]
    fn items_come_until_a_shard_must_be_read() {
        let mut merge = Merge::new(3, Order::Ascending);
        assert_eq!(merge.pop(), Next::Unknown);
        feed(&mut merge, 0, &["a", "d"]);
        feed(&mut merge, 1, &["b", "c", "f"]);
        merge.feed(2, entries(&[]), None);
        assert_eq!(drain(&mut merge), (["a", "b", "c", "d"].map(String::from).to_vec(), Next::Unknown));
        assert_eq!((merge.has_more(), merge.frontier()), (Some(true), Some("d")));
        merge.feed(0, entries(&["e"]), None);
        assert_eq!(drain(&mut merge), (["e", "f"].map(String::from).to_vec(), Next::Unknown));
        assert_eq!((merge.has_more(), merge.frontier()), (None, Some("f")));
        merge.feed(1, entries(&[]), None);
        assert_eq!((merge.pop(), merge.has_more(), merge.frontier()), (Next::End, Some(false), None));
    }

    #[test]
    fn skipped_items_count_as_read() {
        let mut merge = Merge::new(2, Order::Ascending);
        merge.feed(0, entries(&["b"]), Some("h".to_owned()));
        merge.feed(1, entries(&[]), Some("e".to_owned()));
        assert_eq!(drain(&mut merge), (vec!["b".to_owned()], Next::Unknown));
        assert_eq!(merge.frontier(), Some("e"));
        merge.feed(1, entries(&["g", "x"]), Some("z".to_owned()));
        assert_eq!(drain(&mut merge), (vec!["g".to_owned()], Next::Unknown));
        assert_eq!(merge.frontier(), Some("h"));
    }

    #[test]
    fn descending_order_begins_with_the_largest_key() {
        let mut merge = Merge::new(2, Order::Descending);
        merge.feed(0, entries(&["d", "a"]), None);
        merge.feed(1, entries(&["c", "b"]), None);
        assert_eq!(drain(&mut merge), (["d", "c", "b", "a"].map(String::from).to_vec(), Next::End));
    }

    #[test]
    fn known_items_bound_what_a_shard_can_contribute() {
        let mut merge = Merge::new(3, Order::Ascending);
        feed(&mut merge, 0, &["a", "b"]);
        feed(&mut merge, 1, &["c", "x"]);
        merge.feed(2, entries(&["d"]), None);
        // Two items are known up to b, all five up to x.
        assert_eq!(merge.at_most(4), [2, 0, 0]);
        assert_eq!(merge.at_most(6), [4, 1, 0]);
    }
}
