//! Decodes items: the inverse of [`crate::item`].
//!
//! | file | what it decodes |
//! | --- | --- |
//! | `invoice` | an invoice |
//! | `line` | a line |
//! | `event` | an event |
//! | `fields` | the attributes of an item |

mod event;
mod fields;
mod invoice;
mod line;

pub use event::{StoredEvent, decode_event};
pub use fields::DecodeError;
pub use invoice::{StoredInvoice, decode_invoice};
pub(crate) use invoice::{StoredStatus, decode_status};
pub use line::{StoredLine, decode_line};
