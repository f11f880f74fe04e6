//! The SDK's clients as this crate uses them, and what their errors mean.
//!
//! Only [`config`] reads the environment; the binaries call it once.

pub mod backoff;

use std::error::Error;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider, SharedHttpClient};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;

/// Longest wait for a connection: what the SDK's behavior of 2026-01-12 takes too, set here so that it stays.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);
/// Longest wait for the head of an answer. The slowest honest one is a batch on a busy embedded table.
pub const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest attempt of a read: two of them fit into the 30 s that API Gateway waits.
const READER_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);
/// Longest read with its retries, within the 30 s that API Gateway waits.
const READER_OPERATION_TIMEOUT: Duration = Duration::from_secs(25);
/// Attempts of a read, the first included (what the SDK takes as its standard, set here so that it stays).
const READER_ATTEMPTS: u32 = 3;

/// Attempts of a call of a worker, and the bound of the delay before its second one, which doubles up to 20 s: a minute in
/// all. The SDK would begin with 1 s; most faults of S3 and DynamoDB are over much sooner.
const WORKER_ATTEMPTS: u32 = 14;
const WORKER_FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest wait of a worker for the head of an answer. An embedded table of 13 GB takes half a minute to describe itself.
const WORKER_READ_TIMEOUT: Duration = Duration::from_mins(2);

/// The SDK's configuration from the environment, the shared files and the instance (`AWS_REGION`, `AWS_PROFILE`,
/// `AWS_ENDPOINT_URL` and the rest), with our HTTP client and time limits.
pub async fn config() -> SdkConfig {
    aws_config::defaults(behavior()).http_client(http_client()).timeout_config(timeouts()).load().await
}

/// Region that servers of our own are said to be in.
pub const EMBEDDED_REGION: &str = "us-east-1";

/// Access key id and secret that servers of our own take, by custom of local stacks.
pub const EMBEDDED_KEYS: (&str, &str) = ("test", "test");

/// A configuration for servers of our own at `endpoint_url`. Reads no environment.
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

/// What the name of an S3 object begins with.
pub const OBJECT_SCHEME: &str = "s3://";

/// Bucket and key of `s3://bucket/key`; none of a path.
#[must_use]
pub fn object_of(name: &str) -> Option<(&str, &str)> {
    let object = name.strip_prefix(OBJECT_SCHEME)?;
    Some(object.split_once('/').unwrap_or((object, "")))
}

/// A client for S3. Where an endpoint is configured, buckets are named in the path: servers other than AWS seldom
/// have a host name for each bucket. It keeps trying, but for the reading of sources, which has a loop of its own.
#[must_use]
pub fn s3_client(config: &SdkConfig) -> aws_sdk_s3::Client {
    let builder = aws_sdk_s3::config::Builder::from(config)
        .force_path_style(config.endpoint_url().is_some())
        .retry_config(worker_retries());
    aws_sdk_s3::Client::from_conf(builder.build())
}

/// A client for `DynamoDB` that tries once: for writes, whose retries are our own.
#[must_use]
pub fn dynamodb_client(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    let builder = aws_sdk_dynamodb::config::Builder::from(config).retry_config(RetryConfig::disabled());
    aws_sdk_dynamodb::Client::from_conf(builder.build())
}

/// A client for `DynamoDB` that retries as the SDK does, within the time that a gateway waits: for the read API.
#[must_use]
pub fn dynamodb_reader(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    let builder = aws_sdk_dynamodb::config::Builder::from(config);
    aws_sdk_dynamodb::Client::from_conf(
        builder.retry_config(reader_retries()).timeout_config(reader_timeouts()).build(),
    )
}

/// A client for S3 likewise: see [`s3_client`] for the rest.
#[must_use]
pub fn s3_reader(config: &SdkConfig) -> aws_sdk_s3::Client {
    let builder = aws_sdk_s3::config::Builder::from(config).force_path_style(config.endpoint_url().is_some());
    aws_sdk_s3::Client::from_conf(builder.retry_config(reader_retries()).timeout_config(reader_timeouts()).build())
}

/// Retries of a read that a client waits for: 3 attempts.
#[must_use]
pub fn reader_retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(READER_ATTEMPTS)
}

