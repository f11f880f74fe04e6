//! A page of a list: which shards are read, how far, and what comes next.

use std::time::{Duration, Instant};

use futures::future::try_join_all;

use super::merge::{Entry, Merge, Next, Order};
use super::plan;

/// Rounds of parallel queries that a page of all items takes at most.
const ROUNDS_LIMIT: usize = 2;

/// Shards of an index, each a sorted stream that is read piece by piece.
pub(super) trait Shards: Sync {
    /// An item.
    type Item: Send;
    /// Where a piece ended.
    type Key: Send + Sync;
    /// Why a piece cannot be read.
    type Error: Send;

    /// How many there are.
    fn count(&self) -> usize;

    /// In which order they are read.
    fn order(&self) -> Order;

    /// Looks at up to `limit` items of a shard, from where the list begins or behind an earlier piece.
    ///
    /// A piece may be shorter and have a successor all the same.
    fn read(
        &self,
        shard: usize,
        behind: Option<&Self::Key>,
        limit: usize,
    ) -> impl Future<Output = Result<Piece<Self::Item, Self::Key>, Self::Error>> + Send;
}

/// What was read of one shard.
#[derive(Debug)]
pub(super) struct Piece<T, K> {
    /// The items that belong to the list, one after the other.
    pub(super) entries: Vec<Entry<T>>,
    /// Where it ended; none if the shard has no more.
    pub(super) end: Option<End<K>>,
    /// Items that were looked at, more than `entries` where some were passed over.
    pub(super) read: usize,
    /// Read units that it took.
    pub(super) units: f64,
}

/// Where a piece ended.
#[derive(Debug)]
pub(super) struct End<K> {
    /// What to go on behind.
    pub(super) key: K,
    /// Sort key up to which everything was looked at.
    pub(super) sort: String,
}

/// Items of all shards in order.
#[derive(Debug)]
pub(super) struct Page<T> {
    /// The items: as many as were asked for, unless the list ends, or the bounds of what is read for a page do not
    /// suffice to fill it.
    pub(super) entries: Vec<Entry<T>>,
    /// Sort key behind which the list may go on; none at its end.
    pub(super) behind: Option<String>,
    /// Items that were looked at.
    pub(super) read: usize,
    /// Read units that they took.
    pub(super) units: f64,
    /// Rounds of parallel queries.
    pub(super) rounds: usize,
}

/// What may be read for a page of which most items may be passed over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    /// Read units. The round that reaches it is the last one, and is sized so that it does not go far beyond.
    pub(super) units: f64,
    /// Time. The round during which it passes is the last one.
    pub(super) time: Duration,
}

/// What a page may take if most of its items may be skipped. 1,000 read units are 8 MB at eventual consistency, some 9,000
/// invoices. API Gateway waits 29 s at most.
pub(super) const BOUND: Bound = Bound { units: 1000.0, time: Duration::from_secs(5) };

/// Reads the next `limit` items of a list to which every item belongs. Looks at [`plan::read_limit`] items at most, in
/// two rounds at most.
///
/// # Errors
/// The first error of a shard.
pub(super) async fn read<S: Shards>(shards: &S, limit: usize) -> Result<Page<S::Item>, S::Error> {
    let mut reading = Reading::of(shards, limit);
    let mut asked = vec![plan::first_round(limit, shards.count()); shards.count()];
    loop {
        reading.round(&asked).await?;
        if reading.is_done() || reading.rounds == ROUNDS_LIMIT {
            return Ok(reading.page());
        }
        // One more than the page tells whether another one follows.
        let at_most = reading.merge.at_most(reading.missing() + 1);
        let left = plan::read_limit(limit, shards.count()).saturating_sub(reading.read);
        asked = plan::later_round(&at_most, reading.merge.open(), left);
        if asked.iter().all(|limit| *limit == 0) {
            return Ok(reading.page());
        }
    }
}

