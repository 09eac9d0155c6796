//! How a lake in a bucket is reached: explicit limits, credentials as AWS's tools find them, commits that never overwrite.
//!
//! In: [`S3Options`] and the environment. Out: the options that Delta's S3 store takes. Whatever the environment says, a
//! commit is one conditional put (`If-None-Match: *`): no locking table, no rename. Credentials come from AWS's standard
//! chain (environment, profile, web identity, container, instance), through a role where one is named; they are asked for
//! again before they expire and never written anywhere.
//!
//! Opening a lake in a bucket resolves that chain in place, so it needs a runtime of several threads.

use std::{collections::HashMap, sync::Once, time::Duration};

use crate::location::Location;

/// How the bucket is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Options {
    /// Another endpoint than AWS's own; else `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, else AWS.
    pub endpoint: Option<String>,
    /// The bucket's region; else `AWS_REGION` or `AWS_DEFAULT_REGION`, else us-east-1.
    pub region: Option<String>,
    /// Whether plain HTTP is allowed; for endpoints of this machine.
    pub allow_http: bool,
    /// The bucket stands in the path, not in the host's name: works everywhere.
    pub path_style: bool,
    /// A role to act in.
    pub role_arn: Option<String>,
    /// The name of that role's session.
    pub role_session_name: Option<String>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How often a request is tried again, and for how long in all.
    pub retries: u32,
    pub retry_within: Duration,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            allow_http: false,
            path_style: true,
            role_arn: None,
            role_session_name: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(60),
            retries: 8,
            retry_within: Duration::from_secs(120),
        }
    }
}

impl S3Options {
    /// The options of Delta's store for this location; none for a folder.
    pub(crate) fn storage_options(&self, location: &Location) -> HashMap<String, String> {
        if let Location::Folder(_) = location {
            return HashMap::new();
        }
        register();
        let millis = |duration: Duration| format!("{}ms", duration.as_millis().max(1));
        let stated = [
            ("aws_conditional_put", Some("etag".to_owned())),
            // Said here, so that the environment cannot say otherwise.
            ("AWS_S3_LOCKING_PROVIDER", Some("none".to_owned())),
            ("AWS_S3_ALLOW_UNSAFE_RENAME", Some("false".to_owned())),
            ("AWS_FORCE_CREDENTIAL_LOAD", Some("true".to_owned())),
            ("aws_virtual_hosted_style_request", Some((!self.path_style).to_string())),
            ("allow_http", self.allow_http.then(|| "true".to_owned())),
            ("aws_endpoint", self.endpoint.clone()),
            ("aws_region", self.region.clone()),
            ("AWS_IAM_ROLE_ARN", self.role_arn.clone()),
            ("AWS_IAM_ROLE_SESSION_NAME", self.role_session_name.clone()),
            ("connect_timeout", Some(millis(self.connect_timeout))),
            ("timeout", Some(millis(self.request_timeout))),
            ("max_retries", Some(self.retries.to_string())),
            ("retry_timeout", Some(millis(self.retry_within))),
        ];
        stated.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// Teaches Delta what `s3://` is, once in a process.
fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| deltalake::aws::register_handlers(None));
}

#[cfg(test)]
mod tests;
