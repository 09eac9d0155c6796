//! What the views say about small, hand-made histories.

use deltalake::{arrow::util::pretty::pretty_format_batches, datafusion::prelude::SessionContext};
use serde_json::{Value, json};

use crate::schema::TableName;
use crate::session::{
    ReaderClass, SessionSettings,
    fixture::{API, SECRET, event, session, table},
};

const ROTATOR: &str = "arn:aws:iam::111122223333:role/rotate-db";
const SYNC: &str = "arn:aws:iam::111122223333:role/external-secrets";

pub(super) async fn rows(session: &SessionContext, sql: &str) -> Vec<String> {
    let batches = session.sql(sql).await.expect(sql).collect().await.expect(sql);
    let table = pretty_format_batches(&batches).expect("printable").to_string();
    let lines = table.lines().filter(|line| line.starts_with('|')).skip(1);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(" | ")).collect()
}

async fn asked(events: &[Value], sql: &str) -> Vec<String> {
    rows(&session(events, &[], &SessionSettings::default()).await, sql).await
}

/// A rotation by a function: stages, reads, moves, and the service's word on it.
fn rotation(minute: &str, version: &str) -> Vec<Value> {
    let by = |changes: Value| {
        let mut all = json!({ "principal_id": ROTATOR, "event_id": format!("r-{minute}-{}", changes["event_name"]) });
        let fields = changes.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(fields);
        all
    };
    vec![
        event(&format!("{minute}:00Z"), by(json!({ "event_name": "GetSecretValue", "version_stage": "AWSCURRENT" }))),
        event(
            &format!("{minute}:01Z"),
            by(
                json!({ "event_name": "PutSecretValue", "action": "write", "version_id": version, "version_stage": "AWSPENDING" }),
            ),
        ),
        event(
            &format!("{minute}:10Z"),
            by(
                json!({ "event_name": "UpdateSecretVersionStage", "action": "stage", "version_id": version, "version_stage": "AWSCURRENT" }),
            ),
        ),
        event(
            &format!("{minute}:11Z"),
            json!({ "event_id": format!("r-{minute}-done"), "event_name": "RotationSucceeded", "action": "rotate", "principal_id": "service:secretsmanager.amazonaws.com", "principal_kind": "service" }),
        ),
    ]
}

#[tokio::test]
async fn a_name_learned_later_repairs_earlier_rows() {
    let again = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db-ZzZzZz";
    let typed = |secret_id: &str| json!({ "secret_id": secret_id, "secret_name": null, "secret_account": null, "secret_region": null, "secret_resolution": "unresolved" });
    let events = [
        event("2026-01-01T00:00:00Z", typed("app/db")),
        event("2026-01-02T00:00:00Z", json!({})),
        event("2026-01-03T00:00:00Z", typed("arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db")),
        event("2026-01-04T00:00:00Z", json!({ "secret_id": again })),
        event("2026-01-05T00:00:00Z", typed("app/db")),
        event("2026-01-06T00:00:00Z", typed("no/such")),
        // Somebody's guess of an ARN that was refused tells nothing about what the name means.
        event("2026-01-07T00:00:00Z", json!({ "secret_id": SECRET.replace("AbCdEf", "GuesSs"), "outcome": "denied" })),
        event("2026-01-08T00:00:00Z", typed("app/db")),
    ];
    let sql = "SELECT right(secret_id, 9) AS id, secret_name, secret_resolution FROM access_events ORDER BY event_at";
    assert_eq!(
        asked(&events, sql).await,
        [
            "db-AbCdEf | app/db | name",
            "db-AbCdEf | app/db | arn",
            "db-AbCdEf | app/db | partial_arn",
            "db-ZzZzZz | app/db | arn",
            "db-ZzZzZz | app/db | name",
            "no/such |  | unresolved",
            "db-GuesSs | app/db | arn",
            "db-ZzZzZz | app/db | name",
        ]
    );
}

