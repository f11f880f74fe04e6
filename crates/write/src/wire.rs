//! `BatchWriteItem` on the wire: signed with a key of the day, sent by the SDK's own connector with its own pool.
//!
//! The SDK's client would build the same request: measured, what it does around signing and sending costs as much CPU as all the
//! rest of a call. Region, endpoint, credentials and TLS are those of the configuration, and errors are those of the SDK, so that
//! they are told and judged as of any other call.

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

use super::batch::Body;
use super::signature::{CONTENT_TYPE, DayKey, Endpoint, SignedAt, TARGET, authorization};
use notaflux_aws as aws;

/// How long before their end credentials are asked for anew, and how long those are kept that say no end: as the SDK does.
const RENEW_BEFORE: Duration = Duration::from_secs(10);
const KEPT_WITHOUT_END: Duration = Duration::from_mins(15);

/// Difference between two clocks that a signature does not outlive by much: `DynamoDB` takes 5 minutes.
const SKEW_LIMIT: Duration = Duration::from_mins(4);

/// Why a call has no good answer.
pub type CallError = SdkError<BatchWriteItemError, HttpResponse>;

/// What puts go through. Never tries again by itself: such retries would not see leftovers, and would pass the ceiling by.
#[derive(Debug)]
pub struct Wire {
    client: Client,
    connector: Connector,
    region: Option<String>,
    /// Where the service is, or why that is not known.
    endpoint: Result<Endpoint, String>,
    provider: Option<SharedCredentialsProvider>,
    /// Seconds by which the service's clock is taken to be ahead of this machine's: 0 unless it took no signature for that.
    skew_seconds: AtomicI64,
    /// Held while they are asked for, so that it is done once.
    known: Mutex<Option<Known>>,
}

/// Credentials, when others are to be asked for, and what was last signed with.
#[derive(Debug)]
struct Known {
    credentials: Credentials,
    renew_at: SystemTime,
    key: Option<DayKey>,
}

impl Known {
    fn new(credentials: Credentials, now: SystemTime) -> Self {
        let renew_at = credentials.expiry().map_or(now + KEPT_WITHOUT_END, |end| end - RENEW_BEFORE);
        Self { credentials, renew_at, key: None }
    }
}

impl Wire {
    /// By region, endpoint and credentials of `config`. What lacks is told by each call.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: aws::dynamodb_client(config),
            connector: aws::connector(),
            region: config.region().map(ToString::to_string),
            endpoint: endpoint(config),
            provider: config.credentials_provider(),
            skew_seconds: AtomicI64::new(0),
            known: Mutex::default(),
        }
    }

    /// The SDK's client for calls of other kinds, which does not try again either.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Sends `body` and gives the body of the answer.
    ///
    /// # Errors
    /// No region or credentials, no connection, no answer in time, and what the service answers instead.
    pub async fn send(&self, body: Body) -> Result<Bytes, CallError> {
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
                Err(refusal(response, body.into_bytes()))
            }
            Err(error) => Err(SdkError::response_error(error, response)),
        }
    }

    /// The signed request that sends `body`.
    ///
    /// # Errors
    /// No region or credentials.
    pub async fn request(&self, body: Body) -> Result<HttpRequest, CallError> {
        let endpoint = self.endpoint.as_ref().map_err(|why| SdkError::construction_failure(why.clone()))?;
        let region = self.region.as_deref().ok_or_else(|| SdkError::construction_failure("Missing Region"))?;
        let (credentials, key, at) = self.identity(region).await?;
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

    /// The time by the service's clock.
    fn now(&self) -> SystemTime {
        let seconds = self.skew_seconds.load(Ordering::Relaxed);
        let skew = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { SystemTime::now() - skew } else { SystemTime::now() + skew }
    }

    /// Takes the service's clock for right where an answer shows that it is far from what was taken for it.
    fn note_clock(&self, response: &HttpResponse) {
        let date = response.headers().get("date").and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        let Some(date) = date else { return };
        if DateTime::from(self.now()).secs().abs_diff(date.secs()) >= SKEW_LIMIT.as_secs() {
            self.skew_seconds.store(date.secs() - DateTime::from(SystemTime::now()).secs(), Ordering::Relaxed);
        }
    }

    /// What a request of now is signed with, and when that is. A key is derived once for each day and each credentials.
    async fn identity(&self, region: &str) -> Result<(Credentials, DayKey, SignedAt), CallError> {
        let mut known = self.known.lock().await;
        let Known { credentials, key, .. } = self.valid(&mut known).await?;
        let at = SignedAt::of(self.now());
        let at = at.ok_or_else(|| SdkError::construction_failure("the clock is beyond all dates"))?;
        let key = match key {
            Some(key) if key.is_of(&at) => key,
            key => key.insert(DayKey::new(credentials, &at, region)),
        };
        Ok((credentials.clone(), key.clone(), at))
    }

    /// Credentials that are valid now: those of before, as long as they are, also where no others are to be had.
    async fn valid<'k>(&self, known: &'k mut Option<Known>) -> Result<&'k mut Known, CallError> {
        let now = SystemTime::now();
        if known.as_ref().is_none_or(|known| now >= known.renew_at) {
            let is_valid = |known: &Known| known.credentials.expiry().is_some_and(|end| now < end);
            let provider = self.provider.as_ref();
            let provider = provider.ok_or_else(|| SdkError::construction_failure("no credentials provider"))?;
            match provider.provide_credentials().await {
                Ok(credentials) => *known = Some(Known::new(credentials, now)),
                Err(_) if known.as_ref().is_some_and(is_valid) => {}
                Err(error) => return Err(SdkError::construction_failure(error)),
            }
        }
        known.as_mut().ok_or_else(|| SdkError::construction_failure("no credentials"))
    }

    /// Forgets the credentials, so that the next call asks for them anew.
    pub async fn forget_credentials(&self) {
        *self.known.lock().await = None;
    }
}

