//! Whole objects in every transport, hostile ones, and the real recordings.

use std::{fmt::Write as _, io::Write as _, path::PathBuf};

use flate2::{Compression, write::GzEncoder};
use keytrail_model::QuarantinedRecord;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const TRAIL_KEY: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/08/01/111122223333_CloudTrail_us-east-1_20260801T1205Z_AbCdEfGhIjKlMnOp.json.gz";

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(plain).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn decode_as(bytes: &[u8], key: &str, scope: Scope, settings: &DecodeSettings) -> Decoded {
    let object = ObjectId { key: key.to_owned(), version: "v".to_owned() };
    let decoded = decode_object(bytes, &object, settings, scope, &FieldMap::default(), &mut Buffers::default());
    let entry = &decoded.entry;
    let quarantined = entry.quarantined.len() as i64;
    assert_eq!(
        entry.record_count,
        entry.kept_count + entry.ignored_count + quarantined,
        "the counts add up: {entry:?}"
    );
    decoded
}

fn decode(bytes: &[u8]) -> Decoded {
    decode_as(bytes, TRAIL_KEY, Scope::Secrets, &DecodeSettings::default())
}

fn read_of(secret: &str) -> serde_json::Value {
    json!({
        "eventVersion": "1.08",
        "userIdentity": {
            "type": "AssumedRole", "principalId": "AROAEXAMPLEEXAMPLE000:s", "accountId": "111122223333",
            "arn": "arn:aws:sts::111122223333:assumed-role/api/s", "accessKeyId": "ASIAEXAMPLEEXAMPLE00",
            "sessionContext": {"sessionIssuer": {
                "type": "Role", "principalId": "AROAEXAMPLEEXAMPLE000", "arn": "arn:aws:iam::111122223333:role/api",
                "accountId": "111122223333", "userName": "api"
            }, "attributes": {"creationDate": "2026-08-01T11:00:00Z", "mfaAuthenticated": "false"}}
        },
        "eventTime": "2026-08-01T12:00:00Z",
        "eventSource": "secretsmanager.amazonaws.com",
        "eventName": "GetSecretValue",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "Boto3/1.34",
        "requestParameters": {"secretId": format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:{secret}-AbCdEf")},
        "responseElements": null,
        "requestID": "r", "eventID": format!("id-{secret}"), "readOnly": true, "eventType": "AwsApiCall",
        "managementEvent": true, "recipientAccountId": "111122223333", "eventCategory": "Management"
    })
}

fn noise() -> serde_json::Value {
    json!({
        "eventVersion": "1.08", "eventTime": "2026-08-01T12:00:00Z", "eventSource": "ec2.amazonaws.com",
        "eventName": "DescribeInstances", "awsRegion": "us-east-1", "eventID": "n", "eventType": "AwsApiCall"
    })
}

fn event_ids(decoded: &Decoded) -> Vec<&str> {
    decoded.rows.iter().map(|row| row.event_id.as_str()).collect()
}

#[test]
fn a_trail_file() {
    let text = json!({"Records": [noise(), read_of("a"), noise(), read_of("b")]}).to_string();
    for bytes in [text.clone().into_bytes(), gzip(text.as_bytes())] {
        let decoded = decode(&bytes);
        assert_eq!(event_ids(&decoded), ["id-a", "id-b"]);
        assert_eq!(decoded.rows.iter().map(|row| row.record_index).collect::<Vec<_>>(), [1, 3]);
        let entry = decoded.entry;
        assert_eq!(entry.outcome, ObjectOutcome::Committed);
        assert_eq!((entry.record_count, entry.kept_count, entry.ignored_count), (4, 2, 2));
        assert_eq!((entry.size_bytes, entry.json_bytes), (bytes.len() as i64, text.len() as i64));
        assert_eq!(entry.content_kind, "cloudtrail");
        assert_eq!((entry.account_id.as_deref(), entry.region.as_deref()), (Some("111122223333"), Some("us-east-1")));
        assert_eq!(entry.delivered_at, keytrail_model::time::parse_rfc3339("2026-08-01T12:05:00Z"));
        assert_eq!(entry.first_event_at, keytrail_model::time::parse_rfc3339("2026-08-01T12:00:00Z"));
    }
}

#[test]
fn every_transport_brings_the_same_record() {
    let record = read_of("a").to_string();
    let envelope = json!({
        "version": "0", "id": "e", "detail-type": "AWS API Call via CloudTrail", "source": "aws.secretsmanager",
        "account": "111122223333", "time": "2026-08-01T12:00:01Z", "region": "us-east-1", "resources": [], "detail": read_of("a")
    })
    .to_string();
    let batch = |kind: &str, messages: &[&str]| {
        let events: Vec<_> = messages
            .iter()
            .enumerate()
            .map(|(at, message)| json!({"id": at.to_string(), "timestamp": 1, "message": message}))
            .collect();
        json!({"messageType": kind, "owner": "111122223333", "logGroup": "g", "logStream": "111122223333_CloudTrail_us-east-1",
            "subscriptionFilters": ["f"], "logEvents": events})
        .to_string()
    };
    let probe = batch("CONTROL_MESSAGE", &["CWL CONTROL MESSAGE: Checking health of destination Firehose."]);
    let lambda = |packed: &[u8]| json!({"awslogs": {"data": to_base64(packed)}}).to_string();
    let cases: [(&str, Vec<u8>); 9] = [
        ("cloudtrail", record.clone().into_bytes()),
        ("cloudtrail", format!("[{record}]").into_bytes()),
        ("cloudtrail", format!("\u{feff}{record}\n").into_bytes()),
        ("eventbridge", envelope.clone().into_bytes()),
        ("eventbridge", format!("[{envelope}]").into_bytes()),
        ("cloudwatch_logs", batch("DATA_MESSAGE", &[&record]).into_bytes()),
        ("cloudwatch_logs", batch("DATA_MESSAGE", &[&envelope]).into_bytes()),
        ("cloudwatch_logs", [gzip(probe.as_bytes()), gzip(batch("DATA_MESSAGE", &[&record]).as_bytes())].concat()),
        ("cloudwatch_logs", lambda(&gzip(batch("DATA_MESSAGE", &[&record]).as_bytes())).into_bytes()),
    ];
    for (kind, bytes) in cases {
        let decoded = decode_as(&bytes, "some/file", Scope::Secrets, &DecodeSettings::default());
        assert_eq!(event_ids(&decoded), ["id-a"], "{}", String::from_utf8_lossy(&bytes));
        assert_eq!(decoded.entry.content_kind, kind);
        assert_eq!(decoded.entry.record_count, 1);
        assert_eq!(decoded.rows.first().map(|row| row.account_id.as_str()), Some("111122223333"));
    }
}

fn to_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let held = chunk.iter().fold(0u32, |held, byte| (held << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(held >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}

#[test]
fn a_message_that_is_no_record_is_told_with_its_id() {
    let events = json!([
        {"id": "one", "timestamp": 1, "message": "[ERROR] a line of prose"},
        {"id": "two", "timestamp": 2, "message": read_of("a").to_string()},
        {"id": "three", "timestamp": 3, "message": "{\"eventVersion\":\"1.08\",\"eventSource\":\"secretsmanager.amazonaws.com\""},
    ]);
    let decoded = decode(json!({"messageType": "DATA_MESSAGE", "logEvents": events}).to_string().as_bytes());
    assert_eq!(event_ids(&decoded), ["id-a"]);
    let places: Vec<_> =
        decoded.entry.quarantined.iter().map(|bad| (bad.record_index, bad.reason.contains("log event"))).collect();
    assert_eq!(places, [(0, true), (2, true)]);
}

#[test]
fn objects_to_leave_alone_say_why() {
    let with = |change: fn(&mut serde_json::Value)| {
        let mut record = noise();
        change(&mut record);
        json!({"Records": [record.clone(), record]}).to_string()
    };
    let insight = with(|record| record["eventCategory"] = json!("Insight"));
    let network = with(|record| record["eventCategory"] = json!("NetworkActivity"));
    let aggregated = with(|record| record["eventCategory"] = json!("Aggregated"));
    let notification = with(|record| record["eventSource"] = json!("aws:s3"));
    let digest = json!({"awsAccountId": "111122223333", "digestStartTime": "2026-08-01T12:00:00Z"}).to_string();
    for (key, bytes, kind) in [
        ("f", &b""[..], "empty"),
        ("f", b" \n ", "empty"),
        ("f", b"PAR1\x15\x04", "parquet"),
        ("f", insight.as_bytes(), "insight"),
        ("f", network.as_bytes(), "network_activity"),
        ("f", aggregated.as_bytes(), "aggregated"),
        ("f", notification.as_bytes(), "notification"),
        ("f", digest.as_bytes(), "digest"),
        ("AWSLogs/1/CloudTrail-Digest/us-east-1/2026/08/01/x.json.gz", b"anything", "digest"),
        ("AWSLogs/1/CloudTrail-Insight/us-east-1/2026/08/01/x.json.gz", b"anything", "insight"),
        ("AWSLogs/1/CloudTrail-NetworkActivity/us-east-1/2026/08/01/x.json.gz", b"anything", "network_activity"),
        ("AWSLogs/1/CloudTrail-Aggregated/us-east-1/2026/08/01/x.json.gz", b"anything", "aggregated"),
    ] {
        let entry = decode_as(bytes, key, Scope::All, &DecodeSettings::default()).entry;
        assert_eq!(entry.content_kind, kind);
        assert!(matches!(&entry.outcome, ObjectOutcome::Skipped(reason) if !reason.is_empty()), "{kind}: {entry:?}");
    }
    // One ordinary record among them, and the object is read.
    let mixed = json!({"Records": [json!({"eventCategory": "Insight", "eventVersion": "1.08", "eventType": "x"}), read_of("a")]});
    let decoded = decode(mixed.to_string().as_bytes());
    assert_eq!((decoded.entry.kept_count, decoded.entry.ignored_count), (1, 1));
    assert_eq!(decoded.entry.outcome, ObjectOutcome::Committed);
}

#[test]
fn a_malformed_file_is_quarantined_whole() {
    let small = DecodeSettings { max_object_bytes: 1_000, ..DecodeSettings::default() };
    let big = json!({"Records": [read_of("a"), read_of("b")]}).to_string();
    let cut: Vec<u8> = gzip(big.as_bytes()).into_iter().take(200).collect();
    for (bytes, settings, told) in [
        (&b"# a text file\n"[..], DecodeSettings::default(), "not a JSON object"),
        (b"{\"Hello\":\"World\"}", DecodeSettings::default(), "no CloudTrail record"),
        (b"[1,2,3]", DecodeSettings::default(), "no CloudTrail record"),
        (b"{{{{", DecodeSettings::default(), "no CloudTrail record"),
        (&cut, DecodeSettings::default(), "gzip"),
        (&gzip(big.as_bytes()), small, "max_object_bytes"),
        (big.as_bytes(), small, "max_object_bytes"),
    ] {
        let decoded = decode_as(bytes, "f", Scope::Secrets, &settings);
        let ObjectOutcome::Quarantined(reason) = &decoded.entry.outcome else {
            panic!("{:?}", decoded.entry);
        };
        assert!(reason.contains(told), "{reason}");
        assert!(decoded.rows.is_empty() && decoded.entry.quarantined.is_empty());
    }
}

#[test]
fn bad_records_are_told_with_their_place_and_the_rest_lands() {
    let (a, b) = (read_of("a").to_string(), read_of("b").to_string());
    let untyped = noise().to_string().replace("eventType", "eventTypo");
    let odd = b.replace("\"GetSecretValue\"", "\"GetSecretValue");
    let unparsable = b.replace("true", "maybe");
    let text = format!(r#"{{"Records":[{a},{untyped},{odd},{unparsable},7,{b}]}}"#);
    let decoded = decode(text.as_bytes());
    assert_eq!(event_ids(&decoded), ["id-a", "id-b"]);
    let told: Vec<(i64, &str)> = decoded
        .entry
        .quarantined
        .iter()
        .map(|bad| {
            let start = bad.byte_offset as usize;
            (bad.record_index, text.get(start..start + bad.byte_length as usize).expect("a range of the text"))
        })
        .collect();
    assert_eq!(told, [(1, untyped.as_str()), (2, odd.as_str()), (3, unparsable.as_str()), (4, "7")]);
    assert_eq!(decoded.rows.last().map(|row| row.record_index), Some(5));
    assert_eq!(decoded.entry.outcome, ObjectOutcome::Committed);
}

#[test]
fn early_versions_need_no_event_type() {
    for version in ["1.0", "1.01"] {
        let text = noise().to_string().replace("eventType", "eventTypo").replace("1.08", version);
        assert_eq!(decode(text.as_bytes()).entry.ignored_count, 1, "{version}");
    }
}

#[test]
fn too_many_bad_records_end_the_object() {
    let settings = DecodeSettings { max_quarantined: 5, ..DecodeSettings::default() };
    let text = format!("{{\"Records\":[{},{}]}}", read_of("a"), vec!["1"; 50].join(","));
    let entry = decode_as(text.as_bytes(), "f", Scope::Secrets, &settings).entry;
    assert_eq!(entry.kept_count, 1);
    assert_eq!(entry.quarantined.len(), 6);
    let rest: &QuarantinedRecord = entry.quarantined.last().expect("six of them");
    assert!(rest.reason.contains("max_quarantined"));
    assert_eq!((rest.byte_offset + rest.byte_length) as usize, text.len());
}

fn log_line(id: &str, agent: &str) -> String {
    format!(
        r#"{{"v":1,"src":"apigw-rest","extId":"{id}","reqId":"r","t":"1785585600000","owner":"111122223333","api":"a1b2c3","stage":"prod","method":"GET","res":"/v1/pay","path":"/prod/v1/pay","status":"200","errType":"-","authz":"200","authn":"200","userArn":"arn:aws:sts::111122223333:assumed-role/api/s","caller":"AROAEXAMPLEEXAMPLE000:s","user":"AROAEXAMPLEEXAMPLE000:s","acct":"111122223333","org":"o-1","cognito":"-","authPrincipal":"-","keyId":"-","ip":"198.51.100.7","vpc":"-","vpce":"-","tls":"TLSv1.3","dom":"d","ua":"{agent}"}}"#
    )
}

#[test]
fn access_logs_with_and_without_newlines_and_with_hostile_text() {
    for agent in ["curl/8", "curl \"x\" y", "odd \" quote", "} brace", "{ brace", "\\", "\"}", "] [ , :"] {
        for separator in ["\n", ""] {
            let text = [log_line("one", "curl/8"), log_line("two", agent), log_line("three", "curl/8")].join(separator);
            let key = "amazon-apigateway-logs-1-2026-08-01-12-34-56-0a1b2c3d-0000-4000-8000-0123456789ab";
            let decoded = decode_as(text.as_bytes(), key, Scope::Secrets, &DecodeSettings::default());
            assert_eq!(
                event_ids(&decoded),
                ["one", "two", "three"],
                "{agent:?} {separator:?} {:?}",
                decoded.entry.quarantined
            );
            assert_eq!(decoded.entry.content_kind, "apigateway_access_log");
            assert!(decoded.rows.iter().all(|row| row.source_ip.as_deref() == Some("198.51.100.7")));
        }
    }
}

#[test]
fn access_logs_through_cloudwatch() {
    let events: Vec<_> = ["curl/8", "odd \" quote"]
        .iter()
        .enumerate()
        .map(|(at, agent)| json!({"id": format!("line-{at}"), "timestamp": 1, "message": log_line(&format!("ext-{at}"), agent)}))
        .collect();
    let decoded =
        decode(json!({"messageType": "DATA_MESSAGE", "owner": "1", "logEvents": events}).to_string().as_bytes());
    assert_eq!(event_ids(&decoded), ["ext-0", "ext-1"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), zip in any::<bool>()) {
        let bytes = if zip { gzip(&bytes) } else { bytes };
        decode(&bytes);
    }

    /// A real-shaped object with some bytes changed: nothing panics, the counts add up, most records land.
    #[test]
    fn no_damage_panics(flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), shape in 0..4) {
        let records: Vec<String> = (0..12).map(|at| read_of(&format!("s{at}")).to_string()).collect();
        let mut bytes = match shape {
            0 => format!("{{\"Records\":[{}]}}", records.join(",")),
            1 => records.join("\n"),
            2 => (0..12).fold(String::new(), |mut text, at| { write!(text, "{}", log_line(&at.to_string(), "x")).expect("memory"); text }),
            _ => json!({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "timestamp": 1, "message": records[0]}]}).to_string(),
        }
        .into_bytes();
        for (at, byte) in &flips {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let decoded = decode(&bytes);
        if shape == 1 {
            prop_assert!(decoded.rows.len() >= 12 - 2 * flips.len(), "{:?}", decoded.entry);
        }
    }
}

/// The recordings that the project is tested on, where they are there.
fn real_data(folder: &str) -> Option<Vec<(PathBuf, Vec<u8>)>> {
    let root = std::env::var_os("KEYTRAIL_REAL_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            match std::fs::read(&path) {
                Ok(bytes) => found.push((path, bytes)),
                Err(_) if path.is_dir() => folders.push(path),
                Err(_) => {}
            }
        }
    }
    found.sort();
    if found.is_empty() {
        skipping(folder);
        return None;
    }
    Some(found)
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skipping(folder: &str) {
    eprintln!("skipped: no real data in `{folder}` (set KEYTRAIL_REAL_DATA)");
}

fn decode_file(path: &std::path::Path, bytes: &[u8], scope: Scope) -> Decoded {
    decode_as(bytes, &path.to_string_lossy(), scope, &DecodeSettings::default())
}

#[test]
fn real_versions_are_read_and_the_malformed_one_is_told() {
    let Some(files) = real_data("cloudtrail-versions") else {
        return;
    };
    for scope in [Scope::Secrets, Scope::All] {
        let mut seen = 0;
        for (path, bytes) in &files {
            let name = path.file_name().expect("a file").to_string_lossy();
            if !name.ends_with(".json") && !name.ends_with(".json.gz") {
                continue;
            }
            let decoded = decode_file(path, bytes, scope);
            seen += decoded.entry.record_count;
            assert_eq!(decoded.entry.outcome, ObjectOutcome::Committed, "{name}");
            if name == "bad1_01.json" {
                let bad = decoded.entry.quarantined.first().expect("the malformed example is told");
                assert_eq!(bad.record_index, 0);
                assert_eq!(bytes.get(bad.byte_offset as usize), Some(&b'{'));
            } else {
                assert!(decoded.entry.quarantined.is_empty(), "{name}: {:?}", decoded.entry.quarantined);
            }
            if name.contains("_CloudTrail_") {
                assert_eq!(decoded.entry.account_id.as_deref(), Some("811596193553"));
                assert!(decoded.entry.delivered_at.is_some() && decoded.entry.region.is_some(), "{name}");
            }
        }
        assert_eq!(seen, 206);
    }
}

#[test]
fn real_attack_recordings_lose_no_record() {
    let Some(files) = real_data("stratus-red-team") else {
        return;
    };
    let mut seen = 0;
    for (path, bytes) in files.iter().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "json"))
    {
        let decoded = decode_file(path, bytes, Scope::All);
        assert!(decoded.entry.quarantined.is_empty(), "{}: {:?}", path.display(), decoded.entry.quarantined);
        seen += decoded.entry.record_count;
    }
    assert_eq!(seen, 310);
}

