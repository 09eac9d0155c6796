//! Every file of the public samples (`KEYTRAIL_REAL_DATA`, default `../shared/data` beside the workspace).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::notification::{Notice, Shape, read};

const LAMBDA_BUCKET: &str = "lambda-artifacts-deafc19498e3f2df";
const LAMBDA_KEY: &str = "b21b84d653bb07b05b1e6b33684dc11b";

/// What one file must be read as.
struct Expected {
    shape: Shape,
    objects: &'static [(&'static str, &'static str)],
    ignored: usize,
    /// A part of each fault.
    faults: &'static [&'static str],
}

const fn reads(shape: Shape, objects: &'static [(&'static str, &'static str)]) -> Expected {
    Expected { shape, objects, ignored: 0, faults: &[] }
}

const fn ignores(shape: Shape) -> Expected {
    Expected { shape, objects: &[], ignored: 1, faults: &[] }
}

const fn faults(faults: &'static [&'static str]) -> Expected {
    Expected { shape: Shape::Unknown, objects: &[], ignored: 0, faults }
}

const DECODED: &[(&str, &str)] = &[("sourcebucket", "Happy Face.jpg")];
const LAMBDA: &[(&str, &str)] = &[(LAMBDA_BUCKET, LAMBDA_KEY)];
const NO_SHAPE: &str = "an S3, SNS, CloudTrail or EventBridge notification is expected";
const NO_JSON: &str = "is no JSON";

