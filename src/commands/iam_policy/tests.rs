//! The documents as JSON: what is allowed on what, what is refused, and that Terraform grants the same.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};

use super::*;

fn settings(text: &str) -> Settings {
    Settings::from_text(text).expect("a valid configuration")
}

fn args(buckets: &[&str], kms_key: Option<&str>) -> IamPolicyArgs {
    IamPolicyArgs {
        buckets: buckets.iter().map(|name| (*name).to_owned()).collect(),
        kms_key: kms_key.map(str::to_owned),
        reader_role: false,
    }
}

fn worker(text: &str, buckets: &[&str], kms_key: Option<&str>) -> (Value, Vec<String>) {
    let (document, notes) = make(&args(buckets, kms_key), &settings(text)).expect("a policy");
    (serde_json::to_value(document).expect("JSON"), notes)
}

fn statement<'a>(document: &'a Value, sid: &str) -> &'a Value {
    let found = document["Statement"].as_array().and_then(|all| all.iter().find(|statement| statement["Sid"] == sid));
    found.unwrap_or_else(|| panic!("no statement {sid} in {document}"))
}

const QUEUE: &str = "[queue]\nurl = \"https://sqs.eu-central-1.amazonaws.com/111122223333/keytrail\"\n";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

#[test]
fn the_workers_policy_names_each_resource() {
    let text = format!(
        "lake = \"s3://audit/lake\"\n{QUEUE}[reconcile]\nbuckets = [\"s3://trail-a/some/prefix\", \"s3://trail-b/x/AWSLogs/o-1\"]\n\
         [[aws.accounts]]\nid = \"444455556666\"\nrole_arn = \"arn:aws:iam::444455556666:role/reader\"\n"
    );
    let (document, notes) = worker(&text, &["trail-c", "s3://trail-a/some/prefix"], Some(KEY));
    assert_eq!(notes, Vec::<String>::new());
    assert_eq!(document["Version"], "2012-10-17");
    let expect = |sid: &str, action: Value, resource: Value| {
        let found = statement(&document, sid);
        assert_eq!((&found["Effect"], &found["Action"], &found["Resource"]), (&json!("Allow"), &action, &resource));
    };
    expect(
        "Queue",
        json!(["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]),
        json!(["arn:aws:sqs:eu-central-1:111122223333:keytrail"]),
    );
    expect(
        "TrailObjects",
        json!(["s3:GetObject", "s3:GetObjectVersion"]),
        json!([
            "arn:aws:s3:::trail-a/some/prefix/AWSLogs/*",
            "arn:aws:s3:::trail-b/x/AWSLogs/o-1*",
            "arn:aws:s3:::trail-c/*AWSLogs/*"
        ]),
    );
    expect(
        "TrailBuckets",
        json!(["s3:GetBucketLocation", "s3:ListBucket"]),
        json!(["arn:aws:s3:::trail-a", "arn:aws:s3:::trail-b", "arn:aws:s3:::trail-c"]),
    );
    expect("TrailKey", json!(["kms:Decrypt"]), json!([KEY]));
    assert_eq!(
        statement(&document, "TrailKey")["Condition"],
        json!({"StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": ["arn:aws:cloudtrail:*:*:trail/*"]}})
    );
    expect(
        "LakeObjects",
        json!(["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]),
        json!(["arn:aws:s3:::audit/lake/*"]),
    );
    expect("LakeList", json!(["s3:ListBucket"]), json!(["arn:aws:s3:::audit"]));
    assert_eq!(statement(&document, "LakeList")["Condition"], json!({"StringLike": {"s3:prefix": ["lake", "lake/*"]}}));
    expect("Trails", json!(["cloudtrail:DescribeTrails"]), json!(["*"]));
    expect(
        "TrailSettings",
        json!(["cloudtrail:GetEventSelectors", "cloudtrail:GetTrailStatus"]),
        json!(["arn:aws:cloudtrail:*:*:trail/*"]),
    );
    expect("AccountRoles", json!(["sts:AssumeRole"]), json!(["arn:aws:iam::444455556666:role/reader"]));
}

#[test]
fn no_document_allows_a_value_and_every_one_denies_it() {
    let (worker, _) = worker(QUEUE, &["trail"], None);
    let reader = serde_json::to_value(Document::reader("aws")).expect("JSON");
    for document in [&worker, &reader] {
        let deny = statement(document, "NeverValues");
        assert_eq!((&deny["Effect"], &deny["Resource"]), (&json!("Deny"), &json!(["*"])));
        for action in ["secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "ssm:GetParameter*"] {
            assert!(deny["Action"].as_array().is_some_and(|all| all.contains(&json!(action))), "{deny}");
        }
        for allowed in
            document["Statement"].as_array().expect("statements").iter().filter(|one| one["Effect"] == "Allow")
        {
            for action in allowed["Action"].as_array().expect("actions") {
                let action = action.as_str().expect("a text");
                assert!(!action.contains('*') && !action.starts_with("secretsmanager:") && !action.starts_with("ssm:"));
            }
            // Only what has no resource to name is allowed on everything.
            let everything = allowed["Resource"] == json!(["*"]);
            assert_eq!(everything, allowed["Sid"] == "Trails", "{allowed}");
        }
    }
    assert!(
        statement(&reader, "NeverValues")["Action"].as_array().is_some_and(|all| all.contains(&json!("kms:Decrypt")))
    );
}

#[test]
fn a_key_that_is_not_named_is_held_by_its_context_and_told() {
    let (document, notes) = worker(QUEUE, &["trail"], None);
    let condition = &statement(&document, "TrailKey")["Condition"]["StringLike"];
    assert_eq!(condition["kms:ViaService"], json!(["s3.*.amazonaws.com*"]));
    assert_eq!(condition["kms:EncryptionContext:aws:cloudtrail:arn"], json!(["arn:aws:cloudtrail:*:*:trail/*"]));
    assert!(notes.iter().any(|note| note.starts_with("no --kms-key")), "{notes:?}");
}

#[test]
fn arns_are_in_the_queues_partition() {
    let text = "[queue]\nurl = \"https://sqs.us-gov-west-1.amazonaws.com/111122223333/q\"\n";
    let (document, _) = worker(text, &["trail"], None);
    assert_eq!(statement(&document, "Queue")["Resource"], json!(["arn:aws-us-gov:sqs:us-gov-west-1:111122223333:q"]));
    assert_eq!(statement(&document, "TrailBuckets")["Resource"], json!(["arn:aws-us-gov:s3:::trail"]));
}

#[test]
fn what_cannot_be_known_is_an_error_and_never_a_wildcard() {
    for (text, buckets, key, message) in [
        ("", &["trail"][..], None, "no queue is configured"),
        (
            "[queue]\nurl = \"http://localhost:4566/000000000000/q\"\n",
            &["trail"],
            None,
            "does not tell the queue's ARN",
        ),
        (QUEUE, &[], None, "no bucket is named"),
        (QUEUE, &["a*b"], None, "is not the name of a bucket"),
        (QUEUE, &["trail"], Some("alias/trail"), "is not the ARN of a key"),
        (QUEUE, &["trail"], Some("arn:aws:kms:eu-central-1:111122223333:key/*"), "is not the ARN of a key"),
        (QUEUE, &["trail"], Some("arn:aws:kms:eu-central-1:111122223333:alias/x"), "is not the ARN of a key"),
    ] {
        let failure = make(&args(buckets, key), &settings(text)).expect_err(message);
        assert!(failure.message.contains(message) && failure.hint.is_some(), "{}", failure.message);
    }
}

#[test]
fn a_folder_needs_no_queue() {
    let (document, notes) = worker("[queue]\nfolder = \"inbox\"\n", &[], None);
    let sids: Vec<&str> =
        document["Statement"].as_array().expect("statements").iter().filter_map(|one| one["Sid"].as_str()).collect();
    assert_eq!(sids, ["Trails", "TrailSettings", "NeverValues"]);
    assert!(notes.iter().any(|note| note.contains("queue.folder")), "{notes:?}");
}

#[test]
fn a_usual_policy_fits_into_one_managed_policy() {
    let accounts: String = (0..40)
        .map(|n| format!("[[aws.accounts]]\nid = \"4444555566{n:02}\"\nrole_arn = \"arn:aws:iam::4444555566{n:02}:role/keytrail-reader\"\n"))
        .collect();
    let (document, _) = make(&args(&["trail"], Some(KEY)), &settings(&format!("{QUEUE}{accounts}"))).expect("a policy");
    assert!(document.length() < MANAGED_LIMIT, "{}", document.length());
    assert!(document.length() > 40 * 50);
}

/// Actions by statement id, as they stand in the Terraform source.
fn terraform_actions() -> BTreeMap<String, Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/deploy/terraform/worker.tf");
    let source = fs::read_to_string(path).expect("worker.tf");
    let (worker, _) =
        source.split_once("data \"aws_iam_policy_document\" \"trust\"").expect("the trust policy follows");
    let mut found = BTreeMap::new();
    for part in worker.split("sid ").skip(1) {
        let sid = part.split('"').nth(1).expect("a statement id");
        let list = part
            .split_once("actions")
            .and_then(|(_, rest)| rest.split_once('['))
            .and_then(|(_, rest)| rest.split_once(']'));
        let (list, _) = list.expect("a list of actions");
        let actions = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(found.insert(sid.to_owned(), actions).is_none(), "{sid} stands twice in worker.tf");
    }
    found
}

#[test]
fn terraform_grants_the_same_actions() {
    let text = format!(
        "lake = \"s3://audit/lake\"\n{QUEUE}[[aws.accounts]]\nid = \"444455556666\"\nrole_arn = \"arn:aws:iam::444455556666:role/reader\"\n"
    );
    let (document, _) = make(&args(&["trail"], Some(KEY)), &settings(&text)).expect("a policy");
    let ours: BTreeMap<String, Vec<String>> = document
        .statement
        .iter()
        .map(|statement| {
            (statement.sid.to_owned(), statement.action.iter().map(|action| (*action).to_owned()).collect())
        })
        .collect();
    assert_eq!(terraform_actions(), ours);
}
