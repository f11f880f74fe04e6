//! Items: their JSON as it is sent, their size, and the write units of a put.
//!
//! | file | item |
//! | --- | --- |
//! | [`invoice`] | an invoice, with its keys in the indexes |
//! | `line` | a line |
//! | `event` | an event |
//! | `parts` | the parts that all items share |
//!
//! All items have these attributes:
//!
//! | attribute | type | holds |
//! | --- | --- | --- |
//! | `PK`, `SK` | S | see [`crate::keys`] |
//! | `src`, `rec` | S, N | id of the ingestion that wrote it, number of the record in its entry, from 1 |
//!
//! A put costs one write unit for each started KB, once for the table and once for each index. So names are short, and an item leaves
//! out what follows from its other attributes.

mod event;
pub mod invoice;
mod line;
mod parts;

pub use event::{encode_event, measure_event};
pub use invoice::{encode_invoice, measure_invoice};
pub use line::{encode_line, measure_line};
pub use parts::{Encoded, ITEM_LIMIT_BYTES, Measured, Refusal, SourceRef};
