//! The fields of a record that has quotes elsewhere than before and behind its fields.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use csv_async::{AsyncReader, AsyncReaderBuilder, ByteRecord, ErrorKind};
use memchr::memchr;
use tokio::io::{AsyncRead, ReadBuf};

use crate::record::{Fields, FieldsBuf};

/// Takes records apart, one by one. Those that are not regular are left to `csv-async`.
#[derive(Debug)]
pub(super) struct Unquoter {
    delimiter: u8,
    /// Made for the first record, and kept, since it takes as long to make as a hundred records to read.
    parser: Option<AsyncReader<Text>>,
    record: ByteRecord,
    fields: FieldsBuf,
    undoubled: Vec<u8>,
}

impl Unquoter {
    pub(super) fn new(delimiter: u8) -> Self {
        Self { delimiter, parser: None, record: ByteRecord::new(), fields: FieldsBuf::default(), undoubled: Vec::new() }
    }

    /// Copies the fields of a record, in which every quote is doubled, with every second quote left out. `fields` are then where
    /// they stand in the copy.
    pub(super) fn undouble(&mut self, record: &[u8], fields: &mut [Range<usize>]) {
        self.undoubled.clear();
        for field in fields {
            let mut rest = record.get(field.clone()).unwrap_or_default();
            let start = self.undoubled.len();
            while let Some(quote) = memchr(b'"', rest) {
                let (before, behind) = rest.split_at_checked(quote + 1).unwrap_or_default();
                self.undoubled.extend_from_slice(before);
                rest = behind.get(1..).unwrap_or_default();
            }
            self.undoubled.extend_from_slice(rest);
            *field = start..self.undoubled.len();
        }
    }

    /// The copy that was made last.
    pub(super) fn undoubled(&self) -> &[u8] {
        &self.undoubled
    }

    /// Takes apart a record that is not regular, given without its line end. Only the last one of an input may end `within_quotes`.
    ///
    /// # Errors
    /// None that is known of: whatever the parser says.
    pub(super) async fn take_apart(&mut self, record: &[u8], within_quotes: bool) -> io::Result<()> {
        let parser = self.parser.get_or_insert_with(|| {
            let mut builder = AsyncReaderBuilder::new();
            builder.delimiter(self.delimiter).flexible(true).has_headers(false);
            // A line feed before all, since it drops U+FEFF from the first bytes that it sees.
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

    /// The fields of the record that was taken apart last.
    pub(super) fn fields(&self) -> Fields<'_> {
        self.fields.as_fields()
    }
}

/// What the parser has still to read: never more than the record that is asked for.
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
        let rest = this.bytes.get(this.given..).unwrap_or_default();
        let length = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..length).unwrap_or_default());
        this.given += length;
        Poll::Ready(Ok(()))
    }
}
