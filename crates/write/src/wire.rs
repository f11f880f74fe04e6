//! Sends `BatchWriteItem` calls: signed with a key that is derived once a day, through the SDK's connector with a pool of its own.
//!
//! The SDK's client would build the same request. Measured, its work around signing and sending costs as much CPU as all the rest of
//! a call. Region, endpoint, credentials and TLS come from the configuration. Errors are those of the SDK, so that they are
//! described and classified like errors of any other call.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_sdk_dynamodb::error::{ErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemError;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::date_time::Format;
use aws_types::service_config::ServiceConfigKey;
use bytes::Bytes;
use futures::FutureExt as _;
use http::HeaderValue;
use http::header::InvalidHeaderValue;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::batch::Body;
use crate::signature::{CONTENT_TYPE, DayKey, Endpoint, SignedAt, TARGET, authorization};
use notaflux_aws as aws;

/// Refresh credentials this long before they expire, and keep credentials without an expiry this long: both as the SDK does.
const REFRESH_BEFORE: Duration = Duration::from_secs(10);
const KEPT_WITHOUT_EXPIRY: Duration = Duration::from_mins(15);

/// Least difference between two clocks that is corrected. `DynamoDB` accepts a difference of 5 minutes.
const SKEW_LIMIT: Duration = Duration::from_mins(4);

/// Why a call failed.
pub(crate) type CallError = SdkError<BatchWriteItemError, HttpResponse>;

/// Sends puts. Never retries by itself: such retries would not see unprocessed items, and would bypass the ceiling.
#[derive(Debug)]
pub struct Wire {
    client: Client,
    connector: Connector,
    region: Option<String>,
    /// The endpoint of the service, or why there is none.
    endpoint: Result<Endpoint, String>,
    provider: Option<SharedCredentialsProvider>,
    /// Seconds by which the service's clock is ahead of this machine's. 0 until an error answer shows a large difference.
    skew_seconds: AtomicI64,
    /// Locked while credentials are requested, so that only one call requests them.
    identity: Mutex<Option<Identity>>,
}

/// Credentials, when to refresh them, and the key that was derived last.
#[derive(Debug)]
struct Identity {
    credentials: Credentials,
    refresh_at: SystemTime,
    key: Option<DayKey>,
}

impl Identity {
    fn new(credentials: Credentials, now: SystemTime) -> Self {
        let refresh_at = credentials.expiry().map_or(now + KEPT_WITHOUT_EXPIRY, |end| end - REFRESH_BEFORE);
        Self { credentials, refresh_at, key: None }
    }
}

impl Wire {
    /// Creates a wire with the region, endpoint and credentials of `config`. If one is missing, each call fails with that reason.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: aws::dynamodb_client(config),
            connector: aws::connector(),
            region: config.region().map(ToString::to_string),
            endpoint: endpoint(config),
            provider: config.credentials_provider(),
            skew_seconds: AtomicI64::new(0),
            identity: Mutex::default(),
        }
    }

    /// Returns an SDK client for the writer's calls of other kinds. It does not retry either.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Sends `body` and returns the body of the answer.
    ///
    /// # Errors
    /// No region or credentials, no connection, no answer in time, and an error of the service.
    pub(crate) async fn send(&self, body: Body) -> Result<Bytes, CallError> {
        match tokio::time::timeout(aws::READ_TIMEOUT, self.exchange(body)).await {
            Ok(answered) => answered,
            Err(elapsed) => Err(SdkError::timeout_error(elapsed)),
        }
    }

    async fn exchange(&self, body: Body) -> Result<Bytes, CallError> {
        let request = self.request(body).await?;
        let mut response = self.connector.call(request).await.map_err(SdkError::dispatch_failure)?;
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        match ByteStream::new(body).collect().await {
            Ok(body) if response.status().is_success() => Ok(body.into_bytes()),
            Ok(body) => {
                self.note_clock(&response);
                Err(service_error(response, body.into_bytes()))
            }
            Err(error) => Err(SdkError::response_error(error, response)),
        }
    }

    /// Builds the signed request that sends `body`.
    ///
    /// # Errors
    /// No region or credentials.
    pub async fn request(&self, body: Body) -> Result<HttpRequest, CallError> {
        let endpoint = self.endpoint.as_ref().map_err(|why| SdkError::construction_failure(why.clone()))?;
        let region = self.region.as_deref().ok_or_else(|| SdkError::construction_failure("Missing Region"))?;
        let (credentials, key, at) = self.signing_identity(region).await?;
        let authorization = authorization((endpoint, region), (&credentials, &key), &at, &body.sha256);
        let mut request = http::Request::post(endpoint.url.clone())
            .header("content-type", CONTENT_TYPE)
            .header("x-amz-target", TARGET)
            .header("user-agent", concat!("notaflux/", env!("CARGO_PKG_VERSION")))
            .header("x-amz-date", at.as_str())
            .header("authorization", secret(&authorization).map_err(SdkError::construction_failure)?);
        if let Some(token) = credentials.session_token() {
            let token = secret(token).map_err(SdkError::construction_failure)?;
            request = request.header("x-amz-security-token", token);
        }
        let request = request.body(SdkBody::from(body.json)).map_err(SdkError::construction_failure)?;
        request.try_into().map_err(SdkError::construction_failure)
    }

    /// Returns the time by the service's clock.
    fn now(&self) -> SystemTime {
        let seconds = self.skew_seconds.load(Ordering::Relaxed);
        let skew = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { SystemTime::now() - skew } else { SystemTime::now() + skew }
    }

    /// Corrects the skew if the date of an answer is far from the time that was assumed. Ignores an answer without a readable date.
    fn note_clock(&self, response: &HttpResponse) {
        let date = response.headers().get("date").and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        let Some(date) = date else { return };
        if DateTime::from(self.now()).secs().abs_diff(date.secs()) >= SKEW_LIMIT.as_secs() {
            self.skew_seconds.store(date.secs() - DateTime::from(SystemTime::now()).secs(), Ordering::Relaxed);
        }
    }

    /// Returns what signs a request now, and the time. Derives one key for each day and credentials.
    async fn signing_identity(&self, region: &str) -> Result<(Credentials, DayKey, SignedAt), CallError> {
        let mut identity = self.identity.lock().await;
        let Identity { credentials, key, .. } = self.refreshed(&mut identity).await?;
        let at = SignedAt::of(self.now());
        let at = at.ok_or_else(|| {
            SdkError::construction_failure("the clock of this machine is after the year 9999; set it right")
        })?;
        let key = match key {
            Some(key) if key.is_of(&at) => key,
            key => key.insert(DayKey::new(credentials, &at, region)),
        };
        Ok((credentials.clone(), key.clone(), at))
    }

    /// Returns credentials that are valid now. Keeps the earlier ones while they are valid if the provider gives no others.
    async fn refreshed<'i>(&self, known: &'i mut Option<Identity>) -> Result<&'i mut Identity, CallError> {
        let now = SystemTime::now();
        if known.as_ref().is_none_or(|known| now >= known.refresh_at) {
            let is_valid = |known: &Identity| known.credentials.expiry().is_some_and(|end| now < end);
            let provider = self.provider.as_ref();
            let provider = provider.ok_or_else(|| SdkError::construction_failure("no credentials provider"))?;
            match provider.provide_credentials().await {
                Ok(credentials) => *known = Some(Identity::new(credentials, now)),
                Err(_) if known.as_ref().is_some_and(is_valid) => {}
                Err(error) => return Err(SdkError::construction_failure(error)),
            }
        }
        known.as_mut().ok_or_else(|| SdkError::construction_failure("no credentials"))
    }

    /// Forgets the credentials, so that the next call requests others.
    pub(crate) async fn forget_credentials(&self) {
        *self.identity.lock().await = None;
    }
}

