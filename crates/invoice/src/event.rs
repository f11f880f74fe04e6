//! An event in the life of an invoice: its authorisation, a correction, its cancellation.

use std::borrow::Cow;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Most characters of an event's code.
pub const EVENT_CODE_LIMIT: usize = 16;

/// Codes (`tpEvento`) of the events that cancel an invoice, and their official names.
pub const CANCELLATIONS: [(&str, &str); 2] = [("110111", "Cancelamento"), ("110112", "Cancelamento por substituição")];

/// One event of an invoice, borrowed from a row that is being ingested (`'a`) or owned (`'static`) when read from the table.
///
/// Serialises to the JSON that the API answers with; absent values are absent, never null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event<'a> {
    /// Id of its invoice.
    #[serde(skip)]
    pub invoice: Cow<'a, str>,
    /// When it was.
    pub at: Timestamp,
    /// What it was.
    pub kind: EventKind,
    /// Official code (`tpEvento`), such as `110111`; of an event without one, `x` and a hash of its text.
    #[serde(skip)]
    pub code: ArrayString<EVENT_CODE_LIMIT>,
    /// The event in the words of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Cow<'a, str>>,
    /// What the source says besides, such as the text of a correction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Cow<'a, str>>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
}

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The tax authority let it in.
    Authorization,
    /// Its issuer cancelled it, or replaced it.
    Cancellation,
    /// A correction letter (*carta de correção*).
    Correction,
    /// The recipient confirms the operation.
    Confirmation,
    /// The recipient knows of it (*ciência da operação*).
    Awareness,
    /// The recipient does not know of the operation (*desconhecimento*).
    UnknownOperation,
    /// The recipient says that it did not take place (*operação não realizada*).
    NotPerformed,
    /// Anything else.
    Other,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Authorization,
        Self::Cancellation,
        Self::Correction,
        Self::Confirmation,
        Self::Awareness,
        Self::UnknownOperation,
        Self::NotPerformed,
        Self::Other,
    ];

    /// The word that the API and the table use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Cancellation => "cancellation",
            Self::Correction => "correction",
            Self::Confirmation => "confirmation",
            Self::Awareness => "awareness",
            Self::UnknownOperation => "unknown_operation",
            Self::NotPerformed => "not_performed",
            Self::Other => "other",
        }
    }

    /// The kind that [`EventKind::as_str`] calls `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether it ends an invoice's being in force. Nothing else changes a status.
    #[must_use]
    pub const fn cancels(self) -> bool {
        matches!(self, Self::Cancellation)
    }
}
