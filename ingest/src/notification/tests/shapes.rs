//! The nine shapes, their envelopes, and what is wrong with each.

use serde_json::{Value, json};

use crate::notification::{MAX_BODY_BYTES, MAX_PARTS, Notice, Shape, read};

const KEY: &str = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/08/01/x.json.gz";

pub(super) fn s3_record(key: &str) -> Value {
    json!({"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
        "eventTime": "2026-08-01T12:00:00.000Z", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "trail"}, "object": {"key": key, "size": 7, "eTag": "abc"}}})
}

pub(super) fn s3_event(records: &[Value]) -> Value {
    json!({ "Records": records })
}

fn sns(message: &Value) -> Value {
    let text = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
    json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t",
        "Message": text, "UnsubscribeURL": "https://example.com/"})
}

fn bridged(detail_type: &str, source: &str, detail: Value) -> Value {
    json!({"version": "0", "id": "0-1-2", "detail-type": detail_type, "source": source, "account": "111122223333",
        "time": "2026-08-01T12:00:00Z", "region": "eu-west-1", "resources": [], "detail": detail})
}

fn created(key: &str, requester: &str) -> Value {
    bridged(
        "Object Created",
        "aws.s3",
        json!({"version": "0", "bucket": {"name": "trail"},
            "object": {"key": key, "size": 7, "etag": "abc", "version-id": "v1", "sequencer": "00"},
            "request-id": "r", "requester": requester, "reason": "PutObject"}),
    )
}

/// Reads what must be without fault.
fn sound(body: &Value) -> Notice {
    let notice = read(&body.to_string());
    assert_eq!(notice.faults, Vec::<String>::new(), "{body}");
    notice
}

fn keys(notice: &Notice) -> Vec<&str> {
    notice.objects.iter().map(|object| object.key.as_str()).collect()
}

/// The one fault of a body without objects.
fn fault(body: &Value) -> String {
    let notice = read(&body.to_string());
    assert!(notice.objects.is_empty() && notice.inline.is_none() && notice.left_alone.is_empty(), "{notice:?}");
    assert_eq!(notice.faults.len(), 1, "{notice:?}");
    notice.faults.concat()
}

#[test]
fn s3_events_by_every_way() {
    let event = s3_event(&[s3_record("a+b%2Bc.gz"), s3_record(KEY)]);
    let lambda_sns = json!({"Records": [{"EventSource": "aws:sns", "Sns": sns(&event)}]});
    let lambda_sqs = json!({"Records": [{"eventSource": "aws:sqs", "body": sns(&event).to_string()}]});
    for body in [event.clone(), sns(&event), sns(&sns(&sns(&event))), lambda_sns, lambda_sqs] {
        let notice = sound(&body);
        assert_eq!(notice.shape, Shape::S3);
        assert_eq!(keys(&notice), ["a b+c.gz", KEY]);
    }
}

#[test]
fn four_envelopes_are_one_too_many() {
    let event = s3_event(&[s3_record(KEY)]);
    assert_eq!(fault(&sns(&sns(&sns(&sns(&event))))), "Message.Message.Message.Message is wrapped more than 3 times");
}

#[test]
fn event_names_of_s3() {
    let named = |name: &str| {
        let mut record = s3_record(KEY);
        record["eventName"] = json!(name);
        sound(&s3_event(&[record]))
    };
    for name in
        ["ObjectCreated:Put", "s3:ObjectCreated:CompleteMultipartUpload", "ObjectCreated:Newly", "ObjectCreated"]
    {
        assert_eq!(keys(&named(name)), [KEY], "{name}");
    }
    for name in
        ["ObjectRemoved:Delete", "s3:ObjectRemoved:DeleteMarkerCreated", "ObjectRestore:Post", "ObjectCreatedBy"]
    {
        let notice = named(name);
        assert!(notice.objects.is_empty(), "{name}");
        assert_eq!((notice.shape, notice.ignored.len()), (Shape::S3, 1), "{name}");
    }
}