/// File by file. A file that is not listed, or is listed and not there, fails the test.
fn expected() -> BTreeMap<&'static str, Expected> {
    let object = Shape::EventBridgeObject;
    BTreeMap::from([
        ("aws-lambda-go/cloudwatch-logs-event.json", faults(&[NO_SHAPE])),
        ("aws-lambda-go/kinesis-firehose-event.json", faults(&[NO_SHAPE])),
        ("aws-lambda-go/kinesis-firehose-response.json", faults(&[NO_SHAPE])),
        ("aws-lambda-go/s3-event-with-decoded.json", reads(Shape::S3, DECODED)),
        ("aws-lambda-go/s3-event.json", reads(Shape::S3, DECODED)),
        ("aws-lambda-go/secretsmanager-secret-rotation-event.json", faults(&[NO_SHAPE])),
        ("aws-lambda-go/sns-event.json", faults(&["Records[0].Sns.Message is no JSON: \"Hello from SNS!\""])),
        ("aws-lambda-go/sqs-event.json", faults(&["Records[0].body is no JSON: \"Message Body\""])),
        ("aws-lambda-rust-runtime/example-cloudwatch-cloudtrail-assumed-role.json", faults(&[NO_SHAPE])),
        ("aws-lambda-rust-runtime/example-cloudwatch-cloudtrail-unknown-federate.json", faults(&[NO_SHAPE])),
        ("aws-lambda-rust-runtime/example-cloudwatch-cloudtrail-unknown-user-auth.json", faults(&[NO_SHAPE])),
        ("aws-lambda-rust-runtime/example-cloudwatch_logs-event.json", faults(&[NO_SHAPE])),
        ("aws-lambda-rust-runtime/example-eventbridge-event-obj.json", ignores(Shape::EventBridgeOther)),
        ("aws-lambda-rust-runtime/example-eventbridge-schedule.json", ignores(Shape::EventBridgeOther)),
        ("aws-lambda-rust-runtime/example-firehose-event.json", faults(&[NO_SHAPE])),
        ("aws-lambda-rust-runtime/example-s3-event-with-decoded.json", reads(Shape::S3, DECODED)),
        ("aws-lambda-rust-runtime/example-s3-event.json", reads(Shape::S3, DECODED)),
        ("aws-lambda-rust-runtime/example-s3-object-lambda-event-get-object-assumed-role.json", faults(&[NO_SHAPE])),
        ("aws-lambda-rust-runtime/example-s3-object-lambda-event-get-object-iam.json", faults(&[NO_SHAPE])),
        ("aws-lambda-rust-runtime/example-s3-object-lambda-event-head-object-iam.json", faults(&[NO_SHAPE])),
        ("aws-lambda-rust-runtime/example-s3-object-lambda-event-list-objects-iam.json", faults(&[NO_SHAPE])),
        ("aws-lambda-rust-runtime/example-s3-object-lambda-event-list-objects-v2-iam.json", faults(&[NO_SHAPE])),
        ("aws-lambda-rust-runtime/example-secretsmanager-secret-rotation-event.json", faults(&[NO_SHAPE])),
        (
            "aws-lambda-rust-runtime/example-sns-event-obj.json",
            faults(&["Records[0].Sns.Message has \"foo\", \"bar\""]),
        ),
        ("aws-lambda-rust-runtime/example-sns-event-pascal-case.json", faults(&[NO_JSON])),
        ("aws-lambda-rust-runtime/example-sns-event.json", faults(&[NO_JSON])),
        ("aws-lambda-rust-runtime/example-sqs-api-event-obj.json", faults(&["the body has \"Messages\""])),
        ("aws-lambda-rust-runtime/example-sqs-batch-response.json", faults(&[NO_SHAPE])),
        ("aws-lambda-rust-runtime/example-sqs-event-obj.json", faults(&["Records[0].body has \"a\", \"b\""])),
        ("aws-lambda-rust-runtime/example-sqs-event.json", faults(&[NO_JSON])),
        ("cloudtrail-rs/eventbridge-object-annotation-created.json", ignores(object)),
        (
            "cloudtrail-rs/eventbridge-object-created-plus-key.json",
            reads(object, &[("ct-siem-sync", "my+file.json.gz")]),
        ),
        (
            "cloudtrail-rs/eventbridge-object-created-unsupported-version.json",
            faults(&["detail.event-version is \"2.0\"; 1.x is expected"]),
        ),
        ("cloudtrail-rs/eventbridge-object-created.json", reads(object, &[("amzn-s3-demo-bucket1", "example-key")])),
        ("cloudtrail-rs/eventbridge-object-deleted.json", ignores(object)),
        ("cloudtrail-rs/eventbridge-object-restore-completed.json", ignores(object)),
        ("cloudtrail-rs/s3-event-object-created.json", reads(Shape::S3, LAMBDA)),
        ("cloudtrail-rs/s3-event-urlencoded-key.json", reads(Shape::S3, &[("ct-siem-sync", "my file=a.json.gz")])),
        ("cloudtrail-rs/s3-test-event.json", ignores(Shape::S3Test)),
        ("cloudtrail-rs/sns-s3-event.json", reads(Shape::S3, LAMBDA)),
        ("cloudtrail-rs/sns-s3-test-event.json", ignores(Shape::S3Test)),
        (
            "cloudtrail-rs/sqs-batch-partial-garbage.json",
            Expected {
                shape: Shape::S3,
                objects: &[(LAMBDA_BUCKET, LAMBDA_KEY), ("ct-siem-sync", "second-sibling-object.json.gz")],
                ignored: 0,
                faults: &["Records[1].body is no JSON: \"this is not json at all {{{\""],
            },
        ),
        ("cloudtrail-rs/sqs-s3-event.json", reads(Shape::S3, LAMBDA)),
        ("cloudtrail-rs/sqs-sns-event.json", reads(Shape::S3, LAMBDA)),
        ("powertools/cloudWatchLogEvent.json", faults(&[NO_SHAPE])),
        ("powertools/cloudWatchLogEventWithPolicyLevel.json", faults(&[NO_SHAPE])),
        ("powertools/eventBridgeEvent.json", ignores(Shape::EventBridgeOther)),
        ("powertools/kinesisFirehoseKinesisEvent.json", faults(&[NO_SHAPE])),
        ("powertools/kinesisFirehosePutEvent.json", faults(&[NO_SHAPE])),
        ("powertools/kinesisFirehoseSQSEvent.json", faults(&[NO_SHAPE])),
        ("powertools/s3Event.json", reads(Shape::S3, LAMBDA)),
        (
            "powertools/s3EventBridgeNotificationObjectCreatedEvent.json",
            reads(object, &[("example-bucket", "IMG_m7fzo3.jpg")]),
        ),
        ("powertools/s3EventBridgeNotificationObjectDeletedEvent.json", ignores(object)),
        ("powertools/s3EventBridgeNotificationObjectExpiredEvent.json", ignores(object)),
        ("powertools/s3EventBridgeNotificationObjectRestoreCompletedEvent.json", ignores(object)),
        ("powertools/s3EventDecodedKey.json", reads(Shape::S3, DECODED)),
        ("powertools/s3EventDeleteObject.json", ignores(Shape::S3)),
        ("powertools/s3EventGlacier.json", reads(Shape::S3, LAMBDA)),
        ("powertools/s3SqsEvent.json", reads(Shape::S3, &[("xxx", "test.pdf")])),
        ("powertools/secretsManagerEvent.json", faults(&[NO_SHAPE])),
        ("powertools/snsEvent.json", faults(&[NO_JSON])),
        ("powertools/snsSqsEvent.json", faults(&["Records[0].body.Message has \"message\", \"username\""])),
        ("powertools/snsSqsFifoEvent.json", faults(&["Records[0].body.Message has \"message\", \"username\""])),
        ("powertools/sqsDlqTriggerEvent.json", faults(&["Records[0].body is no JSON: \"hello world\""])),
        (
            "powertools/sqsEvent.json",
            faults(&["Records[0].body is no JSON: \"Test message.\"", "Records[1].body has \"message\""]),
        ),
    ])
}

