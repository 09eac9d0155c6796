//! S3's answers -> [`ObjectErrorKind`].
//!
//! In: a failed call, and what was asked. Out: the kind that says what helps, or the region to ask in. Codes are taken before
//! status numbers; what neither explains is refused, with S3's own words.

use crate::{
    aws::{Answer, Failure},
    objects::ObjectErrorKind,
};

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Get { versioned: bool, resumed: bool },
    List,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Failed(ObjectErrorKind),
    /// The bucket is in another region, perhaps this one.
    Elsewhere(Option<String>),
}

impl Trouble {
    pub(super) fn into_kind(self) -> ObjectErrorKind {
        match self {
            Self::Failed(kind) => kind,
            Self::Elsewhere(region) => ObjectErrorKind::WrongRegion { region: region.unwrap_or_default() },
        }
    }
}

pub(super) fn classify(failure: &Failure, asked: Asked) -> Trouble {
    match failure {
        Failure::Answered(answer) => elsewhere(answer).unwrap_or_else(|| Trouble::Failed(answered(answer, asked))),
        Failure::Unreached(text) => Trouble::Failed(ObjectErrorKind::Unavailable(text.clone())),
        Failure::NoCredentials(text) | Failure::NotSent(text) => {
            Trouble::Failed(ObjectErrorKind::Refused { code: failure.code(), message: text.clone() })
        }
    }
}

fn elsewhere(answer: &Answer) -> Option<Trouble> {
    let region = answer.region.clone();
    match (answer.code.as_str(), answer.status) {
        ("PermanentRedirect" | "IllegalLocationConstraintException", _) | (_, 301 | 308) => {
            Some(Trouble::Elsewhere(region))
        }
        // This one is also said of a signature that is wrong in other ways; only then is no region told.
        ("AuthorizationHeaderMalformed", _) => region.map(|region| Trouble::Elsewhere(Some(region))),
        _ => None,
    }
}

fn answered(answer: &Answer, asked: Asked) -> ObjectErrorKind {
    let Answer { status, code, message, .. } = answer;
    let (versioned, resumed) = match asked {
        Asked::Get { versioned, resumed } => (versioned, resumed),
        Asked::List => (false, false),
    };
    let refused = |message: &str| ObjectErrorKind::Refused { code: shown(answer), message: message.to_owned() };
    let unavailable = || ObjectErrorKind::Unavailable(format!("{} (status {status})", shown(answer)));
    let is_about_key = is_about_key(message);
    match code.as_str() {
        "NoSuchBucket" | "InvalidBucketName" => ObjectErrorKind::NoSuchBucket,
        "NoSuchVersion" => ObjectErrorKind::MissingVersion,
        "MethodNotAllowed" if answer.delete_marker || versioned => ObjectErrorKind::MissingVersion,
        "InvalidArgument" if versioned && message.to_ascii_lowercase().contains("version") => {
            ObjectErrorKind::MissingVersion
        }
        "NoSuchKey" | "NotFound" | "KeyTooLongError" if versioned && answer.delete_marker => {
            ObjectErrorKind::MissingVersion
        }
        "NoSuchKey" | "KeyTooLongError" => ObjectErrorKind::Missing,
        "InvalidObjectState" => ObjectErrorKind::Archived {
            class: answer.storage_class.clone().unwrap_or_else(|| "in an archive class".to_owned()),
        },
        "PreconditionFailed" | "InvalidRange" if resumed => ObjectErrorKind::Overwritten,
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequests"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "RequestThrottled" => ObjectErrorKind::Throttled,
        key if key.starts_with("KMS.") && key.contains("Throttl") => ObjectErrorKind::Throttled,
        key if key.starts_with("KMS.") => ObjectErrorKind::KeyDenied { code: key.to_owned() },
        "RequestTimeTooSkewed" => {
            refused("this machine's clock is more than 15 minutes off AWS's: set it (NTP), then it goes on by itself")
        }
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken" => {
            refused(&format!("the credentials are not valid: {message}"))
        }
        "AccessDenied" | "AccessDeniedException" | "Forbidden" if is_about_key => {
            ObjectErrorKind::KeyDenied { code: code.clone() }
        }
        "AccessDenied" | "AccessDeniedException" | "Forbidden" => ObjectErrorKind::Forbidden { code: code.clone() },
        "InternalError"
        | "RequestTimeout"
        | "IncompleteBody"
        | "OperationAborted"
        | "TemporaryRedirect"
        | "ServiceUnavailable"
        | "ConditionalRequestConflict" => unavailable(),
        _ => match status {
            404 if asked == Asked::List => ObjectErrorKind::NoSuchBucket,
            404 => ObjectErrorKind::Missing,
            412 | 416 if resumed => ObjectErrorKind::Overwritten,
            401 | 403 if is_about_key => ObjectErrorKind::KeyDenied { code: shown(answer) },
            401 | 403 if code.is_empty() => ObjectErrorKind::Forbidden { code: shown(answer) },
            429 => ObjectErrorKind::Throttled,
            307 | 408 | 500.. => unavailable(),
            // An answer that is no S3 error at all: something in between, perhaps for now.
            _ if code.is_empty() && *status < 400 => unavailable(),
            _ => refused(message),
        },
    }
}

