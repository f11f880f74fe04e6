//! Finds where the elements of a JSON text start and end. Does no I/O: takes bytes in pieces of any length, returns
//! bounds.

use memchr::{memchr, memchr_iter};

use super::lexer::Lexer;
use crate::error::{Place, ReadError};
use crate::record::{Position, Shape};

/// The bounds of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    /// First byte of the element.
    pub(super) first: Position,
    /// The byte after the last byte.
    pub(super) end: u64,
    /// Where the search for the next element starts.
    pub(super) next: Position,
}

/// Finds the elements of a JSON text. Holds none of its bytes, and only a number for its nesting.
#[derive(Debug)]
pub(super) struct Splitter {
    shape: Shape,
    start: Position,
    /// Position of the next byte.
    at: Position,
    state: State,
    lexer: Lexer,
    /// Start of the current element, or of the current value in the tail.
    first: Position,
    /// The byte after the last byte of the current line that is not white space.
    line_end: u64,
    /// Start of the current string.
    string: Position,
    /// Number of objects around the array that are still open.
    levels: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Gap(Gap),
    Element(ValueKind),
    Tail(Tail),
}

/// What may follow between elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// A line.
    Line,
    /// A value.
    Value,
    /// A value or `]`, at the beginning of the array.
    First,
    /// A value, after a comma.
    Next,
    /// `,` or `]`.
    After,
    /// Reading starts in the middle of the array, at an element or after one.
    Resumed,
    /// Another root array.
    Array,
    /// Nothing.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ValueKind {
    Line,
    Nested,
    Text,
    Scalar,
}

/// What may follow after an array in the objects around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// `,` or `}`.
    After,
    /// The name of a member.
    Name,
    Within(TailItem),
    /// `:`
    Colon,
    /// The value of a member.
    Value,
    /// A value, `,` or `]` of an array.
    List,
    /// A value of an array.
    ListItem(TailItem),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TailItem {
    Name,
    Value(ValueKind),
}

impl Splitter {
    /// Splits the text from `start`: the beginning of the data (in an array, after its `[`), or else the start or end
    /// of an element.
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

    /// Returns the position of the next byte.
    pub(super) fn position(&self) -> Position {
        self.at
    }

    /// Skips a byte order mark at the start of the text.
    pub(super) fn skip_mark(&mut self, mark: &[u8]) {
        self.pass(mark);
        self.start = self.at;
    }

    /// Returns the start of the current element, if the splitter is within one.
    pub(super) fn open(&self) -> Option<Position> {
        matches!(self.state, State::Element(_)).then_some(self.first)
    }

