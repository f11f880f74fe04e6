//! Finds the end of a record and its fields.
//!
//! Nearly all records are *regular*: quotes stand around whole fields, and in pairs within them. The scanner processes
//! regular records in blocks of 64 bytes. Each special byte is a bit, and a byte is within quotes if the number of
//! quotes before it is odd (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019, section 3.1). It also
//! finds their fields. It finds the end of all other records byte by byte.

use std::ops::Range;

use wide::u8x16;

/// Bytes of a block: one for each bit of a `u64`.
const BLOCK_BYTES: usize = 64;

/// Ends of fields stored in one step: most blocks have no more.
const ENDS_AT_ONCE: usize = 4;

/// Scans one record. Its bytes may arrive in pieces; each call gets the record from its first byte.
#[derive(Debug)]
pub(super) struct Scanner {
    delimiter: u8,
    /// Next byte of the record to scan.
    at: usize,
    /// What precedes that byte.
    before: Carry,
    /// The ends of the first `count` fields, and room after them.
    ends: Vec<usize>,
    count: usize,
    /// The fields, without the quotes around them; quotes within are still doubled.
    fields: Vec<Range<usize>>,
    has_inner_line_ends: bool,
    has_inner_quotes: bool,
    /// The state of a record that is not regular.
    state: Option<FieldState>,
}

/// What a block needs to know about the bytes before it.
#[derive(Debug, Clone, Copy)]
struct Carry {
    /// All bits set within quotes, no bit set outside.
    quoted: u64,
    /// The lowest bit set if a delimiter, or nothing, precedes.
    separator: u64,
    /// The lowest bit set if a closing quote precedes.
    closing: u64,
}

impl Carry {
    const NOTHING: Self = Self { quoted: 0, separator: 1, closing: 0 };
}

/// State of the byte-by-byte scan of a record that is not regular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldState {
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quote that ends the field, or is the first of a pair.
    QuoteInQuoted,
}

/// How the fields of a record are quoted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Quoting {
    /// All fields are ranges of the text.
    Plain,
    /// All fields are ranges of the text, and some contain doubled quotes.
    Doubled,
    /// The record is not regular, and its fields are not known.
    Irregular,
}

/// Where a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordEnd {
    /// Length in bytes, without the line end.
    pub(super) record: usize,
    /// Length in bytes with the line end; 0 if there is no record.
    pub(super) next: usize,
    /// Whether the input ends within the quotes of the last field.
    pub(super) within_quotes: bool,
}

impl Scanner {
    pub(super) fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            at: 0,
            before: Carry::NOTHING,
            ends: Vec::new(),
            count: 0,
            fields: Vec::new(),
            has_inner_line_ends: false,
            has_inner_quotes: false,
            state: None,
        }
    }

    /// Starts a new record.
    pub(super) fn begin(&mut self) {
        (self.at, self.before, self.count) = (0, Carry::NOTHING, 0);
        (self.has_inner_line_ends, self.has_inner_quotes, self.state) = (false, false, None);
        self.fields.clear();
    }

    /// Returns how the fields of the scanned record are quoted.
    pub(super) fn quoting(&self) -> Quoting {
        match self.state {
            Some(_) => Quoting::Irregular,
            None if self.has_inner_quotes => Quoting::Doubled,
            None => Quoting::Plain,
        }
    }

    /// Returns the ranges of the fields, if they are known.
    pub(super) fn fields(&self) -> &[Range<usize>] {
        &self.fields
    }

    /// Returns the ranges of the fields, to be changed.
    pub(super) fn fields_mut(&mut self) -> &mut [Range<usize>] {
        &mut self.fields
    }

    /// Returns whether the scanned record contains line ends.
    pub(super) fn has_inner_line_ends(&self) -> bool {
        self.has_inner_line_ends
    }

    /// Scans to the end of the record, which starts with the first of `bytes`. Returns `None` if it needs more bytes.
    /// `ended` means that no bytes follow.
    pub(super) fn end(&mut self, bytes: &[u8], ended: bool) -> Option<RecordEnd> {
        while self.state.is_none() {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let length = rest.len().min(BLOCK_BYTES);
            if length == 0 {
                return ended.then(|| self.end_of_input(bytes));
            }
            let seen = Block::of(rest, self.delimiter).scan_after(self.before, length);
            if !seen.is_regular {
                (self.at, self.state) = (0, Some(FieldState::FieldStart));
                break;
            }
            match seen.end {
                None if length < BLOCK_BYTES && !ended => return None,
                None => {}
                Some(bit) => {
                    let end = line_end(bytes, self.at + bit, ended)?;
                    self.take(&seen);
                    self.cut(bytes, false);
                    return Some(end);
                }
            }
            self.take(&seen);
            (self.at, self.before) = (self.at + length, seen.after);
        }
        self.end_byte_by_byte(bytes, ended)
    }

    /// Stores the fields that end in a block.
    #[inline]
    fn take(&mut self, seen: &Seen) {
        self.has_inner_line_ends |= seen.has_inner_line_ends;
        self.has_inner_quotes |= seen.has_inner_quotes;
        let mut separators = seen.separators;
        let before = self.count;
        self.count += separators.count_ones() as usize;
        if self.ends.len() < before + BLOCK_BYTES {
            self.ends.resize(2 * (before + BLOCK_BYTES), 0);
        }
        // Stores several at once, at least as many as there are: the number varies so much that a check for each is
        // slower.
        let mut room = self.ends.get_mut(before..).unwrap_or_default().chunks_exact_mut(ENDS_AT_ONCE);
        while separators != 0
            && let Some(some) = room.next()
        {
            for end in some {
                *end = self.at + separators.trailing_zeros() as usize;
                separators &= separators.wrapping_sub(1);
            }
        }
    }

    /// Computes the ranges of the fields from their ends.
    fn cut(&mut self, bytes: &[u8], within_quotes: bool) {
        let mut start = 0;
        let ends = self.ends.get(..self.count).unwrap_or_default();
        self.fields.extend(ends.iter().map(|&end| {
            let is_quoted = bytes.get(start) == Some(&b'"');
            let field = start + usize::from(is_quoted)..end - usize::from(is_quoted);
            start = end + 1;
            field
        }));
        if let Some(last) = self.fields.last_mut()
            && within_quotes
        {
            last.end = bytes.len();
        }
    }

    /// Returns the record that ends with the input.
    fn end_of_input(&mut self, bytes: &[u8]) -> RecordEnd {
        let within_quotes = self.before.quoted != 0;
        if !bytes.is_empty() {
            self.ends.truncate(self.count);
            self.ends.push(bytes.len());
            self.count += 1;
            self.cut(bytes, within_quotes);
        }
        RecordEnd { record: bytes.len(), next: bytes.len(), within_quotes }
    }

    fn end_byte_by_byte(&mut self, bytes: &[u8], ended: bool) -> Option<RecordEnd> {
        let mut state = self.state.unwrap_or(FieldState::FieldStart);
        for byte in bytes.iter().skip(self.at) {
            state = match (state, byte) {
                (FieldState::Quoted, b'"') => FieldState::QuoteInQuoted,
                (FieldState::FieldStart | FieldState::QuoteInQuoted, b'"') | (FieldState::Quoted, _) => {
                    FieldState::Quoted
                }
                (_, b'\n' | b'\r') => return line_end(bytes, self.at, ended),
                (_, byte) if *byte == self.delimiter => FieldState::FieldStart,
                _ => FieldState::Unquoted,
            };
            self.has_inner_line_ends |= matches!(byte, b'\n' | b'\r');
            (self.at, self.state) = (self.at + 1, Some(state));
        }
        let within_quotes = state == FieldState::Quoted;
        ended.then_some(RecordEnd { record: bytes.len(), next: bytes.len(), within_quotes })
    }
}

