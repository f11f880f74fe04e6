//! The two Lambda functions: each reads its environment, composes, and runs.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`ingest`] | the ingest function |
//! | [`query`] | the query function |
//! | [`secret`] | the cursor keys in Secrets Manager |

pub mod ingest;
pub mod query;
pub mod secret;