#[test]
fn real_single_calls_are_all_seen() {
    let Some(files) = real_data("traildiscover") else {
        return;
    };
    let (mut seen, mut objects) = (0, 0);
    for (path, bytes) in &files {
        let decoded = decode_file(path, bytes, Scope::Secrets);
        if path.extension().is_some_and(|extension| extension == "cloudtrail") {
            assert_eq!(decoded.entry.outcome, ObjectOutcome::Committed, "{}", path.display());
            assert!(decoded.entry.quarantined.is_empty(), "{}: {:?}", path.display(), decoded.entry.quarantined);
            seen += decoded.entry.record_count;
            objects += 1;
        } else {
            assert!(matches!(decoded.entry.outcome, ObjectOutcome::Quarantined(_)), "{}", path.display());
        }
    }
    assert_eq!((seen, objects), (563, 584));
}

#[test]
fn real_envelopes_are_recognised() {
    let Some(files) = real_data("notifications") else {
        return;
    };
    let of = |name: &str| {
        let (path, bytes) = files.iter().find(|(path, _)| path.ends_with(name)).expect("a file of that name");
        decode_file(path, bytes, Scope::Secrets).entry
    };
    let logs = of("aws-lambda-go/cloudwatch-logs-event.json");
    assert_eq!((logs.content_kind.as_str(), logs.record_count, logs.quarantined.len()), ("cloudwatch_logs", 2, 2));
    assert_eq!(of("cloudtrail-rs/s3-event-object-created.json").content_kind, "notification");
    assert_eq!(of("aws-lambda-rust-runtime/example-eventbridge-event-obj.json").content_kind, "eventbridge");
    let record = of("aws-lambda-rust-runtime/example-cloudwatch-cloudtrail-assumed-role.json");
    assert_eq!((record.content_kind.as_str(), record.record_count), ("cloudtrail", 1));
    for (path, bytes) in &files {
        let entry = decode_file(path, bytes, Scope::All).entry;
        assert!(!entry.content_kind.is_empty());
    }
}