/// What is configured as URL of the service: for it alone, or else for all (`AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL`, and
/// the like in the shared files), by the rules of the SDK.
fn configured_endpoint(config: &SdkConfig) -> Option<String> {
    let of_all = config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() {
        return of_all;
    }
    let key =
        ServiceConfigKey::builder().service_id("DynamoDB").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let of_service = config.service_config().zip(key.ok()).and_then(|(config, key)| config.load_config(key));
    of_service.or(of_all)
}

/// Where the service is: what is configured, or what the SDK's rules make of the region.
fn endpoint(config: &SdkConfig) -> Result<Endpoint, String> {
    let parameters = Params::builder()
        .set_region(config.region().map(ToString::to_string))
        .set_endpoint(configured_endpoint(config))
        .set_use_fips(config.use_fips())
        .set_use_dual_stack(config.use_dual_stack())
        .build()
        .map_err(|error| error.to_string())?;
    // It is a future for the sake of resolvers that ask somebody; this one does not.
    let endpoint = DefaultResolver::new().resolve_endpoint(&parameters).now_or_never();
    let endpoint = endpoint.ok_or("the SDK's rules for endpoints give none")?.map_err(|error| error.to_string())?;
    let url = endpoint.url().to_owned();
    Endpoint::new(&if url.ends_with('/') { url } else { url + "/" })
}

/// A header that no log shows.
fn secret(value: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What an error of the service says ("Error handling with DynamoDB" in the developer guide).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    #[serde(rename = "__type")]
    kind: Option<String>,
    message: Option<String>,
    #[serde(rename = "Message")]
    capital_message: Option<String>,
}

fn refusal(mut response: HttpResponse, body: Bytes) -> CallError {
    let said: Refusal = serde_json::from_slice(&body).unwrap_or_default();
    let header = response.headers().get("x-amzn-errortype").map(str::to_owned);
    let mut meta = ErrorMetadata::builder();
    if let Some(code) = header.or(said.kind).as_deref().map(code_of).filter(|code| !code.is_empty()) {
        meta = meta.code(code);
    }
    if let Some(message) = said.message.or(said.capital_message) {
        meta = meta.message(message);
    }
    *response.body_mut() = SdkBody::from(body);
    SdkError::service_error(BatchWriteItemError::generic(meta.build()), response)
}

/// `Code` of `namespace#Code:http://…`, as Smithy's JSON protocols have it.
fn code_of(kind: &str) -> &str {
    let kind = kind.split(':').next().unwrap_or(kind);
    kind.rsplit('#').next().unwrap_or(kind)
}

#[cfg(test)]
mod tests;
