//! The closed vocabularies of the product, each spelled once.
//!
//! In and out: an enum value and its stored spelling (the text in the lake, in JSON and on pages). Parsing an unknown
//! word is an error that lists the known ones; nothing is guessed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A word that the vocabulary does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// Which vocabulary, for example `severity`.
    pub vocabulary: &'static str,
    /// The text that was given.
    pub given: String,
    /// The words that would have been right.
    pub known: &'static [&'static str],
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a known {}; use one of {}", self.given, self.vocabulary, self.known.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $vocabulary:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every word, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stored spelling.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { vocabulary: $vocabulary, given: text.to_owned(), known: &[$($text),+] }),
                }
            }
        }
    };
}

words! {
    /// What was done with the secret.
    Action, "action" {
        Read = "read", List = "list", Describe = "describe", Create = "create", Write = "write", Rotate = "rotate",
        Stage = "stage", Delete = "delete", Restore = "restore", Policy = "policy", Replicate = "replicate",
        /// KMS evidence about a read, never a read of its own.
        Decrypt = "decrypt",
        /// An API invocation through an IAM-authenticated gateway.
        Invoke = "invoke",
        Other = "other",
    }
}

words! {
    /// How the call ended.
    Outcome, "outcome" { Ok = "ok", Denied = "denied", Throttled = "throttled", Error = "error" }
}

words! {
    /// What kind of thing the secret is.
    SecretKind, "secret kind" { SecretsManager = "secretsmanager", Parameter = "parameter", Api = "api" }
}

words! {
    /// How `secret_id` was found.
    Resolution, "secret resolution" {
        /// The record states the full ARN.
        Arn = "arn",
        /// A name that leads to one ARN (for parameters by construction, for secrets through a known identity).
        Name = "name",
        /// An ARN without its six-character suffix, completed through a known identity.
        PartialArn = "partial_arn",
        /// A Secrets Manager secret read through `/aws/reference/secretsmanager/`.
        Reference = "reference",
        /// A whole path was read (`GetParametersByPath`); the id ends in `/*`.
        Path = "path",
        /// Found only in the text of an access-denied message.
        ErrorMessage = "error_message",
        /// The text as typed; no identity is known for it yet.
        Unresolved = "unresolved",
        /// The record names no secret.
        None = "none",
    }
}

words! {
    /// How `version_id` or `version_stage` is known.
    VersionEvidence, "version evidence" {
        /// The caller asked for this version or stage.
        Request = "request",
        /// The KMS `Decrypt` made for the read names it.
        Kms = "kms",
        /// A Secrets Manager service event or a write names it.
        Event = "event",
    }
}

words! {
    /// Who acted, with sessions folded.
    PrincipalKind, "principal kind" {
        Role = "role", User = "user", Root = "root", Service = "service", Account = "account",
        Federated = "federated", IdentityCenter = "identity_center", Unknown = "unknown",
    }
}

words! {
    /// What the caller proved itself with.
    CredentialKind, "credential kind" {
        Role = "role", LongTermKey = "long_term_key", SessionToken = "session_token", Root = "root",
        Service = "service", Console = "console", Federated = "federated",
    }
}

words! {
    /// How bad it would be if the alert is right; ordered.
    Severity, "severity" { Info = "info", Low = "low", Medium = "medium", High = "high", Critical = "critical" }
}

words! {
    /// How usual a value is, against a stated baseline; ordered from usual to never seen.
    Frequency, "frequency" { Frequent = "FREQUENT", Infrequent = "INFREQUENT", Rare = "RARE", Unseen = "UNSEEN" }
}

words! {
    /// What kind of trouble an alert tells of.
    AlertClass, "alert class" { Detection = "detection", RuleError = "rule_error", System = "system" }
}

words! {
    /// Where an alert is in its life.
    AlertState, "alert state" {
        Open = "open", Acknowledged = "acknowledged", Closed = "closed", Suppressed = "suppressed",
    }
}

words! {
    /// What a sink is told of.
    DeliveryChange, "change of a delivery" {
        Trigger = "trigger",
        Update = "update",
        Acknowledge = "acknowledge",
        Resolve = "resolve",
        /// Many alerts of one rule in one message.
        Storm = "storm",
        /// Every alert of a storm is closed.
        StormOver = "storm_over",
    }
}

words! {
    /// How a delivery stands.
    DeliveryState, "state of a delivery" {
        /// A worker is at it, until its claim ends.
        Claimed = "claimed",
        Delivered = "delivered",
        /// It did not arrive and is tried again.
        Failed = "failed",
        /// It is not tried again until a person asks for it.
        Parked = "parked",
        /// Another delivery tells of it.
        Covered = "covered",
    }
}

words! {
    /// What a person decided an alert was.
    Verdict, "verdict" {
        TruePositive = "true_positive", Expected = "expected", FalsePositive = "false_positive", Duplicate = "duplicate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_parses_back() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
        for resolution in Resolution::ALL {
            assert_eq!(resolution.as_str().parse(), Ok(*resolution));
        }
    }

    #[test]
    fn an_unknown_word_lists_the_known_ones() {
        let error = "hgih".parse::<Severity>().expect_err("not a severity");
        assert_eq!(error.to_string(), "`hgih` is not a known severity; use one of info, low, medium, high, critical");
    }

    #[test]
    fn severity_is_ordered() {
        assert!(Severity::Critical > Severity::High && Severity::Low > Severity::Info);
    }
}
