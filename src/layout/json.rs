//! An element of JSON as a row: the values of the paths that a layout names, as text.
//!
//! Numbers keep the text that they have, so that no amount passes through a float. `null`, `NaN` and what is empty are no
//! values. Where the bytes are not UTF-8, all of the element is windows-1252.

use std::collections::{HashMap, HashSet};
use std::fmt;

use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, Peek};
use memchr::memchr;

use super::bind::{Bound, made_name, unlike};
pub(super) use super::path::PathTree;
use super::path::{NodeId, Step};
use super::reject::Quoted;
use super::row::{Row, Scratch, Span, decode_windows_1252};
use super::{Reason, Reject};
use crate::invoice::text::trimmed;

/// Most lines of one record: ten times what an NF-e may have (990).
pub const LINES_LIMIT: usize = 10_000;

/// Most lists and objects within one another, where a layout looks for values. (The parser passes over 200 elsewhere.)
const NESTING_LIMIT: usize = 100;

/// Keys that are remembered of one place: documents have some dozens, and whatever means harm has many.
const REMEMBERED_LIMIT: usize = 256;
/// Bytes of a key that is remembered: longer ones are in no layout, and thousands of them would fill the memory.
const REMEMBERED_KEY_LIMIT_BYTES: usize = 128;

/// Bytes of further values after which no more are kept: more than any item of the table can hold.
const OTHERS_LIMIT_BYTES: usize = 1024 * 1024;

/// Bytes of a path that is shown.
const SHOWN_PATH_LIMIT: usize = 200;

/// What the columns of a row are.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowShape<'m> {
    pub(super) bound: &'m [Bound],
    pub(super) record_columns: usize,
    pub(super) keeps_others: bool,
}

/// Room for one row of JSON, used again for the next.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// The element, where it is not UTF-8.
    latin: String,
    /// What stands behind the element in the text of the row: strings without their escapes, names.
    extra: String,
    tape: Vec<u8>,
    /// For one string with escapes.
    string_tape: Vec<u8>,
    values: Vec<Span>,
    lines: Vec<Span>,
    others: Vec<(Span, Span)>,
    /// Of which tree the steps are.
    tree: u64,
    /// By place: where the keys that were seen there lead to.
    steps: Vec<Keys>,
}

/// The keys that were seen at one place, in the order in which they came first: those of the next object mostly come likewise.
#[derive(Debug, Default)]
struct Keys {
    /// As they stand in the source, with their escapes, and where they lead to.
    seen: Vec<(Box<[u8]>, Step)>,
    places: HashMap<Box<[u8]>, usize>,
    /// The one that is expected.
    next: usize,
}

/// Why an element gives no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Byte of the element at which it shows.
    pub at: usize,
    /// What it would be a reject for, with a message that does not say where.
    pub reject: Reject,
    /// What should have stood there and what does, where the element is no JSON and it is not certain that it ends where it
    /// seems to: a quote or a bracket may be missing.
    pub broken: Option<(&'static str, String)>,
}

impl Unreadable {
    fn reject(at: usize, reason: Reason, message: String) -> Self {
        Self { at, reject: Reject { reason, message }, broken: None }
    }

    /// What a layout of columns of a table makes of JSON.
    pub(super) fn table() -> Self {
        Self::reject(0, Reason::InvalidJson, "expected a row of a table, found JSON".to_owned())
    }

