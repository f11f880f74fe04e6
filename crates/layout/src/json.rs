//! An element of JSON as a row: the values of the paths that a layout names, as text.
//!
//! Numbers keep the text that they have, so that no amount passes through a float. `null`, `NaN` and what is empty are no
//! values. Where the bytes are not UTF-8, all of the element is windows-1252.

mod fast_path;
mod keys;
mod shown;
mod unreadable;
mod values;

use jiter::{Jiter, JiterError, Peek};
use memchr::memchr;

use self::keys::Keys;
pub use self::shown::Shown;
use self::shown::keep_others;
pub(super) use self::shown::{is_other, show};
pub use self::unreadable::Unreadable;
use self::values::{Misfit, Values};
use super::Reason;
use super::bind::Bound;
pub(super) use super::path::PathTree;
use super::path::{NodeId, Step};
use super::row::{Row, Scratch, Span, decode_windows_1252};

/// Most lines of one record: ten times what an NF-e may have (990).
pub const LINES_LIMIT: usize = 10_000;

/// Most lists and objects within one another, where a layout looks for values. (The parser passes over 200 elsewhere.)
const NESTING_LIMIT: usize = 100;

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

/// Reads `element` as a row of the columns that stand in `tree`.
pub(super) fn read<'s>(
    tree: &'s PathTree,
    shape: RowShape<'_>,
    element: &'s [u8],
    scratch: &'s mut Scratch,
) -> Result<Row<'s>, Unreadable> {
    let Scratch { text, json: work, .. } = scratch;
    work.begin(tree, shape);
    let Workspace { latin, extra, tape, string_tape, values: record, lines, others, steps, .. } = work;
    let base = decoded(element, latin);
    let mut values = Values { tree, shape, base, extra, tape: string_tape, record, lines };
    if fast_path::read(&mut values, steps).is_none() {
        values.clear();
        parse(&mut values, steps, tape).map_err(|unreadable| in_source(unreadable, base, element))?;
    }
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
    Ok(Row { text, spans: record, line: &[], lines, line_columns, others })
}

/// Reads the element by the parser, which says of whatever is wrong what it is.
fn parse(values: &mut Values<'_>, steps: &mut [Keys], tape: &mut Vec<u8>) -> Result<(), Unreadable> {
    let json = Jiter::with_tape(values.base.as_bytes(), std::mem::take(tape)).with_allow_inf_nan();
    let mut reader = Reader { json, values, steps, nesting: 0 };
    let read = reader.element();
    *tape = reader.json.into_tape();
    read
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
                self.values.set(at, span, is_new).map_err(|misfit| self.refuse(misfit))
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
        if is_new && self.values.tree.is_line(at) {
            self.values.begin_line().map_err(|misfit| self.refuse(misfit))?;
        }
        let mut next = 0;
        let mut step = match self.json.next_object_bytes() {
            Ok(key) => key.map(|key| step(self.values.tree, self.steps, at, key, &mut next)),
            Err(error) => return Err(self.explain(&error)),
        };
        while let Some(taken) = step {
            let peek = self.json.peek().map_err(|error| self.explain(&error))?;
            match taken {
                Step::Into(inner) => self.value(inner, peek, true)?,
                Step::Stay => self.value(at, peek, false)?,
                Step::Past => self.json.known_skip(peek).map_err(|error| self.explain(&error))?,
            }
            step = match self.json.next_key_bytes() {
                Ok(key) => key.map(|key| self::step(self.values.tree, self.steps, at, key, &mut next)),
                Err(error) => return Err(self.explain(&error)),
            };
        }
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
            // Between the quotes stands the text itself.
            return Ok(Span::new(start + 1, end - 1));
        }
        Ok(self.values.unescaped(start, end).unwrap_or_default())
    }

    #[cold]
    fn refuse(&self, misfit: Misfit) -> Unreadable {
        Unreadable { at: self.json.current_index(), reject: self.values.reject(misfit), broken: None }
    }

    #[cold]
    fn explain(&self, error: &JiterError) -> Unreadable {
        Unreadable::of(error, self.values.base)
    }
}

/// Where `key`, as it stands in the source, leads to.
fn step(tree: &PathTree, steps: &mut [Keys], at: NodeId, key: &[u8], next: &mut usize) -> Step {
    steps.get_mut(at.index()).map_or(Step::Past, |keys| keys.step(tree, at, key, next))
}

/// Appends the text of a string to `out`, which is given with its quotes; nothing where it is none.
fn unescape(string: &str, tape: &mut Vec<u8>, out: &mut String) -> Option<()> {
    let mut json = Jiter::with_tape(string.as_bytes(), std::mem::take(tape));
    let text = json.next_str().ok().map(|text| out.push_str(text));
    *tape = json.into_tape();
    text
}

#[cfg(test)]
mod tests;
