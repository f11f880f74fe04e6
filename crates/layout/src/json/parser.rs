//! The parser: reads any JSON element, and explains what is wrong with invalid JSON.

use jiter::{Jiter, JiterError, Peek};
use memchr::memchr;

use crate::json::keys::Keys;
use crate::json::unreadable::Unreadable;
use crate::json::values::{Misfit, Values};
use crate::path::{KeyStep, NodeId, PathTree};
use crate::reject::Reason;
use crate::span::Span;

/// Most levels of lists and objects in which a layout looks for values. (jiter skips at most 200 levels elsewhere.)
pub(crate) const NESTING_LIMIT: usize = 100;

/// Reads the element with the parser.
///
/// # Errors
/// The first thing that is wrong with the element, and its byte.
pub(crate) fn parse(values: &mut Values<'_>, steps: &mut [Keys], tape: &mut Vec<u8>) -> Result<(), Unreadable> {
    let json = Jiter::with_tape(values.base.as_bytes(), std::mem::take(tape)).with_allow_inf_nan();
    let mut reader = Reader { json, values, steps, nesting: 0 };
    let read = reader.element();
    *tape = reader.json.into_tape();
    read
}

struct Reader<'r, 'w> {
    json: Jiter<'w>,
    values: &'r mut Values<'w>,
    steps: &'r mut [Keys],
    nesting: usize,
}

impl Reader<'_, '_> {
    fn element(&mut self) -> Result<(), Unreadable> {
        let peek = self.json.peek().map_err(|error| self.explain(&error))?;
        if peek != Peek::Object {
            // Report invalid JSON before reporting that it is not an object.
            self.json.known_skip(peek).and_then(|()| self.json.finish()).map_err(|error| self.explain(&error))?;
            let message = format!("expected an object, found {}", called(peek));
            return Err(Unreadable::reject(0, Reason::UnexpectedValue, message));
        }
        self.value(PathTree::ROOT, peek, true)?;
        self.json.finish().map_err(|error| self.explain(&error))
    }

    /// `is_new`: whether the value is at the place itself, and not under a skipped key.
    fn value(&mut self, at: NodeId, peek: Peek, is_new: bool) -> Result<(), Unreadable> {
        match peek {
            Peek::Object => self.nested(|reader| reader.object(at, is_new)),
            Peek::Array => self.nested(|reader| reader.list(at, is_new)),
            Peek::Null => self.json.known_null().map_err(|error| self.explain(&error)),
            _ => {
                let span = self.scalar(peek)?;
                self.values.set(at, span, is_new).map_err(|misfit| self.misfit(misfit))
            }
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<(), Unreadable>) -> Result<(), Unreadable> {
        if self.nesting == NESTING_LIMIT {
            let message = format!("expected at most {NESTING_LIMIT} levels of lists and objects, found more");
            return Err(Unreadable::reject(self.json.current_index(), Reason::InvalidJson, message));
        }
        self.nesting += 1;
        read(self)?;
        self.nesting -= 1;
        Ok(())
    }

    fn list(&mut self, at: NodeId, is_new: bool) -> Result<(), Unreadable> {
        let mut next = self.json.known_array().map_err(|error| self.explain(&error))?;
        while let Some(peek) = next {
            self.value(at, peek, is_new)?;
            next = self.json.array_step().map_err(|error| self.explain(&error))?;
        }
        Ok(())
    }

    fn object(&mut self, at: NodeId, is_new: bool) -> Result<(), Unreadable> {
        if is_new && self.values.tree.is_line(at) {
            self.values.begin_line().map_err(|misfit| self.misfit(misfit))?;
        }
        let mut next = 0;
        let mut step = match self.json.next_object_bytes() {
            Ok(key) => key.map(|key| step(self.values.tree, self.steps, at, key, &mut next)),
            Err(error) => return Err(self.explain(&error)),
        };
        while let Some(taken) = step {
            let peek = self.json.peek().map_err(|error| self.explain(&error))?;
            match taken {
                KeyStep::Into(inner) => self.value(inner, peek, true)?,
                KeyStep::Stay => self.value(at, peek, false)?,
                KeyStep::Past => self.json.known_skip(peek).map_err(|error| self.explain(&error))?,
            }
            step = match self.json.next_key_bytes() {
                Ok(key) => key.map(|key| self::step(self.values.tree, self.steps, at, key, &mut next)),
                Err(error) => return Err(self.explain(&error)),
            };
        }
        Ok(())
    }

    /// Reads a value that is neither a list nor an object; an empty one for `NaN`.
    fn scalar(&mut self, peek: Peek) -> Result<Span, Unreadable> {
        let start = self.json.current_index();
        let read = match peek {
            Peek::String => return self.string(start),
            Peek::True | Peek::False => self.json.known_bool(peek).map(|_| ()),
            _ => self.json.known_number_bytes(peek).map(|_| ()),
        };
        read.map_err(|error| self.explain(&error))?;
        let span = Span::new(start, self.json.current_index());
        let is_number = matches!(self.values.text_of(span).as_bytes().first(), Some(b'-' | b'0'..=b'9'));
        let is_nan = peek == Peek::NaN;
        Ok(if is_nan { Span::default() } else { Span { is_number, ..span } })
    }

    fn string(&mut self, start: usize) -> Result<Span, Unreadable> {
        let has_escapes = match self.json.known_bytes() {
            Ok(raw) => memchr(b'\\', raw).is_some(),
            Err(error) => return Err(Unreadable::of(&error, self.values.base)),
        };
        let end = self.json.current_index();
        if !has_escapes {
            // Without escapes, the text is what is between the quotes.
            return Ok(Span::new(start + 1, end - 1));
        }
        let span = self.values.unescaped(start, end);
        // `known_bytes` has checked the escapes already.
        span.ok_or_else(|| Unreadable::reject(start, Reason::InvalidJson, "expected a valid JSON string".to_owned()))
    }

    #[cold]
    fn misfit(&self, misfit: Misfit) -> Unreadable {
        Unreadable { at: self.json.current_index(), reject: self.values.reject(misfit), broken: None }
    }

    #[cold]
    fn explain(&self, error: &JiterError) -> Unreadable {
        Unreadable::of(error, self.values.base)
    }
}

/// What messages call a value that is not an object.
fn called(peek: Peek) -> &'static str {
    match peek {
        Peek::Array => "a list",
        Peek::String => "a text",
        Peek::Null => "null",
        Peek::True | Peek::False => "true or false",
        _ => "a number",
    }
}

/// Returns where `key`, written as in the source, leads.
#[expect(clippy::expect_used, reason = "the workspace has keys for each place of the tree")]
fn step(tree: &PathTree, steps: &mut [Keys], at: NodeId, key: &[u8], next: &mut usize) -> KeyStep {
    steps.get_mut(at.index()).expect("a place of the tree").step(tree, at, key, next)
}
