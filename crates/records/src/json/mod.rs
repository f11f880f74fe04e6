//! JSON elements with exact positions and a cap on their length, and what a JSON entry looks like.
//!
//! ```text
//! AsyncRead ─► JsonReader (keeps, caps) ─► RawRecord
//!                   │ bytes    ▲ bounds
//!                   ▼          │
//!                 Splitter ─► Lexer (strings, nesting)
//! ```

mod head;
mod lexer;
mod reader;
mod splitter;

pub use head::{Candidate, ELEMENTS_LIMIT, JsonHead, LEVELS_LIMIT, read_json_head};
pub use reader::{ELEMENT_LIMIT_BYTES, JsonReader};

/// The byte order mark of UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";
