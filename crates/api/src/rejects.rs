//! `/v1/ingestions/{id}/rejects`: the lines that an ingestion has laid down in the work store, in their order.

use std::time::Instant;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::elements::Elements;
use super::call::Call;
use super::cursor;
use super::format::{Column, Format};
use super::ingestions::{NO_INGESTION, report};
use super::page::BOUND;
use super::parameters::{self, Parameters};
use super::problem::Problem;
use notaflux_aws::{self as aws, Fault};
use notaflux_table::keys;

/// Bytes that are read at a time. A reject has some 30 KB at most: 4 KiB of its record, each byte of it as six.
const READ_BYTES: u64 = 1024 * 1024;

/// Rejects as CSV.
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
    let behind = cursor.map(|cursor| call.api.cursors.open(&cursor, &binding)).transpose()?;
    let mut page = Elements::page(limit, format, COLUMNS)?;
    let has_more = match folder {
        Some(folder) => folder.fill(&call, behind.as_deref().and_then(Position::parse), &mut page).await?,
        None => false,
    };
    let last = page.last().filter(|_| has_more);
    let cursor = last.map(|last| call.api.cursors.seal(last, &binding)).transpose()?;
    page.answer(cursor.as_deref(), &given)
}

/// Where in the rejects a page ended: an object, and a byte of it.
struct Position {
    key: String,
    byte: u64,
}

impl Position {
    /// Reads what [`Position::text`] writes.
    fn parse(text: &str) -> Option<Self> {
        let (byte, key) = text.split_once(' ')?;
        Some(Self { key: key.to_owned(), byte: byte.parse().ok()? })
    }

    fn text(key: &str, byte: u64) -> String {
        format!("{byte} {key}")
    }
}

/// The part of a report that says where its rejects lie.
#[derive(Deserialize)]
struct Location {
    rejects_location: Option<String>,
}

/// Where the rejects of an ingestion lie.
struct Folder {
    bucket: String,
    prefix: String,
}

impl Folder {
    /// The folder that a report names; none if nothing was rejected, so far.
    fn of(report: &RawValue) -> Result<Option<Self>, Problem> {
        let location: Location = serde_json::from_str(report.get())?;
        let Some(location) = location.rejects_location else { return Ok(None) };
        let (bucket, prefix) = aws::object_of(&location).ok_or_else(|| {
            tracing::error!("the ledger says of rejects that they are where none can be");
            Problem::Internal
        })?;
        Ok(Some(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() }))
    }

    fn name(&self) -> String {
        format!("{}/{}", self.bucket, self.prefix)
    }

    /// Fills a page from the object and byte where the one before ended, and gives whether there may be more. The names of
    /// the objects sort as their rejects do.
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
            let keys: Vec<String> =
                listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect();
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

    /// Reads an object from a byte on. Gives whether the page took all of it.
    async fn read(&self, call: &Call, key: &str, mut byte: u64, page: &mut Elements) -> Result<bool, Problem> {
        loop {
            let Some(piece) = self.piece(call, key, byte).await? else { return Ok(true) };
            let is_last = (piece.len() as u64) < READ_BYTES;
            let Some(end) = memchr::memrchr(b'\n', &piece) else {
                if piece.is_empty() {
                    return Ok(true);
                }
                tracing::error!(key, byte, "rejects that do not end with a line");
                return Err(Problem::Internal);
            };
            for line in piece.get(..=end).unwrap_or_default().split_inclusive(|&byte| byte == b'\n') {
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

    /// Bytes of an object from `byte` on; none at its end.
    async fn piece(&self, call: &Call, key: &str, byte: u64) -> Result<Option<bytes::Bytes>, Problem> {
        let range = format!("bytes={byte}-{}", byte + READ_BYTES - 1);
        match call.api.s3.get_object().bucket(&self.bucket).key(key).range(range).send().await {
            Ok(answer) => match answer.body.collect().await {
                Ok(body) => Ok(Some(body.into_bytes())),
                Err(error) => {
                    tracing::warn!(%error, "a body of rejects broke");
                    Err(Problem::Unavailable)
                }
            },
            // Nothing is left of it.
            Err(error) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 416) => Ok(None),
            Err(error) => Err(problem(&error)),
        }
    }
}

/// What S3 answered, for a client.
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
