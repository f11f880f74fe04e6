//! Reads the bytes of an S3 object with ranged GETs. When a body breaks off, the next GET resumes after its last byte.
//!
//! Several GETs at once read a long range (`ahead`). S3 sends the checksum of an object only with the whole object, so
//! the SDK compares it only if one GET covers the object: up to one part of 4 MiB. For longer objects nothing compares
//! a checksum here. But each GET asks for the planned version, checks that the answer has it, and must return every
//! byte of its range.

use std::future::Future;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, TryFutureExt};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use tokio::time;

use super::ahead::{Ahead, Clock, Limits};
use notaflux_aws::Fault;
use notaflux_aws::backoff::Backoff;
use notaflux_records::error::BoxError;
use notaflux_records::source::{Identity, Origin, Source};
use notaflux_records::{Place, ReadError};

/// Name of the object metadata that names a layout.
const LAYOUT_METADATA: &str = "layout";

/// How long to wait and to retry.
#[derive(Debug, Clone, Copy)]
struct ReadRetry {
    /// Delays between retries.
    backoff: Backoff,
    /// Time without a single new byte after which reading gives up. Each part has its own count, which runs only while
    /// the reader waits for the part.
    give_up_after: Duration,
    /// Time to the first byte of an answer, and between two chunks of a body, after which the request counts as broken.
    /// Counted in the same way.
    idle_limit: Duration,
}

impl Default for ReadRetry {
    /// The first delay is up to 100 ms. Delays double up to 20 s, the cap of the AWS SDKs. Reading gives up after 5
    /// minutes without progress, a third of the longest run of a Lambda function. 30 s of silence are many times what
    /// S3 needs to the first byte.
    fn default() -> Self {
        Self {
            backoff: Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(20) },
            give_up_after: Duration::from_mins(5),
            idle_limit: Duration::from_secs(30),
        }
    }
}

/// Opens an S3 object in the given version, or in its newest version.
///
/// # Errors
/// No such bucket, key or version; access denied; wrong credentials; a service that cannot be reached.
pub async fn open(
    client: Client,
    bucket: impl Into<String>,
    key: impl Into<String>,
    version_id: Option<String>,
) -> Result<Source, ReadError> {
    open_with(client, bucket.into(), key.into(), version_id, ReadRetry::default()).await
}

/// Does the same as [`open`], with the given time limits.
async fn open_with(
    client: Client,
    bucket: String,
    key: String,
    version_id: Option<String>,
    retry: ReadRetry,
) -> Result<Source, ReadError> {
    let object = ObjectSource::find(client, bucket, key, version_id, retry).await?;
    Ok(Source::from_origin(Arc::clone(&object.identity), Arc::new(object)))
}

/// One version of an S3 object.
#[derive(Debug, Clone)]
struct ObjectSource {
    client: Client,
    identity: Arc<Identity>,
    bucket: Arc<str>,
    key: Arc<str>,
    retry: ReadRetry,
}

impl Origin for ObjectSource {
    fn newest(&self) -> BoxFuture<'_, Result<Identity, ReadError>> {
        let (client, retry) = (self.client.clone(), self.retry);
        let found = Self::find(client, self.bucket.to_string(), self.key.to_string(), None, retry);
        found.map_ok(|newest| Identity::clone(&newest.identity)).boxed()
    }

    fn stream(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, ReadError>> {
        self.stream_within(range, Limits::default()).boxed()
    }
}

impl ObjectSource {
    async fn find(
        client: Client,
        bucket: String,
        key: String,
        version_id: Option<String>,
        retry: ReadRetry,
    ) -> Result<Self, ReadError> {
        let asked =
            Identity { bucket: Some(bucket.clone()), key: Some(key.clone()), version_id, ..Identity::default() };
        let (bucket, key) = (bucket.into(), key.into());
        let mut object = Self { client, identity: Arc::new(asked), bucket, key, retry };
        object.identity = Arc::new(persist(retry, || object.head()).await?);
        Ok(object)
    }

