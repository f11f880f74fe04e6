#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic to fail")]

use std::collections::VecDeque;
use std::sync::Mutex;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use futures::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ETAG: &str = "\"abc\"";
const MODIFIED: &str = "Tue, 12 Nov 2019 13:01:52 GMT";

/// The server's reaction to one request.
#[derive(Clone, Debug)]
enum Act {
    /// Answers as S3 does, but closes the connection after this number of bytes of the body.
    Cut(usize),
    /// Answers with this status and error code.
    Fail(u16, &'static str),
    /// Closes the connection without an answer.
    Close,
    /// Sends nothing more after this number of bytes of the body, and keeps the connection.
    Hang(usize),
    /// Ignores the range.
    Whole,
    /// Answers with another tag, as a server that ignores If-Match.
    OtherTag,
}

/// A server of one object that follows a script, then answers as S3 does.
struct Server {
    object: Vec<u8>,
    script: Mutex<VecDeque<Act>>,
    /// Reaction to ranges that start at or after this byte. It overrides the script.
    after: Option<(usize, Act)>,
    seen: Mutex<Vec<String>>,
}

impl Server {
    async fn start(object: Vec<u8>, script: impl IntoIterator<Item = Act>) -> (Arc<Self>, Client) {
        Self::start_with(object, script, None).await
    }

