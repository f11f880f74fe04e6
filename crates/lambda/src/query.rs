//! The query function: the read API behind API Gateway.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `TABLE` | the DynamoDB table |
//! | `SHARDS` | shards of the table, where it does not record them yet; 8 if unset |
//! | `CURSOR_SECRET` | name or ARN of the secret that the key of cursors is made of, with the version before it |
//! | `CURSOR_KEY` | instead of a secret: 32 bytes in base64 that cursors are encrypted with |
//! | `CURSOR_KEY_PREVIOUS` | the key before it, whose cursors are still taken; may be unset or empty |
//! | `CORS_ORIGINS` | origins whose pages may read the answers, with commas between them, or `*`; none if unset |

use std::env;
use std::process::ExitCode;

use crate::gateway;
use crate::secret;
use aws_config::SdkConfig;
use lambda_http::Error;
use lambda_http::tower::ServiceExt;
use notaflux_api::{Api, Cors, CursorKeys};
use notaflux_aws as aws;
use notaflux_logs as logs;
use notaflux_table::Table;
use notaflux_table::schema::{SHARDS, parse_shards};

/// Runs the function until its environment ends.
///
/// # Panics
/// If the runtime cannot start.
#[must_use]
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> ExitCode {
    logs::as_json();
    match Box::pin(run()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the query function cannot run");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let name = required("TABLE")?;
    let shards = match set("SHARDS") {
        Some(text) => parse_shards(&text).ok_or_else(|| format!("SHARDS: {text:?} is not valid"))?,
        None => SHARDS,
    };
    let config = aws::config().await;
    let table = async { Ok(Table::open_sharded_to_read(aws::dynamodb_reader(&config), name, shards).await?) };
    let (table, cursors) = tokio::try_join!(table, cursor_keys(&config))?;
    let cors = set("CORS_ORIGINS").map_or(Ok(Cors::Off), |text| Cors::parse(&text))?;
    let api = Api { cors, ..Api::new(table, aws::s3_reader(&config), cursors) };
    let answered = notaflux_api::router(api).map_request(gateway::to_router_request).map_response(gateway::GatewayAnswer);
    lambda_http::run(answered).await
}

async fn cursor_keys(config: &SdkConfig) -> Result<CursorKeys, Error> {
    if let Some(id) = set("CURSOR_SECRET") {
        return Ok(secret::cursor_keys(&secret::client(config), &id).await?);
    }
    let key = set("CURSOR_KEY").ok_or("the environment variable CURSOR_SECRET or CURSOR_KEY must be set")?;
    let keys = CursorKeys::from_base64(&key)?;
    Ok(match set("CURSOR_KEY_PREVIOUS") {
        Some(previous) => keys.or_previous(&CursorKeys::from_base64(&previous)?),
        None => keys,
    })
}

fn required(name: &str) -> Result<String, Error> {
    set(name).ok_or_else(|| format!("the environment variable {name} must be set").into())
}

/// The value of a variable; an empty one is as good as none.
fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