#[tokio::test]
async fn the_signals_of_one_rotation_are_one_row() {
    let mut events = vec![event(
        "2026-01-01T00:00:00Z",
        json!({ "event_name": "CreateSecret", "action": "create", "version_id": "v1" }),
    )];
    events.extend(rotation("2026-01-10T00:00", "v2"));
    events.extend(rotation("2026-01-20T00:00", "v3"));
    // A rotation that AWS manages: only its word, no version.
    events.push(event("2026-01-30T00:00:00Z", json!({ "event_name": "RotationSucceeded", "action": "rotate", "principal_id": "service:secretsmanager.amazonaws.com", "principal_kind": "service" })));
    // Rolled back by hand; a description change and a denied write change nothing.
    events.push(event("2026-02-01T00:00:00Z", json!({ "event_name": "UpdateSecretVersionStage", "action": "stage", "version_id": "v3", "version_stage": "AWSCURRENT" })));
    events.push(event("2026-02-02T00:00:00Z", json!({ "event_name": "UpdateSecret", "action": "write" })));
    events.push(event(
        "2026-02-03T00:00:00Z",
        json!({ "event_name": "PutSecretValue", "action": "write", "version_id": "v9", "outcome": "denied" }),
    ));
    let sql = "SELECT rotated_at, version_id, previous_version_id, known_by, arn_part(principal_id, 'name') FROM rotations ORDER BY rotated_at";
    assert_eq!(
        asked(&events, sql).await,
        [
            "2026-01-10T00:00:10Z | v2 | v1 | rotation_succeeded, stage_moved | rotate-db",
            "2026-01-20T00:00:10Z | v3 | v2 | rotation_succeeded, stage_moved | rotate-db",
            "2026-01-30T00:00:00Z |  | v3 | rotation_succeeded | ",
            "2026-02-01T00:00:00Z | v3 |  | stage_moved | api",
        ]
    );
    let sql = "SELECT version_id, current_from, superseded_at, known_by FROM versions ORDER BY current_from";
    assert_eq!(
        asked(&events, sql).await,
        [
            "v1 | 2026-01-01T00:00:00Z | 2026-01-10T00:00:10Z | created",
            "v2 | 2026-01-10T00:00:10Z | 2026-01-20T00:00:10Z | rotation_succeeded, stage_moved",
            "v3 | 2026-01-20T00:00:10Z |  | rotation_succeeded, stage_moved",
        ]
    );
}

#[tokio::test]
async fn a_version_that_only_kms_names_ends_with_the_next_change() {
    let mut events = vec![
        event("2026-01-01T00:00:00Z", json!({ "version_id": "v0", "version_evidence": "kms" })),
        // Asked for by name after it was replaced: no proof that it is current.
        event("2026-01-15T00:00:00Z", json!({ "version_id": "old", "version_evidence": "request" })),
        event(
            "2026-01-16T00:00:00Z",
            json!({ "version_id": "v0", "version_evidence": "kms", "version_stage": "AWSPREVIOUS" }),
        ),
    ];
    events.extend(rotation("2026-01-10T00:00", "v1"));
    let sql = "SELECT version_id, current_from, superseded_at, known_by FROM versions WHERE known_by = 'read'";
    assert_eq!(asked(&events, sql).await, ["v0 | 2026-01-01T00:00:00Z | 2026-01-10T00:00:10Z | read"]);
}

#[tokio::test]
async fn upkeep_and_sync_agents_do_not_make_a_secret_used() {
    let mut events =
        vec![event("2026-01-01T00:00:00Z", json!({ "event_id": "first" })), event("2026-01-02T00:00:00Z", json!({}))];
    events.extend(rotation("2026-01-10T00:00", "v2"));
    events.push(event("2026-01-20T00:00:00Z", json!({ "principal_id": SYNC })));
    events.push(event(
        "2026-01-21T00:00:00Z",
        json!({ "outcome": "denied", "principal_id": "arn:aws:iam::111122223333:role/stranger" }),
    ));
    events.push(event("2026-01-22T00:00:00Z", json!({ "action": "decrypt", "event_name": "Decrypt" })));
    let settings = SessionSettings {
        reader_classes: vec![ReaderClass { pattern: "*:role/external-secrets".into(), class: "sync_agent".into() }],
        ..SessionSettings::default()
    };
    let session = session(&events, &[], &settings).await;
    let sql = "SELECT arn_part(principal_id, 'name') AS p, read_count, days_active, first_event_id = 'first' AS f, reader_class, class_known_by FROM pairs ORDER BY p";
    assert_eq!(
        rows(&session, sql).await,
        [
            "api | 2 | 2 | true | consumer | ",
            "external-secrets | 1 | 1 | false | sync_agent | configuration",
            "rotate-db | 1 | 1 | false | upkeep | behaviour",
        ]
    );
    let sql = "SELECT last_use_at, last_sync_at, last_read_at, reader_count, read_count, consumer_count, use_count, rotation_count, known_by FROM secrets";
    assert_eq!(
        rows(&session, sql).await,
        ["2026-01-02T00:00:00Z | 2026-01-20T00:00:00Z | 2026-01-20T00:00:00Z | 3 | 4 | 1 | 2 | 1 | used"]
    );
    let sql = "SELECT pattern, class FROM reader_classes";
    assert_eq!(rows(&session, sql).await, ["*:role/external-secrets | sync_agent"]);
}

