//! Why a record could not be understood.
//!
//! Out: one sentence that names the field and never quotes its content (the reason is stored in the quarantine, and the
//! content of a broken record may be a secret).

/// Why one record could not be understood; it goes to the quarantine with this as the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the record is not UTF-8 text")]
    NotUtf8,
    #[error("the record is not valid JSON: {what}")]
    NotJson { what: String },
    #[error("the record is not a JSON object")]
    NotAnObject,
    #[error("`{field}` is missing")]
    Missing { field: &'static str },
    #[error("`{field}` is not {expected}")]
    Invalid { field: &'static str, expected: &'static str },
    #[error("`{field}` is there twice")]
    Twice { field: &'static str },
    #[error("`eventVersion` {version} is not of the 1.x format that this program reads")]
    UnsupportedVersion { version: String },
    #[error("the record nests deeper than {limit} levels")]
    TooDeep { limit: usize },
    #[error("`{field}` has {count} entries, more than the {limit} that are read")]
    TooMany { field: &'static str, count: usize, limit: usize },
}

/// Why a well-formed record has no row in `access_events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IgnoredReason {
    /// Its service or its event has nothing to do with secrets.
    NotAboutSecrets,
    /// The twin of a call that the management trail records as well.
    NetworkActivity,
    /// A CloudTrail Insight: a statement about many calls, not a call.
    Insight,
    /// A roll-up of many calls.
    Aggregated,
    /// Only public `/aws/service/...` parameters were read.
    PublicParameter,
    /// An AWS service took up its own role.
    ServiceOwnSession,
}

impl IgnoredReason {
    /// The stored spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAboutSecrets => "not_about_secrets",
            Self::NetworkActivity => "network_activity",
            Self::Insight => "insight",
            Self::Aggregated => "aggregated",
            Self::PublicParameter => "public_parameter",
            Self::ServiceOwnSession => "service_own_session",
        }
    }
}

impl std::fmt::Display for IgnoredReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
