//! Moments and how rows write them.

use crate::tables::Tables;
use crate::text::digits;

/// A second in one of the months of the tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Index into the tables' months.
    pub(crate) month: usize,
    pub(crate) day: u64,
    pub(crate) hour: u64,
    pub(crate) minute: u64,
    pub(crate) second: u64,
}

impl Moment {
    /// Writes `31/12/2024 23:59:59`.
    pub(crate) fn write(self, tables: &Tables, out: &mut Vec<u8>) {
        let month = tables.months.get(self.month).map(|month| month.in_date).unwrap_or_default();
        out.extend_from_slice(&digits::<2>(self.day));
        out.extend_from_slice(&month);
        out.extend_from_slice(&digits::<2>(self.hour));
        out.push(b':');
        out.extend_from_slice(&digits::<2>(self.minute));
        out.push(b':');
        out.extend_from_slice(&digits::<2>(self.second));
    }
}
