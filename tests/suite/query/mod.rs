//! The answers of the read API, compared with the ingested file: every list up to its end, also while an ingestion
//! writes into the table, and invalid cursors.

mod cursors;
mod file;
mod oracle;
mod question;
mod walks;
mod while_writing;
