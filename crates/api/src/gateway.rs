//! What API Gateway does to a request, undone, and what it takes of an answer: the routes are the same everywhere.

use std::pin::Pin;

use axum::response::Response;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use lambda_http::request::RequestContext;
use lambda_http::{Body, IntoResponse, Request, RequestExt};

use super::served::GatewayId;

/// What stands before the routes in the addresses that clients use, such as `/prod`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix(pub String);

/// What a gateway says of a request besides its path.
struct Told {
    stage: Option<String>,
    /// Path as the client asked for it.
    path: Option<String>,
    id: Option<String>,
    /// Whether it takes an answer that is not text.
    carries_binary: bool,
}

/// A request as the router takes it. Off the path goes what stands before the routes: a stage (`/prod`), which REST and HTTP
/// APIs with a named one put there, or what a domain of one's own maps to the API.
#[must_use]
pub fn understood(mut request: Request) -> Request {
    let told = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => Told {
            stage: context.stage.clone(),
            path: context.path.clone(),
            id: context.request_id.clone(),
            // It would need binary media types, and compresses by itself.
            carries_binary: false,
        },
        Some(RequestContext::ApiGatewayV2(context)) => Told {
            stage: context.stage.clone(),
            path: context.http.path.clone(),
            id: context.request_id.clone(),
            carries_binary: true,
        },
        _ => return request,
    };
    let route = route_of(&request, told.stage.as_deref());
    let prefix = told.path.as_deref().and_then(|path| path.strip_suffix(route.as_str())).unwrap_or_default().to_owned();
    let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    if let Ok(uri) = format!("{route}{query}").parse() {
        *request.uri_mut() = uri;
    }
    if !told.carries_binary {
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
    request.extensions_mut().insert(Prefix(prefix));
    if let Some(id) = told.id {
        request.extensions_mut().insert(GatewayId(id));
    }
    request
}

/// The path that the routes know: what the gateway's own route took as `{proxy+}`, or else the path without the stage.
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

/// An answer as a gateway takes it: what is not compressed is text, whatever its type.
#[derive(Debug)]
pub struct Answer(pub Response);

impl IntoResponse for Answer {
    fn into_response(self) -> Pin<Box<dyn Future<Output = http::Response<Body>> + Send>> {
        let (parts, body) = self.0.into_parts();
        Box::pin(async move {
            let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
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
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use super::*;

    /// What the router is asked for, and what stands before it.
    fn path_of(event: &serde_json::Value) -> (String, String) {
        let request = understood(lambda_http::request::from_str(&event.to_string()).unwrap());
        let Prefix(prefix) = request.extensions().get().cloned().unwrap();
        assert_eq!(request.extensions().get::<GatewayId>().unwrap().0, "q");
        (request.uri().path_and_query().unwrap().to_string(), prefix)
    }

    fn is(route: &str, prefix: &str) -> (String, String) {
        (route.to_owned(), prefix.to_owned())
    }

    #[test]
    fn a_rest_api_puts_its_stage_before_the_path() {
        let event = serde_json::json!({
            "resource": "/{proxy+}", "path": "/v1/invoices", "httpMethod": "GET", "headers": {"Host": "a.example"},
            "multiValueHeaders": {"Host": ["a.example"]}, "queryStringParameters": {"issuer": "1 2"},
            "multiValueQueryStringParameters": {"issuer": ["1 2"]}, "pathParameters": null, "stageVariables": null,
            "requestContext": {"stage": "prod", "httpMethod": "GET", "path": "/prod/v1/invoices", "identity": {},
                "accountId": "1", "resourceId": "r", "requestId": "q", "resourcePath": "/{proxy+}", "apiId": "a"},
            "body": null, "isBase64Encoded": false,
        });
        assert_eq!(path_of(&event), is("/v1/invoices?issuer=1+2", "/prod"));
    }

    #[test]
    fn an_http_api_does_so_where_the_stage_has_a_name() {
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
            assert_eq!(path_of(&event), is("/v1/invoices?issuer=1", prefix), "{stage}");
        }
    }
    #[test]
    fn a_domain_of_ones_own_may_map_another_path_to_the_api() {
        let event = serde_json::json!({
            "resource": "/{proxy+}", "path": "/notas/v1/invoices/a%2Fb", "httpMethod": "GET", "headers": {"Host": "api.example"},
            "multiValueHeaders": {"Host": ["api.example"], "Accept-Encoding": ["gzip"]}, "queryStringParameters": null,
            "multiValueQueryStringParameters": null, "pathParameters": {"proxy": "v1/invoices/a%2Fb"}, "stageVariables": null,
            "requestContext": {"stage": "prod", "httpMethod": "GET", "path": "/notas/v1/invoices/a%2Fb", "identity": {},
                "accountId": "1", "resourceId": "r", "requestId": "q", "resourcePath": "/{proxy+}", "apiId": "a"},
            "body": null, "isBase64Encoded": false,
        });
        assert_eq!(path_of(&event), is("/v1/invoices/a%2Fb", "/notas"));
        let request = understood(lambda_http::request::from_str(&event.to_string()).unwrap());
        assert!(!request.headers().contains_key(ACCEPT_ENCODING), "a REST API cannot carry gzip as it is");
    }

    #[tokio::test]
    async fn what_is_not_compressed_goes_as_text() {
        let answer = |encoding: Option<&'static str>| async move {
            let mut response = Response::new(axum::body::Body::from("{}\n"));
            response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/x-ndjson"));
            response.headers_mut().extend(encoding.map(|it| (CONTENT_ENCODING, http::HeaderValue::from_static(it))));
            Answer(response).into_response().await.into_body()
        };
        assert_eq!(answer(None).await, Body::Text("{}\n".to_owned()));
        assert_eq!(answer(Some("gzip")).await, Body::Binary(b"{}\n".to_vec()));
    }
}
