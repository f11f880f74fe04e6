//! JSON elements, one after the other.

use std::mem;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::splitter::{Element, Splitter};
use crate::error::{Place, ReadError};
use crate::record::{BOM, Content, Position, RawRecord, Shape};

/// Bytes that an element may have. The largest NF-e, 990 items in 500 KB of XML, is under 3 MB
/// as indented JSON.
pub const ELEMENT_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Bytes read at once, as by the CSV reader.
const READ_BYTES: usize = 128 * 1024;

/// Reads elements one after the other. Of an element only its bounds are found: whether it is JSON, its parser says.
///
/// An element over [`ELEMENT_LIMIT_BYTES`] is given as [`Content::TooLong`], and reading goes on behind it. A byte order mark
/// at byte 0 is left out. Of lines, blank ones are no records, and spaces at both ends belong to none.
///
/// Memory is bounded by twice the sum of the limit and a buffer of 128 KiB.
#[derive(Debug)]
pub struct JsonReader<R> {
    inner: R,
    splitter: Splitter,
    limit_bytes: usize,
    /// What was read: the element in the making, or what of it is kept, and what comes behind.
    buffer: Vec<u8>,
    /// Bytes of the buffer that the splitter has seen.
    scanned: usize,
    /// Whether the element in the making begins where the buffer does, and has been read more than once for.
    spans: bool,
    position: Position,
    /// Whether a byte order mark may come.
    mark: bool,
    name: Place,
    /// Set while an element is being read, and left so by an error or by a read that was dropped.
    busy: bool,
}

impl<R: AsyncRead + Send + Unpin> JsonReader<R> {
    /// Reads from `reader`, whose first byte stands at `start`: where the data begins (of an array, behind its `[`) if
    /// `is_beginning`, else where an element begins, or what [`RawRecord::next`] or [`JsonReader::position`] gave.
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

    /// Names object and entry for errors.
    #[must_use]
    pub fn called(mut self, name: &Place) -> Self {
        self.name = name.clone();
        self
    }

    /// The next element; none at the end.
    ///
    /// Not safe to cancel: if the future is dropped before it is ready, every later call gives [`ReadError::UsedAfterError`], because
    /// part of an element may be lost. So does every call after an error.
    ///
    /// # Errors
    /// What JSON does not have between elements; an end within an element or before that of the array; a second list of
    /// objects in the objects that an array lies in; whatever the reader gives.
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
        let kept = self.buffer.get(begins..).unwrap_or_default();
        let text = kept.get(..length.min(self.limit_bytes)).unwrap_or(kept);
        let content = if length > self.limit_bytes { Content::TooLong } else { Content::Json(text) };
        Ok(Some(RawRecord { content, byte: first.byte, end, line: first.line, unclosed_quote: false, raw: text, next }))
    }

    /// Where the next element's search begins: behind the last one given, or at the end behind all.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The reader it reads from, which is ahead of the elements by up to a buffer.
    #[must_use]
    pub fn reader(&self) -> &R {
        &self.inner
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
            let (taken, element) = self.splitter.advance(self.buffer.get(self.scanned..).unwrap_or_default())?;
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

    /// Drops what is done with: all of the buffer but for the element in the making, of which no more than the limit is kept.
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

    /// Bytes that the splitter has seen from here on.
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