    #[cold]
    fn of(error: &JiterError, text: &str) -> Self {
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

/// What was expected, and whether the element surely ends where its brackets say, whatever stands here.
const fn expected(kind: &JsonErrorType) -> (&'static str, bool) {
    match kind {
        JsonErrorType::InvalidEscape => ("an escape that JSON has, such as \\n or \\u00e7", true),
        JsonErrorType::InvalidUnicodeCodePoint => ("UTF-8", true),
        JsonErrorType::LoneLeadingSurrogateInHexEscape | JsonErrorType::UnexpectedEndOfHexEscape => {
            ("both halves of a surrogate pair", true)
        }
        JsonErrorType::InvalidNumber => ("a number of JSON", true),
        JsonErrorType::NumberOutOfRange => ("a number of at most 4300 digits", true),
        JsonErrorType::RecursionLimitExceeded => ("at most 200 lists and objects within one another", true),
        JsonErrorType::EofWhileParsingList | JsonErrorType::ExpectedListCommaOrEnd => ("\",\" or \"]\"", false),
        JsonErrorType::EofWhileParsingObject | JsonErrorType::ExpectedObjectCommaOrEnd => ("\",\" or \"}\"", false),
        JsonErrorType::EofWhileParsingString => ("the end of the string", false),
        JsonErrorType::ControlCharacterWhileParsingString => ("no line break or control character in a string", false),
        JsonErrorType::ExpectedColon => ("\":\"", false),
        JsonErrorType::ExpectedSomeIdent => ("true, false or null", false),
        JsonErrorType::KeyMustBeAString => ("a key in quotes", false),
        JsonErrorType::TrailingComma => ("something behind the comma", false),
        JsonErrorType::TrailingCharacters => ("the end of the value", false),
        _ => ("a value", false),
    }
}

/// Reads `element` as a row of the columns that stand in `tree`.
pub(super) fn read<'s>(
    tree: &'s PathTree,
    shape: RowShape<'_>,
    element: &'s [u8],
    scratch: &'s mut Scratch,
) -> Result<Row<'s>, Unreadable> {
    let Scratch { text, json: work, .. } = scratch;
    work.begin(tree, shape);
    let Workspace { latin, extra, tape, string_tape, values, lines, others, steps, .. } = work;
    let base = decoded(element, latin);
    let json = Jiter::with_tape(base.as_bytes(), std::mem::take(tape)).with_allow_inf_nan();
    let mut reader = Reader { tree, shape, base, json, string_tape, extra, values, lines, steps, nesting: 0 };
    let read = reader.element();
    *tape = reader.json.into_tape();
    read.map_err(|unreadable| in_source(unreadable, base, element))?;
    if shape.keeps_others {
        keep_others(tree, base, extra, others);
    }
    let text = if extra.is_empty() {
        base
    } else {
        text.clear();
        text.push_str(base);
        text.push_str(extra);
        text.as_str()
    };
    let line_columns = shape.bound.len() - shape.record_columns;
    Ok(Row { text, spans: values, line: &[], lines, line_columns, others })
}

/// The element as text.
fn decoded<'t>(element: &'t [u8], latin: &'t mut String) -> &'t str {
    if let Ok(text) = simdutf8::basic::from_utf8(element) {
        return text;
    }
    latin.clear();
    decode_windows_1252(element, latin);
    latin
}

/// With the byte of the source, where the element was decoded into characters of several bytes.
fn in_source(unreadable: Unreadable, base: &str, element: &[u8]) -> Unreadable {
    if base.len() == element.len() {
        return unreadable;
    }
    let at = base.get(..unreadable.at).map_or(unreadable.at, |before| before.chars().count());
    Unreadable { at, ..unreadable }
}

impl Workspace {
    fn begin(&mut self, tree: &PathTree, shape: RowShape<'_>) {
        if self.tree != tree.id() {
            self.tree = tree.id();
            self.steps.clear();
            self.steps.resize_with(tree.len(), Keys::default);
        }
        self.extra.clear();
        self.lines.clear();
        self.others.clear();
        self.values.clear();
        self.values.resize(shape.record_columns, Span::default());
    }
}

struct Reader<'w, 'j> {
    tree: &'w PathTree,
    shape: RowShape<'w>,
    base: &'j str,
    json: Jiter<'j>,
    string_tape: &'w mut Vec<u8>,
    extra: &'w mut String,
    values: &'w mut [Span],
    lines: &'w mut Vec<Span>,
    steps: &'w mut [Keys],
    nesting: usize,
}

impl Reader<'_, '_> {
    fn element(&mut self) -> Result<(), Unreadable> {
        let peek = self.json.peek().map_err(|error| self.explain(&error))?;
        if peek != Peek::Object {
            // What is no JSON at all is told before what is no object.
            self.json.known_skip(peek).and_then(|()| self.json.finish()).map_err(|error| self.explain(&error))?;
            return Err(Unreadable::reject(
                0,
                Reason::UnexpectedValue,
                "expected an object, found another value".to_owned(),
            ));
        }
        self.value(PathTree::ROOT, peek, true)?;
        self.json.finish().map_err(|error| self.explain(&error))
    }

