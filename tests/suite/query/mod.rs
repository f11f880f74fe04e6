//! What the read API answers, against what the file says that was ingested: every list, walked to its end, also while the table
//! is being written; and cursors that are none.

mod cursors;
mod file;
mod oracle;
mod question;
mod walks;
mod while_writing;
