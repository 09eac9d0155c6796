//! `keytrail iam-policy`: the least that the worker, or the role it takes on in other accounts, must be allowed.
//!
//! In: the configuration (queue, buckets, accounts, lake) and the flags. Out: one policy document on standard output; what a person must still
//! look at on standard error. An ARN that cannot be known from the configuration is an error, never a wildcard; the one exception is the
//! trail's KMS key, which is then held by its encryption context and named on standard error.

mod document;

use anyhow::Result;

pub(crate) use self::document::{Asked, Document};
use crate::{
    args::{FormatArg, Global, IamPolicyArgs},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::{BucketPrefix, LakePlace, QueueAddress, QueueSource, Settings, SinkEntry, SinkKind, partition_of},
};

/// Characters without white space that IAM allows in one managed policy.
const MANAGED_LIMIT: usize = 6_144;
/// The same for all inline policies of one role together.
const INLINE_LIMIT: usize = 10_240;

pub(crate) fn run(args: &IamPolicyArgs, settings: &Settings, global: &Global, output: Output) -> Result<ExitCode> {
    let (document, notes) = make(args, settings)?;
    let length = document.length();
    match global.format.unwrap_or(FormatArg::Table) {
        FormatArg::Table | FormatArg::Json => output.line(serde_json::to_string_pretty(&document)?)?,
        FormatArg::Ndjson => output.line(serde_json::to_string(&document)?)?,
        FormatArg::Csv | FormatArg::Parquet | FormatArg::Arrow => {
            return Err(Failure::new(ExitCode::Usage, "a policy is a JSON document").hint("use --format json").into());
        }
    }
    for note in notes {
        output.warn(format!("note: {note}"));
    }
    if length > INLINE_LIMIT {
        output.warn(format!("warning: {length} characters are more than IAM allows in one role ({INLINE_LIMIT})"));
        return Ok(ExitCode::Partial);
    }
    if length > MANAGED_LIMIT {
        output.warn(format!(
            "warning: {length} characters are more than one managed policy may have ({MANAGED_LIMIT}); use it as an inline policy of the role"
        ));
    }
    Ok(ExitCode::Ok)
}

/// The document, and what a person must know about it.
fn make(args: &IamPolicyArgs, settings: &Settings) -> Result<(Document, Vec<String>), Failure> {
    let mut notes = Vec::new();
    let queue = queue(settings)?;
    let partition = match (&queue, &settings.file.aws.region) {
        (Some(queue), _) => queue.partition,
        (None, Some(region)) => partition_of(region.as_str()).0,
        (None, None) => "aws",
    };
    if args.reader_role {
        return Ok((Document::reader(partition), notes));
    }
    let buckets = buckets(args, settings)?;
    if args.kms_key.is_none() {
        notes.push(
            "no --kms-key: every key that CloudTrail encrypts with may be used through S3; name the trail's key to allow only that one"
                .to_owned(),
        );
    }
    if settings.file.queue.folder.is_some() {
        notes.push("queue.folder is set: no queue is allowed".to_owned());
    }
    if let Some(role) = &settings.file.aws.assume_role.role_arn {
        notes.push(format!(
            "this is the policy of {}; whoever starts keytrail needs sts:AssumeRole on it and nothing else",
            role.as_str()
        ));
    }
    let asked = Asked {
        partition,
        queue,
        buckets,
        kms_key: args.kms_key.as_deref().map(kms_key).transpose()?,
        lake: match &settings.lake {
            LakePlace::Bucket(place) => Some(place.clone()),
            LakePlace::Folder(_) => None,
        },
        roles: settings.file.aws.accounts.iter().map(|entry| entry.role_arn.as_str().to_owned()).collect(),
        topics: settings.file.delivery.sink.iter().filter_map(|sink| sink.topic_arn.clone()).collect(),
        products: settings.file.delivery.sink.iter().filter_map(|sink| product(sink, settings, partition)).collect(),
    };
    Ok((Document::worker(&asked), notes))
}

/// The product that a Security Hub sink imports its findings as: the account's own where none is named.
fn product(sink: &SinkEntry, settings: &Settings, partition: &str) -> Option<String> {
    if sink.kind != SinkKind::SecurityHub {
        return None;
    }
    let region = sink.region.as_ref().or(settings.file.aws.region.as_ref())?;
    let account = sink.account_id.as_ref()?.as_str();
    let own = || format!("arn:{partition}:securityhub:{}:{account}:product/{account}/default", region.as_str());
    Some(sink.product_arn.clone().unwrap_or_else(own))
}

/// The queue as ARNs name it; none where a folder stands in for it.
fn queue(settings: &Settings) -> Result<Option<QueueAddress>, Failure> {
    match settings.file.queue.source()? {
        QueueSource::Folder(_) => Ok(None),
        QueueSource::Sqs(url) => QueueAddress::of(url).map(Some).ok_or_else(|| {
            Failure::new(ExitCode::Config, format!("queue.url {url} does not tell the queue's ARN"))
                .hint("give the URL that SQS itself gives the queue, such as https://sqs.eu-central-1.amazonaws.com/111122223333/name; another address belongs into aws.endpoint_url")
        }),
    }
}

/// Where the trail's objects are: the configuration's buckets and the flags', each once.
fn buckets(args: &IamPolicyArgs, settings: &Settings) -> Result<Vec<BucketPrefix>, Failure> {
    let mut buckets = settings.file.reconcile.buckets.clone();
    for name in &args.buckets {
        let typed = BucketPrefix::parse(name).or_else(|| BucketPrefix::parse(&format!("s3://{name}")));
        let place = typed.ok_or_else(|| {
            Failure::new(ExitCode::Usage, format!("--bucket: `{name}` is not the name of a bucket"))
                .hint("write the bucket's name, or s3://bucket/prefix")
        })?;
        if !buckets.contains(&place) {
            buckets.push(place);
        }
    }
    if buckets.is_empty() && settings.file.queue.folder.is_none() {
        return Err(Failure::new(ExitCode::Config, "no bucket is named, so no object can be allowed")
            .hint("give --bucket NAME, or set reconcile.buckets"));
    }
    Ok(buckets)
}

/// An alias cannot stand in a policy: only the key itself.
fn kms_key(text: &str) -> Result<String, Failure> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_key = matches!(parts.as_slice(), ["arn", _, "kms", region, account, key]
        if !region.is_empty() && !account.is_empty() && key.strip_prefix("key/").is_some_and(|id| !id.is_empty()))
        && text.chars().all(|character| character.is_ascii_alphanumeric() || ":/-".contains(character));
    is_key.then(|| text.to_owned()).ok_or_else(|| {
        Failure::new(ExitCode::Usage, format!("--kms-key: `{text}` is not the ARN of a key"))
            .hint("write arn:aws:kms:REGION:ACCOUNT:key/ID; an alias cannot stand in a policy")
    })
}

#[cfg(test)]
mod tests;
