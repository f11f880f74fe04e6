//! CSV records with exact positions and a limit on their length.
//!
//! ```text
//! AsyncRead ─► Window (holds bytes) ─► Scanner (finds the end and the fields) ─► RawRecord
//!                                      └► Unquoter (fields that contain quotes) ┘
//! ```
//!
//! The fields of nearly all records are ranges of the text and are borrowed from it. If a quoted field contains quotes,
//! the fields are copied. If quotes stand elsewhere, or text follows a closing quote, `csv-async` parses the record.

mod header;
mod reader;
mod scanner;
mod unquote;
mod window;

pub use header::{Head, PREAMBLE_LINES, Top};
pub use reader::{CsvOptions, CsvReader, RECORD_LIMIT_BYTES};
