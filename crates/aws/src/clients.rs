//! Clients of the AWS SDK for S3 and DynamoDB, with our retries and time limits.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;

/// Time limit for a connection. The SDK's behavior of 2026-01-12 has the same; we set it so that it does not change.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);
/// Time limit for the head of an answer. The slowest healthy answer is that to a batch on a busy embedded table.
pub const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// Time limit for one attempt of a read: two of them fit into the 30 s that API Gateway waits.
const READER_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);
/// Time limit for a read with its retries, within the 30 s that API Gateway waits.
const READER_OPERATION_TIMEOUT: Duration = Duration::from_secs(25);
/// Attempts of a read, including the first. The SDK's default is the same; we set it so that it does not change.
const READER_ATTEMPTS: u32 = 3;

/// Attempts of a worker's call. With the delays below they take about a minute in all.
const WORKER_ATTEMPTS: u32 = 14;
/// Bound of the delay before a worker's second attempt. It doubles up to 20 s. The SDK's default is 1 s, but most
/// faults of S3 and DynamoDB end much sooner.
const WORKER_FIRST_DELAY: Duration = Duration::from_millis(100);
/// Time limit of a worker for the head of an answer. An embedded table of 13 GB takes half a minute to describe itself.
const WORKER_READ_TIMEOUT: Duration = Duration::from_mins(2);

/// Region of our own servers.
pub const EMBEDDED_REGION: &str = "us-east-1";

/// Access key id and secret that our own servers accept. Local stacks use these by custom.
pub const EMBEDDED_KEYS: (&str, &str) = ("test", "test");

/// Loads the SDK's configuration from the environment, the shared files and the instance (`AWS_REGION`, `AWS_PROFILE`,
/// `AWS_ENDPOINT_URL` and others), and adds our HTTP client and time limits.
pub async fn config() -> SdkConfig {
    aws_config::defaults(behavior()).http_client(http_client()).timeout_config(timeouts()).load().await
}

/// Returns a configuration for our own servers at `endpoint_url`. Does not read the environment.
#[must_use]
pub fn embedded_config(endpoint_url: &str) -> SdkConfig {
    let (access_key, secret_key) = EMBEDDED_KEYS;
    let credentials = Credentials::new(access_key, secret_key, None, None, "embedded");
    SdkConfig::builder()
        .behavior_version(behavior())
        .http_client(http_client())
        .timeout_config(timeouts())
        .region(Region::from_static(EMBEDDED_REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint_url)
        .build()
}

/// Returns a client for S3 with a worker's retries. The reader of sources turns them off, because it has its own loop.
///
/// Where an endpoint is configured, URLs have the bucket in their path: few servers other than AWS have a host name for
/// each bucket.
#[must_use]
pub fn s3_client(config: &SdkConfig) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(s3_builder(config).retry_config(worker_retries()).build())
}

/// Returns a client for S3 with a reader's retries and time limits: for the read API. URLs are those of [`s3_client`].
#[must_use]
pub fn s3_reader(config: &SdkConfig) -> aws_sdk_s3::Client {
    let builder = s3_builder(config).retry_config(reader_retries()).timeout_config(reader_timeouts());
    aws_sdk_s3::Client::from_conf(builder.build())
}

fn s3_builder(config: &SdkConfig) -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::from(config).force_path_style(config.endpoint_url().is_some())
}

/// Returns a client for `DynamoDB` without retries: for writes, which have their own.
#[must_use]
pub fn dynamodb_client(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    let builder = aws_sdk_dynamodb::config::Builder::from(config).retry_config(RetryConfig::disabled());
    aws_sdk_dynamodb::Client::from_conf(builder.build())
}

/// Returns a client for `DynamoDB` with a reader's retries and time limits: for the read API.
#[must_use]
pub fn dynamodb_reader(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    let builder = aws_sdk_dynamodb::config::Builder::from(config);
    aws_sdk_dynamodb::Client::from_conf(
        builder.retry_config(reader_retries()).timeout_config(reader_timeouts()).build(),
    )
}

/// Returns a client for `DynamoDB` with a worker's retries: for the ledger and for managing tables. No gateway waits
/// for these calls, and a few bad answers should not end an ingestion.
#[must_use]
pub fn dynamodb_worker(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    let builder = aws_sdk_dynamodb::config::Builder::from(config)
        .retry_config(worker_retries())
        .timeout_config(timeouts().into_builder().read_timeout(WORKER_READ_TIMEOUT).build());
    aws_sdk_dynamodb::Client::from_conf(builder.build())
}

/// Returns the retries of a read that a client of the API waits for: 3 attempts.
#[must_use]
pub fn reader_retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(READER_ATTEMPTS)
}

fn reader_timeouts() -> TimeoutConfig {
    let timeouts = timeouts().into_builder().operation_attempt_timeout(READER_ATTEMPT_TIMEOUT);
    timeouts.operation_timeout(READER_OPERATION_TIMEOUT).build()
}

/// Returns the retries of a worker's call: 14 attempts, about a minute in all.
#[must_use]
pub fn worker_retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(WORKER_ATTEMPTS).with_initial_backoff(WORKER_FIRST_DELAY)
}

/// Pins the SDK's behavior, so that an update of the SDK does not change it.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(tls_provider()).build_https()
}

/// Returns a connector for requests that we sign ourselves. It is like the clients' own, but has its own pool.
#[must_use]
pub fn connector() -> Connector {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
    Connector::builder().connector_settings(settings).tls_provider(tls_provider()).build()
}

fn tls_provider() -> tls::Provider {
    tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build()
}
