//! Reads records of either format.

use tokio::io::AsyncRead;

use super::csv::{CsvOptions, CsvReader, RECORD_LIMIT_BYTES};
use super::error::{Place, ReadError};
use super::json::JsonReader;
use super::record::{Format, Position, RawRecord};

/// Reads CSV or JSON records one after the other.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a segment has one reader, and a box would add an indirection to each record"
)]
pub enum RecordReader<R> {
    /// CSV records of at most [`RECORD_LIMIT_BYTES`].
    Csv(CsvReader<R>),
    /// JSON elements of at most [`super::json::ELEMENT_LIMIT_BYTES`].
    Json(JsonReader<R>),
}

impl<R: AsyncRead + Send + Unpin> RecordReader<R> {
    /// Reads from `reader`, whose first byte is at `start`: the beginning of the data if `is_beginning`, or else the
    /// beginning of a record, or a position returned by [`RawRecord::next`] or [`RecordReader::position`].
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

    /// Sets the object and entry for errors.
    #[must_use]
    pub fn called(self, name: &Place) -> Self {
        match self {
            Self::Csv(reader) => Self::Csv(reader.called(name)),
            Self::Json(reader) => Self::Json(reader.called(name)),
        }
    }

    /// Reads the next record; returns `None` at the end. Not safe to cancel: see [`CsvReader::next`].
    ///
    /// # Errors
    /// The errors of [`CsvReader::next`] and [`JsonReader::next`].
    pub async fn next(&mut self) -> Result<Option<RawRecord<'_>>, ReadError> {
        match self {
            Self::Csv(reader) => reader.next().await,
            Self::Json(reader) => reader.next().await,
        }
    }

    /// Returns where the search for the next record starts: after the last returned record, or at the end of the data.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Csv(reader) => reader.position(),
            Self::Json(reader) => reader.position(),
        }
    }
}
