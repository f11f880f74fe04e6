//! Bytes to raw records. Knows nothing of invoices.
//!
//! ```text
//! Source ─► Contents ─► DecodedReader ─┬► CsvReader ──┬► RawRecord
//! (ranges)  (entries)   (decompress)   └► JsonReader ─┘
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`source`] | one version of an object, read by ranges: a local file or an S3 object |
//! | `file`, `object` | the two kinds of source; the second resumes after a broken body |
//! | `ahead` | a long range in parts that are fetched at once, in order and within a bound of memory |
//! | [`container`] | what a source is, told from its bytes: plain, gzip, zstd or zip; its entries |
//! | `zip` | the directory of a zip, streamed |
//! | [`decode`] | the decoded bytes of an entry, with checksums and positions |
//! | `stored` | the stored bytes of an entry, counted; gathered for the decoders |
//! | [`record`] | what the formats share: positions, raw records |
//! | [`reader`] | records of either format |
//! | [`csv`] | CSV records with exact positions and a cap on their length |
//! | `header` | delimiter and header line of a CSV |
//! | [`json`] | JSON elements with exact positions and a cap on their length; what a JSON entry looks like |
//! | [`error`] | why reading stops, and whether it may be tried again |
//!
//! Memory is bounded by the constants of these files, whatever the size of the source, of a record or the ratio of
//! compression.

pub mod container;
pub mod csv;
pub mod decode;
pub mod error;
pub mod file;
mod header;
pub mod json;
pub mod reader;
pub mod record;
pub mod source;
mod stored;
#[cfg(test)]
mod testing;
mod zip;

pub use error::{Place, ReadError};
