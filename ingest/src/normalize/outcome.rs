//! How a call ended.
//!
//! In: `errorCode`, whether there is an `errorMessage`, and the event's name. Out: an [`Outcome`].
//!
//! Invariant: `ok` is said only where nothing speaks against it: Secrets Manager's own failure events have no
//! `errorCode`, and a record with an error message but no code is an error.

use keytrail_model::Outcome;

const THROTTLED: &[&str] = &["throttl", "requestlimitexceeded", "toomanyrequests", "slowdown", "rateexceeded"];
const DENIED: &[&str] = &["accessdenied", "unauthorized", "notauthorized", "forbidden", "authorizationerror"];
/// Service events that tell of a failure without any `errorCode`; no API call has such a name.
const FAILED: &[&str] = &["RotationFailed", "RotationAbandoned", "TestRotationFailed", "ReplicationFailed"];

/// The outcome that a CloudTrail record tells.
pub(super) fn of(error_code: Option<&str>, has_message: bool, event_name: &str) -> Outcome {
    match error_code {
        Some(code) => of_code(code),
        None if has_message || FAILED.contains(&event_name) => Outcome::Error,
        None => Outcome::Ok,
    }
}

fn of_code(code: &str) -> Outcome {
    let code = code.to_ascii_lowercase();
    if THROTTLED.iter().any(|word| code.contains(word)) {
        Outcome::Throttled
    } else if DENIED.iter().any(|word| code.contains(word)) {
        Outcome::Denied
    } else {
        Outcome::Error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_finds_its_outcome() {
        for (code, outcome) in [
            ("AccessDenied", Outcome::Denied),
            ("AccessDeniedException", Outcome::Denied),
            ("Client.UnauthorizedOperation", Outcome::Denied),
            ("VpceAccessDenied", Outcome::Denied),
            ("ThrottlingException", Outcome::Throttled),
            ("Throttling", Outcome::Throttled),
            ("RequestLimitExceeded", Outcome::Throttled),
            ("TooManyRequestsException", Outcome::Throttled),
            ("ResourceNotFoundException", Outcome::Error),
            ("ParameterNotFound", Outcome::Error),
            ("LimitExceededException", Outcome::Error),
        ] {
            assert_eq!(of(Some(code), true, "GetSecretValue"), outcome, "{code}");
        }
    }

    #[test]
    fn failures_without_a_code_are_no_success() {
        assert_eq!(of(None, false, "RotationFailed"), Outcome::Error);
        assert_eq!(of(None, false, "RotationAbandoned"), Outcome::Error);
        assert_eq!(of(None, true, "RotationFailed"), Outcome::Error);
        assert_eq!(of(None, false, "RotationSucceeded"), Outcome::Ok);
        assert_eq!(of(None, true, "GetSecretValue"), Outcome::Error);
        assert_eq!(of(None, false, "GetSecretValue"), Outcome::Ok);
    }
}
