//! The two Lambda functions. Each one reads its environment variables, builds its clients and runs.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`ingest`] | the ingest function |
//! | [`query`] | the query function |
//! | `gateway` | converts requests and answers between API Gateway and the router |
//! | `secret` | reads the cursor keys from Secrets Manager |
//! | `environment` | reads environment variables |

mod environment;
mod gateway;
pub mod ingest;
pub mod query;
mod secret;
