//! JSON elements with exact positions and a limit on their length; detects where the elements of a JSON entry are.
//!
//! ```text
//! AsyncRead ─► JsonReader (holds, limits) ─► RawRecord
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
