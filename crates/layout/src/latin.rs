//! Decodes Latin-1 and windows-1252 into UTF-8.

use encoding_rs::{CoderResult, WINDOWS_1252};
use wide::u8x16;

/// Bytes of Latin-1 decoded together: the number of bits of a `u64`.
const BLOCK_BYTES: usize = 64;

/// Bytes of a block and of the following bytes that are copied with it.
const WINDOW_BYTES: usize = 2 * BLOCK_BYTES;

/// Latin-1 decoded into UTF-8.
#[derive(Debug, Default)]
pub(crate) struct Latin {
    /// The text, followed by free space.
    text: Vec<u8>,
    length: usize,
    blocks: Vec<Block>,
    /// Number of bytes that became two bytes.
    wide: usize,
}

/// Which bytes of a block became two bytes.
#[derive(Debug)]
struct Block {
    /// Number of such bytes before the block.
    wide_before: usize,
    /// The bytes of the block itself; the lowest bit is the first byte.
    wide: u64,
}

impl Latin {
    /// Decodes `latin`. Returns false if it contains a byte from 0x80 to 0x9f: windows-1252 differs from Latin-1 there. Such
    /// bytes are rare.
    ///
    /// Works on whole blocks. A decoder that looks for long runs of ASCII is slower here, because such runs are short.
    pub(crate) fn decode(&mut self, latin: &[u8]) -> bool {
        self.blocks.clear();
        self.wide = 0;
        let room = 2 * latin.len() + WINDOW_BYTES;
        if self.text.len() < room {
            self.text.resize(room, 0);
        }
        let (mut at, mut is_latin) = (0, true);
        while let Some(window) = latin.get(at..).and_then(<[u8]>::first_chunk) {
            is_latin &= self.decode_block(at, window);
            at += BLOCK_BYTES;
        }
        // The rest is shorter than a window.
        let mut last = [0; WINDOW_BYTES + BLOCK_BYTES];
        // The loop ends at the end of `latin` or before it.
        let rest = latin.get(at..).unwrap_or_default();
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        for nth in [0, BLOCK_BYTES] {
            if let Some(window) = last.get(nth..).and_then(<[u8]>::first_chunk) {
                is_latin &= self.decode_block(at + nth, window);
            }
        }
        self.length = latin.len() + self.wide;
        is_latin
    }

    /// Decodes the block at `at`, the first half of `window`: copies it unchanged, and then, for each byte that becomes two
    /// bytes, writes these two and copies the following bytes again.
    #[inline]
    fn decode_block(&mut self, at: usize, window: &[u8; WINDOW_BYTES]) -> bool {
        let (blocks, _) = window.as_chunks::<BLOCK_BYTES>();
        let Some(block) = blocks.first() else { return true };
        let (quarters, _) = block.as_chunks::<16>();
        let mut wide = (0..)
            .step_by(16)
            .zip(quarters)
            .fold(0, |wide, (by, quarter)| wide | u64::from(u8x16::new(*quarter).to_bitmask()) << by);
        let mut wide_before = self.wide;
        self.blocks.push(Block { wide_before, wide });
        let text = self.text.as_mut_slice();
        if let Some(room) = text.get_mut(at + wide_before..).and_then(<[u8]>::first_chunk_mut) {
            *room = *block;
        }
        let mut is_latin = true;
        while wide != 0 {
            let nth = wide.trailing_zeros() as usize;
            wide &= wide - 1;
            let from = window.get(nth..).and_then(<[u8]>::first_chunk::<{ 1 + BLOCK_BYTES }>);
            let to = text.get_mut(at + nth + wide_before..).and_then(<[u8]>::first_chunk_mut::<{ 2 + BLOCK_BYTES }>);
            debug_assert!(from.is_some() && to.is_some(), "the buffer has space for the whole text");
            if let (Some([byte, following @ ..]), Some([lead, trail, room @ ..])) = (from, to) {
                is_latin &= *byte >= 0xa0;
                (*lead, *trail, *room) = (0xc0 | byte >> 6, 0x80 | byte & 0x3f, *following);
            }
            wide_before += 1;
        }
        self.wide = wide_before;
        is_latin
    }

    /// Returns `latin` as text if it is UTF-8. The first byte that is not ASCII usually shows that it is not.
    pub(crate) fn same_as_utf_8<'t>(&self, latin: &'t [u8]) -> Option<&'t str> {
        if let Some((nth, block)) = self.blocks.iter().enumerate().find(|(_, block)| block.wide != 0) {
            let first = nth * BLOCK_BYTES + block.wide.trailing_zeros() as usize;
            str::from_utf8(latin.get(first..)?).ok()?;
        }
        utf_8(latin)
    }

    /// Returns the decoded text.
    #[expect(clippy::expect_used, reason = "`decode` writes nothing but UTF-8")]
    pub(crate) fn text(&self) -> &str {
        self.text.get(..self.length).and_then(utf_8).expect("decoded Latin-1 is UTF-8")
    }

    /// Returns how many bytes before byte `at` of the source became two bytes.
    #[inline]
    pub(crate) fn wide_before(&self, at: usize) -> usize {
        let within = |block: &Block| (block.wide & ((1 << (at % BLOCK_BYTES)) - 1)).count_ones() as usize;
        self.blocks.get(at / BLOCK_BYTES).map_or(0, |block| block.wide_before + within(block))
    }
}

/// Returns `bytes` as text if they are UTF-8.
pub(crate) fn utf_8(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

/// Appends `bytes`, decoded as windows-1252, to `text`. Every byte has a meaning there.
pub(crate) fn decode_windows_1252(bytes: &[u8], text: &mut String) {
    // One byte becomes at most three bytes (the euro sign).
    text.reserve(bytes.len() * 3);
    let mut decoder = WINDOWS_1252.new_decoder_without_bom_handling();
    let (result, read, _) = decoder.decode_to_string(bytes, text, true);
    debug_assert!(result == CoderResult::InputEmpty && read == bytes.len(), "the buffer has space for the whole text");
}
