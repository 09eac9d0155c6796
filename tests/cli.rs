//! What a person or a script sees: exit codes, streams, formats, messages.

use std::{fs, io::Write, process::Stdio};

use serde_json::Value;

use crate::harness::{Ran, World};

const READ: &str = r#"{"eventVersion":"1.09","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:i-0abc","arn":"arn:aws:sts::111122223333:assumed-role/api/i-0abc","accountId":"111122223333","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLE","arn":"arn:aws:iam::111122223333:role/app/api","accountId":"111122223333","userName":"api"}}},"eventTime":"2026-08-01T12:00:00Z","eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","awsRegion":"eu-west-1","sourceIPAddress":"198.51.100.7","userAgent":"aws-cli/2.17","requestParameters":{"secretId":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-AbCdEf"},"responseElements":null,"requestID":"r1","eventID":"11111111-2222-3333-4444-555555555555","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}"#;

/// A world that holds one read.
fn one_read() -> World {
    let world = World::new();
    fs::write(world.path("one.json"), format!("{{\"Records\":[{READ}]}}")).expect("a file");
    world.ok(&["ingest", "one.json"]);
    world
}

#[test]
fn standard_input_is_read_and_the_same_event_is_one_row() {
    let world = one_read();
    let mut child = world
        .command(&["ingest", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(READ.as_bytes()).expect("written");
    let ran = Ran::of(&child.wait_with_output().expect("it ends"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(world.number("SELECT count(*) FROM access_events"), 1);
    assert_eq!(world.number("SELECT count(*) FROM objects"), 2);
}

#[test]
fn the_row_says_who_what_and_from_where() {
    let world = one_read();
    let rows = world.rows(
        "SELECT principal_id, session_name, secret_id, secret_name, action, outcome, source_ip, record_index FROM access_events",
    );
    let expected: Value = serde_json::json!([{
        "principal_id": "arn:aws:iam::111122223333:role/app/api", "session_name": "i-0abc",
        "secret_id": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-AbCdEf", "secret_name": "prod/db",
        "action": "read", "outcome": "ok", "source_ip": "198.51.100.7", "record_index": 0
    }]);
    assert_eq!(Value::Array(rows), expected);
}

#[test]
fn a_bad_record_is_quarantined_and_its_neighbours_land() {
    let world = World::new();
    let second = READ.replace("11111111", "22222222");
    fs::write(
        world.path("mixed.json"),
        format!("{{\"Records\":[{READ},{{\"eventSource\":\"secretsmanager.amazonaws.com\",oops}},42,{second}]}}"),
    )
    .expect("a file");
    let ran = world.run(&["ingest", "mixed.json"]);
    assert_eq!(ran.code, 1, "a quarantine is told by the exit code\n{}", ran.stderr);
    assert_eq!(world.number("SELECT count(*) FROM access_events"), 2);
    let rows = world.rows("SELECT record_index, reason FROM quarantine ORDER BY record_index");
    let places: Vec<_> = rows.iter().map(|row| row["record_index"].as_i64()).collect();
    assert_eq!(places, [Some(1), Some(2)], "{rows:?}");
    let list = world.ok(&["quarantine", "list"]);
    assert!(list.stdout.contains("mixed.json"), "{}", list.stdout);
}

#[test]
fn a_bad_file_is_quarantined_whole_and_the_rest_is_read() {
    let world = World::new();
    fs::create_dir(world.path("in")).expect("a folder");
    fs::write(world.path("in/a.json.gz"), b"\x1f\x8b\x08\x00garbage").expect("a file");
    fs::write(world.path("in/b.json"), READ).expect("a file");
    let ran = world.run(&["ingest", "in"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let rows = world.rows("SELECT object_key, outcome, reason FROM objects ORDER BY object_key");
    assert_eq!(rows[0]["outcome"], "quarantined", "{rows:?}");
    assert_eq!(rows[1]["outcome"], "committed", "{rows:?}");
}

#[test]
fn queries_point_at_the_mistake_and_refuse_to_write() {
    let world = one_read();
    let typo = world.run(&["query", "-e", "SELECT principl_id FROM access_events"]);
    assert_eq!(typo.code, 5);
    assert!(typo.stderr.contains("principal_id"), "did you mean\n{}", typo.stderr);
    assert!(typo.stdout.is_empty());
    for sql in [
        "DELETE FROM access_events",
        "DROP VIEW access_events",
        "COPY (SELECT 1) TO 'x.csv'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "SELECT * FROM '/etc/passwd'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT 1; DROP TABLE access_events",
    ] {
        let ran = world.run(&["query", "-e", sql]);
        assert_eq!(ran.code, 5, "{sql}\n{}{}", ran.stdout, ran.stderr);
    }
    let many = world.run(&["query", "--max-rows", "10", "-e", "SELECT * FROM generate_series(1, 100)"]);
    assert_eq!(many.code, 6, "{}{}", many.stdout, many.stderr);
}

#[test]
fn formats_are_what_they_say() {
    let world = one_read();
    let sql = "SELECT event_at, action, mfa FROM access_events";
    let print = |format: &str| world.ok(&["query", "--format", format, "-e", sql]).stdout;
    assert_eq!(print("json").replace('\n', ""), r#"[{"event_at":"2026-08-01T12:00:00Z","action":"read","mfa":null}]"#);
    assert_eq!(print("ndjson").trim(), r#"{"event_at":"2026-08-01T12:00:00Z","action":"read","mfa":null}"#);
    assert_eq!(print("csv").replace('\r', ""), "event_at,action,mfa\n2026-08-01T12:00:00Z,read,\n");
    assert!(print("table").contains("2026-08-01T12:00:00Z"), "{}", print("table"));
}

#[test]
fn the_shell_is_told_what_went_wrong() {
    let world = World::new();
    assert_eq!(world.run(&["ingest", "no-such-folder"]).code, 4);
    assert_eq!(world.run(&["frobnicate"]).code, 2);
    fs::write(world.path("bad.toml"), "[ingest]\nscop = \"all\"\n").expect("a file");
    let config = world.run(&["ingest", "x", "--config", "bad.toml"]);
    assert_eq!(config.code, 3);
    assert!(
        config.stderr.contains("bad.toml:2") && config.stderr.contains("did you mean `scope`?"),
        "{}",
        config.stderr
    );
    let world = one_read();
    assert_eq!(world.run(&["alerts", "show", "nothing"]).code, 4);
    assert_eq!(world.run(&["query", "no-such-query"]).code, 4);
}

#[test]
fn rule_packs_check_and_their_samples_pass() {
    let world = World::new();
    let check = world.ok(&["rules", "check"]);
    let packs = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/rules/pack")).expect("the packs").count();
    let expected = format!("{packs} rules, 0 mistakes");
    assert!(packs >= 30 && check.stdout.contains(&expected), "{}{}", check.stdout, check.stderr);
    // All samples of all packs are run by the rules' own tests.
    let test = world.ok(&["rules", "test", "--only", "off_"]);
    assert!(test.stdout.contains("PASS") && !test.stdout.contains("FAIL"), "{}", test.stdout);
    for rule in ["unused_secret", "new_principal", "off_cidr_use", "post_rotation_access"] {
        let shown = world.ok(&["rules", "show", rule]).stdout;
        assert!(shown.contains("SELECT") || shown.contains("select"), "{shown}");
    }
}

#[test]
fn hostile_text_cannot_steer_the_terminal() {
    let world = World::new();
    let hostile = READ.replace("aws-cli/2.17", "evil\\u001b[2J\\u202e");
    fs::write(world.path("one.json"), hostile).expect("a file");
    world.ok(&["ingest", "one.json"]);
    let table = world.ok(&["query", "-e", "SELECT user_agent FROM access_events"]).stdout;
    assert!(!table.contains('\u{1b}') && !table.contains('\u{202e}'), "{table:?}");
}
