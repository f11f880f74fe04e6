//! Reads a page of a list from its shards.

use std::time::{Duration, Instant};

use futures::future::try_join_all;

use super::merge::{Entry, Merge, Next, Order};
use super::plan;

/// Most rounds of parallel queries for an unfiltered page.
const ROUNDS_LIMIT: usize = 2;

/// Shards of an index. Each shard is a sorted stream that is read page by page.
pub(super) trait Shards: Sync {
    type Item: Send;
    /// The key at which a page of a shard ended.
    type Key: Send + Sync;
    type Error: Send;

    /// Returns the number of shards.
    fn count(&self) -> usize;

    /// Returns the order in which the shards are read.
    fn order(&self) -> Order;

    /// Reads up to `limit` items of a shard, from the beginning of the page or after an earlier page of the shard. May return
    /// fewer items although the shard continues.
    fn read(
        &self,
        shard: usize,
        after: Option<&Self::Key>,
        limit: usize,
    ) -> impl Future<Output = Result<ShardPage<Self::Item, Self::Key>, Self::Error>> + Send;
}

/// A page of one shard.
#[derive(Debug)]
pub(super) struct ShardPage<T, K> {
    /// The items that belong to the list, in order.
    pub(super) entries: Vec<Entry<T>>,
    /// Where the page ended; `None` if the shard has ended.
    pub(super) end: Option<End<K>>,
    /// Items that were read, including skipped ones.
    pub(super) examined: usize,
    /// Read units that the page consumed.
    pub(super) units: f64,
}

/// Where a page of a shard ended.
#[derive(Debug)]
pub(super) struct End<K> {
    /// The key after which the shard continues.
    pub(super) key: K,
    /// The sort key up to which the shard was read.
    pub(super) sort_key: String,
}

/// A page: items of all shards in order.
#[derive(Debug)]
pub(super) struct Page<T> {
    /// The items. Fewer than the limit if the list ends, or if the page reaches its bound first.
    pub(super) entries: Vec<Entry<T>>,
    /// The sort key after which the list may continue; `None` at its end.
    pub(super) next_after: Option<String>,
    /// Items that were read, including skipped ones.
    pub(super) examined: usize,
    /// Rounds of parallel queries.
    pub(super) rounds: usize,
}

/// What a page may take if most of its items may be skipped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    /// Read units. The round that reaches this number is the last one. Its size is chosen so that it does not exceed the
    /// number by much.
    pub(super) units: f64,
    /// Time. The round that is running when the time ends is the last one.
    pub(super) time: Duration,
}

/// The bound of a page of the API. 1,000 read units are 8 MB at eventual consistency, some 9,000
/// invoices. API Gateway waits 29 s at most.
pub(super) const BOUND: Bound = Bound { units: 1000.0, time: Duration::from_secs(5) };

/// Reads the next `limit` items of an unfiltered list. Reads at most [`plan::read_limit`] items, in at most two rounds.
///
/// # Errors
/// The first error of a shard.
pub(super) async fn read<S: Shards>(shards: &S, limit: usize) -> Result<Page<S::Item>, S::Error> {
    let mut reading = PageReader::new(shards, limit);
    let mut asked = vec![plan::first_round(limit, shards.count()); shards.count()];
    loop {
        reading.round(&asked).await?;
        if reading.is_done() || reading.rounds == ROUNDS_LIMIT {
            return Ok(reading.page());
        }
        // One more item than the page shows whether another page follows.
        let at_most = reading.merge.at_most(reading.missing() + 1);
        let left = plan::read_limit(limit, shards.count()).saturating_sub(reading.examined);
        asked = plan::later_round(&at_most, reading.merge.open(), left);
        if asked.iter().all(|limit| *limit == 0) {
            return Ok(reading.page());
        }
    }
}

/// Reads the next `limit` items of a filtered list: continues until the page is full or reaches the bound.
///
/// # Errors
/// The first error of a shard.
pub(super) async fn read_filtered<S: Shards>(
    shards: &S,
    limit: usize,
    bound: Bound,
) -> Result<Page<S::Item>, S::Error> {
    let began = Instant::now();
    let mut reading = PageReader::new(shards, limit);
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
        let affordable = plan::affordable(bound.units - reading.units, reading.units, reading.examined);
        each =
            plan::scan_round(reading.missing(), matched, reading.examined, open).min(affordable.div_ceil(open.max(1)));
    }
}

/// Reads a page round by round.
struct PageReader<'s, S: Shards> {
    shards: &'s S,
    limit: usize,
    merge: Merge<S::Item>,
    /// The key at which the last page of each shard ended.
    ends: Vec<Option<S::Key>>,
    entries: Vec<Entry<S::Item>>,
    examined: usize,
    units: f64,
    rounds: usize,
}