#[tokio::test]
async fn a_service_that_moves_a_stage_once_stays_a_consumer() {
    let mut events: Vec<Value> = (1..10).map(|day| event(&format!("2026-01-0{day}T00:00:00Z"), json!({}))).collect();
    events.push(event("2026-01-09T00:01:00Z", json!({ "event_name": "UpdateSecretVersionStage", "action": "stage", "version_id": "v1", "version_stage": "AWSCURRENT" })));
    assert_eq!(asked(&events, "SELECT reader_class FROM pairs").await, ["consumer"]);
    assert!(asked(&events, "SELECT * FROM rotators").await.is_empty());
}

#[tokio::test]
async fn a_secret_lives_dies_and_lives_again() {
    let at = |day: u32, name: &str, action: &str| {
        event(&format!("2026-01-{day:02}T00:00:00Z"), json!({ "event_name": name, "action": action }))
    };
    let sql = "SELECT created_at, deleted_at FROM secrets";
    let mut events = vec![at(1, "CreateSecret", "create"), at(5, "DeleteSecret", "delete")];
    assert_eq!(asked(&events, sql).await, ["2026-01-01T00:00:00Z | 2026-01-05T00:00:00Z"]);
    events.push(at(6, "RestoreSecret", "restore"));
    assert_eq!(asked(&events, sql).await, ["2026-01-01T00:00:00Z | "]);
    events.push(at(7, "EndSecretVersionDelete", "delete"));
    assert_eq!(asked(&events, sql).await, ["2026-01-01T00:00:00Z | 2026-01-07T00:00:00Z"]);

    let parameter = |day: u32, name: &str, version: Option<&str>| {
        event(
            &format!("2026-01-{day:02}T00:00:00Z"),
            json!({ "event_name": name, "action": "write", "version_id": version, "secret_kind": "parameter",
                    "secret_id": "arn:aws:ssm:eu-west-1:111122223333:parameter/app/key", "secret_resolution": "name" }),
        )
    };
    let events = [
        parameter(1, "PutParameter", Some("1")),
        parameter(2, "PutParameter", Some("2")),
        parameter(3, "DeleteParameters", None),
        parameter(4, "PutParameter", Some("1")),
    ];
    assert_eq!(
        asked(&events, "SELECT created_at, deleted_at, rotation_count FROM secrets").await,
        ["2026-01-04T00:00:00Z |  | 1"]
    );
}

#[tokio::test]
async fn what_only_failed_calls_mention_is_no_secret() {
    let events = [
        event("2026-01-01T00:00:00Z", json!({ "outcome": "denied" })),
        event(
            "2026-01-02T00:00:00Z",
            json!({ "secret_id": "arn:aws:ssm:eu-west-1:111122223333:parameter/app/*", "secret_resolution": "path" }),
        ),
    ];
    assert!(asked(&events, "SELECT secret_id FROM secrets").await.is_empty());
    assert_eq!(
        asked(&events, "SELECT principal_id, event_count, read_count FROM principals").await,
        [format!("{API} | 2 | 1")]
    );
}

#[tokio::test]
async fn a_principal_made_again_shows_both_its_ids() {
    let events = [
        event("2026-01-01T00:00:00Z", json!({ "principal_unique_id": "AROAB" })),
        event("2026-01-02T00:00:00Z", json!({ "principal_unique_id": "AROAA" })),
        event("2026-01-03T00:00:00Z", json!({ "principal_unique_id": "AROAA" })),
    ];
    assert_eq!(asked(&events, "SELECT unique_ids, read_count FROM principals").await, ["[AROAA, AROAB] | 3"]);
}

#[tokio::test]
async fn a_principal_has_the_networks_and_agents_it_was_seen_with() {
    let events = [
        event("2026-01-01T00:00:00Z", json!({ "source_ip": "10.20.0.1", "user_agent_family": "boto3" })),
        event("2026-01-01T01:00:00Z", json!({ "source_ip": "10.20.9.9", "user_agent_family": "aws-cli" })),
        event(
            "2026-01-03T00:00:00Z",
            json!({ "source_ip": "10.20.0.1", "user_agent_family": "boto3", "outcome": "denied" }),
        ),
        event("2026-01-03T01:00:00Z", json!({ "source_ip": "10.20.0.1", "vpc_endpoint_id": "vpce-1" })),
        event("2026-01-03T02:00:00Z", json!({ "source_network": "service" })),
    ];
    let sql = "SELECT network, first_at, last_at, event_count, days_active FROM principal_networks ORDER BY network";
    assert_eq!(
        asked(&events, sql).await,
        [
            "10.20.0.0/16 | 2026-01-01T00:00:00Z | 2026-01-03T00:00:00Z | 3 | 2",
            "vpce-1 | 2026-01-03T01:00:00Z | 2026-01-03T01:00:00Z | 1 | 1",
        ]
    );
    let sql = "SELECT user_agent_family, event_count, days_active FROM principal_agents ORDER BY user_agent_family";
    assert_eq!(asked(&events, sql).await, ["aws-cli | 1 | 1", "boto3 | 2 | 2"]);
}

