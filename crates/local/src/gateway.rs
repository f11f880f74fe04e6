//! One port for both services. A request that names a DynamoDB operation goes to DynamoDB; every other request goes to
//! S3.
//!
//! So one `AWS_ENDPOINT_URL` works for the AWS command line, boto3 and the SDKs. DynamoDB also listens on its own port,
//! so that a busy writer need not go through the common port.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use s3s::service::S3Service;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long requests in flight may continue when the server stops.
pub(super) const GRACE: Duration = Duration::from_secs(3);

/// How long to wait when no connection can be accepted because no file descriptor is free. Closing connections free
/// some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The header in which a request names its DynamoDB operation.
const TARGET: &str = "x-amz-target";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers the requests of all connections.
#[derive(Clone)]
pub(super) struct Gateway {
    s3: S3Service,
    client: Client<HttpConnector, Incoming>,
    dynamodb: Authority,
}

impl Gateway {
    /// Creates a gateway to `s3` and to the DynamoDB server at `dynamodb`.
    ///
    /// # Errors
    /// None in practice: the address of a socket is always a valid authority.
    pub(super) fn new(s3: S3Service, dynamodb: SocketAddr) -> Result<Self, http::uri::InvalidUri> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { s3, client, dynamodb: dynamodb.to_string().parse()? })
    }

    /// Serves until `stop`, then waits up to [`GRACE`] for requests in flight.
    pub(super) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(self.clone().connection(stream, stop.clone()));
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        connections.close();
        // After the grace, the runtime drops the remaining connections.
        tokio::time::timeout(GRACE, connections.wait()).await.unwrap_or_default();
    }

    async fn connection(self, stream: TcpStream, stop: CancellationToken) {
        // Without this option, a small answer may wait for an acknowledgement. The connection works without it too.
        stream.set_nodelay(true).unwrap_or_default();
        let service = service_fn(move |request| self.clone().answer(request));
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection to the embedded services ended");
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
        if request.headers().contains_key(TARGET) {
            return self.forward(request).await;
        }
        Ok(self.s3.call(request.map(s3s::Body::from)).await?.map(Body::new))
    }

    async fn forward(self, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
        let (mut parts, body) = request.into_parts();
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.dynamodb);
        uri.path_and_query = Some(parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")));
        parts.uri = Uri::from_parts(uri)?;
        parts.headers.remove(header::CONNECTION);
        match self.client.request(Request::from_parts(parts, body)).await {
            Ok(response) => Ok(response.map(Body::new)),
            Err(error) => unavailable(&error),
        }
    }
}

/// Answers with an error as DynamoDB formats it. Clients retry it.
fn unavailable(error: &hyper_util::client::legacy::Error) -> Result<Response<Body>, BoxError> {
    let body = serde_json::json!({
        "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError",
        "message": format!("the embedded DynamoDB does not answer: {error}"),
    });
    Ok(Response::builder()
        .status(StatusCode::INTERNAL_SERVER_ERROR)
        .header(header::CONTENT_TYPE, "application/x-amz-json-1.0")
        .body(Body::from(body.to_string()))?)
}
