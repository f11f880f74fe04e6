//! The query function: the read API for API Gateway.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `TABLE` | the DynamoDB table |
//! | `SHARDS` | shards of the table, used until the table records them; 8 if unset |
//! | `CURSOR_SECRET` | name or ARN of the secret of the cursor key; its previous version is accepted too |
//! | `CURSOR_KEY` | 32 bytes in Base64 that encrypt cursors; used instead of a secret |
//! | `CURSOR_KEY_PREVIOUS` | the previous key, whose cursors are still accepted; may be unset or empty |
//! | `CORS_ORIGINS` | origins whose pages may read the answers, separated by commas, or `*`; none if unset |

use std::process::ExitCode;

use aws_config::SdkConfig;
use lambda_http::Error;
use lambda_http::tower::ServiceExt;
use notaflux_api::{Api, Cors, CursorKeys};
use notaflux_aws as aws;
use notaflux_logs as logs;
use notaflux_table::Table;
use notaflux_table::schema::{SHARDS, parse_shards};

use crate::environment::{optional, parsed, required};
use crate::gateway;
use crate::secret;

/// Runs the function until Lambda ends its process.
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
    let shards =
        parsed("SHARDS", |text| parse_shards(text).ok_or("expected a number from 1 to 256"))?.unwrap_or(SHARDS);
    let config = aws::config().await;
    let table = async { Ok(Table::open_sharded_to_read(aws::dynamodb_reader(&config), name, shards).await?) };
    let (table, cursors) = tokio::try_join!(table, cursor_keys(&config))?;
    let cors = parsed("CORS_ORIGINS", Cors::parse)?.unwrap_or(Cors::Off);
    let api = Api { cors, ..Api::new(table, aws::s3_reader(&config), cursors) };
    let answered =
        notaflux_api::router(api).map_request(gateway::to_router_request).map_response(gateway::GatewayAnswer);
    lambda_http::run(answered).await
}

async fn cursor_keys(config: &SdkConfig) -> Result<CursorKeys, Error> {
    if let Some(id) = optional("CURSOR_SECRET")? {
        return Ok(secret::cursor_keys(&secret::client(config), &id).await?);
    }
    let key = optional("CURSOR_KEY")?.ok_or("the environment variable CURSOR_SECRET or CURSOR_KEY must be set")?;
    let keys = CursorKeys::from_base64(&key)?;
    Ok(match optional("CURSOR_KEY_PREVIOUS")? {
        Some(previous) => keys.or_previous(&CursorKeys::from_base64(&previous)?),
        None => keys,
    })
}