#[test]
fn faults_tell_their_place_and_what_was_expected() {
    let broken = |pointer: &str, value: Value| {
        let mut event = s3_event(&[s3_record("one"), s3_record("two")]);
        *event.pointer_mut(pointer).expect("a place") = value;
        let notice = read(&event.to_string());
        assert_eq!(keys(&notice), ["one"], "{notice:?}");
        assert_eq!(notice.faults.len(), 1, "{notice:?}");
        notice.faults.concat()
    };
    for (pointer, value, expected) in [
        ("/Records/1/s3/object/key", json!(null), "Records[1].s3.object.key is missing"),
        ("/Records/1/s3/object/key", json!(5), "Records[1].s3.object.key is a number; a string is expected"),
        ("/Records/1/s3/object/key", json!(""), "Records[1].s3.object.key is empty"),
        ("/Records/1/s3/object/key", json!("k".repeat(1025)), "Records[1].s3.object.key has 1025 bytes"),
        ("/Records/1/s3/object/key", json!("%ff"), "Records[1].s3.object.key is \"%ff\", which is no UTF-8"),
        ("/Records/1/s3/object", json!([]), "Records[1].s3.object is a list; an object is expected"),
        ("/Records/1/s3/bucket/name", json!("a/b"), "Records[1].s3.bucket.name is \"a/b\"; the name of a bucket"),
        ("/Records/1/s3", json!(null), "Records[1].s3 is missing"),
        ("/Records/1/eventVersion", json!("3.0"), "Records[1].eventVersion is \"3.0\"; 2.x is expected"),
        ("/Records/1/eventVersion", json!(null), "Records[1].eventVersion is missing"),
        ("/Records/1/eventSource", json!("aws:sesame"), "Records[1].eventSource is \"aws:sesame\"; \"aws:s3\" is"),
        ("/Records/1/eventName", json!(null), "Records[1].eventName is missing"),
        ("/Records/1", json!("text"), "Records[1] is a string in quotes; an object is expected"),
        ("/Records/1", json!({"a": 1}), "Records[1] has \"a\"; a record of an S3 event is expected"),
    ] {
        let fault = broken(pointer, value);
        assert!(fault.starts_with(expected), "{fault}");
    }
    assert_eq!(fault(&json!({"Records": {}})), "Records is an object; a list is expected");
    assert!(fault(&sns(&json!({"Records": [{"s3": {}}]}))).starts_with("Message.Records[0].eventSource is missing"));
}

#[test]
fn hints_that_are_none_are_passed_over_but_not_the_version() {
    let mut record = s3_record(KEY);
    record["s3"]["object"] = json!({"key": KEY, "size": -4, "eTag": ["x"]});
    record["awsRegion"] = json!("eu/../west");
    record["eventTime"] = json!("yesterday");
    let notice = sound(&s3_event(&[record.clone()]));
    let object = &notice.objects[0];
    assert_eq!((&object.etag, object.size_bytes, &object.region, object.announced_at), (&None, None, &None, None));
    record["s3"]["object"]["versionId"] = json!(4);
    assert_eq!(fault(&s3_event(&[record])), "Records[0].s3.object.versionId is a number; a string is expected");
}

#[test]
fn etags_lose_their_quotes() {
    let mut record = s3_record(KEY);
    record["s3"]["object"]["eTag"] = json!("\"abc-2\"");
    assert_eq!(sound(&s3_event(&[record])).objects[0].etag.as_deref(), Some("abc-2"));
}

#[test]
fn one_object_announced_twice_is_read_once() {
    let mut other = s3_record(KEY);
    other["s3"]["object"]["eTag"] = json!("def");
    let notice = sound(&s3_event(&[s3_record(KEY), s3_record(KEY), other]));
    assert_eq!(keys(&notice), [KEY, KEY]);
}

