//! `[queue]`: where notifications come from, and what a queue's URL tells about the queue.
//!
//! In: an SQS URL or a folder. Out: exactly one of them, as [`QueueSource`]; for a URL also the queue's ARN, in every partition
//! and for dual-stack, FIPS, VPC-endpoint and legacy hosts. A host that is not AWS's gives no ARN: nothing is guessed.

use std::path::{Path, PathBuf};

use super::{
    key::section,
    names::{EndpointUrl, is_account},
};
use crate::exit_code::{ExitCode, Failure};

section! {
    /// Where notifications come from: an SQS queue, or a folder whose files announce themselves. Exactly one of the two.
    struct QueueSection {
        /// URL of the SQS queue that the bucket's notifications go to.
        url: Option<EndpointUrl> = None;
        /// A folder to watch instead of a queue; what it holds is read as if it had been delivered.
        folder: Option<PathBuf> = None;
    }
}

/// The one source of a worker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum QueueSource<'a> {
    Sqs(&'a EndpointUrl),
    Folder(&'a Path),
}

impl QueueSection {
    /// The source that is set; an error where none is.
    pub(crate) fn source(&self) -> Result<QueueSource<'_>, Failure> {
        match (&self.url, &self.folder) {
            (Some(url), None) => Ok(QueueSource::Sqs(url)),
            (None, Some(folder)) => Ok(QueueSource::Folder(folder)),
            (None, None) => Err(Failure::new(ExitCode::Config, "no queue is configured")
                .hint("set queue.url to the SQS queue's URL, or queue.folder to a folder")),
            (Some(_), Some(_)) => Err(Failure::new(ExitCode::Config, "queue.url and queue.folder are both set")
                .hint("a worker has one source: remove one of them")),
        }
    }
}

/// A queue as ARNs name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueAddress {
    pub(crate) partition: &'static str,
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) name: String,
}

impl QueueAddress {
    /// Reads it from the URL; nothing where the host is not one of AWS's, such as an emulator's.
    pub(crate) fn of(url: &EndpointUrl) -> Option<Self> {
        let mut path = url.path().split('/');
        let (account, name) = (path.next()?, path.next()?);
        let bare = name.strip_suffix(".fifo").unwrap_or(name);
        let is_name = (1..=80).contains(&name.len())
            && !bare.is_empty()
            && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_account(account) || !is_name || path.next().is_some() {
            return None;
        }
        let region = region_of(&url.host().to_ascii_lowercase())?;
        let (partition, _) = partition_of(&region);
        Some(Self { partition, region, account: account.to_owned(), name: name.to_owned() })
    }

    pub(crate) fn arn(&self) -> String {
        format!("arn:{}:sqs:{}:{}:{}", self.partition, self.region, self.account, self.name)
    }
}

/// Partition of a region, and the domains its endpoints end in.
pub(crate) fn partition_of(region: &str) -> (&'static str, &'static [&'static str]) {
    const PARTITIONS: &[(&str, &str, &[&str])] = &[
        ("cn-", "aws-cn", &["amazonaws.com.cn", "api.amazonwebservices.com.cn"]),
        ("us-gov-", "aws-us-gov", &["amazonaws.com", "api.aws"]),
        ("us-isob-", "aws-iso-b", &["sc2s.sgov.gov", "api.aws.scloud"]),
        ("us-isof-", "aws-iso-f", &["csp.hci.ic.gov", "api.aws.hci.ic.gov"]),
        ("us-iso-", "aws-iso", &["c2s.ic.gov", "api.aws.ic.gov"]),
        ("eu-isoe-", "aws-iso-e", &["cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"]),
        ("eusc-", "aws-eusc", &["amazonaws.eu", "api.amazonwebservices.eu"]),
    ];
    PARTITIONS
        .iter()
        .find(|(start, _, _)| region.starts_with(start))
        .map_or(("aws", &["amazonaws.com", "api.aws"]), |(_, partition, domains)| (*partition, *domains))
}

/// The region in an SQS host name: `sqs.R.D`, `sqs-fips.R.D`, `R.queue.D`, `queue.D` and `vpce-….sqs.R.vpce.D`.
fn region_of(host: &str) -> Option<String> {
    if host == "queue.amazonaws.com" {
        return Some("us-east-1".to_owned());
    }
    let labels: Vec<&str> = host.split('.').collect();
    let (region, rest) = match labels.as_slice() {
        ["sqs" | "sqs-fips", region, rest @ ..] | [region, "queue", rest @ ..] => (*region, rest),
        [endpoint, "sqs", region, "vpce", rest @ ..] | [endpoint, _, "sqs", region, "vpce", rest @ ..]
            if endpoint.starts_with("vpce-") =>
        {
            (*region, rest)
        }
        _ => return None,
    };
    let is_region = region.contains('-')
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let (_, domains) = partition_of(region);
    (is_region && domains.contains(&rest.join(".").as_str())).then(|| region.to_owned())
}