/// Whether a denial is KMS's, by the action or the ARN that it names; a bucket may have `kms` in its name.
fn is_about_key(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("kms:") || message.contains("the ciphertext refers to")
}

fn shown(answer: &Answer) -> String {
    if answer.code.is_empty() { format!("status {}", answer.status) } else { answer.code.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Asked = Asked::Get { versioned: false, resumed: false };
    const VERSION: Asked = Asked::Get { versioned: true, resumed: false };
    const RESUMED: Asked = Asked::Get { versioned: false, resumed: true };

    fn answer(status: u16, code: &str, message: &str) -> Answer {
        Answer { status, code: code.to_owned(), message: message.to_owned(), ..Answer::default() }
    }

    fn kind(status: u16, code: &str, message: &str, asked: Asked) -> ObjectErrorKind {
        match classify(&Failure::Answered(answer(status, code, message)), asked) {
            Trouble::Failed(kind) => kind,
            Trouble::Elsewhere(region) => panic!("elsewhere: {region:?}"),
        }
    }

    #[test]
    fn every_code_says_what_helps() {
        let kms = "User: arn:aws:sts::1:assumed-role/w/s is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:x";
        for (status, code, message, asked, wanted) in [
            (404, "NoSuchKey", "", GET, "missing"),
            (404, "", "", GET, "missing"),
            (400, "KeyTooLongError", "", GET, "missing"),
            (404, "NoSuchVersion", "", VERSION, "missing_version"),
            (405, "MethodNotAllowed", "", VERSION, "missing_version"),
            (400, "InvalidArgument", "Invalid version id specified", VERSION, "missing_version"),
            (404, "NoSuchBucket", "", GET, "no_such_bucket"),
            (404, "NoSuchBucket", "", Asked::List, "no_such_bucket"),
            (404, "", "", Asked::List, "no_such_bucket"),
            (403, "AccessDenied", "Access Denied", GET, "forbidden"),
            (403, "", "", GET, "forbidden"),
            (403, "AccessDenied", kms, GET, "kms_denied"),
            (403, "AccessDenied", "s3:GetObject on resource: arn:aws:s3:::kms-logs/x", GET, "forbidden"),
            (400, "KMS.DisabledException", "", GET, "kms_denied"),
            (400, "KMS.ThrottlingException", "", GET, "throttled"),
            (403, "InvalidObjectState", "", GET, "archived"),
            (503, "SlowDown", "", GET, "throttled"),
            (429, "", "", GET, "throttled"),
            (503, "ServiceUnavailable", "", GET, "unavailable"),
            (503, "", "", GET, "unavailable"),
            (500, "InternalError", "", GET, "unavailable"),
            (400, "RequestTimeout", "", GET, "unavailable"),
            (412, "PreconditionFailed", "", RESUMED, "overwritten"),
            (416, "InvalidRange", "", RESUMED, "overwritten"),
            (412, "PreconditionFailed", "", GET, "refused"),
            (403, "RequestTimeTooSkewed", "", GET, "refused"),
            (403, "InvalidAccessKeyId", "", GET, "refused"),
            (400, "AuthorizationHeaderMalformed", "", GET, "refused"),
            (400, "Whatever", "", GET, "refused"),
        ] {
            assert_eq!(kind(status, code, message, asked).as_str(), wanted, "{status} {code} {asked:?}");
        }
    }

    #[test]
    fn what_is_refused_says_what_to_do() {
        assert!(kind(403, "RequestTimeTooSkewed", "", GET).to_string().contains("NTP"));
        assert!(kind(403, "AccessDenied", "", GET).to_string().contains("s3:ListBucket"));
        assert!(kind(403, "ExpiredToken", "gone", GET).to_string().contains("credentials"));
        let archived =
            Answer { storage_class: Some("DEEP_ARCHIVE".to_owned()), ..answer(403, "InvalidObjectState", "") };
        let told = classify(&Failure::Answered(archived), GET).into_kind().to_string();
        assert!(told.contains("DEEP_ARCHIVE"), "{told}");
    }

    #[test]
    fn another_region_is_followed() {
        let told = |status, code: &str, region: Option<&str>| {
            let answer = Answer { region: region.map(str::to_owned), ..answer(status, code, "") };
            classify(&Failure::Answered(answer), GET)
        };
        let there = || Trouble::Elsewhere(Some("eu-west-1".to_owned()));
        assert_eq!(told(301, "PermanentRedirect", Some("eu-west-1")), there());
        assert_eq!(told(400, "AuthorizationHeaderMalformed", Some("eu-west-1")), there());
        assert_eq!(told(400, "IllegalLocationConstraintException", None), Trouble::Elsewhere(None));
        assert_eq!(told(301, "", None), Trouble::Elsewhere(None));
        // A refusal that happens to name the region is still a refusal.
        assert_eq!(told(403, "AccessDenied", Some("us-east-1")).into_kind().as_str(), "forbidden");
    }

    #[test]
    fn what_was_never_answered() {
        assert_eq!(classify(&Failure::Unreached("reset".to_owned()), GET).into_kind().as_str(), "unavailable");
        assert_eq!(classify(&Failure::NoCredentials(String::new()), GET).into_kind().as_str(), "refused");
        assert_eq!(classify(&Failure::NotSent(String::new()), Asked::List).into_kind().as_str(), "refused");
    }
}
