//! Extracts the fields of records that have quotes elsewhere than around fields.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use csv_async::{AsyncReader, AsyncReaderBuilder, ByteRecord, ErrorKind};
use memchr::memchr;
use tokio::io::{AsyncRead, ReadBuf};

use crate::record::{Fields, FieldsBuf};

/// Extracts the fields of one record at a time. `csv-async` parses the records that are not regular.
#[derive(Debug)]
pub(super) struct Unquoter {
    delimiter: u8,
    /// Created for the first record and kept, since creating it costs as much as reading a hundred records.
    parser: Option<AsyncReader<Text>>,
    record: ByteRecord,
    fields: FieldsBuf,
    undoubled: Vec<u8>,
}

impl Unquoter {
    pub(super) fn new(delimiter: u8) -> Self {
        Self { delimiter, parser: None, record: ByteRecord::new(), fields: FieldsBuf::default(), undoubled: Vec::new() }
    }

    /// Copies the fields of a record in which every quote is doubled, and drops every second quote. Sets `fields` to
    /// the ranges in the copy.
    pub(super) fn undouble(&mut self, record: &[u8], fields: &mut [Range<usize>]) {
        self.undoubled.clear();
        for field in fields {
            let mut rest = record.split_at(field.end).0.split_at(field.start).1;
            let start = self.undoubled.len();
            while let Some(quote) = memchr(b'"', rest) {
                let (before, after) = rest.split_at(quote + 1);
                self.undoubled.extend_from_slice(before);
                rest = after.split_at(1).1;
            }
            self.undoubled.extend_from_slice(rest);
            *field = start..self.undoubled.len();
        }
    }

    /// Returns the last copy.
    pub(super) fn undoubled(&self) -> &[u8] {
        &self.undoubled
    }

    /// Parses a record that is not regular, without its line end. Only the last record of an input may end
    /// `within_quotes`.
    ///
    /// # Errors
    /// The errors of the parser. None is known for text in memory.
    pub(super) async fn parse_irregular(&mut self, record: &[u8], within_quotes: bool) -> io::Result<()> {
        let parser = self.parser.get_or_insert_with(|| {
            let mut builder = AsyncReaderBuilder::new();
            builder.delimiter(self.delimiter).flexible(true).has_headers(false);
            // Starts with a line feed, since the parser drops U+FEFF from the first bytes it reads.
            builder.create_reader(Text { bytes: b"\n".to_vec(), given: 0 })
        });
        parser.get_mut().add(record, if within_quotes { b"" } else { b"\n" });
        parser.read_byte_record(&mut self.record).await.map_err(|error| match error.into_kind() {
            ErrorKind::Io(error) => error,
            other => io::Error::other(format!("{other:?}")),
        })?;
        self.fields.set(self.record.iter());
        Ok(())
    }

    /// Returns the fields of the last parsed record.
    pub(super) fn fields(&self) -> Fields<'_> {
        self.fields.as_fields()
    }
}

/// The input of the parser: never more than the current record.
#[derive(Debug)]
struct Text {
    bytes: Vec<u8>,
    given: usize,
}

impl Text {
    fn add(&mut self, record: &[u8], line_end: &[u8]) {
        self.bytes.drain(..self.given);
        self.given = 0;
        self.bytes.extend_from_slice(record);
        self.bytes.extend_from_slice(line_end);
    }
}

impl AsyncRead for Text {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let rest = this.bytes.split_at(this.given).1;
        let length = rest.len().min(buf.remaining());
        buf.put_slice(rest.split_at(length).0);
        this.given += length;
        Poll::Ready(Ok(()))
    }
}
