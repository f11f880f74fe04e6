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

/// The official codes of events that change or confirm an invoice, with the folded words that identify each event. The first
/// match counts.
const OFFICIAL: [(&str, EventKind, &[&str]); 7] = [
    ("110112", EventKind::Cancellation, &["cancelamento por substituicao"]),
    ("110111", EventKind::Cancellation, &["cancelamento"]),
    ("110110", EventKind::Correction, &["correcao"]),
    ("210200", EventKind::Confirmation, &["confirmacao da operacao", "confirmacao"]),
    ("210220", EventKind::UnknownOperation, &["desconhecimento"]),
    ("210240", EventKind::NotPerformed, &["nao realizada"]),
    ("210210", EventKind::Awareness, &["ciencia da", "ciencia"]),
];

/// Words of cancellations that do not cancel the invoice itself, but a proof of delivery, a passage note or an extended return.
const OTHER_CANCELLATIONS: [&str; 5] = ["comprovante", "passagem", "prorrogacao", "conciliacao", "insucesso"];

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
        let kind = OFFICIAL.iter().find(|(code, ..)| *code == official).map_or(EventKind::Other, |(_, kind, _)| *kind);
        return (kind, code(official));
    }
    let folded = fold::cell(text);
    let has = |words: &[&str]| words.iter().any(|words| folded.contains(words));
    let named = OFFICIAL.iter().find(|(_, _, words)| has(words));
    match named {
        Some((_, EventKind::Cancellation, _)) if has(&OTHER_CANCELLATIONS) => (EventKind::Other, hashed(text)),
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
        for text in ["Uso Denegado", "1101112", "110111A", "Cancelamento do Comprovante de Entrega da NF-e"] {
            let (kind, code) = kind_and_code(text);
            assert!(kind == EventKind::Other && code.starts_with('x') && code.len() == 9, "{text}: {kind:?} {code}");
        }
    }
}
