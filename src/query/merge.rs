//! Merges the shards of an index into one order.
//!
//! Each shard is a sorted stream that arrives piece by piece. The next item is known once every shard that may have
//! more shows its next one.

use std::collections::VecDeque;

/// In which order a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest sort key first.
    Ascending,
    /// Largest sort key first.
    Descending,
}

impl Order {
    /// Whether `a` comes before `b`. Sort keys compare by their UTF-8 bytes, as in `DynamoDB`.
    #[must_use]
    pub fn is_before(self, a: &str, b: &str) -> bool {
        match self {
            Self::Ascending => a < b,
            Self::Descending => b < a,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        }
    }
}

/// An item and its sort key in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// Sort key.
    pub sort: String,
    /// The item.
    pub item: T,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// This item.
    Item(Entry<T>),
    /// Not known before a shard that has run dry is read on.
    Dry,
    /// Nothing.
    End,
}

/// One shard.
#[derive(Debug)]
struct Stream<T> {
    buffer: VecDeque<Entry<T>>,
    /// Sort key of the last item that was read.
    tail: Option<String>,
    exhausted: bool,
}

/// The streams of all shards.
#[derive(Debug)]
pub struct Merge<T> {
    order: Order,
    streams: Vec<Stream<T>>,
}

impl<T> Merge<T> {
    /// Of `shards` shards, none of them read yet.
    #[must_use]
    pub fn new(shards: usize, order: Order) -> Self {
        let stream = || Stream { buffer: VecDeque::new(), tail: None, exhausted: false };
        Self { order, streams: std::iter::repeat_with(stream).take(shards).collect() }
    }

    /// Takes in what was read on from a shard, and whether that was the last of it.
    pub fn feed(&mut self, shard: usize, entries: Vec<Entry<T>>, exhausted: bool) {
        let Some(stream) = self.streams.get_mut(shard) else { return };
        if let Some(last) = entries.last() {
            stream.tail = Some(last.sort.clone());
        }
        stream.buffer.extend(entries);
        stream.exhausted = exhausted;
    }

    /// The next item of all shards.
    pub fn pop(&mut self) -> Next<T> {
        if self.streams.iter().any(|stream| stream.buffer.is_empty() && !stream.exhausted) {
            return Next::Dry;
        }
        let order = self.order;
        let heads = self.streams.iter_mut().filter(|stream| !stream.buffer.is_empty());
        let first = heads.reduce(|first, other| match (first.buffer.front(), other.buffer.front()) {
            (Some(a), Some(b)) if order.is_before(&b.sort, &a.sort) => other,
            _ => first,
        });
        first.and_then(|stream| stream.buffer.pop_front()).map_or(Next::End, Next::Item)
    }

    /// Whether anything is left, as far as is known: none where a shard would have to be asked.
    #[must_use]
    pub fn has_more(&self) -> Option<bool> {
        if self.streams.iter().any(|stream| !stream.buffer.is_empty()) {
            return Some(true);
        }
        self.streams.iter().all(|stream| stream.exhausted).then_some(false)
    }

    /// Shards that may have items that are not read yet.
    #[must_use]
    pub fn open(&self) -> usize {
        self.streams.iter().filter(|stream| !stream.exhausted).count()
    }

    /// For each shard, how many of its items that are not read yet can be among the next `wanted`. What lies behind its
    /// last item that was read is behind every known item up to there, too.
    #[must_use]
    pub fn at_most(&self, wanted: usize) -> Vec<usize> {
        let reach = |stream: &Stream<T>| match &stream.tail {
            _ if stream.exhausted => 0,
            None => wanted,
            Some(tail) => wanted.saturating_sub(self.known_up_to(tail)),
        };
        self.streams.iter().map(reach).collect()
    }

    /// Buffered items up to `sort`.
    fn known_up_to(&self, sort: &str) -> usize {
        let up_to =
            |stream: &Stream<T>| stream.buffer.partition_point(|entry| !self.order.is_before(sort, &entry.sort));
        self.streams.iter().map(up_to).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(keys: &[&str]) -> Vec<Entry<()>> {
        keys.iter().map(|key| Entry { sort: (*key).to_owned(), item: () }).collect()
    }

    fn drain(merge: &mut Merge<()>) -> (Vec<String>, Next<()>) {
        let mut keys = Vec::new();
        loop {
            match merge.pop() {
                Next::Item(entry) => keys.push(entry.sort),
                stop => return (keys, stop),
            }
        }
    }

    #[test]
    fn it_goes_on_until_a_shard_runs_dry() {
        let mut merge = Merge::new(3, Order::Ascending);
        assert_eq!(merge.pop(), Next::Dry);
        merge.feed(0, entries(&["a", "d"]), false);
        merge.feed(1, entries(&["b", "c", "f"]), false);
        merge.feed(2, entries(&[]), true);
        assert_eq!(drain(&mut merge), (["a", "b", "c", "d"].map(String::from).to_vec(), Next::Dry));
        assert_eq!(merge.has_more(), Some(true));
        merge.feed(0, entries(&["e"]), true);
        assert_eq!(drain(&mut merge), (["e", "f"].map(String::from).to_vec(), Next::Dry));
        assert_eq!(merge.has_more(), None);
        merge.feed(1, entries(&[]), true);
        assert_eq!((merge.pop(), merge.has_more()), (Next::End, Some(false)));
    }

    #[test]
    fn descending_is_the_other_way_round() {
        let mut merge = Merge::new(2, Order::Descending);
        merge.feed(0, entries(&["d", "a"]), true);
        merge.feed(1, entries(&["c", "b"]), true);
        assert_eq!(drain(&mut merge), (["d", "c", "b", "a"].map(String::from).to_vec(), Next::End));
    }

    #[test]
    fn a_shard_is_worth_reading_only_before_what_is_known() {
        let mut merge = Merge::new(3, Order::Ascending);
        merge.feed(0, entries(&["a", "b"]), false);
        merge.feed(1, entries(&["c", "x"]), false);
        merge.feed(2, entries(&["d"]), true);
        // Behind b two are known, behind x all five.
        assert_eq!(merge.at_most(4), [2, 0, 0]);
        assert_eq!(merge.at_most(6), [4, 1, 0]);
    }
}
