//! Where the elements of a JSON text begin and end. Pure: bytes in, in pieces of any length, bounds out.

use memchr::{memchr, memchr_iter};

use super::lexer::Lexer;
use crate::error::{Place, ReadError};
use crate::record::{Position, Shape};

/// The bounds of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    /// Its first byte.
    pub(super) first: Position,
    /// Behind its last byte.
    pub(super) end: u64,
    /// Where the search for the next one begins.
    pub(super) next: Position,
}

/// Finds the elements of a JSON text. Holds none of its bytes, and a number for all of its nesting.
#[derive(Debug)]
pub(super) struct Splitter {
    shape: Shape,
    start: Position,
    /// What comes next.
    at: Position,
    state: State,
    lexer: Lexer,
    /// Where the element in the making begins, or the value in the tail.
    first: Position,
    /// Behind the last byte of the line in the making that is no space.
    line_end: u64,
    /// Where the string begins in which it stands.
    string: Position,
    /// Objects around the array that are still open.
    levels: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Gap(Gap),
    Element(Kind),
    Tail(Tail),
}

/// What may stand between elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// A line.
    Line,
    /// A value.
    Value,
    /// A value or `]`: the array has just begun.
    First,
    /// A value: a comma stood before.
    Next,
    /// `,` or `]`.
    Behind,
    /// Reading begins in the middle of the array, at an element or behind one.
    Resumed,
    /// Another root array.
    Array,
    /// Nothing.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Line,
    Nested,
    Text,
    Scalar,
}

/// What may stand behind an array in the objects that it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// `,` or `}`.
    Behind,
    /// The name of a member.
    Name,
    Within(Part),
    /// `:`
    Colon,
    /// The value of a member.
    Value,
    /// What an array has between its values.
    List,
    /// A value of an array.
    ListPart(Part),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Name,
    Value(Kind),
}

impl Splitter {
    /// Splits what stands from `start` on: at the beginning of the data (of an array, behind its `[`), or else where an element
    /// begins or behind one.
    pub(super) fn new(shape: Shape, start: Position, is_beginning: bool) -> Self {
        let (gap, levels) = match shape {
            Shape::Lines => (Gap::Line, 0),
            Shape::Values => (Gap::Value, 0),
            Shape::Array { levels, .. } if is_beginning => (Gap::First, levels),
            Shape::Array { levels, .. } => (Gap::Resumed, levels),
        };
        let (state, lexer) = (State::Gap(gap), Lexer::default());
        Self { shape, start, at: start, state, lexer, first: start, line_end: 0, string: start, levels }
    }

    /// What comes next.
    pub(super) fn position(&self) -> Position {
        self.at
    }

    /// Leaves out a byte order mark that stands before all.
    pub(super) fn skip_mark(&mut self, mark: &[u8]) {
        self.pass(mark);
        self.start = self.at;
    }

    /// Where the element in the making begins.
    pub(super) fn open(&self) -> Option<Position> {
        matches!(self.state, State::Element(_)).then_some(self.first)
    }