fn reader_timeouts() -> TimeoutConfig {
    let timeouts = timeouts().into_builder().operation_attempt_timeout(READER_ATTEMPT_TIMEOUT);
    timeouts.operation_timeout(READER_OPERATION_TIMEOUT).build()
}

/// A client for `DynamoDB` that keeps trying, for the ledger and for managing tables: nobody waits for it at the other end of
/// a gateway, and an ingestion should not end for a few bad answers.
#[must_use]
pub fn dynamodb_worker(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    let builder = aws_sdk_dynamodb::config::Builder::from(config)
        .retry_config(worker_retries())
        .timeout_config(timeouts().into_builder().read_timeout(WORKER_READ_TIMEOUT).build());
    aws_sdk_dynamodb::Client::from_conf(builder.build())
}

/// Retries of a call of a worker: 14 attempts, about a minute in all.
#[must_use]
pub fn worker_retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(WORKER_ATTEMPTS).with_initial_backoff(WORKER_FIRST_DELAY)
}

/// The SDK's behavior, pinned: another one is a change of its own.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(tls_provider()).build_https()
}

/// What carries requests that are signed elsewhere: as the clients' own, with a pool of its own.
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

/// What an error of the SDK means for what is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Too fast. Another try succeeds once there is room.
    Throttled,
    /// A broken connection, a timeout or a fault of the service. Another try may succeed.
    Unavailable,
    /// There are no credentials, or the service does not know them.
    Credentials,
    /// The service refuses this call and would refuse it again.
    Refused,
}

/// What an error means.
pub fn fault<E>(error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let (code, message) = (service.err().code(), service.err().message());
            fault_of_service(code.unwrap_or_default(), message.unwrap_or_default(), service.raw().status().as_u16())
        }
        _ if lacks_credentials(error) => Fault::Credentials,
        SdkError::ConstructionFailure(_) => Fault::Refused,
        _ if lacks_region(error) => Fault::Refused,
        _ => Fault::Unavailable,
    }
}

/// By the codes that the developer guides of `DynamoDB` ("Error handling") and S3 ("Error responses") list.
fn fault_of_service(code: &str, message: &str, status: u16) -> Fault {
    match code {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "Throttling"
        | "TooManyRequestsException"
        | "SlowDown" => Fault::Throttled,
        // Signed and then frozen or delayed for minutes: another try signs anew.
        "InvalidSignatureException" if message.contains("expired") || message.contains("not yet current") => {
            Fault::Unavailable
        }
        "RequestExpired" | "RequestTimeout" | "RequestTimeoutException" | "RequestTimeTooSkewed" => Fault::Unavailable,
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken" => Fault::Credentials,
        _ if status == 429 => Fault::Throttled,
        _ if status >= 500 || status == 408 => Fault::Unavailable,
        _ => Fault::Refused,
    }
}

/// Whether a call was not made because there are no credentials to sign it with.
pub fn lacks_credentials<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: Error + 'static,
{
    // The SDK gives no type for it: every message of its credential providers has the word.
    !matches!(error, SdkError::ServiceError(_)) && chain(error).any(|cause| cause.to_string().contains("credential"))
}

/// Whether a call was not made because no region is set; an SDK without one cannot tell where its endpoint is.
fn lacks_region<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: Error + 'static,
{
    !matches!(error, SdkError::ServiceError(_))
        && chain(error).any(|cause| cause.to_string().contains("Missing Region"))
}

/// Whether the same call would be refused again.
pub fn is_refusal<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata + Error + 'static,
{
    matches!(fault(error), Fault::Refused | Fault::Credentials)
}

/// An error in one line: the service's code and message, or what went wrong on the way, and what to do about it.
pub fn describe_error<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let root = || chain(error).last().map(ToString::to_string).unwrap_or_default();
    let told = match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            match (service.err().code(), service.err().message()) {
                (Some(code), Some(message)) => format!("{code}: {message}"),
                (Some(code), None) => format!("{code} (HTTP status {status})"),
                (None, Some(message)) => format!("HTTP status {status}: {message}"),
                (None, None) => format!("HTTP status {status}"),
            }
        }
        _ if lacks_credentials(error) => "there are no AWS credentials".to_owned(),
        _ if lacks_region(error) => "no AWS region is set".to_owned(),
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "no connection in time".to_owned(),
        SdkError::DispatchFailure(_) => format!("the connection failed: {}", root()),
        SdkError::ResponseError(_) => format!("the answer cannot be read: {}", root()),
        _ => format!("the call cannot be made: {}", root()),
    };
    match remedy(error) {
        Some(remedy) => format!("{told}; {remedy}"),
        None => told,
    }
}