#[test]
fn cloudtrails_own_notification_has_plain_keys() {
    let plain = "AWSLogs/a+b%20c.json.gz";
    let list = json!({"s3Bucket": "trail", "s3ObjectKey": [plain, KEY, plain]});
    for body in [list.clone(), sns(&list)] {
        let notice = sound(&body);
        assert_eq!(notice.shape, Shape::CloudTrailSns);
        assert_eq!(keys(&notice), [plain, KEY]);
        assert_eq!(notice.objects[0].bucket, "trail");
    }
    assert_eq!(keys(&sound(&json!({"s3Bucket": "trail", "s3ObjectKey": KEY}))), [KEY]);
    let notice = read(&json!({"s3Bucket": "trail", "s3ObjectKey": [KEY, 5, ""]}).to_string());
    assert_eq!(keys(&notice), [KEY]);
    assert_eq!(notice.faults, ["s3ObjectKey[1] is a number; a string is expected", "s3ObjectKey[2] is empty"]);
    assert_eq!(fault(&json!({"s3ObjectKey": [KEY]})), "s3Bucket is missing");
    assert_eq!(fault(&json!({"s3Bucket": "trail"})), "s3ObjectKey is missing");
    assert_eq!(fault(&json!({"s3Bucket": "trail", "s3ObjectKey": {}})), "s3ObjectKey is an object; a list is expected");
}

#[test]
fn what_needs_nothing_is_ignored() {
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "trail"});
    let validation = json!("CloudTrail validation message.");
    let confirmation = json!({"Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:eu-west-1:1:t\u{1b}[0m",
        "Token": "t", "Message": "You have chosen", "SubscribeURL": "https://example.com/visit"});
    for (body, shape) in [
        (test.to_string(), Shape::S3Test),
        (sns(&test).to_string(), Shape::S3Test),
        ("CloudTrail validation message.".to_owned(), Shape::CloudTrailValidation),
        (sns(&validation).to_string(), Shape::CloudTrailValidation),
        (confirmation.to_string(), Shape::SubscriptionConfirmation),
        (confirmation.to_string().replace("Subscription", "Unsubscribe"), Shape::SubscriptionConfirmation),
        (bridged("Object Deleted", "aws.s3", json!({})).to_string(), Shape::EventBridgeObject),
        (bridged("Scheduled Event", "aws.events", json!({})).to_string(), Shape::EventBridgeOther),
        (r#"{"Records":[]}"#.to_owned(), Shape::Unknown),
    ] {
        let notice = read(&body);
        assert_eq!(notice.shape, shape, "{body}");
        assert_eq!((notice.ignored.len(), notice.faults.len(), notice.objects.len()), (1, 0, 0), "{notice:?}");
        assert!(!notice.ignored[0].contains('\u{1b}') && !notice.ignored[0].contains("example.com"), "{notice:?}");
    }
}

#[test]
fn eventbridge_objects_have_plain_keys() {
    for body in [created("a+b%20c", "1"), sns(&created("a+b%20c", "1"))] {
        let notice = sound(&body);
        assert_eq!((notice.shape, keys(&notice)), (Shape::EventBridgeObject, vec!["a+b%20c"]));
        let object = &notice.objects[0];
        assert_eq!((object.etag.as_deref(), object.version_id.as_deref()), (Some("abc"), Some("v1")));
    }
    for (pointer, value, expected) in [
        ("/version", json!("1"), "version is \"1\"; \"0\" is expected"),
        ("/detail/version", json!("1"), "detail.version is \"1\"; 0.x is expected"),
        ("/detail/object/key", json!(null), "detail.object.key is missing"),
        ("/detail/bucket", json!(null), "detail.bucket is missing"),
        ("/detail", json!("x"), "detail is a string in quotes; an object is expected"),
        ("/source", json!("me"), "source is \"me\"; \"aws.s3\" is expected"),
        ("/detail-type", json!(7), "detail-type is a number; a string is expected"),
    ] {
        let mut body = created(KEY, "1");
        *body.pointer_mut(pointer).expect("a place") = value;
        assert_eq!(fault(&body), expected);
    }
}

#[test]
fn security_lake_is_left_alone() {
    let mut bare = created(KEY, "securitylake.amazonaws.com");
    let members = bare.as_object_mut().expect("an object");
    for name in ["version", "id", "detail-type"] {
        members.remove(name);
    }
    let mut unsigned = bare.clone();
    unsigned["detail"]["requester"] = json!("111122223333");
    for body in [bare, unsigned, created(KEY, "securitylake.amazonaws.com")] {
        let notice = sound(&body);
        assert_eq!(notice.shape, Shape::SecurityLake);
        assert!(notice.objects.is_empty());
        let (object, reason) = &notice.left_alone[0];
        assert_eq!((object.key.as_str(), object.etag.as_deref()), (KEY, Some("abc")));
        assert!(reason.contains("Security Lake"), "{reason}");
    }
    assert_eq!(fault(&json!({"source": "aws.s3", "detail": {"bucket": {}}})), "detail-type is missing");
}

