//! Reads JSON elements one after the other.

use std::mem;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::splitter::{Element, Splitter};
use crate::error::{Place, ReadError};
use crate::record::{BOM, Content, Position, RawRecord, Shape};

/// The most bytes of an element. The largest NF-e, 990 items in 500 KB of XML, has under 3 MB as indented JSON.
pub const ELEMENT_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of one read, the same as in the CSV reader.
const READ_BYTES: usize = 128 * 1024;

/// Reads elements one after the other. Finds only the bounds of an element; its parser validates the content.
///
/// An element over [`ELEMENT_LIMIT_BYTES`] is returned as [`Content::TooLong`], and reading continues after it. A byte
/// order mark at byte 0 is skipped. In NDJSON, blank lines and white space at both ends of a line are skipped.
///
/// Memory is bounded by twice the sum of the limit and a buffer of 128 KiB.
#[derive(Debug)]
pub struct JsonReader<R> {
    inner: R,
    splitter: Splitter,
    limit_bytes: usize,
    /// Bytes read: the current element, or the part of it that is kept, and the bytes after it.
    buffer: Vec<u8>,
    /// Bytes of the buffer that the splitter has processed.
    scanned: usize,
    /// Whether the current element starts at the start of the buffer and needed more than one read.
    spans: bool,
    position: Position,
    /// Whether a byte order mark may follow.
    mark: bool,
    name: Place,
    /// Set while an element is being read. Stays set after an error, or after a read that was dropped.
    busy: bool,
}

impl<R: AsyncRead + Send + Unpin> JsonReader<R> {
    /// Reads from `reader`, whose first byte is at `start`: the beginning of the data (in an array, after its `[`) if
    /// `is_beginning`, or else the beginning of an element, or a position returned by [`RawRecord::next`] or
    /// [`JsonReader::position`].
    #[must_use]
    pub fn new(reader: R, shape: Shape, start: Position, is_beginning: bool) -> Self {
        Self::with_limit(reader, shape, start, is_beginning, ELEMENT_LIMIT_BYTES)
    }

    pub(super) fn with_limit(reader: R, shape: Shape, start: Position, is_beginning: bool, limit_bytes: usize) -> Self {
        Self {
            inner: reader,
            splitter: Splitter::new(shape, start, is_beginning),
            limit_bytes,
            buffer: Vec::new(),
            scanned: 0,
            spans: false,
            position: start,
            mark: start.byte == 0,
            name: Place::default(),
            busy: false,
        }
    }

    /// Sets the object and entry for errors.
    #[must_use]
    pub fn called(mut self, name: &Place) -> Self {
        self.name = name.clone();
        self
    }

    /// Reads the next element; returns `None` at the end.
    ///
    /// Not safe to cancel: if the future is dropped before it is ready, every later call returns
    /// [`ReadError::UsedAfterError`], because part of an element may be lost. So does every call after an error.
    ///
    /// # Errors
    /// Bytes that JSON does not allow between elements; an end of the input within an element or an array; a second
    /// list of objects in the objects around an array; the errors of the underlying reader.
    pub async fn next(&mut self) -> Result<Option<RawRecord<'_>>, ReadError> {
        if mem::replace(&mut self.busy, true) {
            return Err(ReadError::UsedAfterError);
        }
        let found = self.find().await.map_err(|error| error.called(&self.name))?;
        self.busy = false;
        let Some(Element { first, end, next }) = found else {
            self.position = self.splitter.position();
            return Ok(None);
        };
        self.position = next;
        let length = usize::try_from(end - first.byte).unwrap_or(usize::MAX);
        let begins = if mem::take(&mut self.spans) { 0 } else { self.scanned - self.seen_since(first) };
        let kept = self.buffer.split_at(begins).1;
        let text = kept.get(..length.min(self.limit_bytes)).unwrap_or(kept);
        let content = if length > self.limit_bytes { Content::TooLong } else { Content::Json(text) };
        Ok(Some(RawRecord { content, byte: first.byte, end, line: first.line, unclosed_quote: false, raw: text, next }))
    }

    /// Returns where the search for the next element starts: after the last returned element, or at the end of the
    /// data.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    #[cfg(test)]
    pub(super) fn buffer_capacity(&self) -> usize {
        self.buffer.capacity()
    }

    async fn find(&mut self) -> Result<Option<Element>, ReadError> {
        if self.mark {
            self.skip_mark().await?;
        }
        loop {
            let (taken, element) = self.splitter.advance(self.buffer.split_at(self.scanned).1)?;
            self.scanned += taken;
            if element.is_some() {
                return Ok(element);
            }
            self.forget();
            if self.read().await? == 0 {
                return self.splitter.finish();
            }
        }
    }

    async fn skip_mark(&mut self) -> Result<(), ReadError> {
        while self.buffer.len() < BOM.len() && self.read().await? > 0 {}
        if self.buffer.starts_with(BOM) {
            self.scanned = BOM.len();
            self.splitter.skip_mark(BOM);
        }
        self.mark = false;
        Ok(())
    }

    /// Drops the bytes before the current element, and keeps of that element no more than the limit.
    fn forget(&mut self) {
        match self.splitter.open() {
            None => self.buffer.clear(),
            Some(_) if self.spans => {}
            Some(first) => {
                let done = self.buffer.len() - self.seen_since(first);
                self.buffer.drain(..done);
                self.spans = true;
            }
        }
        self.buffer.truncate(self.limit_bytes);
        self.scanned = self.buffer.len();
    }

    /// Returns the number of bytes that the splitter has processed since `first`.
    fn seen_since(&self, first: Position) -> usize {
        usize::try_from(self.splitter.position().byte - first.byte).unwrap_or(usize::MAX)
    }

    async fn read(&mut self) -> Result<usize, ReadError> {
        self.buffer.reserve(READ_BYTES);
        Ok((&mut self.inner).take(READ_BYTES as u64).read_buf(&mut self.buffer).await?)
    }
}

#[cfg(test)]
mod tests;
