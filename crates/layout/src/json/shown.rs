//! Shows every value of an element with its path, to detect layouts and to keep values that the layout does not name.

use std::collections::HashSet;

use jiter::{Jiter, JiterError, Peek};

use crate::json::parser::NESTING_LIMIT;
use crate::json::text::decoded;
use crate::names::{made_name, unique_name};
use crate::path::{KeyStep, NodeId, PathTree};
use crate::span::Span;
use notaflux_invoice::text::trimmed;

/// Bytes of other values after which no more are kept: more than an item of the table can hold.
const OTHERS_LIMIT_BYTES: usize = 1024 * 1024;

/// Most bytes of a path that is shown.
pub(crate) const SHOWN_PATH_LIMIT: usize = 200;

/// A value of an element, or a key before its value.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The keys that lead to the value, with points between them.
    pub path: &'a str,
    /// The column of the value.
    pub column: Option<usize>,
    /// The text of the value; empty for a key.
    pub text: &'a str,
    /// Whether the value is in an object of a list, or in a line.
    pub is_listed: bool,
}

/// Shows every value of `element`, and every key before its value.
pub(crate) fn show(tree: &PathTree, element: &[u8], show: &mut dyn FnMut(Shown<'_>)) {
    let mut latin = String::new();
    let base = decoded(element, &mut latin);
    let mut shower = Shower { tree, json: Jiter::new(base.as_bytes()).with_allow_inf_nan(), path: String::new(), show };
    if let Ok(peek) = shower.json.peek() {
        // An element may end anywhere or be invalid. Then the values before the error have been shown, and that is enough.
        shower.value(Some(PathTree::ROOT), peek, 0, false).ok();
    }
}

struct Shower<'w, 'j> {
    tree: &'w PathTree,
    json: Jiter<'j>,
    path: String,
    show: &'w mut dyn FnMut(Shown<'_>),
}

impl Shower<'_, '_> {
    fn value(&mut self, at: Option<NodeId>, peek: Peek, nesting: usize, is_listed: bool) -> Result<(), JiterError> {
        let column = at.and_then(|at| self.tree.column(at));
        let is_listed = is_listed || at.is_some_and(|at| self.tree.is_line(at));
        let path = self.path.as_str();
        let shown = |text| Shown { path, column, text, is_listed };
        match peek {
            Peek::Object | Peek::Array if nesting == NESTING_LIMIT => self.json.known_skip(peek)?,
            Peek::Object => {
                let mut key = self.json.known_object()?.map(str::to_owned);
                while let Some(name) = key {
                    self.member(at, &name, nesting, is_listed)?;
                    key = self.json.next_key()?.map(str::to_owned);
                }
            }
            Peek::Array => {
                let mut next = self.json.known_array()?;
                while let Some(peek) = next {
                    self.value(at, peek, nesting + 1, is_listed || peek == Peek::Object)?;
                    next = self.json.array_step()?;
                }
            }
            Peek::String => (self.show)(shown(self.json.known_str()?)),
            Peek::Null => self.json.known_null()?,
            Peek::True | Peek::False => {
                let is = self.json.known_bool(peek)?;
                (self.show)(shown(if is { "true" } else { "false" }));
            }
            _ => {
                let text = self.json.known_number_bytes(peek)?;
                (self.show)(shown(number_text(text)));
            }
        }
        Ok(())
    }

    fn member(&mut self, at: Option<NodeId>, key: &str, nesting: usize, is_listed: bool) -> Result<(), JiterError> {
        let next = match at.map(|at| self.tree.step(at, key)) {
            Some(KeyStep::Into(next)) => Some(next),
            Some(KeyStep::Stay) => at,
            Some(KeyStep::Past) | None => None,
        };
        let length = self.path.len();
        if length + key.len() <= SHOWN_PATH_LIMIT {
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(key);
        }
        let column = next.and_then(|next| self.tree.column(next));
        (self.show)(Shown { path: &self.path, column, text: "", is_listed });
        let peek = self.json.peek()?;
        let read = self.value(next, peek, nesting + 1, is_listed);
        self.path.truncate(length);
        read
    }
}

#[expect(clippy::expect_used, reason = "a JSON number is ASCII")]
fn number_text(text: &[u8]) -> &str {
    str::from_utf8(text).expect("a JSON number is ASCII")
}

/// Whether this is a value that the layout does not name, outside of lists and lines.
pub(crate) fn is_other(shown: &Shown<'_>) -> bool {
    shown.column.is_none() && !shown.is_listed && !trimmed(shown.text).is_empty()
}

/// Keeps the values that the layout does not name, under names made from their paths. Skips objects in lists, and lines.
pub(crate) fn keep_others(tree: &PathTree, base: &str, extra: &mut String, others: &mut Vec<(Span, Span)>) {
    let (mut taken, mut values, mut bytes) = (HashSet::new(), Vec::new(), 0);
    show(tree, base.as_bytes(), &mut |shown| {
        if is_other(&shown) && bytes < OTHERS_LIMIT_BYTES {
            bytes += shown.path.len() + shown.text.len();
            values.push((shown.path.to_owned(), shown.text.to_owned()));
        }
    });
    for (path, value) in values {
        let name = unique_name(&mut taken, &made_name(&path, others.len()));
        let mut append = |text: &str| {
            let from = base.len() + extra.len();
            extra.push_str(text);
            Span::new(from, from + text.len())
        };
        others.push((append(&name), append(trimmed(&value))));
    }
}
