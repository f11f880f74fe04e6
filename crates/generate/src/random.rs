//! Random numbers that depend on the seed alone: the same on every machine and in every version.

/// A splitmix64 sequence (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

/// The step of the sequence: 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// Creates the sequence of one purpose (`stream`) for one record (`index`).
    pub(crate) fn new(seed: u64, index: u64, stream: u64) -> Self {
        Self(mix(mix(mix(seed.wrapping_add(STEP)) ^ index) ^ stream))
    }

    /// Returns a number below `limit`; 0 if `limit` is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let wide = u128::from(mix(self.0)) * u128::from(limit);
        // The upper half of a 128-bit product is 64 bits.
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// Returns an index into `length` things.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap_or_default())).unwrap_or_default()
    }

    /// Returns an index into `length` things. Lower indexes are more frequent.
    pub(crate) fn skewed(&mut self, length: usize) -> usize {
        let limit = self.index(length) + 1;
        self.index(limit)
    }

    /// Returns one of `things`.
    #[allow(clippy::indexing_slicing, reason = "`index` returns a number below N")]
    pub(crate) fn pick<T: Copy, const N: usize>(&mut self, things: &[T; N]) -> T {
        const { assert!(N > 0, "one of nothing") };
        things[self.index(N)]
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        // The first two numbers of seed 1234567 in the reference implementation.
        let mut random = Random(1_234_567);
        let mut next = || {
            random.0 = random.0.wrapping_add(STEP);
            mix(random.0)
        };
        assert_eq!([next(), next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn draws_stay_below_their_limit_and_reach_all_of_it() {
        let mut random = Random::new(1, 2, 3);
        let mut seen = [0; 7];
        for _ in 0..7_000 {
            seen[random.index(7)] += 1;
        }
        assert!(seen.iter().all(|&count| (800..1_200).contains(&count)), "{seen:?}");
        assert_eq!(random.below(0), 0);
    }
}
