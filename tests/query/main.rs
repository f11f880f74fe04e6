//! What the read API answers, against what the file says that was ingested: every list, walked to its end, also while the table
//! is being written; and cursors that are none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails by panicking is a test that fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod cursors;
mod file;
mod oracle;
mod question;
mod walks;
mod while_writing;