    /// `is_new`: whether this stands at the place for itself, and not under a key that is looked through.
    fn value(&mut self, at: NodeId, peek: Peek, is_new: bool) -> Result<(), Unreadable> {
        match peek {
            Peek::Object => self.nested(|reader| reader.object(at, is_new)),
            Peek::Array => self.nested(|reader| reader.list(at, is_new)),
            Peek::Null => self.json.known_null().map_err(|error| self.explain(&error)),
            _ => {
                let span = self.scalar(peek)?;
                self.set(at, span, is_new)
            }
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<(), Unreadable>) -> Result<(), Unreadable> {
        if self.nesting == NESTING_LIMIT {
            let message = format!("expected at most {NESTING_LIMIT} lists and objects within one another, found more");
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
        if is_new && self.tree.is_line(at) {
            self.begin_line()?;
        }
        let mut step = match self.json.next_object_bytes() {
            Ok(key) => key.map(|key| step(self.tree, self.steps, at, key)),
            Err(error) => return Err(self.explain(&error)),
        };
        while let Some(taken) = step {
            let peek = self.json.peek().map_err(|error| self.explain(&error))?;
            match taken {
                Step::Into(next) => self.value(next, peek, true)?,
                Step::Stay => self.value(at, peek, false)?,
                Step::Past => self.json.known_skip(peek).map_err(|error| self.explain(&error))?,
            }
            step = match self.json.next_key_bytes() {
                Ok(key) => key.map(|key| self::step(self.tree, self.steps, at, key)),
                Err(error) => return Err(self.explain(&error)),
            };
        }
        Ok(())
    }

    fn begin_line(&mut self) -> Result<(), Unreadable> {
        let columns = self.shape.bound.len() - self.shape.record_columns;
        if self.lines.len() >= LINES_LIMIT * columns.max(1) {
            let message = format!("expected at most {LINES_LIMIT} lines, found more");
            return Err(Unreadable::reject(self.json.current_index(), Reason::TooManyLines, message));
        }
        self.lines.resize(self.lines.len() + columns, Span::default());
        Ok(())
    }

    /// The text of a value that is no list and no object; nothing for `NaN`.
    fn scalar(&mut self, peek: Peek) -> Result<Span, Unreadable> {
        let start = self.json.current_index();
        let read = match peek {
            Peek::String => return self.string(start),
            Peek::True | Peek::False => self.json.known_bool(peek).map(|_| ()),
            _ => self.json.known_number_bytes(peek).map(|_| ()),
        };
        read.map_err(|error| self.explain(&error))?;
        let span = Span::new(start, self.json.current_index());
        let is_number = matches!(self.text_of(span).as_bytes().first(), Some(b'-' | b'0'..=b'9'));
        let is_nan = peek == Peek::NaN;
        Ok(if is_nan { Span::default() } else { Span { is_number, ..span } })
    }

    fn string(&mut self, start: usize) -> Result<Span, Unreadable> {
        let has_escapes = match self.json.known_bytes() {
            Ok(raw) => memchr(b'\\', raw).is_some(),
            Err(error) => return Err(Unreadable::of(&error, self.base)),
        };
        let end = self.json.current_index();
        if !has_escapes {
            // Between the quotes stands the text itself.
            return Ok(Span::new(start + 1, end - 1));
        }
        let from = self.base.len() + self.extra.len();
        unescape(self.base.get(start..end).unwrap_or_default(), self.string_tape, self.extra);
        Ok(Span::new(from, self.base.len() + self.extra.len()))
    }

    /// Takes a value into its column, unless it is blank.
    fn set(&mut self, at: NodeId, span: Span, is_new: bool) -> Result<(), Unreadable> {
        let Some(column) = self.tree.column(at) else {
            if is_new && self.tree.is_line(at) {
                let found = Quoted(self.text_of(span));
                let message = format!("expected an object for each line, found {found}");
                return Err(Unreadable::reject(self.json.current_index(), Reason::UnexpectedValue, message));
            }
            return Ok(());
        };
        if trimmed(self.text_of(span)).is_empty() {
            return Ok(());
        }
        let before = self.slot(column).map(|slot| *slot);
        let before = before.map(|before| self.text_of(before)).unwrap_or_default();
        if !before.is_empty() && before != self.text_of(span) {
            let path = self.shape.bound.get(column).map(|bound| bound.column.as_str()).unwrap_or_default();
            let (first, second) = (Quoted(before), Quoted(self.text_of(span)));
            let message = format!("{path}: expected one value, found {first} and {second}");
            return Err(Unreadable::reject(self.json.current_index(), Reason::RepeatedValue, message));
        }
        if let Some(slot) = self.slot(column) {
            *slot = span;
        }
        Ok(())
    }

    /// Where the value of a column belongs: into the record, or into the line in the making.
    fn slot(&mut self, column: usize) -> Option<&mut Span> {
        let Some(of_line) = column.checked_sub(self.shape.record_columns) else { return self.values.get_mut(column) };
        let columns = self.shape.bound.len() - self.shape.record_columns;
        let line = self.lines.len().checked_sub(columns)?;
        self.lines.get_mut(line + of_line)
    }

    fn text_of(&self, span: Span) -> &str {
        match (span.start as usize).checked_sub(self.base.len()) {
            Some(start) => self.extra.get(start..span.end as usize - self.base.len()).unwrap_or_default(),
            None => span.of(self.base).unwrap_or_default(),
        }
    }

    #[cold]
    fn explain(&self, error: &JiterError) -> Unreadable {
        Unreadable::of(error, self.base)
    }
}

/// Appends the text of a string to `out`, which is given with its quotes and was read before.
fn unescape(string: &str, tape: &mut Vec<u8>, out: &mut String) {
    let mut json = Jiter::with_tape(string.as_bytes(), std::mem::take(tape));
    out.push_str(json.next_str().unwrap_or_default());
    *tape = json.into_tape();
}

/// Where `key`, as it stands in the source, leads to, remembered.
#[inline]
fn step(tree: &PathTree, steps: &mut [Keys], at: NodeId, key: &[u8]) -> Step {
    let Some(keys) = steps.get_mut(at.index()) else { return worked_out(tree, at, key) };
    if let Some((expected, step)) = keys.seen.get(keys.next)
        && **expected == *key
    {
        keys.next += 1;
        return *step;
    }
    keys.step(tree, at, key)
}

fn worked_out(tree: &PathTree, at: NodeId, key: &[u8]) -> Step {
    let key = str::from_utf8(key).unwrap_or_default();
    if !key.contains('\\') {
        return tree.step(at, key);
    }
    let mut unescaped = String::new();
    unescape(&format!("\"{key}\""), &mut Vec::new(), &mut unescaped);
    tree.step(at, &unescaped)
}

impl Keys {
    /// Where a key leads to that is not the one expected.
    fn step(&mut self, tree: &PathTree, at: NodeId, key: &[u8]) -> Step {
        let known = self.places.get(key).copied();
        if let Some((place, (_, step))) = known.and_then(|place| Some((place, self.seen.get(place)?))) {
            self.next = place + 1;
            return *step;
        }
        let step = worked_out(tree, at, key);
        if self.seen.len() < REMEMBERED_LIMIT && key.len() <= REMEMBERED_KEY_LIMIT_BYTES {
            self.places.insert(key.into(), self.seen.len());
            self.seen.push((key.into(), step));
            self.next = self.seen.len();
        }
        step
    }
}

/// A value as it stands in an element, or a key whose value comes next.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The keys that lead there, with points between.
    pub path: &'a str,
    /// The column that it is.
    pub column: Option<usize>,
    /// The text of the value; nothing of a key.
    pub text: &'a str,
    /// Whether it stands in an object that is one of a list, or a line.
    pub is_listed: bool,
}

/// Shows every value that stands in `element`, and every key before its value.
pub(super) fn show(tree: &PathTree, element: &[u8], show: &mut dyn FnMut(Shown<'_>)) {
    let mut latin = String::new();
    let base = decoded(element, &mut latin);
    let mut shower = Shower { tree, json: Jiter::new(base.as_bytes()).with_allow_inf_nan(), path: String::new(), show };
    if let Ok(peek) = shower.json.peek() {
        // What cannot be read further has been shown as far as it could.
        shower.value(Some(PathTree::ROOT), peek, 0, false).unwrap_or_default();
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
                (self.show)(shown(str::from_utf8(text).unwrap_or_default()));
            }
        }
        Ok(())
    }

