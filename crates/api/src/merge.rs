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
    pub(super) fn is_before(self, a: &str, b: &str) -> bool {
        match self {
            Self::Ascending => a < b,
            Self::Descending => b < a,
        }
    }

    /// The word for it.
    #[must_use]
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
    /// Sort key.
    pub(super) sort: String,
    /// The item.
    pub(super) item: T,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
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
    /// Sort key up to which it was read.
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
    /// Of `shards` shards, none of them read yet.
    #[must_use]
    pub(super) fn new(shards: usize, order: Order) -> Self {
        let stream = || Stream { buffer: VecDeque::new(), tail: None, exhausted: false };
        Self { order, streams: std::iter::repeat_with(stream).take(shards).collect() }
    }

    /// Takes in what was read on from a shard, and the sort key up to which that was all; none if the shard has no more.
    /// Where items are passed over, that key may be behind the last entry.
    pub(super) fn feed(&mut self, shard: usize, entries: Vec<Entry<T>>, end: Option<String>) {
        let Some(stream) = self.streams.get_mut(shard) else { return };
        stream.buffer.extend(entries);
        stream.exhausted = end.is_none();
        if end.is_some() {
            stream.tail = end;
        }
    }

    /// The next item of all shards.
    pub(super) fn pop(&mut self) -> Next<T> {
        let order = self.order;
        let heads = self.streams.iter().enumerate().filter_map(|(at, stream)| Some((at, &stream.buffer.front()?.sort)));
        let first = heads.reduce(|first, other| if order.is_before(other.1, first.1) { other } else { first });
        // A shard that has run dry may have what comes before.
        let is_known = |sort: &str| self.dry().all(|tail| tail.is_some_and(|tail| !order.is_before(tail, sort)));
        match first {
            None if self.open() == 0 => Next::End,
            Some((at, sort)) if is_known(sort) => {
                let popped = self.streams.get_mut(at).and_then(|stream| stream.buffer.pop_front());
                popped.map_or(Next::End, Next::Item)
            }
            _ => Next::Dry,
        }
    }

    /// For each shard that has run dry, how far it was read.
    fn dry(&self) -> impl Iterator<Item = Option<&str>> {
        let dry = self.streams.iter().filter(|stream| stream.buffer.is_empty() && !stream.exhausted);
        dry.map(|stream| stream.tail.as_deref())
    }

    /// Sort key up to which every shard was read; none if no shard has more.
    #[must_use]
    pub(super) fn frontier(&self) -> Option<&str> {
        let open = self.streams.iter().filter(|stream| !stream.exhausted);
        let tails = open.filter_map(|stream| stream.tail.as_deref());
        tails.reduce(|first, other| if self.order.is_before(other, first) { other } else { first })
    }

    /// Whether `shard` may have items that are not read yet.
    #[must_use]
    pub(super) fn is_open(&self, shard: usize) -> bool {
        self.streams.get(shard).is_some_and(|stream| !stream.exhausted)
    }

    /// Whether anything is left, as far as is known: none where a shard would have to be asked.
    #[must_use]
    pub(super) fn has_more(&self) -> Option<bool> {
        if self.streams.iter().any(|stream| !stream.buffer.is_empty()) {
            return Some(true);
        }
        self.streams.iter().all(|stream| stream.exhausted).then_some(false)
    }

    /// Shards that may have items that are not read yet.
    #[must_use]
    pub(super) fn open(&self) -> usize {
        self.streams.iter().filter(|stream| !stream.exhausted).count()
    }

    /// For each shard, how many of its items that are not read yet can be among the next `wanted`. What lies behind the
    /// key up to which it was read is behind every known item up to there, too.
    #[must_use]
    pub(super) fn at_most(&self, wanted: usize) -> Vec<usize> {
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

    /// Feeds entries behind which there may be more.
    fn feed(merge: &mut Merge<()>, shard: usize, keys: &[&str]) {
        merge.feed(shard, entries(keys), keys.last().map(ToString::to_string));
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
        feed(&mut merge, 0, &["a", "d"]);
        feed(&mut merge, 1, &["b", "c", "f"]);
        merge.feed(2, entries(&[]), None);
        assert_eq!(drain(&mut merge), (["a", "b", "c", "d"].map(String::from).to_vec(), Next::Dry));
        assert_eq!((merge.has_more(), merge.frontier()), (Some(true), Some("d")));
        merge.feed(0, entries(&["e"]), None);
        assert_eq!(drain(&mut merge), (["e", "f"].map(String::from).to_vec(), Next::Dry));
        assert_eq!((merge.has_more(), merge.frontier()), (None, Some("f")));
        merge.feed(1, entries(&[]), None);
        assert_eq!((merge.pop(), merge.has_more(), merge.frontier()), (Next::End, Some(false), None));
    }

    #[test]
    fn what_was_passed_over_counts_as_read() {
        let mut merge = Merge::new(2, Order::Ascending);
        merge.feed(0, entries(&["b"]), Some("h".to_owned()));
        merge.feed(1, entries(&[]), Some("e".to_owned()));
        assert_eq!(drain(&mut merge), (vec!["b".to_owned()], Next::Dry));
        assert_eq!(merge.frontier(), Some("e"));
        merge.feed(1, entries(&["g", "x"]), Some("z".to_owned()));
        assert_eq!(drain(&mut merge), (vec!["g".to_owned()], Next::Dry));
        assert_eq!(merge.frontier(), Some("h"));
    }

    #[test]
    fn descending_is_the_other_way_round() {
        let mut merge = Merge::new(2, Order::Descending);
        merge.feed(0, entries(&["d", "a"]), None);
        merge.feed(1, entries(&["c", "b"]), None);
        assert_eq!(drain(&mut merge), (["d", "c", "b", "a"].map(String::from).to_vec(), Next::End));
    }

    #[test]
    fn a_shard_is_worth_reading_only_before_what_is_known() {
        let mut merge = Merge::new(3, Order::Ascending);
        feed(&mut merge, 0, &["a", "b"]);
        feed(&mut merge, 1, &["c", "x"]);
        merge.feed(2, entries(&["d"]), None);
        // Behind b two are known, behind x all five.
        assert_eq!(merge.at_most(4), [2, 0, 0]);
        assert_eq!(merge.at_most(6), [4, 1, 0]);
    }
}
