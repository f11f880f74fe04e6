//! The integration tests, in one program: what they have in common is compiled once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test that fails by panicking is a test that fails"
)]

mod chaos;
mod described;
mod fault_proxy;
mod faults;
mod functions;
mod ingest;
mod json;
mod layouts;
mod program;
mod query;
mod query_cli;
mod resume;
mod serve;
mod support;
