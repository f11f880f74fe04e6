//! The integration tests, in one program, so that their shared code is compiled once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test may panic to fail"
)]

mod chaos;
mod described;
mod fault_proxy;
mod faults;
mod functions;
mod furniture;
mod ingest;
mod json;
mod layouts;
mod program;
mod query;
mod query_cli;
mod resume;
mod serve;
mod support;
