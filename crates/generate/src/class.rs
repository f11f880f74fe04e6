//! Classes of records: good, repeated or bad, in given shares.

use crate::random::Random;

/// Largest number of repeated and bad rows after one line or one event, however high their shares are.
pub(crate) const EXTRA_ROWS_LIMIT: usize = 64;

/// Shares of bad and of repeated records, as parts of 2^32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    bad: u64,
    bad_or_repeated: u64,
}

/// The class of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Good,
    Repeated,
    Bad,
}

impl Shares {
    /// Returns the shares of these options. A share outside 0 to 1 counts as 0 or 1.
    pub(crate) fn new(bad: f64, duplicates: f64) -> Self {
        let bad = share(bad);
        Self { bad, bad_or_repeated: bad + share(duplicates) }
    }

    /// Draws the class of a record.
    pub(crate) fn draw(self, random: &mut Random) -> Class {
        let draw = random.below(1 << 32);
        if draw < self.bad {
            Class::Bad
        } else if draw < self.bad_or_repeated {
            Class::Repeated
        } else {
            Class::Good
        }
    }

    /// Calls `write` with the class of each repeated or bad row that follows a good row.
    ///
    /// The class of each row after a good one is drawn like that of any other row, up to the next good one. So the
    /// whole file has these shares, and no good row is left out.
    pub(crate) fn extra_rows(self, random: &mut Random, mut write: impl FnMut(Class, &mut Random)) {
        for _ in 0..EXTRA_ROWS_LIMIT {
            match self.draw(random) {
                Class::Good => break,
                class => write(class, random),
            }
        }
    }
}

/// Returns a share as a part of 2^32.
fn share(share: f64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 2^32 after the clamp; NaN becomes 0"
    )]
    let of_2_to_32 = (share.clamp(0.0, 1.0) * 4_294_967_296.0) as u64;
    of_2_to_32
}
