//! Turns bytes into raw records. Knows nothing about invoices.
//!
//! ```text
//! Source ─► Contents ─► DecodedReader ─► EntryReader ─┬► CsvReader ──┬► RawRecord
//! (ranges)  (entries)   (decompress)     (UTF-16)      └► JsonReader ─┘
//! ```
//!
//! | file | responsibility |
//! | --- | --- |
//! | [`source`] | one version of an object, read by ranges; the trait that a store implements |
//! | [`mod@file`] | the source of a local file |
//! | [`container`] | detects plain, gzip, zstd or zip from the content, and lists the entries |
//! | `entry` | one stretch of data in a source, and how its bytes are stored |
//! | `zip` | reads the directory of a zip as a stream |
//! | `decode` | decodes the bytes of an entry, checks checksums and counts positions |
//! | `text` | the text of an entry: UTF-16 read as UTF-8, padding at the end left out |
//! | `stored` | the stored bytes of an entry, counted, and gathered for the decoders |
//! | [`record`] | what the formats share: positions and raw records |
//! | [`reader`] | reads the records of either format |
//! | [`csv`] | CSV records with exact positions and a limit on their length; delimiter and header line |
//! | [`json`] | JSON elements with exact positions and a limit on their length; detects where the elements are |
//! | [`error`] | why reading stops, and whether it can be retried |
//!
//! Constants in these files bound the memory, whatever the size of the source, of a record or the ratio of compression.

pub mod container;
pub mod csv;
mod decode;
mod entry;
pub mod error;
pub mod file;
pub mod json;
pub mod reader;
pub mod record;
pub mod source;
mod stored;
#[cfg(test)]
mod testing;
mod text;
mod zip;

pub use error::{Place, ReadError};
