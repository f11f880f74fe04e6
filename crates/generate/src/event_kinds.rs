//! Kinds of events, with their texts.

use crate::encoding::field;

/// A kind of event as text.
struct Kind {
    text: &'static str,
    description: &'static str,
    /// Number of events of this kind in 20.
    share: u64,
    cancels: bool,
    reasons: &'static [&'static str],
}

const REGISTERED: &str = "Evento registrado e vinculado a NF-e";

/// Index of the authorization among the kinds.
pub(crate) const AUTHORIZATION: usize = 0;

/// Kinds of events, with the names of the tax authority (`tpEvento`).
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

/// A kind of event, with its texts as bytes of the file.
#[derive(Debug)]
pub(crate) struct EventKind {
    pub(crate) text: Vec<u8>,
    /// The description, with the quotes before it and those up to the reason.
    pub(crate) description: Vec<u8>,
    pub(crate) share: u64,
    pub(crate) cancels: bool,
    pub(crate) reasons: Vec<Vec<u8>>,
}

impl EventKind {
    pub(crate) fn all() -> Vec<Self> {
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
