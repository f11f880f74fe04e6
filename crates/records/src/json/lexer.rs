//! Strings and nesting of JSON, byte by byte or 64 bytes at a time.

use memchr::memchr2;

/// Bytes looked at at once: one bit of a word for each.
const BLOCK_BYTES: usize = 64;

/// Bytes of one group of bits while a block is looked at.
const GROUP_BYTES: usize = 8;

/// Goes over one value. What of it came before is kept as a depth and two flags, so that neither its length nor its nesting
/// takes memory.
///
/// Kinds of brackets need not match: who parses the value sees that. A backslash escapes what follows it outside strings too,
/// where there can be none in JSON.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lexer {
    depth: u64,
    quoted: bool,
    escaped: bool,
    /// Where in the bytes given last the last string began, if one did.
    opened: Option<usize>,
}

impl Lexer {
    /// Whether it stands within a string.
    pub(super) fn is_quoted(&self) -> bool {
        self.quoted
    }

    /// Where in the bytes given last the string began in which it stands; none if that was in earlier ones.
    pub(super) fn opened(&self) -> Option<usize> {
        self.opened.filter(|_| self.quoted)
    }

    /// Goes on with an object or array, of which the first byte given is the opening bracket. Gives the end of it, if it is
    /// in these bytes.
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

    /// Goes on with a string, of which the first byte given is the opening quote.
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

    /// Takes out of the marks what a backslash stands before.
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

    /// Takes one bracket after the other, up to the one that closes the value.
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

/// Which bytes of a block are what, the first byte as the lowest bit.
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

/// The lowest bits of 64 bytes as one word. The multiplication puts those of eight bytes side by side.
fn bits(flags: [u8; BLOCK_BYTES]) -> u64 {
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (groups, _) = flags.as_chunks::<GROUP_BYTES>();
    let gather = |group: &[u8; GROUP_BYTES]| u64::from_le_bytes(*group).wrapping_mul(GATHER) >> 56;
    groups.iter().rev().fold(0, |word, group| word << GROUP_BYTES | gather(group))
}

/// Each bit the parity of all bits up to it.
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

    /// Where a value ends that is given in pieces of this length, and where the string began in which the text ended.
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
        fn blocks_and_bytes_say_the_same(
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
