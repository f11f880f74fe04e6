//! Detects where the elements of a JSON entry are, from its beginning.

use std::ops::Range;

use serde::de::IgnoredAny;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::lexer::Lexer;
use super::reader::ELEMENT_LIMIT_BYTES;
use super::splitter::{Splitter, is_space, line_feeds};
use crate::error::ReadError;
use crate::record::{BOM, Position, Shape};

/// Bytes of one step. The reader takes further steps until an element is complete. Holds 50 invoices of 5 KB.
const STEP_BYTES: usize = 256 * 1024;

/// The most elements of a candidate: the number from which conventions are detected.
pub(super) const ELEMENTS_LIMIT: usize = 50;

/// The most objects around a list: two more than in `{"d": {"results": […]}}` of `OData`.
pub(super) const LEVELS_LIMIT: usize = 4;

/// The beginning of a JSON entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonHead {
    /// The bytes read, from the start of the entry.
    pub text: Vec<u8>,
    /// Where the elements may be, the most likely first.
    pub candidates: Vec<Candidate>,
}

/// A place where the elements of an entry may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// How the elements are arranged.
    pub shape: Shape,
    /// Keys that lead to the list; empty for the root.
    pub path: Vec<String>,
    /// Where the data begins; in an array, after its `[`.
    pub data: Position,
    /// Ranges of the first complete elements in the text, at most 50.
    pub elements: Vec<Range<usize>>,
    /// Whether the candidate is a list without elements.
    pub is_empty: bool,
}

/// Reads the beginning of an entry. Returns `None` if it is not JSON.
///
/// JSON starts with `{` before `"` or `}`, or with `[` before the start of a value, but not before another word:
/// `[Date];[No]` is a header of CSV. A root array is the only candidate. A complete object on the first of several
/// lines means NDJSON, also if the first line is broken and a later one is complete. Otherwise the candidates are the
/// object itself and the lists of objects in it.
///
/// Reads 256 KiB, and more, up to the limit of an element, until an element is complete.
///
/// # Errors
/// The errors of the reader.
pub async fn read_json_head<R>(mut reader: R) -> Result<Option<JsonHead>, ReadError>
where
    R: AsyncRead + Send + Unpin,
{
    let mut text = Vec::new();
    loop {
        let read = (&mut reader).take(STEP_BYTES as u64).read_to_end(&mut text).await?;
        let head = Beginning { text: &text, is_whole: read < STEP_BYTES };
        if !head.is_json() {
            return Ok(None);
        }
        let candidates = head.candidates();
        let has_elements = candidates.iter().any(|candidate| !candidate.elements.is_empty());
        if has_elements || head.is_whole || text.len() > ELEMENT_LIMIT_BYTES {
            return Ok(Some(JsonHead { text, candidates }));
        }
    }
}

/// The part of an entry that has been read.
#[derive(Clone, Copy)]
struct Beginning<'a> {
    text: &'a [u8],
    /// Whether this is all of the entry.
    is_whole: bool,
}

impl<'a> Beginning<'a> {
    /// Returns where the text starts, after a byte order mark.
    fn start(self) -> usize {
        if self.text.starts_with(BOM) { BOM.len() } else { 0 }
    }

    fn is_json(self) -> bool {
        let mut bytes = Walk { text: self.text, at: self.start() };
        let root = bytes.token();
        let next = bytes.token();
        let rest = self.text.get(bytes.at.saturating_sub(1)..).unwrap_or_default();
        match (root, next) {
            (Some(b'{'), Some(b'"' | b'}')) | (Some(b'['), Some(b'{' | b'[' | b']' | b'"' | b'-' | b'0'..=b'9')) => {
                true
            }
            (Some(b'['), Some(_)) => ["true", "false", "null"].iter().any(|word| rest.starts_with(word.as_bytes())),
            _ => false,
        }
    }

    fn candidates(self) -> Vec<Candidate> {
        let start = self.start();
        let mut walk = Walk { text: self.text, at: start };
        if walk.token() == Some(b'[') {
            return vec![self.candidate(Shape::Array { levels: 0, alone: false }, Vec::new(), walk.at)];
        }
        if self.is_lines() {
            return vec![self.candidate(Shape::Lines, Vec::new(), start)];
        }
        let mut found = vec![self.candidate(Shape::Values, Vec::new(), start)];
        self.lists(&mut walk, &mut Vec::new(), &mut found);
        found
    }

