//! Asks the API's own router, in this process: what it answers is what the API answers.

use axum::Router;
use axum::body::{self, Body, Bytes};
use axum::extract::Query;
use http::header::{ACCEPT, LINK};
use http::{HeaderMap, StatusCode, Uri};
use tower::ServiceExt as _;

use super::refusal::refusal;
use super::request::Request;
use crate::Failure;

/// Asks a router.
#[derive(Debug)]
pub(super) struct Client {
    router: Router,
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Bytes,
    /// Cursor of the page behind this one, if there is one.
    pub(super) next: Option<String>,
}

impl Client {
    pub(super) fn new(router: Router) -> Self {
        Self { router }
    }

    /// Gets what is asked for, in the form of this media type.
    pub(super) async fn get(&self, request: &Request, media_type: &str) -> Result<Answer, Failure> {
        let asked = http::Request::get(request.uri()).header(ACCEPT, media_type).body(Body::empty())?;
        let Ok(response) = self.router.clone().oneshot(asked).await;
        let (parts, body) = response.into_parts();
        // The API bounds its answers itself.
        let body = body::to_bytes(body, usize::MAX).await?;
        if parts.status != StatusCode::OK {
            return Err(refusal(&body, request.kind.lister()));
        }
        Ok(Answer { body, next: next(&parts.headers) })
    }
}

/// The cursor in `Link`, which holds a reference to the next page: `<?limit=2&cursor=…>; rel="next"`.
fn next(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let reference = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    let uri: Uri = format!("/{reference}").parse().ok()?;
    let Query(parameters) = Query::<Vec<(String, String)>>::try_from_uri(&uri).ok()?;
    parameters.into_iter().find_map(|(name, value)| (name == "cursor").then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_of_the_next_page_is_in_its_link() {
        let of = |link: &'static str| next(&HeaderMap::from_iter([(LINK, link.parse().unwrap())]));
        assert_eq!(of(r#"<?issuer=%2A%2A&limit=2&cursor=AZ_-9>; rel="next""#).as_deref(), Some("AZ_-9"));
        assert_eq!(of(r#"<?issuer=1>; rel="next""#), None);
        assert_eq!(of(r#"<?cursor=1>; rel="prev""#), None);
        assert_eq!(next(&HeaderMap::new()), None);
    }
}
