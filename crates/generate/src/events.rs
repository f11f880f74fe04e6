//! The file of events.

use arrayvec::ArrayVec;

use super::invoices::Values;
use super::random::Random;
use super::tables::{self, Tables, field};
use super::text::Moment;
use super::{BAD_DATES, Class, Flaw, Generator, stream};

/// Events of an invoice.
const EVENTS_LIMIT: usize = 3;

/// One invoice in this many has events.
const INVOICES_PER_ONE_WITH_EVENTS: u64 = 20;

/// The hour of the first event of an invoice, another for each that follows: after every hour of issue.
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

/// A kind of event.
struct Kind {
    text: &'static str,
    description: &'static str,
    /// How many in 20.
    share: u64,
    cancels: bool,
    reasons: &'static [&'static str],
}

const REGISTERED: &str = "Evento registrado e vinculado a NF-e";

const AUTHORIZATION: usize = 0;

/// Kinds by the names that the tax authority has for them (`tpEvento`).
const KINDS: [Kind; 8] = [
    Kind {
        text: "Autorização de Uso",
        description: "Autorizado o uso da NF-e",
        share: 6,
        cancels: false,
        reasons: &["Sem informação"],
    },
    Kind {
        text: "Ciência da Operação",
        description: REGISTERED,
        share: 3,
        cancels: false,
        reasons: &["Sem informação"],
    },
    Kind {
        text: "Confirmação da Operação",
        description: REGISTERED,
        share: 2,
        cancels: false,
        reasons: &["Sem informação"],
    },
    Kind {
        text: "Carta de Correção",
        description: "ONDE SE LÊ \"CX 12\"; LEIA-SE CX COM 24",
        share: 3,
        cancels: false,
        reasons: &["ERRO NA DESCRIÇÃO", "ENDEREÇO DE ENTREGA INCORRETO", "CFOP ERRADO;\r\nFAVOR CORRIGIR"],
    },
    Kind {
        text: "Desconhecimento da Operação",
        description: REGISTERED,
        share: 1,
        cancels: false,
        reasons: &["MERCADORIA NÃO SOLICITADA"],
    },
    Kind {
        text: "Operação não Realizada",
        description: REGISTERED,
        share: 1,
        cancels: false,
        reasons: &["ENTREGA RECUSADA", "MERCADORIA DANIFICADA, DEVOLVIDA"],
    },
    Kind {
        text: "Cancelamento",
        description: REGISTERED,
        share: 3,
        cancels: true,
        reasons: &["ERRO DE EMISSÃO", "DESISTÊNCIA DO COMPRADOR", "VALOR DIVERGENTE DO EMPENHO; NOTA SUBSTITUÍDA"],
    },
    Kind {
        text: "Cancelamento por substituição",
        description: "Cancelamento de NF-e por substituição homologado",
        share: 1,
        cancels: true,
        reasons: &["EMITIDA EM DUPLICIDADE"],
    },
];

/// A kind of event, as bytes of the file.
#[derive(Debug)]
pub(super) struct EventKind {
    text: Vec<u8>,
    /// The quotes before it, and those up to the reason.
    description: Vec<u8>,
    share: u64,
    cancels: bool,
    reasons: Vec<Vec<u8>>,
}

/// The values of one event.
#[derive(Debug, Clone, Copy)]
struct EventValues {
    kind: usize,
    at: Moment,
    /// Index into the reasons of its kind; behind them stands one that is only of repeated events.
    reason: usize,
}

impl EventKind {
    pub(super) fn all() -> Vec<Self> {
        let quoted = |text: &str| [b"\";\"", field(text).as_slice(), b"\";\""].concat();
        let of = |kind: &Kind| Self {
            text: field(kind.text),
            description: quoted(kind.description),
            share: kind.share,
            cancels: kind.cancels,
            reasons: kind.reasons.iter().copied().chain(["MOTIVO RETIFICADO"]).map(field).collect(),
        };
        KINDS.iter().map(of).collect()
    }
}

impl Generator {
    /// The events of the invoice of record `index`, if it has any, and what stands behind each of them.
    pub(super) fn write_events(&self, index: u64, out: &mut Vec<u8>) {
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
    /// The events of an invoice: one, two or three; none after one that cancels.
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

    /// The row; with one thing wrong about it, if so.
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
        out.extend_from_slice(if flaw == Some(Flaw::ExtraColumn) { b"\";\"\"\r\n" } else { b"\"\r\n" });
    }
}

/// Index of a kind; an authorization only where it `follows` none.
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