impl<'s, S: Shards> PageReader<'s, S> {
    fn new(shards: &'s S, limit: usize) -> Self {
        Self {
            shards,
            limit,
            merge: Merge::new(shards.count(), shards.order()),
            ends: (0..shards.count()).map(|_| None).collect(),
            entries: Vec::new(),
            examined: 0,
            units: 0.0,
            rounds: 0,
        }
    }

    /// Queries in parallel all shards from which items are requested, and takes the items that are known to come next.
    #[expect(clippy::expect_used, reason = "there is an end for each shard")]
    async fn round(&mut self, asked: &[usize]) -> Result<(), S::Error> {
        let queries = asked.iter().zip(&self.ends).enumerate().filter(|(_, (limit, _))| **limit > 0);
        let shard_pages = queries.map(async |(shard, (limit, end))| {
            Ok::<_, S::Error>((shard, self.shards.read(shard, end.as_ref(), *limit).await?))
        });
        for (shard, shard_page) in try_join_all(shard_pages).await? {
            self.examined += shard_page.examined;
            self.units += shard_page.units;
            let (key, sort_key) = shard_page.end.map(|end| (end.key, end.sort_key)).unzip();
            self.merge.feed(shard, shard_page.entries, sort_key);
            *self.ends.get_mut(shard).expect("a shard is below the number of shards") = key;
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

    /// Whether the list has ended, or the page is full and it is known that the list continues.
    fn is_done(&self) -> bool {
        let is_full = self.missing() == 0;
        self.merge.has_more().is_some_and(|has_more| is_full || !has_more)
    }

    fn page(self) -> Page<S::Item> {
        let next_after = match self.merge.has_more() {
            Some(false) => None,
            _ if self.missing() == 0 => self.entries.last().map(|entry| entry.sort_key.clone()),
            _ => self.merge.frontier().map(ToOwned::to_owned),
        };
        let Self { entries, examined, rounds, .. } = self;
        Page { entries, next_after, examined, rounds }
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

    /// Shards in memory. A page has at most `shard_page_limit` items, as the answer to a query has at most 1 MB. A page that
    /// ends at its limit says that more may follow even if nothing does, as a query does. Each item takes a read unit.
    struct Memory {
        order: Order,
        shards: Vec<Vec<String>>,
        after: Option<String>,
        shard_page_limit: usize,
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
            after: Option<&String>,
            limit: usize,
        ) -> Result<ShardPage<(), String>, Infallible> {
            self.queries.fetch_add(1, Ordering::Relaxed);
            let mut keys = self.shards[shard].clone();
            keys.sort_unstable();
            if self.order == Order::Descending {
                keys.reverse();
            }
            let after = after.or(self.after.as_ref());
            let rest = keys.into_iter().filter(|key| after.is_none_or(|after| self.order.is_before(after, key)));
            let limit = limit.min(self.shard_page_limit);
            let all: Vec<String> = rest.take(limit).collect();
            let end = (all.len() == limit).then(|| all.last().unwrap().clone());
            let end = end.map(|sort| End { key: sort.clone(), sort_key: sort });
            let examined = all.len();
            let units = f64::from(u32::try_from(examined).unwrap());
            let entries =
                all.into_iter().filter(|sort| (self.belongs)(sort)).map(|sort| Entry { sort_key: sort, item: () });
            Ok(ShardPage { entries: entries.collect(), end, examined, units })
        }
    }

    fn walk(mut shards: Memory, limits: &[usize]) -> (Vec<String>, Vec<Page<()>>) {
        let (mut keys, mut pages) = (Vec::new(), Vec::new());
        for limit in limits.iter().cycle() {
            let page = block_on(read(&shards, *limit)).unwrap();
            assert!(page.examined <= plan::read_limit(*limit, shards.count()), "{limit}: {}", page.examined);
            assert!(page.rounds <= ROUNDS_LIMIT && page.entries.len() <= *limit);
            assert!(!page.entries.is_empty() || page.next_after.is_none());
            keys.extend(page.entries.iter().map(|entry| entry.sort_key.clone()));
            shards.after.clone_from(&page.next_after);
            pages.push(page);
            if shards.after.is_none() {
                break;
            }
        }
        (keys, pages)
    }

    fn memory(shards: Vec<Vec<String>>, order: Order, shard_page_limit: usize) -> Memory {
        Memory { order, shards, after: None, shard_page_limit, belongs: |_| true, queries: AtomicUsize::new(0) }
    }

    /// Spreads n keys over `count` shards by their hash.
    fn spread(n: usize, count: u16) -> Vec<Vec<String>> {
        let mut shards = vec![Vec::new(); usize::from(count)];
        for key in 0..n {
            let key = format!("{key:06}");
            shards[usize::from(notaflux_table::keys::shard(&key, count))].push(key);
        }
        shards
    }

    #[test]
    fn pages_of_hashed_keys_are_full() {
        for (n, count, limit, most_short) in [
            (5000, 8, 50, 0),
            (5000, 8, 1000, 0),
            (500, 8, 1, 0),
            (1500, 8, 3, 0),
            (3000, 8, 7, 4),
            (5000, 8, 20, 0),
            // Many more shards than items on a page: the limit leaves little for the second round.
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
        assert_eq!((page.entries.len(), page.next_after, page.rounds), (0, None, 1));
        assert_eq!(shards.queries.into_inner(), 4);
    }

    const UNBOUNDED: Bound = Bound { units: f64::INFINITY, time: Duration::MAX };

    #[test]
    fn a_page_without_matches_ends_at_its_bound() {
        let mut shards = memory(spread(5000, 8), Order::Ascending, usize::MAX);
        shards.belongs = |_| false;
        let page = block_on(read_filtered(&shards, 50, Bound { units: 1000.0, ..UNBOUNDED })).unwrap();
        assert_eq!(page.entries, []);
        assert!((1000..=1008).contains(&page.examined), "{} items", page.examined);
        let reached: usize = page.next_after.unwrap().parse().unwrap();
        assert!((800..1000).contains(&reached), "it continues at {reached}");
        let page = block_on(read_filtered(&shards, 50, Bound { time: Duration::ZERO, ..UNBOUNDED })).unwrap();
        assert_eq!((page.rounds, page.entries.len(), page.next_after.is_some()), (1, 0, true));
        let page = block_on(read_filtered(&shards, 50, UNBOUNDED)).unwrap();
        assert_eq!((page.examined, page.next_after), (5000, None));
    }

    #[test]
    fn a_filtered_page_is_filled_without_much_waste() {
        for (belongs, one_in) in
            [((|sort| sort.ends_with('7')) as fn(&str) -> bool, 10), (|sort| sort.ends_with("77"), 100)]
        {
            let mut shards = memory(spread(20_000, 8), Order::Descending, usize::MAX);
            shards.belongs = belongs;
            let page = block_on(read_filtered(&shards, 50, UNBOUNDED)).unwrap();
            assert_eq!(page.entries.len(), 50);
            assert!(page.examined <= 50 * one_in * 2, "{} items for 50 of 1 in {one_in}", page.examined);
            assert!(page.rounds <= 8, "{} rounds", page.rounds);
        }
    }

    /// Spreads keys over shards, some of them by their size, so that shards differ; returns the shards, and all keys in order.
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
        /// For any skew, limits and length of pages: every key once, in order, within the bounds.
        #[test]
        fn a_walk_gives_every_key_once_and_in_order(
            keys in vec((0_u32..5000, 0_usize..12), 0..300),
            count in 1_usize..12,
            limits in vec(1_usize..60, 1..5),
            shard_page_limit in 1_usize..80,
            descending in any::<bool>(),
        ) {
            let (shards, mut expected) = skewed(&keys, count);
            if descending {
                expected.reverse();
            }
            let (found, _) = walk(memory(shards, order(descending), shard_page_limit), &limits);
            prop_assert_eq!(found, expected);
        }

        /// For any filter and any bound: every match once, in order.
        #[test]
        fn a_filtered_walk_gives_every_match_once_and_in_order(
            keys in vec((0_u32..5000, 0_usize..12), 0..300),
            count in 1_usize..12,
            limit in 1_usize..60,
            shard_page_limit in 1_usize..80,
            units in 1_u32..200,
            descending in any::<bool>(),
        ) {
            let (shards, mut expected) = skewed(&keys, count);
            let belongs = |sort: &str| sort.ends_with(['3', '7']);
            expected.retain(|key| belongs(key));
            if descending {
                expected.reverse();
            }
            let mut shards = Memory { belongs, ..memory(shards, order(descending), shard_page_limit) };
            let bound = Bound { units: f64::from(units), ..UNBOUNDED };
            let mut found = Vec::new();
            for pages in 0.. {
                prop_assert!(pages < 1000, "no progress");
                let page = block_on(read_filtered(&shards, limit, bound)).unwrap();
                prop_assert!(page.entries.len() <= limit);
                found.extend(page.entries.into_iter().map(|entry| entry.sort_key));
                shards.after = page.next_after;
                if shards.after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
