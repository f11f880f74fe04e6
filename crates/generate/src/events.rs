//! The file of events.

use arrayvec::ArrayVec;

use crate::class::Class;
use crate::event_kinds::AUTHORIZATION;
use crate::flaw::{BAD_DATES, Flaw};
use crate::invoices::Values;
use crate::moment::Moment;
use crate::random::Random;
use crate::records::Records;
use crate::stream;
use crate::tables::{self, Tables};

/// Largest number of events of an invoice.
const EVENTS_LIMIT: usize = 3;

/// Number of invoices for each one with events.
const INVOICES_PER_ONE_WITH_EVENTS: u64 = 20;

/// Hour of the first event of an invoice; each further event is one hour later. No invoice is issued so late.
const FIRST_HOUR: u64 = 19;

const FLAWS: [Flaw; 7] = [
    Flaw::ShortKey,
    Flaw::KeyMonth,
    Flaw::NoKey,
    Flaw::EventAt,
    Flaw::NoEventAt,
    Flaw::MissingColumn,
    Flaw::ExtraColumn,
];

/// The values of one event.
#[derive(Debug, Clone, Copy)]
struct EventValues {
    kind: usize,
    at: Moment,
    /// Index into the reasons of its kind. The last reason is for repeated events only.
    reason: usize,
}

impl Records {
    /// Writes the events of the invoice of record `index`, if it has any, and the repeated and bad rows after each of
    /// them.
    pub(crate) fn write_events(&self, index: u64, out: &mut Vec<u8>) {
        let mut random = self.random(index, stream::EVENTS);
        if random.below(INVOICES_PER_ONE_WITH_EVENTS) != 0 || !self.is_first_of_its_key(index) {
            return;
        }
        let invoice = self.values(index);
        if invoice.event == tables::DENIAL {
            return;
        }
        let mut extra = self.random(index, stream::EXTRA_EVENTS);
        for event in EventValues::all(&invoice, &mut random, &self.tables) {
            event.write(&invoice, None, &self.tables, out);
            self.shares.extra_rows(&mut extra, |class, random| {
                if class == Class::Bad {
                    event.write(&invoice, Some((random.pick(&FLAWS), random)), &self.tables, out);
                } else if random.below(2) == 0 {
                    event.write(&invoice, None, &self.tables, out);
                } else {
                    event.with_another_reason(&self.tables).write(&invoice, None, &self.tables, out);
                }
            });
        }
    }
}

impl EventValues {
    /// Returns the events of an invoice: one to three. A cancellation is the last.
    fn all(invoice: &Values, random: &mut Random, tables: &Tables) -> ArrayVec<Self, EVENTS_LIMIT> {
        let count = random.pick(&[1, 1, 1, 1, 2, 2, 3]);
        let mut events = ArrayVec::new();
        let mut day = invoice.event_at.day;
        for ordinal in 0..count {
            let kind = pick_kind(ordinal > 0, random, tables);
            day += random.below(29 - day);
            let (minute, second) = (random.below(60), random.below(60));
            let later = Moment { day, hour: FIRST_HOUR + ordinal, minute, second, ..invoice.event_at };
            let at = if kind == AUTHORIZATION { invoice.event_at } else { later };
            let reasons = tables.event_kinds.get(kind).map_or(0, |kind| kind.reasons.len());
            let event = Self { kind, at, reason: random.index(reasons.saturating_sub(1)) };
            if events.try_push(event).is_err() || tables.event_kinds.get(kind).is_some_and(|kind| kind.cancels) {
                break;
            }
        }
        events
    }

    fn with_another_reason(self, tables: &Tables) -> Self {
        let reasons = tables.event_kinds.get(self.kind).map_or(0, |kind| kind.reasons.len());
        Self { reason: reasons.saturating_sub(1), ..self }
    }

    /// Writes the row, with a defect if there is one.
    fn write(self, invoice: &Values, flaw: Option<(Flaw, &mut Random)>, tables: &Tables, out: &mut Vec<u8>) {
        let (flaw, bad_date) = match flaw {
            Some((flaw, random)) => (Some(flaw), random.pick(&BAD_DATES)),
            None => (None, BAD_DATES[0]),
        };
        let Some(kind) = tables.event_kinds.get(self.kind) else { return };
        invoice.write_up_to_issue_date(flaw, tables, out);
        out.extend_from_slice(&kind.text);
        out.extend_from_slice(b"\";\"");
        match flaw {
            Some(Flaw::EventAt) => out.extend_from_slice(bad_date),
            Some(Flaw::NoEventAt) => {}
            _ => self.at.write(tables, out),
        }
        let description = match flaw {
            Some(Flaw::MissingColumn) => kind.description.strip_suffix(b"\";\"").unwrap_or(&kind.description),
            _ => &kind.description,
        };
        out.extend_from_slice(description);
        if flaw != Some(Flaw::MissingColumn) {
            out.extend_from_slice(kind.reasons.get(self.reason).map(Vec::as_slice).unwrap_or_default());
        }
        out.extend_from_slice(if flaw == Some(Flaw::ExtraColumn) { b"\";\"?\"\r\n" } else { b"\"\r\n" });
    }
}

/// Picks a kind and returns its index. If the event `follows` another, it is not an authorization.
fn pick_kind(follows: bool, random: &mut Random, tables: &Tables) -> usize {
    let skipped = usize::from(follows);
    let kinds = || tables.event_kinds.iter().enumerate().skip(skipped);
    let mut draw = random.below(kinds().map(|(_, kind)| kind.share).sum());
    for (at, kind) in kinds() {
        if draw < kind.share {
            return at;
        }
        draw -= kind.share;
    }
    AUTHORIZATION
}