    /// Goes over bytes, up to the end of an element. Gives how many it took, and the element that has ended.
    ///
    /// # Errors
    /// What JSON does not have there; a second list of objects.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<(usize, Option<Element>), ReadError> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let before = self.at.byte;
            let element = match self.state {
                State::Gap(gap) => self.gap(gap, rest).map(|()| None)?,
                State::Element(Kind::Line) => self.line(rest),
                State::Element(kind) => self.value(kind, rest).then(|| self.element()),
                State::Tail(tail) => self.tail(tail, rest).map(|()| None)?,
            };
            taken += usize::try_from(self.at.byte - before).unwrap_or(usize::MAX);
            if element.is_some() {
                return Ok((taken, element));
            }
        }
        Ok((taken, None))
    }

    /// Says that nothing more comes. Gives the element that this ends.
    ///
    /// # Errors
    /// An element, an array or an object around it that has no end.
    pub(super) fn finish(&mut self) -> Result<Option<Element>, ReadError> {
        let (place, expected) = match self.state {
            State::Gap(Gap::Line | Gap::Value | Gap::Array | Gap::Over) => return Ok(None),
            // Whoever read up to here has seen the end.
            State::Gap(Gap::Resumed) if self.at == self.start => return Ok(None),
            State::Element(Kind::Line) => {
                self.state = State::Gap(Gap::Line);
                return Ok(Some(Element { first: self.first, end: self.line_end, next: self.at }));
            }
            State::Element(Kind::Scalar) if self.shape == Shape::Values => return Ok(Some(self.element())),
            State::Gap(_) | State::Element(Kind::Scalar) => (self.at, "the end of the array"),
            _ if self.lexer.is_quoted() => (self.string, "the end of the string that begins here"),
            State::Element(_) | State::Tail(Tail::Within(_) | Tail::ListPart(_)) => {
                (self.first, "the end of the value that begins here")
            }
            State::Tail(_) => (self.at, "the end of the object that the array lies in"),
        };
        Err(ReadError::truncated(here(place), expected))
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.at.byte += bytes.len() as u64;
        self.at.line += line_feeds(bytes);
    }

    /// Takes so many bytes.
    fn take(&mut self, bytes: &[u8], count: usize) {
        self.pass(bytes.get(..count).unwrap_or(bytes));
    }

    /// Passes over spaces. Gives the byte behind them, not yet taken.
    fn skip_blank(&mut self, bytes: &[u8]) -> Option<u8> {
        let blank = bytes.iter().position(|byte| !is_space(*byte));
        self.take(bytes, blank.unwrap_or(bytes.len()));
        bytes.get(blank?).copied()
    }

    fn gap(&mut self, gap: Gap, bytes: &[u8]) -> Result<(), ReadError> {
        let Some(byte) = self.skip_blank(bytes) else { return Ok(()) };
        let kind = match gap {
            Gap::Line => Some(Kind::Line),
            Gap::Value | Gap::First | Gap::Next | Gap::Resumed => kind_of(byte),
            Gap::Behind | Gap::Array | Gap::Over => None,
        };
        if let Some(kind) = kind {
            (self.first, self.state, self.lexer) = (self.at, State::Element(kind), Lexer::default());
            return Ok(());
        }
        let next = match (gap, byte) {
            (Gap::First | Gap::Behind | Gap::Resumed, b']') if self.levels > 0 => State::Tail(Tail::Behind),
            (Gap::First | Gap::Behind | Gap::Resumed, b']') => State::Gap(Gap::Array),
            (Gap::Behind | Gap::Resumed, b',') => State::Gap(Gap::Next),
            (Gap::Array, b'[') => State::Gap(Gap::First),
            _ => return Err(self.unexpected(gap.expected(), byte)),
        };
        self.at.byte += 1;
        self.state = next;
        Ok(())
    }

    fn line(&mut self, bytes: &[u8]) -> Option<Element> {
        let line_feed = memchr(b'\n', bytes);
        let line = bytes.get(..line_feed.unwrap_or(bytes.len())).unwrap_or_default();
        if let Some(last) = line.iter().rposition(|byte| !is_space(*byte)) {
            self.line_end = self.at.byte + last as u64 + 1;
        }
        self.at.byte += line.len() as u64;
        line_feed?;
        self.at = Position { byte: self.at.byte + 1, line: self.at.line + 1 };
        self.state = State::Gap(Gap::Line);
        Some(Element { first: self.first, end: self.line_end, next: self.at })
    }

    /// Goes on with a value. Gives whether it has ended.
    fn value(&mut self, kind: Kind, bytes: &[u8]) -> bool {
        let end = match kind {
            Kind::Nested => self.lexer.nested(bytes),
            Kind::Text => self.lexer.string(bytes),
            Kind::Scalar | Kind::Line => bytes.iter().position(|byte| ends_scalar(*byte)),
        };
        if let Some(opened) = self.lexer.opened() {
            let before = bytes.get(..opened).unwrap_or_default();
            self.string = Position { byte: self.at.byte + opened as u64, line: self.at.line + line_feeds(before) };
        }
        self.take(bytes, end.unwrap_or(bytes.len()));
        end.is_some()
    }

    /// The element that has ended.
    fn element(&mut self) -> Element {
        self.state = State::Gap(if self.shape == Shape::Values { Gap::Value } else { Gap::Behind });
        Element { first: self.first, end: self.at.byte, next: self.at }
    }

    fn tail(&mut self, tail: Tail, bytes: &[u8]) -> Result<(), ReadError> {
        if let Tail::Within(part) | Tail::ListPart(part) = tail {
            let kind = if let Part::Value(kind) = part { kind } else { Kind::Text };
            if self.value(kind, bytes) {
                self.state = State::Tail(match (tail, part) {
                    (Tail::ListPart(_), _) => Tail::List,
                    (_, Part::Name) => Tail::Colon,
                    (_, Part::Value(_)) => Tail::Behind,
                });
            }
            return Ok(());
        }
        let Some(byte) = self.skip_blank(bytes) else { return Ok(()) };
        if let Some(part) = self.part(tail, byte) {
            self.begin_in_tail(tail, part);
            return Ok(());
        }
        let next = match (tail, byte) {
            (Tail::Behind, b',') => State::Tail(Tail::Name),
            (Tail::Behind, b'}') => {
                self.levels = self.levels.saturating_sub(1);
                if self.levels == 0 { State::Gap(Gap::Over) } else { State::Tail(Tail::Behind) }
            }
            (Tail::Colon, b':') => State::Tail(Tail::Value),
            (Tail::Value, b'[') => {
                self.first = self.at;
                State::Tail(Tail::List)
            }
            (Tail::List, b'{') => {
                let remedy = "name the list in the layout (records = …), or take the other one out";
                return Err(ReadError::unsupported(here(self.first), "a second list of objects", remedy));
            }
            (Tail::List, b',') => State::Tail(Tail::List),
            (Tail::List, b']') => State::Tail(Tail::Behind),
            _ => return Err(self.unexpected(tail.expected(), byte)),
        };
        self.at.byte += 1;
        self.state = next;
        Ok(())
    }

    /// What begins in the tail with this byte; none if nothing may, or if it has to be looked into.
    fn part(&self, tail: Tail, byte: u8) -> Option<Part> {
        let looks_into_lists = !matches!(self.shape, Shape::Array { alone: true, .. });
        match (tail, byte) {
            (Tail::Name, b'"') => Some(Part::Name),
            (Tail::Value, b'[') if looks_into_lists => None,
            (Tail::List, b'{') => None,
            (Tail::Value | Tail::List, _) => kind_of(byte).map(Part::Value),
            _ => None,
        }
    }

    /// Begins a part of the tail. That of a list leaves standing where the list begins.
    fn begin_in_tail(&mut self, tail: Tail, part: Part) {
        self.lexer = Lexer::default();
        if tail == Tail::List {
            self.state = State::Tail(Tail::ListPart(part));
        } else {
            self.first = self.at;
            self.state = State::Tail(Tail::Within(part));
        }
    }

    fn unexpected(&self, expected: &'static str, byte: u8) -> ReadError {
        let found = match byte {
            b' '..=b'~' => format!("{:?}", char::from(byte).to_string()),
            _ => format!("byte {byte:#04x}"),
        };
        ReadError::InvalidJson { place: Box::new(here(self.at)), expected, found }
    }
}

