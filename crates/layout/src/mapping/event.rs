//! Converts a row to an event, and finds the kind of an event from its text.

use arrayvec::ArrayString;

use crate::columns::EventColumns;
use crate::fold;
use crate::mapping::id::Id;
use crate::mapping::reader::RowReader;
use crate::mapping::warnings;
use crate::reject::Reject;
use crate::row::Row;
use notaflux_invoice::event::EVENT_CODE_LIMIT;
use notaflux_invoice::{Event, EventKind};
use notaflux_sha256::{Sha256, hex};

/// Digits of an official code (`tpEvento`).
const CODE_LENGTH: usize = 6;
/// Bytes of the hash that identifies an event without a code.
const HASHED_BYTES: usize = 4;

/// The official codes of the events that cancel an invoice, with the folded texts that mean the same. Only the whole text
/// counts: 33 official texts speak of a cancellation and cancel no invoice, but a proof of delivery, a passage or a request.
///
/// Sources: the XML schemas of NF-e events (`tpEvento`, `descEvento`, `xEvento` of the answer) and of the national NFS-e
/// (`tiposEventos_v1.01.xsd`).
const CANCELLATIONS: [(&str, &[&str]); 6] = [
    (
        "110111",
        &[
            "cancelamento",
            "cancelamento da nf-e",
            "cancelamento de nf-e",
            "cancelamento da nfc-e",
            "cancelamento de nfc-e",
            "cancelamento da nota fiscal",
            "cancelamento registrado",
            "cancelamento homologado",
            "cancelamento homologado fora do prazo",
            "cancelamento homologado fora de prazo",
            "cancelamento de nf-e homologado",
            "cancelamento de nf-e homologado fora do prazo",
            "cancelamento de nf-e homologado fora de prazo",
            "evento de cancelamento",
        ],
    ),
    (
        "110112",
        &[
            "cancelamento por substituicao",
            "cancelamento da nf-e por substituicao",
            "cancelamento de nf-e por substituicao",
            "cancelamento da nfc-e por substituicao",
            "cancelamento de nfc-e por substituicao",
        ],
    ),
    ("101101", &["cancelamento de nfs-e", "cancelamento da nfs-e"]),
    ("105102", &["cancelamento de nfs-e por substituicao", "cancelamento da nfs-e por substituicao"]),
    ("105104", &["cancelamento de nfs-e deferido por analise fiscal"]),
    ("305101", &["cancelamento de nfs-e por oficio"]),
];

/// The official codes of other events that have a kind, with the folded words that identify each event. The first match
/// counts. None of them changes the status of the invoice.
const OTHERS: [(&str, EventKind, &[&str]); 5] = [
    ("110110", EventKind::Correction, &["correcao"]),
    ("210200", EventKind::Confirmation, &["confirmacao da operacao", "confirmacao"]),
    ("210220", EventKind::UnknownOperation, &["desconhecimento"]),
    ("210240", EventKind::NotPerformed, &["nao realizada"]),
    ("210210", EventKind::Awareness, &["ciencia da", "ciencia"]),
];

/// Word of a text about a cancellation. Such a text has no other kind, whatever other words it has.
const CANCEL: &str = "cancel";

impl RowReader {
    pub(crate) fn event<'r>(
        &'r self,
        columns: &'r EventColumns,
        id: Id<'r>,
        row: &Row<'r>,
    ) -> Result<Event<'r>, Reject> {
        let text = columns.text.read(row);
        let text = text.ok_or_else(|| Reject::missing(&columns.text.cell.name, "the name or code of an event"))?;
        let at = self.required_date(&columns.at, row)?;
        let warnings = warnings::of_key(&id.key);
        self.check_warnings(warnings, &warnings::Warned { id: &id.text, invoice: None })?;
        let (kind, code) = kind_and_code(&text);
        Ok(Event {
            invoice: id.text,
            at,
            kind,
            code,
            text: Some(text),
            description: columns.description.read(row),
            reason: columns.reason.read(row),
        })
    }
}

