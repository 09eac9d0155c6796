//! What can go wrong when a message is sent, and what to do then.
//!
//! In: a status, an I/O failure, a word of the other side. Out: one [`SendError`] that names the sink, the place (a host,
//! never a path or a query: those of a Slack or PagerDuty address are secrets) and the kind.
//! Invariants: no text here holds a secret; every kind answers [`SendErrorKind::response`]: try again, or park.

use std::time::Duration;

use thiserror::Error;

/// A message that did not arrive, or of which nobody knows whether it did.
#[derive(Debug, Error)]
#[error("send to {sink} ({place}): {kind}{}", .detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}")))]
pub struct SendError {
    /// The sink's name in the configuration.
    pub sink: String,
    /// Where it sends to, fit to be shown: a host, a topic, a file.
    pub place: String,
    pub kind: SendErrorKind,
    /// The status of the answer, where there was one (HTTP or SMTP).
    pub status: Option<u16>,
    /// What the other side said of it: short, cleaned, without our secrets.
    pub detail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendErrorKind {
    /// The other side will not take this message, however often it comes.
    #[error("refused")]
    Refused,
    #[error("answered with a redirect, which is never followed")]
    Redirected,
    #[error("asked to slow down")]
    Throttled { retry_after: Option<Duration> },
    /// The other side is there and cannot.
    #[error("not available")]
    Unavailable { retry_after: Option<Duration> },
    #[error("not reached")]
    Unreachable,
    #[error("no answer in time")]
    Timeout,
    #[error("not configured to work ({0})")]
    Misconfigured(&'static str),
    #[error("the message is larger than the {limit} bytes it may have")]
    TooLarge { limit: usize },
}

/// What to do with a message that was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Try again with the same delivery id, not before so long where the other side said so.
    Retry { after: Option<Duration> },
    /// Do not try again; keep it where a person sees it.
    Park,
}

impl SendErrorKind {
    pub fn response(&self) -> Response {
        match self {
            Self::Throttled { retry_after } | Self::Unavailable { retry_after } => {
                Response::Retry { after: *retry_after }
            }
            Self::Unreachable | Self::Timeout => Response::Retry { after: None },
            Self::Refused | Self::Redirected | Self::Misconfigured(_) | Self::TooLarge { .. } => Response::Park,
        }
    }
}

impl SendError {
    pub fn response(&self) -> Response {
        self.kind.response()
    }

    /// A sink that cannot be built as it is configured.
    pub(crate) fn misconfigured(sink: &str, place: &str, why: &'static str) -> Self {
        Self::of(sink, place, SendErrorKind::Misconfigured(why))
    }

    pub(crate) fn of(sink: &str, place: &str, kind: SendErrorKind) -> Self {
        Self { sink: sink.to_owned(), place: place.to_owned(), kind, status: None, detail: None }
    }
}
