//! Writes to the table: batches, limits, calls and retries. Knows nothing of files.
//!
//! ```text
//! item ─► Batch ─► ConcurrencyLimit ─► RateController ─► Ceiling ─► LeaseGuard ─► BatchWriteItem ─► acknowledged
//!                    ▲                                                                   │
//!                    └───────────────────────── delay ◄──────────────────────────────────┘ unprocessed items, throttles,
//!                                                                                          5xx, broken connections
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`batch`] | items as the body of the call that puts them, up to the limits of one call |
//! | `group` | hashes the bodies of several batches together |
//! | `concurrency` | a limit on the calls in flight |
//! | `rate` | the write units a second that the table accepts |
//! | [`ceiling`] | the write units a second that are never exceeded |
//! | `lease_guard` | lets a writer send only while its lease is valid |
//! | `admission` | what every call waits for, and what its outcome changes |
//! | `retry` | the delays between attempts |
//! | `tally` | counters of what a writer has done |
//! | `call` | one `BatchWriteItem` call and the meaning of its answer |
//! | `wire`, `signature` | how the call is sent and signed |
//! | `error` | why writing stops |
//! | `writer` | puts a batch until every item is acknowledged |
//! | `cancellation` | updates an invoice that an event of another source cancels |

mod admission;
pub mod batch;
mod call;
mod cancellation;
pub mod ceiling;
mod concurrency;
mod error;
mod group;
mod lease_guard;
mod rate;
mod retry;
mod signature;
mod tally;
mod wire;
mod writer;

pub use admission::{Limits, OUTAGE_LIMIT};
pub use batch::{Batch, BatchBuilder};
pub use cancellation::Cancellation;
pub use ceiling::Ceiling;
pub use concurrency::ConcurrencyLimit;
pub use error::WriteError;
pub use group::hashed;
pub use lease_guard::LeaseGuard;
pub use rate::RateController;
pub use tally::Tally;
pub use wire::Wire;
pub use writer::Writer;
