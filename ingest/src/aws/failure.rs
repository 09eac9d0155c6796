//! An SDK error -> what happened, in few words and fixed shape.
//!
//! In: any service's `SdkError`. Out: a [`Failure`]: the service answered with a code, or no answer came, or nothing was sent.
//! What the service wrote is capped. It decides nothing: callers map codes to their own errors.

use std::error::Error;

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

/// Longest text taken over from an error.
const MAX_TEXT_CHARS: usize = 300;

/// Why a call brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The service answered with an error.
    Answered(Answer),
    /// No answer, or half of one: connection, time limit, reset, a body that is none.
    Unreached(String),
    /// There are no credentials to sign with, or they cannot be fetched.
    NoCredentials(String),
    /// The SDK did not send it: the input cannot be one.
    NotSent(String),
}

/// A service's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Empty where the service gave none.
    pub(crate) code: String,
    pub(crate) message: String,
    /// S3: where the bucket is, by header or body.
    pub(crate) region: Option<String>,
    /// S3: the newest version, or the version asked for, is a deletion.
    pub(crate) delete_marker: bool,
    /// S3: where an archived object lies.
    pub(crate) storage_class: Option<String>,
}

impl Failure {
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ServiceError(answered) => {
                let raw = answered.raw();
                let header = |name: &str| raw.headers().get(name).map(str::to_owned);
                Self::Answered(Answer {
                    status: raw.status().as_u16(),
                    code: capped(answered.err().code().unwrap_or_default()),
                    message: capped(answered.err().message().unwrap_or_default()),
                    region: header("x-amz-bucket-region")
                        .or_else(|| raw.body().bytes().and_then(|body| text_of(body, "Region")))
                        .filter(|region| is_region(region)),
                    delete_marker: header("x-amz-delete-marker").is_some_and(|value| value == "true"),
                    storage_class: raw
                        .body()
                        .bytes()
                        .and_then(|body| text_of(body, "StorageClass"))
                        .map(|class| capped(&class)),
                })
            }
            SdkError::ResponseError(half) if half.raw().status().as_u16() >= 300 => Self::Answered(Answer {
                // An error page that is no S3 error: a proxy's, or an emulator's.
                status: half.raw().status().as_u16(),
                message: chain(error),
                ..Answer::default()
            }),
            _ => {
                let text = chain(error);
                if lacks_credentials(&text) {
                    Self::NoCredentials(text)
                } else if matches!(error, SdkError::ConstructionFailure(_)) {
                    Self::NotSent(text)
                } else {
                    Self::Unreached(text)
                }
            }
        }
    }

    /// One line for people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Answered(Answer { status, code, message, .. }) => match (code.as_str(), message.as_str()) {
                ("", "") => format!("status {status}"),
                ("", message) => format!("status {status}: {message}"),
                (code, "") => code.to_owned(),
                (code, message) => format!("{code}: {message}"),
            },
            Self::Unreached(text) | Self::NoCredentials(text) | Self::NotSent(text) => text.clone(),
        }
    }

    /// The code that a caller shows: the service's, else one for the kind.
    pub(crate) fn code(&self) -> String {
        match self {
            Self::Answered(answer) if answer.code.is_empty() => format!("status {}", answer.status),
            Self::Answered(answer) => answer.code.clone(),
            Self::Unreached(_) => "unreachable".to_owned(),
            Self::NoCredentials(_) => "no credentials".to_owned(),
            Self::NotSent(_) => "not sent".to_owned(),
        }
    }
}

/// What an error and its causes say, each sentence once.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
        cause = error.source();
    }
    capped(&said.join(": "))
}

fn capped(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

/// Whether nothing can be signed until a person acts. The SDK's error types for this cannot be named from here, so its fixed
/// sentences are matched; a provider that failed for another reason may work the next time.
fn lacks_credentials(text: &str) -> bool {
    let unset =
        ["the credential provider was not enabled", "was not properly configured", "Be sure to set an identity"];
    let denied = text.contains("error occurred while loading credentials")
        && ["AccessDenied", "not authorized", "InvalidClientTokenId", "ExpiredToken"]
            .iter()
            .any(|word| text.contains(word));
    denied || unset.iter().any(|sentence| text.contains(sentence))
}

/// `eu-west-1` of `<Region>eu-west-1</Region>` in an S3 error body.
fn text_of(body: &[u8], element: &str) -> Option<String> {
    let open = format!("<{element}>");
    let from = memchr::memmem::find(body, open.as_bytes())? + open.len();
    let rest = body.get(from..)?;
    let text = rest.get(..memchr::memmem::find(rest, format!("</{element}>").as_bytes())?)?;
    std::str::from_utf8(text).ok().map(|text| text.trim().to_owned())
}

/// The form of a region's name; the name becomes part of a host name, so nothing else gets through.
pub(crate) fn is_region(text: &str) -> bool {
    (2..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_only_ever_a_host_label() {
        for good in ["us-east-1", "eu-isoe-west-1", "cn-north-1", "EU"].map(str::to_ascii_lowercase) {
            assert!(is_region(&good), "{good}");
        }
        for bad in ["", "x", "evil.example/", "us east", "-us", "US-EAST-1", &"a".repeat(33)] {
            assert!(!is_region(bad), "{bad}");
        }
    }

    #[test]
    fn the_region_is_found_in_a_body() {
        let body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        assert_eq!(text_of(body, "Region").as_deref(), Some("eu-west-1"));
        assert_eq!(text_of(b"<Region>eu-west-1", "Region"), None);
        assert_eq!(text_of(b"<Region>\xff</Region>", "Region"), None);
        assert_eq!(text_of(b"", "Region"), None);
    }

    #[test]
    fn lines_for_people() {
        let answer = |code: &str, message: &str| {
            Failure::Answered(Answer {
                status: 403,
                code: code.to_owned(),
                message: message.to_owned(),
                ..Answer::default()
            })
        };
        assert_eq!(answer("", "").text(), "status 403");
        assert_eq!(answer("AccessDenied", "no").text(), "AccessDenied: no");
        assert_eq!(answer("AccessDenied", "").text(), "AccessDenied");
        assert_eq!(answer("", "").code(), "status 403");
    }

    #[test]
    fn credentials_that_a_person_must_mend() {
        assert!(lacks_credentials("dispatch failure: the credential provider was not enabled: no providers in chain"));
        assert!(lacks_credentials(
            "an error occurred while loading credentials: service error: AccessDenied: not authorized"
        ));
        assert!(!lacks_credentials("an error occurred while loading credentials: dispatch failure: timeout"));
        assert!(!lacks_credentials("dispatch failure: connection reset"));
    }
}