/// The folder of the samples, or nothing (said on stderr) where it is not.
fn samples() -> Option<PathBuf> {
    let root = std::env::var_os("KEYTRAIL_REAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let folder = root.join("notifications");
    if folder.is_dir() {
        return Some(folder);
    }
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    {
        eprintln!("skipped: no sample notifications in {}", folder.display());
    }
    None
}

/// `folder/file.json` and its text, of every sample.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for publisher in fs::read_dir(folder).expect("a folder") {
        let publisher = publisher.expect("an entry").path();
        for file in fs::read_dir(&publisher).expect("a folder") {
            let file = file.expect("an entry").path();
            if file.extension().is_some_and(|extension| extension == "json") {
                let name = file.strip_prefix(folder).expect("inside").to_string_lossy().into_owned();
                files.insert(name, fs::read_to_string(&file).expect("text"));
            }
        }
    }
    files
}

fn check(name: &str, notice: &Notice, expected: &Expected) {
    assert_eq!(notice.shape, expected.shape, "{name}: {notice:?}");
    let objects: Vec<(&str, &str)> =
        notice.objects.iter().map(|object| (object.bucket.as_str(), object.key.as_str())).collect();
    assert_eq!(objects, expected.objects, "{name}");
    assert_eq!(notice.ignored.len(), expected.ignored, "{name}: {notice:?}");
    assert_eq!(notice.faults.len(), expected.faults.len(), "{name}: {notice:?}");
    for (fault, part) in notice.faults.iter().zip(expected.faults) {
        assert!(fault.contains(part), "{name}: {fault}");
    }
    assert_eq!((notice.left_alone.len(), notice.inline.is_some()), (0, false), "{name}");
}

#[test]
fn every_sample_is_read_as_it_must_be() {
    let Some(folder) = samples() else { return };
    let files = files(&folder);
    let expected = expected();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let listed: Vec<&str> = expected.keys().copied().collect();
    assert_eq!(names, listed);
    for (name, text) in &files {
        check(name, &read(text), &expected[name.as_str()]);
    }
}

/// A queue holds the bodies of the samples of Lambda's SQS events without Lambda's envelope.
#[test]
fn every_sample_of_a_queue_body_is_read_as_it_must_be() {
    let Some(folder) = samples() else { return };
    let expected = expected();
    let mut bodies = 0;
    for (name, text) in files(&folder) {
        let whole: Value = serde_json::from_str(&text).expect("JSON");
        let inside: Vec<&str> =
            whole["Records"].as_array().into_iter().flatten().filter_map(|record| record["body"].as_str()).collect();
        if inside.is_empty() {
            continue;
        }
        bodies += inside.len();
        let notices: Vec<Notice> = inside.iter().map(|body| read(body)).collect();
        let objects: Vec<(&str, &str)> = notices
            .iter()
            .flat_map(|notice| &notice.objects)
            .map(|object| (object.bucket.as_str(), object.key.as_str()))
            .collect();
        let expected = &expected[name.as_str()];
        assert_eq!(objects, expected.objects, "{name}");
        let faults = notices.iter().map(|notice| notice.faults.len()).sum::<usize>();
        assert_eq!(faults, expected.faults.len(), "{name}");
    }
    assert_eq!(bodies, 14);
}

#[test]
fn the_hints_of_the_samples_are_kept() {
    let Some(folder) = samples() else { return };
    let files = files(&folder);
    let one = |name: &str| read(&files[name]).objects.pop().expect("an object");
    let direct = one("powertools/s3SqsEvent.json");
    assert_eq!(direct.version_id.as_deref(), Some("yd3d4HaWOT2zguDLvIQLU6ptDTwKBnQV"));
    assert_eq!(direct.etag.as_deref(), Some("2e3ad1e983318bbd8e73b080e2997980"));
    assert_eq!((direct.size_bytes, direct.region.as_deref()), (Some(104_681), Some("us-east-1")));
    assert_eq!(direct.announced_at, keytrail_model::time::parse_rfc3339("2023-04-12T20:43:38.021Z"));
    let bridged = one("cloudtrail-rs/eventbridge-object-created.json");
    assert_eq!(bridged.version_id.as_deref(), Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"));
    assert_eq!(bridged.etag.as_deref(), Some("b1946ac92492d2347c6235b4d2611184"));
    assert_eq!((bridged.size_bytes, bridged.region.as_deref()), (Some(5), Some("ca-central-1")));
    assert_eq!(bridged.announced_at, keytrail_model::time::parse_rfc3339("2021-11-12T00:00:00Z"));
}
