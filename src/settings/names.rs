//! Names and addresses of AWS that a configuration holds: accounts, roles, buckets, endpoints.
//!
//! In: text. Out: a newtype whose parts are known to be well formed, or nothing. What may hold a credential (external ids, user and
//! password of a URL) is never shown, printed or logged: `Debug` and `show` give a masked form.

use std::{fmt, net::SocketAddr};

use serde_json::{Value as Json, json};

use super::{key::Setting, units::Item};

/// What stands in place of what must not be shown.
const MASK: &str = "***";

/// Twelve digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AccountId(String);

impl AccountId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is twelve digits.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Setting for AccountId {
    const KIND: &'static str = "an account id (twelve digits, in quotes)";
    const EXAMPLE: &'static str = "\"111122223333\"";

    fn from_text(text: &str) -> Option<Self> {
        is_account(text).then(|| Self(text.to_owned()))
    }

    fn show(&self) -> Json {
        json!(self.0)
    }
}

/// `arn:aws:iam::111122223333:role/path/name`, in any partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoleArn(String);

impl RoleArn {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The account the role is in.
    pub(crate) fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }
}

impl Setting for RoleArn {
    const KIND: &'static str = "the ARN of a role";
    const EXAMPLE: &'static str = "\"arn:aws:iam::111122223333:role/keytrail-reader\"";

    fn from_text(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let [arn, partition, service, region, account, resource] = parts.as_slice() else { return None };
        let name = resource.strip_prefix("role/")?;
        let is_role = *arn == "arn"
            && is_word(partition)
            && *service == "iam"
            && region.is_empty()
            && is_account(account)
            && !name.is_empty()
            && name.split('/').all(|part| !part.is_empty())
            && name.chars().all(|character| character.is_ascii_alphanumeric() || "/+=,.@_-".contains(character));
        is_role.then(|| Self(text.to_owned()))
    }

    fn show(&self) -> Json {
        json!(self.0)
    }
}

/// Lower-case letters, digits and hyphens, such as a region or a partition.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 40
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// `eu-central-1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region(String);

impl Region {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for Region {
    const KIND: &'static str = "a region";
    const EXAMPLE: &'static str = "\"eu-central-1\"";

    fn from_text(text: &str) -> Option<Self> {
        is_word(text).then(|| Self(text.to_owned()))
    }

    fn show(&self) -> Json {
        json!(self.0)
    }
}

/// A shared word between two accounts; whoever knows it can use the role together with the worker's own credentials.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ExternalId(String);

impl ExternalId {
    /// For the call that needs it, and nothing else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalId(…)")
    }
}

impl Setting for ExternalId {
    const KIND: &'static str = "an external id (2 to 1224 of A-Z a-z 0-9 _ + = , . @ : / -)";
    const EXAMPLE: &'static str = "\"keytrail-7Qk2\"";
    const SECRET: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        let is_id = (2..=1224).contains(&text.len())
            && text.chars().all(|character| character.is_ascii_alphanumeric() || "+=,.@:/-_".contains(character));
        is_id.then(|| Self(text.to_owned()))
    }

    fn show(&self) -> Json {
        json!(MASK)
    }
}

/// An `http` or `https` address; user and password, where it has them, are masked when shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EndpointUrl(String);

impl EndpointUrl {
    /// Whole, for the client.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Host without user, port and path.
    pub(crate) fn host(&self) -> &str {
        let authority = self.after_scheme().split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => host.split(':').next().unwrap_or_default(),
        }
    }

    /// What follows the host, without its first slash.
    pub(crate) fn path(&self) -> &str {
        self.after_scheme().split_once('/').map_or("", |(_, path)| path.split(['?', '#']).next().unwrap_or_default())
    }

    fn after_scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, rest)| rest)
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
        match authority.rsplit_once('@') {
            Some((_, host)) => write!(f, "{scheme}://{MASK}@{host}{path}"),
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({self})")
    }
}

impl Setting for EndpointUrl {
    const KIND: &'static str = "an http or https address";
    const EXAMPLE: &'static str = "\"https://vpce-0abc.sqs.eu-central-1.vpce.amazonaws.com\"";

    fn from_text(text: &str) -> Option<Self> {
        let (scheme, _) = text.split_once("://")?;
        let url = Self(text.to_owned());
        // A query could hold a credential that would not be masked, and no endpoint has one.
        let plain = text.chars().all(|character| character.is_ascii_graphic() && !"?#".contains(character));
        (plain && matches!(scheme, "http" | "https") && !url.host().is_empty()).then_some(url)
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}

/// `s3://bucket/prefix`: a place in a bucket; the prefix may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BucketPrefix {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
}

impl BucketPrefix {
    /// Reads `s3://bucket/prefix`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::from_text(text)
    }
}

impl fmt::Display for BucketPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

impl Setting for BucketPrefix {
    const KIND: &'static str = "a place in a bucket";
    const EXAMPLE: &'static str = "\"s3://bucket/prefix\"";

    fn from_text(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // Wildcards would widen the IAM policy that is made from this name.
        let is_bucket = (3..=255).contains(&bucket.len())
            && bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        let is_prefix = prefix.len() <= 1024
            && !prefix.contains(|character: char| "*?$".contains(character) || character.is_control());
        (is_bucket && is_prefix).then(|| Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}

impl Item for BucketPrefix {
    const LIST: &'static str = "a list of places in buckets";
    const LIST_EXAMPLE: &'static str = "[\"s3://bucket/prefix\"]";
}

impl Setting for SocketAddr {
    const KIND: &'static str = "an address with a port";
    const EXAMPLE: &'static str = "\"127.0.0.1:7171\"";

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}
