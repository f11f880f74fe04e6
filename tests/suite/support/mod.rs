//! Shared code of the integration tests.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "test support"
)]

pub mod api;
pub mod cloud;
pub mod http;
pub mod place;
pub mod process;
pub mod proxy;
pub mod rows;
pub mod runtime_api;