/// Reads the next `limit` items of a list to which only some of the items belong: reads on until the page is full, within
/// the bound.
///
/// # Errors
/// The first error of a shard.
pub(super) async fn read_on<S: Shards>(shards: &S, limit: usize, bound: Bound) -> Result<Page<S::Item>, S::Error> {
    let began = Instant::now();
    let mut reading = Reading::of(shards, limit);
    let mut each = plan::first_round(limit, shards.count());
    loop {
        let open = |shard| if reading.merge.is_open(shard) { each } else { 0 };
        let asked: Vec<usize> = (0..shards.count()).map(open).collect();
        reading.round(&asked).await?;
        let is_full = reading.missing() == 0;
        if is_full || reading.is_done() || reading.units >= bound.units || began.elapsed() >= bound.time {
            return Ok(reading.page());
        }
        let (open, matched) = (reading.merge.open(), reading.entries.len());
        let affordable = plan::affordable(bound.units - reading.units, reading.units, reading.read);
        each = plan::scan_round(reading.missing(), matched, reading.read, open).min(affordable.div_ceil(open.max(1)));
    }
}

/// A page while it is being read.
struct Reading<'s, S: Shards> {
    shards: &'s S,
    limit: usize,
    merge: Merge<S::Item>,
    /// For each shard, where its last piece ended.
    ends: Vec<Option<S::Key>>,
    entries: Vec<Entry<S::Item>>,
    read: usize,
    units: f64,
    rounds: usize,
}

impl<'s, S: Shards> Reading<'s, S> {
    fn of(shards: &'s S, limit: usize) -> Self {
        Self {
            shards,
            limit,
            merge: Merge::new(shards.count(), shards.order()),
            ends: (0..shards.count()).map(|_| None).collect(),
            entries: Vec::new(),
            read: 0,
            units: 0.0,
            rounds: 0,
        }
    }

    /// Reads on in all shards of which anything is asked, at the same time, and takes what comes next.
    async fn round(&mut self, asked: &[usize]) -> Result<(), S::Error> {
        let queries = asked.iter().zip(&self.ends).enumerate().filter(|(_, (limit, _))| **limit > 0);
        let pieces = queries.map(async |(shard, (limit, end))| {
            Ok::<_, S::Error>((shard, self.shards.read(shard, end.as_ref(), *limit).await?))
        });
        for (shard, piece) in try_join_all(pieces).await? {
            self.read += piece.read;
            self.units += piece.units;
            let (key, sort) = piece.end.map(|end| (end.key, end.sort)).unzip();
            self.merge.feed(shard, piece.entries, sort);
            if let Some(end) = self.ends.get_mut(shard) {
                *end = key;
            }
        }
        self.rounds += 1;
        while self.missing() > 0
            && let Next::Item(entry) = self.merge.pop()
        {
            self.entries.push(entry);
        }
        Ok(())
    }

    fn missing(&self) -> usize {
        self.limit - self.entries.len()
    }

    /// Whether the page is full and what follows is known, or nothing follows.
    fn is_done(&self) -> bool {
        let is_full = self.missing() == 0;
        self.merge.has_more().is_some_and(|has_more| is_full || !has_more)
    }

