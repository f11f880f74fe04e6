//! Tracks strings and nesting of JSON, byte by byte or 64 bytes at a time.

use memchr::memchr2;

/// Bytes of a block: one for each bit of a `u64`.
const BLOCK_BYTES: usize = 64;

/// Bytes whose bits are gathered in one step.
const GROUP_BYTES: usize = 8;

/// Scans one value. The state is a depth and two flags, so that neither the length nor the nesting of the value takes
/// memory.
///
/// The lexer does not check that kinds of brackets match: the parser of the value does. A backslash escapes the next
/// byte outside strings too, where valid JSON has none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lexer {
    depth: u64,
    quoted: bool,
    escaped: bool,
    /// Where the last string starts in the bytes of the last call, if one does.
    opened: Option<usize>,
}

impl Lexer {
    /// Returns whether the scan is within a string.
    pub(super) fn is_quoted(&self) -> bool {
        self.quoted
    }

    /// Returns where the current string starts in the bytes of the last call; `None` if it started in earlier bytes.
    pub(super) fn opened(&self) -> Option<usize> {
        self.opened.filter(|_| self.quoted)
    }

    /// Scans an object or array. The first byte of the first call is the opening bracket. Returns the end, if it is in
    /// these bytes.
    pub(super) fn nested(&mut self, bytes: &[u8]) -> Option<usize> {
        self.opened = None;
        let (blocks, tail) = bytes.as_chunks::<BLOCK_BYTES>();
        for (nth, block) in blocks.iter().enumerate() {
            if let Some(end) = self.block(block, nth * BLOCK_BYTES) {
                return Some(nth * BLOCK_BYTES + end);
            }
        }
        let before = bytes.len() - tail.len();
        self.bytes(tail, before).map(|end| before + end)
    }

    /// Scans a string. The first byte of the first call is the opening quote. Returns the end, if it is in these bytes.
    pub(super) fn string(&mut self, bytes: &[u8]) -> Option<usize> {
        self.opened = None;
        let mut at = 0;
        if !self.quoted {
            (self.quoted, self.opened, at) = (true, Some(0), 1);
        }
        if self.escaped && at < bytes.len() {
            (self.escaped, at) = (false, at + 1);
        }
        while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            at += found;
            if bytes.get(at) == Some(&b'"') {
                self.quoted = false;
                return Some(at + 1);
            }
            at += 2;
        }
        self.escaped = at > bytes.len();
        None
    }

    fn bytes(&mut self, bytes: &[u8], before: usize) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            match *byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.quoted = !self.quoted;
                    self.opened = Some(before + at);
                }
                _ if self.quoted => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn block(&mut self, block: &[u8; BLOCK_BYTES], before: usize) -> Option<usize> {
        let mut marks = Marks::of(block);
        if self.escaped || marks.backslashes != 0 {
            self.unescape(&mut marks);
        }
        let within = running_parity(marks.quotes) ^ if self.quoted { u64::MAX } else { 0 };
        let (opening, closing) = (marks.opening & !within, marks.closing & !within);
        if u64::from(closing.count_ones()) < self.depth {
            self.depth = self.depth + u64::from(opening.count_ones()) - u64::from(closing.count_ones());
        } else if let Some(end) = self.step(opening, closing) {
            self.quoted = false;
            return Some(end);
        }
        self.quoted = within >> (BLOCK_BYTES - 1) == 1;
        if marks.quotes != 0 {
            self.opened = Some(before + BLOCK_BYTES - 1 - marks.quotes.leading_zeros() as usize);
        }
        None
    }

    /// Removes the marks of escaped bytes.
    fn unescape(&mut self, marks: &mut Marks) {
        let mut escaped = u64::from(self.escaped);
        let mut left = marks.backslashes & !escaped;
        self.escaped = false;
        while left != 0 {
            let backslash = left & left.wrapping_neg();
            let next = backslash << 1;
            self.escaped = next == 0;
            escaped |= next;
            left &= !(backslash | next);
        }
        marks.quotes &= !escaped;
        marks.opening &= !escaped;
        marks.closing &= !escaped;
    }

    /// Processes the brackets one by one, up to the bracket that closes the value.
    fn step(&mut self, opening: u64, closing: u64) -> Option<usize> {
        let mut left = opening | closing;
        while left != 0 {
            let bracket = left & left.wrapping_neg();
            left ^= bracket;
            if opening & bracket != 0 {
                self.depth += 1;
                continue;
            }
            self.depth = self.depth.saturating_sub(1);
            if self.depth == 0 {
                return Some(bracket.trailing_zeros() as usize + 1);
            }
        }
        None
    }
}

/// The special bytes of a block. The lowest bit is the first byte.
struct Marks {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
}

impl Marks {
    fn of(block: &[u8; BLOCK_BYTES]) -> Self {
        // `[` and `{`, `]` and `}` differ by one bit.
        const BRACE_BIT: u8 = b'{' ^ b'[';
        Self {
            quotes: bits(block.map(|byte| u8::from(byte == b'"'))),
            backslashes: bits(block.map(|byte| u8::from(byte == b'\\'))),
            opening: bits(block.map(|byte| u8::from(byte | BRACE_BIT == b'{'))),
            closing: bits(block.map(|byte| u8::from(byte | BRACE_BIT == b'}'))),
        }
    }
}

/// Gathers the lowest bits of 64 bytes in one word. The multiplication puts the bits of eight bytes side by side.
fn bits(flags: [u8; BLOCK_BYTES]) -> u64 {
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (groups, _) = flags.as_chunks::<GROUP_BYTES>();
    let gather = |group: &[u8; GROUP_BYTES]| u64::from_le_bytes(*group).wrapping_mul(GATHER) >> 56;
    groups.iter().rev().fold(0, |word, group| word << GROUP_BYTES | gather(group))
}

/// Computes for each bit the parity of all bits up to and including it.
fn running_parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKENS: [&str; 12] = ["{", "}", "[", "]", "\"", "\"", "\\", "\\\\", "\\\"", "abc", ": 12,\n ", "é"];

    /// Returns where a value ends that arrives in pieces of this length, and where the string starts that the text ends
    /// in.
    fn end(text: &[u8], length: usize, go: fn(&mut Lexer, &[u8]) -> Option<usize>) -> (Option<usize>, Option<usize>) {
        let mut lexer = Lexer::default();
        let mut opened = None;
        for (nth, piece) in text.chunks(length).enumerate() {
            if let Some(end) = go(&mut lexer, piece) {
                return (Some(nth * length + end), None);
            }
            opened = lexer.opened().map(|at| nth * length + at).or(opened.filter(|_| lexer.is_quoted()));
        }
        (None, opened)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn blocks_and_single_bytes_give_the_same_end(
            tokens in prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..150),
            deep in 0..80_usize,
            length in 64..200_usize,
        ) {
            let nested = ["[".repeat(deep + 1), tokens.concat(), "]".repeat(deep)].concat().into_bytes();
            let one = end(&nested, 1, Lexer::nested);
            prop_assert_eq!(end(&nested, length, Lexer::nested), one);
            prop_assert_eq!(end(&nested, nested.len(), Lexer::nested), one);
            let text = ["\"", &tokens.concat()].concat().into_bytes();
            let one = end(&text, 1, Lexer::string);
            prop_assert_eq!(end(&text, length, Lexer::string), one);
            prop_assert_eq!(end(&text, 3, Lexer::string), one);
        }
    }
}
