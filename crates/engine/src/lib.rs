//! One ingestion, from a source to acknowledged items and a report.
//!
//! ```text
//! source ─► plan ─► survey ─► blocks ─► merge ─► finalize: superseded, rejects, counts ─► write pass ─► report
//! ```
//!
//! | file | content |
//! | --- | --- |
//! | `engine`, `context`, [`Settings`], `reject_limit` | the engine, and what all its ingestions share |
//! | `outcome`, [`Report`], [`metrics`], `progress_event` | what an ingestion returns and reports |
//! | `error`, `failure` | why an ingestion stops, and how that is recorded |
//! | [`event`], [`queue`], [`local_queue`], [`consume`] | what brings work to a worker, and what goes back |
//! | [`claim`], `ingestion_id` | one version of an object at a time |
//! | [`machine`], [`progress`] | which unit of work is next, and how far each is; pure |
//! | `worker`, `work`, `checkpoint` | leases units, works on them, records progress |
//! | `stop_signal`, `clock` | when to stop; the time |
//! | `plan`, `segment`, `skipped`, `inspect`, [`choice`] | what is decided once for the whole source, layouts included |
//! | `survey`, `classify` | the first pass; whether a row is a valid record or a reject, for both passes |
//! | `block`, `block_head`, `entry`, `stamp` | what the survey stores, and in which bytes |
//! | `merge`, `finalize`, `merged` | the last record of each key, cancelled invoices; counts and rejects; their result |
//! | `write_pass`, `lists`, `superseded`, `cancelled` | the second pass, which puts; the results of the merge that it looks up |
//! | [`ledger`], `ledger_item`, `store`, [`spool`] | where all of that is stored |
//! | [`object`], `ahead` | reads an object of S3, ahead of its reader |
//! | [`check`] | the survey and the merge alone, for people |

mod ahead;
mod block;
mod block_head;
mod cancelled;
pub mod check;
mod checkpoint;
pub mod choice;
pub mod claim;
mod classify;
mod clock;
pub mod consume;
mod context;
mod engine;
mod entry;
mod error;
pub mod event;
mod failure;
mod finalize;
mod ingestion_id;
mod inspect;
pub mod ledger;
mod ledger_item;
mod lists;
pub mod local_queue;
pub mod machine;
mod merge;
mod merged;
pub mod metrics;
pub mod object;
mod outcome;
mod plan;
pub mod progress;
mod progress_event;
pub mod queue;
mod reject_limit;
mod report;
mod segment;
mod settings;
mod skipped;
pub mod spool;
mod stamp;
mod stop_signal;
mod store;
mod superseded;
mod survey;
mod work;
mod worker;
mod write_pass;

pub use choice::Choice;
pub use clock::now_ms;
pub use engine::Engine;
pub use error::Error;
pub use ingestion_id::ingestion_id;
pub use outcome::{Outcome, Worked};
pub use progress_event::{Observer, ProgressEvent};
pub use reject_limit::RejectLimit;
pub use report::Report;
pub use settings::Settings;
pub use stop_signal::StopSignal;
pub use store::WorkStore;
