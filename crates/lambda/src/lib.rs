//! The two Lambda functions: each reads its environment, composes, and runs.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`ingest`] | the ingest function |
//! | [`query`] | the query function |
//! | `gateway` | converts requests and answers between API Gateway and the router |
//! | [`secret`] | the cursor keys in Secrets Manager |

mod gateway;
pub mod ingest;
pub mod query;
pub mod secret;
