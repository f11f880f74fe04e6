//! Classifies the SDK's errors. This file alone decides which errors are retried.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// The class of an SDK error. Each class has one policy, which every caller follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call came too soon for the table, the bucket or the account.
    ///
    /// Retried, more slowly. Writes retry until the service accepts them; reads retry within their limits.
    Throttled,
    /// The connection broke, a time limit passed, or the service failed.
    ///
    /// Retried within the caller's limits: 5 minutes without progress for reading a source and for writes.
    Unavailable,
    /// The service received the signature too late or too early: the worker was frozen after it signed the request, the
    /// request was delayed for minutes, or the clock of this machine is wrong.
    ///
    /// Retried like [`Fault::Unavailable`]: every attempt signs its request again.
    ExpiredSignature,
    /// The session token of the credentials has expired.
    ///
    /// Retried like [`Fault::Unavailable`]: the credentials provider may return new credentials. A caller that caches
    /// credentials drops them before it retries.
    ExpiredToken,
    /// There are no credentials, the service does not know them, or their secret is wrong.
    ///
    /// Permanent: somebody must correct the configuration.
    Credentials,
    /// The service refuses this call, and would refuse it again.
    ///
    /// Permanent.
    Refused,
}

impl Fault {
    /// Returns whether the same call would fail again, so that it is not retried.
    #[must_use]
    pub const fn is_permanent(self) -> bool {
        match self {
            Self::Throttled | Self::Unavailable | Self::ExpiredSignature | Self::ExpiredToken => false,
            Self::Credentials | Self::Refused => true,
        }
    }
}

/// Classifies an error.
pub fn fault<E>(error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let (code, message) = (service.err().code(), service.err().message());
            fault_of_service(code.unwrap_or_default(), message.unwrap_or_default(), service.raw().status().as_u16())
        }
        _ if lacks_credentials(error) => Fault::Credentials,
        _ if lacks_region(error) => Fault::Refused,
        _ if waits_for_credentials(error) => Fault::Unavailable,
        SdkError::ConstructionFailure(_) => Fault::Refused,
        SdkError::DispatchFailure(failure) if failure.is_user() => Fault::Refused,
        // Failed dispatches, timeouts and broken answers. `SdkError` is not exhaustive.
        _ => Fault::Unavailable,
    }
}

/// Classifies an answer of the service by its error code, or by its HTTP status where the code is missing or unknown.
///
/// The codes are those of the developer guides of `DynamoDB` ("Error handling"), S3 ("Error responses") and SQS
/// ("Common errors"). An answer to a HEAD request has no code.
fn fault_of_service(code: &str, message: &str, status: u16) -> Fault {
    match code {
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException" => Fault::Throttled,
        "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "OperationAborted"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ServiceUnavailable" => Fault::Unavailable,
        "RequestExpired" | "RequestInTheFuture" | "RequestTimeTooSkewed" => Fault::ExpiredSignature,
        "InvalidSignatureException" | "SignatureDoesNotMatch" if is_untimely(message) => Fault::ExpiredSignature,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => Fault::ExpiredToken,
        "IncompleteSignatureException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "InvalidToken"
        | "MissingAuthenticationTokenException"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Fault::Credentials,
        "AccessDenied"
        | "AccessDeniedException"
        | "ConditionalCheckFailedException"
        | "InvalidArgument"
        | "InvalidObjectState"
        | "InvalidRange"
        | "NoSuchBucket"
        | "NoSuchKey"
        | "NoSuchVersion"
        | "PreconditionFailed"
        | "ResourceInUseException"
        | "ResourceNotFoundException"
        | "ValidationException" => Fault::Refused,
        _ => fault_of_status(status),
    }
}

/// Classifies an answer without a known code. 425 is "Too Early".
const fn fault_of_status(status: u16) -> Fault {
    match status {
        429 => Fault::Throttled,
        408 | 425 | 500.. => Fault::Unavailable,
        _ => Fault::Refused,
    }
}

