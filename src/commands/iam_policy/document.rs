//! The policy documents themselves: which action on which resource, and why.
//!
//! `docs/deploy/terraform/worker.tf` grants the same; a test compares the two.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::settings::{BucketPrefix, QueueAddress};

/// What the worker's policy is made from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) partition: &'static str,
    pub(crate) queue: Option<QueueAddress>,
    pub(crate) buckets: Vec<BucketPrefix>,
    pub(crate) kms_key: Option<String>,
    pub(crate) lake: Option<BucketPrefix>,
    /// Roles in other accounts that the worker takes on.
    pub(crate) roles: Vec<String>,
    /// SNS topics that sinks publish to.
    pub(crate) topics: Vec<String>,
    /// Security Hub products that sinks import findings as: their ARNs.
    pub(crate) products: Vec<String>,
}

/// An IAM policy document.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Document {
    version: &'static str,
    pub(crate) statement: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Statement {
    pub(crate) sid: &'static str,
    effect: &'static str,
    pub(crate) action: Vec<&'static str>,
    pub(crate) resource: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<&'static str, Vec<String>>>,
}

/// Calls that return a secret's value: no policy for Keytrail may ever allow them.
const VALUES: [&str; 3] = ["secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "ssm:GetParameter*"];

impl Statement {
    fn allow(sid: &'static str, action: &[&'static str], resource: impl IntoIterator<Item = String>) -> Self {
        let resource: BTreeSet<String> = resource.into_iter().collect();
        Self {
            sid,
            effect: "Allow",
            action: action.to_vec(),
            resource: resource.into_iter().collect(),
            condition: BTreeMap::new(),
        }
    }

    fn deny(sid: &'static str, action: &[&'static str]) -> Self {
        Self { effect: "Deny", ..Self::allow(sid, action, ["*".to_owned()]) }
    }

    fn when(mut self, operator: &'static str, key: &'static str, values: impl IntoIterator<Item = String>) -> Self {
        self.condition.entry(operator).or_default().insert(key, values.into_iter().collect());
        self
    }
}

impl Document {
    fn new(statement: Vec<Statement>) -> Self {
        Self { version: "2012-10-17", statement }
    }

    /// For the worker: queue, objects, key, lake, trails, roles.
    pub(crate) fn worker(asked: &Asked) -> Self {
        let partition = asked.partition;
        let mut statements = Vec::new();
        if let Some(queue) = &asked.queue {
            // The batch calls are allowed by the actions for one message.
            let actions =
                ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];
            statements.push(Statement::allow("Queue", &actions, [queue.arn()]));
        }
        if !asked.buckets.is_empty() {
            let objects = asked.buckets.iter().map(|place| format!("arn:{partition}:s3:::{}", objects_of(place)));
            statements.push(Statement::allow("TrailObjects", &["s3:GetObject", "s3:GetObjectVersion"], objects));
            // Without it S3 answers 403 for an object that is gone, and "forbidden" raises an alarm where "missing" is meant. A condition on
            // s3:prefix would have the same effect, because reading an object carries no prefix.
            let buckets = asked.buckets.iter().map(|place| format!("arn:{partition}:s3:::{}", place.bucket));
            statements.push(Statement::allow("TrailBuckets", &["s3:GetBucketLocation", "s3:ListBucket"], buckets));
            statements.push(key(asked));
        }
        if let Some(lake) = &asked.lake {
            statements.extend(lake_statements(partition, lake));
        }
        statements.extend(trails(partition));
        if !asked.roles.is_empty() {
            statements.push(Statement::allow("AccountRoles", &["sts:AssumeRole"], asked.roles.iter().cloned()));
        }
        if !asked.topics.is_empty() {
            statements.push(Statement::allow("SinkTopics", &["sns:Publish"], asked.topics.iter().cloned()));
        }
        if !asked.products.is_empty() {
            let products = asked.products.iter().cloned();
            statements.push(Statement::allow("SinkFindings", &["securityhub:BatchImportFindings"], products));
        }
        statements.push(Statement::deny("NeverValues", &VALUES));
        Self::new(statements)
    }

    /// For the role that the worker takes on in another account: how its trails are set, and nothing that holds a value.
    pub(crate) fn reader(partition: &str) -> Self {
        let mut statements = trails(partition);
        let [one, two, three] = VALUES;
        statements.push(Statement::deny("NeverValues", &[one, two, three, "kms:Decrypt"]));
        Self::new(statements)
    }

    /// Characters as IAM counts them.
    pub(crate) fn length(&self) -> usize {
        serde_json::to_string(self)
            .map_or(0, |text| text.chars().filter(|character| !character.is_whitespace()).count())
    }
}

/// Objects of trails below a prefix, as CloudTrail names them: `[prefix/]AWSLogs/…`.
fn objects_of(place: &BucketPrefix) -> String {
    let BucketPrefix { bucket, prefix } = place;
    if format!("/{prefix}").contains("/AWSLogs/") || prefix.ends_with("AWSLogs") {
        format!("{bucket}/{prefix}*")
    } else if prefix.is_empty() {
        // A trail's own prefix may stand before it.
        format!("{bucket}/*AWSLogs/*")
    } else {
        format!("{bucket}/{}/AWSLogs/*", prefix.trim_end_matches('/'))
    }
}

/// Decrypting what CloudTrail encrypted, and nothing else.
fn key(asked: &Asked) -> Statement {
    const CONTEXT: &str = "kms:EncryptionContext:aws:cloudtrail:arn";
    let partition = asked.partition;
    let trail = format!("arn:{partition}:cloudtrail:*:*:trail/*");
    match &asked.kms_key {
        Some(key) => Statement::allow("TrailKey", &["kms:Decrypt"], [key.clone()]).when("StringLike", CONTEXT, [trail]),
        None => Statement::allow("TrailKey", &["kms:Decrypt"], [format!("arn:{partition}:kms:*:*:key/*")])
            .when("StringLike", CONTEXT, [trail])
            .when("StringLike", "kms:ViaService", ["s3.*.amazonaws.com*".to_owned()]),
    }
}

/// The lake's own prefix: reading, writing, and clearing away what compaction replaced.
fn lake_statements(partition: &str, lake: &BucketPrefix) -> [Statement; 2] {
    let prefix = lake.prefix.trim_end_matches('/');
    let actions = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"];
    [
        Statement::allow("LakeObjects", &actions, [format!("arn:{partition}:s3:::{}/{prefix}/*", lake.bucket)]),
        Statement::allow("LakeList", &["s3:ListBucket"], [format!("arn:{partition}:s3:::{}", lake.bucket)]).when(
            "StringLike",
            "s3:prefix",
            [prefix.to_owned(), format!("{prefix}/*")],
        ),
    ]
}

/// How trails are set: whether they log at all, and whether read events and KMS are among what they log.
fn trails(partition: &str) -> Vec<Statement> {
    vec![
        // Listing trails has no resource to name.
        Statement::allow("Trails", &["cloudtrail:DescribeTrails"], ["*".to_owned()]),
        Statement::allow(
            "TrailSettings",
            &["cloudtrail:GetEventSelectors", "cloudtrail:GetTrailStatus"],
            [format!("arn:{partition}:cloudtrail:*:*:trail/*")],
        ),
    ]
}