/// Returns the URL that is configured for this service, or else for all services (`AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL`,
/// and their counterparts in the shared files), by the rules of the SDK.
fn configured_endpoint(config: &SdkConfig) -> Option<String> {
    let for_all = config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() {
        return for_all;
    }
    let for_service = config.service_config().and_then(|config| config.load_config(endpoint_key()));
    for_service.or(for_all)
}

#[expect(clippy::expect_used, reason = "the builder fails only where one of the three is missing")]
fn endpoint_key() -> ServiceConfigKey<'static> {
    let key = ServiceConfigKey::builder().service_id("DynamoDB").env("AWS_ENDPOINT_URL").profile("endpoint_url");
    key.build().expect("all three parts of the key are set")
}

/// Returns the endpoint of the service: the configured one, or else the one that the SDK's rules derive from the region.
fn endpoint(config: &SdkConfig) -> Result<Endpoint, String> {
    let parameters = Params::builder()
        .set_region(config.region().map(ToString::to_string))
        .set_endpoint(configured_endpoint(config))
        .set_use_fips(config.use_fips())
        .set_use_dual_stack(config.use_dual_stack())
        .build()
        .map_err(|error| error.to_string())?;
    // The trait returns a future for resolvers that make a call; this one makes none, so the future is ready.
    let endpoint = DefaultResolver::new().resolve_endpoint(&parameters).now_or_never();
    let endpoint = endpoint.ok_or("the SDK's rules for endpoints give none")?.map_err(|error| error.to_string())?;
    let url = endpoint.url().to_owned();
    Endpoint::new(&if url.ends_with('/') { url } else { url + "/" })
}

/// Returns a header value that no log shows.
fn secret(value: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The body of an error answer ("Error handling with DynamoDB" in the developer guide).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    #[serde(rename = "__type")]
    kind: Option<String>,
    message: Option<String>,
    #[serde(rename = "Message")]
    capital_message: Option<String>,
}

fn service_error(mut response: HttpResponse, body: Bytes) -> CallError {
    // A proxy answers with other bodies, such as HTML. Then the HTTP status alone describes the error.
    let error: ErrorBody = serde_json::from_slice(&body).unwrap_or_default();
    let header = response.headers().get("x-amzn-errortype").map(str::to_owned);
    let mut meta = ErrorMetadata::builder();
    if let Some(code) = header.or(error.kind).as_deref().map(code_of).filter(|code| !code.is_empty()) {
        meta = meta.code(code);
    }
    if let Some(message) = error.message.or(error.capital_message) {
        meta = meta.message(message);
    }
    *response.body_mut() = SdkBody::from(body);
    SdkError::service_error(BatchWriteItemError::generic(meta.build()), response)
}

/// Returns `Code` of `namespace#Code:http://…`, the form of Smithy's JSON protocols.
fn code_of(kind: &str) -> &str {
    let kind = kind.split(':').next().unwrap_or(kind);
    kind.rsplit('#').next().unwrap_or(kind)
}

#[cfg(test)]
mod tests;
