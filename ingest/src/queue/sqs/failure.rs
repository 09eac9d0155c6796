//! What SQS answered, as a kind of [`QueueError`](crate::queue::QueueError).
//!
//! In: an SDK error, or the code of one entry of a batch. Out: the kind, which says whether trying again can help. Codes
//! come in the names of both of SQS's protocols; what is not known is judged by the HTTP status.

use std::error::Error;

use aws_sdk_sqs::{
    config::http::HttpResponse,
    error::{BuildError, ProvideErrorMetadata, SdkError},
};

use crate::{
    aws::{Answer, Failure},
    queue::QueueErrorKind,
};

/// A call that failed as a whole.
pub(super) struct QueueFailure {
    pub(super) code: String,
    pub(super) kind: QueueErrorKind,
}

impl QueueFailure {
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let failure = Failure::of(error);
        Self { code: failure.code(), kind: kind_of_failure(&failure) }
    }

    pub(super) fn not_built(error: BuildError) -> Self {
        let failure = Failure::NotSent(error.to_string());
        Self { code: failure.code(), kind: kind_of_failure(&failure) }
    }
}

/// The kind of an error that a call brought.
pub(super) fn kind_of<E>(error: &SdkError<E, HttpResponse>) -> QueueErrorKind
where
    E: ProvideErrorMetadata + Error + 'static,
{
    kind_of_failure(&Failure::of(error))
}

/// The kind of what happened.
pub(super) fn kind_of_failure(failure: &Failure) -> QueueErrorKind {
    match failure {
        Failure::Answered(answer) => kind_of_answer(failure, answer),
        Failure::Unreached(text) => QueueErrorKind::Unavailable(text.clone()),
        // `access is denied (no credentials)`: what the provider said is the SDK's own log.
        Failure::NoCredentials(_) => QueueErrorKind::Forbidden { code: failure.code() },
        Failure::NotSent(text) => QueueErrorKind::Refused { code: failure.code(), message: text.clone() },
    }
}

fn kind_of_answer(failure: &Failure, answer: &Answer) -> QueueErrorKind {
    let (status, code, short) = (answer.status, answer.code.as_str(), short(&answer.code));
    if is_throttling(short) || (status == 429 && code.is_empty()) {
        return QueueErrorKind::Throttled { code: failure.code() };
    }
    match short {
        "NonExistentQueue" | "QueueDoesNotExist" => QueueErrorKind::Missing,
        "OverLimit" => QueueErrorKind::OverLimit,
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthFailure"
        | "AuthorizationError"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSecurity"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotAuthorized"
        | "OptInRequired"
        | "SignatureDoesNotMatch"
        | "UnauthorizedOperation"
        | "UnrecognizedClientException" => QueueErrorKind::Forbidden { code: failure.code() },
        _ if is_key_denied(code) => QueueErrorKind::Forbidden { code: failure.code() },
        // A clock that is wrong: the SDK learns the difference from the answer and may be right the next time.
        "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture" => QueueErrorKind::Unavailable(failure.text()),
        _ if is_transient(short) || status >= 500 => QueueErrorKind::Unavailable(failure.text()),
        _ if status == 403 || status == 401 => QueueErrorKind::Forbidden { code: failure.code() },
        _ => QueueErrorKind::Refused { code: failure.code(), message: answer.message.clone() },
    }
}

/// Whether asking again cannot help for one entry of a batch.
pub(super) fn is_final(code: &str, sender_fault: bool) -> bool {
    let short = short(code);
    sender_fault && !is_throttling(short) && !is_transient(short) && short != "OverLimit"
}

/// The last part of `AWS.SimpleQueueService.NonExistentQueue` and of `KMS.ThrottlingException`.
fn short(code: &str) -> &str {
    code.rsplit(['.', '#']).next().unwrap_or(code)
}

fn is_throttling(short: &str) -> bool {
    matches!(
        short,
        "KmsThrottled"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "TooManyRequestsException"
    )
}

fn is_transient(short: &str) -> bool {
    matches!(
        short,
        "InternalError"
            | "InternalFailure"
            | "InternalServerError"
            | "RequestTimeout"
            | "RequestTimeoutException"
            | "ServiceUnavailable"
            | "ServiceUnavailableException"
    )
}

/// The key of an encrypted queue may not be used, or cannot be: `KmsAccessDenied`, `KMS.DisabledException`, …
fn is_key_denied(code: &str) -> bool {
    code.split(['.', '#']).any(|part| part == "KMS" || part.starts_with("Kms"))
}
