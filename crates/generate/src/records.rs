//! Records by their index: the class of each, and which one it repeats. A record is a function of the seed and its
//! index alone.

use crate::class::{Class, Shares};
use crate::options::GenerateOptions;
use crate::random::Random;
use crate::stream;
use crate::tables::Tables;

/// Number of attempts of a repeated record to find an earlier one that is not bad.
const LOOKS: u64 = 16;

/// All records of the files of one seed.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) seed: u64,
    pub(crate) shares: Shares,
    pub(crate) tables: Tables,
}

impl Records {
    /// Creates the tables of `options`, which takes some milliseconds.
    pub(crate) fn new(options: &GenerateOptions) -> Self {
        Self {
            seed: options.seed,
            shares: Shares::new(options.bad, options.duplicates),
            tables: Tables::new(options.seed, options.layout_version),
        }
    }

    /// Returns the class of record `index` of the invoice file.
    pub(crate) fn class(&self, index: u64) -> Class {
        self.shares.draw(&mut self.random(index, stream::CLASS))
    }

    /// Returns the random sequence of one stream of record `index`.
    pub(crate) fn random(&self, index: u64, stream: u64) -> Random {
        Random::new(self.seed, index, stream)
    }

    /// Returns whether record `index` of the invoice file has a valid key that no earlier record has.
    pub(crate) fn is_first_of_its_key(&self, index: u64) -> bool {
        match self.class(index) {
            Class::Good => true,
            Class::Repeated => self.origin(index) == index,
            Class::Bad => false,
        }
    }

    /// Returns the good record that `index` repeats, directly or through other repeated records. Returns `index` if
    /// there is none.
    pub(crate) fn origin(&self, index: u64) -> u64 {
        let mut at = index;
        while let Some(earlier) = self.earlier(at, &mut self.random(at, stream::EARLIER)) {
            at = earlier;
            if self.class(at) == Class::Good {
                break;
            }
        }
        at
    }

    /// Picks a record of the invoice file before `index` that is not bad.
    fn earlier(&self, index: u64, random: &mut Random) -> Option<u64> {
        let mut looks = (0..LOOKS).filter(|_| index > 0).map(|_| random.below(index));
        looks.find(|&at| self.class(at) != Class::Bad)
    }

    /// Picks a record of the invoice file before `index`, and returns the first record with its key.
    pub(crate) fn earlier_key(&self, index: u64, random: &mut Random) -> Option<u64> {
        let at = self.earlier(index, random)?;
        Some(if self.class(at) == Class::Good { at } else { self.origin(at) })
    }
}
