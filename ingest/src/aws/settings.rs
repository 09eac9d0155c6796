//! What can be set about the connection to AWS. Everything left out comes from AWS's standard environment and profile files.
//!
//! None of it is a credential. External ids are no secrets by AWS's own words, and are still left out of `Debug`: they name
//! customers in some set-ups.

use std::{fmt, time::Duration};

/// How to reach AWS, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsSettings {
    /// Else `AWS_REGION`, the profile, or the machine's own region.
    pub region: Option<String>,
    /// Else `AWS_ENDPOINT_URL` and the like. For emulators and S3-compatible stores.
    pub endpoint_url: Option<String>,
    /// Else `AWS_PROFILE`, else `default`.
    pub profile: Option<String>,
    /// Assumed on top of the standard chain, for everything.
    pub assume_role: Option<AssumeRole>,
    /// Roles in other accounts, assumed on top of that where an account is asked about itself.
    pub accounts: Vec<AccountRole>,
    /// `http://endpoint/bucket/key` instead of `http://bucket.endpoint/key`; by itself where an endpoint is set.
    pub path_style: Option<bool>,
    pub time_limits: TimeLimits,
}

/// A role to assume.
#[derive(Clone, PartialEq, Eq)]
pub struct AssumeRole {
    pub role_arn: String,
    pub external_id: Option<String>,
    /// `keytrail` where left out: it is what CloudTrail shows of the worker's own calls.
    pub session_name: Option<String>,
}

/// The role to assume where an account is asked about its trails.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountRole {
    pub account_id: String,
    pub role_arn: String,
    pub external_id: Option<String>,
}

impl fmt::Debug for AssumeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeRole")
            .field("role_arn", &self.role_arn)
            .field("external_id", &self.external_id.as_ref().map(|_| "…"))
            .field("session_name", &self.session_name)
            .finish()
    }
}

impl fmt::Debug for AccountRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountRole")
            .field("account_id", &self.account_id)
            .field("role_arn", &self.role_arn)
            .field("external_id", &self.external_id.as_ref().map(|_| "…"))
            .finish()
    }
}

/// How long one attempt of a call may take. A body that is being read has its own limits
/// ([`ReadSettings`](crate::objects::s3::ReadSettings)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimits {
    pub connect: Duration,
    /// Until the answer begins.
    pub answer: Duration,
    /// The same for the queue, whose longest poll is 20 s.
    pub queue_answer: Duration,
    /// Attempts of one call inside the SDK.
    pub attempts: u32,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            answer: Duration::from_secs(10),
            queue_answer: Duration::from_secs(30),
            attempts: 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_external_id() {
        let settings = AwsSettings {
            assume_role: Some(AssumeRole {
                role_arn: "arn:aws:iam::111122223333:role/keytrail".to_owned(),
                external_id: Some("sesame".to_owned()),
                session_name: None,
            }),
            accounts: vec![AccountRole {
                account_id: "111122223333".to_owned(),
                role_arn: "arn:aws:iam::111122223333:role/trail-reader".to_owned(),
                external_id: Some("sesame".to_owned()),
            }],
            ..AwsSettings::default()
        };
        let shown = format!("{settings:?}");
        assert!(shown.contains("role/keytrail") && shown.contains("role/trail-reader"), "{shown}");
        assert!(!shown.contains("sesame"), "{shown}");
    }

    #[test]
    fn the_queue_may_answer_later_than_its_longest_poll() {
        assert!(TimeLimits::default().queue_answer > Duration::from_secs(20));
    }
}