    /// Returns whether each line is a value: the first line is complete and not the only one; or it is broken and a
    /// later line is complete; or it is cut and all others are complete.
    fn is_lines(self) -> bool {
        let text = self.text.get(self.start()..).unwrap_or_default();
        let mut lines = text.split_inclusive(|byte| *byte == b'\n');
        let is_ended = |line: &&[u8]| line.ends_with(b"\n") || self.is_whole;
        let is_object = |line: &[u8]| {
            line.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(line).is_ok()
        };
        let is_blank = |line: &[u8]| line.iter().all(|byte| is_space(*byte));
        let Some(first) = lines.find(|line| !is_blank(line)).filter(is_ended) else { return false };
        match serde_json::from_slice::<IgnoredAny>(first) {
            Ok(_) => !self.is_whole || lines.any(|line| !is_blank(line)),
            // Cut, or the first line of one long value: in that case the others are not all complete.
            Err(error) if error.is_eof() => {
                let mut others = lines.filter(|line| !is_blank(line)).filter(is_ended).peekable();
                others.peek().is_some() && others.all(is_object)
            }
            Err(_) => lines.filter(is_ended).any(is_object),
        }
    }

    /// Finds the lists of the object whose `{` the walk has just consumed. Returns `None` if the text ends within the
    /// object.
    fn lists(self, walk: &mut Walk<'a>, path: &mut Vec<String>, found: &mut Vec<Candidate>) -> Option<()> {
        let levels = u32::try_from(path.len() + 1).ok()?;
        loop {
            match walk.token()? {
                b'}' => return Some(()),
                b',' => continue,
                b'"' => walk.at -= 1,
                _ => return None,
            }
            path.push(name(walk.string()?));
            (walk.token()? == b':').then_some(())?;
            match walk.token()? {
                b'{' if path.len() < LEVELS_LIMIT => self.lists(walk, path, found)?,
                b'[' => {
                    let data = walk.at;
                    if matches!(walk.token()?, b'{' | b']') {
                        found.push(self.candidate(Shape::Array { levels, alone: false }, path.clone(), data));
                    }
                    walk.at = data - 1;
                    walk.nested()?;
                }
                b'{' => {
                    walk.at -= 1;
                    walk.nested()?;
                }
                b'"' => {
                    walk.at -= 1;
                    walk.string()?;
                }
                _ => walk.scalar(),
            }
            path.pop();
        }
    }

    fn candidate(self, shape: Shape, path: Vec<String>, data: usize) -> Candidate {
        let before = self.text.get(..data).unwrap_or_default();
        let start = Position { byte: data as u64, line: 1 + line_feeds(before) };
        let elements = self.elements(shape, start);
        let first = Walk { text: self.text, at: data }.token();
        let is_empty = matches!(shape, Shape::Array { .. }) && elements.is_empty() && first == Some(b']');
        Candidate { shape, path, data: start, elements, is_empty }
    }

    /// Returns the first complete elements. The reader reports errors after them.
    fn elements(self, shape: Shape, start: Position) -> Vec<Range<usize>> {
        let mut splitter = Splitter::new(shape, start, true);
        let mut at = usize::try_from(start.byte).unwrap_or(usize::MAX);
        let mut elements = Vec::new();
        while elements.len() < ELEMENTS_LIMIT {
            let rest = self.text.get(at..).unwrap_or_default();
            let element = match splitter.advance(rest) {
                Ok((taken, Some(element))) => {
                    at += taken;
                    element
                }
                Ok((_, None)) if self.is_whole => match splitter.finish() {
                    Ok(Some(element)) => {
                        at = self.text.len();
                        element
                    }
                    _ => break,
                },
                _ => break,
            };
            let end = usize::try_from(element.end).unwrap_or(usize::MAX);
            elements.push(usize::try_from(element.first.byte).unwrap_or(usize::MAX)..end);
        }
        elements
    }
}

/// Decodes the name of a member from its text with the quotes.
fn name(quoted: &[u8]) -> String {
    if let Ok(name) = serde_json::from_slice(quoted) {
        return name;
    }
    let text = quoted.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(quoted);
    encoding_rs::WINDOWS_1252.decode_without_bom_handling(text).0.into_owned()
}

/// Walks over a text that may be cut anywhere. Methods return `None` if the text ends too early.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Consumes the next byte that is not white space.
    fn token(&mut self) -> Option<u8> {
        let rest = self.rest();
        let blank = rest.iter().position(|byte| !is_space(*byte))?;
        self.at += blank + 1;
        rest.get(blank).copied()
    }

    /// Consumes a string, from its opening quote to its closing quote.
    fn string(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest();
        let end = Lexer::default().string(rest)?;
        self.at += end;
        rest.get(..end)
    }

    /// Consumes an object or an array.
    fn nested(&mut self) -> Option<()> {
        self.at += Lexer::default().nested(self.rest())?;
        Some(())
    }

    /// Consumes the rest of a number or word.
    fn scalar(&mut self) {
        let rest = self.rest();
        self.at += rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']')).unwrap_or(rest.len());
    }
}

#[cfg(test)]
mod tests;
