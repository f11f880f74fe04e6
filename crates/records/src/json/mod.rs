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

pub use head::{Candidate, JsonHead, read_json_head};
pub use reader::{ELEMENT_LIMIT_BYTES, JsonReader};