#[tokio::test]
async fn the_newest_state_of_an_alert_counts() {
    let change = |sequence: i64, state: &str| json!({ "alert_id": "a", "sequence": sequence, "state": state, "updated_at": "2026-01-01T00:00:00Z" });
    let session = session(&[], &[], &SessionSettings::default()).await;
    session.deregister_table("alert_log").expect("was there");
    let (name, log) = table(TableName::AlertLog, &[change(2, "acknowledged"), change(3, "closed"), change(1, "open")]);
    session.register_table(name, log).expect("registers");
    let view = crate::session::VIEWS.iter().find(|view| view.name == "alerts").expect("a view");
    assert_eq!(rows(&session, &format!("SELECT alert_id, state FROM ({})", view.sql)).await, ["a | closed"]);
}

#[tokio::test]
async fn every_change_of_an_alert_is_told() {
    let change = |sequence: i64, state: &str, by: Option<&str>, verdict: Option<&str>| {
        json!({ "alert_id": "a", "rule_id": "r", "class": "detection", "sequence": sequence, "state": state, "changed_by": by, "note": by.map(|_| "n"),
            "verdict": verdict, "raised_at": "2026-01-01T00:00:00Z", "updated_at": format!("2026-01-0{sequence}T00:00:00Z") })
    };
    let log = [
        change(3, "acknowledged", Some("ana"), None),
        change(1, "open", None, None),
        change(2, "open", None, None),
        change(5, "closed", Some("bo"), Some("true_positive")),
        change(4, "acknowledged", Some("ana"), None),
    ];
    let view = |name: &str| crate::session::VIEWS.iter().find(|view| view.name == name).expect("a view").sql;
    let session = session(&[], &[], &SessionSettings::default()).await;
    session.deregister_table("alert_log").expect("was there");
    let (name, log) = table(TableName::AlertLog, &log);
    session.register_table(name, log).expect("registers");
    let sql = format!("SELECT change, changed_at, changed_by, note FROM ({}) ORDER BY sequence", view("alert_history"));
    assert_eq!(
        rows(&session, &sql).await,
        [
            "raised | 2026-01-01T00:00:00Z |  | ",
            "updated | 2026-01-02T00:00:00Z |  | ",
            "acknowledged | 2026-01-03T00:00:00Z | ana | n",
            "updated | 2026-01-04T00:00:00Z |  | ",
            "closed | 2026-01-05T00:00:00Z | bo | n",
        ]
    );
    let (alerts, precision) = (view("alerts"), view("rule_precision"));
    let sql = format!(
        "SELECT alerts, judged, precision FROM ({})",
        precision.replace("FROM alerts", &format!("FROM ({alerts})"))
    );
    assert_eq!(rows(&session, &sql).await, ["1 | 1 | 1.0"]);
}

#[tokio::test]
async fn a_suppression_that_was_ended_or_ran_out_is_not_active() {
    let made = |id: &str, sequence: i64, expires_at: &str, ended_at: Option<&str>| json!({ "suppression_id": id, "sequence": sequence, "expires_at": expires_at, "ended_at": ended_at });
    let log = [
        made("a", 1, "2999-01-01T00:00:00Z", None),
        made("b", 2, "2999-01-01T00:00:00Z", None),
        made("b", 3, "2999-01-01T00:00:00Z", Some("2026-01-01T00:00:00Z")),
        made("c", 4, "2026-01-01T00:00:00Z", None),
    ];
    let session = session(&[], &[], &SessionSettings::default()).await;
    session.deregister_table("suppression_log").expect("was there");
    let (name, log) = table(TableName::SuppressionLog, &log);
    session.register_table(name, log).expect("registers");
    let view = crate::session::VIEWS.iter().find(|view| view.name == "suppressions").expect("a view");
    let sql = format!("SELECT suppression_id, is_active FROM ({}) ORDER BY suppression_id", view.sql);
    assert_eq!(rows(&session, &sql).await, ["a | true", "b | false", "c | false"]);
}
