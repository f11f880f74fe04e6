//! Events of an invoice: its authorization, a correction, its cancellation.

use std::borrow::Cow;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Largest number of characters in the code of an event.
pub const EVENT_CODE_LIMIT: usize = 16;

/// Codes (`tpEvento`) of the events that cancel an invoice, and their official names.
pub const CANCELLATIONS: [(&str, &str); 2] = [("110111", "Cancelamento"), ("110112", "Cancelamento por substituição")];

/// An event of an invoice: borrowed from the row that is being ingested (`'a`), or owned (`'static`) if it was read
/// from the table.
///
/// Serialises to the JSON of the API. An absent value has no member; null never occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event<'a> {
    /// Id of its invoice.
    #[serde(skip)]
    pub invoice: Cow<'a, str>,
    /// Time of the event.
    pub at: Timestamp,
    /// Kind of the event.
    pub kind: EventKind,
    /// Official code (`tpEvento`), such as `110111`. For an event without one: `x` and a hash of its text.
    #[serde(skip)]
    pub code: ArrayString<EVENT_CODE_LIMIT>,
    /// The event in the words of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Cow<'a, str>>,
    /// Further text of the source, such as that of a correction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Cow<'a, str>>,
    /// Reason for the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
}

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The tax authority authorized the invoice.
    Authorization,
    /// The issuer cancelled or replaced the invoice.
    Cancellation,
    /// A correction letter (*carta de correção*).
    Correction,
    /// The recipient confirms the operation.
    Confirmation,
    /// The recipient is aware of the invoice (*ciência da operação*).
    Awareness,
    /// The recipient does not know the operation (*desconhecimento*).
    UnknownOperation,
    /// The recipient states that the operation did not take place (*operação não realizada*).
    NotPerformed,
    /// Any other event.
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

    /// Returns the word that the API and the table use.
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

    /// Returns the kind whose [`EventKind::as_str`] is `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Returns whether the event cancels its invoice. No other event changes the status of an invoice.
    #[must_use]
    pub const fn cancels(self) -> bool {
        matches!(self, Self::Cancellation)
    }
}
