//! Puts into the table: batches, the ceiling in write units, calls, retries. Knows nothing of files.
//!
//! ```text
//! item ─► Batch ─► ConcurrencyLimit ─► RateController ─► Ceiling ─► LeaseGuard ─► BatchWriteItem ─► acknowledged
//!                    ▲                                          │
//!                    └──────────────── Backoff ◄────────────────┘ leftovers, throttles, 5xx, broken connections
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`batch`] | items as the body of the call that puts them, up to what one call takes |
//! | [`group`] | batches whose bodies are hashed together |
//! | [`concurrency`] | how many calls are in flight at once |
//! | [`rate`] | how many write units a second the table takes |
//! | [`lease_guard`] | until when a writer may send |
//! | [`ceiling`] | the write units a second that are never exceeded |
//! | [`call`] | one `BatchWriteItem` call and what its answer means |
//! | [`wire`] | how it is signed and sent |
//! | [`cancellation`] | an event's update of an invoice that is there already |
//! | [`writer`] | a batch until every item of it is acknowledged |

pub mod batch;
pub mod call;
pub mod cancellation;
pub mod ceiling;
pub mod concurrency;
pub mod group;
pub mod lease_guard;
pub mod rate;
mod signature;
pub mod wire;
pub mod writer;

pub use batch::{Batch, BatchBuilder, Body};
pub use call::WriteError;
pub use cancellation::Cancellation;
pub use ceiling::Ceiling;
pub use concurrency::ConcurrencyLimit;
pub use group::hashed;
pub use lease_guard::LeaseGuard;
pub use rate::RateController;
pub use wire::Wire;
pub use writer::{Limits, Tally, Writer};
