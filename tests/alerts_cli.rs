//! What a person does with alerts and rules, through the program: life, suppressions, evidence, explain, backtest, diff.
//!
//! The world has a rule of its own, `any_read`, which fires on every read that succeeded, so that what is tested does not hang on what
//! the built-in rules say.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use crate::harness::World;

const MANIFEST: &str = r#"id = "any_read"
title = "Any read"
version = "3"
severity = "medium"
description = "Every read that succeeded."
run = ["batch"]
fold_by = ["principal_id"]
episode_gap = "1h"

[text]
title = "{{ principal_id | principal }} read"
reason = "{{ principal_id | principal }} read {{ secret_id | secret }}."
"#;
const COLUMNS: &str =
    "event_at, event_id, event_name, principal_id, secret_id, account_id, region, source_ip, object_key, record_index";
const GUIDE: &str = "Ask the owner of {{ principal_id }}.\n";

fn record(number: u32, minute: u32, role: &str, denied: bool) -> String {
    let error = if denied { r#""errorCode":"AccessDenied","errorMessage":"no","# } else { "" };
    format!(
        r#"{{"eventVersion":"1.09","userIdentity":{{"type":"AssumedRole","principalId":"AROA{role}:i-0abc","arn":"arn:aws:sts::111122223333:assumed-role/{role}/i-0abc","accountId":"111122223333","accessKeyId":"ASIAEXAMPLE","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA{role}","arn":"arn:aws:iam::111122223333:role/app/{role}","accountId":"111122223333","userName":"{role}"}}}}}},"eventTime":"2026-08-01T12:{minute:02}:00Z","eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","awsRegion":"eu-west-1","sourceIPAddress":"198.51.100.7","userAgent":"aws-cli/2.17",{error}"requestParameters":{{"secretId":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-AbCdEf"}},"responseElements":null,"requestID":"r{number}","eventID":"0000000{number}-2222-3333-4444-555555555555","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}}"#
    )
}

fn event_id(number: u32) -> String {
    format!("0000000{number}-2222-3333-4444-555555555555")
}

fn write_pack(folder: &Path, condition: &str) {
    let pack = folder.join("any_read");
    fs::create_dir_all(&pack).expect("a folder");
    fs::write(pack.join("rule.toml"), MANIFEST).expect("a file");
    let sql = format!("SELECT {COLUMNS}\nFROM new_events\nWHERE action = 'read' AND {condition}\n");
    fs::write(pack.join("detect.sql"), sql).expect("a file");
    fs::write(pack.join("guide.md"), GUIDE).expect("a file");
}

/// A lake in which two roles read one secret and a third was refused.
fn world() -> World {
    let world = World::new();
    write_pack(&world.path("packs"), "outcome = 'ok'");
    fs::write(world.path("keytrail.toml"), "[alerts]\npacks = \"packs\"\n").expect("a file");
    let records = [record(1, 0, "api", false), record(2, 5, "worker", false), record(3, 6, "stranger", true)];
    fs::write(world.path("one.json"), format!("{{\"Records\":[{}]}}", records.join(","))).expect("a file");
    world.ok(&["--config", "keytrail.toml", "ingest", "one.json"]);
    world
}

/// Runs with the world's configuration and reads what was printed.
fn json(world: &World, arguments: &[&str]) -> Value {
    let ran = world.ok(&[&["--config", "keytrail.toml", "--format", "json"], arguments].concat());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

fn alert_of(world: &World, role: &str) -> String {
    let found = json(world, &["alerts", "list", "--all", "--rule", "any_read", "--principal", role]);
    assert_eq!(found.as_array().expect("an array").len(), 1, "{found}");
    found[0]["alert_id"].as_str().expect("an id").to_owned()
}

/// Runs, expects an exit code and that something is said.
fn refused(world: &World, code: i32, arguments: &[&str], said: &str) {
    let ran = world.run(&[&["--config", "keytrail.toml"], arguments].concat());
    assert_eq!(ran.code, code, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert!(all.contains(said), "{arguments:?}: {all}");
}

#[test]
fn an_alert_lives_and_is_silenced_and_everything_stays_readable() {
    let world = world();
    let (api, worker) = (alert_of(&world, "role/app/api"), alert_of(&world, "*worker"));
    assert_eq!(json(&world, &["alerts", "list", "--rule", "any_read", "--severity", "high"]), serde_json::json!([]));
    assert_eq!(
        json(&world, &["alerts", "list", "--rule", "any_*", "--secret", "prod/db"]).as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(json(&world, &["alerts", "list", "--all", "--since", "2026-08-02"]), serde_json::json!([]));
    refused(&world, 2, &["alerts", "list", "--since", "yesterday"], "--since");
    refused(&world, 4, &["alerts", "show", "nothing"], "alerts list --all");

    // Life, by whom and why.
    let acted = world.ok(&["alerts", "ack", &api, "--by", "ana", "--note", "looking"]);
    assert!(acted.stdout.contains("acknowledged"), "{}", acted.stdout);
    refused(&world, 2, &["alerts", "ack", &api], "acknowledged already");
    refused(&world, 2, &["alerts", "close", &api, "--verdict", "wrong"], "true_positive");
    world.ok(&["alerts", "close", &api, "--verdict", "true_positive", "--by", "bo", "--note", "stolen"]);
    refused(&world, 2, &["alerts", "ack", &api], "closed as true_positive");
    let shown = json(&world, &["alerts", "show", &api]);
    let history: Vec<(&str, Option<&str>)> = shown["history"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|step| (step["what"].as_str().expect("a word"), step["by"].as_str()))
        .collect();
    assert_eq!(history, [("raised", None), ("acknowledged", Some("ana")), ("closed as true_positive", Some("bo"))]);
    assert_eq!(shown["evidence"][0]["event_id"], event_id(1).as_str());
    assert_eq!(shown["guide"], "Ask the owner of arn:aws:iam::111122223333:role/app/api.");
    let related: Vec<&str> =
        shown["related"].as_array().expect("an array").iter().filter_map(|it| it["alert_id"].as_str()).collect();
    assert!(related.contains(&worker.as_str()), "{shown}");
    for key in [
        "why",
        "delivered_at",
        "precision",
        "suppression",
        "merged",
        "next_alert_id",
        "previous_alert_id",
        "fingerprint",
    ] {
        assert!(shown.get(key).is_some(), "{key} is missing: {shown}");
    }
    let page = world.ok(&["--config", "keytrail.toml", "alerts", "show", &api]).stdout;
    for part in [
        "MEDIUM  closed (true_positive)",
        "role/app/api read prod/db.",
        "#0",
        "Ask the owner",
        "by ana: looking",
        "related",
        &worker,
    ] {
        assert!(page.contains(part), "{part} is missing:\n{page}");
    }
    let precision = world.rows("SELECT alerts, judged, precision FROM rule_precision WHERE rule_id = 'any_read'");
    assert_eq!(precision, [serde_json::json!({"alerts": 2, "judged": 1, "precision": 1.0})]);
    assert_eq!(world.number(&format!("SELECT count(*) FROM alert_history WHERE alert_id = '{api}'")), 3);
    let listed = json(&world, &["rules", "list"]);
    let mine = listed.as_array().expect("an array").iter().find(|it| it["id"] == "any_read").expect("listed");
    assert_eq!((&mine["state"], &mine["alerts"], &mine["judged"]), (&"on".into(), &2.into(), &1.into()));

    // What a suppression must say, and what it must not hide.
    let whole = [
        "alerts",
        "suppress",
        "--rule",
        "any_read",
        "--owner",
        "platform",
        "--reason",
        "the migration",
        "--for",
        "14d",
    ];
    refused(&world, 2, &whole[..8], "--for or --until is missing");
    refused(
        &world,
        2,
        &["alerts", "suppress", "--rule", "any_read", "--reason", "r", "--for", "1d"],
        "--owner is missing",
    );
    refused(&world, 2, &["alerts", "suppress", "--owner", "o", "--reason", "r", "--for", "1d"], "say what to suppress");
    refused(
        &world,
        2,
        &["alerts", "suppress", "--rule", "*", "--owner", "o", "--reason", "r", "--for", "1d"],
        "everything",
    );
    refused(
        &world,
        2,
        &["alerts", "suppress", "--network", "10.0.0.0/33", "--owner", "o", "--reason", "r", "--for", "1d"],
        "not a network",
    );
    refused(&world, 2, &[&whole[..9], &["91d"]].concat(), "at most 90 days");
    refused(&world, 2, &whole, "TRUE POSITIVES");
    let preview = json(&world, &["alerts", "suppress", "--rule", "any_read", "--preview"]);
    assert_eq!((&preview["covered"], &preview["made"]), (&2.into(), &false.into()));
    assert_eq!(preview["true_positives"], serde_json::json!([api]));
    assert_eq!(json(&world, &["alerts", "suppressions"]), serde_json::json!([]));
    let made = json(
        &world,
        &[
            "alerts",
            "suppress",
            "--from-alert",
            &worker,
            "--owner",
            "platform",
            "--reason",
            "the migration",
            "--for",
            "14d",
            "--by",
            "ana",
        ],
    );
    assert_eq!(made["standing"], serde_json::json!([worker]), "{made}");
    let id = made["suppression"]["suppression_id"].as_str().expect("an id").to_owned();
    let shown = json(&world, &["alerts", "show", &worker]);
    assert_eq!((&shown["state"], &shown["suppressed_by"]), (&"suppressed".into(), &id.as_str().into()));
    assert_eq!(shown["suppression"]["reason"], "the migration");
    let listed = json(&world, &["alerts", "suppressions"]);
    assert_eq!((&listed[0]["owner"], &listed[0]["is_active"]), (&"platform".into(), &true.into()));
    assert_eq!(world.number("SELECT count(*) FROM suppressions WHERE is_active"), 1);
    world.ok(&["alerts", "unsuppress", &id]);
    refused(&world, 2, &["alerts", "unsuppress", &id], "does not hold any more");
    refused(&world, 4, &["alerts", "unsuppress", "s-none"], "no suppression");
    assert_eq!(json(&world, &["alerts", "suppressions"]), serde_json::json!([]));
    assert!(json(&world, &["alerts", "suppressions", "--all"])[0]["ended_by"].is_string());
}

#[test]
fn evidence_reproduces_the_alert_from_its_folder_alone() {
    let world = world();
    let api = alert_of(&world, "role/app/api");
    let out = world.path("bundle");
    world.ok(&["--config", "keytrail.toml", "alerts", "evidence", &api, "--out", "bundle"]);
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let manifest: Value = serde_json::from_str(&read("manifest.json")).expect("JSON");
    let files: BTreeMap<String, Value> = serde_json::from_value(manifest["files"].clone()).expect("an object");
    for name in ["README.md", "alert.json", "events.json", "findings.json", "coverage.json", "pack/any_read/rule.toml"]
    {
        let entry = files.get(name).unwrap_or_else(|| panic!("{name} is not in the manifest"));
        assert_eq!(entry["bytes"].as_u64(), Some(read(name).len() as u64), "{name}");
        assert_eq!(entry["sha256"].as_str().map(str::len), Some(64));
    }
    let events: Value = serde_json::from_str(&read("events.json")).expect("JSON");
    assert_eq!(events[0]["record"]["eventID"], event_id(1).as_str());
    assert_eq!(events[0]["record_index"], 0);
    let findings: Value = serde_json::from_str(&read("findings.json")).expect("JSON");
    assert_eq!(findings[0]["findings"][0]["reason"], "role/app/api read prod/db.");
    refused(&world, 2, &["alerts", "evidence", &api, "--out", "bundle"], "is not empty");

    // Elsewhere, without lake and configuration.
    let elsewhere = World::new();
    let pack = out.join("pack").display().to_string();
    let tested = elsewhere.ok(&["rules", "test", &pack, "--only", "any_read"]);
    assert!(tested.stdout.contains("1 passed, 0 failed"), "{}", tested.stdout);
    // What is not there cannot be found: the sample is no formality.
    let sample = out.join("pack/any_read/fires/evidence.json");
    let text = fs::read_to_string(&sample).expect("a file").replace("GetSecretValue", "DescribeSecret");
    fs::write(&sample, text).expect("a file");
    assert_eq!(elsewhere.run(&["rules", "test", &pack, "--only", "any_read"]).code, 1);
}

#[test]
fn rules_say_why_and_what_they_would_have_said() {
    let world = world();
    let api = alert_of(&world, "role/app/api");
    let why = json(&world, &["rules", "explain", &api]);
    assert_eq!((&why["rules"][0]["answer"], &why["rules"][0]["alert_id"]), (&"fires".into(), &api.as_str().into()));
    let quiet = json(&world, &["rules", "explain", &event_id(3), "--rule", "any_read"]);
    assert_eq!(quiet["rules"][0]["answer"], "quiet", "{quiet}");
    let condition = &quiet["rules"][0]["conditions"][0];
    assert!(condition["condition"].as_str().is_some_and(|text| text.contains("outcome = 'ok'")), "{quiet}");
    assert_eq!(condition["values"]["outcome"], "denied");
    let page = world.ok(&["--config", "keytrail.toml", "rules", "explain", &event_id(3)]).stdout;
    assert!(page.contains("any_read v3  does not fire") && page.contains("outcome is denied"), "{page}");
    refused(&world, 4, &["rules", "explain", "nothing"], "no alert and no event");
    refused(&world, 4, &["rules", "explain", &api, "--rule", "any_rea"], "did you mean `any_read`");

    let forecast = json(&world, &["rules", "backtest", "any_read"]);
    assert_eq!((&forecast[0]["alerts"], &forecast[0]["busiest_day"]), (&2.into(), &"2026-08-01".into()));
    assert_eq!(forecast[0]["examples"].as_array().map(Vec::len), Some(2));
    assert_eq!(json(&world, &["rules", "backtest", "packs", "--until", "2026-08-01T12:03"])[0]["alerts"], 1);
    refused(&world, 4, &["rules", "backtest", "any_reed"], "did you mean `any_read`");

    write_pack(&world.path("new"), "principal_id LIKE '%worker%' OR outcome = 'denied'");
    let found = json(&world, &["rules", "diff", "packs", "new"]);
    let who = |list: &Value| -> Vec<String> {
        let of = |it: &Value| it["principal_id"].as_str().map(str::to_owned);
        list.as_array().expect("an array").iter().filter_map(of).collect()
    };
    assert_eq!((&found[0]["old"], &found[0]["new"]), (&2.into(), &2.into()));
    assert_eq!(who(&found[0]["only_old"]), ["arn:aws:iam::111122223333:role/app/api"]);
    assert_eq!(who(&found[0]["only_new"]), ["arn:aws:iam::111122223333:role/app/stranger"]);
    refused(&world, 2, &["rules", "diff", "builtin", "packs"], "no rule in common");

    // A mistake is shown in its place.
    write_pack(&world.path("wrong"), "outcom = 'ok'");
    let checked = world.run(&["rules", "check", "wrong"]);
    assert_eq!(checked.code, 1);
    for part in ["any_read/detect.sql:3:", "WHERE action = 'read' AND outcom = 'ok'", "^"] {
        assert!(checked.stderr.contains(part), "{part} is missing:\n{}", checked.stderr);
    }
    let checked = json_of_failure(&world, &["rules", "check", "wrong", "--format", "json"]);
    assert_eq!((&checked[0]["rule_id"], &checked[0]["line"]), (&"any_read".into(), &3.into()));
    refused(&world, 4, &["rules", "check", "nowhere"], "is not a folder");
    fs::write(world.path("bad.toml"), "[alerts]\npacks = \"nowhere\"\n").expect("a file");
    assert_eq!(world.run(&["--config", "bad.toml", "detect"]).code, 3);
}

fn json_of_failure(world: &World, arguments: &[&str]) -> Value {
    let ran = world.run(arguments);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("JSON")
}
