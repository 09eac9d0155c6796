//! Bodies that anybody may have written.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::shapes::{s3_event, s3_record};
use crate::notification::{MAX_PARTS, MAX_WORDS, Shape, encode_key, read};

/// Members that mean something somewhere, so that random objects get past the first look.
const NAMES: &[&str] = &[
    "Type",
    "Message",
    "TopicArn",
    "Records",
    "s3Bucket",
    "s3ObjectKey",
    "Event",
    "version",
    "id",
    "detail-type",
    "source",
    "account",
    "time",
    "region",
    "detail",
    "eventVersion",
    "eventSource",
    "eventName",
    "EventSource",
    "Sns",
    "body",
    "s3",
    "bucket",
    "object",
    "name",
    "key",
    "size",
    "eTag",
    "etag",
    "versionId",
    "requester",
    "other",
];
const TEXTS: &[&str] = &[
    "Notification",
    "SubscriptionConfirmation",
    "s3:TestEvent",
    "aws:s3",
    "aws:sns",
    "aws:sqs",
    "aws.s3",
    "2.1",
    "0",
    "ObjectCreated:Put",
    "Object Created",
    "AWS API Call via CloudTrail",
    "Secret Label Updated",
    "%ff",
    "a+b%2",
    "",
    "CloudTrail validation message.",
    "trail",
    "\0",
    "\u{202e}",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(TEXTS).prop_map(str::to_owned), 1 => any::<String>()]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            3 => prop::collection::vec((prop::sample::select(NAMES), inner.clone()), 0..8).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
            // What an envelope holds is JSON in a string.
            1 => inner.prop_map(|value| Value::from(value.to_string())),
        ]
    })
}

fn is_bounded(body: &str) {
    let notice = read(body);
    assert!(notice.objects.len() + notice.left_alone.len() <= MAX_PARTS);
    assert!(notice.faults.len() <= MAX_WORDS + 1 && notice.ignored.len() <= MAX_WORDS + 1);
    for line in notice.faults.iter().chain(&notice.ignored) {
        assert!(line.chars().count() < 1000 && !line.chars().any(char::is_control), "{line:?}");
    }
    for object in &notice.objects {
        assert!(!object.key.is_empty() && object.key.len() <= 1024);
        assert!(!object.bucket.is_empty() && !object.bucket.contains('/'));
    }
    let nothing = notice.objects.is_empty() && notice.left_alone.is_empty() && notice.inline.is_none();
    assert!(!nothing || notice.ignored.len() + notice.faults.len() > 0, "{body} is passed over in silence");
}

/// What is wrong with a record.
fn broken(record: u8) -> Value {
    let mut value = s3_record("broken");
    match record % 6 {
        0 => value = json!("garbage"),
        1 => value["s3"]["object"]["key"] = json!(null),
        2 => value["eventVersion"] = json!("1.0"),
        3 => value["s3"]["bucket"] = json!([]),
        4 => value["s3"]["object"]["key"] = json!("%C3%28"),
        _ => value = json!({}),
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_gives_a_notice(body in any::<String>()) {
        is_bounded(&body);
    }

    #[test]
    fn any_bytes_give_a_notice(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        is_bounded(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_json_gives_a_notice(body in any_json()) {
        is_bounded(&body.to_string());
    }

    /// A sound body with bytes cut out, doubled or changed.
    #[test]
    fn a_damaged_body_gives_a_notice(at in 0usize..400, with in any::<char>(), cut in 0usize..20) {
        let body = json!({"Type": "Notification", "Message": s3_event(&[s3_record("a"), s3_record("b")]).to_string()});
        let mut characters: Vec<char> = body.to_string().chars().collect();
        let at = at % characters.len();
        let end = (at + cut).min(characters.len());
        characters.splice(at..end, [with]);
        is_bounded(&characters.into_iter().collect::<String>());
    }

    #[test]
    fn good_records_are_read_beside_bad_ones(parts in prop::collection::vec(prop::option::of(any::<u8>()), 0..60)) {
        let records: Vec<Value> = parts
            .iter()
            .enumerate()
            .map(|(index, part)| part.map_or_else(|| s3_record(&format!("good/{index}")), broken))
            .collect();
        let notice = read(&s3_event(&records).to_string());
        let keys: Vec<String> = notice.objects.iter().map(|object| object.key.clone()).collect();
        let good: Vec<String> = parts
            .iter()
            .enumerate()
            .filter(|(_, part)| part.is_none())
            .map(|(index, _)| format!("good/{index}"))
            .collect();
        prop_assert_eq!(keys, good);
        prop_assert_eq!(notice.faults.len(), parts.iter().flatten().count());
    }

    #[test]
    fn any_key_is_announced_as_it_stands(keys in prop::collection::hash_set("\\PC{1,200}|[\0-\u{1f}%+/ a]{1,40}", 1..8)) {
        let records: Vec<Value> = keys.iter().map(|key| s3_record(&encode_key(key))).collect();
        let notice = read(&s3_event(&records).to_string());
        prop_assert_eq!(&notice.faults, &Vec::<String>::new());
        prop_assert_eq!(notice.shape, Shape::S3);
        let read: HashSet<String> = notice.objects.into_iter().map(|object| object.key).collect();
        prop_assert_eq!(read, keys);
    }
}

#[test]
fn nesting_costs_nothing() {
    let deep = "[".repeat(200_000);
    for body in [
        deep.clone(),
        format!("{{\"Records\":{deep}"),
        format!("{{\"Records\":[{deep}"),
        format!("{{\"x\":{}{}}}", deep, "]".repeat(200_000)),
        "{\"a\":".repeat(100_000),
    ] {
        is_bounded(&body);
    }
}

#[test]
fn a_member_that_stands_twice_is_a_fault() {
    let body = r#"{"Records":[],"Records":[{"eventSource":"aws:s3"}]}"#;
    let notice = read(body);
    assert_eq!(notice.shape, Shape::Unknown);
    assert!(notice.faults[0].starts_with("the body is broken: Records stands twice"), "{notice:?}");
}

#[test]
fn trailing_text_is_a_fault() {
    let body = format!("{} {{}}", s3_event(&[s3_record("a")]));
    assert_eq!((read(&body).objects.len(), read(&body).faults.len()), (0, 1));
    // A byte order mark and white space around it are none.
    let body = format!("\u{feff} {}\r\n", s3_event(&[s3_record("a")]));
    assert_eq!((read(&body).objects.len(), read(&body).faults.len()), (1, 0));
}

#[test]
fn a_lone_surrogate_is_a_fault() {
    let body = s3_event(&[s3_record("KEY"), s3_record("b")]).to_string().replace("KEY", "\\ud800");
    let notice = read(&body);
    assert_eq!((notice.objects.len(), notice.faults.len()), (1, 1), "{notice:?}");
}
