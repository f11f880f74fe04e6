//! `/v1/ingestions/{id}/rejects`: the rejected records of an ingestion, from the work store, in the order of the source.

use std::time::Instant;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::Call;
use super::cursor;
use super::elements::Elements;
use super::format::{Column, Format};
use super::ingestions::{NO_INGESTION, report};
use super::page::BOUND;
use super::parameters::{self, Parameters};
use super::problem::Problem;
use notaflux_aws::{self as aws, Fault};
use notaflux_table::keys;

/// Bytes to read in one request. A reject has some 30 KB at most: 4 KiB of its record, where each byte may be escaped as six.
const READ_BYTES: u64 = 1024 * 1024;

/// The columns of rejects in CSV.
const COLUMNS: &[Column] = &[
    ("source", "/source"),
    ("entry", "/entry"),
    ("line", "/line"),
    ("record", "/record"),
    ("byte", "/byte"),
    ("length", "/length"),
    ("reason", "/reason"),
    ("message", "/message"),
    ("raw", "/raw"),
];

/// `GET /v1/ingestions/{id}/rejects`.
pub(super) async fn list(
    call: Call,
    format: Format,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::of(&uri);
    let limit = parameters.limit();
    let cursor = parameters.cursor();
    let given = parameters.finish()?;
    let id = parameters::id(id, NO_INGESTION)?;
    let item = call.get(keys::ingestion_pk(&id), keys::INGESTION_SK).await?.ok_or(NO_INGESTION)?;
    let folder = Folder::of(report(&item)?)?;
    let location = folder.as_ref().map_or_else(String::new, Folder::name);
    let binding = cursor::binding(&[&call.table().name, "/v1/ingestions/{id}/rejects", &id, &location]);
    let after = cursor.map(|cursor| call.api.cursors.open(&cursor, &binding)).transpose()?;
    let from = after.as_deref().map(|text| Position::parse(text).ok_or(Problem::InvalidCursor)).transpose()?;
    let mut page = Elements::page(limit, format, COLUMNS)?;
    let has_more = match folder {
        Some(folder) => folder.fill(&call, from, &mut page).await?,
        None => false,
    };
    let last = page.last().filter(|_| has_more);
    let cursor = last.map(|last| call.api.cursors.seal(last, &binding)).transpose()?;
    page.answer(cursor.as_deref(), &given)
}

/// The position in the rejects at which a page ended: the key of an object, and the byte after the last reject.
struct Position {
    key: String,
    byte: u64,
}

impl Position {
    /// Parses the text of [`Position::text`].
    fn parse(text: &str) -> Option<Self> {
        let (byte, key) = text.split_once(' ')?;
        Some(Self { key: key.to_owned(), byte: byte.parse().ok()? })
    }

    fn text(key: &str, byte: u64) -> String {
        format!("{byte} {key}")
    }
}

/// The member of a report that names the location of its rejects.
#[derive(Deserialize)]
struct Location {
    rejects_location: Option<String>,
}

/// The location of the rejects of an ingestion in S3.
struct Folder {
    bucket: String,
    prefix: String,
}

impl Folder {
    /// Returns the folder that a report names; `None` if nothing has been rejected so far.
    fn of(report: &RawValue) -> Result<Option<Self>, Problem> {
        let location: Location = serde_json::from_str(report.get())?;
        let Some(location) = location.rejects_location else { return Ok(None) };
        let damaged = || Problem::damaged("the location of rejects in a report is not an S3 address");
        let (bucket, prefix) = aws::object_of(&location).ok_or_else(damaged)?;
        Ok(Some(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() }))
    }

    fn name(&self) -> String {
        format!("{}/{}", self.bucket, self.prefix)
    }

    /// Fills a page from the position where the previous page ended. Returns whether more rejects may follow. The keys of the
    /// objects sort in the order of the rejects.
    async fn fill(&self, call: &Call, from: Option<Position>, page: &mut Elements) -> Result<bool, Problem> {
        let began = Instant::now();
        let mut last = None;
        if let Some(Position { key, byte }) = from {
            if !self.read(call, &key, byte, page).await? {
                return Ok(true);
            }
            last = Some(key);
        }
        loop {
            let objects = call.api.s3.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix).set_start_after(last);
            let listed = objects.send().await.map_err(|error| problem(&error))?;
            // S3 leaves out the contents of an empty list.
            let objects = listed.contents.unwrap_or_default().into_iter();
            let keys = objects.map(|object| object.key.ok_or_else(|| Problem::damaged("a listed object has no key")));
            let keys: Vec<String> = keys.collect::<Result<_, _>>()?;
            for key in &keys {
                let is_overdue = page.len() > 0 && began.elapsed() >= BOUND.time;
                if is_overdue || !self.read(call, key, 0, page).await? {
                    return Ok(true);
                }
            }
            last = keys.into_iter().next_back();
            if last.is_none() || listed.is_truncated != Some(true) {
                return Ok(false);
            }
        }
    }

    /// Reads an object from a byte to its end. Returns whether the page took all rejects.
    async fn read(&self, call: &Call, key: &str, mut byte: u64, page: &mut Elements) -> Result<bool, Problem> {
        loop {
            let Some(chunk) = self.chunk(call, key, byte).await? else { return Ok(true) };
            let is_last = (chunk.len() as u64) < READ_BYTES;
            let lines_bytes = memchr::memrchr(b'\n', &chunk).map_or(0, |end| end + 1);
            let (lines, rest) = chunk.split_at(lines_bytes);
            if !rest.is_empty() && (is_last || lines.is_empty()) {
                tracing::error!(key, byte, "damaged data: an object of rejects ends within a line");
                return Err(Problem::Internal);
            }
            for line in lines.split_inclusive(|&byte| byte == b'\n') {
                let reject: &RawValue = serde_json::from_slice(line)?;
                byte += line.len() as u64;
                if !page.push(&Position::text(key, byte), reject)? {
                    return Ok(false);
                }
            }
            if is_last {
                return Ok(true);
            }
        }
    }

    /// Reads up to [`READ_BYTES`] of an object, beginning at `byte`; `None` at its end.
    async fn chunk(&self, call: &Call, key: &str, byte: u64) -> Result<Option<bytes::Bytes>, Problem> {
        let range = format!("bytes={byte}-{}", byte + READ_BYTES - 1);
        match call.api.s3.get_object().bucket(&self.bucket).key(key).range(range).send().await {
            Ok(answer) => match answer.body.collect().await {
                Ok(body) => Ok(Some(body.into_bytes())),
                Err(error) => {
                    tracing::warn!(%error, "the body of an object of rejects broke off");
                    Err(Problem::Unavailable)
                }
            },
            // 416 Range Not Satisfiable: the object ends here.
            Err(error) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 416) => Ok(None),
            Err(error) => Err(problem(&error)),
        }
    }
}

/// Converts an error of S3 to a problem.
fn problem<E>(error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> Problem
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let message = aws::describe_error(error);
    match aws::fault(error) {
        Fault::Refused | Fault::Credentials => {
            tracing::error!(message, "rejects cannot be read");
            Problem::Internal
        }
        Fault::Throttled => {
            tracing::warn!(message, "rejects cannot be read now");
            Problem::Throttled
        }
        Fault::Unavailable | Fault::ExpiredSignature | Fault::ExpiredToken => {
            tracing::warn!(message, "rejects cannot be read now");
            Problem::Unavailable
        }
    }
}
