//! The query function: the read API behind API Gateway.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `TABLE` | the DynamoDB table |
//! | `CURSOR_KEY` | 32 bytes in base64 that cursors are encrypted with |
//! | `CURSOR_KEY_PREVIOUS` | the key before it, whose cursors are still taken; may be unset or empty |

use std::env;
use std::process::ExitCode;

use lambda_http::Error;
use lambda_http::tower::ServiceExt;
use notaflux::query::{self, Api, CursorKeys, gateway};
use notaflux::{aws, logs, table::Table};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    logs::as_json();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the query function cannot run");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let (name, mut cursors) = (required("TABLE")?, CursorKeys::from_base64(&required("CURSOR_KEY")?)?);
    if let Some(previous) = env::var("CURSOR_KEY_PREVIOUS").ok().filter(|key| !key.is_empty()) {
        cursors = cursors.or_previous(&CursorKeys::from_base64(&previous)?);
    }
    let table = Table::open_to_read(aws::dynamodb_reader(&aws::config().await), name).await?;
    let router = query::router(Api::new(table, cursors));
    lambda_http::run(router.map_request(gateway::without_stage)).await
}

fn required(name: &str) -> Result<String, Error> {
    env::var(name).map_err(|_| format!("the environment variable {name} must be set").into())
}
