//! Puts into the table: batches, the ceiling in write units, calls, retries. Knows nothing of files.
//!
//! ```text
//! item ─► Batch ─► Ceiling ─► BatchWriteItem ─► acknowledged
//!                     ▲                │
//!                     └── Backoff ◄────┘ leftovers, throttles, 5xx, broken connections
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`batch`] | items as the JSON that goes over the wire, up to what one call takes |
//! | [`ceiling`] | the write units a second that are never exceeded |
//! | [`call`] | one `BatchWriteItem` call and what its answer means |
//! | [`writer`] | a batch until every item of it is acknowledged |

pub mod batch;
pub mod call;
pub mod ceiling;
pub mod writer;

pub use batch::{Batch, BatchBuilder};
pub use call::WriteError;
pub use ceiling::Ceiling;
pub use writer::{Tally, Writer};
