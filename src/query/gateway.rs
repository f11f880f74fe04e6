//! What API Gateway does to a request, undone: the routes are the same everywhere.

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

/// Takes the stage (`/prod`) off the path. REST and HTTP APIs with a named stage put it there.
#[must_use]
pub fn without_stage(mut request: Request) -> Request {
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.stage.clone(),
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone(),
        _ => None,
    };
    let Some(stage) = stage else { return request };
    let rest = request.uri().path_and_query().and_then(|whole| {
        let rest = whole.as_str().strip_prefix('/')?.strip_prefix(&stage)?;
        (rest.starts_with('/')).then(|| rest.parse().ok())?
    });
    if let Some(rest) = rest {
        *request.uri_mut() = rest;
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(event: &serde_json::Value) -> String {
        let request = lambda_http::request::from_str(&event.to_string()).unwrap();
        without_stage(request).uri().path_and_query().unwrap().to_string()
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
        assert_eq!(path_of(&event), "/v1/invoices?issuer=1+2");
    }

    #[test]
    fn an_http_api_does_so_where_the_stage_has_a_name() {
        for (stage, path, expected) in [
            ("$default", "/v1/invoices", "/v1/invoices?issuer=1"),
            ("prod", "/prod/v1/invoices", "/v1/invoices?issuer=1"),
            ("v1", "/v1/v1/invoices", "/v1/invoices?issuer=1"),
        ] {
            let event = serde_json::json!({
                "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "issuer=1",
                "headers": {"host": "a.example"}, "queryStringParameters": {"issuer": "1"},
                "requestContext": {"stage": stage, "accountId": "1", "apiId": "a", "domainName": "a.example",
                    "domainPrefix": "a", "requestId": "q", "routeKey": "$default", "time": "t", "timeEpoch": 0,
                    "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "::1", "userAgent": "t"}},
                "isBase64Encoded": false,
            });
            assert_eq!(path_of(&event), expected, "{stage}");
        }
    }
}
