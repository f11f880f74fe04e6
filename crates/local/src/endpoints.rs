//! The addresses of a running stack.

use serde::{Deserialize, Serialize};

/// The URLs of a running stack, each one `http://127.0.0.1:<port>`. Stored as JSON in the data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Id of the process that serves.
    pub pid: u32,
    /// S3 and DynamoDB on one port: the value for `AWS_ENDPOINT_URL`.
    pub aws: String,
    /// DynamoDB alone. A busy writer saves the way through the common port.
    pub dynamodb: String,
    /// The read API, if the process serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
}