    fn stream_within(
        &self,
        range: Range<u64>,
        limits: Limits,
    ) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static {
        let object = self.clone();
        Ahead::new(range, limits, move |part, clock| object.part(part, clock).boxed())
    }

    /// Streams a range from one GET after the other.
    fn part(&self, range: Range<u64>, clock: Clock) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + use<> {
        let stall = Stall::new(self.retry, clock);
        let reader = Reader { object: self.clone(), next: range.start, end: range.end, body: None, stall };
        stream::try_unfold(reader, |mut reader| async move {
            let chunk = reader.chunk().await?;
            Ok(chunk.map(|chunk| (chunk, reader)))
        })
    }

    async fn head(&self) -> Result<Identity, ReadError> {
        let request = self.client.head_object().bucket(&*self.bucket).key(&*self.key);
        let request = request.set_version_id(self.identity.version_id.clone()).customize();
        let sent = self.in_time(0, &Clock::start(), request.config_override(no_retries()).send()).await?;
        let head = match sent {
            Ok(head) => head,
            Err(error) => {
                // The answer to a HEAD has no body, so it cannot name the cause: a missing key or bucket, or what is
                // wrong with the signature or the credentials. A GET can.
                let error = self.failure(0, error);
                return Err(if error.is_permanent() { self.reason_of_get(error).await } else { error });
            }
        };
        let modified = head.last_modified.and_then(|time| jiff::Timestamp::from_nanosecond(time.as_nanos()).ok());
        let size_bytes = head.content_length.and_then(|length| u64::try_from(length).ok());
        let size_bytes = size_bytes.ok_or_else(|| self.refused("the answer to HeadObject has no content-length"))?;
        let version_id = head.version_id.or_else(|| self.identity.version_id.clone());
        let layout =
            head.metadata.and_then(|mut metadata| metadata.remove(LAYOUT_METADATA)).filter(|name| !name.is_empty());
        Ok(Identity { version_id, etag: head.e_tag, modified, size_bytes, layout, ..Identity::clone(&self.identity) })
    }

    /// Returns why a GET of the first byte fails, in place of the error of a HEAD.
    ///
    /// Where the GET succeeds (or finds the object empty), the reason for the refusal of the HEAD has passed: its
    /// signature or token had expired, for example, and the GET has a new one. Another HEAD may succeed then.
    async fn reason_of_get(&self, head: ReadError) -> ReadError {
        match self.get(0..1, &Clock::start()).await {
            Err(ReadError::Changed { .. }) | Ok(_) => self.broken(0, head),
            Err(error) => error,
        }
    }