/// Returns whether the message about a wrong signature is about its time: `Signature expired: … is now earlier than …`
/// or `Signature not yet current: …`.
fn is_untimely(message: &str) -> bool {
    message.contains("expired") || message.contains("not yet current")
}

/// Returns whether the SDK did not send the call because it has no credentials to sign it with.
pub(crate) fn lacks_credentials<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: Error + 'static,
{
    if matches!(error, SdkError::ServiceError(_)) {
        return false;
    }
    // The SDK has no type for a client without any provider, but its message contains the word.
    !waits_for_credentials(error) && causes(error).any(|cause| cause.to_string().contains("credential"))
}

/// Returns whether the service that hands out credentials did not answer in time. Other errors of a provider would come
/// again: the session has ended, the profile is wrong.
fn waits_for_credentials<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: Error + 'static,
{
    let mut providers = causes(error).filter_map(|cause| cause.downcast_ref::<CredentialsError>());
    providers.any(|error| matches!(error, CredentialsError::ProviderTimedOut(_)))
}

/// Returns whether the SDK did not send the call because no region is set: without one it does not know the endpoint.
pub(crate) fn lacks_region<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: Error + 'static,
{
    !matches!(error, SdkError::ServiceError(_))
        && causes(error).any(|cause| cause.to_string().contains("Missing Region"))
}

/// Returns an error and its causes, outermost first.
pub(crate) fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemError;

    use super::*;

    #[test]
    fn codes_and_statuses_have_one_class() {
        for (code, status, expected) in [
            ("ProvisionedThroughputExceededException", 400, Fault::Throttled),
            ("ThrottlingException", 400, Fault::Throttled),
            ("SlowDown", 503, Fault::Throttled),
            ("", 429, Fault::Throttled),
            ("InternalServerError", 500, Fault::Unavailable),
            ("OperationAborted", 409, Fault::Unavailable),
            ("RequestTimeout", 400, Fault::Unavailable),
            ("", 408, Fault::Unavailable),
            ("", 503, Fault::Unavailable),
            ("RequestTimeTooSkewed", 403, Fault::ExpiredSignature),
            ("RequestExpired", 400, Fault::ExpiredSignature),
            ("ExpiredToken", 400, Fault::ExpiredToken),
            ("ExpiredTokenException", 400, Fault::ExpiredToken),
            ("InvalidAccessKeyId", 403, Fault::Credentials),
            ("UnrecognizedClientException", 400, Fault::Credentials),
            ("AccessDenied", 403, Fault::Refused),
            ("ResourceNotFoundException", 400, Fault::Refused),
            ("ValidationException", 400, Fault::Refused),
            ("Unknown", 400, Fault::Refused),
            ("", 403, Fault::Refused),
        ] {
            assert_eq!(fault_of_service(code, "", status), expected, "{code} {status}");
        }
    }

    #[test]
    fn a_slow_provider_of_credentials_is_asked_again() {
        let class = |error: CredentialsError| fault(&SdkError::<BatchWriteItemError, _>::construction_failure(error));
        let timed_out = CredentialsError::provider_timed_out(std::time::Duration::from_secs(1));
        assert_eq!(class(timed_out), Fault::Unavailable);
        assert_eq!(class(CredentialsError::not_loaded("none")), Fault::Credentials);
        assert_eq!(class(CredentialsError::provider_error("the session has ended")), Fault::Credentials);
    }

    #[test]
    fn a_wrong_signature_is_permanent_unless_its_time_is_wrong() {
        for code in ["InvalidSignatureException", "SignatureDoesNotMatch"] {
            for message in ["Signature expired: 2026 is now earlier than 2026", "Signature not yet current: 2026"] {
                assert_eq!(fault_of_service(code, message, 403), Fault::ExpiredSignature, "{code} {message}");
            }
            assert_eq!(fault_of_service(code, "The signature does not match", 403), Fault::Credentials, "{code}");
        }
    }
}