    /// Processes bytes up to the end of an element. Returns how many bytes it took, and the element if it has ended.
    ///
    /// # Errors
    /// A byte that JSON does not allow there; a second list of objects.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<(usize, Option<Element>), ReadError> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let before = self.at.byte;
            let element = match self.state {
                State::Gap(gap) => self.gap(gap, rest).map(|()| None)?,
                State::Element(ValueKind::Line) => self.line(rest),
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

    /// Ends the text. Returns the element that ends with it.
    ///
    /// # Errors
    /// An element, an array or an object around it without an end.
    pub(super) fn finish(&mut self) -> Result<Option<Element>, ReadError> {
        let (place, expected) = match self.state {
            State::Gap(Gap::Line | Gap::Value | Gap::Array | Gap::Over) => return Ok(None),
            // The reader that stopped here has already seen the end.
            State::Gap(Gap::Resumed) if self.at == self.start => return Ok(None),
            State::Element(ValueKind::Line) => {
                self.state = State::Gap(Gap::Line);
                return Ok(Some(Element { first: self.first, end: self.line_end, next: self.at }));
            }
            State::Element(ValueKind::Scalar) if self.shape == Shape::Values => return Ok(Some(self.element())),
            State::Gap(_) | State::Element(ValueKind::Scalar) => (self.at, "the end of the array"),
            _ if self.lexer.is_quoted() => (self.string, "the end of the string that begins here"),
            State::Element(_) | State::Tail(Tail::Within(_) | Tail::ListItem(_)) => {
                (self.first, "the end of the value that begins here")
            }
            State::Tail(_) => (self.at, "the end of the object around the array"),
        };
        Err(ReadError::truncated(here(place), expected))
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.at.byte += bytes.len() as u64;
        self.at.line += line_feeds(bytes);
    }

    /// Consumes this number of bytes.
    fn take(&mut self, bytes: &[u8], count: usize) {
        self.pass(bytes.get(..count).unwrap_or(bytes));
    }

    /// Skips white space. Returns the next byte without consuming it.
    fn skip_blank(&mut self, bytes: &[u8]) -> Option<u8> {
        let blank = bytes.iter().position(|byte| !is_space(*byte));
        self.take(bytes, blank.unwrap_or(bytes.len()));
        bytes.get(blank?).copied()
    }

    fn gap(&mut self, gap: Gap, bytes: &[u8]) -> Result<(), ReadError> {
        let Some(byte) = self.skip_blank(bytes) else { return Ok(()) };
        let kind = match gap {
            Gap::Line => Some(ValueKind::Line),
            Gap::Value | Gap::First | Gap::Next | Gap::Resumed => kind_of(byte),
            Gap::After | Gap::Array | Gap::Over => None,
        };
        if let Some(kind) = kind {
            (self.first, self.state, self.lexer) = (self.at, State::Element(kind), Lexer::default());
            return Ok(());
        }
        let next = match (gap, byte) {
            (Gap::First | Gap::After | Gap::Resumed, b']') if self.levels > 0 => State::Tail(Tail::After),
            (Gap::First | Gap::After | Gap::Resumed, b']') => State::Gap(Gap::Array),
            (Gap::After | Gap::Resumed, b',') => State::Gap(Gap::Next),
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

    /// Processes bytes of a value. Returns whether the value has ended.
    fn value(&mut self, kind: ValueKind, bytes: &[u8]) -> bool {
        let end = match kind {
            ValueKind::Nested => self.lexer.nested(bytes),
            ValueKind::Text => self.lexer.string(bytes),
            ValueKind::Scalar | ValueKind::Line => bytes.iter().position(|byte| ends_scalar(*byte)),
        };
        if let Some(opened) = self.lexer.opened() {
            let before = bytes.get(..opened).unwrap_or_default();
            self.string = Position { byte: self.at.byte + opened as u64, line: self.at.line + line_feeds(before) };
        }
        self.take(bytes, end.unwrap_or(bytes.len()));
        end.is_some()
    }

    /// Returns the element that has ended.
    fn element(&mut self) -> Element {
        self.state = State::Gap(if self.shape == Shape::Values { Gap::Value } else { Gap::After });
        Element { first: self.first, end: self.at.byte, next: self.at }
    }

    fn tail(&mut self, tail: Tail, bytes: &[u8]) -> Result<(), ReadError> {
        if let Tail::Within(item) | Tail::ListItem(item) = tail {
            let kind = if let TailItem::Value(kind) = item { kind } else { ValueKind::Text };
            if self.value(kind, bytes) {
                self.state = State::Tail(match (tail, item) {
                    (Tail::ListItem(_), _) => Tail::List,
                    (_, TailItem::Name) => Tail::Colon,
                    (_, TailItem::Value(_)) => Tail::After,
                });
            }
            return Ok(());
        }
        let Some(byte) = self.skip_blank(bytes) else { return Ok(()) };
        if let Some(item) = self.item(tail, byte) {
            self.begin_in_tail(tail, item);
            return Ok(());
        }
        let next = match (tail, byte) {
            (Tail::After, b',') => State::Tail(Tail::Name),
            (Tail::After, b'}') => {
                self.levels = self.levels.saturating_sub(1);
                if self.levels == 0 { State::Gap(Gap::Over) } else { State::Tail(Tail::After) }
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
            (Tail::List, b']') => State::Tail(Tail::After),
            _ => return Err(self.unexpected(tail.expected(), byte)),
        };
        self.at.byte += 1;
        self.state = next;
        Ok(())
    }

    /// Returns what starts in the tail with this byte; `None` if nothing may, or if a list must be checked for objects.
    fn item(&self, tail: Tail, byte: u8) -> Option<TailItem> {
        let looks_into_lists = !matches!(self.shape, Shape::Array { alone: true, .. });
        match (tail, byte) {
            (Tail::Name, b'"') => Some(TailItem::Name),
            (Tail::Value, b'[') if looks_into_lists => None,
            (Tail::List, b'{') => None,
            (Tail::Value | Tail::List, _) => kind_of(byte).map(TailItem::Value),
            _ => None,
        }
    }

    /// Starts an item of the tail. An item of a list keeps the start of the list in `first`.
    fn begin_in_tail(&mut self, tail: Tail, item: TailItem) {
        self.lexer = Lexer::default();
        if tail == Tail::List {
            self.state = State::Tail(Tail::ListItem(item));
        } else {
            self.first = self.at;
            self.state = State::Tail(Tail::Within(item));
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
            Self::After => "\",\" or \"]\"",
            Self::Resumed => "a value, \",\" or \"]\"",
            Self::Array => "the end or another \"[\"",
            Self::Over => "the end",
        }
    }
}

impl Tail {
    fn expected(self) -> &'static str {
        match self {
            Self::After => "\",\" or \"}\"",
            Self::Name => "the name of a member",
            Self::Colon => "\":\"",
            Self::Value | Self::Within(_) => "a value",
            Self::List | Self::ListItem(_) => "a value, \",\" or \"]\"",
        }
    }
}

fn here(at: Position) -> Place {
    Place { line: Some(at.line), byte: Some(at.byte), ..Place::default() }
}

/// Returns the kind of value that starts with this byte; `None` if no value does.
fn kind_of(byte: u8) -> Option<ValueKind> {
    match byte {
        b'{' | b'[' => Some(ValueKind::Nested),
        b'"' => Some(ValueKind::Text),
        b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Some(ValueKind::Scalar),
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