    /// Returns a body that begins at `range.start`.
    async fn get(&self, range: Range<u64>, clock: &Clock) -> Result<ByteStream, ReadError> {
        let request = self.client.get_object().bucket(&*self.bucket).key(&*self.key);
        let request = request.set_version_id(self.identity.version_id.clone()).set_if_match(self.identity.etag.clone());
        let request = request.range(format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let request = request.customize().config_override(no_retries());
        let sent = self.in_time(range.start, clock, request.send()).await?;
        let answer = sent.map_err(|error| self.failure(range.start, error))?;
        self.check(&answer, range.start)?;
        Ok(answer.body)
    }

    /// Checks that the answer has the planned version and begins at `start`: not every server honors If-Match and
    /// Range.
    fn check(&self, answer: &GetObjectOutput, start: u64) -> Result<(), ReadError> {
        if let (Some(expected), Some(found)) = (&self.identity.etag, &answer.e_tag)
            && expected != found
        {
            return Err(self.changed(found));
        }
        let Some(range) = &answer.content_range else {
            return if start == 0 { Ok(()) } else { Err(self.refused("the service ignores the requested range")) };
        };
        let parsed = parse_content_range(range);
        let (first, total) = parsed
            .ok_or_else(|| self.refused(&format!("expected a content-range such as bytes 5-9/10, found {range:?}")))?;
        if first != start {
            return Err(self.refused(&format!("requested the bytes from {start} on, received content-range {range:?}")));
        }
        match total {
            Some(total) if self.identity.etag.is_some() && total != self.identity.size_bytes => {
                Err(self.changed(&format!("{total} bytes")))
            }
            _ => Ok(()),
        }
    }

    async fn in_time<T>(&self, byte: u64, clock: &Clock, request: impl Future<Output = T>) -> Result<T, ReadError> {
        let mut request = pin!(request);
        let end = clock.now() + self.retry.idle_limit;
        loop {
            match time::timeout(end.saturating_sub(clock.now()), request.as_mut()).await {
                Ok(answer) => return Ok(answer),
                Err(source) if clock.now() >= end => return Err(self.broken(byte, source)),
                Err(_) => {}
            }
        }
    }

    fn place(&self, byte: u64) -> Place {
        Place::of(&self.identity).at_stored_byte(byte)
    }

    fn broken(&self, byte: u64, source: impl Into<BoxError>) -> ReadError {
        ReadError::Unavailable { place: Box::new(self.place(byte)), waited: Duration::ZERO, source: source.into() }
    }

    fn refused(&self, detail: &str) -> ReadError {
        ReadError::Refused { object: self.identity.to_string(), detail: detail.to_owned() }
    }

    fn changed(&self, found: &str) -> ReadError {
        let Identity { etag, size_bytes, .. } = &*self.identity;
        let expected = format!("{} of {size_bytes} bytes", etag.as_deref().unwrap_or("a version"));
        ReadError::Changed { object: self.identity.to_string(), expected, found: found.to_owned() }
    }

    fn failure<E>(&self, byte: u64, error: SdkError<E, HttpResponse>) -> ReadError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let object = self.identity.to_string();
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().unwrap_or_default();
        match (status, code) {
            (_, "NoSuchBucket") => return ReadError::NoBucket { bucket: self.bucket.to_string() },
            (_, "NoSuchVersion") => return ReadError::NotFound { object, what: "version" },
            (Some(404), _) => return ReadError::NotFound { object, what: "key" },
            (Some(412), _) => return self.changed("another version"),
            (Some(416), _) => return self.changed("a shorter version"),
            (_, "InvalidObjectState") => return self.refused("the object is in an archive tier: restore it first"),
            _ => {}
        }
        match (notaflux_aws::fault(&error), status) {
            (Fault::Throttled | Fault::Unavailable | Fault::ExpiredSignature | Fault::ExpiredToken, _) => {
                self.broken(byte, DisplayErrorContext(error).to_string())
            }
            (Fault::Credentials, _) => ReadError::Credentials { object, detail: detail(error) },
            (Fault::Refused, Some(401 | 403)) => {
                let remedy = "allow s3:GetObject on it (s3:GetObjectVersion where a version is named)";
                ReadError::Denied { object, detail: detail(error), remedy }
            }
            (Fault::Refused, Some(301 | 307 | 308)) => {
                self.refused(&format!("{}: the bucket is in another region", detail(error)))
            }
            (Fault::Refused, _) => self.refused(&detail(error)),
        }
    }
}

/// Describes an error: the code and message of the service, its status where the answer has neither, or what failed
/// before there was an answer.
fn detail<E>(error: SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default();
    match (error.raw_response(), error.message()) {
        (None, _) => DisplayErrorContext(error).to_string(),
        (Some(_), Some(message)) => format!("{code}: {message}"),
        (Some(response), None) if code.is_empty() => format!("HTTP {}", response.status().as_u16()),
        (Some(_), None) => code.to_owned(),
    }
}

fn no_retries() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::new().retry_config(RetryConfig::disabled())
}