    async fn start_with(
        object: Vec<u8>,
        script: impl IntoIterator<Item = Act>,
        after: Option<(usize, Act)>,
    ) -> (Arc<Self>, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { object, script: Mutex::new(script.into_iter().collect()), after, seen: Mutex::default() };
        let server = Arc::new(server);
        let serving = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = Arc::clone(&serving);
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        (server, client(&url))
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let header =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()));
        let range = header("range:").map(|range| {
            let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let last: usize = last.parse().unwrap();
            first.parse::<usize>().unwrap()..self.object.len().min(last + 1)
        });
        let method = head.split(' ').next().unwrap().to_owned();
        let asked = range.as_ref().map_or(String::new(), |range| format!("{}-{}", range.start, range.end));
        let condition = header("if-match:").unwrap_or_default();
        self.seen.lock().unwrap().push(format!("{method} {asked} {condition}"));
        let after = self.after.as_ref().filter(|(at, _)| range.as_ref().is_some_and(|range| range.start >= *at));
        let scripted = || self.script.lock().unwrap().pop_front();
        let act = after.map(|(_, act)| act.clone()).or_else(scripted).unwrap_or(Act::Cut(usize::MAX));
        let answer = self.answer(&method, range, &act)?;
        let cut = if let Act::Cut(cut) | Act::Hang(cut) = act { cut } else { usize::MAX };
        let split = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        stream.write_all(&answer[..answer.len().min(split.saturating_add(cut))]).await.ok()?;
        if matches!(act, Act::Hang(_)) {
            std::future::pending::<()>().await;
        }
        stream.shutdown().await.ok()
    }

    fn answer(&self, method: &str, range: Option<Range<usize>>, act: &Act) -> Option<Vec<u8>> {
        let tag = if matches!(act, Act::OtherTag) { "\"other\"" } else { ETAG };
        let common = format!("etag: {tag}\r\nlast-modified: {MODIFIED}\r\nconnection: close\r\n");
        let total = self.object.len();
        let (status, extra, body) = match (act, range) {
            (Act::Close, _) => return None,
            (Act::Fail(status, code), _) => {
                let body = format!("<Error><Code>{code}</Code><Message>from the script</Message></Error>").into_bytes();
                (*status, String::new(), if method == "head" { Vec::new() } else { body })
            }
            (Act::Whole, _) | (_, None) => (200, String::new(), self.object.clone()),
            (_, Some(range)) => {
                let extra = format!("content-range: bytes {}-{}/{total}\r\n", range.start, range.end - 1);
                (206, extra, self.object[range].to_vec())
            }
        };
        let length = if method == "head" && status == 200 { total } else { body.len() };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{extra}{common}\r\n");
        Some([head.into_bytes(), if method == "head" { Vec::new() } else { body }].concat())
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn client(url: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(url)
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

fn hasty() -> ReadRetry {
    ReadRetry {
        backoff: Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(5) },
        give_up_after: Duration::from_secs(1),
        idle_limit: Duration::from_millis(200),
    }
}

/// Long limits, for tests in which a slow answer must not cause a retry.
fn patient() -> ReadRetry {
    ReadRetry { idle_limit: Duration::from_secs(20), give_up_after: Duration::from_mins(1), ..hasty() }
}

async fn find(client: Client) -> Result<Source, ReadError> {
    find_with(client, hasty()).await
}

async fn find_with(client: Client, retry: ReadRetry) -> Result<Source, ReadError> {
    open_with(client, "bucket".to_owned(), "a key+é.csv".to_owned(), None, retry).await
}

async fn all(source: &Source, range: Range<u64>) -> Result<Vec<u8>, ReadError> {
    let chunks: Vec<Bytes> = source.open(range).try_collect().await?;
    Ok(chunks.concat())
}

fn object(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[tokio::test]
async fn reading_resumes_where_a_body_broke_off() {
    let bytes = object(1000);
    let script =
        [Act::Cut(usize::MAX), Act::Cut(10), Act::Cut(0), Act::Close, Act::Fail(503, "SlowDown"), Act::Cut(333)];
    let (server, client) = Server::start(bytes.clone(), script).await;
    let source = find(client).await.unwrap();
    assert_eq!(source.len(), 1000);
    assert_eq!(all(&source, 0..1000).await.unwrap(), bytes);
    let expected = [
        "head  ",
        "get 0-1000 \"abc\"",
        "get 10-1000 \"abc\"",
        "get 10-1000 \"abc\"",
        "get 10-1000 \"abc\"",
        "get 10-1000 \"abc\"",
        "get 343-1000 \"abc\"",
    ];
    assert_eq!(server.seen(), expected);
}

#[tokio::test]
async fn a_body_may_break_off_at_every_byte() {
    let bytes = object(60);
    let cuts = std::iter::once(Act::Cut(usize::MAX)).chain(std::iter::repeat_n(Act::Cut(1), 59));
    let (server, client) = Server::start(bytes.clone(), cuts).await;
    let source = find(client).await.unwrap();
    assert_eq!(all(&source, 0..60).await.unwrap(), bytes);
    assert_eq!(server.seen().len(), 61);
}

#[tokio::test]
async fn only_the_bytes_of_a_range_are_read() {
    let bytes = object(5000);
    let (server, client) = Server::start(bytes.clone(), [Act::Cut(usize::MAX), Act::Cut(100)]).await;
    let source = find(client).await.unwrap();
    assert_eq!(all(&source, 1000..1500).await.unwrap(), bytes[1000..1500]);
    assert_eq!(all(&source, 4990..9000).await.unwrap(), bytes[4990..]);
    assert_eq!(all(&source, 7..7).await.unwrap(), b"");
    assert_eq!(server.seen()[1..], ["get 1000-1500 \"abc\"", "get 1100-1500 \"abc\"", "get 4990-5000 \"abc\""]);
}

#[tokio::test]
async fn the_identity_comes_from_the_head_request() {
    let (_server, client) = Server::start(object(7), []).await;
    let source = find(client).await.unwrap();
    let identity = source.identity();
    assert_eq!(source.to_string(), "s3://bucket/a key+é.csv");
    assert_eq!((identity.etag.as_deref(), identity.size_bytes), (Some(ETAG), 7));
    assert_eq!(identity.modified.unwrap().to_string(), "2019-11-12T13:01:52Z");
    let text = serde_json::to_string(identity).unwrap();
    assert_eq!(&serde_json::from_str::<Identity>(&text).unwrap(), identity);
}

#[tokio::test]
async fn a_changed_object_is_an_error() {
    for act in [Act::Fail(412, "PreconditionFailed"), Act::OtherTag, Act::Fail(416, "InvalidRange")] {
        let (_server, client) = Server::start(object(100), [Act::Cut(usize::MAX), Act::Cut(50), act]).await;
        let source = find(client).await.unwrap();
        let error = all(&source, 0..100).await.unwrap_err();
        assert!(matches!(&error, ReadError::Changed { .. }) && error.is_permanent(), "{error}");
        assert!(error.to_string().contains("changed while it was being read"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_an_error() {
    let (_server, client) = Server::start(object(100), [Act::Cut(usize::MAX), Act::Cut(50), Act::Whole]).await;
    let source = find(client).await.unwrap();
    assert!(matches!(all(&source, 0..100).await, Err(ReadError::Refused { .. })));
    let (_server, client) = Server::start(object(100), [Act::Cut(usize::MAX), Act::Whole]).await;
    let source = find(client).await.unwrap();
    assert_eq!(
        all(&source, 0..40).await.unwrap(),
        object(40),
        "from the start, the whole object is as good as a range"
    );
}

#[tokio::test]
async fn refusals_are_distinguished_and_not_retried() {
    type Is = fn(&ReadError) -> bool;
    let cases: [(u16, &'static str, Is); 7] = [
        (404, "NoSuchKey", |error| matches!(error, ReadError::NotFound { what: "key", .. })),
        (404, "NoSuchVersion", |error| matches!(error, ReadError::NotFound { what: "version", .. })),
        (404, "NoSuchBucket", |error| matches!(error, ReadError::NoBucket { .. })),
        (403, "AccessDenied", |error| matches!(error, ReadError::Denied { .. })),
        (403, "InvalidAccessKeyId", |error| matches!(error, ReadError::Credentials { .. })),
        (403, "SignatureDoesNotMatch", |error| matches!(error, ReadError::Credentials { .. })),
        (400, "InvalidArgument", |error| matches!(error, ReadError::Refused { .. })),
    ];
    for (status, code, is) in cases {
        let script = [Act::Fail(status, code), Act::Fail(status, code)];
        let (server, client) = Server::start(object(10), script).await;
        let error = find(client).await.unwrap_err();
        assert!(is(&error) && error.is_permanent(), "{code}: {error:?}");
        assert_eq!(server.seen().len(), 2, "{code}: one HEAD, and one GET for the cause");
        let (server, client) = Server::start(object(10), [Act::Cut(usize::MAX), Act::Fail(status, code)]).await;
        let error = all(&find(client).await.unwrap(), 0..10).await.unwrap_err();
        assert!(is(&error), "{code}: {error:?}");
        assert_eq!(server.seen().len(), 2, "{code}");
    }
}

/// A worker may be frozen between signing a request and sending it, and credentials may expire during an ingestion.
/// Another attempt signs again, with the credentials that the provider has by then.
#[tokio::test]
async fn expired_signatures_and_tokens_are_retried() {
    for (status, code) in [(403, "RequestTimeTooSkewed"), (403, "RequestExpired"), (400, "ExpiredToken")] {
        let expired = Act::Fail(status, code);
        let script = [
            vec![expired.clone(), expired.clone()],
            vec![expired.clone(), Act::Cut(usize::MAX), Act::Cut(usize::MAX)],
            vec![Act::Cut(usize::MAX), expired.clone(), Act::Cut(5), expired],
        ];
        for script in script {
            let (_server, client) = Server::start(object(10), script.clone()).await;
            let source = find(client).await.unwrap_or_else(|error| panic!("{script:?}: {error}"));
            assert_eq!(all(&source, 0..10).await.unwrap(), object(10), "{script:?}");
        }
    }
}

#[tokio::test]
async fn an_expired_token_is_an_error_after_the_last_retry() {
    let forever =
        std::iter::once(Act::Cut(usize::MAX)).chain(std::iter::repeat_n(Act::Fail(400, "ExpiredToken"), 9999));
    let (_server, client) = Server::start(object(10), forever).await;
    let error = all(&find(client).await.unwrap(), 0..10).await.unwrap_err();
    assert!(matches!(&error, ReadError::Unavailable { .. }) && !error.is_permanent(), "{error:?}");
    assert!(error.to_string().contains("ExpiredToken"), "{error}");
}

#[tokio::test]
async fn a_refused_head_is_retried_if_a_get_succeeds() {
    for (bytes, get) in [(10, Act::Cut(usize::MAX)), (0, Act::Fail(416, "InvalidRange"))] {
        let (server, client) = Server::start(object(bytes), [Act::Fail(403, ""), get]).await;
        assert_eq!(find(client).await.unwrap().len(), u64::try_from(bytes).unwrap());
        assert_eq!(server.seen().len(), 3, "HEAD, GET, HEAD");
    }
}

#[tokio::test]
async fn missing_credentials_are_an_error_about_credentials() {
    let (_server, client) = Server::start(object(10), []).await;
    let provider = aws_config::credential_process::CredentialProcessProvider::new("exit 1".to_owned());
    let config = client.config().to_builder().credentials_provider(provider).build();
    let error = find(Client::from_conf(config)).await.unwrap_err();
    assert!(matches!(&error, ReadError::Credentials { .. }), "{error:?}");
}

#[tokio::test]
async fn a_head_request_is_retried_and_reading_gives_up_in_time() {
    let (server, client) = Server::start(object(10), [Act::Fail(500, "InternalError"), Act::Close]).await;
    assert_eq!(find(client).await.unwrap().len(), 10);
    assert_eq!(server.seen().len(), 3);

    let forever = std::iter::once(Act::Cut(usize::MAX)).chain(std::iter::repeat_n(Act::Close, 100_000));
    let (_server, client) = Server::start(object(10), forever).await;
    let source = find(client).await.unwrap();
    let error = all(&source, 3..10).await.unwrap_err();
    let ReadError::Unavailable { place, waited, .. } = &error else { panic!("{error:?}") };
    assert!(*waited >= hasty().give_up_after && place.stored_byte == Some(3) && !error.is_permanent(), "{error}");
}

#[tokio::test]
async fn a_silent_body_counts_as_broken() {
    let (server, client) = Server::start(object(100), [Act::Cut(usize::MAX), Act::Hang(50)]).await;
    let source = find(client).await.unwrap();
    assert_eq!(all(&source, 0..100).await.unwrap(), object(100));
    assert_eq!(server.seen()[1..], ["get 0-100 \"abc\"", "get 50-100 \"abc\""]);
}

#[tokio::test]
async fn an_unreachable_service_is_not_permanent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = find(client(&url)).await.unwrap_err();
    assert!(matches!(&error, ReadError::Unavailable { .. }) && !error.is_permanent(), "{error:?}");
}

const PART: usize = 4 * 1024 * 1024;

#[tokio::test]
async fn a_long_range_is_read_in_parts() {
    let bytes = object(6 * PART + 5);
    let (server, client) = Server::start(bytes.clone(), []).await;
    let source = find_with(client, patient()).await.unwrap();
    assert!(all(&source, 3..source.len()).await.unwrap() == bytes[3..]);
    let mut asked = server.seen().split_off(1);
    asked.sort_unstable();
    let mut parts: Vec<String> =
        (3..bytes.len()).step_by(PART).map(|at| format!("get {at}-{} \"abc\"", bytes.len().min(at + PART))).collect();
    parts.sort_unstable();
    assert_eq!(asked, parts);
}

#[tokio::test]
async fn reading_a_beginning_takes_one_request() {
    let (server, client) = Server::start(object(3 * PART), []).await;
    let source = find_with(client, patient()).await.unwrap();
    let mut stream = source.open(0..source.len());
    let mut taken = 0;
    while taken < 256 * 1024 {
        taken += stream.try_next().await.unwrap().unwrap().len();
    }
    drop(stream);
    assert_eq!(server.seen(), ["head  ".to_owned(), format!("get 0-{PART} \"abc\"")]);
    assert_eq!(source.read(5..1000).await.unwrap(), object(1000)[5..]);
    assert_eq!(server.seen().len(), 3);
}

/// Limits with small parts, so that a short object has many.
fn small() -> Limits {
    Limits { part_bytes: 1000, parts: 4, growth_bytes: 250, held_bytes: 2500, block_bytes: 100, chunk_bytes: 1000 }
}

async fn all_by_parts(client: Client, retry: ReadRetry) -> Result<Vec<u8>, (usize, ReadError)> {
    let object = ObjectSource::find(client, "bucket".to_owned(), "key".to_owned(), None, retry).await.unwrap();
    let mut stream = object.stream_within(0..object.identity.size_bytes, small()).boxed();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| (bytes.len(), error))?);
    }
    Ok(bytes)
}

#[tokio::test]
async fn parts_that_break_off_are_resumed() {
    let bytes = object(20_500);
    for seed in 0..20 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let acts = (0..60).map(|_| match dice.u8(..6) {
            0 => Act::Fail(503, "SlowDown"),
            1 => Act::Close,
            2 => Act::Cut(usize::MAX),
            _ => Act::Cut(dice.usize(..1100)),
        });
        let script: Vec<Act> = std::iter::once(Act::Cut(usize::MAX)).chain(acts).collect();
        let (server, client) = Server::start(bytes.clone(), script).await;
        let found = all_by_parts(client, patient()).await.map_err(|(_, error)| error).unwrap();
        assert!(found == bytes, "seed {seed}");
        assert!(server.seen().len() > 22, "seed {seed}");
    }
}

#[tokio::test]
async fn a_silent_part_is_resumed() {
    let bytes = object(5000);
    let (_server, client) = Server::start(bytes.clone(), [Act::Cut(usize::MAX), Act::Hang(300), Act::Hang(400)]).await;
    assert_eq!(all_by_parts(client, hasty()).await.map_err(|(_, error)| error).unwrap(), bytes);
}

#[tokio::test]
async fn a_change_between_parts_is_an_error_after_the_bytes_before_it() {
    for act in [Act::Fail(412, "PreconditionFailed"), Act::OtherTag, Act::Fail(416, "InvalidRange")] {
        let (_server, client) = Server::start_with(object(5000), [], Some((2000, act))).await;
        let (given, error) = all_by_parts(client, patient()).await.unwrap_err();
        assert!(given == 2000 && matches!(&error, ReadError::Changed { .. }), "{given} bytes, {error}");
    }
    let (_server, client) = Server::start_with(object(5000), [], Some((0, Act::Whole))).await;
    let (given, error) = all_by_parts(client, patient()).await.unwrap_err();
    assert!(given == 1000 && matches!(&error, ReadError::Refused { .. }), "{given} bytes, {error}");
}

#[tokio::test]
async fn time_with_the_clock_stopped_does_not_count() {
    let (_server, client) = Server::start(object(10), []).await;
    let object = ObjectSource::find(client, "bucket".to_owned(), "key".to_owned(), None, hasty()).await.unwrap();
    let clock = Clock::start();
    clock.stop_for(Duration::from_hours(1));
    let late = time::sleep(hasty().idle_limit * 2);
    object.in_time(0, &clock, late).await.unwrap();
    let mut stall = Stall::new(ReadRetry { give_up_after: Duration::ZERO, ..hasty() }, Clock::start());
    assert!(stall.wait(object.broken(0, "x")).await.is_err());
    let mut stall = Stall::new(ReadRetry { give_up_after: Duration::from_nanos(1), ..hasty() }, clock);
    for _ in 0..3 {
        stall.wait(object.broken(0, "x")).await.unwrap();
    }
}

#[test]
fn content_ranges_are_parsed() {
    assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, Some(10))));
    assert_eq!(parse_content_range("bytes 0-0/*"), Some((0, None)));
    for bad in ["", "bytes", "bytes 5/10", "bytes x-9/10", "items 0-1/2", "bytes 0-1/x"] {
        assert_eq!(parse_content_range(bad), None, "{bad}");
    }
}
