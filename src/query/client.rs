//! Sends requests to the API's router in this process, so that the answers are those of the API.

use axum::Router;
use axum::body::{self, Body, Bytes};
use axum::extract::Query;
use http::header::{ACCEPT, LINK};
use http::{HeaderMap, StatusCode, Uri};
use tower::ServiceExt as _;

use super::refusal::refusal;
use super::request::Request;
use crate::failure::Failure;

/// A client of a router.
#[derive(Debug)]
pub(super) struct Client {
    router: Router,
}

/// An answer with the status 200.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Bytes,
    /// Cursor of the next page, if there is one.
    pub(super) next: Option<String>,
}

impl Client {
    pub(super) fn new(router: Router) -> Self {
        Self { router }
    }

    /// Sends a request for an answer of this media type.
    ///
    /// # Errors
    /// The API refuses the request, or its answer is damaged.
    pub(super) async fn get(&self, request: &Request, media_type: &str) -> Result<Answer, Failure> {
        let get = http::Request::get(request.uri()).header(ACCEPT, media_type).body(Body::empty())?;
        let Ok(response) = self.router.clone().oneshot(get).await;
        let (parts, body) = response.into_parts();
        // The API limits the size of its answers.
        let body = body::to_bytes(body, usize::MAX).await?;
        if parts.status != StatusCode::OK {
            return Err(refusal(&body, request.resource.lister()));
        }
        Ok(Answer { body, next: next(&parts.headers)? })
    }
}

/// Returns the cursor in the header `Link`, which refers to the next page: `<?limit=2&cursor=…>; rel="next"`. `None`
/// without the header.
///
/// # Errors
/// The header has another form. The output would end early without this error.
fn next(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(link) = headers.get(LINK) else { return Ok(None) };
    match link.to_str().ok().and_then(cursor_of) {
        Some(cursor) => Ok(Some(cursor)),
        None => Err(format!(
            "the API answered with a Link header without a cursor, {link:?}: please report this as a defect"
        )
        .into()),
    }
}

fn cursor_of(link: &str) -> Option<String> {
    let reference = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    let uri: Uri = format!("/{reference}").parse().ok()?;
    let Query(parameters) = Query::<Vec<(String, String)>>::try_from_uri(&uri).ok()?;
    parameters.into_iter().find_map(|(name, value)| (name == "cursor").then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_holds_the_cursor_of_the_next_page() {
        let of = |link: &'static str| next(&HeaderMap::from_iter([(LINK, link.parse().unwrap())]));
        assert_eq!(of(r#"<?issuer=%2A%2A&limit=2&cursor=AZ_-9>; rel="next""#).unwrap().as_deref(), Some("AZ_-9"));
        assert!(of(r#"<?issuer=1>; rel="next""#).is_err());
        assert!(of(r#"<?cursor=1>; rel="prev""#).is_err());
        assert_eq!(next(&HeaderMap::new()).unwrap(), None);
    }
}