#[test]
fn records_on_eventbridge_are_read_inline() {
    let record = json!({"eventVersion": "1.11", "eventSource": "secretsmanager.amazonaws.com",
        "eventName": "GetSecretValue"});
    for detail_type in [
        "AWS API Call via CloudTrail",
        "AWS Service Event via CloudTrail",
        "AWS Network Activity Event via CloudTrail",
        "AWS Console Sign In via CloudTrail",
        "AWS Insight via CloudTrail",
        "A name that AWS has not thought of yet",
    ] {
        let body = bridged(detail_type, "aws.secretsmanager", record.clone());
        for body in [body.to_string(), sns(&body).to_string()] {
            let notice = read(&body);
            assert_eq!((notice.shape, notice.faults.len()), (Shape::EventBridgeRecord, 0), "{notice:?}");
            let event = notice.inline.expect("an event");
            assert_eq!(event.ledger_key, "eventbridge://111122223333/eu-west-1/0-1-2");
            let envelope: Value = serde_json::from_str(&event.json).expect("JSON");
            assert_eq!(envelope["detail"], record);
        }
        assert_eq!(
            fault(&bridged(detail_type, "me", record.clone())),
            "source is \"me\"; one of AWS's own (\"aws.…\") is expected"
        );
    }
    let label = bridged("Secret Label Updated", "aws.secretsmanager", json!({"name": "a", "versionId": "v"}));
    let notice = sound(&label);
    assert_eq!((notice.shape, notice.inline.is_some()), (Shape::SecretLabelUpdated, true));
    for (name, value, expected) in [
        ("id", json!(null), "id is missing"),
        ("account", json!("1/2"), "account is \"1/2\"; up to 64 letters, digits and hyphens are expected"),
        ("region", json!(""), "region is \"\"; up to 64 letters, digits and hyphens are expected"),
        ("detail", json!([]), "detail is a list; an object is expected"),
        ("source", json!("aws.s3"), "source is \"aws.s3\"; \"aws.secretsmanager\" is expected"),
    ] {
        let mut body = label.clone();
        body[name] = value;
        assert_eq!(fault(&body), expected);
    }
}

#[test]
fn a_second_event_in_one_message_is_a_fault() {
    let wrapped = |ids: [&str; 2]| {
        let bodies = ids.map(|id| {
            let mut body = bridged("AWS API Call via CloudTrail", "aws.ssm", json!({}));
            body["id"] = json!(id);
            json!({"eventSource": "aws:sqs", "body": body.to_string()})
        });
        read(&json!({ "Records": bodies }).to_string())
    };
    assert_eq!(wrapped(["1", "1"]).faults.len(), 0);
    assert_eq!(wrapped(["1", "2"]).faults, ["Records[1].body is a second event in one message; one is read"]);
}

#[test]
fn too_much_is_a_fault_and_the_rest_is_read() {
    let many: Vec<String> = (0..MAX_PARTS + 5).map(|number| number.to_string()).collect();
    let notice = read(&json!({"s3Bucket": "trail", "s3ObjectKey": many}).to_string());
    assert_eq!(notice.objects.len(), MAX_PARTS);
    assert_eq!(notice.faults, ["s3ObjectKey goes beyond the 10000 parts of a body that are read: 5 are left"]);
    let notice = read(&s3_event(&vec![json!(1); 5000]).to_string());
    assert_eq!(notice.faults.len(), 101);
    assert_eq!(notice.faults.last().map(String::as_str), Some("and 4900 more"));
    let notice = read(&" ".repeat(MAX_BODY_BYTES + 1));
    assert_eq!(notice.faults, ["the body has 1048577 bytes; at most 1048576 are read"]);
}
