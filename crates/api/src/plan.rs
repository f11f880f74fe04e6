//! How many items to request from each shard, so that a page takes few reads and two rounds of parallel queries.
//!
//! A hash spreads the ids over the shards: each of S shards has about n/S of the next n items, with a standard deviation of
//! about the square root of n/S. The first round requests that number and a few more. After it, the largest number of items
//! that each shard can still have on the page is known. The second round requests all of them if the limit of a page allows
//! it, else the most likely ones.

/// Returns the largest number of index items that may be read for a page.
pub(super) fn read_limit(limit: usize, shards: usize) -> usize {
    2 * limit + shards
}

/// Returns the number of items to request from each shard in the first round: the expected number plus 1.5 standard
/// deviations, but so that half a page is left for the second round.
pub(super) fn first_round(limit: usize, shards: usize) -> usize {
    let shards = shards.max(1);
    let likely = limit.div_ceil(shards) + (9 * limit / (4 * shards)).isqrt();
    let affordable = (limit + limit / 2 + shards) / shards;
    // One more item than the page shows whether there is another page.
    likely.min(affordable).min(limit + 1).max(1)
}

/// Returns the number of items to request from each shard in a later round. Shard n can still have `at_most[n]` items on the
/// page, `budget` items may be read in all, and `open` shards may have unread items.
///
/// If the budget does not allow all items, each shard gets the number that it exceeds with a small probability. The
/// probability is the same for all shards, and the smallest that fits the budget.
pub(super) fn later_round(at_most: &[usize], open: usize, budget: usize) -> Vec<usize> {
    if at_most.iter().sum::<usize>() <= budget {
        return at_most.to_vec();
    }
    let asked = |probability: f64| at_most.iter().map(|most| likely(*most, open, probability)).collect::<Vec<_>>();
    let probabilities = std::iter::successors(Some(1.0), |probability| Some(probability * STEP)).take(STEPS);
    let fitting = probabilities.map(asked).take_while(|asked| asked.iter().sum::<usize>() <= budget).last();
    fitting.unwrap_or_else(|| one_each(at_most, budget))
}

/// Fewest items that a round of a filtered page requests from a shard, because each query takes time even if it finds few.
const SCAN_LEAST: usize = 8;

/// Returns the number of items to request from each of `open` shards in the next round of a filtered page. The page lacks
/// `missing` items, and `matched` of the `examined` items so far belong to it. The number should fill the page, plus a
/// quarter. It is at most the number of all earlier rounds together, because few matches allow no good estimate.
pub(super) fn scan_round(missing: usize, matched: usize, examined: usize, open: usize) -> usize {
    let likely = missing.saturating_mul(examined) / matched.max(1);
    let asked = likely.saturating_add(likely / 4).min(examined);
    asked.div_ceil(open.max(1)).max(SCAN_LEAST)
}

/// Returns how many items `left` read units are likely to pay for, if `examined` items consumed `spent`.
pub(super) fn affordable(left: f64, spent: f64, examined: usize) -> usize {
    let examined = f64::from(u32::try_from(examined).unwrap_or(u32::MAX));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let items = (left / spent * examined) as usize;
    items.max(1)
}

/// The ratio of each probability to the one before it: fine enough to leave little of the budget unused.
const STEP: f64 = 0.8;
/// Number of probabilities to try: down to 10⁻¹², where smaller ones change nothing.
const STEPS: usize = 124;

/// Returns the number of items that one of `shards` shards reaches among `most` with less than `probability`; at most
/// `most`. A request for this number is enough: its last item shows that no item is missing before it.
fn likely(most: usize, shards: usize, probability: f64) -> usize {
    let share = 1.0 / f64::from(u32::try_from(shards.max(2)).unwrap_or(u32::MAX));
    let trials = u32::try_from(most).unwrap_or(u32::MAX);
    let odds = share / (1.0 - share);
    // The binomial distribution, term by term.
    let mut exactly = (1.0 - share).powf(f64::from(trials));
    let (mut at_least, mut items) = (1.0, 0);
    while items < most && at_least >= probability {
        at_least -= exactly;
        let done = u32::try_from(items).unwrap_or(u32::MAX);
        exactly *= f64::from(trials - done) / f64::from(done + 1) * odds;
        items += 1;
    }
    items
}

/// Requests one item from each shard that can contribute. If the budget is smaller, chooses the shards that can contribute
/// most.
fn one_each(at_most: &[usize], budget: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..at_most.len()).collect();
    order.sort_by_key(|shard| std::cmp::Reverse(at_most.get(*shard)));
    let chosen: std::collections::HashSet<usize> = order.into_iter().take(budget).collect();
    at_most.iter().enumerate().map(|(shard, most)| usize::from(*most > 0 && chosen.contains(&shard))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_leaves_room_for_the_second() {
        for shards in 1..=256 {
            for limit in 1..=1000 {
                let asked = shards * first_round(limit, shards);
                // The item of the cursor may be read again.
                assert!(asked < read_limit(limit, shards), "{limit} of {shards}: {asked}");
                assert!(asked >= shards);
            }
        }
        assert_eq!((first_round(50, 8), first_round(1000, 8), first_round(50, 1)), (10, 141, 51));
    }

    #[test]
    fn the_second_round_fits_the_budget() {
        assert_eq!(later_round(&[5, 0, 2], 2, 7), [5, 0, 2]);
        assert_eq!(later_round(&[5, 0, 2], 2, 100), [5, 0, 2]);
        assert_eq!(later_round(&[3, 0, 9, 1], 3, 2), [1, 0, 1, 0]);
        assert_eq!(later_round(&[], 0, 2), [0_usize; 0]);
        for budget in 0..60 {
            let asked = later_round(&[20, 19, 10, 5, 1, 0], 8, budget);
            assert!(asked.iter().sum::<usize>() <= budget, "{budget}: {asked:?}");
            assert!(asked.is_sorted_by(|a, b| a >= b), "{budget}: {asked:?}");
        }
    }

    #[test]
    fn a_filtered_page_continues_by_its_rate_of_matches() {
        // Nothing matched: as many again. Half of 80 matched and 10 are missing: 20 plus a quarter, over 8 shards.
        assert_eq!((scan_round(50, 0, 800, 8), scan_round(500, 1, 800, 8)), (100, 100));
        assert_eq!((scan_round(100, 400, 800, 8), scan_round(10, 40, 80, 8)), (32, 8));
        assert_eq!(
            (affordable(10.0, 5.0, 40), affordable(0.1, 5.0, 40), affordable(1.0, 0.0, 40)),
            (80, 1, usize::MAX)
        );
        assert_eq!(affordable(1.0, 0.0, 0), 1);
    }

    #[test]
    fn likely_numbers_follow_the_binomial_distribution() {
        // One of 8 has none of 10 with (7/8)^10 = 0.263, so at least one with 0.737, two with 0.361, three with 0.120.
        let expected = [(1.0, 1), (0.75, 1), (0.7, 2), (0.3, 3), (0.13, 3), (0.11, 4)];
        for (probability, items) in expected {
            assert_eq!(likely(10, 8, probability), items, "{probability}");
        }
        assert_eq!((likely(0, 8, 0.1), likely(2, 8, 1e-9), likely(1001, 2, 1e-12)), (0, 2, 612));
    }
}
