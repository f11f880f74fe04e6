//! Latin-1 and windows-1252 as UTF-8.

use encoding_rs::{CoderResult, WINDOWS_1252};
use wide::u8x16;

/// Bytes of Latin-1 that are looked at together: as many as an integer has bits.
const BLOCK_BYTES: usize = 64;

/// A block and the bytes behind it that are put down with its own.
const WINDOW_BYTES: usize = 2 * BLOCK_BYTES;

/// Latin-1 as UTF-8.
#[derive(Debug, Default)]
pub(crate) struct Latin {
    /// The text, and room behind it.
    text: Vec<u8>,
    length: usize,
    blocks: Vec<Block>,
    /// How many bytes became two.
    wide: usize,
}

/// Which bytes of a block are two now.
#[derive(Debug)]
struct Block {
    /// How many stand before it.
    wide_before: usize,
    /// Those of its own, the first byte by the lowest bit.
    wide: u64,
}

impl Latin {
    /// False where a byte of 0x80 to 0x9f, which is rare and another in windows-1252, stands in it.
    ///
    /// A block at a time: what is not ASCII stands too close together for a decoder that looks for long stretches.
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
        // What is left is less than a window.
        let mut last = [0; WINDOW_BYTES + BLOCK_BYTES];
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

    /// Puts down the block at `at`, which a window begins with, as it is, and behind each byte of it that becomes two what follows
    /// it in the window again.
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
            debug_assert!(from.is_some() && to.is_some(), "there is room for all of it");
            if let (Some([byte, behind @ ..]), Some([lead, trail, room @ ..])) = (from, to) {
                is_latin &= *byte >= 0xa0;
                (*lead, *trail, *room) = (0xc0 | byte >> 6, 0x80 | byte & 0x3f, *behind);
            }
            wide_before += 1;
        }
        self.wide = wide_before;
        is_latin
    }

    /// What was decoded, if it is UTF-8 as it is: mostly the first byte that is not ASCII shows that it is not.
    pub(crate) fn same_as_utf_8<'t>(&self, latin: &'t [u8]) -> Option<&'t str> {
        if let Some((nth, block)) = self.blocks.iter().enumerate().find(|(_, block)| block.wide != 0) {
            let first = nth * BLOCK_BYTES + block.wide.trailing_zeros() as usize;
            str::from_utf8(latin.get(first..)?).ok()?;
        }
        utf_8(latin)
    }

    pub(crate) fn text(&self) -> &str {
        self.text.get(..self.length).and_then(utf_8).unwrap_or_default()
    }

    /// How many bytes became two before the one that stood at `at`.
    #[inline]
    pub(crate) fn wide_before(&self, at: usize) -> usize {
        let within = |block: &Block| (block.wide & ((1 << (at % BLOCK_BYTES)) - 1)).count_ones() as usize;
        self.blocks.get(at / BLOCK_BYTES).map_or(0, |block| block.wide_before + within(block))
    }
}

pub(crate) fn utf_8(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

pub(crate) fn decode_windows_1252(bytes: &[u8], text: &mut String) {
    // A single byte becomes three at most (the euro sign).
    text.reserve(bytes.len() * 3);
    let mut decoder = WINDOWS_1252.new_decoder_without_bom_handling();
    let (result, read, _) = decoder.decode_to_string(bytes, text, true);
    debug_assert!(result == CoderResult::InputEmpty && read == bytes.len(), "there is room for all of it");
}
