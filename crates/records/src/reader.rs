//! Records of either format.

use tokio::io::AsyncRead;

use super::csv::{CsvOptions, CsvReader, RECORD_LIMIT_BYTES};
use super::error::{Place, ReadError};
use super::json::JsonReader;
use super::record::{Format, Position, RawRecord};

/// Reads records one after the other, of CSV or of JSON.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one of a segment, and in a box each record would be a step further"
)]
pub enum RecordReader<R> {
    /// Of CSV, at most [`RECORD_LIMIT_BYTES`] each.
    Csv(CsvReader<R>),
    /// Of JSON, at most [`super::json::ELEMENT_LIMIT_BYTES`] each.
    Json(JsonReader<R>),
}

impl<R: AsyncRead + Send + Unpin> RecordReader<R> {
    /// Reads from `reader`, whose first byte stands at `start`: where the data of the entry begins if `is_beginning`, else
    /// where a record begins, or what [`RawRecord::next`] or [`RecordReader::position`] gave.
    #[must_use]
    pub fn new(reader: R, format: Format, start: Position, is_beginning: bool) -> Self {
        match format {
            Format::Csv { delimiter } => {
                let options = CsvOptions { delimiter, record_limit_bytes: RECORD_LIMIT_BYTES };
                Self::Csv(CsvReader::new(reader, options, start))
            }
            Format::Json(shape) => Self::Json(JsonReader::new(reader, shape, start, is_beginning)),
        }
    }

    /// Names object and entry for errors.
    #[must_use]
    pub fn called(self, name: &Place) -> Self {
        match self {
            Self::Csv(reader) => Self::Csv(reader.called(name)),
            Self::Json(reader) => Self::Json(reader.called(name)),
        }
    }

    /// The next record; none at the end. Not safe to cancel: see [`CsvReader::next`].
    ///
    /// # Errors
    /// As [`CsvReader::next`] and [`JsonReader::next`].
    pub async fn next(&mut self) -> Result<Option<RawRecord<'_>>, ReadError> {
        match self {
            Self::Csv(reader) => reader.next().await,
            Self::Json(reader) => reader.next().await,
        }
    }

    /// Where the next record's search begins: behind the last record given, or at the end behind all.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Csv(reader) => reader.position(),
            Self::Json(reader) => reader.position(),
        }
    }

    /// The reader it reads from, which is ahead of the records by up to a buffer.
    #[must_use]
    pub fn reader(&self) -> &R {
        match self {
            Self::Csv(reader) => reader.reader(),
            Self::Json(reader) => reader.reader(),
        }
    }
}