    fn page(self) -> Page<S::Item> {
        let behind = match self.merge.has_more() {
            Some(false) => None,
            _ if self.missing() == 0 => self.entries.last().map(|entry| entry.sort.clone()),
            _ => self.merge.frontier().map(ToOwned::to_owned),
        };
        let Self { entries, read, units, rounds, .. } = self;
        Page { entries, behind, read, units, rounds }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::executor::block_on;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Shards in memory. A piece has at most `piece_limit` items, as a page of a query has at most 1 MB. It tells that more
    /// follows even where nothing does, as a query does that ends at its limit. Each item takes a read unit.
    struct Memory {
        order: Order,
        shards: Vec<Vec<String>>,
        behind: Option<String>,
        piece_limit: usize,
        /// Which of the items belong to the list.
        belongs: fn(&str) -> bool,
        queries: AtomicUsize,
    }

    impl Shards for Memory {
        type Item = ();
        type Key = String;
        type Error = Infallible;

        fn count(&self) -> usize {
            self.shards.len()
        }

        fn order(&self) -> Order {
            self.order
        }

        async fn read(
            &self,
            shard: usize,
            behind: Option<&String>,
            limit: usize,
        ) -> Result<Piece<(), String>, Infallible> {
            self.queries.fetch_add(1, Ordering::Relaxed);
            let mut keys = self.shards[shard].clone();
            keys.sort_unstable();
            if self.order == Order::Descending {
                keys.reverse();
            }
            let behind = behind.or(self.behind.as_ref());
            let rest = keys.into_iter().filter(|key| behind.is_none_or(|behind| self.order.is_before(behind, key)));
            let limit = limit.min(self.piece_limit);
            let all: Vec<String> = rest.take(limit).collect();
            let end = (all.len() == limit).then(|| all.last().unwrap().clone());
            let end = end.map(|sort| End { key: sort.clone(), sort });
            let read = all.len();
            let units = f64::from(u32::try_from(read).unwrap());
            let entries = all.into_iter().filter(|sort| (self.belongs)(sort)).map(|sort| Entry { sort, item: () });
            Ok(Piece { entries: entries.collect(), end, read, units })
        }
    }

    fn walk(mut shards: Memory, limits: &[usize]) -> (Vec<String>, Vec<Page<()>>) {
        let (mut keys, mut pages) = (Vec::new(), Vec::new());
        for limit in limits.iter().cycle() {
            let page = block_on(read(&shards, *limit)).unwrap();
            assert!(page.read <= plan::read_limit(*limit, shards.count()), "{limit}: {}", page.read);
            assert!(page.rounds <= ROUNDS_LIMIT && page.entries.len() <= *limit);
            assert!(!page.entries.is_empty() || page.behind.is_none());
            keys.extend(page.entries.iter().map(|entry| entry.sort.clone()));
            shards.behind.clone_from(&page.behind);
            pages.push(page);
            if shards.behind.is_none() {
                break;
            }
        }
        (keys, pages)
    }

    fn memory(shards: Vec<Vec<String>>, order: Order, piece_limit: usize) -> Memory {
        Memory { order, shards, behind: None, piece_limit, belongs: |_| true, queries: AtomicUsize::new(0) }
    }

    /// What a hash does: n keys over `count` shards.
    fn spread(n: usize, count: u16) -> Vec<Vec<String>> {
        let mut shards = vec![Vec::new(); usize::from(count)];
        for key in 0..n {
            let key = format!("{key:06}");
            shards[usize::from(notaflux_table::keys::shard(&key, count))].push(key);
        }
        shards
    }

    #[test]
    fn pages_of_hashed_keys_are_full_and_the_last_one_is_known() {
        for (n, count, limit, most_short) in [
            (5000, 8, 50, 0),
            (5000, 8, 1000, 0),
            (500, 8, 1, 0),
            (1500, 8, 3, 0),
            (3000, 8, 7, 4),
            (5000, 8, 20, 0),
            // Many more shards than items on a page: the bound leaves little for the second round.
            (2000, 64, 20, 15),
            (5000, 64, 100, 0),
            (300, 1, 10, 0),
        ] {
            let (keys, pages) = walk(memory(spread(n, count), Order::Ascending, usize::MAX), &[limit]);
            assert_eq!(keys.len(), n);
            let full = pages.iter().filter(|page| page.entries.len() == limit).count();
            let short = pages.len() - full - usize::from(n % limit > 0 || full < n / limit);
            assert!(short <= most_short, "{short} of {} pages of {limit} over {count} shards", pages.len());
            if n % limit == 0 {
                assert!(!pages.last().unwrap().entries.is_empty(), "no empty page at the end");
            }
        }
    }

    #[test]
    fn a_list_in_one_shard_is_read_without_waste() {
        let mut shards = vec![Vec::new(); 8];
        shards[3] = (0..1000).map(|n| format!("{n:06}")).collect();
        let (keys, pages) = walk(memory(shards, Order::Ascending, usize::MAX), &[100]);
        assert_eq!(keys.len(), 1000);
        assert!(pages.iter().all(|page| page.entries.len() == 100));
    }

    #[test]
    fn an_empty_list_is_one_empty_page() {
        let shards = memory(vec![Vec::new(); 4], Order::Ascending, 10);
        let page = block_on(read(&shards, 10)).unwrap();
        assert_eq!((page.entries.len(), page.behind, page.rounds), (0, None, 1));
        assert_eq!(shards.queries.into_inner(), 4);
    }

    const UNBOUND: Bound = Bound { units: f64::INFINITY, time: Duration::MAX };

    #[test]
    fn a_page_of_which_nothing_belongs_to_the_list_ends_at_its_bound() {
        let mut shards = memory(spread(5000, 8), Order::Ascending, usize::MAX);
        shards.belongs = |_| false;
        let page = block_on(read_on(&shards, 50, Bound { units: 1000.0, ..UNBOUND })).unwrap();
        assert_eq!(page.entries, []);
        assert!((1000..=1008).contains(&page.read), "{} items", page.read);
        let reached: usize = page.behind.unwrap().parse().unwrap();
        assert!((800..1000).contains(&reached), "it goes on at {reached}");
        let page = block_on(read_on(&shards, 50, Bound { time: Duration::ZERO, ..UNBOUND })).unwrap();
        assert_eq!((page.rounds, page.entries.len(), page.behind.is_some()), (1, 0, true));
        let page = block_on(read_on(&shards, 50, UNBOUND)).unwrap();
        assert_eq!((page.read, page.behind), (5000, None));
    }

    #[test]
    fn a_filtered_page_is_filled_without_much_waste() {
        for (belongs, one_in) in
            [((|sort| sort.ends_with('7')) as fn(&str) -> bool, 10), (|sort| sort.ends_with("77"), 100)]
        {
            let mut shards = memory(spread(20_000, 8), Order::Descending, usize::MAX);
            shards.belongs = belongs;
            let page = block_on(read_on(&shards, 50, UNBOUND)).unwrap();
            assert_eq!(page.entries.len(), 50);
            assert!(page.read <= 50 * one_in * 2, "{} items for 50 of 1 in {one_in}", page.read);
            assert!(page.rounds <= 8, "{} rounds", page.rounds);
        }
    }

    /// Keys in shards, some of them by the key, so that one shard is behind the others; and the keys in order.
    fn skewed(keys: &[(u32, usize)], count: usize) -> (Vec<Vec<String>>, Vec<String>) {
        let mut shards = vec![Vec::new(); count];
        let mut expected: Vec<String> = keys.iter().map(|(key, _)| format!("{key:06}")).collect();
        expected.sort_unstable();
        expected.dedup();
        for key in &expected {
            let (_, shard) = keys.iter().find(|(each, _)| format!("{each:06}") == *key).unwrap();
            let shard = if shard % 2 == 0 { *shard } else { key.parse::<usize>().unwrap() * count / 5000 };
            shards[shard % count].push(key.clone());
        }
        (shards, expected)
    }

    fn order(descending: bool) -> Order {
        if descending { Order::Descending } else { Order::Ascending }
    }

    proptest! {
        /// Whatever the skew, the limits and the length of pieces: every key once, in order, within the bounds.
        #[test]
        fn a_walk_gives_every_key_once_and_in_order(
            keys in vec((0_u32..5000, 0_usize..12), 0..300),
            count in 1_usize..12,
            limits in vec(1_usize..60, 1..5),
            piece_limit in 1_usize..80,
            descending in any::<bool>(),
        ) {
            let (shards, mut expected) = skewed(&keys, count);
            if descending {
                expected.reverse();
            }
            let (found, _) = walk(memory(shards, order(descending), piece_limit), &limits);
            prop_assert_eq!(found, expected);
        }

        /// Whatever the filter lets through and wherever the bound ends a page: every match once, in order.
        #[test]
        fn a_filtered_walk_gives_every_match_once_and_in_order(
            keys in vec((0_u32..5000, 0_usize..12), 0..300),
            count in 1_usize..12,
            limit in 1_usize..60,
            piece_limit in 1_usize..80,
            units in 1_u32..200,
            descending in any::<bool>(),
        ) {
            let (shards, mut expected) = skewed(&keys, count);
            let belongs = |sort: &str| sort.ends_with(['3', '7']);
            expected.retain(|key| belongs(key));
            if descending {
                expected.reverse();
            }
            let mut shards = Memory { belongs, ..memory(shards, order(descending), piece_limit) };
            let bound = Bound { units: f64::from(units), ..UNBOUND };
            let mut found = Vec::new();
            for pages in 0.. {
                prop_assert!(pages < 1000, "it does not get on");
                let page = block_on(read_on(&shards, limit, bound)).unwrap();
                prop_assert!(page.entries.len() <= limit);
                found.extend(page.entries.into_iter().map(|entry| entry.sort));
                shards.behind = page.behind;
                if shards.behind.is_none() {
                    break;
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
