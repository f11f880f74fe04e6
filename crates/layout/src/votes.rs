//! How amounts and dates are written, decided once for a whole source: by the cells that can be read in only one way.

use serde::Serialize;

use crate::cell::{AmountCell, DateCell};
use crate::conventions::Conventions;
use crate::layout::Layout;
use crate::mapping::Mapping;
use crate::row::Row;
use notaflux_invoice::{DateConvention, Decimal, DecimalConvention, Timestamp};

/// What the cells of a source say of its conventions.
///
/// Of the conventions that the layout allows, a cell that can be read by exactly one votes for it: `1.234,56` and
/// `2040,00` do, `1.234` and `2040` do not. Fields for which the layout names a convention of their own have no vote.
#[derive(Debug)]
pub struct ConventionVotes<'m> {
    layout: &'m Layout,
    /// Those of a row of the header; none of JSON, where each row has what it has.
    columns: Option<usize>,
    amounts: Vec<&'m AmountCell>,
    dates: Vec<&'m DateCell>,
    decimal: Ballot<DecimalConvention>,
    date: Ballot<DateConvention>,
}

/// The votes for the conventions of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ballot<C> {
    /// What the layout allows, and how many cells can be read by this one alone. The layout's default comes first.
    pub votes: Vec<(C, u64)>,
    /// Cells that were looked at.
    pub cells: u64,
}

impl<'m> ConventionVotes<'m> {
    /// No votes yet. `mapping` says in which columns amounts and dates stand; its conventions have no part in it.
    #[must_use]
    pub fn new(mapping: &'m Mapping) -> Self {
        let allowed = &mapping.layout().spec.conventions;
        Self {
            layout: mapping.layout(),
            columns: (!mapping.is_of_json()).then(|| mapping.columns().len()),
            amounts: mapping.read_columns().amounts().into_iter().filter(|cell| !cell.pinned).collect(),
            dates: mapping.read_columns().dates().into_iter().filter(|cell| !cell.pinned).collect(),
            decimal: Ballot::of(&allowed.decimal.0),
            date: Ballot::of(&allowed.date.0),
        }
    }

    /// Whether there is anything to vote on: a layout that allows one convention of each kind needs no sample.
    #[must_use]
    pub fn matters(&self) -> bool {
        let open = |choices: usize, cells: usize| choices > 1 && cells > 0;
        open(self.decimal.votes.len(), self.amounts.len()) || open(self.date.votes.len(), self.dates.len())
    }

    /// Counts the votes of the cells of `row`, and of its lines. A row with more or fewer columns than the header has none,
    /// and nor have numbers of JSON, which are written in one way only.
    pub fn see(&mut self, row: &Row<'_>) {
        if self.columns.is_some_and(|columns| row.len() != columns) {
            return;
        }
        self.see_one(row);
        for line in row.lines() {
            self.see_one(&line);
        }
    }

    fn see_one(&mut self, row: &Row<'_>) {
        for cell in &self.amounts {
            if let Some(found) = cell.cell.read(row).filter(|found| !found.is_number) {
                self.decimal.cast(|convention| Decimal::parse(found.text, convention).is_ok());
            }
        }
        for cell in &self.dates {
            if let Some(found) = cell.cell.read(row) {
                self.date.cast(|convention| Timestamp::parse(found.text, convention).is_ok());
            }
        }
    }

    /// What most votes are for; where none was cast, or as many for the layout's default as for another, the default.
    #[must_use]
    pub fn decide(&self) -> Conventions {
        let default = self.layout.conventions();
        Conventions {
            decimal: self.decimal.winner().unwrap_or(default.decimal),
            date: self.date.winner().unwrap_or(default.date),
            time_zone: default.time_zone,
        }
    }

    /// The votes for the way in which amounts are written.
    #[must_use]
    pub fn decimal(&self) -> &Ballot<DecimalConvention> {
        &self.decimal
    }

    /// The votes for the way in which dates are written.
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

    /// How many cells could be read by `convention` alone.
    #[must_use]
    pub fn votes_for(&self, convention: C) -> u64 {
        self.votes.iter().find(|(each, _)| *each == convention).map_or(0, |(_, votes)| *votes)
    }

    fn winner(&self) -> Option<C> {
        // The first of those with most votes: the layout's default before any other.
        let most = self.votes.iter().map(|(_, votes)| *votes).max()?;
        self.votes.iter().find(|(_, votes)| *votes == most).map(|(convention, _)| *convention)
    }
}
