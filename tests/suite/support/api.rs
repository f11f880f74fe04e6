//! The read API, called in process like by a client.

use aws_config::SdkConfig;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Query;
use http::{HeaderMap, Request, Uri, header};
use notaflux_api::{Api, CursorKeys};
use notaflux_aws as aws;
use notaflux_table::Table;
use serde_json::Value;
use tower::ServiceExt as _;

/// The key of cursors, in base64 as the query function expects it.
pub const CURSOR_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// An answer of the API.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Returns the query of its link to the next page. The link is relative to the request: `?…`.
    pub fn next(&self) -> Option<&str> {
        let link = self.header(header::LINK.as_str())?;
        Some(link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap())
    }
}

/// Returns the API on `table`, with its own clients.
pub fn over(config: &SdkConfig, table: &Table) -> Router {
    let table = table.through(aws::dynamodb_reader(config));
    notaflux_api::router(Api::new(table, aws::s3_reader(config), CursorKeys::from_base64(CURSOR_KEY).unwrap()))
}

pub async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

pub async fn get(router: &Router, path: &str) -> Answer {
    ask(router, "GET", path, &[]).await
}

/// Returns the decoded parameters of an address, in order.
pub fn parameters(address: &str) -> Vec<(String, String)> {
    let uri: Uri = address.strip_prefix('?').map_or(address.to_owned(), |query| format!("/?{query}")).parse().unwrap();
    Query::<Vec<(String, String)>>::try_from_uri(&uri).unwrap().0
}
