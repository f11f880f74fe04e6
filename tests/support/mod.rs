//! What several test programs share: a proxy that injects faults between a client and the servers.
//!
//! - `plan`: which faults, how often; one line that replays them.
//! - `dynamodb`: what the proxy has to know of BatchWriteItem.
//! - `proxy`: the proxy itself.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed as it should")]

pub mod dynamodb;
pub mod plan;
pub mod proxy;