    fn member(&mut self, at: Option<NodeId>, key: &str, nesting: usize, is_listed: bool) -> Result<(), JiterError> {
        let next = match at.map(|at| self.tree.step(at, key)) {
            Some(Step::Into(next)) => Some(next),
            Some(Step::Stay) => at,
            Some(Step::Past) | None => None,
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

/// Whether it is a value that no column is for, outside of lists and lines.
pub(super) fn is_other(shown: &Shown<'_>) -> bool {
    shown.column.is_none() && !shown.is_listed && !trimmed(shown.text).is_empty()
}

/// Keeps the values that no column is for, under names made of their paths, but for those of objects in lists and of lines.
fn keep_others(tree: &PathTree, base: &str, extra: &mut String, others: &mut Vec<(Span, Span)>) {
    let (mut taken, mut values, mut bytes) = (HashSet::new(), Vec::new(), 0);
    show(tree, base.as_bytes(), &mut |shown| {
        if is_other(&shown) && bytes < OTHERS_LIMIT_BYTES {
            bytes += shown.path.len() + shown.text.len();
            values.push((shown.path.to_owned(), shown.text.to_owned()));
        }
    });
    for (path, value) in values {
        let name = unlike(&mut taken, &made_name(&path, others.len()));
        let mut append = |text: &str| {
            let from = base.len() + extra.len();
            extra.push_str(text);
            Span::new(from, from + text.len())
        };
        others.push((append(&name), append(trimmed(&value))));
    }
}

#[cfg(test)]
mod tests;
