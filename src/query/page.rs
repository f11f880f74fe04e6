//! A page of a list: which shards are read, how far, and what comes next.

use futures::future::try_join_all;

use super::merge::{Entry, Merge, Next, Order};
use super::plan;

/// Rounds of parallel queries that a page takes at most.
const ROUNDS_LIMIT: usize = 2;

/// Shards of an index, each a sorted stream that is read piece by piece.
pub trait Shards: Sync {
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

    /// Reads up to `limit` items of a shard, from where the list begins or behind an earlier piece.
    ///
    /// A piece may be shorter and have a successor all the same.
    fn read(
        &self,
        shard: usize,
        behind: Option<&Self::Key>,
        limit: usize,
    ) -> impl Future<Output = Result<Piece<Self::Item, Self::Key>, Self::Error>> + Send;
}

/// Items of one shard, one after the other.
#[derive(Debug)]
pub struct Piece<T, K> {
    /// The items.
    pub entries: Vec<Entry<T>>,
    /// Where it ended; none if the shard has no more.
    pub end: Option<K>,
    /// Items that the index was read for, more than `entries` where some were passed over.
    pub read: usize,
}

/// Items of all shards in order.
#[derive(Debug)]
pub struct Page<T> {
    /// The items: as many as were asked for, unless the list ends, or shards are so uneven that two rounds of queries
    /// did not fill the page.
    pub entries: Vec<Entry<T>>,
    /// Whether the list may go on behind the last item.
    pub has_more: bool,
    /// Items that the index was read for.
    pub read: usize,
    /// Rounds of parallel queries.
    pub rounds: usize,
}

/// Reads the next `limit` items. Reads at most [`plan::read_limit`] of the index, in at most two rounds.
///
/// # Errors
/// The first error of a shard.
pub async fn read<S: Shards>(shards: &S, limit: usize) -> Result<Page<S::Item>, S::Error> {
    let mut merge = Merge::new(shards.count(), shards.order());
    let mut ends: Vec<Option<S::Key>> = (0..shards.count()).map(|_| None).collect();
    let mut page = Page { entries: Vec::new(), has_more: true, read: 0, rounds: 0 };
    let mut asked = vec![plan::first_round(limit, shards.count()); shards.count()];
    loop {
        let queries = asked.iter().zip(&ends).enumerate().filter(|(_, (limit, _))| **limit > 0);
        let pieces = queries.map(async |(shard, (limit, end))| {
            Ok::<_, S::Error>((shard, shards.read(shard, end.as_ref(), *limit).await?))
        });
        let pieces = try_join_all(pieces).await?;
        page.rounds += 1;
        for (shard, piece) in pieces {
            page.read += piece.read;
            merge.feed(shard, piece.entries, piece.end.is_none());
            if let Some(end) = ends.get_mut(shard) {
                *end = piece.end;
            }
        }
        while page.entries.len() < limit
            && let Next::Item(entry) = merge.pop()
        {
            page.entries.push(entry);
        }
        let is_full = page.entries.len() == limit;
        match merge.has_more() {
            Some(has_more) if is_full || !has_more => {
                page.has_more = has_more;
                return Ok(page);
            }
            _ if page.rounds >= ROUNDS_LIMIT && !page.entries.is_empty() => return Ok(page),
            _ => {}
        }
        // One more than the page tells whether another one follows.
        let at_most = merge.at_most(limit - page.entries.len() + 1);
        let left = plan::read_limit(limit, shards.count()).saturating_sub(page.read);
        // Without a first item there is nothing that a cursor could name: then it is read on at any price.
        let budget = if page.entries.is_empty() { left.max(at_most.len()) } else { left };
        asked = plan::later_round(&at_most, merge.open(), budget);
        if asked.iter().all(|limit| *limit == 0) {
            return Ok(page);
        }
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

    /// Shards in memory. A piece has at most `piece_limit` items, as a page of a query has at most 1 MB.
    struct Memory {
        order: Order,
        shards: Vec<Vec<String>>,
        behind: Option<String>,
        piece_limit: usize,
        /// Tells that more follows even where nothing does, as a query does that ends at its limit.
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
            let entries: Vec<_> = rest.take(limit).map(|sort| Entry { sort, item: () }).collect();
            let end = (entries.len() == limit).then(|| entries.last().unwrap().sort.clone());
            Ok(Piece { read: entries.len(), entries, end })
        }
    }

    fn walk(mut shards: Memory, limits: &[usize]) -> (Vec<String>, Vec<Page<()>>) {
        let (mut keys, mut pages) = (Vec::new(), Vec::new());
        for limit in limits.iter().cycle() {
            let page = block_on(read(&shards, *limit)).unwrap();
            assert!(page.read <= plan::read_limit(*limit, shards.count()), "{limit}: {}", page.read);
            assert!(page.rounds <= ROUNDS_LIMIT && page.entries.len() <= *limit);
            assert!(!page.entries.is_empty() || !page.has_more);
            keys.extend(page.entries.iter().map(|entry| entry.sort.clone()));
            shards.behind = keys.last().cloned();
            let has_more = page.has_more;
            pages.push(page);
            if !has_more {
                break;
            }
        }
        (keys, pages)
    }

    fn memory(shards: Vec<Vec<String>>, order: Order, piece_limit: usize) -> Memory {
        Memory { order, shards, behind: None, piece_limit, queries: AtomicUsize::new(0) }
    }

    /// What a hash does: n keys over `count` shards.
    fn spread(n: usize, count: u16) -> Vec<Vec<String>> {
        let mut shards = vec![Vec::new(); usize::from(count)];
        for key in 0..n {
            let key = format!("{key:06}");
            shards[usize::from(crate::table::keys::shard(&key, count))].push(key);
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
        assert_eq!((page.entries.len(), page.has_more, page.rounds), (0, false, 1));
        assert_eq!(shards.queries.into_inner(), 4);
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
            let mut shards = vec![Vec::new(); count];
            let mut expected: Vec<String> = keys.iter().map(|(key, _)| format!("{key:06}")).collect();
            expected.sort_unstable();
            expected.dedup();
            for key in &expected {
                let (_, shard) = keys.iter().find(|(each, _)| format!("{each:06}") == *key).unwrap();
                // Some go by the key, so that one shard is behind the others.
                let shard = if shard % 2 == 0 { *shard } else { key.parse::<usize>().unwrap() * count / 5000 };
                shards[shard % count].push(key.clone());
            }
            let order = if descending { Order::Descending } else { Order::Ascending };
            if descending {
                expected.reverse();
            }
            let (found, _) = walk(memory(shards, order, piece_limit), &limits);
            prop_assert_eq!(found, expected);
        }
    }
}
