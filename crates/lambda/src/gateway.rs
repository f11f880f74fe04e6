//! Converts requests and answers between API Gateway and the router, so that the routes are the same everywhere.

use std::pin::Pin;

use axum::response::Response;
use http::StatusCode;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use lambda_http::request::RequestContext;
use lambda_http::{Body, IntoResponse, Request, RequestExt};
use notaflux_api::{GatewayRequestId, PathPrefix};

/// What API Gateway says about a request.
struct GatewayContext {
    stage: Option<String>,
    /// The path that the client requested.
    path: Option<String>,
    request_id: Option<String>,
    /// Whether API Gateway passes on an answer that is not text.
    carries_binary: bool,
}

impl GatewayContext {
    /// Reads the context of a REST or HTTP API; `None` for any other caller.
    fn of(request: &Request) -> Option<Self> {
        match request.request_context_ref()? {
            RequestContext::ApiGatewayV1(context) => Some(Self {
                stage: context.stage.clone(),
                path: context.path.clone(),
                request_id: context.request_id.clone(),
                // A REST API needs a list of binary media types for this. It compresses answers itself.
                carries_binary: false,
            }),
            RequestContext::ApiGatewayV2(context) => Some(Self {
                stage: context.stage.clone(),
                path: context.http.path.clone(),
                request_id: context.request_id.clone(),
                carries_binary: true,
            }),
            _ => None,
        }
    }
}

