//! Why a JSON element cannot be read as a row.

use std::fmt;

use jiter::{JiterError, JiterErrorType, JsonErrorType};

use crate::reject::{Quoted, Reason, Reject};

/// Why a JSON element cannot be read as a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Byte of the element at which the error was found.
    pub at: usize,
    /// The reject of the element. Its message does not contain the place.
    pub reject: Reject,
    /// What was expected there and what was found, if the end of the element is not certain because a quote or a bracket may be
    /// missing.
    pub broken: Option<(&'static str, String)>,
}

impl Unreadable {
    pub(crate) fn reject(at: usize, reason: Reason, message: String) -> Self {
        Self { at, reject: Reject { reason, message }, broken: None }
    }

    /// Returns the error for JSON that a layout bound to a table cannot read.
    pub(crate) fn table() -> Self {
        Self::reject(0, Reason::InvalidJson, "expected a row of a table, found JSON".to_owned())
    }

    #[cold]
    pub(crate) fn of(error: &JiterError, text: &str) -> Self {
        let at = error.index.min(text.len());
        let found = text.get(at..).and_then(|rest| rest.chars().next());
        let found =
            found.map_or_else(|| "the end".to_owned(), |found| Quoted(found.encode_utf8(&mut [0; 4])).to_string());
        let (expected, is_bounded) = match &error.error_type {
            JiterErrorType::JsonError(kind) => expected(kind),
            JiterErrorType::WrongType { .. } => ("another value", true),
        };
        let reject = Reject { reason: Reason::InvalidJson, message: format!("expected {expected}, found {found}") };
        Self { at, reject, broken: (!is_bounded).then_some((expected, found)) }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.at, self.reject.message)
    }
}

/// Returns what was expected, and whether the end of the element is certain in spite of the error.
const fn expected(kind: &JsonErrorType) -> (&'static str, bool) {
    match kind {
        JsonErrorType::InvalidEscape => ("a valid JSON escape such as \\n or \\u00e7", true),
        JsonErrorType::InvalidUnicodeCodePoint => ("UTF-8", true),
        JsonErrorType::LoneLeadingSurrogateInHexEscape | JsonErrorType::UnexpectedEndOfHexEscape => {
            ("both halves of a surrogate pair", true)
        }
        JsonErrorType::InvalidNumber => ("a valid JSON number", true),
        JsonErrorType::NumberOutOfRange => ("a number of at most 4300 digits", true),
        JsonErrorType::RecursionLimitExceeded => ("at most 200 levels of lists and objects", true),
        JsonErrorType::EofWhileParsingList | JsonErrorType::ExpectedListCommaOrEnd => ("\",\" or \"]\"", false),
        JsonErrorType::EofWhileParsingObject | JsonErrorType::ExpectedObjectCommaOrEnd => ("\",\" or \"}\"", false),
        JsonErrorType::EofWhileParsingString => ("the end of the string", false),
        JsonErrorType::ControlCharacterWhileParsingString => {
            ("no unescaped line break or control character in a string", false)
        }
        JsonErrorType::ExpectedColon => ("\":\"", false),
        JsonErrorType::ExpectedSomeIdent => ("true, false or null", false),
        JsonErrorType::KeyMustBeAString => ("a key in quotes", false),
        JsonErrorType::TrailingComma => ("another member or element after the comma", false),
        JsonErrorType::TrailingCharacters => ("the end of the value", false),
        _ => ("a value", false),
    }
}
