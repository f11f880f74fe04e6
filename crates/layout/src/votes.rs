//! Detects how a source writes amounts and dates, from the cells that can be read in only one way.

use serde::Serialize;

use crate::cell::{AmountCell, DateCell};
use crate::conventions::Conventions;
use crate::mapping::Mapping;
use crate::row::Row;
use notaflux_invoice::{DateConvention, Decimal, DecimalConvention, Timestamp};

/// Counts which conventions the cells of a source can be read by.
///
/// A cell that can be read by exactly one of the conventions that the layout allows is a vote for it: `1.234,56` and `2040,00`
/// are votes, `1.234` and `2040` are not. Fields for which the layout sets a convention have no vote.
#[derive(Debug)]
pub struct ConventionVotes<'m> {
    mapping: &'m Mapping,
    amounts: Vec<&'m AmountCell>,
    dates: Vec<&'m DateCell>,
    decimal: Ballot<DecimalConvention>,
    date: Ballot<DateConvention>,
}

/// The votes for the conventions of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ballot<C> {
    /// Each convention that the layout allows, and the number of cells that only this one can read. The layout's default is first.
    pub votes: Vec<(C, u64)>,
    /// Number of cells that were examined.
    pub cells: u64,
}

impl<'m> ConventionVotes<'m> {
    /// Returns an empty count. `mapping` gives the columns of amounts and dates; its conventions are not used.
    #[must_use]
    pub fn new(mapping: &'m Mapping) -> Self {
        let allowed = &mapping.layout().spec.conventions;
        Self {
            mapping,
            amounts: mapping.read_columns().amounts().into_iter().filter(|cell| !cell.pinned).collect(),
            dates: mapping.read_columns().dates().into_iter().filter(|cell| !cell.pinned).collect(),
            decimal: Ballot::of(&allowed.decimal.0),
            date: Ballot::of(&allowed.date.0),
        }
    }

    /// Whether votes can change the conventions. A layout that allows one convention of each kind needs no sample.
    #[must_use]
    pub fn matters(&self) -> bool {
        let open = |choices: usize, cells: usize| choices > 1 && cells > 0;
        open(self.decimal.votes.len(), self.amounts.len()) || open(self.date.votes.len(), self.dates.len())
    }

    /// Counts the votes of the cells of `row` and of its lines. Skips a row whose number of columns differs from the header, and
    /// JSON numbers, which can be written in one way only.
    pub fn see(&mut self, row: &Row<'_>) {
        if !self.mapping.has_its_columns(row) {
            return;
        }
        self.count_row(row);
        for line in row.lines() {
            self.count_row(&line);
        }
    }

    fn count_row(&mut self, row: &Row<'_>) {
        for cell in &self.amounts {
            if let Some(found) = cell.cell.read(row).filter(|found| !found.is_number) {
                self.decimal.cast(|convention| Decimal::parse_clear(found.text, convention).is_ok());
            }
        }
        for cell in &self.dates {
            if let Some(found) = cell.cell.read(row) {
                let has_usual_form = |convention| Timestamp::parse(found.text, convention).is_ok();
                let is_usual = DateConvention::ALL.into_iter().any(has_usual_form);
                self.date.cast(|convention| {
                    if is_usual {
                        has_usual_form(convention)
                    } else {
                        Timestamp::parse_clear(found.text, convention).is_ok()
                    }
                });
            }
        }
    }

    /// Returns the conventions with most votes. If there are no votes, or as many for the layout's default, the default wins.
    #[must_use]
    pub fn decide(&self) -> Conventions {
        let default = self.mapping.layout().conventions();
        Conventions {
            decimal: self.decimal.winner().unwrap_or(default.decimal),
            date: self.date.winner().unwrap_or(default.date),
            time_zone: default.time_zone,
        }
    }

    /// Returns the votes for the convention of amounts.
    #[must_use]
    pub fn decimal(&self) -> &Ballot<DecimalConvention> {
        &self.decimal
    }

    /// Returns the votes for the convention of dates.
    #[must_use]
    pub fn date(&self) -> &Ballot<DateConvention> {
        &self.date
    }
}

impl<C: Copy + PartialEq> Ballot<C> {
    fn of(allowed: &[C]) -> Self {
        Self { votes: allowed.iter().map(|convention| (*convention, 0)).collect(), cells: 0 }
    }

    fn cast(&mut self, reads: impl Fn(C) -> bool) {
        self.cells += 1;
        let mut fitting = self.votes.iter_mut().filter(|(convention, _)| reads(*convention));
        if let (Some((_, votes)), None) = (fitting.next(), fitting.next()) {
            *votes += 1;
        }
    }

    /// Returns the number of cells that only `convention` can read.
    #[must_use]
    pub fn votes_for(&self, convention: C) -> u64 {
        self.votes.iter().find(|(each, _)| *each == convention).map_or(0, |(_, votes)| *votes)
    }

    fn winner(&self) -> Option<C> {
        // The first of those with most votes, so that the layout's default wins a tie.
        let most = self.votes.iter().map(|(_, votes)| *votes).max()?;
        self.votes.iter().find(|(_, votes)| *votes == most).map(|(convention, _)| *convention)
    }
}