/// The special bytes of a block. The lowest bit is the first byte.
#[derive(Debug, Clone, Copy)]
struct Block {
    quotes: u64,
    delimiters: u64,
    line_ends: u64,
}

/// The part of a block that belongs to the record.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The bytes that end a field.
    separators: u64,
    /// The bit that ends the record.
    end: Option<usize>,
    is_regular: bool,
    has_inner_line_ends: bool,
    has_inner_quotes: bool,
    after: Carry,
}

impl Block {
    /// Classifies the first bytes of `rest`, up to the length of a block.
    #[inline]
    fn of(rest: &[u8], delimiter: u8) -> Self {
        let mut padded = [0; BLOCK_BYTES];
        let bytes = rest.first_chunk().unwrap_or_else(|| {
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            &padded
        });
        let [quote, delimiter, lf, cr] = [b'"', delimiter, b'\n', b'\r'].map(u8x16::splat);
        let mut block = Self { quotes: 0, delimiters: 0, line_ends: 0 };
        for (nth, bytes) in bytes.as_chunks::<16>().0.iter().enumerate() {
            let bytes = u8x16::new(*bytes);
            let bits = |found: u8x16| u64::from(found.to_bitmask()) << (16 * nth);
            block.quotes |= bits(bytes.simd_eq(quote));
            block.delimiters |= bits(bytes.simd_eq(delimiter));
            block.line_ends |= bits(bytes.simd_eq(lf) | bytes.simd_eq(cr));
        }
        block
    }

    /// Evaluates the first `length` bytes of the block after the bytes described by `before`.
    #[inline]
    fn scan_after(self, before: Carry, length: usize) -> Seen {
        let quoted = odd_up_to_each(self.quotes) ^ before.quoted;
        let (opening, closing) = (self.quotes & quoted, self.quotes & !quoted);
        let separators = (self.delimiters | self.line_ends) & !quoted;
        let ends = self.line_ends & !quoted;
        // Up to and including the first end.
        let scope = (ends ^ ends.wrapping_sub(1)) & (u64::MAX >> (BLOCK_BYTES - length));
        let after_separators = separators << 1 | before.separator;
        let after_closing = closing << 1 | before.closing;
        // A closing quote and an opening quote right after it are one quote of the text.
        let inner_quotes = opening & after_closing;
        let misplaced = (opening & !after_separators | after_closing & !separators) & !inner_quotes;
        let last = length - 1;
        Seen {
            separators: separators & scope,
            end: (ends & scope != 0).then(|| ends.trailing_zeros() as usize),
            is_regular: misplaced & scope == 0,
            has_inner_line_ends: self.line_ends & quoted & scope != 0,
            has_inner_quotes: inner_quotes & scope != 0,
            after: Carry {
                quoted: 0_u64.wrapping_sub(quoted >> last & 1),
                separator: separators >> last & 1,
                closing: closing >> last & 1,
            },
        }
    }
}

/// Computes for each bit whether the number of set bits up to and including it is odd.
#[inline]
fn odd_up_to_each(bits: u64) -> u64 {
    [1, 2, 4, 8, 16, 32].into_iter().fold(bits, |bits, by| bits ^ bits << by)
}

/// Returns the end of a record whose line end starts there; `None` if the next byte decides whether it is a CRLF.
#[inline]
fn line_end(bytes: &[u8], at: usize, ended: bool) -> Option<RecordEnd> {
    let length = match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => 2,
        (Some(b'\r'), None) if !ended => return None,
        _ => 1,
    };
    Some(RecordEnd { record: at, next: at + length, within_quotes: false })
}