/// Parses the first byte and the total of `bytes 5-9/10`. The total may be `*`, which gives none.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-')?.0.trim().parse().ok()?;
    let total = if total == "*" { None } else { Some(total.trim().parse().ok()?) };
    Some((first, total))
}

struct Reader {
    object: ObjectSource,
    next: u64,
    end: u64,
    body: Option<ByteStream>,
    stall: Stall,
}

impl Reader {
    async fn chunk(&mut self) -> Result<Option<Bytes>, ReadError> {
        while self.next < self.end {
            match self.step().await {
                Ok(chunk) if chunk.is_empty() => {}
                Ok(chunk) => {
                    self.stall.end();
                    self.next += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Err(error) => {
                    self.body = None;
                    self.stall.wait(error).await?;
                }
            }
        }
        self.finish().await?;
        Ok(None)
    }

    async fn step(&mut self) -> Result<Bytes, ReadError> {
        let clock = &self.stall.clock;
        let body = match &mut self.body {
            Some(body) => body,
            empty => empty.insert(self.object.get(self.next..self.end, clock).await?),
        };
        let chunk = self.object.in_time(self.next, clock, body.next()).await?;
        let chunk = chunk.ok_or_else(|| self.object.broken(self.next, "the body ended early"))?;
        let mut chunk = chunk.map_err(|error| self.object.broken(self.next, DisplayErrorContext(error).to_string()))?;
        // A server that ignores the end of a range returns more than the request asked for.
        let room = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        chunk.truncate(room);
        Ok(chunk)
    }

    /// Reads the end of the body: only there does the SDK report that the checksum of a whole object does not match.
    ///
    /// Any other failure after the last byte is ignored: every byte of the range has arrived.
    async fn finish(&mut self) -> Result<(), ReadError> {
        let Some(mut body) = self.body.take() else { return Ok(()) };
        let Ok(Some(Err(error))) = self.object.in_time(self.end, &self.stall.clock, body.next()).await else {
            return Ok(());
        };
        let found = DisplayErrorContext(error).to_string();
        if found.to_ascii_lowercase().contains("checksum") {
            return Err(ReadError::corrupt(self.object.place(self.end), "the checksum that S3 keeps", found));
        }
        Ok(())
    }
}

/// A period without progress, from its first failure to the next byte.
struct Stall {
    retry: ReadRetry,
    clock: Clock,
    since: Option<Duration>,
    attempt: u32,
}

impl Stall {
    fn new(retry: ReadRetry, clock: Clock) -> Self {
        Self { retry, clock, since: None, attempt: 0 }
    }

    /// Ends the period: a byte has arrived.
    fn end(&mut self) {
        (self.since, self.attempt) = (None, 0);
    }

    /// Sleeps before the next retry. Returns the error if it is permanent or the time for retries is over.
    async fn wait(&mut self, error: ReadError) -> Result<(), ReadError> {
        let now = self.clock.now();
        let elapsed = now.saturating_sub(*self.since.get_or_insert(now));
        match error {
            ReadError::Unavailable { place, source, .. } if elapsed >= self.retry.give_up_after => {
                Err(ReadError::Unavailable { place, waited: elapsed, source })
            }
            ReadError::Unavailable { place, source, .. } => {
                tracing::debug!(%place, cause = %source, attempt = self.attempt, "a read failed; retrying");
                time::sleep(self.retry.backoff.delay(self.attempt, fastrand::f64())).await;
                self.attempt = self.attempt.saturating_add(1);
                Ok(())
            }
            other => Err(other),
        }
    }
}

async fn persist<T, F>(retry: ReadRetry, mut request: impl FnMut() -> F) -> Result<T, ReadError>
where
    F: Future<Output = Result<T, ReadError>>,
{
    let mut stall = Stall::new(retry, Clock::start());
    loop {
        match request().await {
            Ok(answer) => return Ok(answer),
            Err(error) => stall.wait(error).await?,
        }
    }
}

#[cfg(test)]
mod tests;