fn remedy<E>(error: &SdkError<E, HttpResponse>) -> Option<&'static str>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match (fault(error), error) {
        (Fault::Credentials, _) => {
            Some("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to credentials that are valid")
        }
        _ if lacks_region(error) => Some("set AWS_REGION"),
        (_, SdkError::DispatchFailure(_) | SdkError::TimeoutError(_)) => {
            Some("check the network, AWS_REGION and AWS_ENDPOINT_URL")
        }
        _ => None,
    }
}

/// An error and its causes, outermost first.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::Client;

    use super::*;

    async fn failure(client: &Client) -> (Fault, String) {
        let error = client.list_tables().send().await.unwrap_err();
        (fault(&error), describe_error(&error))
    }

    /// A server that answers one request.
    async fn answering(status: &str, body: &str) -> SdkConfig {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let head = "content-type: application/x-amz-json-1.0\r\nconnection: close";
        let answer = format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 64 * 1024];
            assert_ne!(stream.read(&mut request).await.unwrap(), 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        embedded_config(&endpoint)
    }

    #[tokio::test]
    async fn nobody_listening_names_the_endpoint_variable() {
        let client = dynamodb_client(&embedded_config("http://127.0.0.1:1"));
        let (fault, message) = failure(&client).await;
        assert_eq!(fault, Fault::Unavailable);
        assert!(message.starts_with("the connection failed: "), "{message}");
        assert!(message.ends_with("; check the network, AWS_REGION and AWS_ENDPOINT_URL"), "{message}");
    }

    #[tokio::test]
    async fn no_credentials_says_which_variables() {
        let mut config = embedded_config("http://127.0.0.1:1").into_builder();
        config.set_credentials_provider(None);
        let (fault, message) = failure(&dynamodb_client(&config.build())).await;
        assert_eq!((fault, message.contains("AWS_ACCESS_KEY_ID")), (Fault::Credentials, true), "{message}");
    }

    #[tokio::test]
    async fn no_region_says_which_variable() {
        let credentials = Credentials::new("a", "b", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(behavior())
            .http_client(http_client())
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        let (fault, message) = failure(&dynamodb_client(&config.build())).await;
        assert_eq!((fault, message.as_str()), (Fault::Refused, "no AWS region is set; set AWS_REGION"));
    }

    #[tokio::test]
    async fn an_error_of_the_service_is_its_code_and_message() {
        let body = r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not authorized"}"#;
        let client = dynamodb_client(&answering("400 Bad Request", body).await);
        let (fault, message) = failure(&client).await;
        assert_eq!((fault, message.as_str()), (Fault::Refused, "AccessDeniedException: not authorized"));
    }

    #[test]
    fn every_code_has_one_meaning() {
        for (code, status, expected) in [
            ("ProvisionedThroughputExceededException", 400, Fault::Throttled),
            ("ThrottlingException", 400, Fault::Throttled),
            ("SlowDown", 503, Fault::Throttled),
            ("InternalServerError", 500, Fault::Unavailable),
            ("", 503, Fault::Unavailable),
            ("RequestTimeout", 400, Fault::Unavailable),
            ("UnrecognizedClientException", 400, Fault::Credentials),
            ("ExpiredToken", 400, Fault::Credentials),
            ("AccessDeniedException", 400, Fault::Refused),
            ("ResourceNotFoundException", 400, Fault::Refused),
            ("ValidationException", 400, Fault::Refused),
            ("", 400, Fault::Refused),
        ] {
            assert_eq!(fault_of_service(code, "", status), expected, "{code} {status}");
        }
        assert_eq!(fault_of_service("InvalidSignatureException", "Signature expired: 2026", 400), Fault::Unavailable);
        assert_eq!(fault_of_service("InvalidSignatureException", "does not match", 400), Fault::Credentials);
    }
}