/// Converts a request from API Gateway to one for the router.
///
/// Removes from the path everything before the routes: the stage (`/prod`), which REST APIs and HTTP APIs with a named stage
/// add, or the path that a custom domain maps to the API. Keeps the removed part as [`PathPrefix`].
pub(crate) fn to_router_request(mut request: Request) -> Request {
    let Some(context) = GatewayContext::of(&request) else { return request };
    let route = route_of(&request, context.stage.as_deref());
    let prefix = context.path.as_deref().and_then(|path| path.strip_suffix(route.as_str()));
    // A path without the route at its end, or no path at all, shows no prefix.
    let prefix = PathPrefix(prefix.unwrap_or_default().to_owned());
    let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    match format!("{route}{query}").parse() {
        Ok(uri) => *request.uri_mut() = uri,
        // The router answers 404 to the unchanged path. The path is not logged: a CPF may be in it.
        Err(error) => tracing::error!(%error, "the path without its prefix is not valid"),
    }
    if !context.carries_binary {
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
    request.extensions_mut().insert(prefix);
    if let Some(id) = context.request_id {
        request.extensions_mut().insert(GatewayRequestId(id));
    }
    request
}

/// Returns the path for the router: the path parameter `{proxy+}` if there is one, else the path without the stage.
fn route_of(request: &Request, stage: Option<&str>) -> String {
    let path = request.uri().path();
    let proxy = request.path_parameters_ref().and_then(|parameters| parameters.first("proxy"));
    let proxied = proxy.map(|proxy| format!("/{}", proxy.trim_start_matches('/')));
    if let Some(proxied) = proxied.filter(|proxied| path.ends_with(proxied.as_str())) {
        return proxied;
    }
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    rest.filter(|rest| rest.starts_with('/')).unwrap_or(path).to_owned()
}

/// An answer of the router in the form that API Gateway takes: an uncompressed body is text, whatever its media type.
#[derive(Debug)]
pub(crate) struct GatewayAnswer(pub(crate) Response);

impl IntoResponse for GatewayAnswer {
    /// Reads the whole body. Answers 500 without a body if that fails.
    fn into_response(self) -> Pin<Box<dyn Future<Output = http::Response<Body>> + Send>> {
        let (parts, body) = self.0.into_parts();
        Box::pin(async move {
            let bytes = match axum::body::to_bytes(body, usize::MAX).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::error!(%error, "the body of an answer cannot be read");
                    let mut failure = http::Response::new(Body::Empty);
                    *failure.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                    return failure;
                }
            };
            let body = if parts.headers.contains_key(CONTENT_ENCODING) {
                Body::Binary(bytes.to_vec())
            } else {
                match String::from_utf8(bytes.into()) {
                    Ok(text) => Body::Text(text),
                    Err(error) => Body::Binary(error.into_bytes()),
                }
            };
            http::Response::from_parts(parts, body)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the path and query for the router, and the prefix.
    fn path_of(event: &serde_json::Value) -> (String, String) {
        let request = to_router_request(lambda_http::request::from_str(&event.to_string()).unwrap());
        let PathPrefix(prefix) = request.extensions().get().cloned().unwrap();
        assert_eq!(request.extensions().get::<GatewayRequestId>().unwrap().0, "q");
        (request.uri().path_and_query().unwrap().to_string(), prefix)
    }

    fn pair(route: &str, prefix: &str) -> (String, String) {
        (route.to_owned(), prefix.to_owned())
    }

    #[test]
    fn the_stage_of_a_rest_api_is_removed_from_the_path() {
        let event = serde_json::json!({
            "resource": "/{proxy+}", "path": "/v1/invoices", "httpMethod": "GET", "headers": {"Host": "a.example"},
            "multiValueHeaders": {"Host": ["a.example"]}, "queryStringParameters": {"issuer": "1 2"},
            "multiValueQueryStringParameters": {"issuer": ["1 2"]}, "pathParameters": null, "stageVariables": null,
            "requestContext": {"stage": "prod", "httpMethod": "GET", "path": "/prod/v1/invoices", "identity": {},
                "accountId": "1", "resourceId": "r", "requestId": "q", "resourcePath": "/{proxy+}", "apiId": "a"},
            "body": null, "isBase64Encoded": false,
        });
        assert_eq!(path_of(&event), pair("/v1/invoices?issuer=1+2", "/prod"));
    }

    #[test]
    fn the_named_stage_of_an_http_api_is_removed_from_the_path() {
        for (stage, path, prefix) in
            [("$default", "/v1/invoices", ""), ("prod", "/prod/v1/invoices", "/prod"), ("v1", "/v1/v1/invoices", "/v1")]
        {
            let event = serde_json::json!({
                "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "issuer=1",
                "headers": {"host": "a.example"}, "queryStringParameters": {"issuer": "1"},
                "requestContext": {"stage": stage, "accountId": "1", "apiId": "a", "domainName": "a.example",
                    "domainPrefix": "a", "requestId": "q", "routeKey": "$default", "time": "t", "timeEpoch": 0,
                    "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "::1", "userAgent": "t"}},
                "isBase64Encoded": false,
            });
            assert_eq!(path_of(&event), pair("/v1/invoices?issuer=1", prefix), "{stage}");
        }
    }

    #[test]
    fn the_path_that_a_custom_domain_maps_to_the_api_is_removed() {
        let event = serde_json::json!({
            "resource": "/{proxy+}", "path": "/notas/v1/invoices/a%2Fb", "httpMethod": "GET", "headers": {"Host": "api.example"},
            "multiValueHeaders": {"Host": ["api.example"], "Accept-Encoding": ["gzip"]}, "queryStringParameters": null,
            "multiValueQueryStringParameters": null, "pathParameters": {"proxy": "v1/invoices/a%2Fb"}, "stageVariables": null,
            "requestContext": {"stage": "prod", "httpMethod": "GET", "path": "/notas/v1/invoices/a%2Fb", "identity": {},
                "accountId": "1", "resourceId": "r", "requestId": "q", "resourcePath": "/{proxy+}", "apiId": "a"},
            "body": null, "isBase64Encoded": false,
        });
        assert_eq!(path_of(&event), pair("/v1/invoices/a%2Fb", "/notas"));
        let request = to_router_request(lambda_http::request::from_str(&event.to_string()).unwrap());
        assert!(!request.headers().contains_key(ACCEPT_ENCODING), "a REST API cannot pass on gzip");
    }

    #[tokio::test]
    async fn an_uncompressed_body_is_text() {
        let answer = |encoding: Option<&'static str>| async move {
            let mut response = Response::new(axum::body::Body::from("{}\n"));
            response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/x-ndjson"));
            response.headers_mut().extend(encoding.map(|it| (CONTENT_ENCODING, http::HeaderValue::from_static(it))));
            GatewayAnswer(response).into_response().await.into_body()
        };
        assert_eq!(answer(None).await, Body::Text("{}\n".to_owned()));
        assert_eq!(answer(Some("gzip")).await, Body::Binary(b"{}\n".to_vec()));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_answered_with_500() {
        let bytes = futures::stream::iter([Ok("{\"items\":["), Err(std::io::Error::other("broken off"))]);
        let answer = GatewayAnswer(Response::new(axum::body::Body::from_stream(bytes))).into_response().await;
        assert_eq!((answer.status(), answer.body()), (StatusCode::INTERNAL_SERVER_ERROR, &Body::Empty));
    }
}
