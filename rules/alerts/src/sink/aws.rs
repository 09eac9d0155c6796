//! What the two sinks in AWS share: what an error code means, and how text of a service is shown.

use std::error::Error;

use super::{SendErrorKind, text::clean};

/// Characters of a service's text that an error repeats.
const DETAIL: usize = 200;

/// Whether the same request may work later: by status, or by the code where a service answers 400 for it.
pub(crate) fn kind_of(status: u16, code: &str) -> SendErrorKind {
    let says = |words: &[&str]| words.iter().any(|word| code.contains(word));
    if status == 429 || says(&["Throttl", "TooManyRequests", "LimitExceeded", "SlowDown"]) {
        SendErrorKind::Throttled { retry_after: None }
    } else if status >= 500 || says(&["ExpiredToken", "RequestExpired", "Internal", "Unavailable"]) {
        // Credentials that ran out are fetched anew before the next try.
        SendErrorKind::Unavailable { retry_after: None }
    } else {
        SendErrorKind::Refused
    }
}

/// An error and what caused it, on one line.
pub(crate) fn chain(error: &dyn Error) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        // Some errors repeat their cause in their own words.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    shown(&parts.join(": "))
}

pub(crate) fn shown(text: &str) -> Option<String> {
    let text = clean(text, DETAIL);
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_work_later_is_told_from_what_will_not() {
        assert_eq!(kind_of(400, "ThrottledException"), SendErrorKind::Throttled { retry_after: None });
        assert_eq!(kind_of(429, ""), SendErrorKind::Throttled { retry_after: None });
        assert_eq!(kind_of(503, ""), SendErrorKind::Unavailable { retry_after: None });
        assert_eq!(kind_of(403, "ExpiredTokenException"), SendErrorKind::Unavailable { retry_after: None });
        assert_eq!(kind_of(403, "AuthorizationError"), SendErrorKind::Refused);
        assert_eq!(kind_of(404, "NotFound"), SendErrorKind::Refused);
    }
}