impl Gap {
    fn expected(self) -> &'static str {
        match self {
            Self::Line | Self::Value | Self::Next => "a value",
            Self::First => "a value or \"]\"",
            Self::Behind => "\",\" or \"]\"",
            Self::Resumed => "a value, \",\" or \"]\"",
            Self::Array => "the end or another \"[\"",
            Self::Over => "the end",
        }
    }
}

impl Tail {
    fn expected(self) -> &'static str {
        match self {
            Self::Behind => "\",\" or \"}\"",
            Self::Name => "the name of a member",
            Self::Colon => "\":\"",
            Self::Value | Self::Within(_) => "a value",
            Self::List | Self::ListPart(_) => "a value, \",\" or \"]\"",
        }
    }
}

fn here(at: Position) -> Place {
    Place { line: Some(at.line), byte: Some(at.byte), ..Place::default() }
}

/// What a value is that begins with this byte; none if none does.
fn kind_of(byte: u8) -> Option<Kind> {
    match byte {
        b'{' | b'[' => Some(Kind::Nested),
        b'"' => Some(Kind::Text),
        b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Some(Kind::Scalar),
        _ => None,
    }
}

/// The white space of JSON (RFC 8259, section 2).
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn ends_scalar(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b',' | b':' | b'"' | b'[' | b']' | b'{' | b'}')
}

pub(super) fn line_feeds(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}
