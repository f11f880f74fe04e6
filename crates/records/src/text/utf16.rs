//! Reads UTF-16 as UTF-8.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE};
use tokio::io::{AsyncRead, ReadBuf};

use super::super::decode::DecodedReader;
use super::super::entry::Encoding;
use super::super::error::ReadError;

/// Bytes of one read.
const INPUT_BYTES: usize = 64 * 1024;

/// Turns UTF-16 into UTF-8, in pieces.
pub(super) struct Utf16 {
    encoding: Encoding,
    decoder: Decoder,
    /// Bytes that are read and not yet decoded.
    input: Vec<u8>,
    /// Byte of the entry after those of `input`.
    read_bytes: u64,
    /// UTF-8, of which the first `given` bytes have been given.
    output: Vec<u8>,
    given: usize,
    /// Bytes of UTF-8 still to be discarded.
    skip: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// All input is decoded.
    Ended,
    Failed,
}

impl Utf16 {
    /// Decodes a text that begins with `head`, and discards the first `skip` bytes of the result.
    pub(super) fn new(encoding: Encoding, head: Vec<u8>, skip: u64) -> Self {
        let utf16 = if encoding == Encoding::Utf16Be { UTF_16BE } else { UTF_16LE };
        Self {
            encoding,
            decoder: utf16.new_decoder_with_bom_removal(),
            read_bytes: head.len() as u64,
            input: head,
            output: Vec::new(),
            given: 0,
            skip,
            state: State::Open,
        }
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Reads from `inner`, which continues the input.
    pub(super) fn poll_read(
        &mut self,
        inner: &mut DecodedReader,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let ready = self.output.split_at(self.given).1;
            if !ready.is_empty() {
                let amount = ready.len().min(buf.remaining());
                buf.put_slice(ready.split_at(amount).0);
                self.given += amount;
                return Poll::Ready(Ok(()));
            }
            match self.state {
                State::Open => {}
                State::Ended => return Poll::Ready(Ok(())),
                State::Failed => return Poll::Ready(Err(ReadError::UsedAfterError.into())),
            }
            let read = ready!(self.poll_input(inner, cx));
            if let Err(error) = read.and_then(|is_last| Ok(self.decode(inner, is_last)?)) {
                self.state = State::Failed;
                return Poll::Ready(Err(error));
            }
        }
    }

    /// Reads more input. Returns whether this was the end of it.
    fn poll_input(&mut self, inner: &mut DecodedReader, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let before = self.input.len();
        self.input.resize(before + INPUT_BYTES, 0);
        let mut read = ReadBuf::new(self.input.split_at_mut(before).1);
        let polled = Pin::new(inner).poll_read(cx, &mut read);
        let new = read.filled().len();
        self.input.truncate(before + new);
        self.read_bytes += new as u64;
        ready!(polled)?;
        Poll::Ready(Ok(new == 0))
    }

    /// Decodes the input.
    fn decode(&mut self, inner: &DecodedReader, is_last: bool) -> Result<(), ReadError> {
        self.output.clear();
        self.given = 0;
        let room = self.decoder.max_utf8_buffer_length_without_replacement(self.input.len());
        self.output.resize(room.unwrap_or(0), 0);
        let (result, read, written) =
            self.decoder.decode_to_utf8_without_replacement(&self.input, &mut self.output, is_last);
        self.output.truncate(written);
        match result {
            // The output has room for all of the input.
            DecoderResult::InputEmpty | DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => {
                let at = self.read_bytes - (self.input.len() - read) as u64;
                let place = inner.place().clone().at_byte(at);
                return Err(ReadError::corrupt(place, "valid UTF-16 before this byte", "half of a character"));
            }
        }
        self.input.drain(..read);
        if is_last {
            self.state = State::Ended;
        }
        let skipped = self.output.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        (self.given, self.skip) = (skipped, self.skip - skipped as u64);
        Ok(())
    }
}

impl std::fmt::Debug for Utf16 {
    /// Leaves out the text, which may be secret, and the decoder, which has no text of its own.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Utf16");
        shown.field("encoding", &self.encoding).field("read_bytes", &self.read_bytes).finish_non_exhaustive()
    }
}
