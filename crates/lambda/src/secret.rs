//! Reads the cursor keys from Secrets Manager: the current version and the previous one.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;

use notaflux_api::cursor::{CursorKeys, ShortSecret};
use notaflux_aws as aws;

/// Stage of the version that encrypts new cursors.
const CURRENT: &str = "AWSCURRENT";
/// Stage of the previous version. It exists only after the value of the secret has changed.
const PREVIOUS: &str = "AWSPREVIOUS";

/// Creates a client for Secrets Manager. It retries like the clients of the read API.
pub(crate) fn client(config: &SdkConfig) -> Client {
    let builder = aws_sdk_secretsmanager::config::Builder::from(config).retry_config(aws::reader_retries());
    Client::from_conf(builder.build())
}

/// Why a cursor key cannot be read. Not retried: the function does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The secret, or this version of it, does not exist.
    #[error("there is no {stage} version of secret {id}")]
    Missing {
        /// Stage of the version.
        stage: &'static str,
        /// Name or ARN of the secret.
        id: String,
    },
    /// The service refused the call, or did not answer after the SDK's retries.
    #[error("cannot read the {stage} version of secret {id}: {message}")]
    Service {
        /// Stage of the version.
        stage: &'static str,
        /// Name or ARN of the secret.
        id: String,
        /// Error code and message of the service.
        message: String,
        /// The SDK's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The secret holds bytes or nothing.
    #[error("the {stage} version of secret {id} has no text: store the value as SecretString")]
    NoText {
        /// Stage of the version.
        stage: &'static str,
        /// Name or ARN of the secret.
        id: String,
    },
    /// The secret is so short that it can be guessed.
    #[error(transparent)]
    Short(#[from] ShortSecret),
}

/// Returns the keys derived from the secret `id` (a name or an ARN). The current version encrypts new cursors; cursors
/// of the previous version are still accepted. A running function keeps its keys when the secret changes.
///
/// # Errors
/// The secret does not exist, cannot be read, holds no text or is too short. A missing previous version is not an
/// error.
pub(crate) async fn cursor_keys(client: &Client, id: &str) -> Result<CursorKeys, SecretError> {
    let (current, previous) = tokio::try_join!(text(client, id, CURRENT), async {
        match text(client, id, PREVIOUS).await {
            Err(SecretError::Missing { .. }) => Ok(None),
            other => other.map(Some),
        }
    })?;
    let keys = CursorKeys::from_secret(&current)?;
    Ok(match previous {
        Some(previous) => keys.or_previous(&CursorKeys::from_secret(&previous)?),
        None => keys,
    })
}

async fn text(client: &Client, id: &str, stage: &'static str) -> Result<String, SecretError> {
    let id = id.to_owned();
    match client.get_secret_value().secret_id(&id).version_stage(stage).send().await {
        Ok(value) => value.secret_string.ok_or(SecretError::NoText { stage, id }),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Err(SecretError::Missing { stage, id }),
        Err(error) => {
            let message = aws::describe_error(&error);
            Err(SecretError::Service { stage, id, message, source: Box::new(error) })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const NOT_FOUND: &str = r#"{"__type":"ResourceNotFoundException","Message":"no such version"}"#;
    const DENIED: &str = r#"{"__type":"AccessDeniedException","Message":"not authorized"}"#;

    /// Starts a server that answers two calls: one for each stage.
    async fn answering(current: String, previous: String) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = aws::embedded_config(&format!("http://{}", listener.local_addr().unwrap()));
        tokio::spawn(async move {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read(&mut stream).await;
                assert!(request.contains("secretsmanager.GetSecretValue"), "{request}");
                let body = if request.contains(PREVIOUS) { &previous } else { &current };
                let status = if body.contains("__type") { "400 Bad Request" } else { "200 OK" };
                let head = format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all(format!("HTTP/1.1 {status}\r\n{head}{body}").as_bytes()).await.unwrap();
            }
        });
        client(&config)
    }

    async fn read(stream: &mut TcpStream) -> String {
        let mut request = String::new();
        while !request.ends_with('}') {
            let mut piece = vec![0; 4096];
            let length = stream.read(&mut piece).await.unwrap();
            assert_ne!(length, 0, "{request}");
            request.push_str(str::from_utf8(&piece[..length]).unwrap());
        }
        request
    }

    fn value(letter: &str) -> String {
        format!(r#"{{"SecretString":"{}"}}"#, letter.repeat(64))
    }

    fn keys(letter: &str) -> CursorKeys {
        CursorKeys::from_secret(&letter.repeat(64)).unwrap()
    }

    #[tokio::test]
    async fn cursors_of_both_versions_open_and_the_current_version_makes_new_ones() {
        let found = cursor_keys(&answering(value("b"), value("a")).await, "s").await.unwrap();
        assert!(found.open(&keys("a").seal("x", b"q").unwrap(), b"q").is_ok());
        assert!(keys("b").open(&found.seal("x", b"q").unwrap(), b"q").is_ok());
    }

    #[tokio::test]
    async fn a_secret_that_never_changed_has_one_version() {
        let found = cursor_keys(&answering(value("b"), NOT_FOUND.to_owned()).await, "s").await.unwrap();
        assert!(keys("b").open(&found.seal("x", b"q").unwrap(), b"q").is_ok());
    }

    #[tokio::test]
    async fn every_other_failure_names_the_version_and_the_secret() {
        let short = r#"{"SecretString":"changeme"}"#.to_owned();
        for (current, previous, expected) in [
            (NOT_FOUND.to_owned(), NOT_FOUND.to_owned(), "there is no AWSCURRENT version of secret s"),
            (
                value("b"),
                DENIED.to_owned(),
                "cannot read the AWSPREVIOUS version of secret s: AccessDeniedException: not authorized",
            ),
            ("{}".to_owned(), value("a"), "the AWSCURRENT version of secret s has no text"),
            (short, NOT_FOUND.to_owned(), "the secret of the cursor key is too short"),
        ] {
            let error = cursor_keys(&answering(current, previous).await, "s").await.unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }
}
