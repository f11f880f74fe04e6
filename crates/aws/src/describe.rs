//! One-line descriptions of the SDK's errors, with what to do about them.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::fault::{Fault, causes, fault, lacks_credentials, lacks_region};

/// Describes an error in one line: the service's code and message, or what failed on the way to the service, and what
/// to do about it.
pub fn describe_error<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let root_cause = || causes(error).last().map(ToString::to_string).unwrap_or_default();
    let description = match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            match (service.err().code(), service.err().message()) {
                (Some(code), Some(message)) => format!("{code}: {message}"),
                (Some(code), None) => format!("{code} (HTTP status {status})"),
                (None, Some(message)) => format!("HTTP status {status}: {message}"),
                (None, None) => format!("HTTP status {status}"),
            }
        }
        _ if lacks_credentials(error) => "there are no AWS credentials".to_owned(),
        _ if lacks_region(error) => "no AWS region is set".to_owned(),
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "no connection in time".to_owned(),
        SdkError::DispatchFailure(_) => format!("the connection failed: {}", root_cause()),
        SdkError::ResponseError(_) => format!("the answer cannot be read: {}", root_cause()),
        _ => format!("the call cannot be made: {}", root_cause()),
    };
    match remedy(error) {
        Some(remedy) => format!("{description}; {remedy}"),
        None => description,
    }
}

fn remedy<E>(error: &SdkError<E, HttpResponse>) -> Option<&'static str>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match fault(error) {
        Fault::Credentials => {
            return Some("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to valid credentials");
        }
        Fault::ExpiredToken => return Some("renew the AWS credentials: they have expired"),
        Fault::ExpiredSignature => return Some("check the clock of this machine"),
        Fault::Throttled | Fault::Unavailable | Fault::Refused => {}
    }
    if lacks_region(error) {
        return Some("set AWS_REGION");
    }
    matches!(error, SdkError::DispatchFailure(_) | SdkError::TimeoutError(_))
        .then_some("check the network, AWS_REGION and AWS_ENDPOINT_URL")
}

#[cfg(test)]
mod tests {
    use aws_config::SdkConfig;
    use aws_sdk_dynamodb::Client;

    use super::*;
    use crate::clients::{dynamodb_client, embedded_config};

    async fn failure(client: &Client) -> (Fault, String) {
        let error = client.list_tables().send().await.unwrap_err();
        (fault(&error), describe_error(&error))
    }

    /// Starts a server that answers one request.
    async fn answering(status: &str, body: &str) -> SdkConfig {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let head = "content-type: application/x-amz-json-1.0\r\nconnection: close";
        let answer = format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 64 * 1024];
            assert_ne!(stream.read(&mut request).await.unwrap(), 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        embedded_config(&endpoint)
    }

    #[tokio::test]
    async fn an_unreachable_endpoint_names_its_variable() {
        let client = dynamodb_client(&embedded_config("http://127.0.0.1:1"));
        let (fault, message) = failure(&client).await;
        assert_eq!(fault, Fault::Unavailable);
        assert!(message.starts_with("the connection failed: "), "{message}");
        assert!(message.ends_with("; check the network, AWS_REGION and AWS_ENDPOINT_URL"), "{message}");
    }

    #[tokio::test]
    async fn missing_credentials_name_their_variables() {
        let mut config = embedded_config("http://127.0.0.1:1").into_builder();
        config.set_credentials_provider(None);
        let (fault, message) = failure(&dynamodb_client(&config.build())).await;
        assert_eq!((fault, message.contains("AWS_ACCESS_KEY_ID")), (Fault::Credentials, true), "{message}");
    }

    #[tokio::test]
    async fn a_missing_region_names_its_variable() {
        let mut config = embedded_config("http://127.0.0.1:1").into_builder();
        config.set_region(None);
        config.set_endpoint_url(None);
        let (fault, message) = failure(&dynamodb_client(&config.build())).await;
        assert_eq!((fault, message.as_str()), (Fault::Refused, "no AWS region is set; set AWS_REGION"));
    }

    #[tokio::test]
    async fn an_error_of_the_service_is_its_code_and_message() {
        for (code, fault, message) in [
            ("AccessDeniedException", Fault::Refused, "AccessDeniedException: not authorized"),
            (
                "ExpiredTokenException",
                Fault::ExpiredToken,
                "ExpiredTokenException: not authorized; renew the AWS credentials: they have expired",
            ),
            (
                "RequestExpired",
                Fault::ExpiredSignature,
                "RequestExpired: not authorized; check the clock of this machine",
            ),
        ] {
            let body = format!(r#"{{"__type":"com.amazon.coral.service#{code}","Message":"not authorized"}}"#);
            let client = dynamodb_client(&answering("400 Bad Request", &body).await);
            assert_eq!(failure(&client).await, (fault, message.to_owned()));
        }
    }
}