/// Returns the kind of the event with this text, and its code: the official code if there is one, otherwise `x` and eight
/// hexadecimal digits of the SHA-256 of the folded text.
#[expect(clippy::expect_used, reason = "a code has space for 6 digits")]
pub(crate) fn kind_and_code(text: &str) -> (EventKind, ArrayString<EVENT_CODE_LIMIT>) {
    let code = |code: &str| ArrayString::from(code).expect("an official code has six digits");
    if let Some(official) = leading_code(text) {
        if CANCELLATIONS.iter().any(|(code, _)| *code == official) {
            return (EventKind::Cancellation, code(official));
        }
        let kind = OTHERS.iter().find(|(code, ..)| *code == official).map_or(EventKind::Other, |(_, kind, _)| *kind);
        return (kind, code(official));
    }
    let folded = fold::cell(text);
    if let Some((official, _)) = CANCELLATIONS.iter().find(|(_, texts)| texts.contains(&&*folded)) {
        return (EventKind::Cancellation, code(official));
    }
    let has = |words: &[&str]| words.iter().any(|words| folded.contains(words));
    match OTHERS.iter().find(|(_, _, words)| has(words)) {
        _ if has(&[CANCEL]) => (EventKind::Other, hashed(text)),
        Some((official, kind, _)) => (*kind, code(official)),
        None if has(&["autorizacao"]) => (EventKind::Authorization, hashed(text)),
        None => (EventKind::Other, hashed(text)),
    }
}

/// Returns the code that `text` is or begins with: `110111` from `110111 - Cancelamento`.
fn leading_code(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (code, rest) = text.split_at_checked(digits)?;
    (digits == CODE_LENGTH && !rest.starts_with(char::is_alphanumeric)).then_some(code)
}

fn hashed(text: &str) -> ArrayString<EVENT_CODE_LIMIT> {
    let mut hasher = Sha256::new();
    for char in fold::folded(text) {
        hasher.update(char.encode_utf8(&mut [0; 4]));
    }
    let mut code = ArrayString::new();
    code.push('x');
    for digit in hex(&hasher.finish()).take(2 * HASHED_BYTES) {
        code.push(digit);
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn official_texts_have_their_official_codes() {
        for (text, kind, code) in [
            ("Carta de Correção", EventKind::Correction, "110110"),
            ("CARTA DE CORRECAO ELETRONICA", EventKind::Correction, "110110"),
            ("Cancelamento", EventKind::Cancellation, "110111"),
            ("Evento de cancelamento", EventKind::Cancellation, "110111"),
            ("CANCELAMENTO HOMOLOGADO FORA DO PRAZO", EventKind::Cancellation, "110111"),
            ("Cancelamento por substituição", EventKind::Cancellation, "110112"),
            ("Confirmação da Operação", EventKind::Confirmation, "210200"),
            ("Ciência da Operação", EventKind::Awareness, "210210"),
            ("Desconhecimento da Operação", EventKind::UnknownOperation, "210220"),
            ("Operação  não Realizada", EventKind::NotPerformed, "210240"),
            ("110111", EventKind::Cancellation, "110111"),
            (" 110112 - Canc. subst.", EventKind::Cancellation, "110112"),
            ("110140 - EPEC", EventKind::Other, "110140"),
            ("110001 - Cancelamento de Evento", EventKind::Other, "110001"),
            ("101103 - Solicitação de Análise Fiscal para Cancelamento de NFS-e", EventKind::Other, "101103"),
            ("105105", EventKind::Other, "105105"),
            ("Cancelamento de NFS-e por Ofício", EventKind::Cancellation, "305101"),
            ("105104", EventKind::Cancellation, "105104"),
        ] {
            let (found, found_code) = kind_and_code(text);
            assert_eq!((found, found_code.as_str()), (kind, code), "{text}");
        }
    }

    #[test]
    fn other_texts_have_a_code_made_from_their_hash() {
        let (kind, code) = kind_and_code("Autorização de Uso");
        // `printf 'autorizacao de uso' | sha256sum` begins with these eight digits.
        assert_eq!((kind, code.as_str()), (EventKind::Authorization, "x5ef529e1"));
        assert_eq!(kind_and_code("AUTORIZACAO  DE USO"), (kind, code));
        for text in [
            "Uso Denegado",
            "1101112",
            "110111A",
            "Cancelamento do Comprovante de Entrega da NF-e",
            "Cancelamento de Evento",
            "Cancelamento de Pedido de Prorrogação",
            "CT-e Cancelado",
            "Cancelamento de NFS-e Indeferido por Análise Fiscal",
            "Cancelamento da confirmação",
            "Rejeição: cancelamento fora do prazo",
        ] {
            let (kind, code) = kind_and_code(text);
            assert!(kind == EventKind::Other && code.starts_with('x') && code.len() == 9, "{text}: {kind:?} {code}");
        }
    }
}
