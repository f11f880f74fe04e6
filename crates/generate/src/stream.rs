//! The random streams of a record. They are independent: a change of what one is used for does not change the others.

pub(crate) const CLASS: u64 = 1;
pub(crate) const VALUES: u64 = 2;
pub(crate) const CHANGE: u64 = 3;
pub(crate) const EARLIER: u64 = 4;
pub(crate) const FLAW: u64 = 5;
pub(crate) const LINES: u64 = 6;
pub(crate) const EXTRA_LINES: u64 = 7;
pub(crate) const EVENTS: u64 = 8;
pub(crate) const EXTRA_EVENTS: u64 = 9;
pub(crate) const DOCUMENT: u64 = 10;
